use std::collections::{BTreeMap, BTreeSet};
use std::io;

use serde::Serialize;

use super::expected::unexpected;
use super::{Broken, Chance, End, Finding, Report, Suite, counts, differences, visible};
use crate::model::{CriticalStep, Gap, Kind, ProcessId, Said, Verdict};
use crate::scenario::{Equivalence, Expect};
use crate::verdict::{Because, Coverage, SerialFailure};

/// The format's number; raised when a field changes its meaning or goes.
pub(super) const FORMAT: u32 = 1;

/// The fields as programs rely on them, in their order.
#[derive(Serialize)]
struct Object<'a> {
    format: u32,
    cooks: &'static str,
    scenario: &'a str,
    subject: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    shard: Option<String>,
    verdict: Verdict,
    reason: Option<&'static str>,
    exhaustive: bool,
    ended_by: End,
    covered: String,
    not_covered: Vec<String>,
    conflicts: Option<u64>,
    coverage: CoverageObject<'a>,
    serial_failures: &'a [SerialFailure],
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    remarks: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<&'a str>,
    strategy: &'a str,
    equivalence: Equivalence,
    seed: u64,
    processes: usize,
    commands: &'a [String],
    executions: u64,
    complete: u64,
    blocked: u64,
    redundant: u64,
    elsewhere: u64,
    serial_runs: u64,
    distinct_outcomes: u64,
    serial_outcomes: u64,
    steps: u64,
    elapsed_s: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    verified: Option<u64>,
    outcomes: &'a BTreeSet<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    chance: Option<&'a Chance>,
    anomalies: Vec<FoundObject<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expected: Option<&'a Expect>,
    #[serde(skip_serializing_if = "Option::is_none")]
    as_expected: Option<bool>,
}

/// What was not scheduled, or could not be decided.
#[derive(Serialize)]
struct CoverageObject<'a> {
    /// Whether no gap is left that can hide a race and was not accepted.
    complete: bool,
    gaps: &'a [Gap],
    /// Of a shard: what the gaps of all shards are made from, and what the user accepts.
    #[serde(skip_serializing_if = "Option::is_none")]
    seen: Option<&'a Coverage>,
    #[serde(skip_serializing_if = "Option::is_none")]
    accept: Option<&'a [String]>,
    /// Whether all that the processes change and print is left out of the outcome.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    nothing_compared: bool,
    /// Of a shard: the files that each process wrote.
    #[serde(skip_serializing_if = "Option::is_none")]
    written: Option<&'a BTreeMap<ProcessId, BTreeSet<String>>>,
    /// Of a shard: the fingerprints of the outcomes that all shards together have to meet, each with the serial order that leaves it.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    serial: &'a BTreeMap<String, String>,
}

impl<'a> CoverageObject<'a> {
    fn of(report: &'a Report) -> Self {
        let gaps = &report.basis.gaps;
        Self {
            complete: gaps.iter().all(|gap| gap.accepted || !gap.hides_races),
            gaps,
            seen: report.shard.map(|_| &report.basis.coverage),
            accept: report.shard.map(|_| report.basis.accept.as_slice()),
            nothing_compared: report.basis.nothing_compared,
            written: report.shard.map(|_| &report.basis.written),
            serial: &report.basis.serial,
        }
    }
}

/// Why the verdict is inconclusive, in a word.
fn reason(report: &Report) -> Option<&'static str> {
    let because = report.conclusion.because().first().filter(|_| report.verdict() == Verdict::Inconclusive);
    because.map(Because::word)
}

#[derive(Serialize)]
struct FoundObject<'a> {
    kind: Kind,
    summary: &'a str,
    files: &'a [String],
    keys: &'a [String],
    processes: &'a [ProcessId],
    critical: Vec<CriticalObject<'a>>,
    execution: u64,
    context_switches: u64,
    witness: Option<&'a str>,
    replayed: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    hits: Option<u64>,
    #[serde(skip_serializing_if = "Said::is_empty")]
    stderr: &'a Said,
}

/// An operation that an anomaly hangs on. Steps count from 1, as in summaries.
#[derive(Serialize)]
struct CriticalObject<'a> {
    process: ProcessId,
    step: Option<usize>,
    operation: &'a str,
}

/// A scenario that came to nothing.
#[derive(Serialize)]
struct BrokenObject<'a> {
    format: u32,
    cooks: &'static str,
    scenario: &'a str,
    error: &'a str,
    exit: u8,
    as_expected: bool,
}

