//! Where the processes under test live: a mount namespace with a fresh tmpfs, a new process-id namespace for each execution.
//!
//! A small *zygote* is forked when an exploration begins. It enters the namespaces and from then on only forks: for each
//! execution an *init*, the first process of a new process-id namespace, which forks the processes under test. To kill the init
//! is to kill everything in the namespace, however it was started; and the zygote and the init die with the thread that
//! controls them. So nothing outlives an exploration, whatever ends it.

use std::ffi::CString;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::sched::{CloneFlags, unshare};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, recv, send, socketpair};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::{ForkResult, Pid};

use super::filter;
use super::program::Program;
use super::sys;

/// Where the private tmpfs is mounted: a directory that every Linux system has and no program keeps anything lasting in.
const MOUNT_POINT: &str = "/dev/shm";
/// The workspace's path as the processes see it, the same in each execution and on each machine.
pub const WORKSPACE: &str = "/dev/shm/workspace";

/// The variables that processes inherit; all others are left out, so that an execution does not depend on the terminal, the
/// session or the time of day.
const INHERITED: [&str; 6] = ["HOME", "LD_LIBRARY_PATH", "LOGNAME", "PATH", "USER", "VIRTUAL_ENV"];
/// The variables that are the same everywhere.
const FIXED: [&str; 5] = [
    "DIR=/dev/shm/workspace",
    "LANG=C.UTF-8",
    "PWD=/dev/shm/workspace",
    "PYTHONDONTWRITEBYTECODE=1",
    "TZ=UTC",
];

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
    /// The zygote does not answer.
    #[error("the process that starts the others is gone: {0}")]
    Gone(io::Error),
}

/// The zygote, seen from the controller.
#[derive(Debug)]
pub struct Sandbox {
    zygote: Pid,
    channel: OwnedFd,
    gate: OwnedFd,
    outputs: Vec<Output>,
    root: OwnedFd,
}

/// Where a program's standard output and error go: files in memory.
#[derive(Debug)]
struct Output {
    out: File,
    err: File,
}

/// The parts that the zygote and its children need of each program.
struct Prepared {
    program: Program,
    words: Vec<CString>,
    out: OwnedFd,
    err: OwnedFd,
}

impl Sandbox {
    /// Forks the zygote, with all that it may be asked to run.
    ///
    /// # Errors
    /// Where the machine refuses a namespace or mount, or a command cannot be run.
    pub fn start(programs: &[Program]) -> Result<Self, SandboxError> {
        let refused = |step: &str| {
            let step = step.to_owned();
            move |error: io::Error| SandboxError::Refused { step, error: error.to_string() }
        };
        let mut prepared = Vec::new();
        let mut outputs = Vec::new();
        for program in programs {
            let make = |name: &str| -> io::Result<(File, OwnedFd)> {
                let file = File::from(memfd_create(name, MFdFlags::MFD_CLOEXEC)?);
                let theirs =
                    File::options().append(true).open(format!("/proc/self/fd/{}", file.as_raw_fd()))?;
                Ok((file, theirs.into()))
            };
            let (ours_out, out) = make("stdout").map_err(refused("making a file in memory"))?;
            let (ours_err, err) = make("stderr").map_err(refused("making a file in memory"))?;
            let words = program.words().map_err(SandboxError::Command)?;
            prepared.push(Prepared { program: program.clone(), words, out, err });
            outputs.push(Output { out: ours_out, err: ours_err });
        }
        let pair = |kind| socketpair(AddressFamily::Unix, kind, None, SockFlag::SOCK_CLOEXEC);
        let (channel, theirs) =
            pair(SockType::SeqPacket).map_err(|e| refused("making a socket")(e.into()))?;
        let (gate, their_gate) =
            pair(SockType::SeqPacket).map_err(|e| refused("making a socket")(e.into()))?;
        match sys::fork().map_err(refused("fork"))? {
            ForkResult::Child => {
                drop((channel, gate, outputs));
                let status = zygote(&theirs, &their_gate, &prepared);
                sys::exit_now(status)
            }
            ForkResult::Parent { child } => {
                drop((theirs, their_gate, prepared));
                Self::greet(child, channel, gate, outputs)
            }
        }
    }

