//! Whether a tree may be laid out: its names are checked before anything is written, for it may come from a stranger's file.

use std::fmt;

use super::{Attribute, Details, Entry, Root, Tree};

/// Entries that a tree may have.
const ENTRIES: usize = 1_000_000;
/// Bytes of a path, and of a link's target.
const PATH: usize = 4_095;
/// Bytes of a name.
const NAME: usize = 255;

/// A tree that is not laid out: an entry, and what is wrong with it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BadTree {
    /// The path of the entry; empty if the tree as a whole is meant.
    pub path: String,
    /// What is wrong, as the rest of a sentence.
    pub problem: String,
}

impl std::error::Error for BadTree {}

impl fmt::Display for BadTree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() {
            return write!(f, "the tree {}", self.problem);
        }
        let shown: String = self.path.chars().take(200).collect();
        write!(f, "the path {shown:?} {}", self.problem)
    }
}

/// Checks that a tree stays within the directory that it is laid out in. Paths are relative, of plain names, each in a directory of the
/// same tree: so no way leads through a link. With [`Root::Overlay`] there may be absolute paths as well, which are laid out on the
/// overlay; they are of plain names too, and what is above them is a directory if the tree has it.
///
/// # Errors
/// The first entry that does not.
pub fn check_tree(tree: &Tree, root: Root) -> Result<(), BadTree> {
    if tree.len() > ENTRIES {
        let problem = format!("has {} entries: at most {ENTRIES} are laid out", tree.len());
        return Err(BadTree { path: String::new(), problem });
    }
    check_details(&Entry::Dir { mode: 0 }, tree.own().1)
        .map_err(|problem| BadTree { path: ".".into(), problem })?;
    for (path, entry) in tree {
        let checked = check_entry(tree, root, path, entry);
        let checked = checked.and_then(|()| check_details(entry, tree.details(path)));
        checked.map_err(|problem| BadTree { path: path.clone(), problem })?;
    }
    Ok(())
}

fn check_entry(tree: &Tree, root: Root, path: &str, entry: &Entry) -> Result<(), String> {
    if path.is_empty() {
        return Err("has an entry without a name".into());
    }
    let (inside, is_absolute) = path.strip_prefix('/').map_or((path, false), |rest| (rest, true));
    if is_absolute && root == Root::Host {
        return Err("is absolute: it would be written outside of the workspace".into());
    }
    check_names(inside)?;
    if path.len() > PATH {
        return Err(format!("is longer than {PATH} bytes"));
    }
    if let Entry::Link { target } = entry
        && (target.is_empty() || target.len() > PATH || target.contains('\0'))
    {
        return Err("is a link to nowhere: its target is empty, too long or has a NUL in it".into());
    }
    if let Entry::HardLink { to } = entry {
        check_link(tree, path, to)?;
    }
    let Some((parent, _)) = path.rsplit_once('/').filter(|(parent, _)| !parent.is_empty()) else {
        return Ok(());
    };
    match tree.get(parent) {
        Some(Entry::Dir { .. }) => Ok(()),
        Some(_) => Err("leads through something that is not a directory".into()),
        // The directories above may be the machine's own, or in the tree further up.
        None if is_absolute => check_above(tree, parent),
        None => Err("is in a directory that is not there".into()),
    }
}

/// That a hard link leads to the first name of a file in the workspace.
fn check_link(tree: &Tree, path: &str, to: &str) -> Result<(), String> {
    let is_file = matches!(tree.get(to), Some(Entry::File { .. } | Entry::Link { .. } | Entry::Other { .. }));
    if !is_file || to >= path || path.starts_with('/') || to.starts_with('/') {
        return Err("is a hard link to no file of the workspace, or to a later name of it".into());
    }
    Ok(())
}

/// That the details of an entry can be laid out: attributes that a user may set, and holes within the file, in order.
fn check_details(entry: &Entry, details: &Details) -> Result<(), String> {
    if let Some(name) = details.attributes.keys().find(|name| !Attribute::counts(name)) {
        return Err(format!("has an attribute {name:?} that is not laid out"));
    }
    let size = if let Entry::File { content, .. } = entry { content.len() as u64 } else { 0 };
    let ends = details.holes.iter().flat_map(|(from, to)| [*from, *to]).chain([size]).collect::<Vec<_>>();
    let are_zeros = |(from, to): &(u64, u64)| match entry {
        Entry::File { content, .. } => (*from..*to).all(|at| content.get(at as usize) == Some(&0)),
        _ => false,
    };
    if !ends.is_sorted() || !details.holes.iter().all(are_zeros) {
        return Err("has a hole where it does not hold zeros".into());
    }
    if matches!(entry, Entry::HardLink { .. }) && details != Details::USUAL {
        return Err("is a hard link, and has an owner or time of its own".into());
    }
    Ok(())
}

/// That the nearest entry above an absolute path, if the tree has any, is a directory.
fn check_above(tree: &Tree, path: &str) -> Result<(), String> {
    let above = path.match_indices('/').rev().map(|(at, _)| &path[..at]);
    match above.filter_map(|above| tree.get(above)).next() {
        None | Some(Entry::Dir { .. }) => Ok(()),
        Some(_) => Err("leads through something that is not a directory".into()),
    }
}

