//! What a directory holds.

mod json;

use std::collections::{BTreeMap, btree_map};
use std::ops::Deref;

use serde::{Deserialize, Serialize};

use super::text_of_bytes;

/// One thing in a tree.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "type")]
pub enum Entry {
    /// A regular file.
    File {
        /// Permission bits.
        mode: u32,
        /// Its bytes: text where they are UTF-8, else hexadecimal after `hex:`.
        #[serde(with = "text_of_bytes")]
        content: Vec<u8>,
    },
    /// A directory.
    Dir {
        /// Permission bits.
        mode: u32,
    },
    /// A symbolic link.
    Link {
        /// Where it leads.
        target: String,
    },
    /// A FIFO, socket or device, by its kind.
    Other {
        /// `fifo`, `socket`, `device`.
        kind: String,
        /// Permission bits.
        mode: u32,
    },
    /// A further name of what is at another path of the tree, the first one that leads to it: a hard link.
    HardLink {
        /// That path.
        to: String,
    },
}

/// What else there is to say of an entry. What is usual is not said.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
pub struct Details {
    /// User and group; `None` for those of the one who lays it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<(u32, u32)>,
    /// Extended attributes by their names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, Attribute>,
    /// When it was changed last, in nanoseconds since 1970; `None` for when an execution begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<u64>,
    /// Where a file has holes: ranges of zeros that take no place.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub holes: Vec<(u64, u64)>,
}

/// The value of an extended attribute.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Attribute(#[serde(with = "text_of_bytes")] pub Vec<u8>);

impl Attribute {
    /// Whether an attribute of this name is part of a tree: those that a user may give a file, and its access lists. Others are the system's own.
    #[must_use]
    pub fn counts(name: &str) -> bool {
        (name.starts_with("user.") || name.starts_with("system.posix_acl_")) && !name.contains('\0')
    }
}

impl Details {
    /// As they are if nothing is said.
    pub const USUAL: &'static Self =
        &Self { owner: None, attributes: BTreeMap::new(), time: None, holes: Vec::new() };

    /// What is said of an owner and of attributes, as the end of a phrase.
    #[must_use]
    pub fn in_words(&self) -> String {
        let owner = self.owner.map(|(user, group)| format!(" of user {user}, group {group}"));
        let value = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let each = self.attributes.iter().map(|(name, of)| format!(" with {name} {:?}", value(&of.0)));
        owner.into_iter().chain(each).collect()
    }
}

/// What a directory holds, by path relative to it, sorted; parents come before what is in them. What is watched outside of the
/// workspace has its absolute path. Names that are not UTF-8 are written as [`name`](super::name) does.
///
/// In JSON it is an object of entries by path, each with its details; `.` has what is said of the directory itself.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Tree {
    entries: BTreeMap<String, Entry>,
    /// Of the entries of which there is something to say.
    details: BTreeMap<String, Details>,
    itself: Itself,
}

/// What is said of the directory itself.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
struct Itself {
    /// Permission bits; `None` for the usual ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mode: Option<u32>,
    #[serde(flatten)]
    details: Details,
    /// How long the preparation took, in nanoseconds of virtual time: the clocks of an execution begin there.
    #[serde(default, skip_serializing_if = "is_zero")]
    clock: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// A day in nanoseconds.
const DAY: u64 = 86_400_000_000_000;
/// The path of the directory itself.
const ITSELF: &str = ".";

impl Tree {
    /// Nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts an entry at a path, of which nothing else is said; gives what was there.
    pub fn insert(&mut self, path: String, entry: Entry) -> Option<Entry> {
        self.details.remove(&path);
        self.entries.insert(path, entry)
    }

    /// Removes what is at a path; gives what was there.
    pub fn remove(&mut self, path: &str) -> Option<Entry> {
        self.details.remove(path);
        self.entries.remove(path)
    }

    /// Removes all.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// The entries, to be changed.
    pub fn iter_mut(&mut self) -> btree_map::IterMut<'_, String, Entry> {
        self.entries.iter_mut()
    }

    /// What else there is to say of the entry at a path.
    #[must_use]
    pub fn details(&self, path: &str) -> &Details {
        self.details.get(path).unwrap_or(Details::USUAL)
    }

    /// The entry at a path, with what else there is to say of it.
    #[must_use]
    pub fn detailed(&self, path: &str) -> Option<(&Entry, &Details)> {
        Some((self.get(path)?, self.details(path)))
    }

