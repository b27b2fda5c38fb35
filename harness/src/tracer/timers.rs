//! Virtual timers that programs arm: `alarm`, `setitimer`, `timer_create`, `timerfd`. Pure: when they are due, not what is then done.

/// Whose a timer is, and what runs out with it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Owner {
    /// The alarm of a thread group (by the id of its first task): `alarm` and `setitimer` set the same one.
    Alarm(i32),
    /// Timer number `.1` of a thread group.
    Posix(i32, i32),
    /// The open file description with this number.
    Description(u32),
}

/// What a timer does when it runs out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Effect {
    /// Nothing: it is looked at.
    Nothing,
    /// Sends a signal, with a value, to the thread group or to one task of it (by the id that the program sees).
    Signal {
        /// Which.
        signal: i32,
        /// `sigev_value`.
        value: u64,
        /// The task.
        task: Option<i32>,
    },
    /// Makes a descriptor readable.
    Readable,
}

/// A timer; times are those of its process's clock, in nanoseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Timer {
    /// The place of the process.
    pub process: usize,
    /// Whose it is.
    pub owner: Owner,
    /// What it does.
    pub effect: Effect,
    /// Of which clock it is.
    pub clock: i32,
    /// When it runs out, where it is armed.
    pub due: Option<u64>,
    /// After how long it does so again, or 0.
    pub interval: u64,
    /// How often it has run out since that was last asked.
    pub count: u64,
}

/// The timers of all processes, in the order in which they were made.
#[derive(Debug, Default)]
pub struct Timers(Vec<Timer>);

impl Timers {
    /// The timer of this owner.
    pub fn get(&mut self, owner: Owner) -> Option<&mut Timer> {
        self.0.iter_mut().find(|timer| timer.owner == owner)
    }

    /// Makes a timer, which is not armed.
    pub fn make(&mut self, process: usize, owner: Owner, effect: Effect) -> &mut Timer {
        self.0.retain(|timer| timer.owner != owner);
        self.0.push(Timer { process, owner, effect, clock: 0, due: None, interval: 0, count: 0 });
        let last = self.0.len() - 1;
        &mut self.0[last]
    }

    /// The number for a thread group's next timer.
    #[must_use]
    pub fn next_number(&self, group: i32) -> i32 {
        let of = |timer: &Timer| match timer.owner {
            Owner::Posix(owner, number) if owner == group => Some(number + 1),
            _ => None,
        };
        self.0.iter().filter_map(of).max().unwrap_or(0)
    }

    /// Takes the timers away that `gone` says.
    pub fn forget(&mut self, gone: impl Fn(Owner) -> bool) {
        self.0.retain(|timer| !gone(timer.owner));
    }

    /// Whether a process has made a timer, armed or not.
    #[must_use]
    pub fn has_any(&self, process: usize) -> bool {
        self.0.iter().any(|timer| timer.process == process)
    }

    /// When the next timer of a process runs out.
    #[must_use]
    pub fn next_due(&self, process: usize) -> Option<u64> {
        self.0.iter().filter(|timer| timer.process == process).filter_map(|timer| timer.due).min()
    }

    /// Lets the first timer of a process run out that is due by `now`, and arms it again where it repeats.
    pub fn run_out(&mut self, process: usize, now: u64) -> Option<Timer> {
        let first = self.next_due(process).filter(|due| *due <= now)?;
        let timer = self.0.iter_mut().find(|timer| timer.process == process && timer.due == Some(first))?;
        let times = match timer.interval {
            0 => 1,
            interval => 1 + (now - first) / interval,
        };
        timer.count += times;
        timer.due = (timer.interval > 0).then(|| first + times * timer.interval);
        Some(*timer)
    }
}

impl Timer {
    /// Time left and interval, in nanoseconds; 0 where it is not armed.
    #[must_use]
    pub fn left(&self, now: u64) -> (u64, u64) {
        // What is due has run out already; what is armed has time left.
        (self.due.map_or(0, |due| due.saturating_sub(now).max(1)), self.interval)
    }
}

#[cfg(test)]
mod tests {
    use super::{Effect, Owner, Timers};

    #[test]
    fn timers_run_out_in_the_order_of_their_times() {
        let mut timers = Timers::default();
        let alarm = timers.make(0, Owner::Alarm(7), Effect::Nothing);
        (alarm.due, alarm.interval) = (Some(50), 20);
        timers.make(0, Owner::Posix(7, 0), Effect::Nothing).due = Some(30);
        timers.make(1, Owner::Posix(8, 0), Effect::Nothing).due = Some(10);
        assert_eq!((timers.next_due(0), timers.next_number(7), timers.next_number(9)), (Some(30), 1, 0));
        assert_eq!(timers.run_out(0, 29), None);
        assert_eq!(timers.run_out(0, 100).map(|timer| timer.owner), Some(Owner::Posix(7, 0)));
        let alarm = timers.run_out(0, 100).expect("an alarm");
        assert_eq!((alarm.count, alarm.due, alarm.left(100)), (3, Some(110), (10, 20)));
        assert_eq!(timers.run_out(0, 100), None);
        timers.forget(|owner| owner == Owner::Alarm(7));
        assert_eq!(timers.next_due(0), None);
    }
}
