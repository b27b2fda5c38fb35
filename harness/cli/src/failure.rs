//! What ends the program early: one message, one exit code.

use std::process::ExitCode;

use cooks_harness::diagnose::DiagnoseError;
use cooks_harness::report::Broken;
use cooks_harness::scenario::ScenarioError;
use cooks_harness::session::SessionError;
use cooks_harness::tracer::TraceError;
use cooks_harness::witness::{Divergence, WitnessError};

use crate::say;

/// Every interleaving is fine; or every scenario is as expected; or nothing is wrong with a directory.
pub const CLEAN: u8 = 0;
/// An anomaly; or a scenario that is not as expected; or findings in a directory.
pub const ANOMALY: u8 = 1;
/// Bad input or usage.
pub const USAGE: u8 = 2;
/// A bound ended the search first, and nothing was found.
pub const INCONCLUSIVE: u8 = 3;
/// This machine cannot trace; or has no `/proc` to look at.
pub const CANNOT_TRACE: u8 = 4;
/// A replay that does not match its recording.
pub const DIVERGENCE: u8 = 5;
/// Our fault.
pub const INTERNAL: u8 = 6;
/// Ctrl-C.
pub const INTERRUPTED: u8 = 130;

/// A message and an exit code.
#[derive(Debug)]
pub struct Failure {
    code: u8,
    message: String,
}

impl Failure {
    /// What the user said is wrong.
    pub fn usage(message: impl Into<String>) -> Self {
        Self { code: USAGE, message: message.into() }
    }

    /// What the user asks for is in the contract, but not built yet.
    pub fn not_built(what: &str) -> Self {
        Self::usage(format!("{what} is not built yet"))
    }

    /// The same, of one thing among several.
    pub fn of(self, what: &str) -> Self {
        Self { message: format!("{what}: {}", self.message), ..self }
    }

    /// A replay that does not match its recording.
    pub fn diverged(divergence: &Divergence) -> Self {
        Self { code: DIVERGENCE, message: divergence.to_string() }
    }

    /// One scenario among several that cannot be run because of this.
    pub fn breaks(self, scenario: &str) -> Broken {
        Broken { scenario: scenario.to_owned(), error: self.message, code: self.code }
    }

    /// A scenario that cannot be run.
    pub fn broken(broken: &Broken) -> Self {
        Self { code: broken.code, message: broken.error.clone() }
    }

    /// Ctrl-C, before there was anything to report.
    pub fn interrupted() -> Self {
        Self { code: INTERRUPTED, message: "interrupted".into() }
    }

    /// What should not happen.
    pub fn internal(message: impl Into<String>) -> Self {
        Self { code: INTERNAL, message: message.into() }
    }

    /// Whether it is of the machine, and not of one scenario among several.
    pub fn ends_all(&self) -> bool {
        self.code == CANNOT_TRACE
    }

    /// Prints the message; gives the exit code.
    pub fn tell(&self) -> ExitCode {
        if !self.message.is_empty() {
            say::aloud(&format!("cooks: {}", self.message));
        }
        ExitCode::from(self.code)
    }
}

impl From<SessionError> for Failure {
    fn from(error: SessionError) -> Self {
        let code = match &error {
            SessionError::Trace(TraceError::Interrupted) => INTERRUPTED,
            SessionError::Trace(TraceError::TimeLimit | TraceError::Endless(_)) => INCONCLUSIVE,
            SessionError::EndlessCommand { .. } => INCONCLUSIVE,
            SessionError::Trace(TraceError::Sandbox(_) | TraceError::Forbidden(_)) => CANNOT_TRACE,
            SessionError::Trace(
                TraceError::NotUnderstood { .. } | TraceError::TooManyTasks { .. } | TraceError::Tree(_),
            ) => USAGE,
            SessionError::Divergence(_) | SessionError::Trace(TraceError::NotRepeated { .. }) => DIVERGENCE,
            SessionError::Trace(_) => INTERNAL,
            _ => USAGE,
        };
        let hint = if code == CANNOT_TRACE { "; `cooks doctor` says what is missing" } else { "" };
        Self { code, message: format!("{error}{hint}") }
    }
}

impl From<DiagnoseError> for Failure {
    fn from(error: DiagnoseError) -> Self {
        let code = match &error {
            DiagnoseError::NoProc(_) => CANNOT_TRACE,
            DiagnoseError::Interrupted => INTERRUPTED,
            _ => USAGE,
        };
        Self { code, message: error.to_string() }
    }
}

impl From<TraceError> for Failure {
    fn from(error: TraceError) -> Self {
        SessionError::from(error).into()
    }
}

impl From<ScenarioError> for Failure {
    fn from(error: ScenarioError) -> Self {
        Self::usage(error.to_string())
    }
}

impl From<WitnessError> for Failure {
    fn from(error: WitnessError) -> Self {
        Self::usage(error.to_string())
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            // Whoever reads has seen enough.
            std::io::ErrorKind::BrokenPipe => Self { code: CLEAN, message: String::new() },
            _ => Self::internal(format!("cannot print: {error}")),
        }
    }
}
