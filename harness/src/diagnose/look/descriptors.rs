//! The files of the directory that a process has open, and the locks on them: `/proc/PID/fd` and `fdinfo`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::locks::{self, Line};
use super::tree::Tree;
use crate::diagnose::snapshot::{FileId, Open};
use crate::mounts::Mounts;

/// What tells whether a descriptor is one of a file of the directory.
pub struct Sieve<'a> {
    dir: &'a str,
    tree: &'a Tree,
    mounts: &'a Mounts,
    inodes: BTreeSet<u64>,
}

/// What a process has of the directory.
#[derive(Default)]
pub struct Descriptors {
    /// The files.
    pub open: Vec<Open>,
    /// The locks that it holds on them.
    pub locks: BTreeSet<Line>,
    /// The number of each descriptor, and its file.
    pub numbers: BTreeMap<u64, FileId>,
}

impl<'a> Sieve<'a> {
    pub fn new(dir: &'a str, tree: &'a Tree, mounts: &'a Mounts) -> Self {
        let inodes = tree.files.values().map(|file| file.id.inode).collect();
        Self { dir, tree, mounts, inodes }
    }

    /// Looks at the descriptors of a process.
    ///
    /// # Errors
    /// If that is not allowed. A process that has gone has none.
    pub fn descriptors(&self, pid: i32) -> io::Result<Descriptors> {
        let mut found = Descriptors::default();
        let entries = match fs::read_dir(format!("/proc/{pid}/fd")) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Err(error),
            Err(_) => return Ok(found),
        };
        for entry in entries.filter_map(Result::ok) {
            let Ok(link) = fs::read_link(entry.path()) else { continue };
            let Some(number) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            if link.is_absolute() && !is_device(&link) {
                self.descriptor(pid, number, &link.to_string_lossy(), &mut found);
            }
        }
        Ok(found)
    }

    fn descriptor(&self, pid: i32, number: u64, link: &str, found: &mut Descriptors) {
        let inside = link
            .strip_prefix(self.dir)
            .and_then(|rest| if self.dir == "/" { link.strip_prefix('/') } else { rest.strip_prefix('/') });
        let Ok(text) = fs::read_to_string(format!("/proc/{pid}/fdinfo/{number}")) else { return };
        let info = Info::parse(&text);
        let stat = || fs::metadata(format!("/proc/{pid}/fd/{number}")).ok();
        let Some(inode) = info.inode.or_else(|| Some(stat()?.ino())) else { return };
        let known = inside
            .and_then(|path| self.tree.files.get_key_value(path))
            .filter(|(_, file)| file.id.inode == inode);
        let (path, id) = if let Some((path, file)) = known {
            (path.clone(), file.id)
        } else if self.inodes.contains(&inode)
            && let Some(data) = stat()
            && let Some(path) = self.tree.by_stat.get(&(data.dev(), data.ino()))
        {
            // By another name: a link, or the same file where another process sees it.
            (path.clone(), self.tree.files[path].id)
        } else if let Some(path) = inside {
            if stat().is_none_or(|data| !data.is_file()) {
                return;
            }
            let path = path.strip_suffix(" (deleted)").unwrap_or(path);
            let device = self.mounts.of(Path::new(link)).map(|mount| mount.device);
            let device = info.locks.first().map(|line| line.id.device).or(device).unwrap_or_default();
            (path.to_owned(), FileId { device, inode })
        } else {
            return;
        };
        // What the kernel calls the file's device where the mounts do not tell it.
        found.locks.extend(info.locks.iter().map(|line| Line { id, ..*line }));
        found.open.push(Open { id, path, writes: info.writes });
        found.numbers.insert(number, id);
    }
}

/// Not worth looking at: what most processes have open.
fn is_device(path: &Path) -> bool {
    path.starts_with("/dev") && !path.starts_with("/dev/shm")
}

/// What `/proc/PID/fdinfo/N` tells.
#[derive(PartialEq, Debug, Default)]
struct Info {
    /// Since Linux 5.14.
    inode: Option<u64>,
    writes: bool,
    locks: Vec<Line>,
}

impl Info {
    fn parse(text: &str) -> Self {
        const ACCESS: u32 = 0o3;
        const APPEND: u32 = 0o2000;
        let mut info = Self::default();
        for (key, value) in text.lines().filter_map(|line| line.split_once(':')) {
            let value = value.trim();
            match key {
                "ino" => info.inode = value.parse().ok(),
                "flags" => {
                    let flags = u32::from_str_radix(value, 8).unwrap_or_default();
                    info.writes = flags & ACCESS != 0 && flags & APPEND == 0;
                }
                "lock" => info.locks.extend(locks::parse(value).filter(|line| !line.waits)),
                _ => (),
            }
        }
        info
    }
}

#[cfg(test)]
mod tests {
    use super::Info;

    #[test]
    fn what_the_kernel_tells_of_a_descriptor_is_read() {
        let text = "pos:\t0\nflags:\t0100001\nmnt_id:\t27\nino:\t10027106\n\
                    lock:\t1: FLOCK  ADVISORY  WRITE 26266 fe:00:10027106 0 EOF\n";
        let info = Info::parse(text);
        assert_eq!((info.inode, info.writes, info.locks.len()), (Some(10_027_106), true, 1));
        assert!(!Info::parse("flags:\t0102001\n").writes, "only to append");
        assert!(!Info::parse("flags:\t0100000\n").writes, "only to read");
    }
}
