use std::io;

use super::sandbox::SandboxError;
use crate::limits::Reached;
use crate::model::{BadTree, Endless, GapKind, ProcessId, Sighting};

/// Why an execution could not be run.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// The machine does not let processes be set apart.
    #[error("this machine cannot set processes apart: {0}")]
    Sandbox(SandboxError),
    /// The machine does not let processes be traced.
    #[error("this machine cannot trace processes: ptrace: {0}")]
    Forbidden(String),
    /// The tree that executions were to begin with would be written elsewhere.
    #[error("the workspace cannot be laid out: {0}")]
    Tree(#[from] BadTree),
    /// A system call of the controller's own failed.
    #[error("a system call failed: {0}")]
    System(io::Error),
    /// A process did something that may touch the workspace in a way that nobody here knows.
    #[error(
        "process {process} makes {what}, and this version does not know what that does to the workspace: have it do without"
    )]
    NotUnderstood {
        /// Which process.
        process: ProcessId,
        /// What.
        what: String,
    },
    /// A process makes children and threads without end.
    #[error("{process} has {most} children and threads at once and makes more: a fork bomb is not explored")]
    TooManyTasks {
        /// Who.
        process: ProcessId,
        /// How many it may have.
        most: usize,
    },
    /// A process did something else when its execution was run again.
    #[error(
        "the execution does not repeat: run again, {process} does something else at step {step}, so it depends on more than the schedule"
    )]
    NotRepeated {
        /// Which process.
        process: ProcessId,
        /// Its step, from 1.
        step: usize,
    },
    /// A call was not what its task was held at when it was made.
    #[error(
        "a self-check failed: {process} was held at {call} with the accesses {held}, and it is made with {fresh}. This is a fault of cooks: please report it with the commands and this message"
    )]
    StaleDecoding {
        /// Which process.
        process: ProcessId,
        /// The call's name.
        call: String,
        /// What it was held at.
        held: String,
        /// What it is when it is made.
        fresh: String,
    },
    /// The tracer has lost track of a process.
    #[error("lost track of a process: {0}")]
    Lost(String),
    /// A process comes to no further operation and does not end. Of an execution this is an ending, not an error.
    #[error("{0}")]
    Endless(Box<Endless>),
    /// The exploration was told to stop.
    #[error("interrupted")]
    Interrupted,
    /// The time for it is over.
    #[error("the time limit was reached")]
    TimeLimit,
}

impl From<Reached> for TraceError {
    fn from(reached: Reached) -> Self {
        match reached {
            Reached::Interrupted => Self::Interrupted,
            Reached::TimeLimit => Self::TimeLimit,
        }
    }
}

impl From<SandboxError> for TraceError {
    fn from(error: SandboxError) -> Self {
        match error {
            SandboxError::Ended(reached) => reached.into(),
            SandboxError::Ptrace(error) => Self::Forbidden(error),
            error => Self::Sandbox(error),
        }
    }
}

impl From<io::Error> for TraceError {
    fn from(error: io::Error) -> Self {
        match reached(&error) {
            Some(reached) => reached.into(),
            None if error.kind() == io::ErrorKind::Interrupted => Self::Interrupted,
            None => Self::System(error),
        }
    }
}

/// The limit that made a wait fail, if one did.
pub fn reached(error: &io::Error) -> Option<Reached> {
    error.get_ref().and_then(|inner| inner.downcast_ref()).copied()
}

impl TraceError {
    /// What is to be reported as not covered because of it: the call that nobody here knows.
    #[must_use]
    pub fn sighting(&self) -> Option<Sighting> {
        match self {
            Self::NotUnderstood { process, what } => {
                Some(Sighting::new(GapKind::UnknownCall, *process, what.clone()))
            }
            _ => None,
        }
    }
}
