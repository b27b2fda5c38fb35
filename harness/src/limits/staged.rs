//! A clock for tests: time does not pass by itself, and what is to happen at an event happens at exactly that event.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use super::clock::{Clock, Machine};
use super::{Limits, Phase};

/// What is to happen at an event.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Then {
    /// The same as when a signal comes.
    Stop,
    /// So much time has passed since the beginning.
    Pass(Duration),
}

/// A clock that stands still until a certain event.
#[derive(Debug, Default)]
pub struct Staged {
    /// Which event: of this phase, the n-th, counted from 1; and what happens there.
    at: Option<(Phase, u64, Then)>,
    /// How many times faster the processor time of tasks passes than it really does; 0 leaves it as it is.
    faster: u32,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    now: Duration,
    /// Each event so far, by its phase.
    events: Vec<Phase>,
    /// How many of them there were when it happened.
    happened: Option<usize>,
}

impl Staged {
    /// One by which no time passes.
    #[must_use]
    pub fn still() -> Self {
        Self::default()
    }

    /// One by which this happens at the n-th event of a phase, counted from 1.
    #[must_use]
    pub fn at(phase: Phase, number: u64, then: Then) -> Self {
        Self { at: Some((phase, number, then)), ..Self::default() }
    }

    /// The same, with processor time that passes so many times faster.
    #[must_use]
    pub fn faster(self, times: u32) -> Self {
        Self { faster: times, ..self }
    }

    /// How many events of a phase there were.
    #[must_use]
    pub fn count(&self, phase: Phase) -> usize {
        self.with(|state| state.events.iter().filter(|event| **event == phase).count())
    }

    /// How many events began after what was to happen had happened; `None` if it has not happened.
    #[must_use]
    pub fn after(&self) -> Option<usize> {
        self.with(|state| state.happened.map(|happened| state.events.len() - happened))
    }

    fn with<R>(&self, ask: impl FnOnce(&mut State) -> R) -> R {
        ask(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Clock for Staged {
    fn now(&self) -> Duration {
        self.with(|state| state.now)
    }

    fn processor_time(&self, task: i32) -> Option<Duration> {
        Machine.processor_time(task).map(|time| time * self.faster.max(1))
    }

    fn counts_events(&self) -> bool {
        true
    }

    fn event(&self, phase: Phase) -> bool {
        let at = self.at;
        let then = self.with(|state| {
            state.events.push(phase);
            let count = state.events.iter().filter(|event| **event == phase).count() as u64;
            let (_, _, then) = at.filter(|(of, number, _)| (*of, *number) == (phase, count))?;
            state.happened = Some(state.events.len());
            if let Then::Pass(time) = then {
                state.now = time;
            }
            Some(then)
        });
        then == Some(Then::Stop)
    }
}

impl From<std::sync::Arc<Staged>> for Limits {
    fn from(clock: std::sync::Arc<Staged>) -> Self {
        Self::with_clock(std::sync::Arc::default(), clock)
    }
}
