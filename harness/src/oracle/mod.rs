//! The oracles: what is wrong with an execution, and why, in the user's words.
//!
//! Pure: they see an execution, what the serial runs left and what the files held at first; so they work on saved traces as well.

mod conflict;
mod deadlock;
mod difference;
mod evidence;
mod explain;
mod history;
mod json;
mod judge;
mod livelock;
mod lost_update;
mod normalize;
mod remembered;
mod serial;
mod taken;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod torn;
mod untraced;

use crate::model::{Anomaly, Execution, Exit, MarkedStep, Tree, Units};

pub use conflict::{candidate_orders, conflict_serializable};
pub use deadlock::Deadlock;
pub use evidence::{FileVersion, versions};
pub use judge::{Check, Serializability};
pub use livelock::Livelock;
pub use normalize::{BadGlob, Normalize};
pub use remembered::Remembered;
pub use serial::{Aborts, Order, SerialOutcomes, SerialRun, orders, orders_of_subsets, orders_without};
pub use untraced::judge_untraced;

/// What an oracle is shown.
#[derive(Clone, Copy, Debug)]
pub struct Case<'a> {
    /// The execution to judge. Whether there is an anomaly can be told of any; which kind, and who did what, only of one that was
    /// recorded with [`crate::backend::Detail::Evidence`].
    pub execution: &'a Execution,
    /// What the serial runs left. Those that [`SerialOutcomes::left_out_sets`] names for this outcome must be among them.
    pub serial: &'a SerialOutcomes,
    /// What was in the workspace before the first step: all of it, as [`crate::model::ObjectId::Initial`] counts it.
    pub initial: &'a Tree,
    /// The processes' commands, in their order.
    pub commands: &'a [String],
    /// How the user's own check of the final workspace ended, where there is one and it was run.
    pub check: Option<&'a CheckRun>,
}

/// How the user's own check of a final workspace ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CheckRun {
    /// The command.
    pub command: String,
    /// How it ended.
    pub exit: Exit,
    /// What it printed, both outputs together.
    pub output: String,
}

/// Judges executions.
///
/// Contract:
/// 1. `None` says that this oracle finds nothing wrong, not that nothing is.
/// 2. The same case gives the same answer, byte for byte: an oracle draws on nothing but what it is shown.
/// 3. Steps that an anomaly marks are steps of the case's trace, counted from 0; its texts count them from 1, for people.
/// 4. Whether there is an anomaly does not depend on what the trace recorded of bytes; how well it is explained does.
/// 5. A redundant execution (cut because an equivalent one was run) is never an anomaly.
pub trait Oracle {
    /// What is wrong with the execution, by this oracle.
    fn judge(&self, case: &Case<'_>) -> Option<Anomaly>;
}

/// What is wrong with an execution, by all oracles: of several anomalies the most specific.
#[must_use]
pub fn judge(case: &Case<'_>) -> Option<Anomaly> {
    let oracles: [&dyn Oracle; 5] = [&Deadlock, &Livelock, &Serializability, &Remembered, &Check];
    let found = oracles.iter().filter_map(|oracle| oracle.judge(case));
    let mut anomaly = found.min_by_key(|anomaly| anomaly.kind)?;
    anomaly.explanation.extend(by_units(case, &anomaly));
    Some(anomaly)
}

/// Where processes are several units: which units the steps of an anomaly are of, and which units there are.
fn by_units(case: &Case<'_>, anomaly: &Anomaly) -> Vec<String> {
    let units = Units::of(&case.execution.trace);
    if !units.are_several() {
        return Vec::new();
    }
    let of = |marked: &MarkedStep| format!("step {} is of {}", marked.step + 1, units.at(marked.step));
    let steps: Vec<String> = anomaly.steps.iter().map(of).collect();
    if steps.is_empty() { Vec::new() } else { vec![format!("In units: {}.", steps.join("; "))] }
}
