//! Programs that are asked over their standard input: the pipe, what has been given, and who waits for more.
//!
//! The pipe stays for all executions, as checkpoints are on it; its writing end is of one execution: to close it is the end of the
//! input.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::arch::name_of;
use super::files::{Descriptors, What};
use super::paths::proc_link;
use super::tracee::{Registers, Tracee};
use crate::model::{Begins, Call, Operation};

/// Most letters of a request that are shown.
const SHOWN: usize = 60;
/// How long another process may have a copy of a writing end that it got by being forked, in milliseconds.
const LONGEST_COPY: u16 = 30_000;

/// The writing ends that are open, of all tracers of this program. A process that is forked while one is open must not keep it: the
/// input would never end.
static OPEN: Mutex<BTreeSet<RawFd>> = Mutex::new(BTreeSet::new());

/// The writing ends at the time of a fork: while this lives, none is opened or closed.
pub struct Feeding(MutexGuard<'static, BTreeSet<RawFd>>);

impl Feeding {
    /// Those that are open now.
    pub fn now() -> Self {
        Self(OPEN.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// In the child: closes them.
    pub fn stop(self) {
        for descriptor in self.0.iter() {
            let _ = nix::unistd::close(*descriptor);
        }
    }
}

/// A pipe that is a standard input: its reading end.
#[derive(Debug)]
pub struct Pipe {
    /// As the controller looks into it.
    ours: OwnedFd,
    /// As the processes have it.
    theirs: OwnedFd,
}

impl Pipe {
    /// A new one.
    ///
    /// # Errors
    /// Those of making it.
    pub fn new() -> io::Result<Self> {
        let flags = OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
        let (ours, _writing) = nix::unistd::pipe2(flags)?;
        let theirs = File::open(format!("/proc/self/fd/{}", ours.as_raw_fd()))?.into();
        Ok(Self { ours, theirs })
    }

    /// A descriptor for the processes.
    ///
    /// # Errors
    /// Where there is no room for one more.
    pub fn for_them(&self) -> io::Result<OwnedFd> {
        self.theirs.try_clone()
    }

    /// What it is called where a descriptor leads to it.
    #[must_use]
    pub fn name(&self) -> Option<String> {
        proc_link(&format!("/proc/self/fd/{}", self.ours.as_raw_fd())).ok()
    }
}

/// A writing end.
#[derive(Debug)]
struct Writer(Option<File>);

impl Writer {
    fn open(pipe: &Pipe) -> io::Result<Self> {
        let mut open = Feeding::now();
        let path = format!("/proc/self/fd/{}", pipe.ours.as_raw_fd());
        let file = File::options().write(true).custom_flags(libc::O_NONBLOCK).open(path)?;
        open.0.insert(file.as_raw_fd());
        Ok(Self(Some(file)))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let mut open = Feeding::now();
        if let Some(file) = self.0.take() {
            open.0.remove(&file.as_raw_fd());
        }
    }
}

/// The standard input of a process in one execution.
#[derive(Debug)]
pub struct Feed {
    /// The reading end, of which the controller has a copy.
    pipe: File,
    requests: Arc<[String]>,
    given: usize,
    /// What of the last request did not fit into the pipe yet.
    rest: RefCell<Vec<u8>>,
    /// None where the input has ended.
    writer: Option<Writer>,
}

impl Feed {
    /// Nothing given yet.
    ///
    /// # Errors
    /// Where the pipe cannot be emptied of what an earlier execution left.
    pub fn new(pipe: &Pipe, requests: Arc<[String]>) -> io::Result<Self> {
        // What a process of an earlier execution set in it.
        fcntl(&pipe.theirs, FcntlArg::F_SETFL(OFlag::O_RDONLY))?;
        let writer = Writer::open(pipe)?;
        let mut feed = Self {
            pipe: pipe.ours.try_clone()?.into(),
            requests,
            given: 0,
            rest: RefCell::default(),
            writer: Some(writer),
        };
        while feed.holds_something() {
            let _ = feed.pipe.read(&mut [0; 4096])?;
        }
        Ok(feed)
    }

    fn holds_something(&self) -> bool {
        let mut looked = [PollFd::new(self.pipe.as_fd(), PollFlags::POLLIN)];
        poll(&mut looked, PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
            && looked[0].revents().is_some_and(|events| events.contains(PollFlags::POLLIN))
    }

    /// The step that begins with what comes next, where all that was given has been read; nothing where the input has ended.
    #[must_use]
    pub fn next(&self) -> Option<Operation> {
        if self.writer.is_none() || self.holds_something() || !self.rest.borrow().is_empty() {
            return None;
        }
        let call = match self.requests.get(self.given) {
            Some(request) => {
                let clipped: String = request.chars().take(SHOWN).collect();
                let more = if clipped.len() < request.len() { "…" } else { "" };
                Call::beginning(Begins::Request, format!("{}: {clipped}{more}", self.given + 1))
            }
            None => Call::beginning(Begins::End, String::new()),
        };
        Some(Operation { call, ..Operation::default() })
    }

    /// Gives the next request, or ends the input; how many bytes were given.
    ///
    /// # Errors
    /// Those of writing into the pipe.
    pub fn give(&mut self) -> io::Result<i64> {
        let Some(request) = self.requests.get(self.given) else {
            self.writer = None;
            return self.await_end().map(|()| 0);
        };
        let line = [request.as_bytes(), b"\n"].concat();
        let length = line.len();
        self.rest.replace(line);
        self.given += 1;
        self.top_up()?;
        Ok(i64::try_from(length).unwrap_or(i64::MAX))
    }

    /// Waits until nobody has the writing end any more. Where the program of the controller starts others from further threads, they
    /// have a copy until they run their own program.
    fn await_end(&self) -> io::Result<()> {
        let mut looked = [PollFd::new(self.pipe.as_fd(), PollFlags::empty())];
        if poll(&mut looked, LONGEST_COPY)? == 0 {
            let what = "another process has a copy of the writing end of a standard input, and keeps it";
            return Err(io::Error::other(what));
        }
        Ok(())
    }

    /// Puts into the pipe what there is room for of a request that was longer than the pipe; whether that was anything.
    ///
    /// # Errors
    /// Those of writing into the pipe.
    pub fn top_up(&self) -> io::Result<bool> {
        let Some(Writer(Some(file))) = &self.writer else { return Ok(false) };
        let (mut file, mut rest, mut any) = (file, self.rest.borrow_mut(), false);
        while !rest.is_empty() {
            match file.write(&rest) {
                Ok(written) => drop(rest.drain(..written)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
            any = true;
        }
        Ok(any)
    }
}

/// Whether a sleeping call ends when there is something to read from the standard input.
pub fn waits_for_input(tracee: &Tracee, descriptors: &Descriptors, registers: &Registers) -> bool {
    let is_input =
        |number: i32| descriptors.get(number).is_some_and(|found| matches!(found.what, What::Input));
    let [first, second, ..] = registers.arguments();
    let number = |argument: u64| argument as u32 as i32;
    let call = name_of(registers.call());
    match call {
        "read" | "readv" | "splice" | "tee" | "sendfile" => {
            is_input(number(first)) || (call == "sendfile" && is_input(number(second)))
        }
        "poll" | "ppoll" => {
            // Entries of eight bytes, the descriptor first.
            let entries = tracee.read_numbers(first, usize::try_from(second).unwrap_or(0).min(1024));
            entries.is_ok_and(|entries| entries.iter().any(|entry| is_input(number(*entry))))
        }
        "select" | "pselect6" => {
            let words = usize::try_from(first).unwrap_or(0).min(1024).div_ceil(64);
            let set = tracee.read_numbers(second, words).unwrap_or_default();
            let has = |at: i32| set.get(at as usize / 64).is_some_and(|word| word >> (at % 64) & 1 == 1);
            descriptors.numbers_in(0, 1023).into_iter().any(|at| is_input(at) && has(at))
        }
        "epoll_wait" | "epoll_pwait" | "epoll_pwait2" => {
            let path = format!("/proc/{}/fdinfo/{}", tracee.id(), number(first));
            let text = std::fs::read_to_string(path).unwrap_or_default();
            let watched =
                text.lines().filter_map(|line| line.strip_prefix("tfd:")?.split_whitespace().next());
            watched.filter_map(|number| number.parse().ok()).any(is_input)
        }
        _ => false,
    }
}

/// Whether a read from a descriptor comes back at once where there is nothing to read.
pub fn is_nonblocking(tracee: &Tracee, number: i32) -> bool {
    let text = std::fs::read_to_string(format!("/proc/{}/fdinfo/{number}", tracee.id())).unwrap_or_default();
    let flags =
        text.lines().find_map(|line| i32::from_str_radix(line.strip_prefix("flags:")?.trim(), 8).ok());
    flags.is_some_and(|flags| flags & libc::O_NONBLOCK != 0)
}
