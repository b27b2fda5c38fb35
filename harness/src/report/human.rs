use std::io;

use super::counts::{self, plural};
use super::layout::{Ink, Style, clip, length, through_the_door, wrap};
use super::timeline::timeline;
use super::visible::line;
use super::{Finding, Report, differences};
use crate::model::{CriticalStep, Gap, GapKind, Kind, ProcessId, Verdict};
use crate::verdict::{Because, NAMED, SerialFailure, sentence};

/// Writes a report for people: the verdict first; then the most telling anomaly with its timeline, and the others in a line
/// each; then what was tried; and as the last line how to replay. Where the executions are not known (of results that were joined)
/// each anomaly is told in a line.
///
/// # Errors
/// Those of the writer.
pub fn human(report: &Report, style: &Style, out: &mut dyn io::Write) -> io::Result<()> {
    through_the_door(style, out, |out| page(report, style, out))
}

fn page(report: &Report, style: &Style, out: &mut dyn io::Write) -> io::Result<()> {
    verdict(report, style, out)?;
    for difference in report.expectation().iter().flat_map(|expected| differences(expected, report)) {
        write(out, style, &format!("not as expected: {difference}"), Some(Ink::Bad))?;
    }
    let telling = by_telling(report);
    if !telling.iter().all(|finding| is_known(finding)) {
        writeln!(out)?;
        each_in_short(&telling, style, out)?;
    } else if let Some((first, others)) = telling.split_first() {
        in_full(report, first, style, out)?;
        in_short(others, style, out)?;
    }
    writeln!(out)?;
    write(out, style, &counts::figures(report), None)?;
    not_covered(report, style, out)?;
    match telling.iter().find_map(|finding| finding.witness.as_ref()) {
        Some(witness) => writeln!(out, "replay: cooks replay {}", line(&argument(witness))),
        None => Ok(()),
    }
}

/// The anomalies, the most telling first: those that keys explain, a lost update before others; then those with the fewest
/// context switches; then as they were found.
pub(super) fn by_telling(report: &Report) -> Vec<&Finding> {
    let mut findings: Vec<&Finding> = report.anomalies.iter().collect();
    findings.sort_by_key(|finding| {
        let keys = !finding.anomaly.keys.is_empty();
        (!(keys && finding.anomaly.kind == Kind::LostUpdate), !keys, finding.context_switches)
    });
    findings
}

/// Whether the execution that shows it is known, and not only what was told of it.
pub(super) fn is_known(finding: &Finding) -> bool {
    !finding.shown.trace.is_empty() || !finding.shown.outcome.exits.is_empty()
}

/// How many gaps are listed, besides those that the verdict names.
const GAPS: usize = 12;

/// What was not covered, and what the user should know of how the verdict was made.
fn not_covered(report: &Report, style: &Style, out: &mut dyn io::Write) -> io::Result<()> {
    // The gaps that stand in the verdict are not told again.
    let told = match report.conclusion.because() {
        [.., Because::Coverage(gaps)] | [Because::Coverage(gaps), ..]
            if report.verdict() == Verdict::Inconclusive =>
        {
            gaps.iter().take(NAMED).collect()
        }
        _ => Vec::new(),
    };
    let gaps: Vec<&Gap> = report.basis.gaps.iter().filter(|gap| !told.contains(gap)).collect();
    for gap in gaps.iter().take(GAPS) {
        let standing = match (gap.hides_races, gap.accepted) {
            (true, false) => "",
            (true, true) => "; accepted",
            (false, _) if GapKind::LIMITS.contains(&gap.kind) => "",
            (false, _) => "; cannot hide a race",
        };
        write(out, style, &format!("not covered: {}{standing}", sentence(gap)), None)?;
    }
    if gaps.len() > GAPS {
        writeln!(out, "not covered: {} more (--format json lists all)", gaps.len() - GAPS)?;
    }
    for remark in &report.basis.remarks {
        write(out, style, &format!("note: {remark}"), None)?;
    }
    for accept in &report.basis.unmatched {
        write(out, style, &format!("note: --accept {accept} matched no gap"), None)?;
    }
    Ok(())
}

