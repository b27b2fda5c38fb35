use std::collections::BTreeSet;

use serde::Deserialize;

use super::json::FORMAT;
use super::{End, Finding, Report, Shard};
use crate::model::{Anomaly, CriticalStep, Ending, Execution, Kind, Outcome, ProcessId, Verdict};
use crate::scenario::{Equivalence, Expect};

/// Why results cannot be joined.
#[derive(Debug, thiserror::Error)]
pub enum MergeError {
    /// It is no result of an exploration.
    #[error("{file}: no result of `cooks explore` or `cooks run` as JSON: {problem}")]
    NoResult {
        /// The file.
        file: String,
        /// What is wrong with it.
        problem: String,
    },
    /// It is the result of all, not of a shard.
    #[error("{0}: this is not the result of a shard (--shard K/N): there is nothing to join")]
    NoShard(String),
    /// They are not of one exploration.
    #[error("{file}: another {what} than in {first}: {found} instead of {wanted}")]
    Another {
        /// The file.
        file: String,
        /// The file that it was held against.
        first: String,
        /// In what they differ.
        what: &'static str,
        /// What it says.
        found: String,
        /// What the other says.
        wanted: String,
    },
    /// The same shard twice.
    #[error("{file}: shard {shard} again: {first} has it already")]
    Twice {
        /// The file.
        file: String,
        /// The file that had it first.
        first: String,
        /// Which one.
        shard: Shard,
    },
    /// Not all of them.
    #[error("not all shards are there: {0}")]
    Missing(String),
}

/// The fields of a shard's result.
#[derive(Debug, Deserialize)]
struct Part {
    format: u32,
    cooks: String,
    scenario: String,
    subject: String,
    shard: Option<String>,
    verdict: Verdict,
    exhaustive: bool,
    ended_by: End,
    not_covered: Vec<String>,
    strategy: String,
    seed: u64,
    commands: Vec<String>,
    executions: u64,
    complete: u64,
    blocked: u64,
    redundant: u64,
    elsewhere: u64,
    serial_runs: u64,
    serial_outcomes: u64,
    steps: u64,
    elapsed_s: f64,
    outcomes: BTreeSet<String>,
    anomalies: Vec<Found>,
    expected: Option<Expect>,
}

/// The result of a run of several scenarios.
#[derive(Debug, Deserialize)]
struct Many {
    scenarios: Vec<Part>,
}

#[derive(Debug, Deserialize)]
struct Found {
    kind: Kind,
    summary: String,
    files: Vec<String>,
    keys: Vec<String>,
    processes: Vec<ProcessId>,
    critical: Vec<Critical>,
    execution: u64,
    context_switches: u64,
    witness: Option<String>,
    replayed: u32,
}

#[derive(Debug, Deserialize)]
struct Critical {
    process: ProcessId,
    step: Option<usize>,
    operation: String,
}

/// A shard's result, and the file that it is from.
struct Read {
    file: String,
    shard: Shard,
    part: Part,
}

/// Joins the results of all shards, each with the name of the file that it is from: the sums of executions, the unions of outcomes and
/// anomalies. How long it took is the longest of them. A report for each scenario, in the order of the first result.
///
/// # Errors
/// Where one is no result of a shard, is of another exploration than the first, is there twice, or is missing.
pub fn merge(results: &[(String, String)]) -> Result<Vec<Report>, MergeError> {
    let results = results.iter().map(|(file, text)| read(file, text)).collect::<Result<Vec<_>, _>>()?;
    if results.iter().all(|parts| parts.len() == 1) {
        return Ok(vec![merge_one(results.into_iter().flatten().collect())?]);
    }
    let mut scenarios: Vec<Vec<Read>> = Vec::new();
    for read in results.into_iter().flatten() {
        let same =
            |parts: &&mut Vec<Read>| parts.iter().any(|other| other.part.scenario == read.part.scenario);
        match scenarios.iter_mut().find(same) {
            Some(parts) => parts.push(read),
            None => scenarios.push(vec![read]),
        }
    }
    scenarios.into_iter().map(merge_one).collect()
}

/// Joins the shards of one exploration.
fn merge_one(mut parts: Vec<Read>) -> Result<Report, MergeError> {
    for part in parts.iter().skip(1) {
        is_of_one(&parts[0], part)?;
    }
    parts.sort_by_key(|part| part.shard);
    if let Some(two) = parts.windows(2).find(|two| two[0].shard == two[1].shard) {
        let (file, first) = (two[1].file.clone(), two[0].file.clone());
        return Err(MergeError::Twice { file, first, shard: two[0].shard });
    }
    let Some(first) = parts.first() else { return Err(MergeError::Missing("there is none".into())) };
    let (of, scenario) = (first.shard.of, first.part.scenario.clone());
    let has = |number: &u32| parts.iter().any(|part| part.shard.number == *number);
    let missing: Vec<String> =
        (1..=of).filter(|number| !has(number)).map(|number| Shard { number, of }.to_string()).collect();
    if !missing.is_empty() {
        return Err(MergeError::Missing(format!("{} of {scenario}", missing.join(", "))));
    }
    Ok(join(parts.into_iter().map(|read| read.part).collect()))
}