#[derive(Serialize)]
#[serde(untagged)]
enum RanObject<'a> {
    Report(Box<Object<'a>>),
    Broken(BrokenObject<'a>),
}

/// Of a shard, the names are those of all scenarios of the run.
#[derive(Serialize)]
struct Many<'a> {
    format: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    shard: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    names: Option<&'a [String]>,
    scenarios: Vec<RanObject<'a>>,
}

impl<'a> Object<'a> {
    fn of(report: &'a Report) -> Self {
        Self {
            format: FORMAT,
            cooks: env!("CARGO_PKG_VERSION"),
            scenario: &report.scenario,
            subject: &report.subject,
            shard: report.shard.map(|shard| shard.to_string()),
            verdict: report.verdict(),
            reason: reason(report),
            exhaustive: report.exhaustive,
            ended_by: report.end,
            covered: counts::covered(report),
            not_covered: report.basis.not_covered(),
            conflicts: report.basis.conflicts,
            coverage: CoverageObject::of(report),
            serial_failures: &report.basis.serial_failures,
            remarks: &report.basis.remarks,
            why: report.basis.why.as_deref(),
            strategy: &report.strategy,
            equivalence: report.equivalence,
            seed: report.seed,
            processes: report.commands.len(),
            commands: &report.commands,
            executions: report.executions,
            complete: report.complete,
            blocked: report.blocked,
            redundant: report.redundant,
            elsewhere: report.elsewhere,
            serial_runs: report.serial_runs,
            distinct_outcomes: report.distinct_outcomes,
            serial_outcomes: report.serial_outcomes,
            steps: report.steps,
            elapsed_s: report.elapsed_s,
            verified: report.verified,
            outcomes: &report.outcomes,
            chance: report.chance.as_ref(),
            anomalies: report.anomalies.iter().map(FoundObject::of).collect(),
            expected: report.expected.as_ref(),
            as_expected: report.expectation().map(|expected| differences(expected, report).is_empty()),
        }
    }
}

impl<'a> RanObject<'a> {
    fn of(ran: &'a Result<Report, Broken>) -> Self {
        match ran {
            Ok(report) => Self::Report(Box::new(Object {
                // In a run each is held to something, if only to nothing being found.
                as_expected: report.shard.is_none().then(|| unexpected(report).is_empty()),
                ..Object::of(report)
            })),
            Err(Broken { scenario, error, code }) => Self::Broken(BrokenObject {
                format: FORMAT,
                cooks: env!("CARGO_PKG_VERSION"),
                scenario,
                error,
                exit: *code,
                as_expected: false,
            }),
        }
    }
}

impl<'a> FoundObject<'a> {
    fn of(finding: &'a Finding) -> Self {
        let anomaly = &finding.anomaly;
        Self {
            kind: anomaly.kind,
            summary: &anomaly.summary,
            files: &anomaly.files,
            keys: &anomaly.keys,
            processes: &anomaly.processes,
            critical: finding.critical.iter().map(CriticalObject::of).collect(),
            execution: finding.execution,
            context_switches: finding.context_switches,
            witness: finding.witness.as_deref(),
            replayed: finding.replayed,
            hits: finding.hits,
            stderr: &finding.stderr,
        }
    }
}

impl<'a> CriticalObject<'a> {
    fn of(found: &'a CriticalStep) -> Self {
        let step = found.step.map(|step| step + 1);
        Self { process: found.process, step, operation: &found.operation }
    }
}

/// Writes a report as one JSON object and a line end.
///
/// # Errors
/// Those of the writer.
pub fn json(report: &Report, out: &mut dyn io::Write) -> io::Result<()> {
    write(&Object::of(report), out)
}

/// Writes what several scenarios came to as one JSON object and a line end.
///
/// # Errors
/// Those of the writer.
pub fn json_of_suite(suite: &Suite, out: &mut dyn io::Write) -> io::Result<()> {
    let many = Many {
        format: FORMAT,
        shard: suite.shard.map(|shard| shard.to_string()),
        names: suite.shard.map(|_| suite.names.as_slice()),
        scenarios: suite.results.iter().map(RanObject::of).collect(),
    };
    write(&many, out)
}

fn write(object: &impl Serialize, out: &mut dyn io::Write) -> io::Result<()> {
    writeln!(out, "{}", visible::json(&serde_json::to_string_pretty(object)?))
}
