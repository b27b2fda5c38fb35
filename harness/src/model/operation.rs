use serde::{Deserialize, Serialize};

use super::access::{Access, AccessKind, Location};
use super::execution::Event;
use super::process::ProcessId;

/// A system call in the words that people and recordings use. Two calls that are equal here are the same call.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Call {
    /// The kernel's name of it: `openat`, `pwrite64`, `flock`. Of a step that begins a unit, that of [`super::Begins`].
    pub name: String,
    /// The file it is on, relative to the workspace (`.` for the workspace itself).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// A second path: where a rename or link leads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// What else there is to say, in a few plain words: `create, truncate`, `exclusive`, `12 bytes at 0`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

impl Call {
    /// How the detail of a call ends that goes through a connection of sockets.
    pub const THROUGH_SOCKET: &'static str = "through the socket";
    /// The same of one that sends or receives a datagram.
    pub const AT_SOCKET: &'static str = "at the socket";
    /// How the detail of a call begins that waits until what it writes or sends finds room.
    pub const WAITS_FOR_ROOM: &'static str = "waits for room";
}

/// Shared or exclusive.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LockMode {
    /// Many may hold it.
    Shared,
    /// One may hold it.
    Exclusive,
}

/// The taking of a lock: a request that blocks until it can be had, or a try that has it.
///
/// A try that is refused takes nothing: its operation carries no acquisition and reads the lock. A release carries none either.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Acquisition {
    /// The lock: a [`Location::Lock`] or [`Location::RecordLock`].
    pub lock: Location,
    /// How it is taken.
    pub mode: LockMode,
    /// Whether the call waits until it can have the lock. Such an operation is enabled only while it can, and it races with
    /// other acquisitions of the lock, never with releases.
    pub blocking: bool,
}

/// What an operation may wait for: that each of these is so.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Need(pub Vec<Count>);

/// That something is there, or that nothing is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Count {
    /// What is counted: a whole [`Location::Stream`], by what was sent and not taken yet; or [`Location::Ends`], by how many have it
    /// open. Nothing is there in the beginning.
    pub of: Location,
    /// Whether there has to be some.
    pub some: bool,
}

impl Need {
    /// That there is some of it, or none.
    #[must_use]
    pub fn of(of: Location, some: bool) -> Self {
        Self(vec![Count { of, some }])
    }

    /// And that there is some of this.
    #[must_use]
    pub fn with(mut self, of: Location) -> Self {
        self.0.push(Count { of, some: true });
        self
    }

    /// And that there is none of this.
    #[must_use]
    pub fn without(mut self, of: Location) -> Self {
        self.0.push(Count { of, some: false });
        self
    }

    /// Whether it is met after these operations.
    #[must_use]
    pub fn is_met<'o>(&self, done: impl Iterator<Item = &'o Operation> + Clone) -> bool {
        self.0.iter().all(|count| count.is_so(done.clone()))
    }
}

impl Count {
    /// Whether it is so after these operations.
    pub fn is_so<'o>(&self, done: impl Iterator<Item = &'o Operation>) -> bool {
        let changes = done.flat_map(|operation| &operation.adds).filter(|(of, _)| *of == self.of);
        (changes.map(|(_, by)| by).sum::<i64>() > 0) == self.some
    }
}

/// One system call that touches what processes can share, held at its entry (then `accesses` is what it would do in the present
/// state) or executed (then `accesses` is what it did).
///
/// Invariant, on which partial-order reduction rests: the accesses name everything that the effect and the result of the call
/// depend on or change. If no other operation touches any of them in a conflicting way in between, the call does the same.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Operation {
    /// The call, for people and for replay.
    pub call: Call,
    /// What it touches, in the order in which the call finds out: whether and where a later access comes rests on the earlier
    /// ones alone (the name before the file that it leads to). What the search takes for certain of a call that is to come
    /// earlier than it did rests on this.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accesses: Vec<Access>,
    /// Set where the operation takes a lock; the accesses hold the lock too (`Write` where exclusive, `Join` where shared).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acquires: Option<Acquisition>,
    /// Whether it waits for a change of what it touches: it is enabled once another process has made one after the operation before
    /// it of its own process, which touches all that as well. So which changes come behind that operation is a matter of dependence.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub awaits: bool,
    /// Where it has to wait until one of these is met. It is enabled as long as one is, and touches all that this one counts. At most
    /// one of those that count the same thing can be met at a time; one that is met where nothing is there lets it change nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<Need>,
    /// How it changes what is counted. What it adds to or takes from, it touches as a change.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub adds: Vec<(Location, i64)>,
    /// Set if it is a wait for a lock that the kernel refuses, since it would close a cycle of processes that wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<Box<Refusal>>,
}

