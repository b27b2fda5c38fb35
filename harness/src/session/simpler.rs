//! An anomaly's schedule made simpler, and the pair of operations that it hangs on: candidates are run in the same tracer and judged
//! by the same oracles as the executions of the search.

use super::{Session, SessionError};
use crate::backend::{Backend, Chooser, Detail};
use crate::explore::{Budget, Critical, Shows, Shrinker, Suspects, Trial};
use crate::model::{Anomaly, CriticalStep, Execution, Kind, ProcessId};
use crate::report::words;

/// What may be tried for one anomaly. The steps count where executions are long: as of processes that never come to an end.
const BUDGET: Budget = Budget { executions: 200, steps: 200_000 };

/// Runs candidates for the schedule of an anomaly.
struct Trials<'s, 'a> {
    session: &'s mut Session<'a>,
    anomaly: &'s Anomaly,
}

impl Trial for Trials<'_, '_> {
    type Error = SessionError;

    fn run(&mut self, chooser: &mut dyn Chooser) -> Result<(Execution, Shows), SessionError> {
        let session = &mut *self.session;
        session.limits.event()?;
        let mut execution = session.tracer.execute(chooser, Detail::Evidence)?;
        let check = session.afterwards.finish(&mut session.tracer, &mut execution)?;
        let found = session.judged(&execution, check.as_ref());
        let shows = match &found {
            None => Shows::Nothing,
            Some(found) if !is_part_of(found, self.anomaly) => Shows::Another,
            Some(_) => Shows::Same,
        };
        Ok((execution, shows))
    }

    /// Where not all serial orders were run, some other may give this outcome.
    fn confirms(&mut self, execution: &Execution) -> Result<bool, SessionError> {
        let by_outcome = execution.is_complete() && self.anomaly.kind != Kind::CheckFailed;
        Ok(!(by_outcome && self.session.is_fine(execution)?))
    }
}

/// Whether an anomaly is the other one, or a part of it: the same kind on the same files, nobody and nothing else concerned.
fn is_part_of(found: &Anomaly, whole: &Anomaly) -> bool {
    let keys = found.keys.iter().all(|key| whole.keys.contains(key));
    let processes = found.processes.iter().all(|process| whole.processes.contains(process));
    let nothing_lost = found.keys.is_empty() == whole.keys.is_empty();
    (found.kind, &found.files) == (whole.kind, &whole.files) && keys && processes && nothing_lost
}

impl<'a> Session<'a> {
    /// The simplest execution found that shows an anomaly or a part of it, and what it hangs on.
    pub(super) fn simpler(
        &mut self,
        execution: Execution,
        anomaly: &Anomaly,
    ) -> Result<Execution, SessionError> {
        let most_steps = self.most_steps();
        let mut trials = Trials { session: self, anomaly };
        let processes = trials.session.strands_of(&anomaly.processes);
        let suspects = Suspects { steps: &[], processes: &processes };
        Shrinker::new(&mut trials, execution, most_steps, BUDGET).suspecting(suspects).shrink()
    }

    /// The two operations that an anomaly hangs on, the earlier first; none where no swap of two makes it go.
    pub(super) fn critical(
        &mut self,
        execution: &Execution,
        anomaly: &Anomaly,
    ) -> Result<Vec<CriticalStep>, SessionError> {
        let most_steps = self.most_steps();
        let steps: Vec<usize> = anomaly.steps.iter().map(|marked| marked.step).collect();
        let (strands, processes) = (self.tracer.strands(), self.strands_of(&anomaly.processes));
        let suspects = Suspects { steps: &steps, processes: &processes };
        let seen = self.seen(execution).into_owned();
        let mut trials = Trials { session: self, anomaly };
        let shrinker = Shrinker::new(&mut trials, execution.clone(), most_steps, BUDGET);
        let found = shrinker.suspecting(suspects).critical()?;
        Ok(found.map_or_else(Vec::new, |found| told(&seen, &found, strands.process(found.process))))
    }

    /// What processes are to the search.
    fn strands_of(&self, processes: &[ProcessId]) -> Vec<ProcessId> {
        let strands = self.tracer.strands();
        let of = |process: &ProcessId| {
            (0..strands.each()).map(move |number| strands.of(process.0, number)).collect::<Vec<_>>()
        };
        processes.iter().flat_map(of).collect()
    }
}

/// A pair in words, of an execution as people see it; `waits` is who waits in the end, where the later one does.
fn told(execution: &Execution, found: &Critical, waits: ProcessId) -> Vec<CriticalStep> {
    let of_event = |step: usize| {
        let event = &execution.trace[step];
        CriticalStep { process: event.process, step: Some(step), operation: words::event(event) }
    };
    let waiting = || CriticalStep {
        process: waits,
        step: None,
        operation: format!("waits to {}", words::pending(&found.operation.call)),
    };
    vec![of_event(found.first), found.second.map_or_else(waiting, of_event)]
}
