//! Which files of the workspace are mapped into memory, and whether another process uses such a file too.

use std::collections::{BTreeMap, BTreeSet};

use super::execution::Running;
use crate::model::{GapKind, ObjectId, ProcessId, Sighting};

/// How processes meet at a file that one of them has mapped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Meeting {
    /// One may write it through its mapping, and another one reads, writes or maps it.
    WrittenThroughMapping,
    /// One has it mapped, and another one changes it.
    ReadThroughMapping,
}

impl Meeting {
    /// What the meeting is, in a report.
    pub fn words(self) -> &'static str {
        match self {
            Self::WrittenThroughMapping => "a file that one process maps to write it, and another one uses",
            Self::ReadThroughMapping => "reads through a mapping of a file that another process changes",
        }
    }
}

/// What the processes do with the content of one file.
#[derive(Debug, Default)]
struct Uses {
    /// Those that read, wrote or mapped it.
    by: BTreeSet<usize>,
    /// Those that mapped it.
    mapped: BTreeSet<usize>,
    /// Those that may write it through a mapping.
    writable: BTreeSet<usize>,
}

/// What the processes did with the content of files, in one execution. A mapping counts until the execution ends: what it was used for
/// after an operation of another process is not seen.
#[derive(Debug, Default)]
pub struct Mappings(BTreeMap<ObjectId, Uses>);

impl Mappings {
    /// Takes note that a process maps a file, and says with whom it meets there.
    pub fn map(&mut self, object: ObjectId, process: usize, writable: bool) -> Option<(Meeting, usize)> {
        let uses = self.0.entry(object).or_default();
        uses.by.insert(process);
        uses.mapped.insert(process);
        if !writable {
            return None;
        }
        uses.writable.insert(process);
        other(&uses.by, process).map(|other| (Meeting::WrittenThroughMapping, other))
    }

    /// Takes note that an operation of a process reads or writes a file, and says with whom it meets there.
    pub fn touch(&mut self, object: ObjectId, process: usize, writes: bool) -> Option<(Meeting, usize)> {
        let uses = self.0.entry(object).or_default();
        uses.by.insert(process);
        let written = || other(&uses.writable, process).map(|other| (Meeting::WrittenThroughMapping, other));
        let read = || other(&uses.mapped, process).map(|other| (Meeting::ReadThroughMapping, other));
        written().or_else(|| if writes { read() } else { None })
    }

    /// Whether a process has mapped a file that each execution has anew, or any that it may write: a copy would share that mapping with
    /// other executions.
    pub fn prevent_a_copy(&self, process: usize) -> bool {
        let shared =
            |object: &ObjectId, uses: &Uses| !object.was_outside() || uses.writable.contains(&process);
        self.0.iter().any(|(object, uses)| uses.mapped.contains(&process) && shared(object, uses))
    }
}

impl Running<'_> {
    /// Takes note that a process and another one meet at a file that one of them has mapped.
    pub(super) fn note_meeting(&mut self, process: usize, path: Option<&str>, met: Option<(Meeting, usize)>) {
        let Some((meeting, other)) = met else { return };
        for who in [process, other] {
            let what = Sighting::new(GapKind::SharedMemory, ProcessId(who), meeting.words());
            self.world.not_covered.insert(match path {
                Some(path) => what.about(path),
                None => what,
            });
        }
    }
}

/// Another one of these than the process.
fn other(of: &BTreeSet<usize>, process: usize) -> Option<usize> {
    of.iter().copied().find(|other| *other != process)
}

#[cfg(test)]
mod tests {
    use super::{Mappings, Meeting};
    use crate::model::ObjectId;

    const FILE: ObjectId = ObjectId::Initial(7);
    const WRITTEN: Option<(Meeting, usize)> = Some((Meeting::WrittenThroughMapping, 0));

    #[test]
    fn a_file_that_one_process_alone_maps_and_uses_is_no_meeting() {
        let mut mappings = Mappings::default();
        assert_eq!(mappings.map(FILE, 0, true), None);
        assert_eq!(mappings.touch(FILE, 0, true), None);
        assert_eq!(mappings.touch(ObjectId::Initial(8), 1, true), None);
    }

    #[test]
    fn who_uses_a_file_before_or_behind_a_mapping_that_may_write_it_meets_that_mapping() {
        let mut behind = Mappings::default();
        assert_eq!(behind.map(FILE, 0, true), None);
        assert_eq!(behind.touch(FILE, 1, false), WRITTEN);
        let mut before = Mappings::default();
        assert_eq!(before.touch(FILE, 0, false), None);
        assert_eq!(before.map(FILE, 1, true), WRITTEN);
        let mut two = Mappings::default();
        assert_eq!(two.map(FILE, 0, false), None);
        assert_eq!(two.map(FILE, 1, true), WRITTEN);
    }

    #[test]
    fn a_process_can_be_copied_if_it_has_mapped_only_files_outside_the_workspace_to_read_them() {
        let mut mappings = Mappings::default();
        mappings.map(ObjectId::outside("/lib/a"), 0, false);
        mappings.map(ObjectId::outside("/tmp/b"), 1, true);
        mappings.map(FILE, 2, false);
        mappings.touch(FILE, 3, false);
        assert_eq!([0, 1, 2, 3].map(|process| mappings.prevent_a_copy(process)), [false, true, true, false]);
    }

    #[test]
    fn who_changes_a_file_that_another_process_has_mapped_to_read_it_meets_that_mapping() {
        let mut mappings = Mappings::default();
        assert_eq!(mappings.map(FILE, 0, false), None);
        assert_eq!(mappings.touch(FILE, 1, false), None);
        assert_eq!(mappings.touch(FILE, 1, true), Some((Meeting::ReadThroughMapping, 0)));
    }
}
