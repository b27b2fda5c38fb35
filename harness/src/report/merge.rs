use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::counts::clause_of;
use super::json::FORMAT;
use super::{Basis, Broken, End, Finding, Report, Shard, Suite};
use crate::model::{Anomaly, CriticalStep, Ending, Execution, Gap, Kind, Outcome, ProcessId, Said, Verdict};
use crate::scenario::{Equivalence, Expect};
use crate::verdict::{Accept, BadAccept, Coverage, SerialFailure, conclude};

/// So many shards that are missing are listed.
const LISTED: usize = 20;

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

/// The fields of a result: of a shard, or of a scenario that is whole in one.
#[derive(Debug, Deserialize)]
struct Part {
    format: u32,
    cooks: String,
    scenario: String,
    subject: String,
    shard: Option<String>,
    verdict: Verdict,
    #[serde(default)]
    reason: Option<String>,
    #[serde(default)]
    why: Option<String>,
    exhaustive: bool,
    ended_by: End,
    covered: String,
    #[serde(default)]
    conflicts: Option<u64>,
    #[serde(default)]
    coverage: Covered,
    #[serde(default)]
    serial_failures: Vec<SerialFailure>,
    #[serde(default)]
    remarks: Vec<String>,
    strategy: String,
    equivalence: Equivalence,
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
    #[serde(default)]
    verified: Option<u64>,
    outcomes: BTreeSet<String>,
    anomalies: Vec<Found>,
    expected: Option<Expect>,
}

