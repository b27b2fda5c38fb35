//! What each process touches outside the workspace, over all executions, and where the processes meet there.
//!
//! The order of these accesses is not scheduled. So if one process changes what another one reads or changes, an order that matters
//! may never be tried: that is a coverage gap. A change that nothing else touches hides nothing; it is only listed.

mod meeting;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub use self::meeting::{Meeting, gaps, meetings};
use super::ProcessId;

/// Which file, directory or device of the machine something is.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Inode {
    /// It was there before the processes began.
    There {
        /// The number of its device.
        device: u64,
        /// Its number on that.
        number: u64,
    },
    /// A process under test made it, at this absolute path. Its number says nothing: the file system uses it again when the file is
    /// gone. Also a file of `/proc`, which has no number that stays.
    Made(String),
}

/// Something outside the workspace that a process can read and change.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Thing {
    /// Whether a directory has an entry of this name, and which one. Each lookup reads it, also one that finds nothing.
    Name {
        /// The directory.
        directory: Inode,
        /// The name in it.
        name: String,
    },
    /// The content, mode, owner, times, attributes and locks of a file. Of a directory: its mode, owner and attributes; neither its
    /// entries nor its times, which change with them.
    Inode(Inode),
    /// All names of a directory, as `getdents` reads them.
    Listing(Inode),
}

/// How a process has touched a thing.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
pub struct Touch {
    /// The absolute path by which it is shown.
    pub path: String,
    /// The process read it.
    pub reads: bool,
    /// In some execution the process read it before it had replaced it: it saw what was there when the execution began.
    pub sees_earlier: bool,
    /// The process changed it, and the change was there when the execution ended.
    pub changes: bool,
    /// The process changed it, and it was as before when the execution ended: a temporary file that is made and removed.
    pub changes_for_now: bool,
}

impl Touch {
    /// Adds what another touch of the same thing did.
    pub fn add(&mut self, other: &Self) {
        self.reads |= other.reads;
        self.sees_earlier |= other.sees_earlier;
        self.changes |= other.changes;
        self.changes_for_now |= other.changes_for_now;
    }

    /// Whether the process changed the thing at all.
    #[must_use]
    pub fn changes_at_all(&self) -> bool {
        self.changes || self.changes_for_now
    }
}

/// What one process touches outside the workspace.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Footprint {
    /// The process, with all its children and threads.
    pub process: ProcessId,
    /// The things, each with how they were touched.
    #[serde(serialize_with = "as_list", deserialize_with = "from_list")]
    pub touches: BTreeMap<Thing, Touch>,
}

impl Footprint {
    /// That of a process that has touched nothing.
    #[must_use]
    pub fn new(process: ProcessId) -> Self {
        Self { process, touches: BTreeMap::new() }
    }

    /// Adds a touch. Whether it says anything new.
    pub fn add(&mut self, thing: &Thing, touch: &Touch) -> bool {
        match self.touches.get_mut(thing) {
            Some(known) => {
                let before = known.clone();
                known.add(touch);
                *known != before
            }
            None => self.touches.insert(thing.clone(), touch.clone()).is_none(),
        }
    }

    /// Adds what the same process touched in other executions.
    pub fn merge(&mut self, other: Self) {
        for (thing, touch) in other.touches {
            match self.touches.entry(thing) {
                Entry::Occupied(mut known) => known.get_mut().add(&touch),
                Entry::Vacant(free) => {
                    free.insert(touch);
                }
            }
        }
    }

    /// The absolute paths of the files that the process changed and left changed, sorted.
    #[must_use]
    pub fn written_paths(&self) -> Vec<String> {
        let changed = self.touches.iter().filter(|(thing, touch)| touch.changes && !is_listing(thing));
        let mut paths: Vec<String> = changed.map(|(_, touch)| touch.path.clone()).collect();
        paths.sort();
        paths.dedup();
        paths
    }
}

/// Adds footprints to others, those of the same process to each other.
pub fn merge(into: &mut Vec<Footprint>, from: Vec<Footprint>) {
    for footprint in from {
        match into.iter_mut().find(|known| known.process == footprint.process) {
            Some(known) => known.merge(footprint),
            None => into.push(footprint),
        }
    }
    into.sort_by_key(|footprint| footprint.process);
}

fn is_listing(thing: &Thing) -> bool {
    matches!(thing, Thing::Listing(_))
}

/// A thing is no key of a JSON object, so they are written as a list of pairs.
fn as_list<S: Serializer>(touches: &BTreeMap<Thing, Touch>, to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(touches)
}

fn from_list<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<Thing, Touch>, D::Error> {
    Ok(Vec::<(Thing, Touch)>::deserialize(from)?.into_iter().collect())
}
