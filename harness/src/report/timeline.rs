//! The timeline: what each process did, step by step, with the steps that made the anomaly marked.

use std::collections::{BTreeMap, BTreeSet};

use super::layout::{Ink, Style, clip, clip_middle, length, pad, short_path, wrap};
use super::select::{self, Line};
use super::{Finding, words};
use crate::model::{Call, CallResult, Ending, Event, ProcessId, Waiting};

/// Room for a call in the last column. Columns may be closer to each other than that: each line holds one call.
const CALL: usize = 36;
/// Columns are no further apart than this.
const FAR: usize = 60;
/// Columns that are closer than this are none: the process's letter stands before the call.
const CLOSE: usize = 4;
/// Room for the words beside a path that is shortened.
const VERB: usize = 16;
/// Most commands that are listed above a timeline.
const COMMANDS: usize = 8;
/// So many steps passed over are told where they were; fewer, in one line for all.
const GAP: usize = 5;

/// One line of the table before it is laid out: who, which step, what.
struct Row {
    step: Option<usize>,
    process: ProcessId,
    text: String,
    marked: bool,
    note: Option<String>,
}

/// Where things stand.
struct Table {
    processes: Vec<ProcessId>,
    /// Width of step number and mark.
    margin: usize,
    /// From one column to the next; nothing where there are no columns.
    spacing: Option<usize>,
    width: usize,
}

/// The lines of the timeline of an anomaly.
pub(super) fn timeline(finding: &Finding, commands: &[String], style: &Style) -> Vec<String> {
    let table = Table::of(finding, commands.len(), style);
    let trace = &finding.shown.trace;
    let shown = select::lines(finding, &table.processes);
    let mut lines = table.head(finding, commands);
    let (mut before, mut accounted) = (0, 0);
    let mut gap = |range: std::ops::Range<usize>, lines: &mut Vec<String>| {
        for Gap { process, steps, text } in table.gaps(trace.get(range).unwrap_or_default()) {
            let (start, width) =
                process.map_or((table.margin, table.width - table.margin), |p| table.cell(p));
            lines.push(style.ink(Ink::Faint, &format!("{}{}", " ".repeat(start), clip(&text, width))));
            accounted += steps;
        }
    };
    for line in &shown {
        gap(before..line.steps[0], &mut lines);
        before = line.steps.last().map_or(before, |last| last + 1);
        lines.extend(table.lay_out(&table.row(finding, line), style));
    }
    gap(before..trace.len(), &mut lines);
    lines.extend(table.waiting(finding).iter().flat_map(|row| table.lay_out(row, style)));
    if trace.is_empty() {
        lines.push(format!("{}(no steps)", " ".repeat(table.margin)));
    }
    accounted += shown.iter().map(|line| line.steps.len()).sum::<usize>();
    lines.extend(table.left_out(finding, commands.len(), accounted, style));
    lines
}

/// Steps passed over that are told where they were.
struct Gap {
    /// Whose; nothing where they are of several processes.
    process: Option<ProcessId>,
    steps: usize,
    text: String,
}

impl Table {
    fn of(finding: &Finding, processes: usize, style: &Style) -> Self {
        let processes = shown_processes(finding, processes);
        let digits = finding.shown.trace.len().to_string().len().max(3);
        let margin = digits + 3;
        let room = style.columns() - margin;
        let spacing = match processes.len() {
            0 | 1 => Some(room),
            count => Some((room / count).min(room.saturating_sub(CALL) / (count - 1)).min(FAR)),
        };
        let spacing = spacing.filter(|spacing| *spacing >= CLOSE);
        Self { processes, margin, spacing, width: style.columns() }
    }

    /// Where a process's column begins, and how wide its texts may be.
    fn cell(&self, process: ProcessId) -> (usize, usize) {
        let Some(spacing) = self.spacing else { return (self.margin, self.width - self.margin) };
        let column = self.processes.iter().position(|shown| *shown == process).unwrap_or(0);
        let start = self.margin + column * spacing;
        let own = if column + 1 == self.processes.len() { self.width - start } else { spacing - 1 };
        (start, own.max(CALL).min(self.width - start))
    }

    /// A text, with the process's letter where no column tells whose it is.
    fn say(&self, process: ProcessId, text: String) -> String {
        if self.spacing.is_some() { text } else { format!("{process}  {text}") }
    }

