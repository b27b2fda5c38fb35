//! What a witness says, held against itself before anything is done with it.

use super::Witness;
use crate::model::{Choice, Ending, Exit, ProcessId, check_tree};

/// Processes that a witness may have.
const PROCESSES: usize = 1_000;

/// Whether the witness can be what it says that it is: the scenario is one that could be explored, the tree stays where it is laid out,
/// and each number counts something that there is.
pub(super) fn check(witness: &Witness) -> Result<(), String> {
    let scenario = &witness.scenario;
    let processes = scenario.processes.len();
    if processes > PROCESSES {
        return Err(format!("{processes} processes: at most {PROCESSES} are run"));
    }
    scenario.validate().map_err(|(_, message)| message)?;
    check_tree(&witness.initial, scenario.root).map_err(|bad| format!("`initial`: {bad}"))?;
    check_schedule(witness)?;
    let steps = witness.recording.schedule.len();
    let named = witness.anomaly.iter().flat_map(|anomaly| anomaly.steps.iter().map(|marked| marked.step));
    let critical = witness.critical.iter().filter_map(|critical| critical.step);
    let versions = witness.versions.iter().filter_map(|version| version.step);
    if let Some(step) = named.chain(critical).chain(versions).find(|step| *step >= steps) {
        return Err(format!("it names step {}, and there are {steps}", step.saturating_add(1)));
    }
    let concerned = witness.anomaly.iter().flat_map(|anomaly| anomaly.processes.iter().copied());
    let critical = witness.critical.iter().map(|critical| critical.process);
    let writers = witness.versions.iter().filter_map(|version| version.process);
    let said = witness.stderr.iter().map(|(process, _)| process);
    are_there(concerned.chain(critical).chain(writers).chain(said), processes)?;
    let outcome = &witness.recording.outcome;
    let most = outcome.exits.len().max(outcome.stdout.len()).max(outcome.earlier.len());
    if most > processes {
        return Err(format!("the outcome is of {most} processes, and there are {processes}"));
    }
    Ok(())
}

/// Whether all that the schedule chooses, and chooses among, is there.
fn check_schedule(witness: &Witness) -> Result<(), String> {
    let strands = witness.scenario.strands();
    let recording = &witness.recording;
    for recorded in &recording.schedule {
        let Choice::Process(chosen) = recorded.choice;
        are_there(recorded.enabled.iter().copied().chain([chosen]), strands.count())?;
    }
    if let Ending::Blocked(waiting) = &recording.ending {
        let named =
            waiting.iter().flat_map(|waiting| waiting.holders.iter().copied().chain([waiting.process]));
        are_there(named, strands.count())?;
    }
    let mut exits =
        recording.outcome.exits.iter().flatten().chain(recording.outcome.earlier.iter().flatten());
    match exits.find(|exit| matches!(exit, Exit::Signal(signal) if !(1..=64).contains(signal))) {
        Some(exit) => Err(format!("no process ends by {exit}")),
        None => Ok(()),
    }
}

fn are_there(mut named: impl Iterator<Item = ProcessId>, count: usize) -> Result<(), String> {
    match named.find(|process| process.0 >= count) {
        Some(process) => Err(format!("it names a process {process}, and there are {count}")),
        None => Ok(()),
    }
}
