//! Laying out a tree. Every name is made below the directory that it is laid out in, whatever the tree says and whatever processes left
//! there: a directory is opened without leaving that one and without following links, and an entry is only ever made anew.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use nix::fcntl::{AtFlags, OFlag, OpenHow, ResolveFlag, open, openat, openat2};
use nix::sys::stat::{FchmodatFlags, Mode, UtimensatFlags, fchmod, fchmodat, mkdirat, utimensat};
use nix::sys::time::TimeSpec;
use nix::unistd::{Gid, Uid, fchownat, getegid, geteuid, linkat, mkfifoat, symlinkat};

use super::{USUAL, at_and_below, attributes};
use crate::model::{Details, Entry, Tree, name};

/// Bits of a mode that permissions are in.
const PERMISSIONS: u32 = 0o7777;

/// The paths of what is not as the tree has it: an ordinary user cannot give files away, and sockets and devices are not made.
pub type Lacking = BTreeSet<String>;

/// A path of a tree as the system takes it.
pub fn native(path: &str) -> Cow<'_, Path> {
    match name::bytes(path) {
        Cow::Borrowed(bytes) => Cow::Borrowed(Path::new(OsStr::from_bytes(bytes))),
        Cow::Owned(bytes) => Cow::Owned(PathBuf::from(OsStr::from_bytes(&bytes))),
    }
}

/// Makes a directory hold this tree and nothing else, and gives the directory itself the owner, mode and attributes that the tree has for
/// it. The times of the tree are not set.
///
/// # Errors
/// Those of removing and writing; of a tree in which a path would lead out of the directory, or through a link.
pub fn lay(dir: &Path, tree: &Tree) -> io::Result<Lacking> {
    for item in fs::read_dir(dir)? {
        remove(&item?.path())?;
    }
    let lacking = put(dir, tree, tree.iter())?;
    let (mode, details) = tree.own();
    let mode = mode.unwrap_or(USUAL);
    let status = fs::metadata(dir)?;
    let own = (geteuid().as_raw(), getegid().as_raw());
    let owner = details.owner.unwrap_or(own);
    if (status.uid(), status.gid()) != owner {
        // If this fails, the user is an ordinary one, and nobody can have changed the owner.
        let _ = chown(dir, Some(owner.0), Some(owner.1));
    }
    attributes::replace(&dir.join("."), &details.attributes)?;
    if fs::metadata(dir)?.mode() & PERMISSIONS != mode {
        fs::set_permissions(dir, Permissions::from_mode(mode))?;
    }
    Ok(lacking)
}

/// Makes a directory hold what this tree has at some paths and below them, and nothing else there. If a file has several names, either all
/// of them are among these, or none is.
///
/// # Errors
/// As [`lay`].
pub fn lay_again(dir: &Path, paths: &[String], tree: &Tree) -> io::Result<Lacking> {
    for path in paths {
        match path.rsplit_once('/') {
            None => remove(&dir.join(native(path)))?,
            Some((parent, name)) => {
                let top = top(dir)?;
                let parent = below(top.as_fd(), parent)?;
                remove(&by_descriptor(&parent).join(native(name)))?;
            }
        }
    }
    put(dir, tree, paths.iter().flat_map(|path| at_and_below(tree, path)).collect::<Vec<_>>().into_iter())
}

/// Gives files that were laid out the ages that they have in the tree at the time `present`, in nanoseconds since 1970. What the tree gives
/// no time has that of the `beginning`. Links keep their times.
///
/// # Errors
/// Those of setting times.
pub fn date(dir: &Path, tree: &Tree, present: u64, beginning: u64) -> io::Result<()> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let mut parents = Parents { top: top(dir)?, last: None };
    for (path, entry) in tree.iter().rev() {
        if matches!(entry, Entry::File { .. } | Entry::Dir { .. }) {
            let age =
                Duration::from_nanos(present.saturating_sub(tree.details(path).time.unwrap_or(beginning)));
            let time = TimeSpec::from_duration(now.saturating_sub(age));
            let (parent, name) = parents.of(path)?;
            utimensat(parent, &*native(name), &time, &time, UtimensatFlags::NoFollowSymlink)?;
        }
    }
    Ok(())
}

/// A path that leads to an open directory.
fn by_descriptor(directory: &impl AsRawFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", directory.as_raw_fd()))
}

/// The directory that all is made below.
fn top(dir: &Path) -> io::Result<OwnedFd> {
    Ok(open(dir, OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())?)
}

/// A directory below it.
fn below(top: BorrowedFd<'_>, path: &str) -> io::Result<OwnedFd> {
    let how = OpenHow::new()
        .flags(OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC)
        .resolve(ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS);
    Ok(openat2(top, &*native(path), how)?)
}

/// Directories below the top, of which the last is kept open: entries of one come one after another.
struct Parents<'a> {
    top: OwnedFd,
    last: Option<(&'a str, OwnedFd)>,
}

