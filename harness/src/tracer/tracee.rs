//! One task under ptrace: its stops, its registers, its memory.

use std::cell::OnceCell;
use std::fs::File;
use std::io::{self, ErrorKind, IoSlice, IoSliceMut};
use std::os::unix::fs::FileExt;
use std::time::Duration;

use nix::sys::ptrace;
use nix::sys::uio::{RemoteIoVec, process_vm_readv, process_vm_writev};
use nix::unistd::Pid;

pub use super::arch::Registers;
use super::sys;
pub use super::sys::Resume;
use crate::limits::Limits;
use crate::model::Exit;

/// What a task under ptrace has come to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stop {
    /// The entry of a system call that the filter picks out.
    CallEntry,
    /// The exit of a system call that was resumed to it.
    CallExit,
    /// It has made a child (or a thread), which is held at its first instruction.
    Child {
        /// The child.
        task: Pid,
        /// Whether the parent waits until the child runs another program or ends.
        parent_waits: bool,
    },
    /// The child that it waited for runs another program or has ended.
    ChildDone,
    /// It runs another program now.
    Exec,
    /// It is about to end: nothing of it is released yet.
    Exiting,
    /// A signal is about to be delivered.
    Signal(i32),
    /// It is stopped by job control.
    JobControl,
    /// It has come to rest because it was asked to, or has just begun.
    AtRest,
    /// It is no more.
    Gone(Exit),
}

/// What waiting for a running task comes to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Waited {
    /// It stopped or ended.
    Stopped(Stop),
    /// It sleeps in a system call that something else must end.
    Asleep,
    /// It has computed for as long as it may, and still does.
    Computes,
}

/// How often the controller gives way before it sleeps.
const YIELDS: u32 = 4;
/// From so many rounds of waiting on, some 3 ms, the processor time of the task is read in every eighth of them, each of some 0.6 ms.
const UNWATCHED: u32 = 32;

/// Lets others have the core, for longer the more often it was looked in vain whether they are done.
pub fn give_way(looks: u32) {
    if looks < YIELDS {
        let _ = nix::sched::sched_yield();
    } else {
        std::thread::sleep(Duration::from_micros(10 << ((looks - YIELDS) / 4).min(6)));
    }
}

/// Watches over the processor time of a task that runs for long.
#[derive(Default)]
struct Watch {
    /// What it had used when it was first read.
    first: Option<Duration>,
}

impl Watch {
    /// Whether the task has used as much as it may since this was first asked.
    fn is_over(&mut self, task: &Tracee) -> bool {
        let Some(now) = task.limits.processor_time(task.task.as_raw()) else { return false };
        let first = *self.first.get_or_insert(now);
        now.saturating_sub(first) >= task.limits.processor()
    }

    /// The task has stopped: takes note of how much it has used.
    fn ends(&self, task: &Tracee) {
        if let Some(first) = self.first
            && let Some(now) = task.limits.processor_time(task.task.as_raw())
        {
            task.limits.note_stretch(now.saturating_sub(first));
        }
    }
}

/// A task under ptrace.
#[derive(Debug)]
pub struct Tracee {
    task: Pid,
    /// What ends a wait for it.
    limits: Limits,
    /// `/proc/TASK/syscall`: "running", or the call that it sleeps in. Opened when it is first asked: most tasks are never asked.
    call: OnceCell<File>,
    /// `/proc/TASK/stat`, likewise.
    state: OnceCell<File>,
}

impl Tracee {
    /// A task that is traced already.
    #[must_use]
    pub fn new(task: Pid, limits: &Limits) -> Self {
        Self { task, limits: limits.clone(), call: OnceCell::new(), state: OnceCell::new() }
    }

    /// A further task that is traced already, with the same limits.
    #[must_use]
    pub fn another(&self, task: Pid) -> Self {
        Self::new(task, &self.limits)
    }

    /// Its id, as the controller sees it.
    #[must_use]
    pub fn id(&self) -> Pid {
        self.task
    }

