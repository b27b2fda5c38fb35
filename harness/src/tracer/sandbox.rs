//! Where the processes under test live: a mount namespace with a fresh tmpfs, and a process-id namespace.
//!
//! A small *zygote* is forked when an exploration begins. It enters the namespaces and forks an *init*, the first process of the
//! process-id namespace, which forks a template of each program when that is first started, and is the parent of all copies. To kill the init is to kill
//! everything in the namespace, however it was started; and both die with the thread that controls them. So nothing outlives an
//! exploration, whatever ends it.

use std::cell::OnceCell;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, recv, send, socketpair};
use nix::sys::stat::fstat;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid};

use super::copies::Template;
use super::error::reached;
use super::ids::template_pid;
use super::input::{Feeding, Pipe};
use super::output::Output;
use super::program::Program;
use super::start::{Prepared, environment};
use super::sys;
use super::tracee::{Resume, Stop, Tracee, give_way};
use super::zygote::{init, zygote};
use crate::limits::{Limits, Reached};
use crate::model::Root;

/// Where the private tmpfs is mounted: a directory that every Linux system has and no program keeps anything lasting in.
pub const MOUNT_POINT: &str = "/dev/shm";
/// The workspace's path as the processes see it, the same in each execution and on each machine.
pub const WORKSPACE: &str = "/dev/shm/workspace";

/// How long an answer of the init is at most, in bytes: that it is done, or an error of the kernel in words.
pub(super) const LONGEST_ANSWER: usize = 256;
/// Why the processes cannot be set apart from the machine.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// A namespace or mount was refused.
    #[error("{step}: {error}")]
    Refused {
        /// What was tried.
        step: String,
        /// What the kernel said.
        error: String,
    },
    /// A command cannot be given to the kernel.
    #[error("{0}")]
    Command(String),
    /// The kernel does not let the init be traced.
    #[error("ptrace: {0}")]
    Ptrace(String),
    /// The zygote does not answer.
    #[error("the process that starts the others is gone: {0}")]
    Gone(io::Error),
    /// A limit was reached while somebody was waited for.
    #[error("{0}")]
    Ended(Reached),
}

/// A zygote and its init, seen from the controller: a place apart, for whatever the init is to do.
#[derive(Debug)]
pub struct Inside {
    zygote: Pid,
    init: Pid,
    gate: OwnedFd,
    root: OwnedFd,
    /// The tmpfs that the workspace is in, and the size of that directory with nothing else in it.
    around: OwnedFd,
    empty_around: i64,
    hidden: Vec<String>,
    /// What ends a wait for the init.
    limits: Limits,
}

/// The sandbox of what is traced.
#[derive(Debug)]
pub struct Sandbox {
    /// Before the place that it is in.
    init: Tracee,
    inside: Inside,
    pub(super) outputs: Vec<Output>,
    /// Of each program, its parts: the place of the first among those that the init knows, and what to call them.
    parts: Vec<(usize, Vec<String>)>,
    /// Of each part that has been started.
    templates: Vec<OnceCell<Template>>,
}

/// What the parts of programs need, one after another; and where the controller reads what each program prints.
pub fn prepare(programs: &[Program]) -> Result<(Vec<Prepared>, Vec<Output>), SandboxError> {
    let mut prepared = Vec::new();
    let mut outputs = Vec::new();
    for program in programs {
        let make = |name: &str| -> io::Result<(File, OwnedFd)> {
            let file = File::from(memfd_create(name, MFdFlags::MFD_CLOEXEC)?);
            let theirs = File::options().append(true).open(format!("/proc/self/fd/{}", file.as_raw_fd()))?;
            Ok((file, theirs.into()))
        };
        let (ours_out, out) = make("stdout").map_err(refused("making a file in memory"))?;
        let (ours_err, err) = make("stderr").map_err(refused("making a file in memory"))?;
        let pipe = program.requests().map(|_| Pipe::new()).transpose();
        let pipe = pipe.map_err(refused("making a pipe"))?;
        let copy = |descriptor: &OwnedFd| descriptor.try_clone().map_err(refused("copying a descriptor"));
        for part in program.parts() {
            let words = part.words().map_err(SandboxError::Command)?;
            let input = pipe.as_ref().map(Pipe::for_them).transpose();
            let input = input.map_err(refused("copying a descriptor"))?;
            let (out, err) = (copy(&out)?, copy(&err)?);
            prepared.push(Prepared { program: part.clone(), words, out, err, input });
        }
        outputs.push(Output { out: ours_out, err: ours_err, input: pipe });
    }
    Ok((prepared, outputs))
}

