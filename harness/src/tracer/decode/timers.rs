//! Timers that programs arm. They are virtual: the kernel is not told of them.

use super::time::{clock, pair};
use super::undecided::{Early, Meant};
use super::{Action, Decision, Decoder, descriptor};
use crate::model::GapKind;
use crate::tracer::files::What;
use crate::tracer::timers::{Effect, Owner, Timer};

const SECOND: u64 = 1_000_000_000;
const MICROSECOND: u64 = 1_000;

/// What is said of a timer that the process has not made.
const NO_TIMER: Early = Early::refused("a timer that is not there");

/// Values of `sigev_notify`.
const SIGNAL: i32 = 0;
const NOTHING: i32 = 1;
const TASK: i32 = 4;

impl Decoder<'_> {
    pub(super) fn set_alarm(&mut self, seconds: u64) -> Meant {
        let timer = self.alarm();
        let left = timer.left(self.caller.now).0;
        self.set(Owner::Alarm(self.caller.group.as_raw()), u64::from(seconds as u32) * SECOND, 0);
        // Rounded, but never to none.
        let seconds = if left == 0 { 0 } else { ((left + SECOND / 2) / SECOND).max(1) };
        Ok(Decision::Answer { result: seconds.cast_signed(), memory: Vec::new() })
    }

    pub(super) fn interval_timer(&mut self, which: u64, value: u64) -> Meant {
        if which as i32 != libc::ITIMER_REAL {
            return self.of_processor_time();
        }
        let timer = self.alarm();
        Ok(Decision::Answer { result: 0, memory: self.left(timer, value, MICROSECOND) })
    }

    pub(super) fn set_interval_timer(&mut self, which: u64, value: u64, old: u64) -> Meant {
        if which as i32 != libc::ITIMER_REAL {
            return self.of_processor_time();
        }
        let timer = self.alarm();
        let memory = self.left(timer, old, MICROSECOND);
        let (after, interval) = if value == 0 { (0, 0) } else { self.asked(value, MICROSECOND)? };
        self.set(Owner::Alarm(self.caller.group.as_raw()), after, interval);
        Ok(Decision::Answer { result: 0, memory })
    }

    fn of_processor_time(&mut self) -> Meant {
        self.note(GapKind::UncontrolledTime, format!("timers of processor time ({})", self.name));
        Ok(Decision::Pass)
    }

    /// The timer of this number that `timer_create` gave.
    fn posix(&self, number: u64) -> Owner {
        Owner::Posix(self.caller.group.as_raw(), number as i32)
    }

    pub(super) fn arm_timer(&mut self, number: u64, flags: u64, value: u64, old: u64) -> Meant {
        self.arm(self.posix(number), flags as i32 & libc::TIMER_ABSTIME != 0, value, old)
    }

    pub(super) fn timer_left(&mut self, number: u64, value: u64) -> Meant {
        let timer = *self.world.timers.get(self.posix(number)).ok_or(NO_TIMER)?;
        Ok(Decision::Answer { result: 0, memory: self.left(timer, value, 1) })
    }

    pub(super) fn timer_overrun(&mut self, number: u64) -> Meant {
        let owner = self.posix(number);
        let timer = self.world.timers.get(owner).ok_or(NO_TIMER)?;
        let result = std::mem::take(&mut timer.count).saturating_sub(1).cast_signed();
        Ok(Decision::Answer { result, memory: Vec::new() })
    }

    pub(super) fn delete_timer(&mut self, number: u64) -> Meant {
        let owner = self.posix(number);
        self.world.timers.get(owner).ok_or(NO_TIMER)?;
        self.world.timers.forget(|other| other == owner);
        Ok(Decision::Answer { result: 0, memory: Vec::new() })
    }

    pub(super) fn open_timer(&mut self, clock: u64, flags: u64) -> Meant {
        Ok(Decision::Watch(Action::OpenTimer { clock: clock as i32, flags: flags as i32 }))
    }

    pub(super) fn arm_open_timer(&mut self, number: u64, flags: u64, value: u64, old: u64) -> Meant {
        self.arm(self.timer_of(number)?, flags as i32 & libc::TFD_TIMER_ABSTIME != 0, value, old)
    }

    pub(super) fn open_timer_left(&mut self, number: u64, value: u64) -> Meant {
        let owner = self.timer_of(number)?;
        let timer = *self.world.timers.get(owner).ok_or(NO_TIMER)?;
        Ok(Decision::Answer { result: 0, memory: self.left(timer, value, 1) })
    }

    fn timer_of(&self, number: u64) -> Result<Owner, Early> {
        let table = self.caller.descriptors.borrow();
        let description = table.get(descriptor(number)).ok_or(NO_TIMER)?;
        let is_one = matches!(description.what, What::Timer);
        is_one.then_some(Owner::Description(description.number)).ok_or(NO_TIMER)
    }

    /// The caller's alarm; every process has one.
    fn alarm(&mut self) -> Timer {
        let owner = Owner::Alarm(self.caller.group.as_raw());
        if let Some(timer) = self.world.timers.get(owner) {
            return *timer;
        }
        let effect = Effect::Signal { signal: libc::SIGALRM, value: 0, task: None };
        *self.world.timers.make(self.caller.process, owner, effect)
    }

    pub(super) fn make_timer(&mut self, clock: i32, event: u64, number_at: u64) -> Meant {
        if matches!(clock, libc::CLOCK_PROCESS_CPUTIME_ID | libc::CLOCK_THREAD_CPUTIME_ID) || clock < 0 {
            self.note(GapKind::UncontrolledTime, "timers of processor time (timer_create)");
            return Ok(Decision::Answer { result: -i64::from(libc::ENOTSUP), memory: Vec::new() });
        }
        let group = self.caller.group.as_raw();
        let number = self.world.timers.next_number(group);
        let effect = if event == 0 {
            Effect::Signal { signal: libc::SIGALRM, value: number.cast_unsigned().into(), task: None }
        } else {
            let words = self.numbers(event, 3)?;
            let (signal, how, task) = (words[1] as i32, (words[1] >> 32) as i32, words[2] as i32);
            match how {
                SIGNAL => Effect::Signal { signal, value: words[0], task: None },
                TASK => Effect::Signal { signal, value: words[0], task: Some(task) },
                NOTHING => Effect::Nothing,
                _ => return Err(Early::refused("a timer that tells of its end in an unknown way")),
            }
        };
        self.world.timers.make(self.caller.process, Owner::Posix(group, number), effect).clock = clock;
        Ok(Decision::Answer { result: 0, memory: vec![(number_at, number.to_le_bytes().to_vec())] })
    }

    /// Arms a timer as the value at an address says, and tells what was left of it.
    fn arm(&mut self, owner: Owner, absolute: bool, value: u64, old: u64) -> Meant {
        let timer = *self.world.timers.get(owner).ok_or(NO_TIMER)?;
        let (mut after, interval) = self.asked(value, 1)?;
        if absolute && after > 0 {
            // What is past already runs out at once.
            after = after.saturating_sub(clock(timer.clock, self.caller.now, self.caller.busy)).max(1);
        }
        let memory = self.left(timer, old, 1);
        self.set(owner, after, interval);
        Ok(Decision::Answer { result: 0, memory })
    }

    /// Arms a timer; 0 disarms it.
    fn set(&mut self, owner: Owner, after: u64, interval: u64) {
        let now = self.caller.now;
        if let Some(timer) = self.world.timers.get(owner) {
            timer.due = (after > 0).then(|| now.saturating_add(after));
            (timer.interval, timer.count) = (interval, 0);
        }
        if let Owner::Description(number) = owner {
            self.world.unready.push(number);
        }
    }

    /// Time and interval at an address, in nanoseconds.
    fn asked(&self, address: u64, unit: u64) -> Result<(u64, u64), Early> {
        let numbers = self.numbers(address, 4)?;
        let time = |seconds: u64, rest: u64| {
            let valid = rest < SECOND / unit && seconds <= i64::MAX.cast_unsigned();
            valid.then(|| seconds.saturating_mul(SECOND).saturating_add(rest * unit))
        };
        let times = time(numbers[2], numbers[3]).zip(time(numbers[0], numbers[1]));
        times.ok_or(Early::refused("a time that there cannot be"))
    }

    /// What is left of a timer, as it is told at an address.
    fn left(&self, timer: Timer, address: u64, unit: u64) -> Vec<(u64, Vec<u8>)> {
        if address == 0 {
            return Vec::new();
        }
        let (left, interval) = timer.left(self.caller.now);
        vec![(address, [pair(interval, unit), pair(left, unit)].concat())]
    }
}
