//! The clock, sleeps, random numbers.

use syscalls::Sysno;

use super::{Decision, Decoder};
use crate::tracer::chance::{EPOCH, UPTIME};

const SECOND: u64 = 1_000_000_000;

/// Seconds and the rest, as two little-endian numbers.
fn pair(nanoseconds: u64, unit: u64) -> Vec<u8> {
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
            Sysno::clock_gettime => answer(0, vec![(b, pair(clock(a as i32, now), 1))]),
            Sysno::gettimeofday if a == 0 => answer(0, Vec::new()),
            Sysno::gettimeofday => answer(0, vec![(a, pair(EPOCH + now, 1000))]),
            Sysno::time => {
                let seconds = (EPOCH + now) / SECOND;
                let memory = if a == 0 { Vec::new() } else { vec![(a, seconds.to_le_bytes().to_vec())] };
                answer(seconds.cast_signed(), memory)
            }
            Sysno::nanosleep => self.sleep(a, None),
            Sysno::clock_nanosleep if b as i32 & libc::TIMER_ABSTIME != 0 => {
                self.sleep(c, Some(clock(a as i32, now)))
            }
            Sysno::clock_nanosleep => self.sleep(c, None),
            Sysno::getrandom => Some(Decision::Random { address: a, length: b as usize }),
            Sysno::timer_create | Sysno::timerfd_create | Sysno::setitimer | Sysno::alarm => {
                self.note(format!("real timers ({})", call.name()));
                Some(Decision::Pass)
            }
            Sysno::timer_settime
            | Sysno::timer_gettime
            | Sysno::timer_delete
            | Sysno::timer_getoverrun
            | Sysno::timerfd_settime
            | Sysno::timerfd_gettime
            | Sysno::getitimer => Some(Decision::Pass),
            _ => None,
        }
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

/// What a clock shows.
fn clock(which: i32, now: u64) -> u64 {
    match which {
        libc::CLOCK_REALTIME | libc::CLOCK_REALTIME_COARSE | libc::CLOCK_TAI => EPOCH + now,
        libc::CLOCK_MONOTONIC
        | libc::CLOCK_MONOTONIC_RAW
        | libc::CLOCK_MONOTONIC_COARSE
        | libc::CLOCK_BOOTTIME => UPTIME + now,
        // Time that the processor spent.
        _ => now,
    }
}