    /// Waits until the zygote has set itself up.
    fn greet(
        zygote: Pid,
        channel: OwnedFd,
        gate: OwnedFd,
        outputs: Vec<Output>,
    ) -> Result<Self, SandboxError> {
        let open = |path: String| {
            nix::fcntl::open(
                Path::new(&path),
                nix::fcntl::OFlag::O_PATH | nix::fcntl::OFlag::O_CLOEXEC,
                nix::sys::stat::Mode::empty(),
            )
        };
        let greeting = receive(&channel);
        let result = match greeting.as_deref() {
            Ok(b"ready") => {
                open(format!("/proc/{zygote}/root{WORKSPACE}")).map_err(|error| SandboxError::Refused {
                    step: "looking into the processes' mount namespace".into(),
                    error: error.to_string(),
                })
            }
            Ok(problem) if !problem.is_empty() => {
                let text = String::from_utf8_lossy(problem);
                let (step, error) = text.split_once('\0').unwrap_or(("setting up", &text));
                Err(SandboxError::Refused { step: step.into(), error: error.into() })
            }
            Ok(_) => Err(SandboxError::Gone(io::ErrorKind::UnexpectedEof.into())),
            Err(_) => Err(SandboxError::Gone(greeting.unwrap_err())),
        };
        match result {
            Ok(root) => Ok(Self { zygote, channel, gate, outputs, root }),
            Err(error) => {
                end(zygote);
                Err(error)
            }
        }
    }

    /// The workspace's path as the controller sees it.
    #[must_use]
    pub fn workspace(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.root.as_raw_fd()))
    }

    /// Forks an init for these programs, by their numbers. It waits for [`Sandbox::open_gate`] before it forks them.
    ///
    /// # Errors
    /// Where the zygote does not answer or cannot fork.
    pub fn launch(&mut self, programs: &[usize]) -> Result<Pid, SandboxError> {
        for &number in programs {
            for file in [&self.outputs[number].out, &self.outputs[number].err] {
                file.set_len(0).map_err(SandboxError::Gone)?;
            }
        }
        let order: Vec<u8> = programs.iter().flat_map(|&number| (number as u32).to_le_bytes()).collect();
        send(self.channel.as_raw_fd(), &order, MsgFlags::MSG_NOSIGNAL)
            .map_err(|e| SandboxError::Gone(e.into()))?;
        let answer = receive(&self.channel).map_err(SandboxError::Gone)?;
        match <[u8; 4]>::try_from(answer.as_slice()) {
            Ok(bytes) => Ok(Pid::from_raw(i32::from_le_bytes(bytes))),
            Err(_) => Err(SandboxError::Refused {
                step: "making a process-id namespace".into(),
                error: String::from_utf8_lossy(&answer).into_owned(),
            }),
        }
    }

    /// Lets the init go on: to fork its processes.
    ///
    /// # Errors
    /// Where the init is gone.
    pub fn open_gate(&self) -> io::Result<()> {
        send(self.gate.as_raw_fd(), &[0; 4], MsgFlags::MSG_NOSIGNAL)?;
        Ok(())
    }

    /// Has the init see to it that the next process in its namespace gets the id `next`.
    ///
    /// # Errors
    /// Where the init is gone or the kernel does not let it.
    pub fn set_next_pid(&self, next: u32) -> io::Result<()> {
        send(self.gate.as_raw_fd(), &next.to_le_bytes(), MsgFlags::MSG_NOSIGNAL)?;
        match receive(&self.gate)?.as_slice() {
            b"ok" => Ok(()),
            problem => Err(io::Error::other(String::from_utf8_lossy(problem).into_owned())),
        }
    }

    /// What a program wrote to its standard output and error since it was launched.
    ///
    /// # Errors
    /// Those of reading a file in memory.
    pub fn output(&self, program: usize) -> io::Result<(Vec<u8>, Vec<u8>)> {
        let whole = |file: &File| {
            let mut bytes = vec![0; usize::try_from(file.metadata()?.len()).unwrap_or(0)];
            std::os::unix::fs::FileExt::read_exact_at(file, &mut bytes, 0).map(|()| bytes)
        };
        Ok((whole(&self.outputs[program].out)?, whole(&self.outputs[program].err)?))
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        end(self.zygote);
    }
}