    /// Lets it go on, with a signal where `signal` is not 0.
    ///
    /// # Errors
    /// Where it is gone.
    pub fn resume(&self, how: Resume, signal: i32) -> io::Result<()> {
        sys::resume(self.task, how, signal)
    }

    /// Kills it, and waits until it is gone.
    pub fn kill(&self) {
        let _ = nix::sys::signal::kill(self.task, nix::sys::signal::Signal::SIGKILL);
        // It may be in the stop before its end already, which was told of.
        let _ = self.resume(Resume::Freely, 0);
        // Nothing but its end can keep this waiting: no limit is looked at.
        while let Ok(stop) = sys::wait_status(self.task).and_then(|status| self.stop(status)) {
            if matches!(stop, Stop::Gone(_)) {
                break;
            }
            let _ = self.resume(Resume::Freely, 0);
        }
    }

    /// Has a task that is held at the entry of a call (`entry`) make another one first. It is held at the same entry again then.
    /// Gives the other call's result, and the child that it made, if it made one.
    ///
    /// # Errors
    /// Where the task is gone.
    pub fn call(
        &self,
        entry: &Registers,
        call: libc::c_long,
        arguments: [u64; 3],
    ) -> io::Result<(i64, Option<Pid>)> {
        let mut registers = *entry;
        registers.call_instead(call, arguments);
        self.set_registers(registers)?;
        let mut child = None;
        loop {
            self.resume(Resume::ToCallExit, 0)?;
            match self.wait_for_stop()? {
                Stop::Child { task, .. } => child = Some(task),
                Stop::CallExit => break,
                Stop::Gone(exit) => return Err(io::Error::other(format!("a process ended: {exit}"))),
                _ => {}
            }
        }
        let registers = self.registers()?;
        self.go_back(registers, entry)?;
        Ok((registers.result(), child))
    }

    /// Takes a stopped task back to the entry of a call.
    ///
    /// # Errors
    /// Where the task is gone.
    pub fn back_to(&self, entry: &Registers) -> io::Result<()> {
        self.go_back(self.registers()?, entry)
    }

    /// The same, from where it stands with these registers.
    fn go_back(&self, mut registers: Registers, entry: &Registers) -> io::Result<()> {
        registers.make_again(entry);
        self.set_registers(registers)?;
        loop {
            self.resume(Resume::Freely, 0)?;
            match self.wait_for_stop()? {
                Stop::CallEntry => return Ok(()),
                Stop::Gone(exit) => return Err(io::Error::other(format!("a process ended: {exit}"))),
                _ => {}
            }
        }
    }

    /// Asks a sleeping task to come to rest.
    ///
    /// # Errors
    /// Where it is gone.
    pub fn interrupt(&self) -> io::Result<()> {
        ptrace::interrupt(self.task).map_err(Into::into)
    }

    /// Waits until the task stops, ends, or sleeps in a call that something else must end.
    ///
    /// The controller shares its core with the task and gives way until the task has stopped: cheaper than to block (5.7 against
    /// 8.6 µs a stop), and a task that sleeps is noticed at once, since then nothing else runs on the core. A task that computes for
    /// long, or has to share the core with others, gets it for longer and longer.
    ///
    /// # Errors
    /// If the task is unknown, or a limit is reached.
    pub fn wait(&self) -> io::Result<Waited> {
        let mut looks = 0u32;
        let mut watch = Watch::default();
        loop {
            if let Some(stop) = self.poll()? {
                watch.ends(self);
                return Ok(Waited::Stopped(stop));
            }
            if looks > 1 {
                self.limits.check()?;
                if looks >= UNWATCHED && looks.is_multiple_of(8) && watch.is_over(self) {
                    return Ok(Waited::Computes);
                }
                if self.sleeps()? {
                    // It may have stopped between the two looks.
                    return Ok(self.poll()?.map_or(Waited::Asleep, Waited::Stopped));
                }
            }
            give_way(looks);
            looks = looks.saturating_add(1);
        }
    }