impl<'a> Parents<'a> {
    /// The directory that a path is in, and its name there.
    fn of(&mut self, path: &'a str) -> io::Result<(BorrowedFd<'_>, &'a str)> {
        let Some((parent, name)) = path.rsplit_once('/') else { return Ok((self.top.as_fd(), path)) };
        if self.last.as_ref().is_none_or(|(last, _)| *last != parent) {
            self.last = Some((parent, below(self.top.as_fd(), parent)?));
        }
        let directory = self.last.as_ref().map_or(self.top.as_fd(), |(_, directory)| directory.as_fd());
        Ok((directory, name))
    }
}

/// Whether the file at this path is not laid out, since it is a socket or a device.
fn is_not_made(tree: &Tree, path: &str) -> bool {
    matches!(tree.get(tree.first_name(path)), Some(Entry::Other { kind, .. }) if kind != "fifo")
}

fn put<'a>(
    dir: &Path,
    tree: &Tree,
    entries: impl DoubleEndedIterator<Item = (&'a String, &'a Entry)> + Clone,
) -> io::Result<Lacking> {
    let named = |path: &str, error: io::Error| {
        io::Error::new(error.kind(), format!("{path:?} cannot be laid out: {error}"))
    };
    let mut parents = Parents { top: top(dir)?, last: None };
    for (path, entry) in entries.clone() {
        let holes = &tree.details(path).holes;
        let made = parents.of(path).and_then(|(parent, name)| make(parent, name, entry, holes));
        made.map_err(|error| named(path, error))?;
    }
    for (path, entry) in entries.clone() {
        let Entry::HardLink { to } = entry else { continue };
        let (parent, name) = parents.of(path)?;
        if is_not_made(tree, to) {
            continue;
        }
        // Apart from `parents`, which keeps its own last directory open.
        let mut theirs = Parents { top: top(dir)?, last: None };
        let made = theirs.of(to).and_then(|(other, first)| {
            Ok(linkat(other, &*native(first), parent, &*native(name), AtFlags::empty())?)
        });
        made.map_err(|error| named(path, error))?;
    }
    let mut lacking = Lacking::new();
    // Last, and from the leaves up: a directory may not be writable.
    for (path, entry) in entries.rev() {
        let (parent, name) = parents.of(path)?;
        let details = tree.details(path);
        if is_not_made(tree, path) {
            lacking.insert(path.clone());
            continue;
        }
        if (details.owner.is_some() || !details.attributes.is_empty())
            && give(parent, name, entry, details).is_err()
        {
            lacking.insert(path.clone());
        }
        if let Entry::Dir { mode } = entry {
            // It was made just now, by this call: it is no link.
            fchmodat(parent, &*native(name), permissions(*mode), FchmodatFlags::FollowSymlink)?;
        }
    }
    Ok(lacking)
}

/// Gives what was made just now its owner and attributes.
fn give(parent: BorrowedFd<'_>, name: &str, entry: &Entry, details: &Details) -> io::Result<()> {
    let name = &*native(name);
    let is_link = matches!(entry, Entry::Link { .. });
    let let_be = |mode| match is_link {
        true => Ok(()),
        false => fchmodat(parent, name, mode, FchmodatFlags::FollowSymlink),
    };
    // A user who may not write a file may not set its attributes; and a change of owner clears bits of the mode.
    let mode = match entry {
        Entry::File { mode, .. } | Entry::Dir { mode } | Entry::Other { mode, .. } => permissions(*mode),
        Entry::Link { .. } | Entry::HardLink { .. } => Mode::empty(),
    };
    let_be(Mode::S_IRWXU)?;
    let mut given = attributes::write(&by_descriptor(&parent).join(name), &details.attributes);
    if let Some((user, group)) = details.owner {
        let (user, group) = (Some(Uid::from_raw(user)), Some(Gid::from_raw(group)));
        let owned = fchownat(parent, name, user, group, AtFlags::AT_SYMLINK_NOFOLLOW);
        given = given.and(owned.map_err(io::Error::from));
    }
    let_be(mode)?;
    given
}

fn permissions(mode: u32) -> Mode {
    Mode::from_bits_truncate(mode & PERMISSIONS)
}

/// Makes an entry that is not there; of a file with these holes. Hard links are made when what they lead to is there.
fn make(parent: BorrowedFd<'_>, name: &str, entry: &Entry, holes: &[(u64, u64)]) -> io::Result<()> {
    // `..` would be there already, but so is every name that is made twice.
    if matches!(name, "" | "." | "..") {
        return Err(io::ErrorKind::InvalidFilename.into());
    }
    let name = &*native(name);
    match entry {
        Entry::Dir { .. } => mkdirat(parent, name, Mode::from_bits_truncate(0o777))?,
        Entry::Link { target } => symlinkat(&*native(target), parent, name)?,
        Entry::File { mode, content } => {
            let flags =
                OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
            let file = File::from(openat(parent, name, flags, Mode::from_bits_truncate(0o600))?);
            write(&file, content, holes)?;
            fchmod(&file, permissions(*mode))?;
        }
        Entry::Other { kind, mode } if kind == "fifo" => mkfifoat(parent, name, permissions(*mode))?,
        Entry::Other { .. } | Entry::HardLink { .. } => {}
    }
    Ok(())
}

