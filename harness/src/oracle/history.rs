//! What the processes of a trace did to the files, rebuilt from its events: who looked at which content, who changed it into what.
//!
//! Calls that are not known are passed over; a change whose bytes are not known leaves content that is not known. So this never
//! fails, it only knows less.

use std::collections::BTreeMap;

use crate::model::{AccessKind, CallResult, Entry, Event, Location, ObjectId, ProcessId, Tree};

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

    /// Puts bytes in at an offset, with zeros in a gap before it.
    fn splice(&mut self, offset: u64, new: &[u8]) {
        let Self::Bytes(bytes) = self else { return };
        let Ok(start) = usize::try_from(offset) else { return *self = Self::Unknown };
        let end = start + new.len();
        if bytes.len() < end {
            bytes.resize(end, 0);
        }
        bytes[start..end].copy_from_slice(new);
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
pub(super) struct Session {
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
    sessions: Vec<Session>,
    /// Which file each path leads to now; at the end, finally.
    names: BTreeMap<String, usize>,
    files: Vec<Content>,
    objects: BTreeMap<ObjectId, usize>,
    /// Of files that lost a name: the last one that they lost, and at which step.
    lost: BTreeMap<usize, (String, usize)>,
    operations: BTreeMap<ProcessId, u32>,
}

const WHOLE: (u64, u64) = (0, u64::MAX);

impl History {
    /// Rebuilds the files that a trace leaves, from those that it began with.
    pub(super) fn of(initial: &Tree, trace: &[Event]) -> Self {
        let mut history = Self::default();
        for (place, (path, entry)) in initial.iter().enumerate() {
            let Entry::File { content, .. } = entry else { continue };
            let content = Content::Bytes(content.clone());
            let file = history.add(path, content.clone());
            history.initial.insert(path.clone(), content);
            if let Ok(place) = u32::try_from(place + 1) {
                history.objects.insert(ObjectId::Initial(place), file);
            }
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
    pub(super) fn sessions(&self, path: &str) -> Vec<&Session> {
        let file = self.names.get(path);
        self.sessions.iter().filter(|session| Some(&session.file) == file).collect()
    }

    /// Who else is in the midst of writing the file that a step reads.
    pub(super) fn writer_during(&self, look: &Touch) -> Option<ProcessId> {
        let midst = |session: &&Session| {
            session.file == look.file
                && session.process != look.process
                && session.first < look.step
                && look.step < session.last
        };
        self.sessions.iter().find(midst).map(|session| session.process)
    }

    fn add(&mut self, path: &str, content: Content) -> usize {
        self.files.push(content);
        self.names.insert(path.to_owned(), self.files.len() - 1);
        self.files.len() - 1
    }

    fn apply(&mut self, step: usize, event: &Event) {
        let call = &event.operation.call;
        let path = call.path.as_deref().unwrap_or_default();
        if let CallResult::Error(error) = &event.result {
            if error == "ENOENT" && call.target.is_none() && !self.names.contains_key(path) {
                self.touch(step, event, path, usize::MAX, Deed::FoundNone);
            }
            return;
        }
        match call.name.as_str() {
            "open" | "openat" | "openat2" | "creat" => self.open(step, event, path),
            "rename" | "renameat" | "renameat2" => self.rename(step, event, path),
            "link" | "linkat" => self.link(step, event, path),
            "unlink" | "unlinkat" => self.unlink(step, event, path),
            "truncate" | "ftruncate" => self.resize(step, event),
            _ => self.transfer(step, event),
        }
    }

    fn open(&mut self, step: usize, event: &Event, path: &str) {
        let detail = event.operation.call.detail.as_str();
        let has = |word: &str| detail.split(", ").any(|part| part == word);
        let creat = event.operation.call.name == "creat";
        let file = self.names.get(path).copied();
        let writes = creat || ["write", "read+write", "append", "truncate"].iter().any(|word| has(word));
        if let (Some(file), true) = (file, writes) {
            let mine = |session: &&mut Session| session.file == file && session.process == event.process;
            self.sessions.iter_mut().filter(mine).for_each(|session| session.open = false);
        }
        match file {
            None if creat || has("create") || has("exclusive") => {
                let file = self.add(path, Content::Bytes(Vec::new()));
                let object = ObjectId::Made {
                    process: u16::try_from(event.process.0).unwrap_or(u16::MAX),
                    operation: self.operations.get(&event.process).copied().unwrap_or(0),
                };
                self.objects.insert(object, file);
                self.change(step, event, file, How::Create, WHOLE, |_| {});
            }
            Some(file) if creat || has("truncate") => {
                self.change(step, event, file, How::Resize, WHOLE, |content| {
                    *content = Content::Bytes(Vec::new());
                });
            }
            _ => {}
        }
    }

    /// Moves a name, or every name below a directory.
    fn rename(&mut self, step: usize, event: &Event, from: &str) {
        let Some(to) = event.operation.call.target.as_deref() else { return };
        let below = |name: &&String| {
            name.strip_prefix(from).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let moved: Vec<String> = self.names.keys().filter(below).cloned().collect();
        for old in moved {
            let Some(file) = self.names.remove(&old) else { continue };
            let new = format!("{to}{}", &old[from.len()..]);
            if let Some(replaced) = self.names.insert(new.clone(), file) {
                self.lost.insert(replaced, (new.clone(), step));
            }
            let content = self.files[file].clone();
            self.touch(
                step,
                event,
                &old,
                file,
                Deed::Change { how: How::Remove, range: WHOLE, after: Content::Absent },
            );
            self.touch(
                step,
                event,
                &new,
                file,
                Deed::Change { how: How::Replace, range: WHOLE, after: content },
            );
        }
    }

    fn link(&mut self, step: usize, event: &Event, from: &str) {
        let Some(to) = event.operation.call.target.as_deref() else { return };
        let Some(&file) = self.names.get(from) else { return };
        self.names.insert(to.to_owned(), file);
        let after = self.files[file].clone();
        self.touch(step, event, to, file, Deed::Change { how: How::Create, range: WHOLE, after });
    }

    fn unlink(&mut self, step: usize, event: &Event, path: &str) {
        let Some(file) = self.names.remove(path) else { return };
        self.lost.insert(file, (path.to_owned(), step));
        let gone = Deed::Change { how: How::Remove, range: WHOLE, after: Content::Absent };
        self.touch(step, event, path, file, gone);
    }

    fn resize(&mut self, step: usize, event: &Event) {
        let Some(file) = self.file_of(event) else { return };
        let number =
            event.operation.call.detail.split(|c: char| !c.is_ascii_digit()).find(|part| !part.is_empty());
        let size = number.and_then(|digits| digits.parse::<usize>().ok());
        let from = size.and_then(|size| u64::try_from(size).ok()).unwrap_or(0);
        self.change(step, event, file, How::Resize, (from, u64::MAX), |content| match (content, size) {
            (Content::Bytes(bytes), Some(size)) => bytes.resize(size, 0),
            (content, _) => *content = Content::Unknown,
        });
    }

    /// Bytes read or written, as recorded; else as the accesses have it.
    fn transfer(&mut self, step: usize, event: &Event) {
        let Some(payload) = &event.payload else { return self.transfer_unseen(step, event) };
        let Some(file) = self.file_of(event) else { return };
        let length = payload.bytes.len() as u64;
        if payload.written {
            let range = (payload.offset, payload.offset.saturating_add(length));
            self.change(step, event, file, How::Write, range, |content| {
                content.splice(payload.offset, &payload.bytes);
            });
        } else {
            self.look(step, event, file, payload.offset, Some(length));
        }
    }

    fn transfer_unseen(&mut self, step: usize, event: &Event) {
        let Some((_, start, end, kind)) = data_of(event) else { return };
        let Some(file) = self.file_of(event) else { return };
        if kind == AccessKind::Read {
            let got = match event.result {
                CallResult::Value(got) => u64::try_from(got).ok(),
                CallResult::Error(_) => None,
            };
            self.look(step, event, file, start, got);
        } else {
            self.change(step, event, file, How::Write, (start, end), |content| *content = Content::Unknown);
        }
    }

    /// Notes a read. One that finds the end after what was read before tells nothing new.
    fn look(&mut self, step: usize, event: &Event, file: usize, offset: u64, bytes: Option<u64>) {
        if offset == 0 || bytes != Some(0) {
            for name in self.names_of(file) {
                self.touch(step, event, &name, file, Deed::Read { bytes });
            }
            self.touch_lost(step, event, file, Deed::Read { bytes });
        }
    }

    /// Changes a file's content and notes it under every name of the file, and in the process's session.
    fn change(
        &mut self,
        step: usize,
        event: &Event,
        file: usize,
        how: How,
        range: (u64, u64),
        edit: impl Fn(&mut Content),
    ) {
        let before = self.files[file].clone();
        edit(&mut self.files[file]);
        let after = self.files[file].clone();
        for name in self.names_of(file) {
            self.touch(step, event, &name, file, Deed::Change { how, range, after: after.clone() });
        }
        self.touch_lost(step, event, file, Deed::Astray);
        let mine =
            |session: &&mut Session| session.open && session.file == file && session.process == event.process;
        if let Some(session) = self.sessions.iter_mut().find(mine) {
            edit(&mut session.alone);
            session.last = step;
        } else {
            let mut alone = before;
            edit(&mut alone);
            self.sessions.push(Session {
                process: event.process,
                first: step,
                last: step,
                alone,
                file,
                open: true,
            });
        }
    }

    fn touch(&mut self, step: usize, event: &Event, path: &str, file: usize, deed: Deed) {
        let touch = Touch { step, process: event.process, deed, as_of: step, file };
        self.touches.entry(path.to_owned()).or_default().push(touch);
    }

    /// Notes what is done to a file that has no name any more, under the last that it had.
    fn touch_lost(&mut self, step: usize, event: &Event, file: usize, deed: Deed) {
        let Some((name, since)) = self.lost.get(&file).filter(|_| self.names_of(file).is_empty()).cloned()
        else {
            return;
        };
        let touch = Touch { step, process: event.process, deed, as_of: since, file };
        self.touches.entry(name).or_default().push(touch);
    }

    fn names_of(&self, file: usize) -> Vec<String> {
        self.names.iter().filter(|&(_, &other)| other == file).map(|(name, _)| name.clone()).collect()
    }

    /// The file that an event moves bytes of: the object that its accesses name, else what its path leads to, else a file that
    /// was not known before.
    fn file_of(&mut self, event: &Event) -> Option<usize> {
        let object = data_of(event).map(|(object, ..)| object);
        if let Some(&file) = object.and_then(|object| self.objects.get(&object)) {
            return Some(file);
        }
        let path = event.payload.as_ref().map(|payload| payload.path.as_str());
        let path = path.or(event.operation.call.path.as_deref())?;
        let file = self.names.get(path).copied();
        let file = file.unwrap_or_else(|| self.add(path, Content::Unknown));
        if let Some(object) = object {
            self.objects.insert(object, file);
        }
        Some(file)
    }
}

/// The bytes of a file that an event touches, by its accesses; a change before a look.
fn data_of(event: &Event) -> Option<(ObjectId, u64, u64, AccessKind)> {
    let data = event.operation.accesses.iter().filter_map(|access| match access.location {
        Location::Data { object, start, end } => Some((object, start, end, access.kind)),
        _ => None,
    });
    data.max_by_key(|(.., kind)| *kind)
}

#[cfg(test)]
mod tests {
    use super::{Content, Deed, History, How};
    use crate::model::ProcessId;
    use crate::oracle::testing::{Script, tree};

    fn bytes(text: &str) -> Content {
        Content::Bytes(text.as_bytes().to_vec())
    }

    #[test]
    fn writes_renames_links_and_removals_are_followed() {
        let script = Script::new(1)
            .open(0, "t", "write, create, truncate")
            .write(0, "t", "hello")
            .write_at(0, "t", 7, "x")
            .rename(0, "t", "f")
            .call(0, "ftruncate", "f", "to 4 bytes")
            .call(0, "unlink", "f", "");
        let history = History::of(&tree(&[("f", "old")]), &script.execution().trace);
        let versions: Vec<&Content> = (0..6).map(|step| history.after("f", Some(step))).collect();
        let expected =
            [bytes("old"), bytes("old"), bytes("old"), bytes("hello\0\0x"), bytes("hell"), Content::Absent];
        assert_eq!(versions, expected.iter().collect::<Vec<_>>());
        assert_eq!(history.after("t", Some(2)), &bytes("hello\0\0x"));
        assert_eq!(history.after("t", Some(3)), &Content::Absent);
        assert_eq!(history.after("f", None), &bytes("old"));
    }

    #[test]
    fn looks_are_kept_less_those_that_only_find_the_end() {
        let mut script = Script::new(2).open(0, "f", "read").error("ENOENT").open(1, "f", "write, create");
        script = script.write(1, "f", "abc").read(0, "f", "abc").call(0, "read", "f", "0 bytes at 3");
        let history = History::of(&tree(&[]), &script.execution().trace);
        let touches = history.touches("f");
        let of_a: Vec<_> = touches.iter().filter(|touch| touch.process == ProcessId(0)).collect();
        assert_eq!(of_a.iter().map(|touch| touch.step).collect::<Vec<_>>(), [0, 3]);
        assert_eq!((&of_a[0].deed, &of_a[1].deed), (&Deed::FoundNone, &Deed::Read { bytes: Some(3) }));
        let Deed::Change { how, .. } = touches[1].deed else { panic!("a change") };
        assert_eq!(how, How::Create);
    }

    #[test]
    fn sessions_tell_what_each_writer_would_have_left_alone() {
        let script = Script::new(2)
            .open(0, "f", "write, create, truncate")
            .open(1, "f", "write, create, truncate")
            .write(0, "f", "AAAA")
            .write(1, "f", "BB");
        let history = History::of(&tree(&[("f", "old")]), &script.execution().trace);
        let sessions = history.sessions("f");
        assert_eq!(history.after("f", Some(3)), &bytes("BBAA"));
        assert_eq!(sessions.iter().map(|s| &s.alone).collect::<Vec<_>>(), [&bytes("AAAA"), &bytes("BB")]);
        assert_eq!(sessions.iter().map(|s| (s.first, s.last)).collect::<Vec<_>>(), [(0, 2), (1, 3)]);
    }

    #[test]
    fn a_directory_takes_its_files_along() {
        let script = Script::new(1).rename(0, "d", "e").rename(0, "nothing", "anything").call(
            0,
            "frobnicate",
            "x",
            "",
        );
        let history = History::of(&tree(&[("d/f", "1"), ("dd", "2")]), &script.execution().trace);
        assert_eq!(history.after("e/f", Some(0)), &bytes("1"));
        assert_eq!(history.after("d/f", Some(0)), &Content::Absent);
        assert_eq!(history.after("dd", Some(2)), &bytes("2"));
    }
}