/// Kills the zygote and waits until it is gone.
fn end(zygote: Pid) {
    let _ = nix::sys::signal::kill(zygote, nix::sys::signal::Signal::SIGKILL);
    while waitpid(zygote, Some(WaitPidFlag::__WALL)) == Err(nix::errno::Errno::EINTR) {}
}

fn receive(socket: &OwnedFd) -> io::Result<Vec<u8>> {
    let mut buffer = [0; 4096];
    loop {
        match recv(socket.as_raw_fd(), &mut buffer, MsgFlags::empty()) {
            Ok(length) => return Ok(buffer[..length].to_vec()),
            Err(nix::errno::Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// The life of the zygote: sets up the namespaces, then forks an init for each order that comes.
fn zygote(channel: &OwnedFd, gate: &OwnedFd, programs: &[Prepared]) -> i32 {
    let tell = |message: &[u8]| send(channel.as_raw_fd(), message, MsgFlags::MSG_NOSIGNAL).is_ok();
    if let Err((step, error)) = enter_namespaces() {
        tell(format!("{step}\0{error}").as_bytes());
        return 1;
    }
    if !tell(b"ready") {
        return 1;
    }
    let environment = environment();
    loop {
        let Ok(order) = receive(channel) else { return 1 };
        if order.is_empty() {
            return 0;
        }
        match sys::fork_into_new_pid_namespace() {
            Ok(None) => {
                let numbers =
                    order.as_chunks::<4>().0.iter().map(|bytes| u32::from_le_bytes(*bytes) as usize);
                let chosen: Vec<&Prepared> = numbers.map(|number| &programs[number]).collect();
                sys::exit_now(init(gate, &chosen, &environment));
            }
            Ok(Some(init)) => {
                if !tell(&init.as_raw().to_le_bytes()) {
                    return 1;
                }
                // The init ends when the controller kills it; then the next order comes.
                let _ = waitpid(init, Some(WaitPidFlag::__WALL));
            }
            Err(error) => {
                tell(error.to_string().as_bytes());
            }
        }
    }
}

/// A mount namespace (and, for an ordinary user, a user namespace) with a private tmpfs.
fn enter_namespaces() -> Result<(), (&'static str, io::Error)> {
    let at = |step: &'static str| move |error: nix::errno::Errno| (step, io::Error::from(error));
    sys::die_with_parent().map_err(|error| ("asking to die with the parent", error))?;
    // A session of its own: a Ctrl-C at the terminal goes to the controller alone.
    nix::unistd::setsid().map_err(at("making a session"))?;
    let (user, group) = (nix::unistd::geteuid(), nix::unistd::getegid());
    if user.is_root() {
        unshare(CloneFlags::CLONE_NEWNS).map_err(at("making a mount namespace"))?;
    } else {
        unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNS)
            .map_err(at("making a user namespace"))?;
        for (file, text) in [
            ("/proc/self/setgroups", "deny".to_owned()),
            ("/proc/self/uid_map", format!("{user} {user} 1")),
            ("/proc/self/gid_map", format!("{group} {group} 1")),
        ] {
            std::fs::write(file, text).map_err(|error| ("mapping the user into a user namespace", error))?;
        }
    }
    let (private, none) = (nix::mount::MsFlags::MS_REC | nix::mount::MsFlags::MS_PRIVATE, None::<&str>);
    nix::mount::mount(none, "/", none, private, none).map_err(at("making the mounts private"))?;
    let flags = nix::mount::MsFlags::MS_NOSUID | nix::mount::MsFlags::MS_NODEV;
    nix::mount::mount(Some("cooks"), MOUNT_POINT, Some("tmpfs"), flags, Some("mode=0755"))
        .map_err(at("mounting a tmpfs on /dev/shm"))?;
    std::fs::create_dir(WORKSPACE).map_err(|error| ("making the workspace", error))?;
    nix::unistd::chdir("/").map_err(at("changing the directory"))?;
    Ok(())
}

/// The environment of every process: `NAME=value`, sorted.
fn environment() -> Vec<CString> {
    let inherited = INHERITED.iter().filter_map(|name| {
        let value = std::env::var_os(name)?;
        CString::new([name.as_bytes(), b"=", value.as_bytes()].concat()).ok()
    });
    let fixed = FIXED.iter().filter_map(|text| CString::new(*text).ok());
    let mut all: Vec<CString> = inherited.chain(fixed).collect();
    all.sort();
    all
}

/// The life of an init: forks the processes under test, each with an id of its own hundred, then serves requests for ids until
/// it is killed. Its dead children are reaped by the kernel.
fn init(gate: &OwnedFd, programs: &[&Prepared], environment: &[CString]) -> i32 {
    if sys::die_with_parent().is_err() || receive(gate).is_err() {
        return 1;
    }
    for (place, prepared) in programs.iter().enumerate() {
        let _ = write_next_pid(first_pid(place));
        match sys::fork() {
            Ok(ForkResult::Child) => sys::exit_now(begin(prepared, environment)),
            Ok(ForkResult::Parent { .. }) => {}
            Err(_) => return 1,
        }
    }
    loop {
        let Ok(request) = receive(gate) else { return 1 };
        let Ok(bytes) = <[u8; 4]>::try_from(request.as_slice()) else { return 1 };
        let answer = match write_next_pid(u32::from_le_bytes(bytes)) {
            Ok(()) => b"ok".to_vec(),
            Err(error) => error.to_string().into_bytes(),
        };
        if send(gate.as_raw_fd(), &answer, MsgFlags::MSG_NOSIGNAL).is_err() {
            return 1;
        }
    }
}

/// How many process ids each process under test has for itself and its children.
const IDS_EACH: u32 = 100;

/// The id of the process in this place, in its namespace.
#[must_use]
pub fn first_pid(place: usize) -> u32 {
    (place as u32 + 1) * IDS_EACH
}

fn write_next_pid(next: u32) -> io::Result<()> {
    let mut file = File::options().write(true).open("/proc/sys/kernel/ns_last_pid")?;
    file.write_all((next - 1).to_string().as_bytes())
}

/// The start of a process under test: from the fork to its program.
fn begin(prepared: &Prepared, environment: &[CString]) -> i32 {
    match set_up(prepared) {
        Ok(()) => {}
        Err(error) => {
            let _ = writeln!(io::stderr(), "cooks: cannot set up a process: {error}");
            return 126;
        }
    }
    match &prepared.program {
        Program::Command(words) => {
            let error = sys::exec(&prepared.words, environment);
            let _ = writeln!(io::stderr(), "cooks: cannot run {}: {error}", words[0]);
            127
        }
        Program::Closure { body, .. } => {
            let body = std::panic::AssertUnwindSafe(|| body());
            let status = std::panic::catch_unwind(body).unwrap_or(101);
            let _ = io::stdout().flush();
            status
        }
    }
}

/// Standard streams, directory, signals, addresses; last the filter, from which on its calls stop.
fn set_up(prepared: &Prepared) -> io::Result<()> {
    let null = File::open("/dev/null")?;
    sys::place_descriptor(null.as_fd(), 0)?;
    sys::place_descriptor(prepared.out.as_fd(), 1)?;
    sys::place_descriptor(prepared.err.as_fd(), 2)?;
    drop(null);
    nix::unistd::chdir(WORKSPACE)?;
    nix::unistd::setpgid(Pid::from_raw(0), Pid::from_raw(0))?;
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o022));
    nix::sys::resource::setrlimit(nix::sys::resource::Resource::RLIMIT_CORE, 0, 0)?;
    match prepared.program {
        Program::Command(_) => {
            sys::reset_signals();
            sys::close_on_exec_from(3)?;
            let persona = nix::sys::personality::get()?;
            nix::sys::personality::set(persona | nix::sys::personality::Persona::ADDR_NO_RANDOMIZE)?;
        }
        Program::Closure { .. } => sys::silence_vdso()?,
    }
    sys::install_filter(&filter::program())
}
