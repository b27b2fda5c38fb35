//! The directory that processes share: laid out afresh for each execution, and read when it is over.

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use crate::model::{Entry, Tree};

/// Reads a directory, with everything below it. Names that are not UTF-8 are shown with U+FFFD.
///
/// # Errors
/// Those of reading; what disappears meanwhile is left out.
pub fn capture(dir: &Path) -> io::Result<Tree> {
    let mut tree = Tree::new();
    capture_below(dir, "", &mut tree)?;
    Ok(tree)
}

fn capture_below(dir: &Path, prefix: &str, tree: &mut Tree) -> io::Result<()> {
    for item in fs::read_dir(dir)? {
        let item = item?;
        capture_at(&item.path(), format!("{prefix}{}", item.file_name().to_string_lossy()), tree)?;
    }
    Ok(())
}

fn capture_at(file: &Path, path: String, tree: &mut Tree) -> io::Result<()> {
    let Some(entry) = entry(file)? else { return Ok(()) };
    if matches!(entry, Entry::Dir { .. }) {
        capture_below(file, &format!("{path}/"), tree)?;
    }
    tree.insert(path, entry);
    Ok(())
}

/// What is at a path, if anything; of a directory only that it is one.
///
/// # Errors
/// Those of reading.
pub fn entry(file: &Path) -> io::Result<Option<Entry>> {
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
        Entry::File { mode, content: fs::read(file)? }
    } else {
        let kind = match () {
            () if kind.is_fifo() => "fifo",
            () if kind.is_socket() => "socket",
            () => "device",
        };
        Entry::Other { kind: kind.into(), mode }
    }))
}

/// Reads what stands at one path of a directory, with everything below it, into a tree, in place of what that has there.
///
/// # Errors
/// Those of reading.
pub fn capture_again(dir: &Path, path: &str, tree: &mut Tree) -> io::Result<()> {
    let old: Vec<String> = at_and_below(tree, path).map(|(path, _)| path.clone()).collect();
    for path in old {
        tree.remove(&path);
    }
    capture_at(&dir.join(path), path.to_owned(), tree)
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

/// The paths of everything below a directory, sorted as those of a [`Tree`] are.
///
/// # Errors
/// Those of reading directories.
pub fn paths(dir: &Path) -> io::Result<BTreeSet<String>> {
    let mut paths = BTreeSet::new();
    let mut left = vec![(dir.to_owned(), String::new())];
    while let Some((dir, prefix)) = left.pop() {
        for item in fs::read_dir(dir)? {
            let item = item?;
            let path = format!("{prefix}{}", item.file_name().to_string_lossy());
            if item.file_type()?.is_dir() {
                left.push((item.path(), format!("{path}/")));
            }
            paths.insert(path);
        }
    }
    Ok(paths)
}

/// Makes a directory hold this tree and nothing else. Sockets and devices are left out.
///
/// # Errors
/// Those of removing and writing.
pub fn lay(dir: &Path, tree: &Tree) -> io::Result<()> {
    for item in fs::read_dir(dir)? {
        remove(&item?.path())?;
    }
    put(dir, tree.iter())
}

/// Makes a directory hold what this tree has at one path and below it, and nothing else there.
///
/// # Errors
/// Those of removing and writing.
pub fn lay_again(dir: &Path, path: &str, tree: &Tree) -> io::Result<()> {
    remove(&dir.join(path))?;
    put(dir, at_and_below(tree, path))
}

fn put<'a>(
    dir: &Path,
    entries: impl DoubleEndedIterator<Item = (&'a String, &'a Entry)> + Clone,
) -> io::Result<()> {
    for (path, entry) in entries.clone() {
        let file = dir.join(path);
        match entry {
            Entry::Dir { .. } => fs::create_dir(&file)?,
            Entry::Link { target } => symlink(target, &file)?,
            Entry::File { mode, content } => {
                fs::write(&file, content)?;
                fs::set_permissions(&file, Permissions::from_mode(*mode))?;
            }
            Entry::Other { kind, mode } if kind == "fifo" => {
                nix::unistd::mkfifo(&file, nix::sys::stat::Mode::from_bits_truncate(*mode))?;
            }
            Entry::Other { .. } => {}
        }
    }
    // Last, and from the leaves up: a directory may not be writable.
    for (path, entry) in entries.rev() {
        if let Entry::Dir { mode } = entry {
            fs::set_permissions(dir.join(path), Permissions::from_mode(*mode))?;
        }
    }
    Ok(())
}

/// Removes what stands at a path, if anything does, with everything below it.
fn remove(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Ok(status) if status.is_dir() => {
            fs::set_permissions(path, Permissions::from_mode(0o700))?;
            fs::remove_dir_all(path)
        }
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::{capture, capture_again, lay, lay_again};
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
