use super::difference::Compared;
use super::explain::explain;
use super::history::History;
use super::{Case, Oracle, lost_update};
use crate::model::{Anomaly, Ending, Units};

/// Finds updates that are lost although no two units overlap: a process that is several units remembers what it read in one of them,
/// and writes it back in a later one over what another process has written since.
///
/// Every merge of the units loses such an update, or some do; so no outcome tells, held against the merges alone. The measure is
/// what the processes leave where each runs whole, one after another: then what a process remembers is never out of date. That is
/// too strict for most of what a process may keep in mind (a session, a counter of its own, the answers that it gives), so of all
/// outcomes that only merges of units give no other is an anomaly but this: *every* order of whole processes keeps an update, this
/// execution loses it, and who overwrote it rested on what it had read in an earlier unit of the same run of its program.
///
/// It cannot tell a process that puts back an older state on purpose from one that does so for want of a fresh look.
#[derive(Clone, Copy, Debug)]
pub struct Remembered;

impl Oracle for Remembered {
    fn judge(&self, case: &Case<'_>) -> Option<Anomaly> {
        let outcome = &case.execution.outcome;
        let units = Units::of(&case.execution.trace);
        if case.execution.ending != Ending::Complete
            || !units.are_several()
            || !case.serial.whole
            || !case.serial.contains(outcome)
            || case.serial.contains_whole(outcome)
        {
            return None;
        }
        let compared = Compared::with_whole(case);
        let history = History::of(case.initial, &case.execution.trace);
        let (mut anomaly, seen) = lost_update::find_remembered(&compared, &history, &units)?;
        anomaly.explanation.extend(explain("whole, one after another", &compared));
        anomaly.explanation.push(format!(
            "No two units need overlap for this: what was read in {seen} is written back later."
        ));
        Some(anomaly)
    }
}
