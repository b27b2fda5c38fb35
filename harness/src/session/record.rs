//! What is made of an anomaly: it is kept as soon as its schedule has been run again; then it is made simpler, run again three times,
//! and kept in place of what it was.

use std::borrow::Cow;

use super::evidence::{Again, REPLAYS};
use super::{Session, SessionError, identity};
use crate::limits::{Phase, Reached};
use crate::model::{Anomaly, CriticalStep, Ending, Execution, Said};
use crate::oracle::{Case, CheckRun, judge};
use crate::report::Finding;
use crate::tracer::TraceError;
use crate::witness::{Recorded, Recording, Witness};

/// Keeps anomalies as they are found, so that none is lost if the exploration does not come to its end.
pub trait Keep {
    /// Called when an anomaly has been run again for the first time, and whenever there is a better witness for it. `number` counts the anomalies
    /// from 1; what was kept under this number before is replaced. It may say in the finding where the witness is. If `finding.replayed` is 0, the anomaly was seen, but could not be run
    /// again before a limit was reached.
    fn found(&mut self, number: usize, finding: &mut Finding, witness: &Witness);

    /// Called if an anomaly turns out to be the same as an earlier one, or not to repeat: what was kept under this number is void. The
    /// next anomaly has this number.
    fn withdrawn(&mut self, number: usize);
}

/// Keeps nothing: the report alone has it.
impl Keep for () {
    fn found(&mut self, _number: usize, _finding: &mut Finding, _witness: &Witness) {}

    fn withdrawn(&mut self, _number: usize) {}
}

