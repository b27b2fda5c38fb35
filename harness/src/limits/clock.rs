//! What limits are measured with.

use std::fmt::Debug;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use super::Phase;

/// A clock, and a view of how much processor time tasks have used.
pub trait Clock: Debug + Send + Sync {
    /// How long it is since some fixed moment.
    fn now(&self) -> Duration;

    /// How much processor time a task has used since it began; `None` if nobody can say, for example because it is gone.
    fn processor_time(&self, task: i32) -> Option<Duration>;

    /// Whether [`Clock::event`] is to be called at each event.
    fn counts_events(&self) -> bool {
        false
    }

    /// Called at each event before the limits are looked at, if [`Clock::counts_events`] says so. Returns whether the work is to stop
    /// here as if a signal had come.
    fn event(&self, _phase: Phase) -> bool {
        false
    }
}

/// The clock of the machine, which only goes forward, and what the kernel counts of each task.
#[derive(Clone, Copy, Debug, Default)]
pub struct Machine;

/// The moment that [`Machine`] counts from: when it was first asked.
static FIRST: LazyLock<Instant> = LazyLock::new(Instant::now);
/// Kernels report processor times to programs in ticks of this many nanoseconds, whatever they use themselves.
const TICK: u64 = 10_000_000;

impl Clock for Machine {
    fn now(&self) -> Duration {
        FIRST.elapsed()
    }

    fn processor_time(&self, task: i32) -> Option<Duration> {
        let precise = std::fs::read_to_string(format!("/proc/{task}/schedstat"));
        let precise = precise.ok().and_then(|text| text.split(' ').next()?.parse().ok());
        // A kernel that was built without this file may also fill it with zeros.
        let nanoseconds = precise.filter(|time| *time > 0).or_else(|| {
            let status = std::fs::read(format!("/proc/{task}/stat")).ok()?;
            ticks(&String::from_utf8_lossy(&status)).map(|ticks| ticks * TICK)
        })?;
        Some(Duration::from_nanos(nanoseconds))
    }
}

/// The ticks that a task has used, by its line in `/proc/TASK/stat`: those of its own, and those of the kernel for it.
fn ticks(status: &str) -> Option<u64> {
    // The name of the program stands before them in parentheses, and may hold any characters.
    let rest = &status[status.rfind(')')? + 1..];
    let mut fields = rest.split_ascii_whitespace().skip(11);
    let (own, kernel) = (fields.next()?.parse::<u64>().ok()?, fields.next()?.parse::<u64>().ok()?);
    Some(own + kernel)
}

#[cfg(test)]
mod tests {
    use super::{Clock, Machine, ticks};

    #[test]
    fn ticks_are_found_behind_a_name_with_spaces_and_parentheses() {
        let line = "7 (a) b (c) R 1 7 7 0 -1 4194560 90 0 0 0 12 30 0 0 20 0 1 0 100 0 0";
        assert_eq!(ticks(line), Some(42));
        assert_eq!(ticks("7 (a"), None);
    }

    #[test]
    fn the_machine_counts_the_time_of_this_process_and_of_nobody_else() {
        let own = i32::try_from(std::process::id()).unwrap();
        let mut sum = 0u64;
        while Machine.processor_time(own).unwrap().as_nanos() == 0 {
            sum = sum.wrapping_add(std::hint::black_box(1));
        }
        assert_eq!(Machine.processor_time(-1), None);
    }
}
