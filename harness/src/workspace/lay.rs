//! Laying out a tree. Every name is made below the directory that it is laid out in, whatever the tree says and whatever processes left
//! there: a directory is opened without leaving that one and without following links, and an entry is only ever made anew.

use std::fs::{self, File, Permissions};
use std::io::{self, Write as _};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use nix::fcntl::{OFlag, OpenHow, ResolveFlag, open, openat, openat2};
use nix::sys::stat::{FchmodatFlags, Mode, fchmod, fchmodat, mkdirat};
use nix::unistd::{mkfifoat, symlinkat};

use super::at_and_below;
use crate::model::{Entry, Tree};

/// Bits of a mode that permissions are in.
const PERMISSIONS: u32 = 0o7777;

/// Makes a directory hold this tree and nothing else. Sockets and devices are left out.
///
/// # Errors
/// Those of removing and writing; of a tree in which a path would lead out of the directory, or through a link.
pub fn lay(dir: &Path, tree: &Tree) -> io::Result<()> {
    for item in fs::read_dir(dir)? {
        remove(&item?.path())?;
    }
    put(dir, tree.iter())
}

/// Makes a directory hold what this tree has at one path and below it, and nothing else there.
///
/// # Errors
/// As [`lay`].
pub fn lay_again(dir: &Path, path: &str, tree: &Tree) -> io::Result<()> {
    match path.rsplit_once('/') {
        None => remove(&dir.join(path))?,
        Some((parent, name)) => {
            let top = top(dir)?;
            let parent = below(top.as_fd(), parent)?;
            remove(&PathBuf::from(format!("/proc/self/fd/{}", parent.as_raw_fd())).join(name))?;
        }
    }
    put(dir, at_and_below(tree, path))
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
    Ok(openat2(top, path, how)?)
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

fn put<'a>(
    dir: &Path,
    entries: impl DoubleEndedIterator<Item = (&'a String, &'a Entry)> + Clone,
) -> io::Result<()> {
    let named = |path: &str, error: io::Error| {
        io::Error::new(error.kind(), format!("{path:?} cannot be laid out: {error}"))
    };
    let mut parents = Parents { top: top(dir)?, last: None };
    for (path, entry) in entries.clone() {
        let made = parents.of(path).and_then(|(parent, name)| make(parent, name, entry));
        made.map_err(|error| named(path, error))?;
    }
    // Last, and from the leaves up: a directory may not be writable.
    for (path, entry) in entries.rev() {
        if let Entry::Dir { mode } = entry {
            let (parent, name) = parents.of(path)?;
            // It was made just now, by this call: it is no link.
            fchmodat(parent, name, permissions(*mode), FchmodatFlags::FollowSymlink)?;
        }
    }
    Ok(())
}

fn permissions(mode: u32) -> Mode {
    Mode::from_bits_truncate(mode & PERMISSIONS)
}

/// Makes an entry that is not there.
fn make(parent: BorrowedFd<'_>, name: &str, entry: &Entry) -> io::Result<()> {
    match entry {
        // `..` would be there already, but so is every name that is made twice.
        _ if matches!(name, "" | "." | "..") => return Err(io::ErrorKind::InvalidFilename.into()),
        Entry::Dir { .. } => mkdirat(parent, name, Mode::from_bits_truncate(0o777))?,
        Entry::Link { target } => symlinkat(target.as_str(), parent, name)?,
        Entry::File { mode, content } => {
            let flags =
                OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
            let mut file = File::from(openat(parent, name, flags, Mode::from_bits_truncate(0o600))?);
            file.write_all(content)?;
            fchmod(&file, permissions(*mode))?;
        }
        Entry::Other { kind, mode } if kind == "fifo" => mkfifoat(parent, name, permissions(*mode))?,
        Entry::Other { .. } => {}
    }
    Ok(())
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
        assert!(lay_again(&inside, "d/f", &tree).is_err());
        assert_eq!(std::fs::read(outside.join("f")).unwrap(), b"untouched");
        lay_again(&inside, "d", &tree).unwrap();
        assert_eq!(std::fs::read(inside.join("d/f")).unwrap(), b"written");
    }
}