/// Writes the content of an empty file, except for its holes.
pub fn write(file: &File, content: &[u8], holes: &[(u64, u64)]) -> io::Result<()> {
    let size = content.len() as u64;
    let mut at = 0;
    for (hole, end) in holes.iter().copied().chain([(size, size)]) {
        let (from, to) = (at.min(size), hole.clamp(at.min(size), size));
        // On a machine of 64 bits, a position in memory fits into `usize`.
        file.write_all_at(&content[from as usize..to as usize], from)?;
        at = at.max(end);
    }
    file.set_len(size)
}

/// Removes what stands at a path, if anything does, with everything below it.
fn remove(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Ok(status) if status.is_dir() => {
            fs::set_permissions(path, Permissions::from_mode(0o700))?;
            match fs::remove_dir_all(path) {
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                    open_up(path)?;
                    fs::remove_dir_all(path)
                }
                removed => removed,
            }
        }
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    }
}

/// Lets everything below a directory be removed.
fn open_up(dir: &Path) -> io::Result<()> {
    fs::set_permissions(dir, Permissions::from_mode(0o700))?;
    for item in fs::read_dir(dir)? {
        let item = item?;
        if item.file_type()?.is_dir() {
            open_up(&item.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::{Path, PathBuf};

    use tempfile::TempDir;

    use super::{lay, lay_again};
    use crate::model::{Entry, Tree};

    fn names(dir: &Path) -> BTreeSet<String> {
        std::fs::read_dir(dir)
            .unwrap()
            .map(|e| e.unwrap().file_name().to_string_lossy().into_owned())
            .collect()
    }

    /// Two directories beside each other, and the one that they are in.
    fn inside_and_outside() -> (TempDir, PathBuf, PathBuf) {
        let place = tempfile::tempdir().unwrap();
        let [inside, outside] = ["inside", "outside"].map(|name| place.path().join(name));
        for directory in [&inside, &outside] {
            std::fs::create_dir(directory).unwrap();
        }
        (place, inside, outside)
    }

    /// Each of these would write beside the directory, or through a link out of it.
    #[test]
    fn a_tree_is_never_laid_out_beside_its_directory() {
        let (place, inside, outside) = inside_and_outside();
        std::fs::write(outside.join("sentinel"), "untouched").unwrap();
        let file = || Entry::File { mode: 0o644, content: b"written".to_vec() };
        let dir = || Entry::Dir { mode: 0o777 };
        let link = |target: &Path| Entry::Link { target: target.to_str().unwrap().into() };
        let absolute = outside.join("x").to_str().unwrap().to_owned();
        let attempts: Vec<Vec<(String, Entry)>> = vec![
            vec![("../outside/x".into(), file())],
            vec![("../outside/d".into(), dir())],
            vec![("../outside/l".into(), link(&outside))],
            vec![("../outside/p".into(), Entry::Other { kind: "fifo".into(), mode: 0o600 })],
            vec![("d".into(), dir()), ("d/../../outside/x".into(), file())],
            vec![(absolute, file())],
            vec![("..".into(), dir())],
            vec![("l".into(), link(&outside)), ("l/x".into(), file())],
            vec![("l".into(), link(Path::new("../outside"))), ("l/sentinel".into(), file())],
            vec![("l".into(), link(&outside)), ("l/d".into(), dir())],
        ];
        for attempt in attempts {
            let tree: Tree = attempt.iter().cloned().collect();
            assert!(lay(&inside, &tree).is_err(), "{attempt:?}");
            assert_eq!(names(&outside), BTreeSet::from(["sentinel".to_owned()]), "{attempt:?}");
            assert_eq!(names(place.path()).len(), 2, "{attempt:?}");
            assert_eq!(std::fs::read(outside.join("sentinel")).unwrap(), b"untouched", "{attempt:?}");
        }
    }

    /// A process put a link where a directory was.
    #[test]
    fn what_is_laid_out_again_is_not_reached_through_a_link() {
        let (_place, inside, outside) = inside_and_outside();
        std::fs::write(outside.join("f"), "untouched").unwrap();
        let file = Entry::File { mode: 0o644, content: b"written".to_vec() };
        let tree = Tree::from([("d".into(), Entry::Dir { mode: 0o755 }), ("d/f".into(), file)]);
        lay(&inside, &tree).unwrap();
        std::fs::remove_dir_all(inside.join("d")).unwrap();
        std::os::unix::fs::symlink(&outside, inside.join("d")).unwrap();
        assert!(lay_again(&inside, &["d/f".into()], &tree).is_err());
        assert_eq!(std::fs::read(outside.join("f")).unwrap(), b"untouched");
        lay_again(&inside, &["d".into()], &tree).unwrap();
        assert_eq!(std::fs::read(inside.join("d/f")).unwrap(), b"written");
    }
}
