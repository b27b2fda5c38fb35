//! The ways in which one search can be made, which must all come to the same.

use std::ops::ControlFlow;

use cooks_harness::backend::Backend;
use cooks_harness::explore::{Counts, Dpor, Split, Strategy, explore};
use cooks_harness::model::Ending;

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
    /// What is counted here: where the search is split, without the executions that belong to another part, which are cut.
    pub fn own(self, counts: Counts) -> Counts {
        match self {
            Way::OneJob => counts,
            Way::TwoJobs | Way::ThreeShards => {
                Counts { executions: counts.executions - counts.redundant, redundant: 0, ..counts }
            }
        }
    }
}

/// Explores to the end, on backends that `begin` makes.
pub fn search<B: Backend>(way: Way, begin: &dyn Fn() -> B) -> Seen {
    match way {
        Way::OneJob => exhaust(&mut Dpor::new(), &mut begin()),
        Way::TwoJobs => in_parts(&mut begin(), 2, 1),
        Way::ThreeShards => in_parts(&mut begin(), 3, 3),
    }
}

/// Explores to the end, alone.
pub fn exhaust<B: Backend>(strategy: &mut dyn Strategy, backend: &mut B) -> Seen {
    let mut seen = Seen::default();
    let explored = explore(strategy, backend, MAX_STEPS, &mut |execution| {
        if !matches!(execution.ending, Ending::Cut(_)) {
            seen.outcomes.insert(execution.outcome.clone());
        }
        ControlFlow::Continue(())
    });
    let explored = explored.unwrap_or_else(|error| panic!("an execution cannot be run: {error}"));
    assert!(explored.exhaustive);
    Seen { counts: explored.counts, ..seen }
}

/// What all shards see together, each of which explores its parts by itself.
fn in_parts<B: Backend>(backend: &mut B, questions: usize, shards: u32) -> Seen {
    let mut split = Split::default();
    let seen = &mut |execution: &_| {
        split = Split::of(execution, questions);
        ControlFlow::Break(())
    };
    explore(&mut Dpor::new(), backend, MAX_STEPS, seen).unwrap_or_else(|error| panic!("{error}"));
    let mut all = Seen::default();
    for shard in 1..=shards {
        for part in split.of_shard(questions, shard, shards) {
            let seen = exhaust(&mut Dpor::within(split.part(part)), backend);
            all.counts.join(&seen.counts);
            all.outcomes.extend(seen.outcomes);
        }
    }
    all
}
