//! One event after another: what it makes of the files.

use super::{Content, Deed, History, How, Touch, Writing};
use crate::model::{AccessKind, CallResult, Event, Location, ObjectId};

/// Longest content that is kept, apart from what calls moved: a file may be as sparse as it likes.
const LONGEST: usize = 1 << 26;
/// All bytes of a file.
const WHOLE: (u64, u64) = (0, u64::MAX);

impl Content {
    /// Puts bytes in at an offset, with zeros in a gap before it.
    fn splice(&mut self, offset: u64, new: &[u8]) {
        let Self::Bytes(bytes) = self else { return };
        let start = usize::try_from(offset).ok().filter(|start| *start <= LONGEST);
        let Some(start) = start else { return *self = Self::Unknown };
        let end = start + new.len();
        if bytes.len() < end {
            bytes.resize(end, 0);
        }
        bytes[start..end].copy_from_slice(new);
    }

    /// Cuts it off, or lengthens it with zeros.
    fn set_length(&mut self, length: Option<usize>) {
        match (self, length) {
            (Self::Bytes(bytes), Some(length)) if length <= LONGEST => bytes.resize(length, 0),
            (content, _) => *content = Self::Unknown,
        }
    }
}

impl History {
    /// A further file, under a name.
    pub(super) fn add(&mut self, path: &str, content: Content) -> usize {
        self.files.push(content);
        self.names.insert(path.to_owned(), self.files.len() - 1);
        self.files.len() - 1
    }

    /// A further name of a file.
    pub(super) fn add_name(&mut self, path: &str, file: &str) {
        if let (Some(content), Some(&of)) = (self.initial.get(file).cloned(), self.names.get(file)) {
            self.initial.insert(path.to_owned(), content);
            self.names.insert(path.to_owned(), of);
        }
    }

    /// What a step makes of the files.
    pub(super) fn apply(&mut self, step: usize, event: &Event) {
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
            let mine = |writing: &&mut Writing| writing.file == file && writing.process == event.process;
            self.writings.iter_mut().filter(mine).for_each(|writing| writing.open = false);
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
        if event.operation.call.detail.contains("exchange") {
            return self.exchange(step, event, from, to);
        }
        let below = |name: &&String| {
            name.strip_prefix(from).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let moved: Vec<String> = self.names.keys().filter(below).cloned().collect();
        if moved.is_empty() && self.names.contains_key(to) {
            // A file that was made where nobody saw it.
            let file = self.add(from, Content::Unknown);
            self.move_name(step, event, from, to, file);
        }
        for old in moved {
            if let Some(&file) = self.names.get(&old) {
                self.move_name(step, event, &old, &format!("{to}{}", &old[from.len()..]), file);
            }
        }
    }

    fn move_name(&mut self, step: usize, event: &Event, old: &str, new: &str, file: usize) {
        self.names.remove(old);
        let gone = Deed::Change { how: How::Remove, range: WHOLE, after: Content::Absent };
        self.touch(step, event, old, file, gone);
        self.put(step, event, new, file);
    }

    /// Swaps two names.
    fn exchange(&mut self, step: usize, event: &Event, one: &str, other: &str) {
        if let (Some(&a), Some(&b)) = (self.names.get(one), self.names.get(other)) {
            self.put(step, event, one, b);
            self.put(step, event, other, a);
        }
    }

    /// Puts a file in the place of whatever a name led to.
    fn put(&mut self, step: usize, event: &Event, name: &str, file: usize) {
        if let Some(replaced) = self.names.insert(name.to_owned(), file) {
            self.lost.insert(replaced, (name.to_owned(), step));
        }
        let after = self.files[file].clone();
        self.touch(step, event, name, file, Deed::Change { how: How::Replace, range: WHOLE, after });
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
        self.change(step, event, file, How::Resize, (from, u64::MAX), |content| content.set_length(size));
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
        let Some((object, start, end, kind)) = data_of(event) else { return };
        let Some(file) = self.file_of(event) else { return };
        let looks = event.operation.accesses.iter().any(|access| {
            let on_it = matches!(access.location, Location::Data { object: other, .. } if other == object);
            on_it && access.kind == AccessKind::Read
        });
        if looks {
            let got = match event.result {
                CallResult::Value(got) if kind == AccessKind::Read => u64::try_from(got).ok(),
                _ => None,
            };
            self.look(step, event, file, start, got);
        }
        if kind != AccessKind::Read {
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

    /// Changes a file's content and notes it under every name of the file, and in the process's writing.
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
            |writing: &&mut Writing| writing.open && writing.file == file && writing.process == event.process;
        if let Some(writing) = self.writings.iter_mut().find(mine) {
            edit(&mut writing.alone);
            writing.last = step;
        } else {
            let mut alone = before;
            edit(&mut alone);
            self.writings.push(Writing {
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
