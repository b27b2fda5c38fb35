//! The directory that processes share: laid out afresh for each execution, and read when it is over.

mod attributes;
mod lay;
mod read;

pub use self::attributes::{read as attributes, replace as set_attributes};
pub use self::lay::{date, lay, lay_again, native, write};
pub use self::read::{capture, capture_again, capture_beginning, capture_own, entry, paths};
use crate::model::{Entry, Tree};

/// The mode of a directory that is laid out, if nothing is said of it.
const USUAL: u32 = 0o755;

/// What a tree has at a path and below it, in order.
fn at_and_below<'a>(
    tree: &'a Tree,
    path: &str,
) -> impl DoubleEndedIterator<Item = (&'a String, &'a Entry)> + Clone + use<'a> {
    // The character behind '/' is '0'.
    let below = tree.range(format!("{path}/")..format!("{path}0"));
    tree.get_key_value(path).into_iter().chain(below)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{capture, capture_again, capture_own, date, lay, lay_again, paths};
    use crate::model::{Attribute, Details, Entry, Tree};

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
            assert_eq!(capture_own(dir.path()).unwrap(), tree);
        }
    }

    #[test]
    fn hard_links_owners_attributes_holes_and_names_that_are_no_text_are_laid_out_and_read() {
        let dir = tempfile::tempdir_in("/dev/shm").unwrap();
        let mut sparse = vec![0; 1 << 20];
        sparse[1 << 19] = 1;
        let to = |path: &str| Entry::HardLink { to: path.into() };
        let wild = crate::model::name::text(b"n\xff/\xfe".to_vec());
        let mut tree = Tree::from([
            ("b".into(), Entry::Dir { mode: 0o555 }),
            ("b/last".into(), to("a")),
            ("a".into(), Entry::File { mode: 0o444, content: b"shared".to_vec() }),
            ("c".into(), to("a")),
            ("e".into(), Entry::Link { target: wild.clone() }),
            ("f".into(), to("e")),
            ("n\u{10f7ff}".into(), Entry::Dir { mode: 0o755 }),
            (wild, Entry::File { mode: 0o644, content: Vec::new() }),
            ("p".into(), Entry::Other { kind: "fifo".into(), mode: 0o600 }),
            ("q".into(), to("p")),
            ("sparse".into(), Entry::File { mode: 0o644, content: sparse.clone() }),
            ("full".into(), Entry::File { mode: 0o4711, content: sparse }),
        ]);
        let attributes = [("user.note".to_owned(), Attribute(vec![0, 255]))].into();
        tree.describe("a", Details { attributes, ..Details::default() });
        let hole = |from: u64, to: u64| (from << 12, to << 12);
        tree.describe("sparse", Details { holes: vec![hole(0, 128), hole(129, 256)], ..Details::default() });
        if nix::unistd::geteuid().is_root() {
            tree.describe("full", Details { owner: Some((1, 2)), ..Details::default() });
            tree.describe("e", Details { owner: Some((3, 0)), ..Details::default() });
        }
        for _ in 0..2 {
            assert_eq!(lay(dir.path(), &tree).unwrap(), BTreeSet::new());
            let mut read = capture(dir.path()).unwrap();
            let times: Vec<_> = tree.keys().map(|path| read.details(path).time).collect();
            assert!(
                times
                    .iter()
                    .zip(tree.values())
                    .all(|(time, entry)| { time.is_some() != matches!(entry, Entry::HardLink { .. }) })
            );
            for path in tree.keys() {
                read.describe(path, Details { time: None, ..read.details(path).clone() });
            }
            read.begin(None, Details::default(), 0);
            assert_eq!(read, tree);
            assert_eq!(capture_own(dir.path()).unwrap(), tree.clone().timeless());
        }
        assert_eq!(paths(dir.path()).unwrap(), tree.keys().cloned().collect());
    }

    #[test]
    fn times_are_read_and_given() {
        let dir = tempfile::tempdir().unwrap();
        let file = || Entry::File { mode: 0o644, content: Vec::new() };
        let mut tree = Tree::from([("new".into(), file()), ("old".into(), file()), ("now".into(), file())]);
        let second = 1_000_000_000;
        let at = |time: u64| Details { time: Some(time * second), ..Details::default() };
        tree.describe("new", at(990));
        tree.describe("old", at(400));
        lay(dir.path(), &tree).unwrap();
        date(dir.path(), &tree, 1_000 * second, 1_000 * second).unwrap();
        let read = capture(dir.path()).unwrap();
        let age = |path: &str| read.details("now").time.unwrap() - read.details(path).time.unwrap();
        assert_eq!((age("new"), age("old")), (10 * second, 600 * second));
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
        assert_eq!(capture_again(dir.path(), &["d"].into(), &mut read).unwrap(), Vec::<u64>::new());
        assert_eq!(read, capture_own(dir.path()).unwrap());
        assert_eq!(read.len(), 3);
        lay_again(dir.path(), &["d".into()], &tree).unwrap();
        assert_eq!(capture_own(dir.path()).unwrap(), tree);
    }
}
