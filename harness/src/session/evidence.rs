//! The evidence for an anomaly: its schedule run again, with the bytes that calls moved, and compared; and the replay of a witness.

use std::collections::BTreeMap;

use super::ending::limits_of;
use super::finish::Afterwards;
use super::{Session, SessionError, tracer_of};
use crate::backend::{Backend, Chooser, Detail};
use crate::limits::{Limits, Phase};
use crate::model::{
    Anomaly, Choice, CriticalStep, Cut, Ending, Event, Execution, ProcessId, Root, Said, Status, Verdict,
    View,
};
use crate::oracle::{CheckRun, Normalize, versions};
use crate::report::words;
use crate::scenario::Scenario;
use crate::tracer::{Program, Tracer};
use crate::witness::{Divergence, FORMAT, Recorded, Recording, Witness, compare, compare_outcomes, quoted};

/// How often an anomaly is run again before it is reported.
pub(super) const REPLAYS: u32 = 3;

/// Follows a schedule; records what stood to choose at each step.
#[derive(Debug)]
pub(super) struct Following<'a> {
    schedule: &'a [Choice],
    recorded: Vec<Recorded>,
}

impl<'a> Following<'a> {
    pub(super) fn of(schedule: &'a [Choice]) -> Self {
        Self { schedule, recorded: Vec::new() }
    }
}

impl Chooser for Following<'_> {
    fn choose(&mut self, view: View<'_>) -> Result<Choice, Cut> {
        match self.schedule.get(view.trace.len()) {
            Some(choice @ Choice::Process(process)) => {
                self.recorded.push(Recorded::at(&view, *choice));
                let may_go_on = view.processes.get(process.0).is_some_and(Status::may_be_chosen);
                if may_go_on { Ok(*choice) } else { Err(Cut::Steps) }
            }
            // The schedule ends here: of a livelock, or of a replay that does not match.
            None => Err(Cut::Steps),
        }
    }
}

/// An execution run again.
#[derive(Debug)]
pub(super) struct Again {
    pub(super) execution: Execution,
    pub(super) check: Option<CheckRun>,
    pub(super) recording: Recording,
    /// What the processes wrote to their standard error.
    pub(super) stderr: Said,
}

/// How the processes of an execution that is run again begin.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Begin {
    /// From the checkpoints that there are.
    AsKept,
    /// Afresh: what they do before their first operation is done again.
    Afresh,
}

/// Runs a schedule again; with what stood to choose at each of its steps.
pub(super) fn run_schedule(
    tracer: &mut Tracer,
    schedule: &[Choice],
    (begin, detail): (Begin, Detail),
) -> Result<(Execution, Vec<Recorded>), SessionError> {
    let mut following = Following::of(schedule);
    let execution = match begin {
        Begin::AsKept => tracer.execute(&mut following, detail)?,
        Begin::Afresh => tracer.execute_afresh(&mut following, detail)?,
    };
    Ok((execution, following.recorded))
}

pub(super) fn run_again(
    tracer: &mut Tracer,
    afterwards: &Afterwards,
    schedule: &[Choice],
    how: (Begin, Detail),
) -> Result<Again, SessionError> {
    let (mut execution, recorded) = run_schedule(tracer, schedule, how)?;
    let check = afterwards.finish(tracer, &mut execution)?;
    let recording = Recording {
        whole_tree: true,
        schedule: recorded,
        ending: execution.ending.clone(),
        outcome: execution.outcome.clone(),
    };
    let mut stderr = Said::default();
    for process in (0..execution.outcome.exits.len()).map(ProcessId) {
        stderr.keep(process, &tracer.stderr(process)?);
    }
    Ok(Again { execution, check, recording, stderr })
}

