//! The search: which strategy, how far, and why it ended.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use super::{Progress, Session, SessionError};
use crate::backend::Detail;
use crate::explore::{Bounded, Dfs, Dpor, Observed, Pct, Pos, RandomWalk, Reversal, Strategy, run};
use crate::model::Kind;
use crate::report::{End, Finding, words};
use crate::scenario::{Equivalence, StrategyName};

/// How many executions are drawn by chance, unless the scenario says otherwise.
const RANDOM_EXECUTIONS: u64 = 1_000;
/// How many executions more a search makes, at the least, when all that it has found may be a symptom.
const LOOK_FURTHER: u64 = 32;

/// What those who explore parts of one search share.
#[derive(Debug)]
pub(super) struct Watch {
    /// The executions that were begun.
    begun: AtomicU64,
    /// The place of the first part that ended the search; those behind it do not matter any more.
    last: AtomicUsize,
    /// Whether one of them failed.
    failed: AtomicBool,
}

impl Default for Watch {
    fn default() -> Self {
        Self { begun: AtomicU64::new(0), last: AtomicUsize::new(usize::MAX), failed: AtomicBool::new(false) }
    }
}

impl Watch {
    /// Whether the part at this place still matters.
    pub(super) fn wants(&self, place: usize) -> bool {
        !self.failed.load(Ordering::Relaxed) && place <= self.last.load(Ordering::Relaxed)
    }

    /// The part at this place has ended the search.
    pub(super) fn ends_with(&self, place: usize) {
        self.last.fetch_min(place, Ordering::Relaxed);
    }

    /// Somebody failed: no part matters any more.
    pub(super) fn ends_with_nothing(&self) {
        self.failed.store(true, Ordering::Relaxed);
    }

    /// Counts an execution that is to begin; `false` where there have been as many as there may be.
    fn begin(&self, most: Option<u64>) -> bool {
        let one_more = |begun: u64| most.is_none_or(|most| begun < most).then_some(begun + 1);
        self.begun.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).is_ok()
    }
}

/// How a search ended.
#[derive(Debug)]
pub(super) struct Searched {
    /// Why.
    pub(super) end: End,
    /// What its executions stand for, where the strategy has a word for it.
    pub(super) covered: Option<String>,
}

impl Session<'_> {
    fn strategy(&self) -> Box<dyn Strategy> {
        let scenario = &self.job.scenario;
        let seed = scenario.seed.unwrap_or(0);
        let executions = scenario.max_executions.unwrap_or(RANDOM_EXECUTIONS);
        match (scenario.strategy, scenario.preemptions) {
            (StrategyName::Dpor, None) if scenario.equivalence == Equivalence::Observed => {
                Box::new(Observed::new())
            }
            (StrategyName::Dpor, None) => Box::new(Dpor::new().explaining(self.job.explain)),
            (StrategyName::Dpor, Some(most)) => Box::new(Bounded::new(most)),
            (StrategyName::Dfs, None) => Box::new(Dfs::new()),
            (StrategyName::Dfs, Some(most)) => Box::new(Dfs::bounded(most)),
            (StrategyName::Random, _) => Box::new(RandomWalk::new(seed, executions)),
            (StrategyName::Pos, _) => Box::new(Pos::new(seed, executions)),
            (StrategyName::Pct, _) => {
                Box::new(Pct::new(seed, executions, scenario.depth.unwrap_or(Pct::DEPTH)))
            }
        }
    }

    /// Runs executions until the strategy has no more, a bound is reached or an anomaly is enough.
    pub(super) fn search(&mut self, progress: &mut dyn FnMut(Progress)) -> Result<Searched, SessionError> {
        let mut strategy = self.strategy();
        let end = self.run(strategy.as_mut(), progress)?;
        // Of a search that was broken off the strategy cannot say what was covered; of one by chance it can at any time.
        let says = end == End::Preemptions || self.job.scenario.strategy.is_by_chance();
        let covered = if says { strategy.covered(self.job.programs.len()) } else { None };
        Ok(Searched { end, covered })
    }

    pub(super) fn run(
        &mut self,
        strategy: &mut dyn Strategy,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<End, SessionError> {
        let max_steps = self.most_steps();
        while strategy.begin() {
            if let Some(end) = self.bound_that_is_reached() {
                return Ok(end);
            }
            let verifies = self.verifies_next();
            let least = if verifies { Detail::Evidence } else { Detail::Search };
            let mut execution = run(strategy, &mut self.tracer, max_steps, least)?;
            self.counts.add(&execution);
            let check = self.afterwards.finish(&mut self.tracer, &mut execution)?;
            if verifies {
                self.verify(&execution)?;
            }
            self.judge(&execution, check.as_ref())?;
            progress(Progress {
                counts: self.counts,
                anomalies: self.findings.len(),
                elapsed: self.begun.elapsed(),
                depth: execution.trace.len(),
                done: strategy.done(),
                reversals: strategy.reversals().iter().map(told).collect(),
            });
            if !self.job.scenario.all && self.has_found_enough() {
                return Ok(End::Anomaly);
            }
        }
        Ok(if self.job.scenario.strategy.is_by_chance() {
            End::MaxExecutions
        } else if self.counts.overlong > 0 {
            End::MaxSteps
        } else if strategy.is_exhaustive() {
            End::Everything
        } else {
            End::Preemptions
        })
    }

    /// Whether the next execution is one of those that are run twice.
    fn verifies_next(&mut self) -> bool {
        self.unverified += 1;
        let verifies = self.job.scenario.verify.is_some_and(|each| self.unverified >= each);
        if verifies {
            self.unverified = 0;
        }
        verifies
    }

    /// Whether what was found can be left at that. A process that fails, a torn file and strange output are often but symptoms: the
    /// search goes on a little, for the update that is lost.
    fn has_found_enough(&self) -> bool {
        let Some(first) = self.findings.first() else { return false };
        let symptom = |finding: &Finding| {
            matches!(finding.anomaly.kind, Kind::ProcessFailure | Kind::TornFile | Kind::DirtyRead)
        };
        let chance = self.job.scenario.strategy.is_by_chance();
        let far_enough = self.counts.executions >= 2 * first.execution + LOOK_FURTHER;
        chance || far_enough || !self.findings.iter().all(symptom)
    }

    fn bound_that_is_reached(&self) -> Option<End> {
        let scenario = &self.job.scenario;
        if !self.watch.wants(self.place) {
            return Some(End::Anomaly);
        }
        if scenario.time_limit.is_some_and(|most| self.begun.elapsed().as_secs_f64() >= most) {
            return Some(End::TimeLimit);
        }
        (!self.watch.begin(scenario.max_executions)).then_some(End::MaxExecutions)
    }
}

/// A race that the search will go back to, in words.
fn told(reversal: &Reversal) -> String {
    let Reversal { step, earlier, later, at } = reversal;
    let when = at.map_or("in the end".to_owned(), |at| format!("step {}", at + 1));
    format!(
        "back to step {} ({}: {}), to be overtaken by {when} ({}: {})",
        step + 1,
        earlier.0,
        words::pending(&earlier.1),
        later.0,
        words::pending(&later.1)
    )
}
