//! Programs that run free: where those live that are traced, and given the same, but held by nobody. They run side by side as the
//! machine has it, in real time, with random numbers and addresses as they come.
//!
//! An init of its own, as of a [`Sandbox`](super::Sandbox), forks for each process a *minder*, which runs its commands one after another, each when
//! all descendants of the one before are gone, and tells how they ended. All minders wait at one barrier and are let go together.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll, ppoll};
use nix::sys::socket::{MsgFlags, send};
use nix::sys::time::TimeSpec;
use nix::unistd::{ForkResult, Pid, pipe2};

use super::chance::EPOCH;
use super::laid::lay_anew;
use super::output::Output;
use super::program::Program;
use super::sandbox::{self, Inside};
use super::start::{Control, Prepared, begin, environment};
use super::{Alone, TraceError, sys};
use crate::limits::Limits;
use crate::model::{Exit, Outcome, Root, Tree};
use crate::workspace;

/// Bytes of a record of how a command ended: process, command, raw status.
const RECORD: usize = 12;

/// Programs, and where they run. What they leave stays until it is reset.
#[derive(Debug)]
pub struct Free {
    inside: Inside,
    outputs: Vec<Output>,
    /// Of each program, how many commands it is.
    commands: Vec<usize>,
    processes: usize,
    patience: Duration,
    limits: Limits,
}

/// What an init is to start: a program, by its number, so long after the others are let go.
#[derive(Clone, Copy, Debug)]
pub struct Start {
    /// Which program.
    pub program: usize,
    /// How much later.
    pub delay: Duration,
}

impl Free {
    /// Prepares to run `programs` side by side, and `others` alone. Who has not ended after `patience` is ended, with everything that it
    /// started. When a limit is reached, what goes on ends with that.
    ///
    /// # Errors
    /// Where the machine does not let processes be set apart.
    pub fn new(
        programs: &[Program],
        others: &[Program],
        patience: Duration,
        limits: &Limits,
    ) -> Result<Self, TraceError> {
        let all = [programs, others].concat();
        let (prepared, outputs) = sandbox::prepare(&all)?;
        let commands: Vec<usize> = all.iter().map(|program| program.parts().len()).collect();
        let requests: Vec<Option<Arc<[String]>>> =
            all.iter().map(|program| program.requests().cloned()).collect();
        let mut rest = prepared.into_iter();
        let of = |(count, requests): (&usize, Option<Arc<[String]>>)| Minded {
            commands: rest.by_ref().take(*count).collect(),
            requests,
        };
        let minded: Vec<Minded> = commands.iter().zip(requests).map(of).collect();
        let inside = Inside::start(Root::Host, limits, |gate| init(gate, &minded))?;
        let limits = limits.clone();
        Ok(Self { inside, outputs, commands, processes: programs.len(), patience, limits })
    }

