use std::io;

use super::sandbox::SandboxError;
use crate::model::{GapKind, ProcessId, Sighting};

/// Why an execution could not be run.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// The machine does not let processes be set apart.
    #[error("this machine cannot set processes apart: {0}")]
    Sandbox(#[from] SandboxError),
    /// The machine does not let processes be traced.
    #[error("this machine cannot trace processes: ptrace: {0}")]
    Forbidden(String),
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
    /// The tracer has lost track of a process.
    #[error("lost track of a process: {0}")]
    Lost(String),
    /// The exploration was told to stop.
    #[error("interrupted")]
    Interrupted,
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
