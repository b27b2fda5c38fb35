//! Reading a directory into a tree.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, Metadata, Permissions};
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::Path;

use nix::errno::Errno;
use nix::unistd::{Whence, getegid, geteuid, lseek};

use super::{USUAL, at_and_below, attributes, native};
use crate::model::{Details, Entry, Tree, name};

/// Whose a directory is that is read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Whose {
    /// Somebody's: nothing in it is changed.
    Theirs,
    /// Made by the caller: what its mode keeps the caller from reading is readable for that moment.
    Own,
}

/// Reads a directory with everything below it, and when each entry was changed last.
///
/// # Errors
/// Those of reading; what disappears meanwhile is left out.
pub fn capture(dir: &Path) -> io::Result<Tree> {
    let mut reading = Reading::new(Whose::Theirs, Tree::new(), Some(&time));
    reading.below(dir, "")?;
    let mut tree = reading.finish();
    let time = Some(time(&fs::metadata(dir)?));
    tree.begin(None, Details { time, ..Details::default() }, 0);
    Ok(tree)
}

/// The same of a directory of the caller's own, in which others may have made what they let nobody read; without times and holes.
///
/// # Errors
/// Those of reading and of changing modes.
pub fn capture_own(dir: &Path) -> io::Result<Tree> {
    let mut reading = Reading::new(Whose::Own, Tree::new(), None);
    reading.below(dir, "")?;
    Ok(reading.finish())
}

/// The same with holes and times, and with what there is to say of the directory itself. `time` gives the time of a file with this status;
/// `clock` is how long the preparation took.
///
/// # Errors
/// As [`capture_own`].
pub fn capture_beginning(dir: &Path, time: &dyn Fn(&Metadata) -> u64, clock: u64) -> io::Result<Tree> {
    let mut reading = Reading::new(Whose::Own, Tree::new(), Some(time));
    reading.below(dir, "")?;
    let mut tree = reading.finish();
    let status = fs::metadata(dir)?;
    let (mode, owner) = (status.mode() & 0o7777, (status.uid(), status.gid()));
    let details = Details {
        owner: (owner != (geteuid().as_raw(), getegid().as_raw())).then_some(owner),
        attributes: attributes::read(&dir.join("."))?,
        time: Some(time(&status)),
        holes: Vec::new(),
    };
    tree.begin((mode != USUAL).then_some(mode), details, clock);
    Ok(tree)
}

/// Reads what stands at some paths of a directory of the caller's own, with everything below them, into a tree, in place of what the tree
/// has there. Returns the inodes of files that were read and have further names that were not.
///
/// # Errors
/// Those of reading and of changing modes.
pub fn capture_again(dir: &Path, paths: &BTreeSet<&str>, tree: &mut Tree) -> io::Result<Vec<u64>> {
    for path in paths {
        let old: Vec<String> = at_and_below(tree, path).map(|(path, _)| path.clone()).collect();
        for path in old {
            tree.remove(&path);
        }
    }
    let mut reading = Reading::new(Whose::Own, std::mem::take(tree), None);
    for path in paths {
        reading.at(&dir.join(native(path)), (*path).to_owned())?;
    }
    let more = reading.names.iter().filter(|(_, (names, count))| names.len() as u64 != *count);
    let more = more.map(|((_, inode), _)| *inode).collect();
    *tree = reading.finish();
    Ok(more)
}

/// A tree that is being read.
struct Reading<'a> {
    whose: Whose,
    /// When something was changed last; `None` if neither times nor holes are read.
    time: Option<&'a dyn Fn(&Metadata) -> u64>,
    tree: Tree,
    /// The paths of files that have several names, by device and inode, and how many they have.
    names: BTreeMap<(u64, u64), (BTreeSet<String>, u64)>,
}

impl<'a> Reading<'a> {
    fn new(whose: Whose, tree: Tree, time: Option<&'a dyn Fn(&Metadata) -> u64>) -> Self {
        Self { whose, time, tree, names: BTreeMap::new() }
    }

    fn below(&mut self, dir: &Path, prefix: &str) -> io::Result<()> {
        for item in fs::read_dir(dir)? {
            let item = item?;
            let path = format!("{prefix}{}", name::text(item.file_name().into_vec()));
            self.at(&item.path(), path)?;
        }
        Ok(())
    }

    fn at(&mut self, file: &Path, path: String) -> io::Result<()> {
        let Some((entry, status, holes)) = entry_of(file, self.whose)? else { return Ok(()) };
        if matches!(entry, Entry::Dir { .. }) {
            let below = format!("{path}/");
            let_read(file, self.whose, || self.below(file, &below))?;
        } else if status.nlink() > 1 {
            let names = self.names.entry((status.dev(), status.ino()));
            names.or_insert((BTreeSet::new(), status.nlink())).0.insert(path.clone());
        }
        let owner = (status.uid(), status.gid());
        let details = Details {
            owner: (owner != (geteuid().as_raw(), getegid().as_raw())).then_some(owner),
            attributes: let_read(file, self.whose, || attributes::read(file))?,
            time: self.time.map(|time| time(&status)),
            holes: if self.time.is_some() { holes } else { Vec::new() },
        };
        self.tree.insert(path.clone(), entry);
        self.tree.describe(&path, details);
        Ok(())
    }

