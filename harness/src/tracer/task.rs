//! The tasks of the processes under test: children and threads, each with a name that does not depend on timing.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;

use nix::unistd::Pid;

use super::chance::Stream;
use super::checkpoint::Recorder;
use super::decode::{Action, Held};
use super::endings::Segment;
use super::files::Descriptors;
use super::polling::{Polling, TASK_COST};
use super::signals::Signal;
use super::tracee::{Registers, Tracee};
use crate::model::{Exit, ObjectId, Operation};

/// The name of a task: the process that it belongs to, and its way down from the first task: `[2, 1]` is the first child of the
/// second child. The order of names is the order in which tasks are run.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Name {
    /// The process's place.
    pub process: usize,
    /// The way down.
    pub way: Vec<u32>,
}

impl fmt::Display for Name {
    /// `1.2`; nothing for the first task.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let way: Vec<String> = self.way.iter().map(ToString::to_string).collect();
        f.write_str(&way.join("."))
    }
}

/// Where a task stands. The controller never leaves one running.
#[derive(Debug)]
pub enum State {
    /// Stopped, and may go on.
    Ready,
    /// Held at the entry of an operation.
    Held {
        /// The operation.
        held: Box<Held>,
        /// The registers at the entry.
        entry: Registers,
        /// When it came to be held: those that came first are offered first.
        turn: u64,
    },
    /// Held at its end, which releases something, or which others may see.
    Ending {
        /// What that does.
        operation: Operation,
        /// As above.
        turn: u64,
        /// Whether it is the last of its thread group.
        alone: bool,
        /// Where it is held at the entry of the call that ends it, and takes signals still: the registers there, and how it ends. Else it
        /// is held where it can take none any more.
        call: Option<Box<(Registers, Exit)>>,
    },
    /// In the kernel, opening one end of a FIFO, until somebody opens the other one.
    Meeting {
        /// What is left to do, and for whose opening it waits.
        held: Box<Held>,
        /// When it came to wait.
        turn: u64,
        /// Whether somebody has come: then it is stopped at the exit of the call.
        come: bool,
    },
    /// At rest in a call that slept. It may go on when something else in its tree has moved since.
    Asleep {
        /// How far the tree had moved when it fell asleep.
        since: u64,
        /// The registers in the call.
        call: Registers,
    },
    /// In the kernel until its child runs another program or ends.
    AwaitsChild,
    /// The same, and the child has done so.
    ChildIsDone,
    /// Stopped by job control.
    Suspended,
}

/// A task.
#[derive(Debug)]
pub struct Task {
    /// Its hold on ptrace.
    pub tracee: Tracee,
    /// Where it stands.
    pub state: State,
    /// As which of its process's tasks it was made, from 0.
    pub number: usize,
    /// The id of the first task of its thread group.
    pub group: Pid,
    /// Its descriptors, shared with its threads.
    pub descriptors: Rc<RefCell<Descriptors>>,
    /// Its random bytes.
    pub random: Stream,
    /// How many tasks it has made.
    pub children: u32,
    /// The signal to deliver when it goes on, or 0.
    pub signal: i32,
    /// The local call that it is to be watched to the exit of.
    pub watched: Option<Action>,
    /// Who waits for it to run another program or to end.
    pub awaited_by: Option<Name>,
    /// When the sleep ends that it asked for, by the clock of its process.
    pub sleeps_until: Option<u64>,
    /// Whether what it waits for a change of has changed.
    pub come: bool,
    /// How far its process had moved when it last looked at what it waits for.
    pub looked: u64,
    /// How many operations its process had done when it came to wait.
    pub waits_since: u32,
    /// How many operations its process had done when it came to what it is held at.
    pub held_since: u32,
    /// The call that it makes in parts.
    pub parts: Option<Parts>,
    /// The number of the last call that it was stopped at.
    pub last_call: Option<u64>,
    /// The limits of its own stack, while it has others because it starts a program.
    pub stack: Option<libc::rlimit>,
    /// The program that it runs, if that is a file of the workspace.
    pub runs: Option<ObjectId>,
}

/// A call that is made in parts, as it waits in between.
#[derive(Clone, Copy, Debug)]
pub struct Parts {
    /// The registers at its entry.
    pub entry: Registers,
    /// How many bytes it has moved.
    pub moved: u64,
}