    /// Who is who: above the columns, or where they are too narrow for the commands, before them.
    fn head(&self, finding: &Finding, commands: &[String]) -> Vec<String> {
        let label = |process: &ProcessId| match commands.get(process.0) {
            Some(command) => format!("{process}: {}", one_line(command)),
            None => process.to_string(),
        };
        let labels: Vec<String> = self.processes.iter().map(label).collect();
        let fits = self.spacing.filter(|spacing| labels.iter().all(|label| length(label) < *spacing));
        if let Some(spacing) = fits {
            let labels: String = labels.iter().map(|label| pad(label, spacing)).collect();
            return vec![format!("{}{labels}", pad("step", self.margin)).trim_end().to_owned()];
        }
        let marked = finding.anomaly.steps.iter().filter_map(|marked| finding.shown.trace.get(marked.step));
        let marked: BTreeSet<ProcessId> = marked.map(|event| event.process).collect();
        let many = labels.len() > COMMANDS && !marked.is_empty();
        let listed =
            self.processes.iter().zip(&labels).filter(|(process, _)| !many || marked.contains(process));
        let mut lines: Vec<String> =
            listed.take(COMMANDS).map(|(_, label)| clip_middle(label, self.width)).collect();
        lines.push(String::new());
        let letters = match self.spacing {
            Some(spacing) => {
                self.processes.iter().map(|process| pad(&process.to_string(), spacing)).collect()
            }
            None => String::new(),
        };
        lines.push(format!("{}{letters}", pad("step", self.margin)).trim_end().to_owned());
        lines
    }

    /// A row as lines: the call in its column, and the note below it.
    fn lay_out(&self, row: &Row, style: &Style) -> Vec<String> {
        let (start, width) = self.cell(row.process);
        let number = row.step.map_or_else(String::new, |step| (step + 1).to_string());
        let mark = if row.marked { "►" } else { " " };
        let margin = format!("{number:>digits$} {mark} ", digits = self.margin - 3);
        let text = wrap(&self.say(row.process, row.text.clone()), width, 2);
        let indent = if self.spacing.is_some() { "" } else { "   " };
        let notes =
            row.note.iter().flat_map(|note| wrap(&format!("{indent}└ {note}"), width, indent.len() + 2));
        let body = text.into_iter().map(|line| (line, false)).chain(notes.map(|line| (line, true)));
        let lines = body.enumerate().map(|(at, (line, note))| {
            let margin = if at == 0 { margin.clone() } else { String::new() };
            let line = if note || (at == 0 && row.marked) { style.ink(Ink::Look, &line) } else { line };
            format!("{}{line}", pad(&margin, start)).trim_end().to_owned()
        });
        lines.collect()
    }

    /// The longest path that is shown to a process's steps in full.
    fn longest_path(&self, process: ProcessId) -> usize {
        self.cell(process).1.saturating_sub(VERB)
    }

    /// A line of the timeline in words.
    fn row(&self, finding: &Finding, line: &Line) -> Row {
        let trace = &finding.shown.trace;
        let (step, process) = (line.steps[0], trace[line.steps[0]].process);
        let short = |step: &usize| {
            let mut event = trace[*step].clone();
            shorten(&mut event.operation.call, self.longest_path(process));
            event
        };
        let events: Vec<Event> = line.steps.iter().map(short).collect();
        let marked = finding.anomaly.steps.iter().find(|marked| marked.step == step);
        let text = match events.as_slice() {
            [one] if only_ends(&trace[step], &finding.anomaly.files) => {
                one.exit.map_or_else(String::new, words::ended)
            }
            [one] => words::event(one),
            several => words::several(&several.iter().collect::<Vec<_>>()),
        };
        let note = marked.map(|marked| marked.note.clone()).filter(|note| !note.is_empty());
        Row { step: Some(step), process, text, marked: marked.is_some(), note }
    }

    /// Who waits for what at the end.
    fn waiting(&self, finding: &Finding) -> Vec<Row> {
        let Ending::Blocked(waiting) = &finding.shown.ending else { return Vec::new() };
        let waiting = waiting.iter().filter(|waiting| self.processes.contains(&waiting.process));
        let row = |waiting: &Waiting| {
            let mut call = waiting.operation.call.clone();
            shorten(&mut call, self.longest_path(waiting.process));
            let holders: Vec<String> = waiting.holders.iter().map(ToString::to_string).collect();
            let how = if waiting.operation.acquires.is_some() { "held by" } else { "open in" };
            let held =
                if holders.is_empty() { String::new() } else { format!(", {how} {}", holders.join(", ")) };
            let text = format!("waits to {}{held}", words::pending(&call));
            Row { step: None, process: waiting.process, text, marked: true, note: None }
        };
        waiting.map(row).collect()
    }

