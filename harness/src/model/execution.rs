use serde::{Deserialize, Serialize};

use super::operation::{Operation, Payload};
use super::outcome::{Exit, Outcome};
use super::process::ProcessId;

/// What a strategy picked at a step. The list of choices, the *schedule*, alone decides an execution.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Choice {
    /// Let this process do its pending operation.
    Process(ProcessId),
}

/// Where a process stands when a choice is to be made.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Held at the entry of an operation that can go on.
    Enabled(Operation),
    /// Held at the entry of a blocking acquisition that cannot be had now.
    Blocked {
        /// The acquisition.
        operation: Operation,
        /// The processes that hold the lock against it (perhaps itself).
        holders: Vec<ProcessId>,
    },
    /// Over, but for the end as such, an operation that touches nothing: no process has asked or is held at a call that asks whether
    /// this one lives, so that nobody can see when it ends. Any choice leaves it at that, or ends it; once somebody asks, it is
    /// enabled.
    Ends {
        /// The end.
        operation: Operation,
        /// How it ends.
        exit: Exit,
    },
    /// Over.
    Finished(Exit),
}

impl Status {
    /// The operation that it is held at, if any.
    #[must_use]
    pub fn operation(&self) -> Option<&Operation> {
        match self {
            Self::Enabled(operation) | Self::Blocked { operation, .. } | Self::Ends { operation, .. } => {
                Some(operation)
            }
            Self::Finished(_) => None,
        }
    }

    /// Whether the process of this place cannot go on whatever others do, but take a signal: it waits for itself, or for something
    /// that is no operation.
    #[must_use]
    pub fn is_stuck(&self, process: ProcessId) -> bool {
        match self {
            Self::Blocked { operation, holders } => {
                let waits = operation.acquires.as_ref().is_some_and(|taken| taken.blocking);
                holders.contains(&process) || !(waits || operation.awaits || !operation.needs.is_empty())
            }
            _ => false,
        }
    }

    /// Whether it is to be chosen, now or later.
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        matches!(self, Self::Enabled(_))
    }

    /// Whether it may be chosen: also an end that nobody can see.
    #[must_use]
    pub fn may_be_chosen(&self) -> bool {
        matches!(self, Self::Enabled(_) | Self::Ends { .. })
    }

    /// How its process has ended, or ends unless it is sent a signal.
    #[must_use]
    pub fn exit(&self) -> Option<Exit> {
        match self {
            Self::Ends { exit, .. } | Self::Finished(exit) => Some(*exit),
            Self::Enabled(_) | Self::Blocked { .. } => None,
        }
    }
}

/// What a strategy sees when it chooses.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// What has happened in this execution; its length is the number of the step to choose.
    pub trace: &'a [Event],
    /// Where each process stands, in the order of the processes. At least one is enabled.
    pub processes: &'a [Status],
}

impl View<'_> {
    /// The processes that are to be chosen, now or later, in their order.
    pub fn enabled(&self) -> impl Iterator<Item = ProcessId> + '_ {
        self.processes
            .iter()
            .enumerate()
            .filter(|(_, status)| status.is_enabled())
            .map(|(index, _)| ProcessId(index))
    }

    /// The processes that may be chosen, in their order.
    pub fn may_be_chosen(&self) -> impl Iterator<Item = ProcessId> + '_ {
        let all = self.processes.iter().enumerate();
        all.filter(|(_, status)| status.may_be_chosen()).map(|(index, _)| ProcessId(index))
    }
}

/// What a call gave back.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CallResult {
    /// Its return value.
    Value(i64),
    /// The name of its error: `ENOENT`.
    Error(String),
}

/// One step of a trace: an operation that was executed, and what came of it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Event {
    /// Who.
    pub process: ProcessId,
    /// Which of its tasks (children, threads): empty for the first, `1.2` for the second child of its first child.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub task: String,
    /// What, with the accesses that it turned out to make.
    pub operation: Operation,
    /// What it gave back.
    pub result: CallResult,
    /// Set where the process ended in this step, after the operation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit: Option<Exit>,
    /// The bytes it moved, where they were asked for. Not part of a recording.
    #[serde(skip)]
    pub payload: Option<Payload>,
}

/// A process that waits at the end of an execution.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Waiting {
    /// Who waits.
    pub process: ProcessId,
    /// At which acquisition.
    pub operation: Operation,
    /// For whom.
    pub holders: Vec<ProcessId>,
}

impl Waiting {
    /// See [`Status::is_stuck`].
    #[must_use]
    pub fn is_stuck(&self) -> bool {
        let Self { process, operation, holders } = self.clone();
        Status::Blocked { operation, holders }.is_stuck(process)
    }
}

/// Why an execution was ended before its processes did.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Cut {
    /// All that could follow is equivalent to something that was run.
    Redundant,
    /// It belongs to another part of a search that was split.
    Elsewhere,
    /// It had as many steps as one execution may have.
    Steps,
}

/// A process that comes to no further operation and does not end.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Endless {
    /// Which process.
    pub process: ProcessId,
    /// What it does.
    pub does: Does,
    /// The name of the last system call that it was seen to make; empty if there was none. Many calls that concern nobody else are
    /// not seen.
    pub call: String,
}

/// What a process does without end.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Does {
    /// It computes.
    Computes,
    /// It sleeps, again and again: it has done so this many times.
    Sleeps(u64),
}

impl std::fmt::Display for Endless {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { process, does, call } = self;
        match does {
            Does::Computes if call.is_empty() => write!(f, "{process} computes without making a call"),
            Does::Computes => write!(f, "{process} computes without making a call; its last call was {call}"),
            Does::Sleeps(times) => write!(f, "{process} only sleeps: {times} sleeps and no operation"),
        }
    }
}

/// How an execution ended.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ending {
    /// Every process ran to its exit.
    Complete,
    /// Those that have not exited wait, and nobody can end it.
    Blocked(Vec<Waiting>),
    /// It was ended from outside.
    Cut(Cut),
    /// It was ended in the midst of its last step, behind which a process comes to no further operation.
    Endless(Endless),
}

/// One run under a schedule.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Execution {
    /// What was chosen, step by step.
    pub schedule: Vec<Choice>,
    /// What happened, step by step: as long as the schedule.
    pub trace: Vec<Event>,
    /// How it ended.
    pub ending: Ending,
    /// What it left. Of a cut execution, nothing.
    pub outcome: Outcome,
}

impl Execution {
    /// Whether every process ran to its exit.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.ending == Ending::Complete
    }

    /// How often the schedule goes from one process to another.
    #[must_use]
    pub fn context_switches(&self) -> u64 {
        self.schedule.windows(2).filter(|pair| pair[0] != pair[1]).count() as u64
    }
}