impl Session<'_> {
    /// Runs an execution again with the bytes that calls moved, and then without checkpoints, and holds all of them against each
    /// other, byte for byte.
    pub(super) fn verify(&mut self, execution: &Execution) -> Result<(), SessionError> {
        let mut run = |begin| {
            run_again(&mut self.tracer, &self.afterwards, &execution.schedule, (begin, Detail::Evidence))
        };
        let (first, second) = (run(Begin::AsKept)?.execution, run(Begin::Afresh)?.execution);
        let rules = self.serial.rules();
        let differs = difference(execution, &first, rules)
            .or_else(|| difference(&first, &second, rules))
            .or_else(|| other_bytes(&first, &second));
        match differs {
            Some(divergence) => Err(SessionError::Divergence(Box::new(divergence))),
            None => Ok(()),
        }
    }

    /// Runs the schedule of an anomaly again, so many times, and compares each with the first run, event by event.
    pub(super) fn gather_evidence(
        &mut self,
        execution: &Execution,
        times: u32,
    ) -> Result<Again, SessionError> {
        let limits = self.limits.clone();
        let _replay = limits.during(Phase::Replay);
        limits.event()?;
        let mut evidence = run_again(
            &mut self.tracer,
            &self.afterwards,
            &execution.schedule,
            (Begin::AsKept, Detail::Evidence),
        )?;
        let mut round = 1;
        loop {
            if let Some(divergence) = difference(execution, &evidence.execution, self.serial.rules()) {
                return Err(SessionError::Divergence(Box::new(divergence)));
            }
            if round == times {
                return Ok(evidence);
            }
            round += 1;
            limits.event()?;
            evidence = run_again(
                &mut self.tracer,
                &self.afterwards,
                &execution.schedule,
                (Begin::AsKept, Detail::Evidence),
            )?;
        }
    }

    /// Runs the schedule of an anomaly again once, after a limit ended an execution in its midst: nothing that was kept of others is used.
    pub(super) fn gather_evidence_afresh(&mut self, execution: &Execution) -> Result<Again, SessionError> {
        let _replay = self.limits.during(Phase::Replay);
        let again = run_again(
            &mut self.tracer,
            &self.afterwards,
            &execution.schedule,
            (Begin::Afresh, Detail::Evidence),
        )?;
        match difference(execution, &again.execution, self.serial.rules()) {
            Some(divergence) => Err(SessionError::Divergence(Box::new(divergence))),
            None => Ok(again),
        }
    }

    /// The file that replays an anomaly.
    pub(super) fn witness(&self, evidence: &Again, anomaly: &Anomaly, critical: &[CriticalStep]) -> Witness {
        let initial = self.tracer.beginning();
        let versions = versions(&self.seen(&evidence.execution), &initial, &anomaly.files);
        Witness {
            format: FORMAT,
            cooks: env!("CARGO_PKG_VERSION").into(),
            scenario: self.job.scenario.clone(),
            ordered_times: self.times.ordered.clone(),
            versions,
            initial,
            verdict: Verdict::Anomaly,
            anomaly: Some(anomaly.clone()),
            critical: critical.to_vec(),
            recording: evidence.recording.clone(),
            stderr: evidence.stderr.clone(),
            environment: environment(),
        }
    }
}

/// Where two runs of one schedule differ: in an event, its result included, or in what they left.
pub(super) fn difference(first: &Execution, second: &Execution, rules: &Normalize) -> Option<Divergence> {
    let same = |(a, b): (&Event, &Event)| {
        Event { payload: None, ..b.clone() } == Event { payload: None, ..a.clone() }
    };
    let steps = first.trace.len().max(second.trace.len());
    let differs = (0..steps).find(|&step| match (first.trace.get(step), second.trace.get(step)) {
        (Some(a), Some(b)) => !same((a, b)),
        _ => true,
    });
    if let Some(step) = differs {
        let shown = |event: Option<&Event>| {
            event.map_or("the end".into(), |event| format!("{}: {}", event.process, words::event(event)))
        };
        let (expected, actual) = (shown(first.trace.get(step)), shown(second.trace.get(step)));
        return Some(Divergence { step: Some(step), what: "the event".into(), expected, actual });
    }
    let ends = |execution: &Execution| match &execution.ending {
        Ending::Endless(endless) => endless.to_string(),
        _ => "no process goes on without end".to_owned(),
    };
    if ends(first) != ends(second) {
        let (expected, actual) = (ends(first), ends(second));
        return Some(Divergence { step: None, what: "how it ends".into(), expected, actual });
    }
    compare_outcomes(&rules.outcome(&first.outcome), &rules.outcome(&second.outcome))
}

