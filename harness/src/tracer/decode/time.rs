//! The clock, sleeps, processor time, random numbers.

use syscalls::Sysno;

use super::{Decision, Decoder};
use crate::tracer::chance::{EPOCH, UPTIME};

const SECOND: u64 = 1_000_000_000;
/// A hundredth of a second.
const TICKS: u64 = SECOND / 100;
/// Bytes in a `struct rusage`.
const USAGE: usize = 144;
/// What programs see as the most memory that they had, in KiB, and as that of the machine, in bytes.
const RESIDENT: u64 = 16 << 10;
const MEMORY: u64 = 8 << 30;

/// Seconds and the rest, as two little-endian numbers.
pub(super) fn pair(nanoseconds: u64, unit: u64) -> Vec<u8> {
    let (seconds, rest) = (nanoseconds / SECOND, nanoseconds % SECOND / unit);
    [seconds.to_le_bytes(), rest.to_le_bytes()].concat()
}

impl Decoder<'_> {
    pub(super) fn time_call(&mut self, call: Sysno) -> Option<Decision> {
        let [a, b, c, ..] = self.arguments;
        let now = self.caller.now;
        let answer = |result, memory| Some(Decision::Answer { result, memory });
        match call {
            Sysno::clock_gettime if b == 0 => Some(Decision::Pass),
            Sysno::clock_gettime => answer(0, vec![(b, pair(clock(a as i32, now, self.caller.busy), 1))]),
            Sysno::gettimeofday if a == 0 => answer(0, Vec::new()),
            Sysno::gettimeofday => answer(0, vec![(a, pair(EPOCH + now, 1000))]),
            Sysno::time => {
                let seconds = (EPOCH + now) / SECOND;
                let memory = if a == 0 { Vec::new() } else { vec![(a, seconds.to_le_bytes().to_vec())] };
                answer(seconds.cast_signed(), memory)
            }
            Sysno::nanosleep => self.sleep(a, None),
            Sysno::clock_nanosleep if b as i32 & libc::TIMER_ABSTIME != 0 => {
                self.sleep(c, Some(clock(a as i32, now, self.caller.busy)))
            }
            Sysno::clock_nanosleep => self.sleep(c, None),
            Sysno::getrandom => Some(Decision::Random { address: a, length: b as usize }),
            Sysno::times => self.processor_times(a),
            Sysno::getrusage => self.usage(a as i32, b),
            Sysno::sysinfo => answer(0, vec![(a, machine(now))]),
            _ => self.timer_call(call),
        }
    }

    /// What `times` gives: processor time in hundredths of a second, and how long the machine has been up.
    fn processor_times(&self, address: u64) -> Option<Decision> {
        let ticks = |time: u64| (time / TICKS).to_le_bytes();
        let none = ticks(0);
        let memory = [ticks(self.caller.busy), none, none, none].concat();
        let memory = if address == 0 { Vec::new() } else { vec![(address, memory)] };
        Some(Decision::Answer { result: ((UPTIME + self.caller.now) / TICKS).cast_signed(), memory })
    }

    /// `struct rusage`: processor time, and a size; of what has ended, nothing.
    fn usage(&self, whose: i32, address: u64) -> Option<Decision> {
        let mut bytes = vec![0; USAGE];
        if whose != libc::RUSAGE_CHILDREN {
            bytes[..16].copy_from_slice(&pair(self.caller.busy, 1000));
            bytes[32..40].copy_from_slice(&RESIDENT.to_le_bytes());
        }
        Some(Decision::Answer { result: 0, memory: vec![(address, bytes)] })
    }

    /// A sleep for the time at an address, or until then where `since` says what the clock shows.
    fn sleep(&self, address: u64, since: Option<u64>) -> Option<Decision> {
        let numbers = self.caller.tracee.read_numbers(address, 2).ok()?;
        if numbers[1] >= SECOND {
            return None;
        }
        let time = numbers[0].checked_mul(SECOND)?.checked_add(numbers[1])?;
        Some(Decision::Sleep(match since {
            Some(since) => time.saturating_sub(since),
            None => time,
        }))
    }
}

/// `struct sysinfo`: how long the machine has been up, and a size that is the same everywhere.
fn machine(now: u64) -> Vec<u8> {
    let mut bytes = vec![0; 112];
    let mut put = |at: usize, value: u64| bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
    put(0, (UPTIME + now) / SECOND);
    put(32, MEMORY);
    put(40, MEMORY / 2);
    put(80, 1); // processes
    bytes[104] = 1; // bytes in a unit of memory
    bytes
}

/// What a clock shows, `busy` being the processor time spent.
pub(super) fn clock(which: i32, now: u64, busy: u64) -> u64 {
    match which {
        libc::CLOCK_REALTIME | libc::CLOCK_REALTIME_COARSE | libc::CLOCK_TAI => EPOCH + now,
        libc::CLOCK_MONOTONIC
        | libc::CLOCK_MONOTONIC_RAW
        | libc::CLOCK_MONOTONIC_COARSE
        | libc::CLOCK_BOOTTIME => UPTIME + now,
        _ => busy,
    }
}
