//! Several scenarios that were run together.

use std::io;

use super::counts::plural;
use super::expected::{unexpected, word};
use super::human::kinds;
use super::layout::{Ink, Style, clip, clip_middle, pad, through_the_door, wrap};
use super::{End, INTERNAL, Report, Shard};
use crate::model::Verdict;

/// The exit code of what was interrupted before it came to anything.
const INTERRUPTED: u8 = 130;

/// What scenarios came to that were run together.
#[derive(Clone, Debug, Default)]
pub struct Suite {
    /// Of each, in their order.
    pub results: Vec<Result<Report, Broken>>,
    /// Which part of the run this is, where it is not all of it.
    pub shard: Option<Shard>,
    /// The names of all, in their order: also of those that are run in another shard.
    pub names: Vec<String>,
    /// How long it took, in seconds, where that is known.
    pub elapsed_s: Option<f64>,
}

/// A scenario that came to no report.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Broken {
    /// Its name.
    pub scenario: String,
    /// Why.
    pub error: String,
    /// The exit code of that error.
    pub code: u8,
}

/// A scenario that was run, seen from a list of them.
pub type Ran<'a> = Result<&'a Report, &'a Broken>;

impl Suite {
    /// What each came to.
    #[must_use]
    pub fn ran(&self) -> Vec<Ran<'_>> {
        self.results.iter().map(Result::as_ref).collect()
    }

    /// The exit code: 6 if a self-check failed; else that of the first scenario that could not be run; else 1 if one is not as expected; else 0. If the run was
    /// interrupted: 1 if an anomaly that nobody expects was found, else 3 if an execution of a search had ended, else 130.
    #[must_use]
    pub fn code(&self) -> u8 {
        if self.results.iter().flatten().any(|report| report.code() == INTERNAL) {
            return INTERNAL;
        }
        let interrupted = |broken: &&Broken| broken.code == INTERRUPTED;
        let ended = |report: &&Report| report.end == End::Interrupted;
        let broken = || self.results.iter().filter_map(|result| result.as_ref().err());
        let is_interrupted =
            broken().any(|it| interrupted(&it)) || self.results.iter().flatten().any(|it| ended(&it));
        if !is_interrupted {
            let first = broken().next().map(|broken| broken.code);
            return first.unwrap_or_else(|| u8::from(self.failed().next().is_some()));
        }
        let found = |report: &Report| report.verdict() == Verdict::Anomaly && !unexpected(report).is_empty();
        match () {
            () if self.results.iter().flatten().any(found) => 1,
            () if self.results.iter().flatten().any(|report| report.executions > 0) => 3,
            () => INTERRUPTED,
        }
    }

    /// Those that are not as they are expected to be, or came to nothing.
    pub fn failed(&self) -> impl Iterator<Item = Ran<'_>> {
        self.results.iter().map(Result::as_ref).filter(|ran| !differs(*ran).is_empty())
    }
}

/// In what a scenario is not as it is expected to be, in words; nothing where it is.
fn differs(ran: Ran<'_>) -> Vec<String> {
    match ran {
        Ok(report) => unexpected(report),
        Err(broken) => broken.error.lines().map(str::to_owned).collect(),
    }
}

fn name<'a>(ran: &Ran<'a>) -> &'a str {
    match ran {
        Ok(report) => &report.scenario,
        Err(broken) => &broken.scenario,
    }
}

/// Columns of a name, at the most.
const WIDEST_NAME: usize = 24;
/// Columns of all but the name and what is expected, with the space between them.
const OTHERS: usize = 5 + 2 + 12 + 2 + 11 + 10;

/// Writes a line for each scenario, and below it in what it is not as expected; then one for all.
///
/// # Errors
/// Those of the writer.
pub fn table(suite: &Suite, style: &Style, out: &mut dyn io::Write) -> io::Result<()> {
    through_the_door(style, out, |out| rows(suite, style, out))
}

fn rows(suite: &Suite, style: &Style, out: &mut dyn io::Write) -> io::Result<()> {
    let ran = suite.ran();
    let widest = ran.iter().map(|ran| name(ran).chars().count()).max().unwrap_or(0);
    let widest = widest.clamp("scenario".len(), WIDEST_NAME);
    let rest = style.columns().saturating_sub(OTHERS + widest).max(8);
    let columns = |name: &str, verdict: &str, expected: &str, executions: &str, time: &str| {
        let (name, expected) = (pad(&clip_middle(name, widest), widest), pad(&clip(expected, rest), rest));
        format!("{name}  {verdict:12}  {expected} {executions:>10} {time:>9}")
    };
    let header = columns("scenario", "verdict", "expected", "executions", "time");
    writeln!(out, "     {}", style.ink(Ink::Faint, &header))?;
    for ran in &ran {
        let differences = differs(*ran);
        let (mark, ink) = if differences.is_empty() { ("ok  ", Ink::Good) } else { ("FAIL", Ink::Bad) };
        let line = match ran {
            Ok(report) => columns(
                &report.scenario,
                word(report.verdict()),
                &expected(report),
                &report.executions.to_string(),
                &format!("{:.2} s", report.elapsed_s),
            ),
            Err(broken) => columns(&broken.scenario, "error", "", "", ""),
        };
        writeln!(out, "{} {}", style.ink(ink, mark), line.trim_end())?;
        for difference in differences {
            for line in wrap(&format!("       {difference}"), style.columns(), 9) {
                writeln!(out, "{line}")?;
            }
        }
    }
    for line in wrap(&all(suite), style.columns(), 2) {
        writeln!(out, "{line}")?;
    }
    Ok(())
}

/// What was expected, in a few words: where the verdict is the one, which kinds, or how much stands behind it.
fn expected(report: &Report) -> String {
    if let Some(shard) = report.shard {
        return format!("(shard {shard})");
    }
    let Some(expect) = report.expectation() else { return "nothing to be found".into() };
    let complete = expect.complete.map(|complete| format!("{complete} complete"));
    match expect.verdict {
        verdict if verdict != report.verdict() => word(verdict).into(),
        Verdict::Anomaly if expect.kinds.is_empty() => kinds(report).join(", "),
        Verdict::Anomaly => {
            // In the order of the report, then those that were not found.
            let mut listed = kinds(report);
            let wanted: Vec<String> = expect.kinds.iter().map(ToString::to_string).collect();
            listed.retain(|kind| wanted.contains(kind));
            listed.extend(wanted.into_iter().filter(|kind| !listed.contains(kind)).collect::<Vec<_>>());
            listed.join(", ")
        }
        Verdict::Clean | Verdict::Inconclusive => complete.unwrap_or_else(|| "as expected".into()),
    }
}

/// The last line: `9 scenarios, as expected (12.30 s)`.
fn all(suite: &Suite) -> String {
    let count = plural(suite.results.len() as u64, "scenario");
    let failed: Vec<&str> = suite.failed().map(|ran| name(&ran)).collect();
    let time = suite.elapsed_s.map_or_else(String::new, |seconds| format!(" ({seconds:.2} s)"));
    let shard = suite.shard.map_or_else(String::new, |shard| format!(" in shard {shard}"));
    let parts = suite.results.iter().flatten().any(|report| report.shard.is_some());
    match failed.len() {
        0 if parts => format!("{count}{shard}, to be joined by `cooks merge`{time}"),
        0 => format!("{count}{shard}, as expected{time}"),
        some => format!("{count}{shard}, {some} not as expected: {}{time}", failed.join(", ")),
    }
}
