//! Programs that decide by which of two files was changed last.
//!
//! If nothing orders the two changes, the times that a process is told show the same order in every execution of a trace class. So an
//! execution in which a process was told the times of both is run again with times that show the other order: once for each process, two
//! files and calls that changed them. An execution that is run again as a check is told another order as well. If such a run has another
//! result, the changes of these files are in conflict from then on, and the exploration begins again.

use std::collections::BTreeSet;

use super::evidence::{Begin, Following, difference};
use super::{Session, SessionError};
use crate::model::{Ending, Execution, GapKind, ProcessId, Sighting};
use crate::tracer::{Delay, Overtaking, delays_of};
use crate::witness::Divergence;

/// The changes of at most this many files are ordered: each further file multiplies the executions.
const MOST_FILES: usize = 6;

/// What is known of times in an exploration.
#[derive(Debug, Default)]
pub(super) struct Times {
    /// The files whose changes are in conflict, because it matters which of them was changed last.
    pub(super) ordered: BTreeSet<String>,
    /// The changes that were tried in the other order.
    tried: BTreeSet<Key>,
    /// Whether the search has begun. From then on, each shard of a search runs executions of its own.
    pub(super) searches: bool,
    /// Whether some order that matters is not explored. Then the exploration is not begun again for others that could be.
    is_gap: bool,
}

/// Which process was told of which two files, and by which calls they were changed last.
type Key = (ProcessId, [String; 2], [String; 2]);

fn key(overtaking: &Overtaking) -> Key {
    let (process, files) = overtaking.told.clone();
    (process, files, overtaking.calls.clone())
}

/// Runs an execution again with these changes told to be later, and says where it differs.
type Again<'s, 'a> = dyn FnMut(&mut Session<'a>, &[Delay]) -> Result<Option<Divergence>, SessionError> + 's;

impl<'a> Session<'a> {
    /// Tries for an execution of the search whether it matters which of two changes came last.
    ///
    /// # Errors
    /// If it does, that the exploration has to begin again; and those of running it.
    pub(super) fn try_times(
        &mut self,
        execution: &Execution,
        overtakings: &[Overtaking],
    ) -> Result<(), SessionError> {
        if !matches!(execution.ending, Ending::Complete | Ending::Blocked(_)) {
            return Ok(());
        }
        let mut again = |session: &mut Session<'a>, delays: &[Delay]| {
            session.tracer.delay(delays);
            let differs = session.differs_again(execution, Begin::AsKept);
            session.tracer.delay(&[]);
            differs
        };
        self.try_overtakings(overtakings, &mut again).map(drop)
    }

    /// The same for a serial run that was just made. Returns whether anything was run after it.
    pub(super) fn try_times_of_serial(
        &mut self,
        execution: &Execution,
        (left_out, tasks): (&[ProcessId], &[Vec<usize>]),
    ) -> Result<bool, SessionError> {
        let overtakings = self.tracer.take_overtakings();
        let overtakings = self.still_open(overtakings);
        if execution.ending != Ending::Complete {
            return Ok(false);
        }
        let mut again = |session: &mut Session<'a>, delays: &[Delay]| {
            session.tracer.delay(delays);
            let mut following = Following::of(&execution.schedule);
            let again = session.tracer.execute_without(left_out, tasks, &mut following);
            session.tracer.delay(&[]);
            Ok(difference(execution, &again?, session.serial.rules()))
        };
        self.try_overtakings(&overtakings, &mut again)
    }

    /// Those that the search does not explore anyway. If something orders the two changes and both are in conflict already, it does.
    pub(super) fn still_open(&self, overtakings: BTreeSet<Overtaking>) -> Vec<Overtaking> {
        let is_seen = |it: &Overtaking| it.is_ordered && it.changed.is_subset(&self.times.ordered);
        overtakings.into_iter().filter(|it| !is_seen(it)).collect()
    }

    /// Has the exploration begin again because a check has shown that these times matter; or takes note of a gap.
    pub(super) fn times_matter_after_all(&mut self, overtaking: &Overtaking) -> Result<(), SessionError> {
        let mut matters = BTreeSet::new();
        self.times_matter(overtaking, &mut matters);
        if matters.is_empty() || self.times.is_gap { Ok(()) } else { Err(SessionError::TimesMatter(matters)) }
    }

    /// Tries what has not been tried yet. Returns whether there was anything.
    fn try_overtakings(
        &mut self,
        overtakings: &[Overtaking],
        again: &mut Again<'_, 'a>,
    ) -> Result<bool, SessionError> {
        let is_new = |it: &&Overtaking| !self.times.tried.contains(&key(it));
        let mut left: Vec<Overtaking> = overtakings.iter().filter(is_new).cloned().collect();
        left.sort_by_key(|it| it.delay);
        let (has_tried, mut at_once) = (!left.is_empty(), true);
        let mut matters = BTreeSet::new();
        while let Some(first) = left.first() {
            self.limits.event()?;
            let delays = if at_once { delays_of(&left) } else { vec![first.delay] };
            let differs = again(self, &delays)?.is_some();
            let still: BTreeSet<Key> = self.tracer.take_overtakings().iter().map(key).collect();
            // If the process was now told the other order, that order was tried.
            let is_told = |it: &Overtaking| !still.contains(&key(it));
            if at_once && (differs || !left.iter().any(is_told)) {
                at_once = false;
                continue;
            }
            let (tried, rest): (Vec<_>, Vec<_>) = left.into_iter().enumerate().partition(|(number, it)| {
                let is_first = *number == 0 && !at_once;
                is_first || (!differs && is_told(it))
            });
            self.times.tried.extend(tried.iter().map(|(_, it)| key(it)));
            left = rest.into_iter().map(|(_, it)| it).collect();
            if differs {
                if let Some(divergence) = again(self, &[])? {
                    // It differs with the same times as well: it depends on more than times.
                    return Err(SessionError::Divergence(Box::new(divergence)));
                }
                tried.iter().for_each(|(_, it)| self.times_matter(it, &mut matters));
            }
        }
        drop(self.tracer.take_overtakings());
        if matters.is_empty() || self.times.is_gap {
            Ok(has_tried)
        } else {
            Err(SessionError::TimesMatter(matters))
        }
    }

    /// Adds the files of which it matters which was changed last. If their order cannot be explored, that is a gap.
    fn times_matter(&mut self, overtaking: &Overtaking, matters: &mut BTreeSet<String>) {
        let all = &(&self.times.ordered | &overtaking.changed) | matters;
        let is_part = self.times.searches && self.job.shard.is_some();
        if all.len() > MOST_FILES || is_part || overtaking.changed.is_subset(&self.times.ordered) {
            let (process, [file, other]) = &overtaking.told;
            let detail = format!("decides by whether it was changed later than {other}");
            let gap = Sighting::new(GapKind::UncontrolledTime, *process, detail).about(file.clone());
            self.not_covered.insert(gap);
            self.times.is_gap = true;
        } else {
            matters.extend(overtaking.changed.iter().cloned());
        }
    }
}
