//! The clock, sleeps, random numbers.

use super::{Decision, Decoder};
use crate::tracer::chance::{EPOCH, UPTIME};

const SECOND: u64 = 1_000_000_000;

fn answer(result: i64, memory: Vec<(u64, Vec<u8>)>) -> Decision {
    Decision::Answer { result, memory }
}

/// Seconds and the rest, as two little-endian numbers.
fn pair(nanoseconds: u64, unit: u64) -> Vec<u8> {
    let (seconds, rest) = (nanoseconds / SECOND, nanoseconds % SECOND / unit);
    [seconds.to_le_bytes(), rest.to_le_bytes()].concat()
}

impl Decoder<'_> {
    pub(super) fn clock(&mut self, which: u64, address: u64) -> Option<Decision> {
        let time = clock(which as i32, self.caller.now);
        (address != 0).then(|| answer(0, vec![(address, pair(time, 1))]))
    }

    pub(super) fn time_of_day(&mut self, address: u64) -> Option<Decision> {
        let time = pair(EPOCH + self.caller.now, 1000);
        Some(answer(0, if address == 0 { Vec::new() } else { vec![(address, time)] }))
    }

    pub(super) fn seconds(&mut self, address: u64) -> Option<Decision> {
        let seconds = (EPOCH + self.caller.now) / SECOND;
        let memory = if address == 0 { Vec::new() } else { vec![(address, seconds.to_le_bytes().to_vec())] };
        Some(answer(seconds.cast_signed(), memory))
    }

    pub(super) fn random_bytes(&mut self, address: u64, length: u64) -> Option<Decision> {
        Some(Decision::Random { address, length: length as usize })
    }

    pub(super) fn real_timer(&mut self) -> Option<Decision> {
        self.note(format!("real timers ({})", self.name));
        None
    }

    /// A sleep by a clock, for a time or until it shows a time.
    pub(super) fn sleep_by(&mut self, which: u64, flags: u64, address: u64) -> Option<Decision> {
        let absolute = flags as i32 & libc::TIMER_ABSTIME != 0;
        self.sleep(address, absolute.then(|| clock(which as i32, self.caller.now)))
    }

    /// A sleep for the time at an address, or until then where `since` says what the clock shows.
    pub(super) fn sleep(&mut self, address: u64, since: Option<u64>) -> Option<Decision> {
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
