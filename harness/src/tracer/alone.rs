//! Commands that run alone, in the workspace that processes have left.

use super::{Free, TraceError, Tracer};
use crate::limits::Limits;
use crate::model::{Exit, Tree};

/// What a command that ran alone did.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Alone {
    /// How it ended.
    pub exit: Exit,
    /// Its standard output.
    pub stdout: Vec<u8>,
    /// Its standard error.
    pub stderr: Vec<u8>,
}

/// Who can run them.
pub trait RunsAlone {
    /// Runs number `other` of the other programs in the workspace as it is.
    ///
    /// # Errors
    /// Where the machine fails, it is to stop, or the program does not end.
    fn run_alone(&mut self, other: usize) -> Result<Alone, TraceError>;

    /// What the workspace holds now.
    ///
    /// # Errors
    /// Where it cannot be read.
    fn capture(&self) -> Result<Tree, TraceError>;

    /// What ends them.
    fn limits(&self) -> &Limits;
}

impl RunsAlone for Tracer {
    fn run_alone(&mut self, other: usize) -> Result<Alone, TraceError> {
        Self::run_alone(self, other)
    }

    fn capture(&self) -> Result<Tree, TraceError> {
        Self::capture(self)
    }

    fn limits(&self) -> &Limits {
        Self::limits(self)
    }
}

impl RunsAlone for Free {
    fn run_alone(&mut self, other: usize) -> Result<Alone, TraceError> {
        Self::run_alone(self, other)
    }

    fn capture(&self) -> Result<Tree, TraceError> {
        Self::capture(self)
    }

    fn limits(&self) -> &Limits {
        Self::limits(self)
    }
}