impl Inside {
    /// Forks the zygote, and has it fork an init that lives like this, with the other end of the gate.
    ///
    /// # Errors
    /// Where the machine refuses a namespace or mount.
    pub fn start(
        root: Root,
        limits: &Limits,
        init: impl FnOnce(&OwnedFd) -> i32,
    ) -> Result<Self, SandboxError> {
        let pair = || socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC);
        let (gate, theirs) = pair().map_err(|error| refused("making a socket")(error.into()))?;
        // Each process under test is a copy of a copy of this one: an earlier exploration may have left much.
        sys::give_back_memory();
        let feeding = Feeding::now();
        // No other thread is within them then, which the child's closures would wait for; nor do they print what was left in them.
        let (mut out, err) = (io::stdout().lock(), io::stderr().lock());
        let _ = out.flush();
        let forked = sys::fork();
        drop((out, err));
        match forked.map_err(refused("fork"))? {
            ForkResult::Child => {
                feeding.stop();
                drop(gate);
                let status = zygote(&theirs, root, init);
                sys::exit_now(status)
            }
            ForkResult::Parent { child } => {
                drop((theirs, feeding));
                Self::greet(child, gate, limits).inspect_err(|_| end(child))
            }
        }
    }

    /// Waits until the zygote has set itself up.
    fn greet(zygote: Pid, gate: OwnedFd, limits: &Limits) -> Result<Self, SandboxError> {
        let greeting = await_answer(&gate, limits).and_then(|()| receive(&gate)).map_err(gone)?;
        let (init, hidden) = match greeting.strip_prefix(b"\0").and_then(|rest| rest.split_first_chunk()) {
            Some((init, hidden)) => (Pid::from_raw(i32::from_le_bytes(*init)), hidden),
            None if greeting.is_empty() => {
                return Err(SandboxError::Gone(io::ErrorKind::UnexpectedEof.into()));
            }
            None => {
                let text = String::from_utf8_lossy(&greeting);
                let (step, error) = text.split_once('\0').unwrap_or(("setting up", &text));
                return Err(SandboxError::Refused { step: step.into(), error: error.into() });
            }
        };
        let open = |path| {
            let path = PathBuf::from(format!("/proc/{init}/root{path}"));
            let flags = nix::fcntl::OFlag::O_PATH | nix::fcntl::OFlag::O_CLOEXEC;
            nix::fcntl::open(&path, flags, nix::sys::stat::Mode::empty())
        };
        let look = || {
            let (root, around) = (open(WORKSPACE)?, open(MOUNT_POINT)?);
            let empty_around = fstat(&around)?.st_size;
            Ok((root, around, empty_around))
        };
        let (root, around, empty_around) = look().map_err(|error: nix::Error| SandboxError::Refused {
            step: "looking into the processes' mount namespace".into(),
            error: error.to_string(),
        })?;
        let hidden = String::from_utf8_lossy(hidden).split_terminator('\0').map(str::to_owned).collect();
        let limits = limits.clone();
        Ok(Self { zygote, init, gate, root, around, empty_around, hidden, limits })
    }

    /// The way to the init.
    #[must_use]
    pub fn gate(&self) -> &OwnedFd {
        &self.gate
    }

    /// The workspace's path as the controller sees it.
    #[must_use]
    pub fn workspace(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.root.as_raw_fd()))
    }

    /// Removes what processes put beside the workspace, into the tmpfs that it is in: named semaphores, shared memory.
    ///
    /// # Errors
    /// Those of removing.
    pub fn clear_beside_workspace(&self) -> io::Result<()> {
        // A directory of a tmpfs is as long as it has entries.
        if fstat(&self.around)?.st_size == self.empty_around {
            return Ok(());
        }
        let own = PathBuf::from(WORKSPACE);
        for item in std::fs::read_dir(format!("/proc/{}/root{MOUNT_POINT}", self.init))? {
            let item = item?;
            if own.file_name() == Some(&item.file_name()) {
                continue;
            }
            if item.file_type()?.is_dir() {
                std::fs::remove_dir_all(item.path())?;
            } else {
                std::fs::remove_file(item.path())?;
            }
        }
        Ok(())
    }

    /// Ends the init, and with it everything that it started.
    pub fn kill(&self) {
        let _ = nix::sys::signal::kill(self.init, nix::sys::signal::Signal::SIGKILL);
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        // The zygote goes when its init is gone, and that when everything in its namespace is.
        self.kill();
        let gone = || {
            let waited = waitpid(self.zygote, Some(WaitPidFlag::__WALL | WaitPidFlag::WNOHANG));
            !matches!(waited, Ok(WaitStatus::StillAlive) | Err(nix::errno::Errno::EINTR))
        };
        await_end(gone);
    }
}

/// So many times it is looked whether what was killed is gone, some 40 ms, before what nobody waits for is let go.
const PATIENCE: u32 = 100;