    /// Makes the workspace as it is at the beginning, with nothing printed yet.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn reset(&mut self, initial: &Tree) -> Result<(), TraceError> {
        self.inside.clear_beside_workspace()?;
        lay_anew(&self.inside.workspace(), initial)?;
        workspace::date(&self.inside.workspace(), initial, EPOCH + initial.clock(), EPOCH)?;
        for Output { out, err, .. } in &self.outputs {
            out.set_len(0)?;
            err.set_len(0)?;
        }
        Ok(())
    }

    /// Runs some of the programs side by side, until all that they started is gone; how the commands of each ended, by the numbers of all
    /// programs. `None` where they were not over in time: then everything is gone, and this can run nothing more.
    ///
    /// # Errors
    /// Where the machine fails, or it is to stop.
    pub fn run(&mut self, starts: &[Start]) -> Result<Option<Vec<Vec<Exit>>>, TraceError> {
        let word = |number: u128| u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes();
        let request: Vec<u8> = starts
            .iter()
            .flat_map(|start| [word(start.program as u128), word(start.delay.as_micros())].concat())
            .collect();
        send(self.inside.gate().as_raw_fd(), &request, MsgFlags::MSG_NOSIGNAL).map_err(io::Error::from)?;
        let begun = Instant::now();
        loop {
            self.limits.event()?;
            if begun.elapsed() >= self.patience {
                self.inside.kill();
                return Ok(None);
            }
            let mut gate = [PollFd::new(self.inside.gate().as_fd(), PollFlags::POLLIN)];
            match poll(&mut gate, PollTimeout::from(sandbox::LOOK)) {
                Ok(0) | Err(nix::errno::Errno::EINTR) => {}
                Ok(_) => return Ok(Some(self.exits(&sandbox::receive(self.inside.gate())?)?)),
                Err(error) => return Err(io::Error::from(error).into()),
            }
        }
    }

    fn exits(&self, records: &[u8]) -> Result<Vec<Vec<Exit>>, TraceError> {
        let mut exits: Vec<Vec<Exit>> = self.commands.iter().map(|_| Vec::new()).collect();
        let lost = || TraceError::Lost("how it ended is not told".into());
        let (records, []) = records.as_chunks::<RECORD>() else { return Err(lost()) };
        for record in records {
            let ([program, _, status], []) = record.as_chunks::<4>() else { return Err(lost()) };
            let status = i32::from_le_bytes(*status);
            let exit = match libc::WIFSIGNALED(status) {
                true => Exit::Signal(libc::WTERMSIG(status)),
                false => Exit::Status(libc::WEXITSTATUS(status)),
            };
            exits.get_mut(u32::from_le_bytes(*program) as usize).ok_or_else(lost)?.push(exit);
        }
        Ok(exits)
    }

    /// What there is when programs have run that ended so.
    ///
    /// # Errors
    /// Where the workspace cannot be read.
    pub fn outcome(&self, mut exits: Vec<Vec<Exit>>) -> Result<Outcome, TraceError> {
        exits.truncate(self.processes);
        let last = exits.iter_mut().map(Vec::pop).collect();
        let earlier = if exits.iter().all(Vec::is_empty) { Vec::new() } else { exits };
        let stdout = self.outputs[..self.processes].iter().map(|output| Ok(output.kept()?.0));
        let stdout = stdout.collect::<Result<_, TraceError>>()?;
        Ok(Outcome { tree: self.capture()?, exits: last, earlier, stdout, ..Outcome::default() })
    }

    /// What the workspace holds now.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn capture(&self) -> Result<Tree, TraceError> {
        Ok(workspace::capture_own(&self.inside.workspace())?)
    }

    /// What ends it.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Runs number `other` of the other programs alone, in the workspace as it is.
    ///
    /// # Errors
    /// Where the machine fails, it is to stop, or the program does not end.
    pub fn run_alone(&mut self, other: usize) -> Result<Alone, TraceError> {
        let program = self.processes + other;
        for file in [&self.outputs[program].out, &self.outputs[program].err] {
            file.set_len(0)?;
        }
        let exits = self.run(&[Start { program, delay: Duration::ZERO }])?;
        let exit = exits.and_then(|exits| exits[program].last().copied());
        let lost = || TraceError::Lost("a command that runs alone does not come to an end".into());
        let exit = exit.ok_or_else(lost)?;
        let (stdout, stderr) = self.outputs[program].kept()?;
        Ok(Alone { exit, stdout, stderr })
    }
}

/// A program as its minder has it.
struct Minded {
    commands: Vec<Prepared>,
    requests: Option<Arc<[String]>>,
}

