//! What is printed, and the files that are written. Nothing else prints.

use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use cooks_harness::report::{self, Report, Style};
use cooks_harness::session::{Explored, Job, Progress, explore};
use cooks_harness::witness;

use crate::args::{Format, Output};
use crate::failure::Failure;

/// How often the progress line is written anew.
const REFRESH: Duration = Duration::from_millis(200);

/// Explores a job with a progress line on a terminal, and writes the witnesses of what is found.
pub fn explored(job: &Job, output: &Output, stop: &Arc<AtomicBool>) -> Result<Report, Failure> {
    let shown = io::stderr().is_terminal() && !output.quiet;
    let clear = if shown { "\r\x1b[K" } else { "" };
    let mut last = Duration::ZERO;
    let result = explore(job, stop, &mut |progress| {
        for reversal in &progress.reversals {
            eprintln!("{clear}execution {}: {reversal}", progress.counts.executions);
        }
        if shown && progress.elapsed >= last + REFRESH {
            last = progress.elapsed;
            eprint!("{clear}{}", line(&progress));
        }
    });
    eprint!("{clear}");
    let Explored { mut report, witnesses } = result?;
    for (number, (finding, witness)) in report.anomalies.iter_mut().zip(&witnesses).enumerate() {
        let name = format!("{}-{}-{}.json", job.scenario.name, number + 1, finding.anomaly.kind);
        let path = output.output.join(name);
        witness::write(witness, &path)?;
        finding.witness = Some(path.display().to_string());
    }
    Ok(report)
}

/// The progress in a line that fits 80 columns: `1234 executions, 1230 classes, depth 41, 310/s, about 40% done (estimate)`.
fn line(progress: &Progress) -> String {
    let counts = &progress.counts;
    let rate = counts.executions as f64 / progress.elapsed.as_secs_f64().max(0.001);
    let mut parts = vec![
        format!("{} executions", counts.executions),
        format!("{} classes", counts.complete + counts.blocked),
        format!("depth {}", progress.depth),
        format!("{rate:.0}/s"),
    ];
    if let Some(done) = progress.done {
        // Never all of it: what is not known yet is not counted.
        parts.push(format!("about {:.0}% (estimate)", (done * 100.0).min(99.0)));
    }
    if progress.anomalies > 0 {
        parts.insert(0, format!("{} found", progress.anomalies));
    }
    parts.join(", ").chars().take(79).collect()
}

/// How to write for people here: colour and the terminal's width where there is one, 80 columns elsewhere.
pub fn style() -> Style {
    let terminal = io::stdout().is_terminal();
    let columns = std::env::var("COLUMNS").ok().and_then(|text| text.parse().ok());
    let width = if terminal { columns.or_else(width) } else { None };
    let color = terminal && std::env::var_os("NO_COLOR").is_none();
    Style { width: width.unwrap_or(80), color }
}

/// The terminal's width.
fn width() -> Option<usize> {
    terminal_size::terminal_size().map(|(width, _)| usize::from(width.0))
}

/// Prints one report.
pub fn print(report: &Report, output: &Output) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match output.format {
        Format::Json => report::json(report, &mut out)?,
        Format::Junit => report::junit(std::slice::from_ref(report), &mut out)?,
        Format::Github => report::github(std::slice::from_ref(report), &mut out)?,
        Format::Human if output.quiet => report::verdict(report, &style(), &mut out)?,
        Format::Human => report::human(report, &style(), &mut out)?,
    }
    Ok(out.flush()?)
}

/// Prints the reports of several scenarios: each in full where they were asked for by name (`in_full`), then a line for each.
pub fn print_many(reports: &[Report], in_full: bool, output: &Output) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match output.format {
        Format::Json => report::json_of_many(reports, &mut out)?,
        Format::Junit => report::junit(reports, &mut out)?,
        Format::Github => report::github(reports, &mut out)?,
        Format::Human => {
            for report in reports.iter().filter(|_| in_full && !output.quiet) {
                writeln!(out, "== {} ==", report.scenario)?;
                report::human(report, &style(), &mut out)?;
                writeln!(out)?;
            }
            report::overview(reports, &style(), &mut out)?;
        }
    }
    Ok(out.flush()?)
}

/// The name that witnesses of a folder are called by.
pub fn name_of(folder: &Path) -> String {
    let name = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    name.file_name().map_or_else(|| "explore".into(), |name| name.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use cooks_harness::explore::Counts;
    use cooks_harness::session::Progress;

    use super::line;

    #[test]
    fn the_progress_is_a_line_that_fits() {
        let counts = Counts { executions: 1_234, complete: 1_200, blocked: 30, ..Counts::default() };
        let elapsed = Duration::from_secs(4);
        let mut progress = Progress { counts, elapsed, depth: 41, done: Some(0.403), ..Progress::default() };
        assert_eq!(line(&progress), "1234 executions, 1230 classes, depth 41, 308/s, about 40% (estimate)");
        progress = Progress { anomalies: 2, done: None, ..progress };
        assert_eq!(line(&progress), "2 found, 1234 executions, 1230 classes, depth 41, 308/s");
        progress.counts.executions = u64::MAX;
        progress.counts.complete = u64::MAX / 2;
        progress.done = Some(1.0);
        assert!(line(&progress).len() < 80, "{}", line(&progress));
    }
}
