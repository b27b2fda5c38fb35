//! The clock, sleeps, processor time, random numbers.

use super::undecided::{Early, Meant};
use super::{Decision, Decoder};
use crate::tracer::chance::{EPOCH, TICK, UPTIME};

const SECOND: u64 = 1_000_000_000;
/// A hundredth of a second.
const TICKS: u64 = SECOND / 100;
/// Bytes in a `struct rusage`.
const USAGE: usize = 144;
/// What programs see as the most memory that they had, in KiB, and as that of the machine, in bytes.
const RESIDENT: u64 = 16 << 10;
const MEMORY: u64 = 8 << 30;

fn answer(result: i64, memory: Vec<(u64, Vec<u8>)>) -> Decision {
    Decision::Answer { result, memory }
}

/// Seconds and the rest, as two little-endian numbers.
pub(super) fn pair(nanoseconds: u64, unit: u64) -> Vec<u8> {
    let (seconds, rest) = (nanoseconds / SECOND, nanoseconds % SECOND / unit);
    [seconds.to_le_bytes(), rest.to_le_bytes()].concat()
}

impl Decoder<'_> {
    pub(super) fn clock(&mut self, which: u64, address: u64) -> Meant {
        // Programs name temporary files by the clock: on a machine no two of them see the same nanosecond.
        let apart = self.caller.process as u64 % TICK;
        let time = clock(which as i32, self.caller.now + apart, self.caller.busy);
        if address == 0 {
            return Err(Early::refused("the time of a clock, told nowhere"));
        }
        Ok(answer(0, vec![(address, pair(time, 1))]))
    }

    pub(super) fn time_of_day(&mut self, address: u64) -> Meant {
        let time = pair(EPOCH + self.caller.now, 1000);
        Ok(answer(0, if address == 0 { Vec::new() } else { vec![(address, time)] }))
    }

    pub(super) fn seconds(&mut self, address: u64) -> Meant {
        let seconds = (EPOCH + self.caller.now) / SECOND;
        let memory = if address == 0 { Vec::new() } else { vec![(address, seconds.to_le_bytes().to_vec())] };
        Ok(answer(seconds.cast_signed(), memory))
    }

    pub(super) fn random_bytes(&mut self, address: u64, length: u64) -> Meant {
        Ok(Decision::Random { address, length: length as usize })
    }

    pub(super) fn machine(&mut self, address: u64) -> Meant {
        Ok(answer(0, vec![(address, machine(self.caller.now))]))
    }

    /// A sleep by a clock, for a time or until it shows a time.
    pub(super) fn sleep_by(&mut self, which: u64, flags: u64, address: u64) -> Meant {
        let absolute = flags as i32 & libc::TIMER_ABSTIME != 0;
        self.sleep(address, absolute.then(|| clock(which as i32, self.caller.now, self.caller.busy)))
    }

    /// What `times` gives: processor time in hundredths of a second, and how long the machine has been up.
    pub(super) fn processor_times(&self, address: u64) -> Meant {
        let ticks = |time: u64| (time / TICKS).to_le_bytes();
        let none = ticks(0);
        let memory = [ticks(self.caller.busy), none, none, none].concat();
        let memory = if address == 0 { Vec::new() } else { vec![(address, memory)] };
        Ok(Decision::Answer { result: ((UPTIME + self.caller.now) / TICKS).cast_signed(), memory })
    }

    /// `struct rusage`: processor time, and a size; of what has ended, nothing.
    pub(super) fn usage(&self, whose: i32, address: u64) -> Meant {
        let mut bytes = vec![0; USAGE];
        if whose != libc::RUSAGE_CHILDREN {
            bytes[..16].copy_from_slice(&pair(self.caller.busy, 1000));
            bytes[32..40].copy_from_slice(&RESIDENT.to_le_bytes());
        }
        Ok(Decision::Answer { result: 0, memory: vec![(address, bytes)] })
    }

    /// A sleep for the time at an address, or until then where `since` says what the clock shows.
    pub(super) fn sleep(&mut self, address: u64, since: Option<u64>) -> Meant {
        let numbers = self.numbers(address, 2)?;
        if numbers[1] >= SECOND || numbers[0].cast_signed() < 0 {
            return Err(Early::refused("a time that there cannot be"));
        }
        let time = numbers[0].checked_mul(SECOND).and_then(|time| time.checked_add(numbers[1]));
        let time = time.ok_or(Early::Local("it sleeps for ever"))?;
        Ok(Decision::Sleep(match since {
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