    /// Says what else there is to say of the entry at a path, if there is one.
    pub fn describe(&mut self, path: &str, details: Details) {
        if !self.entries.contains_key(path) || details == *Details::USUAL {
            self.details.remove(path);
        } else {
            self.details.insert(path.to_owned(), details);
        }
    }

    /// The path that an entry is known by: of a hard link, that of the file.
    #[must_use]
    pub fn first_name<'a>(&'a self, path: &'a str) -> &'a str {
        match self.get(path) {
            Some(Entry::HardLink { to }) => to,
            _ => path,
        }
    }

    /// The paths of hard links, with those that they are further names of.
    pub fn hard_links(&self) -> impl Iterator<Item = (&str, &str)> {
        self.entries.iter().filter_map(|(path, entry)| match entry {
            Entry::HardLink { to } => Some((path.as_str(), to.as_str())),
            _ => None,
        })
    }

    /// These entries of it. If a file loses the name that it is known by, the first of those that are left takes its place.
    #[must_use]
    pub fn only(&self, keep: impl Fn(&str) -> bool) -> Self {
        let mut kept = Self { itself: self.itself.clone(), ..Self::default() };
        let mut instead: BTreeMap<&str, &str> = BTreeMap::new();
        for (path, entry) in self.entries.iter().filter(|(path, _)| keep(path)) {
            let (entry, details) = match entry {
                Entry::HardLink { to } if !keep(to) => match instead.get(to.as_str()) {
                    Some(first) => (Entry::HardLink { to: (*first).to_owned() }, Details::USUAL),
                    None => {
                        instead.insert(to, path);
                        (self.get(to).unwrap_or(entry).clone(), self.details(to))
                    }
                },
                entry => (entry.clone(), self.details(path)),
            };
            kept.insert(path.clone(), entry);
            kept.describe(path, details.clone());
        }
        kept
    }

    /// The entries of a tree that is at a path of another one, by their paths there.
    pub fn at<'a>(&'a self, path: &'a str) -> impl Iterator<Item = (String, Entry)> + 'a {
        let at = move |below: &str| format!("{path}/{below}");
        self.entries.iter().map(move |(below, entry)| match entry {
            Entry::HardLink { to } => (at(below), Entry::HardLink { to: at(to) }),
            entry => (at(below), entry.clone()),
        })
    }

    /// Whether it has a time of anything, other than that of the beginning.
    #[must_use]
    pub fn has_times(&self) -> bool {
        self.itself.details.time.is_some() || self.details.values().any(|details| details.time.is_some())
    }

    /// How long the preparation took, in nanoseconds of virtual time: the clocks of an execution begin there.
    #[must_use]
    pub fn clock(&self) -> u64 {
        self.itself.clock
    }

    /// The permission bits of the directory itself, `None` for the usual ones, and what else there is to say of it.
    #[must_use]
    pub fn own(&self) -> (Option<u32>, &Details) {
        (self.itself.mode, &self.itself.details)
    }

    /// Says so, and how long the preparation took.
    pub fn begin(&mut self, mode: Option<u32>, details: Details, clock: u64) {
        self.itself = Itself { mode, details, clock };
    }

    /// The tree as it counts in an outcome: without times, and with zeros where holes are.
    #[must_use]
    pub fn timeless(mut self) -> Self {
        self.itself = Itself::default();
        let details = std::mem::take(&mut self.details);
        for (path, details) in details {
            self.describe(&path, Details { time: None, holes: Vec::new(), ..details });
        }
        self
    }

    /// The entries alone, with a file of its own at each hard link: all that earlier versions say of a tree.
    #[must_use]
    pub fn plain(&self) -> Self {
        let entry = |path: &String, entry: &Entry| self.get(self.first_name(path)).unwrap_or(entry).clone();
        self.entries.iter().map(|(path, at)| (path.clone(), entry(path, at))).collect()
    }

    /// The tree with times in whole days before the newest: those of one that was copied elsewhere, or checked out, are the same.
    #[must_use]
    pub fn with_ages_in_days(&self) -> Self {
        let times =
            || self.details.values().filter_map(|details| details.time).chain(self.itself.details.time);
        let newest = times().max().unwrap_or(0);
        let mut tree = self.clone();
        tree.retime(|at| at.map(|at| (newest - at) / DAY).filter(|days| *days > 0));
        tree
    }

    /// Says no time that is this one: it is that of the beginning.
    pub fn usual_at(&mut self, time: u64) {
        self.retime(|at| at.filter(|at| *at != time));
    }