/// The result of a run of several scenarios.
#[derive(Debug, Deserialize)]
struct Many {
    #[serde(default)]
    shard: Option<String>,
    #[serde(default)]
    names: Vec<String>,
    scenarios: Vec<Ran>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Ran {
    Part(Box<Part>),
    Broken { scenario: String, error: String, exit: u8 },
}

/// What a result says of what was not covered: of a shard, what the gaps of all are made from; of one that is whole, the gaps.
#[derive(Debug, Default, Deserialize)]
struct Covered {
    gaps: BTreeSet<Gap>,
    seen: Option<Coverage>,
    #[serde(default)]
    accept: Vec<String>,
    #[serde(default)]
    written: BTreeMap<ProcessId, BTreeSet<String>>,
    #[serde(default)]
    nothing_compared: bool,
    #[serde(default)]
    serial: BTreeMap<String, String>,
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
    #[serde(default)]
    stderr: Said,
}

#[derive(Debug, Deserialize)]
struct Critical {
    process: ProcessId,
    step: Option<usize>,
    operation: String,
}

/// A result, and the file that it is from.
struct Read {
    file: String,
    shard: Shard,
    /// Whether it is all of its scenario, which cannot be split.
    whole: bool,
    part: Part,
}

/// A file of results: of one scenario, or of those of a run.
struct File {
    name: String,
    shard: Shard,
    /// The names of all scenarios of the run, in their order; none where the file is of one.
    names: Option<Vec<String>>,
    read: Vec<Read>,
    /// The scenarios that came to nothing in this shard.
    broken: Vec<Broken>,
}

/// Joins the results of all shards, each with the name of the file that it is from: the sums of executions, the unions of outcomes and
/// anomalies. How long it took is the longest of them. A report for each scenario, in the order of the run.
///
/// # Errors
/// Where one is no result of a shard, is of another exploration than the first, is there twice, or is missing.
pub fn merge(results: &[(String, String)]) -> Result<Suite, MergeError> {
    let mut files = results.iter().map(|(file, text)| read(file, text)).collect::<Result<Vec<_>, _>>()?;
    let names = are_of_one_run(&mut files)?;
    let broken: Vec<Broken> = files.iter_mut().flat_map(|file| file.broken.drain(..)).collect();
    let mut left: Vec<Read> = files.into_iter().flat_map(|file| file.read).collect();
    let Some(names) = names else {
        let report = merge_one(left)?;
        let names = vec![report.scenario.clone()];
        return Ok(Suite { results: vec![Ok(report)], names, ..Suite::default() });
    };
    let mut join_of = |name: &String| {
        if let Some(broken) = broken.iter().find(|broken| broken.scenario == *name) {
            return Ok(Err(broken.clone()));
        }
        merge_one(left.extract_if(.., |read| read.part.scenario == *name).collect()).map(Ok)
    };
    let results = names.iter().map(&mut join_of).collect::<Result<_, _>>()?;
    Ok(Suite { results, names, ..Suite::default() })
}

/// Sorts files by their shards; whether they are all those of one run: the names of its scenarios, where it is one of several.
fn are_of_one_run(files: &mut [File]) -> Result<Option<Vec<String>>, MergeError> {
    let Some(first) = files.first() else { return Err(MergeError::Missing("there is none".into())) };
    let list = |file: &File| file.names.as_ref().map_or("one scenario".to_owned(), |names| names.join(", "));
    for file in files.iter().skip(1) {
        let facts = [
            ("list of scenarios", list(first), list(file)),
            ("number of shards", first.shard.of.to_string(), file.shard.of.to_string()),
        ];
        if let Some((what, wanted, found)) = facts.into_iter().find(|(_, a, b)| a != b) {
            let (file, first) = (file.name.clone(), first.name.clone());
            return Err(MergeError::Another { file, first, what, found, wanted });
        }
        // What is the same of all shards is looked at before it is asked which of them are there.
        if let (None, Some(a), Some(b)) = (&first.names, first.read.first(), file.read.first()) {
            is_of_one(a, b)?;
        }
    }
    files.sort_by_key(|file| file.shard);
    if let Some(two) = files.windows(2).find(|two| two[0].shard == two[1].shard) {
        let (file, first) = (two[1].name.clone(), two[0].name.clone());
        return Err(MergeError::Twice { file, first, shard: two[0].shard });
    }
    let of = files[0].shard.of;
    let there: BTreeSet<u32> = files.iter().map(|file| file.shard.number).collect();
    let missing = (1..=of).filter(|number| !there.contains(number));
    let mut missing: Vec<String> =
        missing.take(LISTED + 1).map(|number| Shard { number, of }.to_string()).collect();
    if !missing.is_empty() {
        if missing.len() > LISTED {
            missing[LISTED] = format!("… ({} in all)", of as usize - there.len());
        }
        let scenario = files[0].names.is_none().then(|| files[0].read.first()).flatten();
        let whose = scenario.map_or_else(String::new, |read| format!(" of {}", read.part.scenario));
        return Err(MergeError::Missing(missing.join(", ") + &whose));
    }
    Ok(files[0].names.clone())
}

/// Joins the results of one scenario, in the order of their shards.
fn merge_one(parts: Vec<Read>) -> Result<Report, MergeError> {
    if parts.is_empty() {
        return Err(MergeError::Missing("there is nothing of one of the scenarios".into()));
    }
    for part in parts.iter().skip(1) {
        is_of_one(&parts[0], part)?;
    }
    let of = parts[0].shard.of as usize;
    let is_whole = parts.len() == 1 && parts[0].whole;
    if !is_whole && (parts.len() != of || parts.iter().any(|part| part.whole)) {
        let scenario = &parts[0].part.scenario;
        let problem = format!("{} results of {scenario} from {of} shards", parts.len());
        return Err(MergeError::Missing(problem));
    }
    let file = parts[0].file.clone();
    let joined = join(parts.into_iter().map(|read| read.part).collect());
    joined.map_err(|error| MergeError::NoResult { file, problem: error.to_string() })
}

/// The results in a file: one, or those of several scenarios.
fn read(file: &str, text: &str) -> Result<File, MergeError> {
    let no_result = |problem: String| MergeError::NoResult { file: file.to_owned(), problem };
    let no_shard = || MergeError::NoShard(file.to_owned());
    let (shard, names, ran) = match serde_json::from_str::<Many>(text) {
        Ok(many) => (many.shard, Some(many.names), many.scenarios),
        Err(_) => {
            let part: Part = serde_json::from_str(text).map_err(|error| no_result(error.to_string()))?;
            (part.shard.clone(), None, vec![Ran::Part(Box::new(part))])
        }
    };
    let shard: Shard = shard.ok_or_else(no_shard)?.parse().map_err(no_result)?;
    let mut file = File { name: file.to_owned(), shard, names, read: Vec::new(), broken: Vec::new() };
    for ran in ran {
        match ran {
            Ran::Broken { scenario, error, exit } => file.broken.push(Broken { scenario, error, code: exit }),
            Ran::Part(part) if part.format != FORMAT => {
                return Err(no_result(format!("format {} instead of {FORMAT}", part.format)));
            }
            Ran::Part(part) => {
                let whole = part.shard.is_none();
                file.read.push(Read { file: file.name.clone(), shard, whole, part: *part });
            }
        }
    }
    Ok(file)
}

/// Whether two results are of one exploration.
fn is_of_one(first: &Read, other: &Read) -> Result<(), MergeError> {
    let (a, b) = (&first.part, &other.part);
    let facts = [
        ("version of cooks", a.cooks.clone(), b.cooks.clone()),
        ("scenario", a.scenario.clone(), b.scenario.clone()),
        ("scenario or workspace of that name", a.subject.clone(), b.subject.clone()),
        ("strategy", a.strategy.clone(), b.strategy.clone()),
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
fn join(parts: Vec<Part>) -> Result<Report, BadAccept> {
    // A stranger's numbers may be anything.
    let sum = |of: fn(&Part) -> u64| parts.iter().map(of).fold(0, u64::saturating_add);
    let most = |of: fn(&Part) -> u64| parts.iter().map(of).max().unwrap_or(0);
    let exhaustive = parts.iter().all(|part| part.exhaustive);
    let outcomes: BTreeSet<String> = parts.iter().flat_map(|part| part.outcomes.iter().cloned()).collect();
    let end = parts.iter().map(|part| part.ended_by).find(|end| *end != End::Everything);
    let end = end.unwrap_or(End::Everything);
    let mut basis = basis(&parts)?;
    if end == End::Everything && basis.self_check.is_none() {
        basis.self_check = not_met(&basis, &outcomes);
    }
    let conclusion = conclude(&basis.facts(end, parts.iter().any(|part| part.verdict == Verdict::Anomaly)));
    Ok(Report {
        conclusion,
        exhaustive,
        end,
        // Of what is split, all is covered; of one that is whole, what it says.
        covered: parts.first().and_then(|part| clause_of(&part.covered, part.ended_by)),
        basis,
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
        equivalence: parts[0].equivalence,
        seed: parts[0].seed,
        commands: parts[0].commands.clone(),
        subject: parts[0].subject.clone(),
        expected: parts[0].expected.clone(),
        verified: parts.iter().filter_map(|part| part.verified).reduce(u64::saturating_add),
        anomalies: findings(parts),
        outcomes,
        shard: None,
        chance: None,
    })
}

/// Says, in words, which serial outcome none of the shards has met, though together they were exhaustive.
fn not_met(basis: &Basis, outcomes: &BTreeSet<String>) -> Option<String> {
    if basis.gaps.iter().any(|gap| gap.hides_races) {
        return None;
    }
    let (_, order) = basis.serial.iter().find(|(outcome, _)| !outcomes.contains(*outcome))?;
    Some(format!("the shards were exhaustive and did not meet what the serial order {order} leaves"))
}

/// What the joined verdict rests on.
fn basis(parts: &[Part]) -> Result<Basis, BadAccept> {
    let mut coverage = Coverage::default();
    for covered in parts.iter().map(|part| &part.coverage) {
        match &covered.seen {
            Some(seen) => coverage.join(seen),
            None => coverage.gaps.extend(covered.gaps.iter().cloned()),
        }
    }
    let accept = parts[0].coverage.accept.clone();
    let by = accept.iter().map(|text| text.parse()).collect::<Result<Vec<Accept>, _>>()?;
    let (mut gaps, unmatched) = coverage.judged(&by);
    if parts.iter().all(|part| part.coverage.seen.is_none()) {
        gaps = coverage.gaps.iter().cloned().collect();
    }
    let remarks: BTreeSet<&String> = parts.iter().flat_map(|part| &part.remarks).collect();
    let stopped = |part: &&Part| part.verdict == Verdict::Inconclusive && part.ended_by == End::Everything;
    let reasons = || parts.iter().filter(stopped).filter_map(|part| part.reason.as_deref());
    let unfinished = reasons().find_map(|word| End::ALL.into_iter().find(|end| end.word() == word));
    Ok(Basis {
        // Each shard begins with the same execution.
        conflicts: parts.iter().filter_map(|part| part.conflicts).max(),
        written: parts[0].coverage.written.clone(),
        nothing_compared: parts[0].coverage.nothing_compared,
        gaps,
        coverage,
        accept,
        unmatched,
        serial_failures: parts[0].serial_failures.clone(),
        unfinished: unfinished
            .map(|end| (end, "a serial order did not finish in one of the shards".to_owned())),
        self_check: reasons()
            .find(|word| *word == "self-check")
            .map(|_| "in one of the shards (see its result)".to_owned()),
        why: parts.iter().find_map(|part| part.why.clone()),
        serial: parts.iter().flat_map(|part| part.coverage.serial.clone()).collect(),
        remarks: remarks.into_iter().cloned().collect(),
    })
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
        before = u64::saturating_add(before, part.executions);
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
        execution: before.saturating_add(found.execution),
        context_switches: found.context_switches,
        witness: found.witness,
        replayed: found.replayed,
        hits: None,
        stderr: found.stderr,
    }
}
