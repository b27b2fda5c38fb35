//! The ways in which one search can be made, which must all come to the same.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::ControlFlow;
use std::sync::atomic::AtomicBool;

use cooks_harness::backend::Backend;
use cooks_harness::explore::{Counts, Dpor, Sharded, Strategy, explore};
use cooks_harness::limits::Limits;
use cooks_harness::model::{Ending, Execution, Outcome};
use cooks_harness::session::ahead::{Bare, Beside, Places};

use crate::check::{MAX_STEPS, Seen};

/// How a search is made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Way {
    OneJob,
    TwoJobs,
    /// Three that do not know of each other, joined.
    ThreeShards,
}

impl Way {
    /// What is counted here: of shards, without the executions that belong to another one.
    pub fn own(self, counts: Counts) -> Counts {
        match self {
            Way::OneJob | Way::TwoJobs => counts,
            Way::ThreeShards => {
                Counts { executions: counts.executions - counts.elsewhere, elsewhere: 0, ..counts }
            }
        }
    }
}

/// Explores to the end, on backends that `begin` makes.
pub fn search<B: Backend<Error: Send>>(way: Way, begin: &(dyn Fn() -> B + Sync)) -> Seen {
    match way {
        Way::OneJob => exhaust(&mut Dpor::new(), &mut begin()),
        Way::TwoJobs => with_another(begin),
        Way::ThreeShards => in_shards(&mut begin(), 3),
    }
}

impl Seen {
    fn add(&mut self, execution: &Execution) {
        if !matches!(execution.ending, Ending::Cut(_)) {
            self.outcomes.insert(fingerprint(&execution.outcome));
        }
    }
}

fn fingerprint(outcome: &Outcome) -> u64 {
    let mut hasher = DefaultHasher::new();
    format!("{outcome:?}").hash(&mut hasher);
    hasher.finish()
}

/// Explores to the end, alone.
pub fn exhaust<B: Backend>(strategy: &mut dyn Strategy, backend: &mut B) -> Seen {
    let mut seen = Seen::default();
    let explored = explore(strategy, backend, MAX_STEPS, &mut |execution| {
        seen.add(execution);
        ControlFlow::Continue(())
    });
    let explored = explored.unwrap_or_else(|error| panic!("an execution cannot be run: {error}"));
    assert!(explored.exhaustive);
    Seen { counts: explored.counts, ..seen }
}

/// Explores to the end, with another that runs ahead.
fn with_another<B: Backend<Error: Send>>(begin: &(dyn Fn() -> B + Sync)) -> Seen {
    let limits = Limits::default();
    let beside = Beside {
        places: &Places::anywhere(1),
        max_steps: MAX_STEPS,
        limits: &limits,
        over: &AtomicBool::new(false),
    };
    let seen = beside.search(
        |_| Ok(Bare(begin())),
        |ahead| {
            let (mut strategy, mut own, mut seen) = (Dpor::new(), Bare(begin()), Seen::default());
            while strategy.begin() {
                let (execution, ()) = ahead.next(&mut strategy, &mut own)?;
                seen.counts.add(&execution);
                seen.add(&execution);
            }
            Ok::<Seen, B::Error>(seen)
        },
    );
    seen.unwrap_or_else(|error| panic!("an execution cannot be run: {error}"))
}

/// What all shards see together, each of which explores its parts by itself.
fn in_shards<B: Backend>(backend: &mut B, shards: u32) -> Seen {
    let mut all = Seen::default();
    for shard in 1..=shards {
        let seen = exhaust(&mut Sharded::new(shard, shards, false), backend);
        all.counts.join(&seen.counts);
        all.outcomes.extend(seen.outcomes);
    }
    all
}