fn check_names(path: &str) -> Result<(), String> {
    for name in path.split('/') {
        match name {
            "" => return Err("has an empty name in it".into()),
            "." | ".." => return Err(format!("has `{name}` in it: it would lead elsewhere")),
            name if name.contains('\0') => return Err("has a NUL in it".into()),
            name if name.len() > NAME => return Err(format!("has a name of more than {NAME} bytes")),
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::check_tree;
    use crate::model::{Attribute, Details, Entry, Root, Tree};

    fn file() -> Entry {
        Entry::File { mode: 0o644, content: Vec::new() }
    }

    fn link() -> Entry {
        Entry::Link { target: "/etc".into() }
    }

    fn dir() -> Entry {
        Entry::Dir { mode: 0o755 }
    }

    fn with(entries: &[(&str, Entry)]) -> Tree {
        entries.iter().map(|(path, entry)| ((*path).to_owned(), entry.clone())).collect()
    }

    #[test]
    fn a_tree_of_plain_names_in_its_own_directories_is_fine() {
        let tree = with(&[
            ("d", dir()),
            ("d/e", dir()),
            ("d/e/f", file()),
            ("..f", file()),
            ("d/h", Entry::HardLink { to: "..f".into() }),
            ("l", link()),
            ("d-e", file()),
        ]);
        assert_eq!(check_tree(&tree, Root::Host), Ok(()));
        let outside = with(&[("/var/x", file()), ("/home/d", dir()), ("/home/d/f", file()), ("f", file())]);
        assert_eq!(check_tree(&outside, Root::Overlay), Ok(()));
        assert_eq!(check_tree(&Tree::new(), Root::Host), Ok(()));
    }

    #[test]
    fn what_cannot_be_so_is_not_said_of_a_file() {
        let plain = || with(&[("d", dir()), ("f", Entry::File { mode: 0o644, content: vec![0, 0, 1] })]);
        let said = |path: &str, details: Details| {
            let mut tree = plain();
            tree.describe(path, details);
            check_tree(&tree, Root::Host)
        };
        let holes = |holes: &[(u64, u64)]| Details { holes: holes.to_vec(), ..Details::default() };
        let named = |name: &str| Details {
            attributes: [(name.to_owned(), Attribute::default())].into(),
            ..Details::default()
        };
        assert_eq!(said("f", holes(&[(0, 1), (1, 2)])), Ok(()));
        assert_eq!(said("f", named("user.x")), Ok(()));
        for wrong in [&[(1, 3)][..], &[(1, 2), (0, 1)], &[(0, u64::MAX)], &[(2, 1)]] {
            assert!(said("f", holes(wrong)).is_err(), "{wrong:?}");
        }
        assert!(said("d", holes(&[(0, 1)])).is_err());
        for wrong in ["security.capability", "trusted.overlay.opaque", "user.a\0b"] {
            assert!(said("f", named(wrong)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_path_that_leads_elsewhere_is_refused() {
        let long = "x".repeat(256);
        let deep = (1..2_100).map(|n| vec!["d"; n].join("/"));
        let cases = [
            vec![("..", file())],
            vec![("../x", file())],
            vec![("../../../etc/x", file())],
            vec![("d", dir()), ("d/..", dir())],
            vec![("d", dir()), ("d/../x", file())],
            vec![("d", dir()), ("d//x", file())],
            vec![("d", dir()), ("d/", file())],
            vec![("d", dir()), ("d/./x", file())],
            vec![(".", dir())],
            vec![("", file())],
            vec![("/", dir())],
            vec![("/etc/x", file())],
            vec![("a\0b", file())],
            vec![("d/x", file())],
            vec![("l", link()), ("l/x", file())],
            vec![("f", file()), ("f/x", file())],
            vec![("d", dir()), ("d/l", link()), ("d/l/x", file())],
            vec![(long.as_str(), file())],
            vec![("l", Entry::Link { target: "a\0b".into() })],
            vec![("l", Entry::Link { target: String::new() })],
            vec![("h", Entry::HardLink { to: "f".into() })],
            vec![("f", file()), ("e", Entry::HardLink { to: "f".into() })],
            vec![("f", file()), ("f", Entry::HardLink { to: "f".into() })],
            vec![("d", dir()), ("h", Entry::HardLink { to: "d".into() })],
            vec![("h", Entry::HardLink { to: "/etc/passwd".into() })],
            vec![("h", Entry::HardLink { to: "../f".into() })],
            vec![
                ("f", file()),
                ("g", Entry::HardLink { to: "f".into() }),
                ("h", Entry::HardLink { to: "g".into() }),
            ],
        ];
        for case in cases {
            let bad = check_tree(&with(&case), Root::Host);
            assert!(bad.is_err(), "{case:?}");
        }
        let deep: Tree = deep.map(|path| (path, dir())).collect();
        assert!(check_tree(&deep, Root::Host).unwrap_err().to_string().contains("longer than"));
        for path in ["/", "//etc", "/../etc", "/etc/..", "/etc/./x", "/etc//x", "/a\0"] {
            assert!(check_tree(&with(&[(path, file())]), Root::Overlay).is_err(), "{path}");
        }
        let outside = with(&[("/home/f", file()), ("/home/h", Entry::HardLink { to: "/home/f".into() })]);
        assert!(check_tree(&outside, Root::Overlay).is_err());
        let through = with(&[("/home/l", link()), ("/home/l/x/y", file())]);
        assert!(check_tree(&through, Root::Overlay).is_err());
        let shown = check_tree(&with(&[("../\x1b[2J", file())]), Root::Host).unwrap_err().to_string();
        assert_eq!(shown, "the path \"../\\u{1b}[2J\" has `..` in it: it would lead elsewhere");
    }
}
