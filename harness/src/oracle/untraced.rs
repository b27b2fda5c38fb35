//! What is wrong with a run that nobody traced, told by what it left alone.

use super::difference::{Compared, KeyDifference, content};
use super::evidence::{list, sorted};
use super::normalize::json_of;
use super::{Case, SerialRun, judge};
use crate::model::{Anomaly, Exit, Kind, Outcome, ProcessId};

/// What is wrong with a run of which there is no trace. Who overwrote whose change cannot be seen then; that a change is lost can,
/// where what is there is what is there without the process that made it. `without` is what some of the processes leave
/// without the others, in a serial order.
#[must_use]
pub fn judge_untraced(case: &Case<'_>, without: &[SerialRun]) -> Option<Anomaly> {
    let anomaly = judge(case)?;
    if !matches!(anomaly.kind, Kind::NonSerializable | Kind::LeftBehind | Kind::DirtyRead) {
        return Some(anomaly);
    }
    let compared = Compared::of(case);
    let rules = case.serial.rules();
    let normal: Vec<(&SerialRun, Outcome)> =
        without.iter().map(|run| (run, rules.outcome(&run.outcome))).collect();
    let lost = compared.paths().into_iter().find_map(|path| lost_in(&compared, &path, &normal));
    Some(match lost {
        Some(lost) => Anomaly { explanation: anomaly.explanation, ..lost },
        None => anomaly,
    })
}

/// The change that is lost in the file at a path: where what is there is what some processes leave without others that say that they succeeded.
fn lost_in(compared: &Compared<'_>, path: &str, without: &[(&SerialRun, Outcome)]) -> Option<Anomaly> {
    let succeeded = |process: &ProcessId| compared.here.exits_of(*process).all(Exit::is_success);
    let candidates = || without.iter().filter(|(run, _)| run.order.left_out.iter().all(succeeded));
    let keys = compared.keys(path);
    let mut concerned: Vec<String> = Vec::new();
    let mut losers: Vec<Vec<ProcessId>> = Vec::new();
    for key in &keys {
        let is_so = |outcome: &Outcome| {
            let value = content(&outcome.tree, path).and_then(|bytes| json_of(path, bytes));
            value.is_some_and(|value| key.find(&value) == key.here.as_ref())
        };
        let sets = fewest(candidates().filter(|(_, outcome)| is_so(outcome)).map(|(run, _)| run));
        if !sets.is_empty() {
            concerned.push(KeyDifference::name(key));
            losers.extend(sets);
        }
    }
    if keys.is_empty() {
        let here = compared.here.tree.get(path);
        losers =
            fewest(candidates().filter(|(_, outcome)| outcome.tree.get(path) == here).map(|(run, _)| run));
    }
    let who = sorted(losers.iter().flatten().copied());
    if who.is_empty() {
        return None;
    }
    let one = losers.windows(2).all(|two| two[0] == two[1]);
    let names: Vec<String> = who.iter().map(ToString::to_string).collect();
    let whose = if one { list(&who, 4) } else { names.join(" or ") };
    concerned.retain(|key| !key.is_empty());
    concerned.sort();
    let quoted: Vec<String> = concerned.iter().map(|key| format!(" \"{key}\"")).collect();
    let of = if quoted.is_empty() { String::new() } else { format!(" of{}", quoted.join(",")) };
    Some(Anomaly {
        kind: Kind::LostUpdate,
        summary: format!("{path}: the change{of} by {whose} is lost: it is as without it"),
        files: vec![path.to_owned()],
        keys: concerned,
        processes: who,
        steps: Vec::new(),
        explanation: Vec::new(),
    })
}

/// The smallest sets of processes left out.
fn fewest<'r>(runs: impl Iterator<Item = &'r &'r SerialRun>) -> Vec<Vec<ProcessId>> {
    let mut sets: Vec<Vec<ProcessId>> = runs.map(|run| run.order.left_out.clone()).collect();
    let least = sets.iter().map(Vec::len).min().unwrap_or(0);
    sets.retain(|set| set.len() == least);
    sets.sort();
    sets.dedup();
    sets
}
