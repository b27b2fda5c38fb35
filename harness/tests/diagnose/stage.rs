//! A directory, and actors in it.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use cooks_harness::diagnose::{Diagnosis, Finding, Kind, Lock, Options, diagnose};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

/// Only so that a failure is told, not waited for.
const FOREVER: Duration = Duration::from_secs(120);

/// A wait that no test reaches: whatever the machine does meanwhile, it is not long.
const NEVER: f64 = 1e9;

/// Looks again until it is so.
#[track_caller]
pub fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < FOREVER, "waited in vain for {what}");
        std::thread::yield_now();
    }
}

/// A directory of its own for each test.
pub struct Stage(TempDir);

impl Stage {
    /// With these files in it.
    pub fn with(files: &[(&str, &str)]) -> Self {
        let stage = Self(tempfile::tempdir().expect("a temporary directory"));
        for (path, text) in files {
            let file = stage.path(path);
            fs::create_dir_all(file.parent().expect("a folder")).expect("a folder can be made");
            fs::write(file, text).expect("a file can be written");
        }
        stage
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn dir(&self) -> &Path {
        self.0.path()
    }

    /// An actor that works here; `role` is on its command line.
    pub fn actor(&self, role: &str) -> Actor {
        Actor::start(self.dir(), role, None)
    }

    /// The same as another user.
    pub fn actor_as(&self, role: &str, user: u32) -> Actor {
        Actor::start(self.dir(), role, Some(user))
    }

    /// The diagnosis, in which no wait is long.
    #[track_caller]
    pub fn diagnosis(&self) -> Diagnosis {
        self.diagnosis_with(NEVER)
    }

    /// The diagnosis, in which a wait of so many seconds is long.
    #[track_caller]
    pub fn diagnosis_with(&self, long_wait: f64) -> Diagnosis {
        let options = Options { watch: None, long_wait };
        diagnose(self.dir(), &options, &AtomicBool::new(false)).expect("a diagnosis")
    }
}

/// The kinds of what was found, in its order.
pub fn kinds(diagnosis: &Diagnosis) -> Vec<Kind> {
    diagnosis.findings.iter().map(|finding| finding.kind).collect()
}

/// The one thing that was found.
#[track_caller]
pub fn only(diagnosis: &Diagnosis) -> &Finding {
    let [finding] = diagnosis.findings.as_slice() else { panic!("{:#?}", diagnosis.findings) };
    finding
}

/// The one lock that was seen.
#[track_caller]
pub fn the_lock(diagnosis: &Diagnosis) -> &Lock {
    let [lock] = diagnosis.seen.locks.as_slice() else { panic!("{:#?}", diagnosis.seen.locks) };
    lock
}

/// The processes that hold a lock.
pub fn holders(lock: &Lock) -> Vec<i32> {
    lock.held.iter().flat_map(|held| held.holders.iter().copied()).collect()
}

/// The processes that wait for a lock.
pub fn waiters(lock: &Lock) -> Vec<i32> {
    lock.waiters.iter().filter_map(|waiter| waiter.pid).collect()
}

/// A process that does what it is told.
pub struct Actor {
    child: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Actor {
    fn start(dir: &Path, role: &str, user: Option<u32>) -> Self {
        // What is called `python3` along PATH may be a script that looks for the interpreter.
        let python = ["/usr/bin/python3", "python3"].into_iter().find(|path| Path::new(path).exists());
        let mut command = Command::new(python.unwrap_or("python3"));
        command.args(["-c", include_str!("actor.py"), role]).current_dir(dir);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        if let Some(user) = user {
            command.gid(user).uid(user);
        }
        let mut child = command.spawn().expect("these tests need python3");
        let orders = child.stdin.take().expect("a pipe");
        let answers = BufReader::new(child.stdout.take().expect("a pipe"));
        Self { child, orders, answers }
    }

    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).expect("a process id")
    }

    /// Tells it to do something, and does not wait for it.
    pub fn order(&mut self, line: &str) {
        writeln!(self.orders, "{line}").expect("it listens");
    }

    /// Tells it to do something, and waits until it is done; gives the answer.
    #[track_caller]
    pub fn does(&mut self, line: &str) -> i32 {
        self.order(line);
        let mut answer = String::new();
        self.answers.read_line(&mut answer).expect("it answers");
        answer.trim().parse().unwrap_or_else(|_| panic!("`{line}` fails"))
    }

    /// Tells it to take a lock that it cannot have yet, and waits until it waits.
    #[track_caller]
    pub fn waits(&mut self, line: &str) {
        self.order(line);
        let pid = self.pid();
        until("a process that waits for a lock", || is_blocked(pid));
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid()), signal).expect("it is there");
    }

    /// Stops it, and waits until it is stopped.
    pub fn stop(&self) {
        self.signal(Signal::SIGSTOP);
        until("a process that is stopped", || state(self.pid()) == Some('T'));
    }

    /// Kills it. Its children go on until it is dropped.
    pub fn die(&mut self) {
        self.end();
    }

    fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Actor {
    fn drop(&mut self) {
        self.end();
    }
}

/// The kernel's letter for what a process is doing.
pub fn state(pid: i32) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}

/// Whether a process waits in flock or fcntl, as the kernel has it: `/proc/locks` names no one for OFD locks.
fn is_blocked(pid: i32) -> bool {
    let text = fs::read_to_string(format!("/proc/{pid}/syscall")).unwrap_or_default();
    let number = text.split(' ').next().and_then(|number| number.parse::<i64>().ok());
    number == Some(libc::SYS_flock) || number == Some(libc::SYS_fcntl)
}
