//! What the processes of a trace did to the files, rebuilt from its events: who looked at which content, who changed it into what.
//!
//! Calls that are not known are passed over; a change whose bytes are not known leaves content that is not known. So this never
//! fails, it only knows less.

mod rebuild;

use std::collections::BTreeMap;

use crate::model::{Entry, Event, ObjectId, ProcessId, Tree};

/// What a path leads to at some time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Content {
    /// No file.
    Absent,
    /// A file whose bytes were not recorded.
    Unknown,
    /// These bytes.
    Bytes(Vec<u8>),
}

impl Content {
    pub(super) fn bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            Self::Absent | Self::Unknown => None,
        }
    }
}

/// How a step changed what a path leads to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum How {
    /// Wrote bytes into it.
    Write,
    /// Cut its content off, or lengthened it.
    Resize,
    /// Put another file, complete, in its place.
    Replace,
    /// Made it.
    Create,
    /// Took it away.
    Remove,
}

/// What a step did to a path.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Deed {
    /// Looked and found no file.
    FoundNone,
    /// Read some of the content.
    Read {
        /// How many bytes it got, where that is known.
        bytes: Option<u64>,
    },
    /// Wrote into a file that was there when it was opened, and is not any more: nobody sees it.
    Astray,
    /// Changed it.
    Change {
        /// In which way.
        how: How,
        /// The bytes concerned, as a range; all of them where the file itself came or went.
        range: (u64, u64),
        /// What the path leads to afterwards.
        after: Content,
    },
}

impl Deed {
    pub(super) fn is_change(&self) -> bool {
        matches!(self, Self::Change { .. })
    }
}

/// What a step did to a path, with who and when.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Touch {
    pub step: usize,
    pub process: ProcessId,
    pub deed: Deed,
    /// As of which step it saw the path: its own; or, where it held a file open that was no longer there, when that went.
    pub as_of: usize,
    file: usize,
}

/// A process's writing of a file: from the first change after it opened the file to its last before it opens it again.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Writing {
    pub process: ProcessId,
    pub first: usize,
    pub last: usize,
    /// What the file would hold had nobody else changed it since the first step.
    pub alone: Content,
    file: usize,
    open: bool,
}

/// The files of a trace, over time.
#[derive(Debug, Default)]
pub(super) struct History {
    initial: BTreeMap<String, Content>,
    touches: BTreeMap<String, Vec<Touch>>,
    writings: Vec<Writing>,
    /// Which file each path leads to now; at the end, finally.
    names: BTreeMap<String, usize>,
    files: Vec<Content>,
    objects: BTreeMap<ObjectId, usize>,
    /// Of files that lost a name: the last one that they lost, and at which step.
    lost: BTreeMap<usize, (String, usize)>,
    operations: BTreeMap<ProcessId, u32>,
}

impl History {
    /// Rebuilds the files that a trace leaves, from those that it began with.
    pub(super) fn of(initial: &Tree, trace: &[Event]) -> Self {
        let mut history = Self::default();
        let is_outside = |path: &str| path.starts_with('/');
        let mut places = 1..;
        for (path, entry) in initial {
            if matches!(initial.get(initial.first_name(path)), Some(Entry::Other { kind, .. }) if kind != "fifo")
            {
                // A socket or a device is not laid out.
                continue;
            }
            let object = if is_outside(path) {
                ObjectId::outside(path)
            } else {
                ObjectId::Initial(places.next().unwrap_or_default())
            };
            if let Entry::HardLink { to } = entry {
                history.add_name(path, to);
            }
            let Entry::File { content, .. } = entry else { continue };
            let content = Content::Bytes(content.clone());
            let file = history.add(path, content.clone());
            history.initial.insert(path.clone(), content);
            history.objects.insert(object, file);
        }
        for (step, event) in trace.iter().enumerate() {
            history.apply(step, event);
            *history.operations.entry(event.process).or_default() += 1;
        }
        history
    }

    /// What the steps did to a path, in order.
    pub(super) fn touches(&self, path: &str) -> &[Touch] {
        self.touches.get(path).map_or(&[], Vec::as_slice)
    }

    /// The paths that were touched.
    pub(super) fn paths(&self) -> impl Iterator<Item = &String> {
        self.touches.keys()
    }

    /// What a path leads to after a step; `None` for before the first.
    pub(super) fn after(&self, path: &str, step: Option<usize>) -> &Content {
        let until = self.touches(path).iter().take_while(|touch| Some(touch.step) <= step);
        let changed = until.filter_map(|touch| match &touch.deed {
            Deed::Change { after, .. } => Some(after),
            _ => None,
        });
        changed.last().or_else(|| self.initial.get(path)).unwrap_or(&Content::Absent)
    }

    /// The writings of the file that a path finally leads to, in the order of their first steps.
    pub(super) fn writings(&self, path: &str) -> Vec<&Writing> {
        let file = self.names.get(path);
        self.writings.iter().filter(|writing| Some(&writing.file) == file).collect()
    }

    /// Who else is in the midst of writing the file that a step reads.
    pub(super) fn writer_during(&self, look: &Touch) -> Option<ProcessId> {
        let midst = |writing: &&Writing| {
            writing.file == look.file
                && writing.process != look.process
                && writing.first < look.step
                && look.step < writing.last
        };
        self.writings.iter().find(midst).map(|writing| writing.process)
    }
}

#[cfg(test)]
mod tests;