/// Writes the verdict alone: its line; and if it is neither clean nor an anomaly, each reason with what to do about it.
///
/// # Errors
/// Those of the writer.
pub fn verdict(report: &Report, style: &Style, out: &mut dyn io::Write) -> io::Result<()> {
    through_the_door(style, out, |out| first_lines(report, style, out))
}

fn first_lines(report: &Report, style: &Style, out: &mut dyn io::Write) -> io::Result<()> {
    write(out, style, &counts::verdict(report, &kinds(report)), Some(ink(report.verdict())))?;
    if report.verdict() == Verdict::Clean || report.chance.is_some() {
        return Ok(());
    }
    let hides = report.verdict() == Verdict::Anomaly;
    for (number, because) in report.conclusion.because().iter().enumerate() {
        // An anomaly needs no further reason; only what it may have been found in spite of is worth a line.
        if hides && !matches!(because, Because::SelfCheck(_) | Because::SerialFailure(_)) {
            continue;
        }
        if number > 0 || hides {
            let sentence = match (because, &report.basis.why) {
                (Because::Bound(_), Some(why)) => why.clone(),
                _ => because.sentence(),
            };
            write(out, style, &format!("also: {sentence}"), None)?;
        }
        if let Because::SerialFailure(failures) = because {
            for failure in failures {
                last_lines(failure, style, out)?;
            }
        }
        for remedy in because.remedies() {
            write(out, style, &format!("  {remedy}"), None)?;
        }
    }
    Ok(())
}

/// How many lines of a standard error are shown.
const LINES: usize = 5;