    /// Changes all times.
    fn retime(&mut self, change: impl Fn(Option<u64>) -> Option<u64>) {
        self.itself.details.time = change(self.itself.details.time);
        let details = std::mem::take(&mut self.details);
        for (path, mut details) in details {
            details.time = change(details.time);
            self.describe(&path, details);
        }
    }

    /// Lets nothing have changed after a time, in nanoseconds since 1970: if something has, all times move back by so much that the last
    /// change is then. So the order of changes stays, and what lies between them, back to 1970.
    pub fn end_by(&mut self, time: u64) {
        let times =
            || self.details.values().filter_map(|details| details.time).chain(self.itself.details.time);
        let late = times().max().map_or(0, |last| last.saturating_sub(time));
        self.retime(|at| at.map(|at| at.saturating_sub(late)).filter(|at| *at != time));
    }
}

impl Deref for Tree {
    type Target = BTreeMap<String, Entry>;

    fn deref(&self) -> &Self::Target {
        &self.entries
    }
}

impl<const N: usize> From<[(String, Entry); N]> for Tree {
    fn from(entries: [(String, Entry); N]) -> Self {
        entries.into_iter().collect()
    }
}

impl FromIterator<(String, Entry)> for Tree {
    fn from_iter<T: IntoIterator<Item = (String, Entry)>>(entries: T) -> Self {
        Self { entries: entries.into_iter().collect(), ..Self::default() }
    }
}

impl Extend<(String, Entry)> for Tree {
    fn extend<T: IntoIterator<Item = (String, Entry)>>(&mut self, entries: T) {
        for (path, entry) in entries {
            self.insert(path, entry);
        }
    }
}

impl<'a> IntoIterator for &'a Tree {
    type Item = (&'a String, &'a Entry);
    type IntoIter = btree_map::Iter<'a, String, Entry>;

    fn into_iter(self) -> Self::IntoIter {
        self.entries.iter()
    }
}

impl IntoIterator for Tree {
    type Item = (String, Entry);
    type IntoIter = btree_map::IntoIter<String, Entry>;

    /// The entries; what else was said of them is gone.
    fn into_iter(self) -> Self::IntoIter {
        self.entries.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::{Attribute, Details, Entry, Tree};

    pub fn file(text: &str) -> Entry {
        Entry::File { mode: 0o644, content: text.into() }
    }

    fn to(path: &str) -> Entry {
        Entry::HardLink { to: path.into() }
    }

    fn at(time: u64) -> Details {
        Details { time: Some(time), ..Details::default() }
    }

    pub fn detailed() -> Tree {
        let mut tree = Tree::from([("a".into(), file("x")), ("b".into(), to("a")), ("c".into(), file("y"))]);
        let attributes = [("user.x".to_owned(), Attribute(vec![255]))].into();
        tree.describe("a", Details { owner: Some((1, 2)), attributes, holes: vec![(0, 1)], ..at(7) });
        tree.begin(Some(0o700), at(9), 3);
        tree
    }

    #[test]
    fn what_is_put_or_removed_takes_what_was_said_with_it() {
        let mut tree = detailed();
        tree.insert("a".into(), file("x"));
        assert_eq!(tree.details("a"), Details::USUAL);
        tree.describe("c", at(1));
        tree.remove("c");
        tree.describe("c", at(1));
        tree.insert("c".into(), file("y"));
        assert_eq!(tree.details("c"), Details::USUAL);
    }

    #[test]
    fn a_file_that_loses_its_first_name_goes_by_the_next() {
        let mut tree = detailed();
        tree.insert("d".into(), to("a"));
        let kept = tree.only(|path| path != "a");
        assert_eq!((kept.get("b"), kept.get("d")), (Some(&file("x")), Some(&to("b"))));
        assert_eq!(kept.details("b"), tree.details("a"));
        assert_eq!(tree.only(|path| path != "b").get("d"), Some(&to("a")));
    }

    #[test]
    fn times_move_back_together() {
        let mut tree = detailed();
        tree.describe("c", at(30));
        tree.end_by(20);
        // What was changed last has the time of the beginning then, and that is not said.
        assert_eq!((tree.details("a").time, tree.details("c").time), (Some(0), None));
        let mut early = detailed();
        early.end_by(20);
        assert_eq!(early, detailed());
        assert_eq!(early.timeless().details("a").time, None);
    }
}
