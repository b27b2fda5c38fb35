//! The directory that processes share: laid out afresh for each execution, and read when it is over.

mod lay;

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::Path;

pub use self::lay::{lay, lay_again};
use crate::model::{Entry, Tree};

/// Whose a directory is that is read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Whose {
    /// Somebody's: nothing in it is changed.
    Theirs,
    /// Made by the caller: what its mode keeps the caller from reading is readable for that moment.
    Own,
}

/// Reads a directory, with everything below it. Names that are not UTF-8 are shown with U+FFFD.
///
/// # Errors
/// Those of reading; what disappears meanwhile is left out.
pub fn capture(dir: &Path) -> io::Result<Tree> {
    let mut tree = Tree::new();
    capture_below(dir, "", Whose::Theirs, &mut tree)?;
    Ok(tree)
}

/// The same of a directory of the caller's own, in which others may have made what they let nobody read.
///
/// # Errors
/// Those of reading and of changing modes.
pub fn capture_own(dir: &Path) -> io::Result<Tree> {
    let mut tree = Tree::new();
    capture_below(dir, "", Whose::Own, &mut tree)?;
    Ok(tree)
}

fn capture_below(dir: &Path, prefix: &str, whose: Whose, tree: &mut Tree) -> io::Result<()> {
    for item in fs::read_dir(dir)? {
        let item = item?;
        let path = format!("{prefix}{}", item.file_name().to_string_lossy());
        capture_at(&item.path(), path, whose, tree)?;
    }
    Ok(())
}

fn capture_at(file: &Path, path: String, whose: Whose, tree: &mut Tree) -> io::Result<()> {
    let Some(entry) = entry_of(file, whose)? else { return Ok(()) };
    if matches!(entry, Entry::Dir { .. }) {
        let below = format!("{path}/");
        let_read(file, whose, || capture_below(file, &below, whose, tree))?;
    }
    tree.insert(path, entry);
    Ok(())
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
        // Told of with the innermost path.
        Err(error) if error.get_ref().is_none() => Err(named(error)),
        read => read,
    }
}

/// What is at a path, if anything; of a directory only that it is one.
///
/// # Errors
/// Those of reading.
pub fn entry(file: &Path) -> io::Result<Option<Entry>> {
    entry_of(file, Whose::Theirs)
}

fn entry_of(file: &Path, whose: Whose) -> io::Result<Option<Entry>> {
    let status = match fs::symlink_metadata(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        status => status?,
    };
    let (kind, mode) = (status.file_type(), status.mode() & 0o7777);
    Ok(Some(if kind.is_dir() {
        Entry::Dir { mode }
    } else if kind.is_symlink() {
        Entry::Link { target: fs::read_link(file)?.to_string_lossy().into_owned() }
    } else if kind.is_file() {
        Entry::File { mode, content: let_read(file, whose, || fs::read(file))? }
    } else {
        let kind = match () {
            () if kind.is_fifo() => "fifo",
            () if kind.is_socket() => "socket",
            () => "device",
        };
        Entry::Other { kind: kind.into(), mode }
    }))
}

/// Reads what stands at one path of a directory of the caller's own, with everything below it, into a tree, in place of what that has
/// there.
///
/// # Errors
/// Those of reading and of changing modes.
pub fn capture_again(dir: &Path, path: &str, tree: &mut Tree) -> io::Result<()> {
    let old: Vec<String> = at_and_below(tree, path).map(|(path, _)| path.clone()).collect();
    for path in old {
        tree.remove(&path);
    }
    capture_at(&dir.join(path), path.to_owned(), Whose::Own, tree)
}

/// What a tree has at a path and below it, in order.
fn at_and_below<'a>(
    tree: &'a Tree,
    path: &str,
) -> impl DoubleEndedIterator<Item = (&'a String, &'a Entry)> + Clone + use<'a> {
    // The character behind '/' is '0'.
    let below = tree.range(format!("{path}/")..format!("{path}0"));
    tree.get_key_value(path).into_iter().chain(below)
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
        let path = format!("{prefix}{}", item.file_name().to_string_lossy());
        if item.file_type()?.is_dir() {
            let below = format!("{path}/");
            let_read(&item.path(), Whose::Own, || paths_below(&item.path(), &below, paths))?;
        }
        paths.insert(path);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{capture, capture_again, capture_own, lay, lay_again, paths};
    use crate::model::{Entry, Tree};

    #[test]
    fn what_is_laid_out_is_what_is_read() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("old/deep")).unwrap();
        let tree = Tree::from([
            ("a.json".into(), Entry::File { mode: 0o640, content: b"{}".to_vec() }),
            ("d".into(), Entry::Dir { mode: 0o555 }),
            ("d/b".into(), Entry::File { mode: 0o755, content: vec![0, 255] }),
            ("link".into(), Entry::Link { target: "d/b".into() }),
            ("pipe".into(), Entry::Other { kind: "fifo".into(), mode: 0o600 }),
        ]);
        for _ in 0..2 {
            lay(dir.path(), &tree).unwrap();
            assert_eq!(capture(dir.path()).unwrap(), tree);
        }
    }

    /// As root there is nothing that cannot be read: then this holds of itself.
    #[test]
    fn what_nobody_may_read_is_read_and_removed_and_stays_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let closed = |content: &str| Entry::File { mode: 0, content: content.into() };
        let tree = Tree::from([
            ("d".into(), Entry::Dir { mode: 0o500 }),
            ("d/e".into(), Entry::Dir { mode: 0 }),
            ("d/e/f".into(), closed("deep")),
            ("g".into(), closed("here")),
        ]);
        for _ in 0..2 {
            lay(dir.path(), &tree).unwrap();
            assert_eq!(capture_own(dir.path()).unwrap(), tree);
            assert_eq!(paths(dir.path()).unwrap(), tree.keys().cloned().collect());
        }
        lay(dir.path(), &Tree::new()).unwrap();
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let dir = tempfile::tempdir().unwrap();
        lay(dir.path(), &Tree::from([("g".into(), Entry::File { mode: 0, content: Vec::new() })])).unwrap();
        let read = capture(dir.path());
        if std::fs::read(dir.path().join("g")).is_err() {
            let error = read.unwrap_err().to_string();
            assert!(error.starts_with(dir.path().join("g").to_str().unwrap()), "{error}");
        } else {
            assert_eq!(read.unwrap().len(), 1);
        }
    }

    #[test]
    fn one_path_is_laid_out_and_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let file = |text: &str| Entry::File { mode: 0o644, content: text.into() };
        let tree = Tree::from([
            ("d".into(), Entry::Dir { mode: 0o755 }),
            ("d-e".into(), file("beside")),
            ("d/f".into(), file("within")),
            ("g".into(), file("")),
        ]);
        lay(dir.path(), &tree).unwrap();
        std::fs::remove_dir_all(dir.path().join("d")).unwrap();
        std::fs::write(dir.path().join("d"), "a file").unwrap();
        let mut read = tree.clone();
        capture_again(dir.path(), "d", &mut read).unwrap();
        assert_eq!(read, capture(dir.path()).unwrap());
        assert_eq!(read.len(), 3);
        lay_again(dir.path(), "d", &tree).unwrap();
        assert_eq!(capture(dir.path()).unwrap(), tree);
    }
}