fn last_lines(failure: &SerialFailure, style: &Style, out: &mut dyn io::Write) -> io::Result<()> {
    let lines: Vec<&str> = failure.stderr.lines().filter(|line| !line.trim().is_empty()).collect();
    if lines.is_empty() {
        return writeln!(out, "  {} ({}) writes nothing to standard error.", failure.process, failure.status);
    }
    let shown = &lines[lines.len().saturating_sub(LINES)..];
    writeln!(out, "  {} ({}), the end of its standard error:", failure.process, failure.status)?;
    for line in shown {
        for piece in wrap(&format!("    {}", line.trim_end()), style.columns(), 6) {
            writeln!(out, "{piece}")?;
        }
    }
    Ok(())
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

/// The kinds found, each once, the most telling first.
pub(super) fn kinds(report: &Report) -> Vec<String> {
    let mut kinds: Vec<String> = Vec::new();
    for finding in by_telling(report) {
        let kind = finding.anomaly.kind.to_string();
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    kinds
}

fn in_full(report: &Report, finding: &Finding, style: &Style, out: &mut dyn io::Write) -> io::Result<()> {
    writeln!(out)?;
    let several = kinds(report).len() > 1;
    let kind = if several { format!("{}: ", finding.anomaly.kind) } else { String::new() };
    write(out, style, &format!("{kind}{}", finding.anomaly.summary), None)?;
    writeln!(out)?;
    for line in timeline(finding, &report.commands, style) {
        writeln!(out, "{line}")?;
    }
    writeln!(out)?;
    for line in &finding.anomaly.explanation {
        // Lines that are indented are laid out already.
        if line.starts_with("  ") {
            writeln!(out, "{}", clip(line, style.columns()))?;
        } else {
            write(out, style, line, None)?;
        }
    }
    last_words(finding, style, out)?;
    if let [first, second] = finding.critical.as_slice() {
        let (first, second) = (critical(first), critical(second));
        write(
            out,
            style,
            &format!("It hangs on {first} before {second}: the other way round it goes."),
            None,
        )?;
    }
    if report.strategy == counts::REPLAY {
        return Ok(());
    }
    let mut facts = vec![format!("execution {} of {}", finding.execution, report.executions)];
    facts.push(plural(finding.context_switches, "context switch"));
    if finding.replayed > 0 {
        facts.push(format!("replayed {}", plural(u64::from(finding.replayed), "time")));
    }
    write(out, style, &format!("({})", facts.join(", ")), Some(Ink::Faint))
}

/// Lines of a process's standard error that are shown.
const LAST_LINES: usize = 5;

/// Of each process that fails, the end of what it wrote to its standard error.
fn last_words(finding: &Finding, style: &Style, out: &mut dyn io::Write) -> io::Result<()> {
    let outcome = &finding.shown.outcome;
    let failed = |process: &ProcessId| outcome.exits_of(*process).any(|exit| !exit.is_success());
    for process in (0..outcome.exits.len()).map(ProcessId).filter(failed) {
        let last = finding.stderr.last_lines(process, LAST_LINES);
        if last.is_empty() {
            continue;
        }
        writeln!(out, "{process}'s standard error ends:")?;
        for said in last {
            for piece in wrap(&format!("  {}", said.trim_end()), style.columns(), 4) {
                writeln!(out, "{piece}")?;
            }
        }
    }
    Ok(())
}

/// `step 85 (B: read n.json: 2 bytes)`.
fn critical(found: &CriticalStep) -> String {
    let CriticalStep { process, step, operation } = found;
    match step {
        Some(step) => format!("step {} ({process}: {operation})", step + 1),
        None => format!("what {process} waits for ({operation})"),
    }
}

/// The other anomalies: of each, what it is and how to see it.
fn in_short(findings: &[&Finding], style: &Style, out: &mut dyn io::Write) -> io::Result<()> {
    if findings.is_empty() {
        return Ok(());
    }
    writeln!(out)?;
    writeln!(out, "{} more:", findings.len())?;
    each_in_short(findings, style, out)
}

fn each_in_short(findings: &[&Finding], style: &Style, out: &mut dyn io::Write) -> io::Result<()> {
    for finding in findings {
        let anomaly = &finding.anomaly;
        let gist = gist(&format!("{}: {}", anomaly.kind, anomaly.summary), style.columns() - 2);
        writeln!(out, "  {}", line(&gist))?;
        if let Some(hits) = finding.hits {
            writeln!(out, "    {}, in run {} first", plural(hits, "hit"), finding.execution)?;
        }
        if let Some(witness) = &finding.witness {
            writeln!(out, "    cooks replay {}", line(&argument(witness)))?;
        }
    }
    Ok(())
}

/// A sentence on one line: without the numbers of steps (of a timeline that is not shown), and as many clauses as fit. Where that
/// would be less than half a line, without any brackets; where that does not help, its beginning.
fn gist(sentence: &str, width: usize) -> String {
    let plain = without_brackets(sentence, |inner| inner.contains("step"));
    let plainer = without_brackets(&plain, |_| true);
    let clauses = |text: &str| {
        let ends = [": ", ", which "].into_iter().flat_map(|end| text.match_indices(end));
        let clauses = ends.map(|(end, _)| text[..end].to_owned()).chain([text.to_owned()]);
        let fits = clauses.filter(|clause| length(clause) <= width && length(clause) * 2 > width);
        fits.max_by_key(|clause| length(clause))
    };
    if length(&plain) <= width {
        return plain;
    }
    clauses(&plain).or_else(|| clauses(&plainer)).unwrap_or_else(|| clip(&plain, width))
}

/// The text without those of its ` (…)` that are not wanted.
fn without_brackets(text: &str, unwanted: impl Fn(&str) -> bool) -> String {
    let mut parts = text.split(" (");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| match part.split_once(')') {
        Some((inner, rest)) if unwanted(inner) => text + rest,
        _ => text + " (" + part,
    })
}

/// A path as a word for a shell.
pub(crate) fn argument(path: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "/._-+=,@%".contains(c);
    if !path.is_empty() && path.chars().all(plain) {
        path.to_owned()
    } else {
        format!("'{}'", path.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::gist;

    #[test]
    fn the_gist_of_a_sentence_fits_a_line_and_names_no_steps() {
        let lost = "f: C's \"a\" (written at step 17) is gone: A overwrote it at step 19";
        assert_eq!(gist(lost, 30), "f: C's \"a\" is gone");
        let torn = "f is no longer JSON (line 1 column 8): A and B wrote it at the same time (steps 1 to 4)";
        assert_eq!(gist(torn, 62), "f is no longer JSON (line 1 column 8)");
        assert_eq!(
            gist(torn, 80),
            "f is no longer JSON (line 1 column 8): A and B wrote it at the same time"
        );
        assert_eq!(gist("one long clause that does not end", 12), "one long cl…");
    }
}
