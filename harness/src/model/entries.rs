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
    /// A hard link: a further name of the file at another path of the tree, which is its first name.
    HardLink {
        /// That path.
        to: String,
    },
}

/// What else there is to say of an entry. In JSON, a field with the usual value is left out.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
pub struct Details {
    /// User and group; `None` for those of the process that lays the tree out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<(u32, u32)>,
    /// Extended attributes by their names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, Attribute>,
    /// When it was changed last, in nanoseconds since 1970; `None` for the time at which an execution begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<u64>,
    /// The holes of a file: ranges of zeros that take no space on disk.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub holes: Vec<(u64, u64)>,
}

/// The value of an extended attribute.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Attribute(#[serde(with = "text_of_bytes")] pub Vec<u8>);

impl Attribute {
    /// Whether an attribute of this name is part of a tree: the attributes that a user may set, and access lists. Others belong to the
    /// system.
    #[must_use]
    pub fn counts(name: &str) -> bool {
        (name.starts_with("user.") || name.starts_with("system.posix_acl_")) && !name.contains('\0')
    }
}

impl Details {
    /// The details of an entry of which nothing more is said.
    pub const USUAL: &'static Self =
        &Self { owner: None, attributes: BTreeMap::new(), time: None, holes: Vec::new() };

    /// The owner and the attributes in words, as the end of a phrase.
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
    /// Of the entries whose details are not the usual ones.
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

    /// Puts an entry at a path, with the usual details. Returns the entry that was there.
    pub fn insert(&mut self, path: String, entry: Entry) -> Option<Entry> {
        self.details.remove(&path);
        self.entries.insert(path, entry)
    }

    /// Removes what is at a path. Returns the entry that was there.
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

    /// Sets what else there is to say of the entry at a path, if there is one.
    pub fn describe(&mut self, path: &str, details: Details) {
        if !self.entries.contains_key(path) || details == *Details::USUAL {
            self.details.remove(path);
        } else {
            self.details.insert(path.to_owned(), details);
        }
    }

    /// The path by which an entry is known: of a hard link, the first name of its file.
    #[must_use]
    pub fn first_name<'a>(&'a self, path: &'a str) -> &'a str {
        match self.get(path) {
            Some(Entry::HardLink { to }) => to,
            _ => path,
        }
    }

    /// The path of each hard link, with the first name of its file.
    pub fn hard_links(&self) -> impl Iterator<Item = (&str, &str)> {
        self.entries.iter().filter_map(|(path, entry)| match entry {
            Entry::HardLink { to } => Some((path.as_str(), to.as_str())),
            _ => None,
        })
    }

    /// The tree with these entries alone. If a file loses its first name, the first of the names that are left takes its place.
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

    /// The entries of this tree, by their paths in a tree that has it at `path`.
    pub fn at<'a>(&'a self, path: &'a str) -> impl Iterator<Item = (String, Entry)> + 'a {
        let at = move |below: &str| format!("{path}/{below}");
        self.entries.iter().map(move |(below, entry)| match entry {
            Entry::HardLink { to } => (at(below), Entry::HardLink { to: at(to) }),
            entry => (at(below), entry.clone()),
        })
    }

    /// Whether anything in it has another time than that of the beginning.
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

    /// Sets what is said of the directory itself, and how long the preparation took.
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

    /// The entries without details, and with a file of its own at each hard link: what earlier versions recorded of a tree.
    #[must_use]
    pub fn plain(&self) -> Self {
        let entry = |path: &String, entry: &Entry| self.get(self.first_name(path)).unwrap_or(entry).clone();
        self.entries.iter().map(|(path, at)| (path.clone(), entry(path, at))).collect()
    }

    /// The tree with each time as whole days before the newest. A copy of a directory, or another checkout of it, has the same.
    #[must_use]
    pub fn with_ages_in_days(&self) -> Self {
        let times =
            || self.details.values().filter_map(|details| details.time).chain(self.itself.details.time);
        let newest = times().max().unwrap_or(0);
        let mut tree = self.clone();
        tree.retime(|at| at.map(|at| (newest - at) / DAY).filter(|days| *days > 0));
        tree
    }

    /// Leaves out each time that equals this one, the time of the beginning.
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

    /// If something was changed after this time, in nanoseconds since 1970, moves all times back together, so that the last change is at
    /// this time. The order of the changes stays, and so do the intervals between them; no time becomes earlier than 1970.
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

    /// The entries, without their details.
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
        // What was changed last then has the time of the beginning, which is left out.
        assert_eq!((tree.details("a").time, tree.details("c").time), (Some(0), None));
        let mut early = detailed();
        early.end_by(20);
        assert_eq!(early, detailed());
        assert_eq!(early.timeless().details("a").time, None);
    }
}
