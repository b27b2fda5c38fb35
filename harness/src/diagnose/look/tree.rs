//! The files of the directory: names, inodes, what is in lock files and whether JSON files parse.

use std::collections::BTreeMap;
use std::fs::{File as Opened, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::{Mode, major, minor};

use super::json;
use crate::diagnose::names::{file_name, is_lock_file, is_temporary};
use crate::diagnose::snapshot::{File, FileId};
use crate::mounts::Mounts;

/// A larger JSON file is not read.
const LARGEST_JSON: u64 = 64 << 20;

/// The files of a directory.
#[derive(Default)]
pub struct Tree {
    /// By path, relative to the directory.
    pub files: BTreeMap<String, File>,
    /// By what `stat` says of them: device and inode.
    pub by_stat: BTreeMap<(u64, u64), String>,
    /// Folders that lie on another file system than the one above, `.` first; the file system's type.
    pub file_systems: Vec<(String, String)>,
    /// What could not be read, and why.
    pub not_seen: Vec<String>,
}

/// Walks through a directory.
///
/// # Errors
/// If the directory itself cannot be read.
pub fn walk(dir: &Path, mounts: &Mounts) -> io::Result<Tree> {
    let mut tree = Tree::default();
    let top = dir.symlink_metadata()?;
    let mut folders = vec![(String::new(), top.dev(), device(dir, &top, mounts))];
    tree.file_systems.push((".".to_owned(), kind(dir, mounts)));
    while let Some((folder, stat_device, kernel_device)) = folders.pop() {
        let names = match names(&dir.join(&folder)) {
            Ok(names) => names,
            Err(error) if folder.is_empty() => return Err(error),
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => {
                tree.not_seen.push(format!("the folder {folder}: {error}"));
                continue;
            }
        };
        for name in names {
            let path = if folder.is_empty() { name } else { format!("{folder}/{name}") };
            let full = dir.join(&path);
            let Ok(mut data) = full.symlink_metadata() else { continue };
            let here = if data.dev() == stat_device { kernel_device } else { device(&full, &data, mounts) };
            if data.is_dir() {
                if data.dev() != stat_device {
                    tree.file_systems.push((path.clone(), kind(&full, mounts)));
                }
                folders.push((path, data.dev(), here));
                continue;
            }
            let mut id = FileId { device: here, inode: data.ino() };
            if data.is_symlink() {
                let (Ok(target), Ok(place)) = (full.metadata(), full.canonicalize()) else { continue };
                id = FileId { device: device(&place, &target, mounts), inode: target.ino() };
                data = target;
            }
            if data.is_file() {
                tree.add(path, &full, &data, id);
            }
        }
    }
    Ok(tree)
}

impl Tree {
    fn add(&mut self, path: String, full: &Path, data: &Metadata, id: FileId) {
        let modified = data.mtime() as f64 + data.mtime_nsec() as f64 / 1e9;
        let mut file = File { id, size: data.len(), modified, ..File::default() };
        let name = file_name(&path);
        let result = if is_lock_file(&path, file.size) {
            read(full).map(|bytes| file.note = Some(String::from_utf8_lossy(&bytes).into_owned()))
        } else if !name.ends_with(".json") || is_temporary(name) {
            Ok(())
        } else if file.size > LARGEST_JSON {
            Err(io::Error::other(format!("{} MiB are too much to read", file.size >> 20)))
        } else {
            read(full).map(|bytes| file.flaw = json::flaw(&bytes))
        };
        match result {
            // It has gone meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            Err(error) => self.not_seen.push(format!("what is in {path}: {error}")),
            Ok(()) => (),
        }
        self.by_stat.entry((data.dev(), data.ino())).or_insert_with(|| path.clone());
        self.files.insert(path, file);
    }
}

/// What the kernel calls the device that a path lies on.
pub fn device(path: &Path, data: &Metadata, mounts: &Mounts) -> (u32, u32) {
    let stat = || (number(major(data.dev())), number(minor(data.dev())));
    mounts.of(path).map_or_else(stat, |mount| mount.device)
}

fn number(part: u64) -> u32 {
    u32::try_from(part).unwrap_or(u32::MAX)
}

fn kind(path: &Path, mounts: &Mounts) -> String {
    mounts.of(path).map_or_else(|| "unknown".to_owned(), |mount| mount.kind.clone())
}

/// The names in a folder, without touching its access time where that is allowed (its owner and root may).
fn names(folder: &Path) -> io::Result<Vec<String>> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let opened = match Dir::open(folder, flags | OFlag::O_NOATIME, Mode::empty()) {
        Err(Errno::EPERM) => Dir::open(folder, flags, Mode::empty()),
        other => other,
    };
    let mut names = Vec::new();
    for entry in opened?.iter() {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy();
        if name != "." && name != ".." {
            names.push(name.into_owned());
        }
    }
    names.sort();
    Ok(names)
}

/// All bytes of a file, without touching its access time where that is allowed, and without waiting for anybody.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let open = |flags: OFlag| -> io::Result<Opened> {
        OpenOptions::new().read(true).custom_flags((flags | OFlag::O_NONBLOCK).bits()).open(path)
    };
    let file = match open(OFlag::O_NOATIME) {
        Err(error) if error.raw_os_error() == Some(Errno::EPERM as i32) => open(OFlag::empty()),
        other => other,
    }?;
    let mut bytes = Vec::new();
    file.take(LARGEST_JSON).read_to_end(&mut bytes)?;
    Ok(bytes)
}