/// Why the kernel refuses a wait for a lock: it would close a cycle of processes that wait for each other's locks.
///
/// Nobody can see whether a process that is held at its wait has begun to wait. So as long as all processes of a cycle are held at their
/// waits, each of them may be the last to wait, whose wait the kernel refuses: the refusal of each is enabled. Once one of them was
/// refused, the others wait for their locks as usual.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Refusal {
    /// What the same call is if it closes no cycle: an acquisition that waits.
    pub instead: Operation,
    /// The other waiters of the cycle.
    pub waiters: Vec<Waiter>,
}

/// A process or task that is held at its wait for a lock.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Waiter {
    /// Its process, as a location that all its operations touch: [`Location::Process`], or [`Location::Tasks`].
    pub of: Location,
    /// How many operations the process had done when it came there.
    pub since: u32,
}

impl Operation {
    /// The end of a process that gives nothing back. What else there is to see of it is in the location of the process as such, which each
    /// operation touches.
    #[must_use]
    pub fn end() -> Self {
        Self::ending(String::new(), Vec::new())
    }

    /// The end of a task, with what it gives back, also in words.
    #[must_use]
    pub fn ending(detail: String, accesses: Vec<Access>) -> Self {
        let call = Call { name: "exit".into(), path: None, target: None, detail };
        Self { call, accesses, ..Self::default() }
    }

    /// A wait for a lock that is refused, as it would close a cycle with these waiters. It reads where the waiters stand, and the locks
    /// that they and this process wait for. `instead` is what it would be otherwise.
    #[must_use]
    pub fn refusal(instead: Self, locks: Vec<Location>, waiters: Vec<Waiter>) -> Self {
        let own = instead.accesses.iter().map(|access| access.location.clone());
        let mut accesses: Vec<Access> = Vec::new();
        for location in own.chain(locks).chain(waiters.iter().map(|waiter| waiter.of.clone())) {
            let look = Access::read(location);
            if !accesses.contains(&look) {
                accesses.push(look);
            }
        }
        let refused = Some(Box::new(Refusal { instead: instead.clone(), waiters }));
        Self { call: instead.call, accesses, refused, ..Self::default() }
    }

    /// Whether it is an end.
    #[must_use]
    pub fn is_end(&self) -> bool {
        self.call.name == "exit"
    }

    /// Whether the operations of two processes, this one and the other one of `whose`, do not commute.
    #[must_use]
    pub fn disturbs(&self, process: ProcessId, other: &Self, whose: ProcessId) -> bool {
        self.conflicts(other) || self.concerns(whose) || other.concerns(process)
    }

    /// The processes that it sends signals to.
    pub fn signalled(&self) -> impl Iterator<Item = ProcessId> + '_ {
        self.accesses.iter().filter(|access| access.kind != AccessKind::Read).filter_map(
            |access| match access.location {
                Location::Process(process) => Some(process),
                _ => None,
            },
        )
    }

    /// The process that it is of as an operation of one of its tasks, where the order of these is explored.
    #[must_use]
    pub fn of_task_of(&self) -> Option<ProcessId> {
        self.accesses.iter().find_map(|access| match access.location {
            Location::Tasks(process) => Some(process),
            _ => None,
        })
    }

    /// Whether it is about this process as such.
    #[must_use]
    pub fn concerns(&self, process: ProcessId) -> bool {
        self.accesses.iter().any(|access| access.location == Location::Process(process))
    }

    /// Whether what the two touch by themselves conflicts.
    #[must_use]
    pub fn conflicts(&self, other: &Self) -> bool {
        self.accesses.iter().any(|a| other.accesses.iter().any(|b| a.conflicts(b)))
    }

    /// Whether it, an operation of `process`, changes something that is touched so.
    #[must_use]
    pub fn changes(&self, process: ProcessId, touched: &[Access]) -> bool {
        let own = Access::by(process);
        let mut changes = self.accesses.iter().filter(|access| access.kind != AccessKind::Read).chain([&own]);
        changes.any(|change| touched.iter().any(|access| change.conflicts(access)))
    }

    /// Whether it has what it waits for, if it [`awaits`](Self::awaits) anything, as the next operation of `process` after a trace.
    #[must_use]
    pub fn has_come(&self, process: ProcessId, trace: &[Event]) -> bool {
        let since = trace.iter().rev().take_while(|event| event.process != process);
        let comes = !self.awaits
            || since.into_iter().any(|event| event.operation.changes(event.process, &self.accesses));
        comes && self.has_its_needs(trace.iter().map(|event| &event.operation))
    }

    /// Whether one of its needs is met after these operations, if it has any.
    #[must_use]
    pub fn has_its_needs<'o>(&self, done: impl Iterator<Item = &'o Self> + Clone) -> bool {
        self.needs.is_empty() || self.needs.iter().any(|need| need.is_met(done.clone()))
    }
}

/// The bytes that a call moved, kept where the explanation of an anomaly needs them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Payload {
    /// The file's path in the workspace at the time of the call.
    pub path: String,
    /// Whether the call put them into the file (else it took them out).
    pub written: bool,
    /// Offset in the file.
    pub offset: u64,
    /// The bytes, whole.
    pub bytes: Vec<u8>,
}