    /// What it has come to, if it has stopped.
    ///
    /// # Errors
    /// Where the task is unknown.
    pub fn poll(&self) -> io::Result<Option<Stop>> {
        sys::poll_status(self.task)?.map(|status| self.stop(status)).transpose()
    }

    /// Waits for a stop that is certain to come, though a machine that is busy may keep it.
    ///
    /// # Errors
    /// If the task is unknown, or a limit is reached.
    pub fn wait_for_stop(&self) -> io::Result<Stop> {
        let mut looks = 0u32;
        loop {
            if let Some(stop) = self.poll()? {
                return Ok(stop);
            }
            if looks > YIELDS {
                self.limits.check()?;
            }
            give_way(looks);
            looks = looks.saturating_add(1);
        }
    }

    /// Whether it sleeps, interruptibly, in a system call. Page faults and disk reads do not count: they end by themselves.
    ///
    /// # Errors
    /// Where it cannot be looked at.
    pub fn sleeps(&self) -> io::Result<bool> {
        let mut buffer = [0; 256];
        let length = self.look(&self.call, "syscall", &mut buffer)?;
        if length == 0 || buffer[0] == b'r' || buffer[0] == b'-' {
            return Ok(false);
        }
        Ok(self.state()?.is_some_and(|state| state == b'S'))
    }

