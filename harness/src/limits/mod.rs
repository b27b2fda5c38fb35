//! What ends work that is under way: a signal, a deadline, a task that computes without end.

mod clock;
#[doc(hidden)]
pub mod staged;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

pub use self::clock::{Clock, Machine};

/// How much processor time one task may use between two of its calls, unless the scenario says otherwise.
pub const CPU_LIMIT: Duration = Duration::from_secs(30);
/// How many times a process may sleep between two of its operations, unless the scenario says otherwise.
pub const MOST_SLEEPS: u64 = 10_000;
/// What an extension and a replay of a task that computes without end get: this part of the limit.
const PART: u32 = 10;

/// Which work is under way.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(u8)]
pub enum Phase {
    /// The workspace is prepared: `--setup`.
    Setup,
    /// The serial runs.
    Serial,
    /// The executions of the search.
    Search,
    /// The schedule of an anomaly is made simpler.
    Shrink,
    /// An execution is run again.
    Replay,
    /// `--final`.
    Final,
    /// `--canon`.
    Canon,
    /// `--check`.
    Check,
    /// A witness is written.
    Writing,
}

/// All phases, in the order of their numbers.
pub const PHASES: [Phase; 9] = [
    Phase::Setup,
    Phase::Serial,
    Phase::Search,
    Phase::Shrink,
    Phase::Replay,
    Phase::Final,
    Phase::Canon,
    Phase::Check,
    Phase::Writing,
];

/// Why work ends before its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reached {
    /// A signal came, or nobody needs the result any more.
    Interrupted,
    /// The deadline has passed.
    TimeLimit,
}

impl std::fmt::Display for Reached {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Interrupted => "interrupted",
            Self::TimeLimit => "the time limit was reached",
        })
    }
}

impl std::error::Error for Reached {}

impl From<Reached> for std::io::Error {
    fn from(reached: Reached) -> Self {
        Self::other(reached)
    }
}

/// What limits work. Copies are the same limits.
#[derive(Clone, Debug)]
pub struct Limits(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    stop: Arc<AtomicBool>,
    /// A further reason to stop.
    over: Option<Arc<AtomicBool>>,
    clock: Arc<dyn Clock>,
    counts_events: bool,
    /// How many events there were.
    events: AtomicU64,
    phase: AtomicU8,
    limited: Arc<Limited>,
}

/// What those that work side by side have in common.
#[derive(Debug)]
struct Limited {
    /// When the work is to end, in nanoseconds by the clock; `NEVER` if at no time.
    deadline: AtomicU64,
    /// How long it may last.
    time: Option<Duration>,
    /// How much processor time a task may use between two of its calls.
    processor: Duration,
    /// Whether a task may use only a part of that.
    tight: AtomicBool,
    /// The most that a task has used and then made a call, in nanoseconds.
    longest: AtomicU64,
    most_sleeps: u64,
}

/// No deadline.
const NEVER: u64 = u64::MAX;

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(NEVER)
}

impl Limited {
    fn new(now: Duration, time: Option<Duration>, processor: Duration, most_sleeps: u64) -> Self {
        let deadline = time.map_or(NEVER, |time| nanoseconds(now.saturating_add(time)));
        let (deadline, longest) = (AtomicU64::new(deadline), AtomicU64::new(0));
        Self { deadline, time, processor, tight: AtomicBool::new(false), longest, most_sleeps }
    }
}

impl Default for Limits {
    /// Nothing but the processor time and the sleeps of processes.
    fn default() -> Self {
        Self::from(Arc::new(AtomicBool::new(false)))
    }
}

impl From<Arc<AtomicBool>> for Limits {
    /// Work ends when `stop` becomes true.
    fn from(stop: Arc<AtomicBool>) -> Self {
        Self::with_clock(stop, Arc::new(Machine))
    }
}

impl From<&Arc<AtomicBool>> for Limits {
    fn from(stop: &Arc<AtomicBool>) -> Self {
        Self::from(Arc::clone(stop))
    }
}

impl From<&Self> for Limits {
    fn from(limits: &Self) -> Self {
        limits.clone()
    }
}

impl Limits {
    /// Work ends when `stop` becomes true; what else limits it is measured with `clock`.
    #[must_use]
    pub fn with_clock(stop: Arc<AtomicBool>, clock: Arc<dyn Clock>) -> Self {
        let limited = Limited::new(Duration::ZERO, None, CPU_LIMIT, MOST_SLEEPS);
        Self::of(stop, None, clock, Phase::Search, Arc::new(limited))
    }

    fn of(
        stop: Arc<AtomicBool>,
        over: Option<Arc<AtomicBool>>,
        clock: Arc<dyn Clock>,
        phase: Phase,
        limited: Arc<Limited>,
    ) -> Self {
        let counts_events = clock.counts_events();
        Self(Arc::new(Shared {
            stop,
            over,
            clock,
            counts_events,
            events: AtomicU64::new(0),
            phase: AtomicU8::new(phase as u8),
            limited,
        }))
    }

