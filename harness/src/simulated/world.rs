use std::collections::BTreeMap;

use crate::model::{Entry, Location, LockMode, ObjectId, ProcessId, Tree};

/// The shared state before the first step: files that are open in every process, and names in the directory.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Initial {
    contents: Vec<i64>,
    names: BTreeMap<String, usize>,
}

impl Initial {
    /// `count` files that hold 0, with the descriptors `1..=count` (0 is the directory).
    #[must_use]
    pub fn files(count: usize) -> Self {
        Self { contents: vec![0; count], names: BTreeMap::new() }
    }

    /// A further file, with a name.
    #[must_use]
    pub fn named(mut self, name: &str, content: i64) -> Self {
        self.contents.push(content);
        self.names.insert(name.to_owned(), self.contents.len());
        self
    }

    /// How many objects there are, the directory included.
    pub(super) fn objects(&self) -> usize {
        self.contents.len() + 1
    }
}

/// The shared state: what files hold, what names lead to, who holds which lock.
#[derive(Clone, Debug)]
pub(super) struct World {
    contents: BTreeMap<ObjectId, i64>,
    names: BTreeMap<String, ObjectId>,
    locks: BTreeMap<Location, Vec<(ProcessId, LockMode)>>,
    streams: BTreeMap<ObjectId, Stream>,
}

/// What goes through a file.
#[derive(Clone, Debug, Default)]
pub(super) struct Stream {
    /// All that was ever sent.
    pub(super) sent: Vec<i64>,
    /// How many of them were taken.
    pub(super) taken: usize,
    /// Who has the sending end open, each as often as it has.
    pub(super) ends: Vec<ProcessId>,
}

/// One change of the shared state.
#[derive(Clone, Debug)]
pub(super) enum Effect {
    Content(ObjectId, i64),
    Bind(String, ObjectId),
    Unbind(String),
    Acquire(Location, ProcessId, LockMode),
    Release(Location, ProcessId),
    Signal(usize, bool),
    Send(ObjectId, i64),
    Take(ObjectId, usize),
    OpenEnd(ObjectId, ProcessId),
    CloseEnd(ObjectId, ProcessId),
}

/// The object of an initial descriptor.
pub(super) fn initial(number: usize) -> ObjectId {
    ObjectId::Initial(u32::try_from(number).expect("a handful of objects"))
}

impl World {
    pub(super) fn new(start: &Initial) -> Self {
        let contents =
            start.contents.iter().enumerate().map(|(index, content)| (initial(index + 1), *content));
        let names = start.names.iter().map(|(name, number)| (name.clone(), initial(*number)));
        Self {
            contents: contents.collect(),
            names: names.collect(),
            locks: BTreeMap::new(),
            streams: BTreeMap::new(),
        }
    }

    pub(super) fn apply(&mut self, effect: Effect) {
        match effect {
            Effect::Content(object, content) => {
                self.contents.insert(object, content);
            }
            Effect::Bind(name, object) => {
                self.names.insert(name, object);
            }
            Effect::Unbind(name) => {
                self.names.remove(&name);
            }
            Effect::Acquire(lock, process, mode) => {
                self.locks.entry(lock).or_default().push((process, mode));
            }
            // Of processes, not of what they share.
            Effect::Signal(..) => {}
            Effect::Send(object, value) => self.streams.entry(object).or_default().sent.push(value),
            Effect::Take(object, count) => self.streams.entry(object).or_default().taken += count,
            Effect::OpenEnd(object, process) => {
                self.streams.entry(object).or_default().ends.push(process);
            }
            Effect::CloseEnd(object, process) => {
                let ends = &mut self.streams.entry(object).or_default().ends;
                if let Some(at) = ends.iter().position(|holder| *holder == process) {
                    ends.remove(at);
                }
            }
            Effect::Release(lock, process) => {
                self.locks.entry(lock).or_default().retain(|(holder, _)| *holder != process);
            }
        }
    }

    pub(super) fn content(&self, object: ObjectId) -> i64 {
        self.contents.get(&object).copied().unwrap_or(0)
    }

    pub(super) fn stream(&self, object: ObjectId) -> Stream {
        self.streams.get(&object).cloned().unwrap_or_default()
    }

    pub(super) fn lookup(&self, name: &str) -> Option<ObjectId> {
        self.names.get(name).copied()
    }

    pub(super) fn holders(&self, lock: &Location) -> &[(ProcessId, LockMode)] {
        self.locks.get(lock).map_or(&[], Vec::as_slice)
    }

    /// The locks that a process holds, with their modes.
    pub(super) fn held_by(&self, process: ProcessId) -> Vec<(Location, LockMode)> {
        let of = |(lock, holders): (&Location, &Vec<(ProcessId, LockMode)>)| {
            holders.iter().find(|(holder, _)| *holder == process).map(|(_, mode)| (lock.clone(), *mode))
        };
        self.locks.iter().filter_map(of).collect()
    }

    /// A number that stands for the set of names (FNV-1a over them, 0 bytes between).
    pub(super) fn listing(&self) -> i64 {
        let bytes = self.names.keys().flat_map(|name| name.bytes().chain([0]));
        let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        (hash >> 1).cast_signed()
    }

    /// What somebody can see of it: the named files under their names, the initial ones without a name as `#` and their number.
    pub(super) fn tree(&self) -> Tree {
        let file = |content: i64| Entry::File { mode: 0o644, content: content.to_string().into_bytes() };
        let named = self.names.iter().map(|(name, object)| (name.clone(), file(self.content(*object))));
        let open = self.contents.iter().filter_map(|(object, content)| match object {
            ObjectId::Initial(number) => Some((format!("#{number}"), file(*content))),
            ObjectId::Made { .. } | ObjectId::Outside(_) => None,
        });
        named.chain(open).collect()
    }
}