    /// Reads one of its files in `/proc`, opened when it is first read; nothing where the task is gone or about to be.
    fn look(&self, file: &OnceCell<File>, name: &str, buffer: &mut [u8]) -> io::Result<usize> {
        let open = match file.get() {
            Some(open) => open,
            None => match File::open(format!("/proc/{}/{name}", self.task)) {
                Ok(opened) => file.get_or_init(|| opened),
                // A task that is about to end belongs to root: an ordinary user may not look at it.
                Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::PermissionDenied) => {
                    return Ok(0);
                }
                Err(error) => return Err(error),
            },
        };
        Ok(open.read_at(buffer, 0).unwrap_or(0))
    }

    /// The letter that the kernel has for its state.
    fn state(&self) -> io::Result<Option<u8>> {
        let mut buffer = [0; 256];
        let length = self.look(&self.state, "stat", &mut buffer)?;
        // The name of the program stands before it, in parentheses, and may have any bytes in it.
        let name_end = buffer[..length].iter().rposition(|byte| *byte == b')');
        Ok(name_end.and_then(|end| buffer.get(end + 2)).copied())
    }

    /// Whether it is in a stop of ours, or waits for a child that it made: a signal that kills takes it out of that.
    ///
    /// # Errors
    /// Where the controller has too many descriptors.
    pub fn is_held(&self) -> io::Result<bool> {
        Ok(self.state()?.is_some_and(|state| b"tTD".contains(&state)))
    }

    /// Whether a task that was stopped by job control has been continued: then it is at rest. The kernel wakes it within the call that
    /// continues it; on its way to rest it is not held.
    ///
    /// # Errors
    /// Where it is gone.
    pub fn is_continued(&self) -> io::Result<bool> {
        for looks in 0.. {
            // What it comes to while it is looked at is seen the second time.
            let held = self.is_held()?;
            match self.poll()? {
                Some(Stop::JobControl) => self.resume(Resume::Listening, 0)?,
                Some(_) => return Ok(true),
                None if held => break,
                None => {
                    self.limits.check()?;
                    give_way(looks);
                }
            }
        }
        Ok(false)
    }

    fn stop(&self, status: i32) -> io::Result<Stop> {
        if libc::WIFEXITED(status) {
            return Ok(Stop::Gone(Exit::Status(libc::WEXITSTATUS(status))));
        }
        if libc::WIFSIGNALED(status) {
            return Ok(Stop::Gone(Exit::Signal(libc::WTERMSIG(status))));
        }
        let (signal, event) = (libc::WSTOPSIG(status), status >> 16);
        Ok(match event {
            0 if signal == libc::SIGTRAP | 0x80 => Stop::CallExit,
            0 => Stop::Signal(signal),
            libc::PTRACE_EVENT_SECCOMP => Stop::CallEntry,
            libc::PTRACE_EVENT_FORK | libc::PTRACE_EVENT_CLONE => {
                Stop::Child { task: self.child()?, parent_waits: false }
            }
            libc::PTRACE_EVENT_VFORK => Stop::Child { task: self.child()?, parent_waits: true },
            libc::PTRACE_EVENT_VFORK_DONE => Stop::ChildDone,
            libc::PTRACE_EVENT_EXEC => Stop::Exec,
            libc::PTRACE_EVENT_EXIT => Stop::Exiting,
            libc::PTRACE_EVENT_STOP if signal == libc::SIGTRAP => Stop::AtRest,
            libc::PTRACE_EVENT_STOP => Stop::JobControl,
            other => return Err(io::Error::other(format!("unknown ptrace event {other}"))),
        })
    }

    fn child(&self) -> io::Result<Pid> {
        Ok(Pid::from_raw(i32::try_from(ptrace::getevent(self.task)?).unwrap_or(i32::MAX)))
    }

    /// The registers of a stopped task.
    ///
    /// # Errors
    /// Where it is gone.
    pub fn registers(&self) -> io::Result<Registers> {
        Registers::of(self.task)
    }

    /// Sets the registers of a stopped task.
    ///
    /// # Errors
    /// Where it is gone.
    pub fn set_registers(&self, registers: Registers) -> io::Result<()> {
        registers.set(self.task)
    }

    /// Reads its memory; short where the memory ends.
    ///
    /// # Errors
    /// Where nothing is mapped there.
    pub fn read(&self, address: u64, length: usize) -> io::Result<Vec<u8>> {
        let mut buffer = vec![0; length];
        if length == 0 {
            return Ok(buffer);
        }
        let remote = RemoteIoVec { base: address as usize, len: length };
        let got = process_vm_readv(self.task, &mut [IoSliceMut::new(&mut buffer)], &[remote])?;
        buffer.truncate(got);
        Ok(buffer)
    }

    /// Reads the bytes up to the next NUL: a path, say. Reads page by page, since what follows may not be mapped.
    ///
    /// # Errors
    /// Where nothing is mapped there, or there is no NUL within a path's greatest length.
    pub fn read_text(&self, address: u64) -> io::Result<Vec<u8>> {
        let mut text = Vec::new();
        let mut at = address;
        while text.len() <= libc::PATH_MAX as usize {
            // The first look is short: most paths are.
            let page_left = 4096 - (at & 4095);
            let piece =
                self.read(at, (if text.is_empty() { page_left.min(256) } else { page_left }) as usize)?;
            if let Some(end) = piece.iter().position(|byte| *byte == 0) {
                text.extend_from_slice(&piece[..end]);
                return Ok(text);
            }
            if piece.is_empty() {
                break;
            }
            at += piece.len() as u64;
            text.extend(piece);
        }
        Err(io::Error::from_raw_os_error(libc::ENAMETOOLONG))
    }

    /// Reads `count` 64-bit numbers.
    ///
    /// # Errors
    /// Where they are not all there.
    pub fn read_numbers(&self, address: u64, count: usize) -> io::Result<Vec<u64>> {
        let bytes = self.read(address, count * 8)?;
        let numbers: Vec<u64> =
            bytes.as_chunks::<8>().0.iter().map(|chunk| u64::from_le_bytes(*chunk)).collect();
        if numbers.len() == count { Ok(numbers) } else { Err(io::Error::from_raw_os_error(libc::EFAULT)) }
    }

    /// Writes into its memory.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn write(&self, address: u64, bytes: &[u8]) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        let remote = RemoteIoVec { base: address as usize, len: bytes.len() };
        let put = process_vm_writev(self.task, &[IoSlice::new(bytes)], &[remote])?;
        if put == bytes.len() { Ok(()) } else { Err(io::Error::from_raw_os_error(libc::EFAULT)) }
    }
}