    /// The limits of work that begins now: it may last so long; a task may use so much processor time between two of its calls; a process
    /// may sleep so many times between two of its operations.
    #[must_use]
    pub fn begin(&self, time: Option<Duration>, processor: Option<Duration>, sleeps: Option<u64>) -> Self {
        let Shared { stop, over, clock, .. } = &*self.0;
        let (processor, sleeps) = (processor.unwrap_or(CPU_LIMIT), sleeps.unwrap_or(MOST_SLEEPS));
        let limited = Limited::new(clock.now(), time, processor, sleeps);
        Self::of(Arc::clone(stop), over.clone(), Arc::clone(clock), Phase::Setup, Arc::new(limited))
    }

    /// The limits of those that work beside this: they also stop when `over` becomes true. They have a phase of their own, the search.
    #[must_use]
    pub fn beside(&self, over: &Arc<AtomicBool>) -> Self {
        let Shared { stop, clock, limited, .. } = &*self.0;
        let over = Some(Arc::clone(over));
        Self::of(Arc::clone(stop), over, Arc::clone(clock), Phase::Search, Arc::clone(limited))
    }

    /// To be called at each event of the work.
    ///
    /// # Errors
    /// If the work is to end.
    pub fn event(&self) -> Result<(), Reached> {
        self.0.events.fetch_add(1, Ordering::Relaxed);
        if self.0.counts_events && self.0.clock.event(self.phase()) {
            self.0.stop.store(true, Ordering::Relaxed);
        }
        self.check()
    }

    /// How many events there were: about how much work was done, the same in every run.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.0.events.load(Ordering::Relaxed)
    }

    /// Checks the limits while something waits. This does not count as an event.
    ///
    /// # Errors
    /// If the work is to end.
    pub fn check(&self) -> Result<(), Reached> {
        let Shared { stop, over, clock, limited, .. } = &*self.0;
        if stop.load(Ordering::Relaxed) || over.as_ref().is_some_and(|over| over.load(Ordering::Relaxed)) {
            return Err(Reached::Interrupted);
        }
        let deadline = limited.deadline.load(Ordering::Relaxed);
        if deadline != NEVER && nanoseconds(clock.now()) >= deadline {
            return Err(Reached::TimeLimit);
        }
        Ok(())
    }

    /// The work that is under way.
    #[must_use]
    pub fn phase(&self) -> Phase {
        PHASES[usize::from(self.0.phase.load(Ordering::Relaxed)) % PHASES.len()]
    }

    /// Says which work is under way, until what this gives is dropped: then it is what it was before.
    #[must_use]
    pub fn during(&self, phase: Phase) -> During {
        let before = self.0.phase.swap(phase as u8, Ordering::Relaxed);
        During { limits: self.clone(), before }
    }

    /// Gives work that has reached its deadline a little more time: a tenth of what it had.
    pub fn extend(&self) {
        let Shared { clock, limited, .. } = &*self.0;
        if let Some(time) = limited.time {
            let deadline = nanoseconds(clock.now().saturating_add(time / PART));
            limited.deadline.store(deadline, Ordering::Relaxed);
        }
    }

    /// How much processor time a task may use now between two of its calls.
    #[must_use]
    pub fn processor(&self) -> Duration {
        let limited = &self.0.limited;
        if limited.tight.load(Ordering::Relaxed) { limited.processor / PART } else { limited.processor }
    }

    /// Lets a task use only a tenth of that from now on, or all of it again.
    pub fn tighten(&self, tight: bool) {
        self.0.limited.tight.store(tight, Ordering::Relaxed);
    }

    /// How much processor time a task has used.
    #[must_use]
    pub fn processor_time(&self, task: i32) -> Option<Duration> {
        self.0.clock.processor_time(task)
    }

    /// Takes note of a task that has used so much processor time, and then made a call.
    pub fn note_stretch(&self, time: Duration) {
        self.0.limited.longest.fetch_max(nanoseconds(time), Ordering::Relaxed);
    }

    /// Whether every task has so far made its next call within a tenth of the processor time that it may use.
    #[must_use]
    pub fn are_far(&self) -> bool {
        let limited = &self.0.limited;
        limited.longest.load(Ordering::Relaxed) < nanoseconds(limited.processor / PART)
    }

    /// How many times a process may sleep between two of its operations.
    #[must_use]
    pub fn most_sleeps(&self) -> u64 {
        self.0.limited.most_sleeps
    }
}

/// While it lives, a phase is under way.
#[derive(Debug)]
pub struct During {
    limits: Limits,
    before: u8,
}

impl Drop for During {
    fn drop(&mut self) {
        self.limits.0.phase.store(self.before, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