/// Where two runs of one schedule, otherwise the same, move other bytes.
fn other_bytes(first: &Execution, second: &Execution) -> Option<Divergence> {
    let mut pairs = first.trace.iter().zip(&second.trace).enumerate();
    let (step, (a, b)) = pairs.find(|(_, (a, b))| a.payload != b.payload)?;
    let what = format!("the bytes of {}: {}", a.process, words::event(a));
    let side = |event: &Event| event.payload.as_ref().map_or_else(|| "none".into(), |it| quoted(&it.bytes));
    Some(Divergence { step: Some(step), what, expected: side(a), actual: side(b) })
}

/// What an execution may depend on that the tracer does not fix.
fn environment() -> BTreeMap<String, String> {
    let uname = nix::sys::utsname::uname();
    let kernel = uname.map(|name| format!("{} {}", name.sysname().display(), name.release().display()));
    let path = std::env::var("PATH").unwrap_or_default();
    BTreeMap::from([("kernel".into(), kernel.unwrap_or_default()), ("PATH".into(), path)])
}

/// What a replay came to.
#[derive(Debug)]
pub struct Replayed {
    /// The execution.
    pub execution: Execution,
    /// Where it differs from the recording, if it does.
    pub divergence: Option<Divergence>,
    /// What the processes wrote to their standard error.
    pub stderr: Said,
}

/// Runs the schedule of a witness again, and compares it with the recording. `isolated`: on an overlay that is thrown away, even if
/// the recording was made on the machine itself.
///
/// # Errors
/// Where the machine does not let processes be traced, or the replay is stopped.
pub fn replay(
    witness: &Witness,
    programs: &[Program],
    isolated: bool,
    limits: impl Into<Limits>,
) -> Result<Replayed, SessionError> {
    let rules = Normalize::new(&witness.scenario.ignore, &witness.scenario.unordered)?;
    let (afterwards, others) = Afterwards::of(&witness.scenario);
    let limits = limits_of(&limits.into(), &witness.scenario);
    let endless = matches!(witness.recording.ending, Ending::Endless(_));
    // As when it was recorded.
    limits.tighten(endless);
    let _replay = limits.during(Phase::Replay);
    let mut tracer = if isolated && witness.scenario.root == Root::Host {
        let scenario = Scenario { root: Root::Overlay, ..witness.scenario.clone() };
        let mut tracer = tracer_of(&scenario, programs, &others, &witness.initial, &limits)?;
        tracer.leave_outside_alone();
        tracer
    } else {
        tracer_of(&witness.scenario, programs, &others, &witness.initial, &limits)?
    };
    tracer.order_times(&witness.ordered_times, false);
    let strands = tracer.strands();
    let schedule: Vec<Choice> = witness.recording.schedule.iter().map(|recorded| recorded.choice).collect();
    let again = run_again(&mut tracer, &afterwards, &schedule, (Begin::AsKept, Detail::Evidence))?;
    let stderr = again.stderr;
    let mut divergence = compare(&witness.recording, &again.recording, &rules, strands);
    let cut = witness.recording.ending == Ending::Cut(Cut::Steps);
    if (cut || endless) && again.recording.ending == witness.recording.ending {
        // What a livelock leaves is not recorded.
        divergence = divergence.filter(|divergence| divergence.step.is_some());
    }
    let execution = if strands.are_tasks() { strands.execution(&again.execution) } else { again.execution };
    Ok(Replayed { execution, divergence, stderr })
}
