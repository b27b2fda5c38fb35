//! What is printed, and the files that are written. Nothing else prints.

use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use cooks_harness::report::{self, End, Ran, Report, Style, Suite, visible};
use cooks_harness::session::{Explored, Job, Keep, Progress, SessionError, explore, explore_together};

use crate::args::{Format, Output};
use crate::failure::Failure;
use crate::keeping::{Folder, Prepared};
use crate::progress::Board;
use crate::say;

/// Explores a job with a progress line on a terminal, and writes the witnesses of what is found.
pub fn explored(job: &Job, output: &Output, stop: &Arc<AtomicBool>) -> Result<Report, Failure> {
    let board = Board::new(std::slice::from_ref(&job.scenario.name), output.quiet);
    let _prepared = Prepared::of(std::slice::from_ref(job), output);
    let mut folder = Folder::new(output.output.clone(), job.scenario.name.clone());
    let result = explore(job, stop, &mut folder, &mut |progress| board.tell(0, &progress));
    board.clear();
    concluded(result)
}

/// Explores several jobs side by side, and writes the witnesses of what is found: of each its report, or why there is none.
pub fn explored_together(
    jobs: &[Job],
    at_once: u32,
    output: &Output,
    stop: &Arc<AtomicBool>,
) -> Vec<Result<Report, Failure>> {
    let names: Vec<String> = jobs.iter().map(|job| job.scenario.name.clone()).collect();
    let board = Board::new(&names, output.quiet);
    let _prepared = Prepared::of(jobs, output);
    let finish = |number: usize, result: Result<Explored, SessionError>| {
        board.is_over(number);
        concluded(result)
    };
    let tell = |number: usize, progress: Progress| board.tell(number, &progress);
    let keep = |number: usize| -> Box<dyn Keep> {
        Box::new(Folder::new(output.output.clone(), names[number].clone()))
    };
    let results = explore_together(jobs, at_once as usize, stop, &keep, &tell, &finish);
    board.clear();
    results
}

/// The report of an exploration. An error that ended it after anomalies were found is said beside it. If it was interrupted before one
/// execution had ended, there is nothing to report.
fn concluded(result: Result<Explored, SessionError>) -> Result<Report, Failure> {
    let Explored { report, error, .. } = result?;
    if let Some(error) = error {
        say::a_line("", &format!("cooks: {error}"));
    }
    if report.end == End::Interrupted && report.executions == 0 && report.anomalies.is_empty() {
        return Err(Failure::interrupted());
    }
    Ok(report)
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
    printed(&[Ok(report)], || {
        let mut out = io::stdout().lock();
        match output.format {
            Format::Json => report::json(report, &mut out)?,
            Format::Junit => report::junit(&[Ok(report)], &mut out)?,
            Format::Github => report::github(&[Ok(report)], &mut out)?,
            Format::Human if output.quiet => report::verdict(report, &style(), &mut out)?,
            Format::Human => report::human(report, &style(), &mut out)?,
        }
        out.flush()
    })
}

/// Prints what several scenarios came to: those in full that were asked for by name (`in_full`) or are not as expected, then a line
/// for each.
pub fn print_suite(suite: &Suite, in_full: bool, output: &Output) -> Result<(), Failure> {
    printed(&suite.ran(), || {
        let mut out = io::stdout().lock();
        match output.format {
            Format::Json => report::json_of_suite(suite, &mut out)?,
            Format::Junit => report::junit(&suite.ran(), &mut out)?,
            Format::Github => report::github(&suite.ran(), &mut out)?,
            Format::Human => {
                let shown = if in_full { suite.ran() } else { suite.failed().collect() };
                for report in shown.into_iter().flatten().filter(|_| !output.quiet) {
                    writeln!(out, "== {} ==", visible::line(&report.scenario))?;
                    report::human(report, &style(), &mut out)?;
                    writeln!(out)?;
                }
                report::table(suite, &style(), &mut out)?;
            }
        }
        out.flush()
    })
}

/// Prints. A reader that has seen enough and closed the pipe changes nothing, the exit code included. If printing fails, standard error names
/// the witnesses: what was found is not lost.
fn printed(reports: &[Ran<'_>], print: impl FnOnce() -> io::Result<()>) -> Result<(), Failure> {
    match print() {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(error) => {
            let findings = reports.iter().flatten().flat_map(|report| &report.anomalies);
            for witness in findings.filter_map(|finding| finding.witness.as_ref()) {
                say::a_line("", &format!("cooks: an anomaly was found: cooks replay {witness}"));
            }
            Err(error.into())
        }
        Ok(()) => Ok(()),
    }
}

/// The name that witnesses of a folder are called by.
pub fn name_of(folder: &Path) -> String {
    let name = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    name.file_name().map_or_else(|| "explore".into(), |name| name.to_string_lossy().into_owned())
}