    /// The steps passed over in a stretch of the trace that are many: how many, and on which files; each in its process's column, or
    /// where there are no columns, together.
    fn gaps(&self, passed: &[Event]) -> Vec<Gap> {
        let of =
            |process: &ProcessId| passed.iter().filter(|event| event.process == *process).collect::<Vec<_>>();
        let told = |events: &[&Event]| format!("⋮ {}{}", count(events.len()), on(events));
        if self.spacing.is_some() {
            let own = self.processes.iter().map(|process| (*process, of(process)));
            let many = own.filter(|(_, events)| events.len() >= GAP);
            let gap = |(process, events): (ProcessId, Vec<&Event>)| Gap {
                process: Some(process),
                steps: events.len(),
                text: told(&events),
            };
            return many.map(gap).collect();
        }
        let events: Vec<&Event> =
            passed.iter().filter(|event| self.processes.contains(&event.process)).collect();
        let gap = Gap { process: None, steps: events.len(), text: told(&events) };
        [gap].into_iter().filter(|gap| gap.steps >= GAP).collect()
    }

    /// What is not in the table, in words.
    fn left_out(&self, finding: &Finding, processes: usize, accounted: usize, style: &Style) -> Vec<String> {
        let trace = &finding.shown.trace;
        let own = trace.iter().filter(|event| self.processes.contains(&event.process)).count();
        let steps = own.saturating_sub(accounted);
        let mut parts = Vec::new();
        if steps > 0 {
            parts.push(format!("{} that only open or look, or are on other files", count(steps)));
        }
        let others: Vec<String> = (0..processes)
            .map(ProcessId)
            .filter(|process| !self.processes.contains(process))
            .map(|process| process.to_string())
            .collect();
        if !others.is_empty() && trace.len() > own {
            parts.push(format!("the {} of {}", count(trace.len() - own), others.join(", ")));
        }
        if parts.is_empty() {
            return Vec::new();
        }
        let text = format!("(not shown: {})", parts.join("; "));
        let lines = wrap(&text, self.width - self.margin, 1);
        lines
            .iter()
            .map(|line| style.ink(Ink::Faint, &format!("{}{line}", " ".repeat(self.margin))))
            .collect()
    }
}

/// Those concerned; all where that is not known.
fn shown_processes(finding: &Finding, processes: usize) -> Vec<ProcessId> {
    let marked = finding.anomaly.steps.iter().filter_map(|marked| finding.shown.trace.get(marked.step));
    let mut concerned: BTreeSet<ProcessId> = marked.map(|event| event.process).collect();
    concerned.extend(&finding.anomaly.processes);
    concerned.extend(select::moved_locks(&finding.shown.trace).into_values().flatten());
    if concerned.is_empty() {
        concerned.extend((0..processes).map(ProcessId));
    }
    concerned.into_iter().collect()
}

/// Whether the only interest of a step is that its process ends in it.
fn only_ends(event: &Event, files: &[String]) -> bool {
    let call = &event.operation.call;
    let other = call.path.as_ref().is_none_or(|path| !files.contains(path)) && call.target.is_none();
    let idle = words::reads(&call.name) || call.name.contains("stat") || call.name.starts_with("open");
    event.exit.is_some() && other && idle && matches!(event.result, CallResult::Value(_))
}

/// Cuts the paths of a call to at most so many characters.
fn shorten(call: &mut Call, most: usize) {
    for path in [&mut call.path, &mut call.target].into_iter().flatten() {
        *path = short_path(path, most);
    }
}

/// The files that steps are on, those with the most steps first.
fn on(events: &[&Event]) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for path in events.iter().filter_map(|event| event.operation.call.path.as_deref()) {
        *counts.entry(path).or_default() += 1;
    }
    if counts.len() > 1 {
        // The workspace itself is looked at all the time.
        counts.remove(".");
    }
    let mut paths: Vec<(&str, usize)> = counts.into_iter().collect();
    paths.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let names: Vec<&str> = paths.iter().map(|(path, _)| *path).collect();
    match names.as_slice() {
        [] => String::new(),
        [one] => format!(" on {one}"),
        [one, two] => format!(" on {one} and {two}"),
        [one, ..] => format!(" on {one}, …"),
    }
}

/// `1 step`, `2 steps`.
fn count(steps: usize) -> String {
    if steps == 1 { "1 step".into() } else { format!("{steps} steps") }
}

/// A command without line ends.
fn one_line(command: &str) -> String {
    command.split_whitespace().collect::<Vec<_>>().join(" ")
}
