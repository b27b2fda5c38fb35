//! The commands that prepare a workspace, and those that look at it when all processes are over.

use super::SessionError;
use crate::limits::Phase;
use crate::model::{Ending, Execution, Exit, Tree};
use crate::oracle::CheckRun;
use crate::scenario::Scenario;
use crate::tracer::{Alone, Program, RunsAlone, TraceError, Tracer};

/// How much is kept of what a command that fails says, in lines and in bytes.
const MOST_LINES: usize = 10;
const MOST_BYTES: usize = 4096;

/// Which of the tracer's other programs is which, with its command.
#[derive(Debug, Default)]
pub(super) struct Afterwards {
    setup: Option<(usize, String)>,
    last: Option<(usize, String)>,
    canon: Option<(usize, String)>,
    check: Option<(usize, String)>,
}

impl Afterwards {
    /// The commands of a scenario, and the programs to give to the tracer for them.
    pub(super) fn of(scenario: &Scenario) -> (Self, Vec<Program>) {
        let mut programs = Vec::new();
        let mut add = |command: &Option<String>| {
            let command = command.clone()?;
            programs.push(Program::parse(&command));
            Some((programs.len() - 1, command))
        };
        let afterwards = Self {
            setup: add(&scenario.setup),
            last: add(&scenario.last),
            canon: add(&scenario.canon),
            check: add(&scenario.check),
        };
        (afterwards, programs)
    }

    /// Lays out the workspace that every execution begins with.
    pub(super) fn set_up(&self, tracer: &mut Tracer) -> Result<(), SessionError> {
        let Some((number, command)) = &self.setup else { return Ok(()) };
        tracer.reset()?;
        let alone = run(tracer, Phase::Setup, *number, command)?;
        if !alone.exit.is_success() {
            return Err(failure("--setup", command, &alone));
        }
        tracer.begin_from_here()?;
        Ok(())
    }

    /// Completes the outcome of an execution in which every process has exited: the last command, the canonical form, the check.
    pub(super) fn finish(
        &self,
        tracer: &mut impl RunsAlone,
        execution: &mut Execution,
    ) -> Result<Option<CheckRun>, SessionError> {
        if execution.ending != Ending::Complete {
            return Ok(None);
        }
        if let Some((number, command)) = &self.last {
            let alone = run(tracer, Phase::Final, *number, command)?;
            execution.outcome.last = Some((alone.exit, text(&alone.stdout)));
            execution.outcome.tree = tracer.capture()?;
        }
        if let Some((number, command)) = &self.canon {
            let alone = run(tracer, Phase::Canon, *number, command)?;
            execution.outcome.canon = Some(text(&alone.stdout));
            if !alone.exit.is_success() {
                execution.outcome.canon_failed = Some((alone.exit, last_lines(&alone.stderr)));
            }
            execution.outcome.tree = Tree::new();
        }
        let Some((number, command)) = &self.check else { return Ok(None) };
        let alone = run(tracer, Phase::Check, *number, command)?;
        let output = text(&[alone.stdout, alone.stderr].concat());
        Ok(Some(CheckRun { command: command.clone(), exit: alone.exit, output }))
    }

    /// The error that it is if `--canon` fails in every serial order, as it did here.
    pub(super) fn canon_fails(&self, (exit, said): &(Exit, String)) -> SessionError {
        let command = self.canon.as_ref().map_or_else(String::new, |(_, command)| command.clone());
        let output = said.lines().map(|line| format!("\n  {line}")).collect();
        SessionError::Command { option: "--canon", command, exit: *exit, output }
    }
}

/// Runs one of these commands.
fn run(
    tracer: &mut impl RunsAlone,
    phase: Phase,
    number: usize,
    command: &str,
) -> Result<Alone, SessionError> {
    let limits = tracer.limits().clone();
    let _phase = limits.during(phase);
    let option = match phase {
        Phase::Setup => "--setup",
        Phase::Final => "--final",
        Phase::Canon => "--canon",
        _ => "--check",
    };
    tracer.run_alone(number).map_err(|error| match error {
        TraceError::Endless(endless) => {
            SessionError::EndlessCommand { option, command: command.to_owned(), does: endless.does }
        }
        error => error.into(),
    })
}

/// What a command said last on its standard error: so many lines of so many bytes at most.
fn last_lines(said: &[u8]) -> String {
    let said = text(&said[said.len().saturating_sub(MOST_BYTES)..]);
    let lines: Vec<&str> = said.lines().collect();
    lines[lines.len().saturating_sub(MOST_LINES)..].join("\n")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn failure(option: &'static str, command: &str, alone: &Alone) -> SessionError {
    let output = text(&[alone.stdout.as_slice(), &alone.stderr].concat());
    let lines: String = output.lines().take(10).map(|line| format!("\n  {line}")).collect();
    SessionError::Command { option, command: command.into(), exit: alone.exit, output: lines }
}

impl From<std::io::Error> for SessionError {
    fn from(error: std::io::Error) -> Self {
        Self::Trace(TraceError::from(error))
    }
}