impl Task {
    /// A task that has just begun.
    #[must_use]
    pub fn new(
        tracee: Tracee,
        name: &Name,
        number: usize,
        group: Pid,
        descriptors: Rc<RefCell<Descriptors>>,
    ) -> Self {
        let stream = format!("{}/{name}", name.process);
        Self {
            tracee,
            state: State::Ready,
            number,
            group,
            descriptors,
            random: Stream::new(&stream),
            children: 0,
            signal: 0,
            watched: None,
            awaited_by: None,
            sleeps_until: None,
            come: false,
            looked: 0,
            waits_since: 0,
            held_since: 0,
            parts: None,
            last_call: None,
            stack: None,
            runs: None,
        }
    }

    /// The operation it is held at, and since when.
    #[must_use]
    pub fn pending(&self) -> Option<(&Operation, u64)> {
        match &self.state {
            State::Held { held, turn, .. } => Some((&held.operation, *turn)),
            State::Meeting { held, turn, .. } => Some((&held.operation, *turn)),
            State::Ending { operation, turn, .. } => Some((operation, *turn)),
            _ => None,
        }
    }
}

/// A process under test.
#[derive(Debug, Default)]
pub struct Process {
    /// The virtual time that it sees, in nanoseconds since the beginning.
    pub clock: u64,
    /// How many operations it has done.
    pub operations: u32,
    /// How its first task ended.
    pub exit: Option<Exit>,
    /// Whether its end has come as an operation: from then on it is there for nobody.
    pub is_over: bool,
    /// How far its tree has moved: counts what its tasks did.
    pub moved: u64,
    /// How many tasks were made in it, the first included.
    pub tasks: u32,
    /// Whether it has waited for time to pass.
    pub has_slept: bool,
    /// Whether that is new: what its other tasks are held at is to be decoded again.
    pub sees_more: bool,
    /// Timers that were let run out since its last operation.
    pub timers: u32,
    /// Its sleeps since its last operation.
    pub pauses: Pauses,
    /// What it has done since its last operation.
    pub segment: Segment,
    /// Where it is not started yet: how many of the looks of its checkpoint it has done.
    pub looked: Option<usize>,
    /// The place of the command that it runs, of those that it is.
    pub command: usize,
    /// How the commands before that ended.
    pub earlier: Vec<Exit>,
    /// The time at which it was asked last, by its own clock.
    pub asked: u64,
    /// Its beginning, while that is recorded.
    pub recorder: Option<Recorder>,
    /// What it looks at in vain, and whether it is held at that.
    pub polling: Polling,
    /// No sleep ends before this time: that of the change which it waited for.
    pub not_before: u64,
    /// The signals that it has to take, in the order in which it takes them.
    pub signals: Vec<Signal>,
    /// Whether a signal has stopped it.
    pub is_stopped: bool,
    /// Whether it was sent a signal since its last operation.
    pub was_told: bool,
    /// How much of its time it was busy, in nanoseconds: its operations and looks at the clock.
    pub busy: u64,
    /// Whether it has a timer, while all that it is held at may have to wait for a lock.
    pub has_timer: bool,
    /// How many bytes it can write before its standard streams need to be looked at: more than they are kept, it may be, then.
    pub surely_kept: u64,
}

/// The sleeps of a process between two operations.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pauses {
    /// How many there were.
    pub count: u64,
    /// What they count for: one with a task that was made before it counts as several, since a shell starts a program to sleep.
    pub cost: u64,
    /// Whether a task was made since the last one.
    pub made: bool,
}

impl Pauses {
    /// Takes note of a sleep.
    pub fn note(&mut self) {
        self.count += 1;
        self.cost += if std::mem::take(&mut self.made) { TASK_COST } else { 1 };
    }
}

impl Process {
    /// Takes note of a sleep. A beginning that is recorded ends there: what was looked at before counts for what comes after it.
    pub fn sleeps(&mut self) {
        self.polling.sleeps();
        self.sees_more |= !self.has_slept;
        self.has_slept = true;
        self.end_prefix();
    }

    /// Ends the beginning that is recorded.
    pub fn end_prefix(&mut self) {
        if let Some(recorder) = &mut self.recorder {
            recorder.over = true;
        }
    }
}