impl Session<'_> {
    /// An execution as one of processes, where the search chooses among their tasks.
    pub(super) fn seen<'e>(&self, execution: &'e Execution) -> Cow<'e, Execution> {
        let strands = self.tracer.strands();
        if strands.are_tasks() { Cow::Owned(strands.execution(execution)) } else { Cow::Borrowed(execution) }
    }

    /// What the oracles find in an execution; how well they explain it depends on whether it was recorded with the bytes that calls moved.
    pub(super) fn judged(&self, execution: &Execution, check: Option<&CheckRun>) -> Option<Anomaly> {
        let (commands, execution) = (self.commands(), self.seen(execution));
        let case = Case {
            execution: &execution,
            serial: &self.serial,
            initial: &self.tracer.beginning(),
            commands: &commands,
            check,
        };
        judge(&case)
    }

    /// Records an anomaly unless the same has been found.
    pub(super) fn record(
        &mut self,
        execution: &Execution,
        check: Option<&CheckRun>,
    ) -> Result<(), SessionError> {
        if !matches!(execution.ending, Ending::Endless(_)) {
            return self.record_within(execution, check);
        }
        let is_known = |anomaly: Anomaly| self.known.contains(&identity(&anomaly));
        if self.judged(execution, check).is_some_and(is_known) {
            return Ok(());
        }
        // In the serial runs, no task came near to a tenth of the limit: that is enough to see it again.
        self.limits.tighten(true);
        let recorded = self.record_within(execution, check);
        self.limits.tighten(false);
        recorded
    }

    fn record_within(&mut self, execution: &Execution, check: Option<&CheckRun>) -> Result<(), SessionError> {
        let (evidence, limit) = match self.gather_evidence(execution, 1) {
            Ok(evidence) => (evidence, None),
            Err(limit @ SessionError::Trace(TraceError::TimeLimit)) => {
                self.limits.extend();
                match self.gather_evidence_afresh(execution) {
                    Ok(evidence) => (evidence, Some(limit)),
                    Err(_) => return self.keep_unconfirmed(execution, check, limit),
                }
            }
            Err(limit @ SessionError::Trace(TraceError::Interrupted)) => {
                return self.keep_unconfirmed(execution, check, limit);
            }
            Err(error) => return Err(error),
        };
        let Some(anomaly) = self.judged(&evidence.execution, evidence.check.as_ref()) else { return Ok(()) };
        if !self.known.insert(identity(&anomaly)) {
            return limit.map_or(Ok(()), Err);
        }
        let kept = self.keep(&evidence, &anomaly, &[], 1);
        if let Some(limit) = limit {
            return Err(limit);
        }
        kept?;
        let improved = self.improve(evidence, &anomaly);
        let diverges = matches!(
            improved,
            Err(SessionError::Divergence(_) | SessionError::Trace(TraceError::NotRepeated { .. }))
        );
        if diverges || matches!(improved, Ok(false)) {
            self.withdraw();
        }
        improved.map(drop)
    }

    /// Makes the schedule of the anomaly that was kept last simpler, and runs it again three times. `false` if it is one that is known then.
    fn improve(&mut self, evidence: Again, anomaly: &Anomaly) -> Result<bool, SessionError> {
        if let Ending::Endless(_) = evidence.execution.ending {
            // Each run costs much processor time, and was one of the three already.
            let evidence = self.gather_evidence(&evidence.execution, REPLAYS - 1)?;
            self.replace(&evidence, anomaly, &[])?;
            return Ok(true);
        }
        let simpler = {
            let _shrink = self.limits.during(Phase::Shrink);
            self.simpler(evidence.execution, anomaly)?
        };
        let evidence = self.gather_evidence(&simpler, REPLAYS)?;
        let Some(anomaly) = self.judged(&evidence.execution, evidence.check.as_ref()) else {
            return Ok(false);
        };
        let earlier = &self.findings[..self.findings.len() - 1];
        if earlier.iter().any(|finding| identity(&finding.anomaly) == identity(&anomaly)) {
            return Ok(false);
        }
        self.replace(&evidence, &anomaly, &[])?;
        let _shrink = self.limits.during(Phase::Shrink);
        let critical = self.critical(&evidence.execution, &anomaly)?;
        self.replace(&evidence, &anomaly, &critical)?;
        Ok(true)
    }

    /// Keeps an anomaly that was seen in the search, and could not be run again.
    fn keep_unconfirmed(
        &mut self,
        execution: &Execution,
        check: Option<&CheckRun>,
        limit: SessionError,
    ) -> Result<(), SessionError> {
        if let Some(anomaly) = self.judged(execution, check)
            && self.known.insert(identity(&anomaly))
        {
            let steps = execution.schedule.iter().zip(&execution.trace);
            // Nobody has recorded who could go on at each step.
            let recorded = steps.map(|(choice, event)| Recorded {
                choice: *choice,
                call: event.operation.call.clone(),
                enabled: Vec::new(),
            });
            let recording = Recording {
                whole_tree: true,
                schedule: recorded.collect(),
                ending: execution.ending.clone(),
                outcome: execution.outcome.clone(),
            };
            let stderr = Said::default();
            let evidence = Again { execution: execution.clone(), check: check.cloned(), recording, stderr };
            self.put(&evidence, &anomaly, &[], 0);
        }
        Err(limit)
    }

    /// Keeps an anomaly, also if the work is to end now: then that is the error.
    fn keep(
        &mut self,
        evidence: &Again,
        anomaly: &Anomaly,
        critical: &[CriticalStep],
        replayed: u32,
    ) -> Result<(), Reached> {
        let _writing = self.limits.during(Phase::Writing);
        let ended = self.limits.event();
        self.put(evidence, anomaly, critical, replayed);
        ended
    }

    fn put(&mut self, evidence: &Again, anomaly: &Anomaly, critical: &[CriticalStep], replayed: u32) {
        let witness = self.witness(evidence, anomaly, critical);
        let mut finding = Finding {
            anomaly: anomaly.clone(),
            critical: critical.to_vec(),
            context_switches: evidence.execution.context_switches(),
            shown: self.seen(&evidence.execution).into_owned(),
            execution: self.counts.executions,
            witness: None,
            replayed,
            hits: None,
            stderr: evidence.stderr.clone(),
        };
        self.keep.found(self.findings.len() + 1, &mut finding, &witness);
        self.findings.push(finding);
        self.witnesses.push(witness);
    }

    /// Keeps what was run again three times in place of what was kept last.
    fn replace(
        &mut self,
        evidence: &Again,
        anomaly: &Anomaly,
        critical: &[CriticalStep],
    ) -> Result<(), Reached> {
        self.findings.pop();
        self.witnesses.pop();
        self.keep(evidence, anomaly, critical, REPLAYS)
    }

    fn withdraw(&mut self) {
        self.keep.withdrawn(self.findings.len());
        self.findings.pop();
        self.witnesses.pop();
    }
}
