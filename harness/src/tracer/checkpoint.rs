//! Checkpoints: a process that has so far only looked at the workspace is the same in every execution, until somebody changes what
//! it looked at.
//!
//! In the first executions the operations with which a process begins are recorded, as long as they change nothing (its *prefix*).
//! At the last of them where a copy of the process can stand for it, a copy is kept: the checkpoint. From then on its operations
//! up to there are taken from the record, and the process is forked from the checkpoint when it goes beyond. Where another process
//! is about to change something that the prefix looks at, the process is started afresh before that, and made to do again what it
//! had done; and the checkpoint is given up for one before that look. So it soon stands where nobody disturbs it.
//! Interpreters read their program and find their modules before they touch data: that is most of the time of a short program.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;

use nix::unistd::{Pid, getpgid, getsid};

use super::TraceError;
use super::chance::Stream;
use super::files::Descriptors;
use super::ids::{checkpoint_pid, first_pid};
use super::paths::{inside, proc_link};
use super::sandbox::{Sandbox, WORKSPACE};
use super::task::{Name, State, Task};
use super::tracee::{Registers, Tracee};
use crate::model::{Access, AccessKind, Event, Location, ObjectId, Operation};

/// An operation at the beginning of a process, which changed nothing.
#[derive(Clone, Debug)]
pub struct Look {
    /// What it was.
    pub event: Event,
    /// The virtual time of the process when it came to it.
    pub clock: u64,
}

/// The looks with which a process begins, and the points among them where a copy can stand for it: before the look of this number,
/// or behind the last one.
#[derive(Clone, Debug, Default)]
pub struct Prefix {
    /// The looks.
    pub looks: Vec<Look>,
    /// The points, in order.
    pub points: Vec<usize>,
}

impl Prefix {
    /// The prefix up to the last point that is not behind look number `end`; `None` where there is no such point.
    #[must_use]
    pub fn up_to(mut self, end: usize) -> Option<Self> {
        self.points.retain(|point| *point <= end);
        self.looks.truncate(*self.points.last()?);
        Some(self)
    }

    /// What a copy has mapped.
    pub fn mapped(&self) -> impl Iterator<Item = ObjectId> {
        let maps = self.looks.iter().filter(|look| look.event.operation.call.name == "mmap");
        maps.flat_map(|look| &look.event.operation.accesses).filter_map(|access| match access.location {
            Location::Data { object, .. } => Some(object),
            _ => None,
        })
    }

    /// The first look that an operation would change the result of.
    #[must_use]
    pub fn first_disturbed(&self, by: &Operation) -> Option<usize> {
        self.looks.iter().position(|look| look.event.operation.conflicts(by))
    }
}

/// The beginning of a process, as it is recorded.
#[derive(Debug, Default)]
pub struct Recorder {
    /// The prefix so far.
    pub prefix: Prefix,
    /// Whether the process has done something else since, or ended.
    pub over: bool,
    /// Whether another process changed what it would have looked at: then this is not how it always begins.
    pub disturbed: bool,
}

impl Recorder {
    /// Adds an event. `after_others`: it depends on what another process did.
    pub fn add(&mut self, event: &Event, clock: u64, after_others: bool) {
        if self.over {
            return;
        }
        let changes = event.operation.accesses.iter().any(|access| access.kind != AccessKind::Read);
        self.disturbed |= after_others && !changes;
        // What is outside of the workspace stays where it is between executions: a copy may have it mapped.
        let call = &event.operation.call;
        let inside = call.path.as_ref().is_none_or(|path| !path.starts_with('/'));
        let maps = inside && matches!(call.name.as_str(), "mmap" | "execve" | "execveat");
        let goes_on = call.begins().is_some();
        // The answer to a question about a process may change with each step of that process, even with one that touches nothing, such as
        // its end.
        let about = |access: &Access| matches!(access.location, Location::Process(_));
        let asks = event.operation.accesses.iter().any(about);
        self.over = after_others || changes || maps || goes_on || asks || event.exit.is_some();
        if !self.over {
            self.prefix.looks.push(Look { event: event.clone(), clock });
        }
    }
}

