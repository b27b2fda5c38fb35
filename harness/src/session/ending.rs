//! How an exploration ends before its end: what it has found until then is its report all the same.

use super::search::Searched;
use super::{Session, SessionError};
use crate::limits::{Limits, Reached};
use crate::model::{Does, Ending, Endless, Execution};
use crate::oracle::Order;
use crate::report::{End, words};
use crate::scenario::Scenario;
use crate::tracer::TraceError;

/// A serial order that did not come to its end.
#[derive(Clone, Debug)]
pub(super) struct Unfinished {
    /// Which.
    pub(super) order: Order,
    /// Why.
    pub(super) why: Unfinish,
}

/// Why a serial order does not come to its end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Unfinish {
    /// It has as many steps as an execution may have.
    Steps,
    /// A process waits for something that does not come: in words.
    Waits(String),
    /// A process comes to no further operation.
    Endless(Endless),
    /// A limit ended it.
    Limit(End, String),
}

/// Whether an execution did not repeat.
fn is_divergence(error: &SessionError) -> bool {
    matches!(error, SessionError::Divergence(_) | SessionError::Trace(TraceError::NotRepeated { .. }))
}

/// The limits of a scenario that is explored from now on.
pub(super) fn limits_of(limits: &Limits, scenario: &Scenario) -> Limits {
    let seconds = |time: Option<f64>| time.and_then(|time| std::time::Duration::try_from_secs_f64(time).ok());
    limits.begin(seconds(scenario.time_limit), seconds(scenario.cpu_limit), scenario.max_steps)
}

/// The limit that an error tells of, if it does: how the search ends then, and what there is to say of it.
pub(super) fn limit(error: &SessionError) -> Option<(End, Option<String>)> {
    let endless = |does| match does {
        Does::Computes => End::CpuLimit,
        Does::Sleeps(_) => End::MaxSteps,
    };
    match error {
        SessionError::Trace(TraceError::Interrupted) => Some((End::Interrupted, None)),
        SessionError::Trace(TraceError::TimeLimit) => Some((End::TimeLimit, None)),
        SessionError::Trace(TraceError::Endless(it)) => Some((endless(it.does), Some(it.to_string()))),
        SessionError::EndlessCommand { does, .. } => Some((endless(*does), Some(error.to_string()))),
        _ => None,
    }
}

impl From<Reached> for SessionError {
    fn from(reached: Reached) -> Self {
        Self::Trace(reached.into())
    }
}

impl Session<'_> {
    /// What a search came to that ended with this: a limit ends it, and so does an error if anomalies have been found before; that is given
    /// beside it then.
    ///
    /// # Errors
    /// Any other.
    pub(super) fn ended(
        &mut self,
        searched: Result<Searched, SessionError>,
    ) -> Result<(Searched, Option<SessionError>), SessionError> {
        let (mut searched, error) = match searched {
            Ok(searched) => (searched, None),
            Err(error) => match limit(&error) {
                Some((end, why)) => (Searched { end, covered: None, why }, None),
                None if matches!(error, SessionError::Trace(TraceError::NotUnderstood { .. })) => {
                    // It is a coverage gap.
                    (Searched { end: End::Error, covered: None, why: Some(error.to_string()) }, None)
                }
                None if self.findings.is_empty() && !(is_divergence(&error) && self.has_open_gap()) => {
                    return Err(error);
                }
                // What is not covered may be why it does not repeat: that gap says it.
                None if self.findings.is_empty() => {
                    (Searched { end: End::Error, covered: None, why: Some(error.to_string()) }, None)
                }
                None => {
                    (Searched { end: End::Error, covered: None, why: Some(error.to_string()) }, Some(error))
                }
            },
        };
        // What was noted when it happened says more.
        searched.why = self.why.take().or(searched.why);
        Ok((searched, error))
    }

    /// Whether a process that comes to no further operation is an anomaly: if none does so in any serial order, and, if it computes, none came
    /// near to that.
    pub(super) fn is_livelock(&self, endless: &Endless) -> bool {
        let all_end =
            !self.unfinished.iter().any(|it| matches!(it.why, Unfinish::Endless(_) | Unfinish::Steps));
        all_end && (self.serial_were_far || matches!(endless.does, Does::Sleeps(_)))
    }

    /// The serial orders that were cut, with why, in words. Those in which a process waits for another one are none of them.
    pub(super) fn cut_orders(&self) -> Vec<String> {
        let why = |why: &Unfinish| match why {
            Unfinish::Steps => Some(format!("it has more than {} steps (--max-steps)", self.most_steps())),
            Unfinish::Endless(endless) => Some(endless.to_string()),
            Unfinish::Limit(_, limit) => Some(limit.clone()),
            Unfinish::Waits(_) => None,
        };
        let told = |it: &Unfinished| {
            let begun: Vec<String> = it.order.processes.iter().map(ToString::to_string).collect();
            let whole = begun.len() + it.order.left_out.len() >= self.job.programs.len();
            let which = match (begun.as_slice(), whole) {
                ([], _) => "the first serial order".to_owned(),
                (begun, true) => format!("the serial order {}", begun.join(", ")),
                (begun, false) => format!("the serial order {}, …", begun.join(", ")),
            };
            Some(format!("{which} did not finish: {}", why(&it.why)?))
        };
        self.unfinished.iter().filter_map(told).collect()
    }

    /// Takes note of a process that comes to no further operation, if an execution ends so and that is no anomaly.
    ///
    /// # Errors
    /// If the process computes: each further execution could take as long.
    pub(super) fn note_endless(&mut self, execution: &Execution) -> Result<(), SessionError> {
        let Ending::Endless(endless) = &execution.ending else { return Ok(()) };
        let told = told(&self.seen(execution), endless);
        self.why.get_or_insert(told);
        match endless.does {
            Does::Computes => Err(TraceError::Endless(Box::new(endless.clone())).into()),
            Does::Sleeps(_) => Ok(()),
        }
    }
}

/// A process that comes to no further operation, and what its last one was.
fn told(execution: &Execution, endless: &Endless) -> String {
    let own = |(_, event): &(usize, &crate::model::Event)| event.process == endless.process;
    let last = execution.trace.iter().enumerate().rfind(own);
    let remedy = match endless.does {
        Does::Computes => " (--cpu-limit)",
        Does::Sleeps(_) => " (--max-steps)",
    };
    let place = last.map_or_else(
        || ", before its first operation".to_owned(),
        |(step, event)| format!(", after step {} ({})", step + 1, words::event(event)),
    );
    format!("{endless}{place}{remedy}")
}