    /// The tree, in which the further names of a file lead to the first.
    fn finish(mut self) -> Tree {
        for (names, _) in self.names.into_values() {
            let Some((first, others)) = names.iter().next().map(|first| (first, names.iter().skip(1))) else {
                continue;
            };
            for other in others {
                self.tree.insert(other.clone(), Entry::HardLink { to: first.clone() });
            }
        }
        self.tree
    }
}

/// When a file was changed last, in nanoseconds since 1970; 0 if that was before 1970.
fn time(status: &Metadata) -> u64 {
    let seconds = u64::try_from(status.mtime()).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(status.mtime_nsec().cast_unsigned())
}

/// Reads what is at a path, whatever its mode.
fn let_read<T>(file: &Path, whose: Whose, mut read: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", file.display()));
    match read() {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied && whose == Whose::Own => {
            let mode = fs::symlink_metadata(file)?.permissions();
            fs::set_permissions(file, Permissions::from_mode(mode.mode() | 0o700)).map_err(named)?;
            let found = read();
            fs::set_permissions(file, mode).map_err(named)?;
            found
        }
        // The error names the innermost path.
        Err(error) if error.get_ref().is_none() => Err(named(error)),
        read => read,
    }
}

/// What is at a path, if anything; of a directory only that it is one.
///
/// # Errors
/// Those of reading.
pub fn entry(file: &Path) -> io::Result<Option<Entry>> {
    Ok(entry_of(file, Whose::Theirs)?.map(|(entry, ..)| entry))
}

/// Ranges of bytes.
type Ranges = Vec<(u64, u64)>;

/// What is at a path, what the file system says of it, and where it has holes.
fn entry_of(file: &Path, whose: Whose) -> io::Result<Option<(Entry, Metadata, Ranges)>> {
    let status = match fs::symlink_metadata(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        status => status?,
    };
    let (kind, mode) = (status.file_type(), status.mode() & 0o7777);
    let mut holes = Vec::new();
    let entry = if kind.is_dir() {
        Entry::Dir { mode }
    } else if kind.is_symlink() {
        Entry::Link { target: name::text(fs::read_link(file)?.into_os_string().into_vec()) }
    } else if kind.is_file() {
        let content = let_read(file, whose, || {
            let mut open = File::open(file)?;
            let mut content = Vec::new();
            open.read_to_end(&mut content)?;
            // Blocks are counted in parts of 512 bytes.
            holes = if status.blocks() * 512 < status.size() { holes_of(&open)? } else { Vec::new() };
            Ok(content)
        })?;
        Entry::File { mode, content }
    } else {
        let kind = match () {
            () if kind.is_fifo() => "fifo",
            () if kind.is_socket() => "socket",
            () => "device",
        };
        Entry::Other { kind: kind.into(), mode }
    };
    Ok(Some((entry, status, holes)))
}

/// Where a file has holes.
fn holes_of(file: &File) -> io::Result<Ranges> {
    let size = file.metadata()?.size();
    let next = |from: u64, whence: Whence| match lseek(file, from.cast_signed(), whence) {
        Ok(at) => Ok(at.cast_unsigned().min(size)),
        // There is none after this position.
        Err(Errno::ENXIO) => Ok(size),
        Err(error) => Err(io::Error::from(error)),
    };
    let (mut holes, mut at) = (Vec::new(), 0);
    while at < size {
        let hole = next(at, Whence::SeekHole)?;
        if hole < size {
            at = next(hole, Whence::SeekData)?;
            holes.push((hole, at));
        } else {
            at = size;
        }
    }
    Ok(holes)
}

/// The paths of everything below a directory of the caller's own, sorted as those of a [`Tree`] are.
///
/// # Errors
/// Those of reading directories and of changing modes.
pub fn paths(dir: &Path) -> io::Result<BTreeSet<String>> {
    let mut paths = BTreeSet::new();
    paths_below(dir, "", &mut paths)?;
    Ok(paths)
}

fn paths_below(dir: &Path, prefix: &str, paths: &mut BTreeSet<String>) -> io::Result<()> {
    for item in fs::read_dir(dir)? {
        let item = item?;
        let path = format!("{prefix}{}", name::text(item.file_name().into_vec()));
        if item.file_type()?.is_dir() {
            let below = format!("{path}/");
            let_read(&item.path(), Whose::Own, || paths_below(&item.path(), &below, paths))?;
        }
        paths.insert(path);
    }
    Ok(())
}
