//! Which thread waits in which call, and for how long.
//!
//! The kernel does not tell since when a process waits. It tells when a thread last ran, `se.exec_start` in `/proc/PID/sched`, by a
//! clock of each core that cannot be read otherwise; so a thread of ours goes to that core for an instant, and reads its own.

use std::collections::BTreeMap;
use std::{fs, thread};

use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;
use syscalls::Sysno;

use super::process::Stat;

/// `F_SETLKW` and `F_OFD_SETLKW` of fcntl(2).
const SET_AND_WAIT: u64 = 7;
const SET_OPEN_AND_WAIT: u64 = 38;

/// A call that a thread is in, and that waits for a lock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Call {
    /// The descriptor that it is to lock.
    pub descriptor: u64,
    /// Whether it is for an OFD lock.
    pub open: bool,
}

/// The threads of a process that wait for locks.
pub fn calls(pid: i32) -> Vec<(i32, Call)> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).ok();
    let ids =
        threads.into_iter().flatten().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    ids.filter_map(|thread: i32| {
        let text = fs::read_to_string(format!("/proc/{pid}/task/{thread}/syscall")).ok()?;
        Some((thread, call(&text)?))
    })
    .collect()
}

/// `73 0x3 0x2 0x0 0x1b6 0x7ffd4d4c1aa0 0x0 0x7ffd4d4c1a68 0x7ff2509b9897`: number, arguments, stack, place.
fn call(text: &str) -> Option<Call> {
    let mut words = text.split_whitespace();
    let number: usize = words.next()?.parse().ok()?;
    let mut argument = || u64::from_str_radix(words.next()?.strip_prefix("0x")?, 16).ok();
    let (descriptor, command) = (argument()?, argument()?);
    let fcntl = number == Sysno::fcntl as usize;
    let open = fcntl && command == SET_OPEN_AND_WAIT;
    let waits = number == Sysno::flock as usize || open || fcntl && command == SET_AND_WAIT;
    waits.then_some(Call { descriptor, open })
}

/// The clocks of cores, each read once.
#[derive(Default)]
pub struct Clocks(BTreeMap<usize, Option<f64>>);

impl Clocks {
    /// Seconds since a thread last ran; `None` where this kernel, or this user, cannot tell.
    pub fn asleep(&mut self, pid: i32, thread: i32) -> Option<f64> {
        let last = last_run(&format!("/proc/{pid}/task/{thread}"))?;
        let text = fs::read(format!("/proc/{pid}/task/{thread}/stat")).ok()?;
        let core = Stat::parse(&String::from_utf8_lossy(&text))?.processor;
        let now = (*self.0.entry(core).or_insert_with(|| clock(core)))?;
        // The clock may have been read before the thread came to rest.
        Some(((now - last) / 1e3).max(0.0))
    }
}

/// What a core's clock says, in milliseconds.
fn clock(core: usize) -> Option<f64> {
    let look = move || {
        let mut cores = CpuSet::new();
        cores.set(core).ok()?;
        sched_setaffinity(Pid::from_raw(0), &cores).ok()?;
        last_run("/proc/thread-self")
    };
    thread::spawn(look).join().ok().flatten()
}

fn last_run(folder: &str) -> Option<f64> {
    let text = fs::read_to_string(format!("{folder}/sched")).ok()?;
    let line = text.lines().find(|line| line.starts_with("se.exec_start"))?;
    line.split_once(':')?.1.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use syscalls::Sysno;

    use super::{Call, call};

    #[test]
    fn calls_that_wait_for_locks_are_told_from_others() {
        let text =
            |number: Sysno, rest: &str| format!("{} {rest} 0x0 0x1b6 0x7f 0x0 0x7f 0x7f", number as usize);
        let waits = |number, rest| call(&text(number, rest));
        assert_eq!(waits(Sysno::flock, "0x3 0x2"), Some(Call { descriptor: 3, open: false }));
        assert_eq!(waits(Sysno::fcntl, "0x10 0x26"), Some(Call { descriptor: 16, open: true }));
        assert_eq!(waits(Sysno::fcntl, "0x4 0x7"), Some(Call { descriptor: 4, open: false }));
        assert_eq!(waits(Sysno::fcntl, "0x4 0x6"), None, "F_SETLK does not wait");
        assert_eq!(waits(Sysno::read, "0x3 0x2"), None);
        assert_eq!(call("running"), None);
    }
}