/// The results in a file: one, or those of several scenarios.
fn read(file: &str, text: &str) -> Result<Vec<Read>, MergeError> {
    let no_result = |problem: String| MergeError::NoResult { file: file.to_owned(), problem };
    let parts = match serde_json::from_str::<Many>(text) {
        Ok(many) => many.scenarios,
        Err(_) => vec![serde_json::from_str::<Part>(text).map_err(|error| no_result(error.to_string()))?],
    };
    let read = |part: Part| {
        if part.format != FORMAT {
            return Err(no_result(format!("format {} instead of {FORMAT}", part.format)));
        }
        let shard = part.shard.as_deref().ok_or_else(|| MergeError::NoShard(file.to_owned()))?;
        let shard = shard.parse().map_err(no_result)?;
        Ok(Read { file: file.to_owned(), shard, part })
    };
    parts.into_iter().map(read).collect()
}

/// Whether two results are of one exploration.
fn is_of_one(first: &Read, other: &Read) -> Result<(), MergeError> {
    let (a, b) = (&first.part, &other.part);
    let facts = [
        ("version of cooks", a.cooks.clone(), b.cooks.clone()),
        ("scenario", a.scenario.clone(), b.scenario.clone()),
        ("scenario or workspace of that name", a.subject.clone(), b.subject.clone()),
        ("strategy", a.strategy.clone(), b.strategy.clone()),
        ("number of shards", first.shard.of.to_string(), other.shard.of.to_string()),
    ];
    match facts.into_iter().find(|(_, a, b)| a != b) {
        None => Ok(()),
        Some((what, wanted, found)) => Err(MergeError::Another {
            file: other.file.clone(),
            first: first.file.clone(),
            what,
            found,
            wanted,
        }),
    }
}

/// Joins the parts, in the order of their shards. There is at least one.
fn join(parts: Vec<Part>) -> Report {
    let sum = |of: fn(&Part) -> u64| parts.iter().map(of).sum();
    let most = |of: fn(&Part) -> u64| parts.iter().map(of).max().unwrap_or(0);
    let exhaustive = parts.iter().all(|part| part.exhaustive);
    let verdict = if parts.iter().any(|part| part.verdict == Verdict::Anomaly) {
        Verdict::Anomaly
    } else if exhaustive {
        Verdict::Clean
    } else {
        Verdict::Inconclusive
    };
    let outcomes: BTreeSet<String> = parts.iter().flat_map(|part| part.outcomes.iter().cloned()).collect();
    let not_covered: BTreeSet<String> =
        parts.iter().flat_map(|part| part.not_covered.iter().cloned()).collect();
    let end = parts.iter().map(|part| part.ended_by).find(|end| *end != End::Everything);
    Report {
        verdict,
        exhaustive,
        end: end.unwrap_or(End::Everything),
        covered: None,
        not_covered: not_covered.into_iter().collect(),
        executions: sum(|part| part.executions),
        complete: sum(|part| part.complete),
        blocked: sum(|part| part.blocked),
        redundant: sum(|part| part.redundant),
        elsewhere: sum(|part| part.elsewhere),
        serial_runs: most(|part| part.serial_runs),
        distinct_outcomes: outcomes.len() as u64,
        serial_outcomes: most(|part| part.serial_outcomes),
        steps: sum(|part| part.steps),
        elapsed_s: parts.iter().map(|part| part.elapsed_s).fold(0.0, f64::max),
        scenario: parts[0].scenario.clone(),
        strategy: parts[0].strategy.clone(),
        // The only one that can be split.
        equivalence: Equivalence::Trace,
        seed: parts[0].seed,
        commands: parts[0].commands.clone(),
        subject: parts[0].subject.clone(),
        expected: parts[0].expected.clone(),
        anomalies: findings(parts),
        outcomes,
        shard: None,
    }
}

/// The anomalies, each once: of those of the same kind, files, keys and processes the first.
fn findings(parts: Vec<Part>) -> Vec<Finding> {
    let mut findings: Vec<Finding> = Vec::new();
    let mut before = 0;
    for part in parts {
        for found in part.anomalies {
            let known = |other: &Finding| {
                let Anomaly { kind, files, keys, processes, .. } = &other.anomaly;
                (*kind, files, keys, processes) == (found.kind, &found.files, &found.keys, &found.processes)
            };
            if !findings.iter().any(known) {
                findings.push(finding(found, before));
            }
        }
        before += part.executions;
    }
    findings
}

/// What a result tells of an anomaly: not the execution that shows it, for which there is the witness.
fn finding(found: Found, before: u64) -> Finding {
    let critical = found.critical.into_iter().map(|Critical { process, step, operation }| CriticalStep {
        process,
        step: step.map(|step| step.saturating_sub(1)),
        operation,
    });
    Finding {
        critical: critical.collect(),
        anomaly: Anomaly {
            kind: found.kind,
            summary: found.summary,
            files: found.files,
            keys: found.keys,
            processes: found.processes,
            steps: Vec::new(),
            explanation: Vec::new(),
        },
        shown: Execution {
            schedule: Vec::new(),
            trace: Vec::new(),
            ending: Ending::Complete,
            outcome: Outcome::default(),
        },
        execution: before + found.execution,
        context_switches: found.context_switches,
        witness: found.witness,
        replayed: found.replayed,
    }
}