/// What is known of the beginning of a process.
#[derive(Debug, Default)]
pub enum Beginning {
    /// Nothing yet.
    #[default]
    Unknown,
    /// This prefix, behind which a copy is to be kept.
    Recorded(Prefix),
    /// A copy is kept.
    Kept(Box<Checkpoint>),
    /// It has none that can be used.
    None,
}

/// A copy of a process, held behind its prefix.
#[derive(Debug)]
pub struct Checkpoint {
    /// The prefix.
    pub prefix: Prefix,
    tracee: Tracee,
    entry: Registers,
    random: Stream,
    children: u32,
    /// How many tasks the process had made.
    pub tasks: u32,
    /// Its virtual time.
    pub clock: u64,
    /// How much of it it was busy.
    pub busy: u64,
    /// Offsets of the files that it has open, outside of the workspace.
    offsets: Vec<(i32, u64)>,
    descriptors: Descriptors,
    out: Vec<u8>,
    err: Vec<u8>,
}

impl Drop for Checkpoint {
    fn drop(&mut self) {
        self.tracee.kill();
    }
}

/// What a process has open that a copy of it would share with it; `None` where a copy cannot stand for it: it has children, has
/// something of the workspace open, something that is not a plain file, or memory that a copy would not have to itself. `kept`: the pipe
/// that it is asked over, if it is, which is the same in every execution; and the inodes of what it prints to.
pub fn can_be_copied(task: &Task, init: Pid, kept: (Option<&str>, [u64; 2])) -> Option<Vec<(i32, u64)>> {
    let id = task.tracee.id();
    if !matches!(task.state, State::Held { .. }) || task.descriptors.borrow().any_object() {
        return None;
    }
    let leads_group = getpgid(Some(id)) == Ok(id) && getsid(Some(id)) == getsid(Some(init));
    let children = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children")).ok()?;
    let inside =
        |link: &str| proc_link(&format!("/proc/{id}/{link}")).map(|path| inside(&path).map(str::len));
    let moved = inside("cwd").ok()?.is_some_and(|depth| depth > 0);
    let own_program = inside("exe").ok()?.is_some();
    if !leads_group || !children.trim().is_empty() || moved || own_program || has_shared_memory(id).ok()? {
        return None;
    }
    offsets(id, kept).ok().flatten()
}

/// Whether a process has memory that a copy of it would share: all that is mapped as shared, but files that are mapped to read them.
fn has_shared_memory(id: Pid) -> io::Result<bool> {
    let maps = std::fs::read_to_string(format!("/proc/{id}/maps"))?;
    Ok(maps.lines().any(is_shared_memory))
}

/// The same of a line of `/proc/PID/maps`: addresses, rights, offset, device, inode, path.
fn is_shared_memory(line: &str) -> bool {
    let mut words = line.split_ascii_whitespace();
    let (rights, path) = (words.nth(1).unwrap_or_default(), words.nth(3).unwrap_or_default());
    let is_file = path.starts_with('/') && !path.starts_with("/memfd:") && !line.ends_with(" (deleted)");
    rights.ends_with('s') && (rights.contains('w') || !is_file)
}

/// The offsets of a process's open files; `None` where one of them is not a plain file, a device or what it prints to. A file in memory
/// is no plain file: a copy would write to the same one.
fn offsets(id: Pid, (input, prints_to): (Option<&str>, [u64; 2])) -> io::Result<Option<Vec<(i32, u64)>>> {
    let mut offsets = Vec::new();
    for entry in std::fs::read_dir(format!("/proc/{id}/fd"))? {
        let entry = entry?;
        let Some(number) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        let link = proc_link(&format!("/proc/{id}/fd/{number}"))?;
        if input == Some(&link) {
            continue;
        }
        if !link.starts_with('/') || link.starts_with(WORKSPACE) {
            return Ok(None);
        }
        let status =
            nix::sys::stat::stat(format!("/proc/{id}/fd/{number}").as_str()).map_err(io::Error::from)?;
        let plain = status.st_mode & libc::S_IFMT == libc::S_IFREG;
        let in_memory = link.starts_with("/memfd:");
        if in_memory && !prints_to.contains(&status.st_ino) {
            return Ok(None);
        }
        if plain && !in_memory {
            let text = std::fs::read_to_string(format!("/proc/{id}/fdinfo/{number}"))?;
            let offset = text.lines().find_map(|line| line.strip_prefix("pos:")?.trim().parse().ok());
            offsets.push((number, offset.unwrap_or(0)));
        }
    }
    Ok(Some(offsets))
}