/// Waits until something that was killed is gone. The init is gone when all is that it was the init of; if a limit ended a wait for a new task,
/// that task is known to nobody: it is let go here.
fn await_end(mut is_gone: impl FnMut() -> bool) {
    for looks in 0u32.. {
        if is_gone() {
            break;
        }
        while looks > PATIENCE
            && let Ok(Some((task, status))) = sys::poll_any()
        {
            if libc::WIFSTOPPED(status) {
                let _ = sys::resume(task, Resume::Freely, 0);
            }
        }
        give_way(looks);
    }
}

impl Sandbox {
    /// Forks the zygote, with all that it may be asked to run.
    ///
    /// # Errors
    /// Where the machine refuses a namespace or mount, or a command cannot be run.
    pub fn start(programs: &[Program], root: Root, limits: &Limits) -> Result<Self, SandboxError> {
        let (prepared, outputs) = prepare(programs)?;
        let mut parts = Vec::new();
        let mut place = 0;
        for program in programs {
            let commands: Vec<String> = program.parts().into_iter().map(ToString::to_string).collect();
            let first = place;
            place += commands.len();
            parts.push((first, commands));
        }
        let inside = Inside::start(root, limits, |gate| init(gate, &prepared, &environment()))?;
        drop(prepared);
        nix::sys::ptrace::seize(inside.init, options())
            .map_err(|error| SandboxError::Ptrace(error.to_string()))?;
        let init = Tracee::new(inside.init, limits);
        let templates = std::iter::repeat_with(OnceCell::new).take(place).collect();
        Ok(Self { init, inside, outputs, parts, templates })
    }

    /// The workspace's path as the controller sees it.
    #[must_use]
    pub fn workspace(&self) -> PathBuf {
        self.inside.workspace()
    }

    /// The workspace, to look up paths from.
    ///
    /// # Errors
    /// Where there are too many descriptors.
    pub fn root(&self) -> io::Result<OwnedFd> {
        self.inside.root.try_clone()
    }

    /// Removes what processes put beside the workspace.
    ///
    /// # Errors
    /// Those of removing.
    pub fn clear_beside_workspace(&self) -> io::Result<()> {
        self.inside.clear_beside_workspace()
    }

    /// Starts a process for a program, by its number, with the process id `id`. It is held before its first instruction of its own,
    /// and has written nothing.
    ///
    /// # Errors
    /// Where the init is gone or the machine does not let a process be set up.
    pub fn spawn(&self, program: usize, id: u32) -> Result<Tracee, SandboxError> {
        self.set_output(program, &[], &[]).map_err(gone)?;
        self.spawn_part(program, 0, id)
    }

    /// Starts a process for one of the commands of a program, which goes on writing where those before it ended.
    ///
    /// # Errors
    /// Where the init is gone or the machine does not let a process be set up.
    pub fn spawn_part(&self, program: usize, part: usize, id: u32) -> Result<Tracee, SandboxError> {
        let place = self.parts[program].0 + part;
        let template = match self.templates[place].get() {
            Some(template) => template,
            None => {
                let made = self.make_template(program, place)?;
                self.templates[place].get_or_init(|| made)
            }
        };
        self.set_next_pid(id).and_then(|()| template.start()).map_err(refused("starting a process"))
    }

    fn make_template(&self, program: usize, part: usize) -> Result<Template, SandboxError> {
        let id = template_pid(part).ok_or_else(|| refused("fork")(io::ErrorKind::QuotaExceeded.into()))?;
        let task = self.fork(part, id)?;
        let made = Template::make(self.init.another(task)).map_err(gone)?;
        made.ok_or_else(|| {
            let said = self.output(program).unwrap_or_default().1;
            let error = String::from_utf8_lossy(&said).trim_end().to_owned();
            SandboxError::Refused { step: "setting up a process".into(), error }
        })
    }

    /// Has the init fork a process for a part of a program, with the process id `id`. It is held at its first instruction.
    fn fork(&self, part: usize, id: u32) -> Result<Pid, SandboxError> {
        self.ask(Some(part), id).map_err(gone)?;
        loop {
            let stop = self.init.wait_for_stop().map_err(gone)?;
            if let Stop::Gone(exit) = stop {
                let error = format!("the init process ended: {exit}");
                return Err(SandboxError::Refused { step: "fork".into(), error });
            }
            self.init.resume(Resume::Freely, 0).map_err(gone)?;
            if let Stop::Child { task, .. } = stop {
                return Ok(task);
            }
        }
    }

