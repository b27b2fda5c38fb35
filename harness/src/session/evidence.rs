//! The evidence for an anomaly: its schedule run again, with the bytes that calls moved, and compared; and the replay of a witness.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::finish::Afterwards;
use super::{Session, SessionError};
use crate::backend::{Backend, Chooser, Detail};
use crate::model::{Choice, Cut, Execution, Status, View};
use crate::oracle::CheckRun;
use crate::tracer::{Program, Tracer};
use crate::witness::{Divergence, Witness};

/// How often an anomaly is run again before it is reported.
pub(super) const REPLAYS: u32 = 3;

/// Follows a schedule; at each step keeps what could have been chosen.
#[derive(Debug)]
pub(super) struct Recorded<'a> {
    schedule: &'a [Choice],
    /// The processes that were enabled, at each step.
    pub(super) enabled: Vec<Vec<crate::model::ProcessId>>,
}

impl<'a> Recorded<'a> {
    pub(super) fn new(schedule: &'a [Choice]) -> Self {
        Self { schedule, enabled: Vec::new() }
    }
}

impl Chooser for Recorded<'_> {
    fn choose(&mut self, view: View<'_>) -> Result<Choice, Cut> {
        let step = view.trace.len();
        self.enabled.push(view.enabled().collect());
        match self.schedule.get(step) {
            Some(choice @ Choice::Process(process)) if view.processes.get(process.0).is_some_and(Status::is_enabled) => {
                Ok(*choice)
            }
            // The schedule ends here, or does not fit: what has been run so far is compared.
            _ => Err(Cut::Steps),
        }
    }
}

impl Session<'_> {
    /// Runs the schedule of an anomaly again, three times, and compares each with the first run.
    pub(super) fn gather_evidence(
        &mut self,
        execution: &Execution,
    ) -> Result<(Execution, Option<CheckRun>), SessionError> {
        let mut shown = None;
        for _ in 0..REPLAYS {
            let mut recorded = Recorded::new(&execution.schedule);
            let mut again = self.tracer.execute(&mut recorded, Detail::Evidence)?;
            let check = self.afterwards.finish(&mut self.tracer, &mut again)?;
            if let Some(divergence) = Divergence::between(execution, &again) {
                return Err(SessionError::Divergence(Box::new(divergence)));
            }
            shown = Some((again, check));
        }
        // REPLAYS is not 0.
        shown.ok_or_else(|| SessionError::NoSerialOrder("nothing was replayed".into()))
    }
}

/// What a replay came to.
#[derive(Debug)]
pub struct Replayed {
    /// The execution.
    pub execution: Execution,
    /// Where it differs from the recording, if it does.
    pub divergence: Option<Divergence>,
}

/// Runs the schedule of a witness again, and compares it with the recording.
///
/// # Errors
/// Where the machine does not let processes be traced, or the replay is stopped.
pub fn replay(witness: &Witness, programs: &[Program], stop: &Arc<AtomicBool>) -> Result<Replayed, SessionError> {
    let (afterwards, others) = Afterwards::of(&witness.scenario);
    let mut tracer = Tracer::new(programs, &others, witness.initial.clone(), Arc::clone(stop))?;
    let schedule = witness.schedule();
    let mut recorded = Recorded::new(&schedule);
    let mut execution = tracer.execute(&mut recorded, Detail::Evidence)?;
    afterwards.finish(&mut tracer, &mut execution)?;
    let divergence = witness.compare(&execution, &recorded.enabled);
    Ok(Replayed { execution, divergence })
}