/// A copy of a task that is held at an entry, the leader of a process group of its own.
fn copy(of: &Tracee, entry: &Registers) -> io::Result<Tracee> {
    let tracee = super::copies::copy(of, entry)?;
    tracee.call(entry, libc::SYS_setpgid, [0, 0, 0])?;
    Ok(tracee)
}

impl Checkpoint {
    /// Keeps a copy of the first task of a process, which can be copied, behind this prefix. `None` where there is no id for it.
    ///
    /// # Errors
    /// Where the machine fails.
    pub fn keep(
        sandbox: &Sandbox,
        program: usize,
        (name, task): (&Name, &Task),
        offsets: Vec<(i32, u64)>,
        (prefix, tasks, clock, busy): (Prefix, u32, u64, u64),
    ) -> Result<Option<Self>, TraceError> {
        let (State::Held { entry, .. }, Some(id)) = (&task.state, checkpoint_pid(name.process)) else {
            return Ok(None);
        };
        if sandbox.set_next_pid(id).is_err() {
            return Ok(None);
        }
        let tracee = copy(&task.tracee, entry)?;
        let (out, err) = sandbox.output(program)?;
        Ok(Some(Self {
            prefix,
            tracee,
            entry: *entry,
            random: task.random.clone(),
            children: task.children,
            tasks,
            clock,
            busy,
            offsets,
            descriptors: task.descriptors.borrow().clone(),
            out,
            err,
        }))
    }

    /// A process made from the checkpoint, held at the entry of the call behind the prefix.
    ///
    /// # Errors
    /// Where the machine fails.
    pub fn fork(&self, sandbox: &Sandbox, program: usize, name: &Name) -> Result<Task, TraceError> {
        sandbox.set_next_pid(first_pid(name.process))?;
        sandbox.set_output(program, &self.out, &self.err)?;
        for (descriptor, offset) in &self.offsets {
            let arguments = [*descriptor as u64, *offset, libc::SEEK_SET as u64];
            self.tracee.call(&self.entry, libc::SYS_lseek, arguments)?;
        }
        let tracee = copy(&self.tracee, &self.entry)?;
        let group = tracee.id();
        let descriptors = Rc::new(RefCell::new(self.descriptors.clone()));
        let mut task = Task::new(tracee, name, 0, group, descriptors);
        task.random = self.random.clone();
        task.children = self.children;
        Ok(task)
    }
}

#[cfg(test)]
mod tests {
    use super::is_shared_memory;

    #[test]
    fn what_a_copy_would_share_is_known_by_its_mapping() {
        let shared = [
            "7f00-7f01 rw-s 00000000 00:01 1026 /dev/zero (deleted)",
            "7f00-7f01 r--s 00000000 00:01 1026 /memfd:x (deleted)",
            "7f00-7f01 rw-s 00000000 00:01 32768 /SYSV00000000 (deleted)",
            "7f00-7f01 rw-s 00000000 08:01 77 /srv/file",
        ];
        let own = [
            "7f00-7f01 rw-p 00000000 00:00 0",
            "7f00-7f01 r--s 00000000 08:01 77 /usr/lib/gconv/gconv-modules.cache",
            "7f00-7f01 rw-p 00000000 00:00 0 [heap]",
        ];
        assert!(shared.into_iter().all(is_shared_memory));
        assert!(!own.into_iter().any(is_shared_memory));
    }
}
