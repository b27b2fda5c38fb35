//! The search: which strategy, how far, and why it ended.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::ahead::{Ahead, Beside, Place, Places};
use super::bench::{OfItsOwn, OfTheSearch, Seen};
use super::ending::limit;
use super::{Progress, Session, SessionError};
use crate::explore::{Bounded, Dfs, Dpor, Observed, Pct, Pos, RandomWalk, Reversal, Sharded, Strategy};
use crate::limits::Phase;
use crate::model::{Ending, Kind, Strands};
use crate::report::{End, Finding, words};
use crate::scenario::{Equivalence, StrategyName};

/// How many executions are drawn by chance, unless the scenario says otherwise.
const RANDOM_EXECUTIONS: u64 = 1_000;
/// How many executions more a search makes, at the least, when all that it has found may be a symptom.
const LOOK_FURTHER: u64 = 32;

/// How a search ended.
#[derive(Debug)]
pub(super) struct Searched {
    /// Why.
    pub(super) end: End,
    /// What its executions stand for, where the strategy has a word for it.
    pub(super) covered: Option<String>,
    /// What there is to say of why, if something is: a process that computes without end.
    pub(super) why: Option<String>,
}

impl Session<'_> {
    fn strategy(&self) -> Box<dyn Strategy> {
        let scenario = &self.job.scenario;
        let seed = scenario.seed.unwrap_or(0);
        let executions = scenario.max_executions.unwrap_or(RANDOM_EXECUTIONS);
        if let Some(shard) = self.job.shard {
            return Box::new(Sharded::new(shard.number, shard.of, self.job.explain));
        }
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
                let pct = Pct::new(seed, executions, scenario.depth.unwrap_or(Pct::DEPTH));
                Box::new(self.first.iter().fold(pct, Pct::after))
            }
        }
    }

    /// Runs executions until the strategy has no more, a bound is reached or an anomaly is enough.
    pub(super) fn search(
        &mut self,
        places: &Places,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Searched, SessionError> {
        self.times.searches = true;
        let mut strategy = self.strategy();
        let limits = self.limits.clone();
        let _search = limits.during(Phase::Search);
        let (job, initial) = (self.job, self.tracer.beginning());
        let over = Arc::new(AtomicBool::new(false));
        let theirs = limits.beside(&over);
        let (ahead, ordered) = (Arc::clone(&self.ahead), self.times.ordered.clone());
        let make =
            |place: &Place<'_>| OfItsOwn::new(job, &initial, place.core(), &theirs, (&ahead, &ordered));
        let beside = Beside { places, max_steps: self.most_steps(), limits: &limits, over: &over };
        let ended = beside.search(make, |ahead| self.run(strategy.as_mut(), ahead, progress));
        let (end, why) = match ended {
            Ok(end) => (end, None),
            Err(error) => limit(&error).ok_or(error)?,
        };
        // Of a search that was broken off the strategy cannot say what was covered; of one by chance it can at any time.
        let says = end == End::Preemptions || self.job.scenario.strategy.is_by_chance();
        let covered = if says { strategy.covered(self.strands) } else { None };
        Ok(Searched { end, covered, why })
    }

    fn run(
        &mut self,
        strategy: &mut dyn Strategy,
        ahead: &mut Ahead<'_, Seen, SessionError>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<End, SessionError> {
        while strategy.begin() {
            self.limits.event()?;
            if let Some(end) = self.bound_that_is_reached() {
                return Ok(end);
            }
            let mut bench = OfTheSearch::new(&mut self.tracer, &self.afterwards);
            let (execution, seen) = ahead.next(strategy, &mut bench)?;
            drop(bench);
            self.counts.add(&execution);
            self.known_serial.note_execution(&execution);
            if self.tracer.strands().are_tasks() {
                let took_part: BTreeSet<_> = execution.trace.iter().map(|event| event.process).collect();
                self.strands = self.strands.max(took_part.len());
            }
            self.not_covered.extend(seen.not_covered);
            if !matches!(execution.ending, Ending::Endless(_)) && self.verifies_next() {
                self.verify(&execution)?;
                self.verified += 1;
            }
            let overtakings = self.still_open(seen.overtakings);
            self.try_times(&execution, &overtakings)?;
            self.judge(&execution, seen.check.as_ref())?;
            let depth = execution.trace.len();
            self.check_now_and_then(execution, overtakings)?;
            progress(Progress {
                counts: self.counts,
                anomalies: self.findings.len(),
                elapsed: self.begun.elapsed(),
                depth,
                done: strategy.done(),
                reversals: strategy
                    .reversals()
                    .iter()
                    .map(|race| told(race, self.tracer.strands()))
                    .collect(),
            });
            if !self.job.scenario.all && self.has_found_enough() {
                return Ok(End::Anomaly);
            }
        }
        Ok(if self.job.scenario.strategy.is_by_chance() {
            End::MaxExecutions
        } else if self.counts.overlong > 0 || self.counts.endless > 0 {
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
        let most = self.job.scenario.max_executions;
        most.is_some_and(|most| self.counts.executions >= most).then_some(End::MaxExecutions)
    }
}

/// A race that the search will go back to, in words.
fn told(reversal: &Reversal, strands: Strands) -> String {
    let Reversal { step, earlier, later, at } = reversal;
    let when = at.map_or("in the end".to_owned(), |at| format!("step {}", at + 1));
    format!(
        "back to step {} ({}: {}), to be overtaken by {when} ({}: {})",
        step + 1,
        strands.process(earlier.0),
        words::pending(&earlier.1),
        strands.process(later.0),
        words::pending(&later.1)
    )
}