/// The life of the init: for each request, minders for the programs; their records when all are gone.
fn init(gate: &OwnedFd, minded: &[Minded]) -> i32 {
    let environment = environment();
    let reaping = sys::let_children_be_reaped(true).and_then(|()| sys::die_with_parent());
    if reaping.is_err() {
        return 1;
    }
    loop {
        let Ok(request) = sandbox::receive(gate) else { return 1 };
        let (starts, []) = request.as_chunks::<8>() else { return 1 };
        if starts.is_empty() {
            return 1;
        }
        let (Ok((barrier, hold)), Ok((records, tell))) = (pipe2(OFlag::O_CLOEXEC), pipe2(OFlag::O_CLOEXEC))
        else {
            return 1;
        };
        for start in starts {
            let ([program, delay], []) = start.as_chunks::<4>() else { return 1 };
            let program = u32::from_le_bytes(*program);
            let delay = Duration::from_micros(u32::from_le_bytes(*delay).into());
            match sys::fork() {
                Ok(ForkResult::Child) => {
                    drop((hold, records));
                    let told = mind(program, &minded[program as usize], barrier, delay, tell, &environment);
                    sys::exit_now(i32::from(told.is_err()))
                }
                Ok(ForkResult::Parent { .. }) => {}
                Err(_) => return 1,
            }
        }
        // They are let go.
        drop((hold, barrier, tell));
        let mut told = Vec::new();
        // Who is killed from outside, a minder too, has closed its end.
        if File::from(records).read_to_end(&mut told).is_err() {
            return 1;
        }
        while !matches!(sys::wait_for_any(), Ok(None)) {}
        if send(gate.as_raw_fd(), &told, MsgFlags::MSG_NOSIGNAL).is_err() {
            return 1;
        }
    }
}

/// The life of a minder: waits until it is let go, runs the commands, tells how each ended.
fn mind(
    program: u32,
    minded: &Minded,
    barrier: OwnedFd,
    delay: Duration,
    tell: OwnedFd,
    environment: &[std::ffi::CString],
) -> io::Result<()> {
    nix::sys::prctl::set_child_subreaper(true)?;
    sys::let_children_be_reaped(false)?;
    let mut tell = File::from(tell);
    let _ = File::from(barrier).read(&mut [0])?;
    pause(delay);
    for (number, command) in (0u32..).zip(&minded.commands) {
        let input = minded.requests.as_deref().map(ask).transpose()?;
        let main = match sys::fork()? {
            ForkResult::Child => {
                drop(tell);
                sys::exit_now(begin(command, environment, Control::Free(input.as_ref().map(OwnedFd::as_fd))))
            }
            ForkResult::Parent { child } => child,
        };
        drop(input);
        let status = wait_for_all(main)?;
        tell.write_all(&[program, number, status.cast_unsigned()].map(u32::to_le_bytes).concat())?;
    }
    Ok(())
}

/// Waits until no descendant is left; the raw status that this one ended with.
fn wait_for_all(main: Pid) -> io::Result<i32> {
    let mut ended = Err(io::ErrorKind::NotFound.into());
    while let Some((child, status)) = sys::wait_for_any()? {
        if child == main {
            ended = Ok(status);
        }
    }
    ended
}

/// The reading end of a pipe that gives these lines, from a process of its own.
fn ask(requests: &[String]) -> io::Result<OwnedFd> {
    let (reading, writing) = pipe2(OFlag::O_CLOEXEC)?;
    match sys::fork()? {
        ForkResult::Child => {
            drop(reading);
            let lines: String = requests.iter().flat_map(|line| [line.as_str(), "\n"]).collect();
            // Who ends without having read all has not read all.
            let _ = File::from(writing).write_all(lines.as_bytes());
            sys::exit_now(0)
        }
        ForkResult::Parent { .. } => Ok(reading),
    }
}

/// Lets time pass, by the clock of the machine.
fn pause(delay: Duration) {
    if !delay.is_zero() {
        let _ = ppoll(&mut [], Some(TimeSpec::from(delay)), None);
    }
}

/// How many bytes a free program may write to one file: without an end they would fill the memory.
pub(super) const MOST_WRITTEN: u64 = 256 << 20;
