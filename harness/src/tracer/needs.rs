//! What a machine must allow, each thing tried by itself in a process of its own.

use std::fs::{self, File};
use std::io::{self, PipeReader, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, unshare};
use nix::sys::ptrace::{cont, seize};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::ForkResult;

use super::cores::{bind_to_one_core, cores};
use super::{filter, root, sandbox, sys};

/// How long a trial may take, and how long what it leaves may take to end.
const LONGEST: Duration = Duration::from_secs(5);

/// How it stands with something that is needed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// It is there.
    Given,
    /// It is missing, and something can be done without it.
    Limited,
    /// It is missing, and nothing can be traced without it.
    Missing,
}

/// Something that is needed.
#[derive(Clone, Debug)]
pub struct Need {
    /// What it is called.
    pub name: &'static str,
    /// How it stands.
    pub state: State,
    /// What was found.
    pub found: String,
    /// What it means when it is missing.
    pub means: &'static str,
    /// How to get it.
    pub remedy: &'static str,
}

/// A name, how to try it, what it is without it, what it means when it is missing, and how to get it.
type Trial = (&'static str, fn() -> Result<(), root::Refusal>, State, &'static str, &'static str);

const TRIALS: [Trial; 9] = [
    (
        "ptrace",
        ptrace,
        State::Missing,
        "no process can be held before its system calls",
        "docker run --cap-add=SYS_PTRACE, or --security-opt seccomp=unconfined; sysctl -w kernel.yama.ptrace_scope=1; run it outside \
         of gdb, strace -f and other tracers",
    ),
    (
        "seccomp filter",
        seccomp,
        State::Missing,
        "which calls stop cannot be chosen",
        "docker run --security-opt seccomp=unconfined; a kernel with CONFIG_SECCOMP_FILTER",
    ),
    (
        "user namespace",
        user_namespace,
        State::Limited,
        "only root with the right to mount can trace",
        "sysctl -w user.max_user_namespaces=10000; on Debian kernel.unprivileged_userns_clone=1; on Ubuntu \
         kernel.apparmor_restrict_unprivileged_userns=0; docker run --security-opt seccomp=unconfined",
    ),
    (
        "mount namespace",
        root::enter_namespaces,
        State::Missing,
        "the workspace cannot be kept private",
        "be root, or allow user namespaces; docker run --cap-add=SYS_ADMIN --security-opt apparmor=unconfined, or --privileged",
    ),
    (
        "/dev/shm",
        shared_memory,
        State::Missing,
        "there is no place for the workspace",
        "mkdir /dev/shm; docker run --tmpfs /dev/shm",
    ),
    (
        "tmpfs",
        tmpfs,
        State::Missing,
        "the workspace cannot be kept in memory",
        "docker run --cap-add=SYS_ADMIN --security-opt apparmor=unconfined, or --privileged",
    ),
    (
        "process ids",
        process_namespace,
        State::Missing,
        "processes cannot have ids of their own, nor be ended all at once",
        "be root, or allow user namespaces; docker run --cap-add=SYS_ADMIN",
    ),
    (
        "fixed ids",
        fixed_ids,
        State::Missing,
        "process ids differ from execution to execution",
        "docker run --security-opt systempaths=unconfined (/proc/sys must be writable in the namespace), or --privileged",
    ),
    (
        "overlay",
        overlay,
        State::Limited,
        "--root overlay cannot be used",
        "Linux 5.11; modprobe overlay; in a container whose root is an overlay of overlays, \
         another storage driver",
    ),
];

/// Tries everything that is needed. A machine that lacks nothing of it can trace.
#[must_use]
pub fn needs() -> Vec<Need> {
    let mut needs: Vec<Need> = TRIALS.iter().map(tried).collect();
    let has = |name: &str| needs.iter().any(|need| need.name == name && need.state == State::Given);
    let without = has("mount namespace") && !has("user namespace");
    for need in needs.iter_mut().filter(|need| without && need.name == "user namespace") {
        need.found += " (not needed here)";
    }
    needs.extend([yama(), tracer(), own_core()]);
    needs
}

fn tried((name, trial, without, means, remedy): &Trial) -> Need {
    let (state, found) = match in_a_child(*trial) {
        Ok(()) => (State::Given, "given".to_owned()),
        Err(problem) => (*without, problem),
    };
    Need { name, state, found, means, remedy }
}

/// What a trial comes to in a process of its own, which it may spoil, and which is ended where the kernel does not answer it.
fn in_a_child(trial: fn() -> Result<(), root::Refusal>) -> Result<(), String> {
    let words = |error: io::Error| format!("trying it: {error}");
    let (mut reader, mut writer) = io::pipe().map_err(words)?;
    match sys::fork().map_err(words)? {
        ForkResult::Child => {
            drop(reader);
            let outcome = sys::die_with_parent().map_err(root::at("trying it")).and_then(|()| trial());
            let Err((step, error)) = outcome else { sys::exit_now(0) };
            let _ = write!(writer, "{step}: {error}");
            sys::exit_now(1)
        }
        ForkResult::Parent { child } => {
            drop(writer);
            let answered = closed_within(&reader, LONGEST);
            if !answered {
                let _ = kill(child, Signal::SIGKILL);
                if !closed_within(&reader, LONGEST) {
                    return Err("the kernel does not answer, and does not let go of who asked".to_owned());
                }
            }
            let mut problem = String::new();
            reader.read_to_string(&mut problem).map_err(words)?;
            match waitpid(child, Some(WaitPidFlag::__WALL)).map_err(|error| words(error.into()))? {
                WaitStatus::Exited(_, 0) => Ok(()),
                WaitStatus::Signaled(_, signal, _) if answered => {
                    Err(format!("whoever tries it is ended by {signal}"))
                }
                _ if !answered => Err(format!("no answer from the kernel within {} s", LONGEST.as_secs())),
                _ => Err(problem),
            }
        }
    }
}

/// Whether all who could write to a pipe are gone before this time is over.
fn closed_within(reader: &PipeReader, time: Duration) -> bool {
    let time = PollTimeout::try_from(time).unwrap_or(PollTimeout::MAX);
    loop {
        // That the other end is closed is told unasked.
        match poll(&mut [PollFd::new(reader.as_fd(), PollFlags::empty())], time) {
            Err(Errno::EINTR) => {}
            closed => return closed.is_ok_and(|closed| closed > 0),
        }
    }
}

fn ptrace() -> Result<(), root::Refusal> {
    let (mut reader, writer) = io::pipe().map_err(root::at("making a pipe"))?;
    match sys::fork().map_err(root::at("fork"))? {
        ForkResult::Child => {
            drop(writer);
            // Until the other is gone, even where that is before the kernel could be asked to tell of it.
            let _ = reader.read(&mut [0]);
            sys::exit_now(0)
        }
        ForkResult::Parent { child } => {
            let seized = seize(child, sandbox::options()).map_err(root::at("tracing a child"));
            let _ = kill(child, Signal::SIGKILL);
            // One that is traced stops on its way out, and has to be let go on.
            while let Ok(WaitStatus::PtraceEvent(..)) = waitpid(child, Some(WaitPidFlag::__WALL)) {
                cont(child, None).map_err(root::at("letting a traced child go on"))?;
            }
            seized
        }
    }
}

fn seccomp() -> Result<(), root::Refusal> {
    sys::install_filter(&filter::program()).map_err(root::at("installing a filter"))
}

fn user_namespace() -> Result<(), root::Refusal> {
    unshare(CloneFlags::CLONE_NEWUSER).map_err(root::at("making a user namespace"))
}

fn shared_memory() -> Result<(), root::Refusal> {
    fs::read_dir(sandbox::MOUNT_POINT).map(drop).map_err(root::at("opening it"))
}

fn tmpfs() -> Result<(), root::Refusal> {
    root::enter_namespaces()?;
    root::private_tmpfs("")
}

fn overlay() -> Result<(), root::Refusal> {
    root::enter_namespaces()?;
    root::enter_overlay().map(drop)
}

fn process_namespace() -> Result<(), root::Refusal> {
    in_process_namespace(|| Ok(()))
}

fn fixed_ids() -> Result<(), root::Refusal> {
    in_process_namespace(|| {
        let file = File::options().write(true).open("/proc/sys/kernel/ns_last_pid")?;
        file.write_all_at(b"100", 0)
    })
}

fn in_process_namespace(first: fn() -> io::Result<()>) -> Result<(), root::Refusal> {
    root::enter_namespaces()?;
    let step = "making a process-id namespace";
    match sys::fork_into_new_pid_namespace().map_err(root::at(step))? {
        None => sys::exit_now(
            sys::die_with_parent()
                .and_then(|()| first())
                .err()
                .map_or(0, |error| error.raw_os_error().unwrap_or(libc::EIO)),
        ),
        Some(child) => match waitpid(child, Some(WaitPidFlag::__WALL)).map_err(root::at(step))? {
            WaitStatus::Exited(_, 0) => Ok(()),
            WaitStatus::Exited(_, error) => {
                Err(root::at("setting the next process id")(io::Error::from_raw_os_error(error)))
            }
            other => Err(root::at(step)(io::Error::other(format!("{other:?}")))),
        },
    }
}

fn read(path: &str) -> Option<String> {
    fs::read_to_string(path).map(|text| text.trim().to_owned()).ok()
}

fn yama() -> Need {
    let scope = read("/proc/sys/kernel/yama/ptrace_scope");
    let state =
        if matches!(scope.as_deref(), None | Some("0" | "1")) { State::Given } else { State::Limited };
    let found = scope.map_or_else(|| "not restricted".to_owned(), |scope| format!("ptrace_scope {scope}"));
    let means = "only those who may trace everything can trace; with 3, nobody";
    Need {
        name: "yama",
        state,
        found,
        means,
        remedy: "sysctl -w kernel.yama.ptrace_scope=1 (3 stays until a restart)",
    }
}

fn tracer() -> Need {
    let status = read("/proc/self/status").unwrap_or_default();
    let by = status.lines().find_map(|line| line.strip_prefix("TracerPid:")).map_or("0", str::trim);
    let (state, found) = match by {
        "0" => (State::Given, "not traced itself".to_owned()),
        by => (State::Limited, format!("process {by} traces this one")),
    };
    let means = "what a tracer follows nobody else can trace";
    Need {
        name: "other tracers",
        state,
        found,
        means,
        remedy: "run it outside of gdb, strace -f and other tracers",
    }
}

fn own_core() -> Need {
    let number = cores().len();
    let bound = bind_to_one_core()
        .map(|before| nix::sched::sched_setaffinity(nix::unistd::Pid::from_raw(0), &before));
    let (state, found) = match bound {
        Some(Ok(())) => (State::Given, format!("{number}, one for each search")),
        _ => (State::Limited, "processes cannot be bound to one".to_owned()),
    };
    let means = "each operation takes some eight times as long";
    Need {
        name: "cores",
        state,
        found,
        means,
        remedy: "allow sched_setaffinity: docker run --security-opt seccomp=unconfined",
    }
}