    /// Has the init see to it that the next process in its namespace gets the id `next`.
    ///
    /// # Errors
    /// Where the init is gone or the kernel does not let it.
    pub fn set_next_pid(&self, next: u32) -> io::Result<()> {
        self.ask(None, next)?;
        await_answer(&self.inside.gate, &self.inside.limits)?;
        match receive_up_to(&self.inside.gate, LONGEST_ANSWER)?.as_slice() {
            b"ok" => Ok(()),
            problem => Err(io::Error::other(String::from_utf8_lossy(problem).into_owned())),
        }
    }

    fn ask(&self, part: Option<usize>, id: u32) -> io::Result<()> {
        let program = part.map_or(u32::MAX, |number| number as u32);
        let request = [program.to_le_bytes(), id.to_le_bytes()].concat();
        send(self.inside.gate.as_raw_fd(), &request, MsgFlags::MSG_NOSIGNAL)?;
        Ok(())
    }

    /// One of the commands that a program is, where it has so many.
    #[must_use]
    pub fn command(&self, program: usize, number: usize) -> Option<&str> {
        self.parts[program].1.get(number).map(String::as_str)
    }

    /// The pipe that is a program's standard input, where it is asked.
    #[must_use]
    pub fn input(&self, program: usize) -> Option<&Pipe> {
        self.outputs[program].input.as_ref()
    }

    /// The inodes of what a program prints to.
    ///
    /// # Errors
    /// Where the kernel does not tell them.
    pub fn prints_to(&self, program: usize) -> io::Result<[u64; 2]> {
        let Output { out, err, .. } = &self.outputs[program];
        Ok([out.metadata()?.ino(), err.metadata()?.ino()])
    }

    /// The init, in the ids of the controller.
    #[must_use]
    pub fn init(&self) -> Pid {
        self.init.id()
    }

    /// The paths of what the processes cannot see of the machine's files, where they have an overlay of them.
    #[must_use]
    pub fn hidden(&self) -> &[String] {
        &self.inside.hidden
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        // Everything else in the namespace has been collected by then: executions and checkpoints do not outlive their tracer.
        self.templates.clear();
        self.inside.kill();
        // It may stand in a stop that was told of already.
        let _ = self.init.resume(Resume::Freely, 0);
        await_end(|| match self.init.poll() {
            Ok(Some(Stop::Gone(_))) | Err(_) => true,
            Ok(Some(_)) => self.init.resume(Resume::Freely, 0).is_err(),
            Ok(None) => false,
        });
    }
}

fn refused(step: &str) -> impl FnOnce(io::Error) -> SandboxError {
    let step = step.to_owned();
    move |error: io::Error| match reached(&error) {
        Some(reached) => SandboxError::Ended(reached),
        None => SandboxError::Refused { step, error: error.to_string() },
    }
}

fn gone(error: io::Error) -> SandboxError {
    reached(&error).map_or(SandboxError::Gone(error), SandboxError::Ended)
}

/// What everything in the namespace is traced with.
pub fn options() -> nix::sys::ptrace::Options {
    use nix::sys::ptrace::Options as O;
    O::PTRACE_O_EXITKILL
        | O::PTRACE_O_TRACESYSGOOD
        | O::PTRACE_O_TRACESECCOMP
        | O::PTRACE_O_TRACEFORK
        | O::PTRACE_O_TRACEVFORK
        | O::PTRACE_O_TRACEVFORKDONE
        | O::PTRACE_O_TRACECLONE
        | O::PTRACE_O_TRACEEXEC
        | O::PTRACE_O_TRACEEXIT
}

/// Kills the zygote and waits until it is gone.
fn end(zygote: Pid) {
    let _ = nix::sys::signal::kill(zygote, nix::sys::signal::Signal::SIGKILL);
    while waitpid(zygote, Some(WaitPidFlag::__WALL)) == Err(nix::errno::Errno::EINTR) {}
}

/// How long the controller waits at most before it looks at its limits, in milliseconds.
pub(super) const LOOK: u16 = 20;

/// Waits until the other end has sent something, or is gone.
fn await_answer(socket: &OwnedFd, limits: &Limits) -> io::Result<()> {
    loop {
        match poll(&mut [PollFd::new(socket.as_fd(), PollFlags::POLLIN)], PollTimeout::from(LOOK)) {
            Ok(0) | Err(nix::errno::Errno::EINTR) => limits.check()?,
            Ok(_) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}

pub(super) fn receive(socket: &OwnedFd) -> io::Result<Vec<u8>> {
    receive_up_to(socket, 1 << 16)
}

pub(super) fn receive_up_to(socket: &OwnedFd, most: usize) -> io::Result<Vec<u8>> {
    let mut buffer = vec![0; most];
    loop {
        match recv(socket.as_raw_fd(), &mut buffer, MsgFlags::empty()) {
            Ok(length) => return Ok(buffer[..length].to_vec()),
            Err(nix::errno::Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
