//! The timeline: what each process did, step by step, with the steps that made the anomaly marked.

use std::collections::{BTreeMap, BTreeSet};

use super::layout::{Ink, Style, pad, wrap};
use super::{Finding, words};
use crate::model::{Ending, ProcessId};

/// Narrowest column in which calls can be read.
const NARROWEST: usize = 22;
/// Traces of up to so many steps are shown whole.
const WHOLE: usize = 60;
/// Steps shown before and after a marked one, at the beginning and at the end, of longer ones.
const AROUND: usize = 3;
/// The step's number and the mark.
const MARGIN: usize = 7;

/// One line of the table before it is laid out: who, which step, what.
struct Row {
    step: Option<usize>,
    process: ProcessId,
    text: String,
    notes: Option<String>,
}

/// The lines of the timeline of an anomaly.
pub(super) fn timeline(finding: &Finding, commands: &[String], style: &Style) -> Vec<String> {
    let processes = shown_processes(finding, commands.len());
    let columns = processes.len().max(1);
    let width = (style.columns() - MARGIN) / columns;
    let mut lines = Vec::new();
    let rows = rows(finding, &processes);
    if width >= NARROWEST {
        let names = processes.iter().map(|process| pad(&head(*process, commands, width - 2), width));
        lines.push(format!("{}{}", pad("step", MARGIN), names.collect::<String>()).trim_end().to_owned());
    } else {
        lines.push("step".into());
    }
    let mut before = None;
    for row in &rows {
        lines.extend(gap(before, row, finding, &processes).map(|text| style.ink(Ink::Faint, &text)));
        before = row.step.or(before);
        if width >= NARROWEST {
            let column = processes.iter().position(|process| *process == row.process).unwrap_or(0);
            lines.extend(lay_out(row, MARGIN + column * width, width - 2, style));
        } else {
            let row =
                Row { text: format!("{}  {}", row.process, row.text), notes: row.notes.clone(), ..*row };
            lines.extend(lay_out(&row, MARGIN, style.columns() - MARGIN, style));
        }
    }
    lines.extend(left_out(&processes, commands.len()));
    lines
}

/// All processes where they fit, else those concerned.
fn shown_processes(finding: &Finding, processes: usize) -> Vec<ProcessId> {
    if processes <= 3 || finding.anomaly.processes.is_empty() {
        return (0..processes).map(ProcessId).collect();
    }
    finding.anomaly.processes.clone()
}

fn head(process: ProcessId, commands: &[String], width: usize) -> String {
    let text = commands
        .get(process.0)
        .map_or_else(|| process.to_string(), |command| format!("{process}: {command}"));
    if text.chars().count() <= width {
        return text;
    }
    text.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

/// The steps to show, and after them who waits for what.
fn rows(finding: &Finding, processes: &[ProcessId]) -> Vec<Row> {
    let notes: BTreeMap<usize, &str> =
        finding.anomaly.steps.iter().map(|marked| (marked.step, marked.note.as_str())).collect();
    let trace = &finding.shown.trace;
    let kept = kept(trace.len(), &notes.keys().copied().collect());
    let steps = kept.into_iter().map(|step| (step, &trace[step]));
    let steps = steps.filter(|(_, event)| processes.contains(&event.process)).map(|(step, event)| Row {
        step: Some(step),
        process: event.process,
        text: words::event(event),
        notes: notes.get(&step).map(|note| (*note).to_owned()),
    });
    let mut rows: Vec<Row> = steps.collect();
    if let Ending::Blocked(waiting) = &finding.shown.ending {
        let waiting = waiting.iter().filter(|waiting| processes.contains(&waiting.process));
        rows.extend(waiting.map(|waiting| Row {
            step: None,
            process: waiting.process,
            text: format!("waits: {}", words::pending(&waiting.operation.call)),
            notes: None,
        }));
    }
    rows
}

/// Which steps of a trace to show.
fn kept(length: usize, marked: &BTreeSet<usize>) -> Vec<usize> {
    let near = |step: usize| marked.iter().any(|mark| step + AROUND >= *mark && step <= mark + AROUND);
    let edge = |step: usize| step < AROUND || step + 2 * AROUND >= length;
    (0..length).filter(|step| length <= WHOLE || near(*step) || edge(*step)).collect()
}

/// A line that stands for steps that are not shown, though they are of processes that are.
fn gap(before: Option<usize>, row: &Row, finding: &Finding, processes: &[ProcessId]) -> Option<String> {
    let trace = &finding.shown.trace;
    let from = before.map_or(0, |before| before + 1);
    let to = row.step.unwrap_or(from);
    let skipped = trace.get(from..to)?.iter().filter(|event| processes.contains(&event.process)).count();
    (skipped > 0).then(|| format!("{}⋮ {skipped} more", " ".repeat(MARGIN)))
}

/// A row as lines: the call in its column, and the note below it.
fn lay_out(row: &Row, indent: usize, width: usize, style: &Style) -> Vec<String> {
    let mark = if row.notes.is_some() { "►" } else { "" };
    let number = row.step.map_or_else(String::new, |step| (step + 1).to_string());
    let margin = pad(&format!("{number:>4} {mark}"), MARGIN);
    let text = wrap(&row.text, width, 2);
    let notes = row.notes.iter().flat_map(|note| wrap(&format!("└ {note}"), width, 2));
    let body = text.into_iter().map(|line| (line, false)).chain(notes.map(|line| (line, true)));
    let lines = body.enumerate().map(|(at, (line, note))| {
        let margin = if at == 0 { margin.clone() } else { " ".repeat(MARGIN) };
        let line = if note || (at == 0 && row.notes.is_some()) { style.ink(Ink::Look, &line) } else { line };
        format!("{}{line}", pad(&margin, indent)).trim_end().to_owned()
    });
    lines.collect()
}

fn left_out(shown: &[ProcessId], processes: usize) -> Option<String> {
    let others: Vec<String> = (0..processes)
        .map(ProcessId)
        .filter(|process| !shown.contains(process))
        .map(|p| p.to_string())
        .collect();
    (!others.is_empty())
        .then(|| format!("{}(the steps of {} are left out)", " ".repeat(MARGIN), others.join(", ")))
}
