//! The self-checks of every search: what the verdict takes for granted, tried on the commands at hand.

use std::collections::{BTreeMap, BTreeSet};

use super::evidence::{Begin, difference, run_again};
use super::search::Searched;
use super::{Session, SessionError};
use crate::backend::Detail;
use crate::model::{Choice, End, Ending, Execution, Outcome, Tree};
use crate::report::fingerprint;
use crate::tracer::Overtaking;
use crate::witness::Divergence;

/// Of so many executions one is run again without anything that is kept of others: the last of them. A process that begins afresh may do
/// a hundred times as much as one that begins from a checkpoint. So it is also at most this part of the work: one is run again, and
/// further ones if that leaves the search at its pace.
const EACH: u64 = 20;

/// What the self-checks have come to so far.
#[derive(Debug, Default)]
pub(super) struct Checks {
    /// How many executions there were since one was run again.
    since: u64,
    /// The last of them that came to an end.
    last: Option<(Execution, Vec<Overtaking>)>,
    /// How many were run again.
    made: u64,
    /// The events of these runs.
    spent: u64,
    /// What is wrong, if anything is.
    pub(super) failed: Option<String>,
}

impl Session<'_> {
    /// Takes note of an execution of the search; runs one in twenty again.
    pub(super) fn check_now_and_then(
        &mut self,
        execution: Execution,
        overtakings: Vec<Overtaking>,
    ) -> Result<(), SessionError> {
        if matches!(execution.ending, Ending::Complete | Ending::Blocked(_)) {
            self.checks.last = Some((execution, overtakings));
        }
        self.checks.since += 1;
        let may_cost = self.checks.made == 0 || self.checks.spent * EACH <= self.limits.events();
        if self.checks.since >= EACH && may_cost { self.check_last() } else { Ok(()) }
    }

    /// What is left to check when the search has come to its end.
    pub(super) fn check_at_the_end(&mut self, searched: &Searched) -> Result<(), SessionError> {
        if self.checks.made == 0 {
            self.check_last()?;
        }
        if searched.end == End::Everything && self.job.shard.is_none() && !self.helped {
            self.check_serial_outcomes();
        }
        Ok(())
    }

    /// Runs the last execution again without checkpoints, known endings and all that is kept of others. If two changes of files could have
    /// come in another order, the processes are told that order. The execution has to be the same.
    fn check_last(&mut self) -> Result<(), SessionError> {
        let Some((execution, overtakings)) = self.checks.last.take() else { return Ok(()) };
        self.checks.since = 0;
        if self.checks.failed.is_some() {
            return Ok(());
        }
        self.limits.event()?;
        let before = self.limits.events();
        let number = usize::try_from(self.checks.made).unwrap_or(0);
        let told = number.checked_rem(overtakings.len()).map(|number| &overtakings[number]);
        self.tracer.delay(&told.map(|it| it.delay).into_iter().collect::<Vec<_>>());
        let differs = self.differs_again(&execution, Begin::Afresh);
        self.tracer.delay(&[]);
        let mut differs = differs?;
        if let (Some(_), Some(told)) = (&differs, told) {
            differs = self.differs_again(&execution, Begin::Afresh)?;
            if differs.is_none() {
                self.times_matter_after_all(told)?;
            }
        }
        self.checks.made += 1;
        self.checks.spent += self.limits.events() - before;
        let Some(differs) = differs else { return Ok(()) };
        // What stays from run to run outside the workspace is a gap, and reported as that.
        if self.may_hide_a_race() {
            return Ok(());
        }
        // If it comes out otherwise from one time to the next, the commands depend on more than the schedule.
        let repeats = self.differs_again(&execution, Begin::AsKept)?;
        if let Some(divergence) = repeats {
            return Err(SessionError::Divergence(Box::new(divergence)));
        }
        if self.differs_again(&execution, Begin::Afresh)?.as_ref() != Some(&differs) {
            return Err(SessionError::Divergence(Box::new(differs)));
        }
        self.checks.failed = Some(format!(
            "an execution comes out otherwise if nothing is kept of others: {differs}; its schedule is {}",
            in_runs(&execution.schedule)
        ));
        Ok(())
    }

    /// Runs an execution again, and says where it differs.
    pub(super) fn differs_again(
        &mut self,
        execution: &Execution,
        begin: Begin,
    ) -> Result<Option<Divergence>, SessionError> {
        let schedule = &execution.schedule;
        let again = if self.job.scenario.canon.is_some() {
            run_again(&mut self.tracer, &self.afterwards, schedule, (begin, Detail::Search))?.execution
        } else {
            super::evidence::run_schedule(&mut self.tracer, schedule, (begin, Detail::Search))?.0
        };
        let rules = self.serial.rules();
        if self.job.scenario.canon.is_some() {
            return Ok(difference(execution, &again, rules));
        }
        // `--final` was not run again. It may have changed files.
        let last = self.job.scenario.last.is_some();
        let bare = |of: &Execution| {
            let mut bare = of.clone();
            bare.outcome = Outcome { last: None, ..bare.outcome };
            if last {
                bare.outcome.tree = Tree::new();
            }
            bare
        };
        Ok(difference(&bare(execution), &bare(&again), rules))
    }

    /// The serial outcomes that an exhaustive search has to meet: the fingerprint of each, with the first order that leaves it.
    pub(super) fn serial_to_meet(&self) -> BTreeMap<String, String> {
        let rules = self.serial.rules();
        let whole = self.serial.runs().iter().filter(|run| run.order.left_out.is_empty() && !self.helped);
        let mut met = BTreeMap::new();
        for run in whole {
            let order = || super::serial::names(&run.order.processes);
            met.entry(fingerprint(&rules.outcome(&run.outcome))).or_insert_with(order);
        }
        met
    }

    /// Each outcome of the processes one after another is one of those that the search found: it claims to have met all there are.
    fn check_serial_outcomes(&mut self) {
        if self.checks.failed.is_some() || self.may_hide_a_race() {
            return;
        }
        let rules = self.serial.rules();
        let mut seen = BTreeSet::new();
        let missing = self.serial.runs().iter().filter(|run| run.order.left_out.is_empty()).find(|run| {
            let outcome = rules.outcome(&run.outcome);
            seen.insert(outcome.clone()) && !self.outcomes.contains(&outcome)
        });
        if let Some(run) = missing {
            self.checks.failed = Some(format!(
                "the search was exhaustive and did not meet what the serial order {} leaves",
                super::serial::names(&run.order.processes)
            ));
        }
    }
}

/// A schedule in few characters: `A3 B A2`.
fn in_runs(schedule: &[Choice]) -> String {
    let runs = schedule.chunk_by(|one, next| one == next).map(|run| {
        let Choice::Process(process) = run[0];
        let times = if run.len() == 1 { String::new() } else { run.len().to_string() };
        format!("{process}{times}")
    });
    runs.collect::<Vec<_>>().join(" ")
}
