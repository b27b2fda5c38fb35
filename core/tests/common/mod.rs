//! What several of the tests need: forked children, a seeded source of chance, a directory in memory.
#![allow(dead_code, reason = "each test program uses a part of it")]

use std::io::{Read, Write, pipe};
use std::path::Path;

use fork::Fork;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;
use tempfile::TempDir;

/// Runs `work` in a forked child. The child exits with 0 when it is true.
pub fn in_child(work: impl FnOnce() -> bool) -> Pid {
    match fork::fork().expect("forks") {
        Fork::Parent(pid) => Pid::from_raw(pid),
        Fork::Child => {
            // So that none is left behind where a test fails.
            #[cfg(target_os = "linux")]
            nix::sys::prctl::set_pdeathsig(Signal::SIGKILL).expect("ends with its parent");
            let good = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).unwrap_or(false);
            std::process::exit(i32::from(!good));
        }
    }
}

pub fn assert_good(child: Pid) {
    assert_eq!(waitpid(child, None).expect("waits"), WaitStatus::Exited(child, 0));
}

/// A child that does `work`, says so, and stays until it is killed.
pub fn staying(work: impl FnOnce()) -> Pid {
    let (mut hear, mut tell) = pipe().expect("a pipe");
    let child = in_child(|| {
        work();
        tell.write_all(b"!").expect("somebody listens");
        loop {
            std::thread::park();
        }
    });
    hear.read_exact(&mut [0]).expect("the child is there");
    child
}

pub fn end(child: Pid) {
    kill(child, Signal::SIGKILL).expect("kills");
    waitpid(child, None).expect("waits");
}

pub fn dir() -> TempDir {
    tempfile::tempdir().expect("a directory")
}

/// A directory whose flushes cost nothing, where there is one.
pub fn dir_in_memory() -> TempDir {
    let memory = Path::new("/dev/shm");
    let made = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    made.expect("a directory")
}

/// Marsaglia's xorshift: the same numbers for the same seed.
pub struct Chance(u64);

impl Chance {
    pub fn new(seed: u64) -> Self {
        // Mixed first, so that seeds that lie side by side have nothing to do with each other; zero would stay zero.
        Self((seed ^ 0x9e37_79b9_7f4a_7c15).wrapping_mul(0xbf58_476d_1ce4_e5b9) | 1)
    }

    pub fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % end
    }
}
