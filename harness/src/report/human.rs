use std::io;

use super::expected::word;
use super::layout::{Ink, Style, wrap};
use super::timeline::timeline;
use super::{Finding, Report, differences};
use crate::model::{ProcessId, Verdict};

/// Writes a report for people: the verdict first; then each anomaly with its timeline; then the counts; and as the last line how
/// to replay.
///
/// # Errors
/// Those of the writer.
pub fn human(report: &Report, style: &Style, out: &mut dyn io::Write) -> io::Result<()> {
    verdict(report, style, out)?;
    for difference in report.expected.iter().flat_map(|expected| differences(expected, report)) {
        write(out, style, &format!("not as expected: {difference}"), Some(Ink::Bad))?;
    }
    for finding in &report.anomalies {
        anomaly(report, finding, style, out)?;
    }
    writeln!(out)?;
    write(out, style, &counts(report), None)?;
    for part in &report.not_covered {
        write(out, style, &format!("not covered: {part}"), None)?;
    }
    match report.anomalies.iter().find_map(|finding| finding.witness.as_ref()) {
        Some(witness) => writeln!(out, "replay: cooks replay {}", argument(witness)),
        None => Ok(()),
    }
}

/// Writes one line for each of several scenarios, and one for all.
///
/// # Errors
/// Those of the writer.
pub fn overview(reports: &[Report], style: &Style, out: &mut dyn io::Write) -> io::Result<()> {
    let widest = reports.iter().map(|report| report.scenario.chars().count()).max().unwrap_or(0);
    let mut unexpected = 0;
    for report in reports {
        let differences =
            report.expected.as_ref().map_or_else(Vec::new, |expected| differences(expected, report));
        let (passed, ink) = if differences.is_empty() { ("ok  ", Ink::Good) } else { ("FAIL", Ink::Bad) };
        unexpected += usize::from(!differences.is_empty());
        let found: Vec<String> = kinds(report);
        let found = if found.is_empty() { String::new() } else { format!(" ({})", found.join(", ")) };
        let name = &report.scenario;
        writeln!(
            out,
            "{} {name:widest$}  {}{found}, {}",
            style.ink(ink, passed),
            word(report.verdict),
            plural(report.executions, "execution")
        )?;
        for difference in differences {
            writeln!(out, "       {difference}")?;
        }
    }
    let all = plural(reports.len() as u64, "scenario");
    match unexpected {
        0 => writeln!(out, "{all}, as expected"),
        some => writeln!(out, "{all}, {some} not as expected"),
    }
}

/// Writes the verdict alone.
///
/// # Errors
/// Those of the writer.
pub fn verdict(report: &Report, style: &Style, out: &mut dyn io::Write) -> io::Result<()> {
    write(out, style, &verdict_words(report), Some(ink(report.verdict)))
}

fn write(out: &mut dyn io::Write, style: &Style, text: &str, ink: Option<Ink>) -> io::Result<()> {
    for line in wrap(text, style.columns(), 2) {
        let line = ink.map_or(line.clone(), |ink| style.ink(ink, &line));
        writeln!(out, "{line}")?;
    }
    Ok(())
}

fn ink(verdict: Verdict) -> Ink {
    match verdict {
        Verdict::Clean => Ink::Good,
        Verdict::Anomaly => Ink::Bad,
        Verdict::Inconclusive => Ink::Look,
    }
}

/// The first line.
fn verdict_words(report: &Report) -> String {
    let who = processes(report.commands.len());
    let complete = plural(report.complete, "complete execution");
    match report.verdict {
        Verdict::Anomaly => format!("anomaly: {}", kinds(report).join(", ")),
        Verdict::Clean => format!(
            "clean: every interleaving of {who} was tried ({complete}, exhaustive), and each outcome is one that a serial order gives"
        ),
        Verdict::Inconclusive => format!(
            "inconclusive: nothing found in {}, but not every interleaving of {who} was tried",
            plural(report.executions, "execution")
        ),
    }
}

/// The kinds found, each once, in the order of the anomalies.
fn kinds(report: &Report) -> Vec<String> {
    let mut kinds: Vec<String> = Vec::new();
    for finding in &report.anomalies {
        let kind = finding.anomaly.kind.to_string();
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    kinds
}

/// `A and B`, `A, B and C`, `A to H`.
fn processes(count: usize) -> String {
    let name = |number: usize| ProcessId(number).to_string();
    match count {
        0 => "nothing".into(),
        1 => name(0),
        2 => "A and B".into(),
        3 => "A, B and C".into(),
        more => format!("A to {}", name(more - 1)),
    }
}

fn anomaly(report: &Report, finding: &Finding, style: &Style, out: &mut dyn io::Write) -> io::Result<()> {
    writeln!(out)?;
    let several = report.anomalies.len() > 1;
    let kind = if several { format!("{}: ", finding.anomaly.kind) } else { String::new() };
    write(out, style, &format!("{kind}{}", finding.anomaly.summary), None)?;
    writeln!(out)?;
    for line in timeline(finding, &report.commands, style) {
        writeln!(out, "{line}")?;
    }
    if !finding.anomaly.explanation.is_empty() {
        writeln!(out)?;
    }
    for line in &finding.anomaly.explanation {
        write(out, style, line, None)?;
    }
    let mut facts = vec![format!("found in execution {}", finding.execution)];
    facts.push(plural(finding.context_switches, "context switch"));
    if finding.replayed > 0 {
        facts.push(format!("replayed {}", plural(u64::from(finding.replayed), "time")));
    }
    facts.extend(finding.witness.iter().filter(|_| several).map(|path| format!("witness {path}")));
    write(out, style, &format!("({})", facts.join(", ")), None)
}

/// The line of figures.
fn counts(report: &Report) -> String {
    let mut parts = vec![format!("{} complete", report.complete)];
    let more = [(report.blocked, "blocked"), (report.redundant, "redundant")];
    parts.extend(more.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")));
    format!(
        "{} ({}), {}, {} ({} serial), {}, {:.2} s, {}{}",
        plural(report.executions, "execution"),
        parts.join(", "),
        plural(report.serial_runs, "serial run"),
        plural(report.distinct_outcomes, "distinct outcome"),
        report.serial_outcomes,
        plural(report.steps, "step"),
        report.elapsed_s,
        strategy(report),
        if report.exhaustive { ", exhaustive" } else { "" }
    )
}

/// The strategy, and its seed where chance plays a part.
fn strategy(report: &Report) -> String {
    match report.strategy.as_str() {
        "dpor" | "dfs" => report.strategy.clone(),
        by_chance => format!("{by_chance} with seed {}", report.seed),
    }
}

/// `1 step`, `2 steps`, `3 context switches`.
fn plural(count: u64, what: &str) -> String {
    let ending = if what.ends_with("ch") { "es" } else { "s" };
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}{ending}") }
}

/// A path as a word for a shell.
fn argument(path: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "/._-+=,@%".contains(c);
    if !path.is_empty() && path.chars().all(plain) {
        path.to_owned()
    } else {
        format!("'{}'", path.replace('\'', "'\\''"))
    }
}
