//! A witness for a reader: what it holds, in words. Nothing is run.

use std::io;

use serde_json::{Value, json};

use super::compare::{chosen, end, quoted};
use super::{Recorded, Witness};
use crate::model::{Choice, Entry, ProcessId, Tree};
use crate::report::layout::{Ink, Style, clip, through_the_door, wrap};
use crate::report::{argument, visible, words};

/// Steps that are listed in a report for people: the first half and the last half of them.
const STEPS: usize = 200;
/// Entries of a tree that are listed.
const ENTRIES: usize = 100;
/// Lines of standard error that are shown of each process.
const LINES: usize = 10;

/// Writes what a witness holds for people; `file` is what it was read from.
///
/// # Errors
/// Those of the writer.
pub fn show(witness: &Witness, file: &str, style: &Style, out: &mut dyn io::Write) -> io::Result<()> {
    through_the_door(style, out, |out| {
        let mut page = Page { witness, style, out };
        page.head(file)?;
        page.scenario()?;
        page.anomaly()?;
        page.schedule()?;
        page.outcome()?;
        page.stderr()?;
        page.blank()?;
        let replay = format!("replay: cooks replay {}", visible::line(&argument(file)));
        writeln!(page.out, "{replay}")
    })
}

/// Writes what a witness holds for programs: its content, with steps from 1, and the calls in words beside it.
///
/// # Errors
/// Those of the writer; and if it cannot be put into JSON.
pub fn show_json(witness: &Witness, file: &str, out: &mut dyn io::Write) -> io::Result<()> {
    let mut value: Value = serde_json::from_str(&super::to_text(witness)?)?;
    let strands = witness.scenario.strands();
    let steps = witness.recording.schedule.iter().enumerate().map(|(step, recorded)| {
        let Choice::Process(strand) = recorded.choice;
        json!({ "step": step + 1, "process": strands.name(strand), "text": words::pending(&recorded.call) })
    });
    value["steps"] = steps.collect();
    value["file"] = file.into();
    // What was read, not what it would be written as.
    value["format"] = witness.format.into();
    if let Some(object) = value.as_object_mut() {
        object.remove("checksum");
    }
    writeln!(out, "{}", visible::json(&serde_json::to_string_pretty(&value)?))
}

struct Page<'a> {
    witness: &'a Witness,
    style: &'a Style,
    out: &'a mut dyn io::Write,
}

impl Page<'_> {
    fn blank(&mut self) -> io::Result<()> {
        writeln!(self.out)
    }

    fn text(&mut self, text: &str, indent: usize) -> io::Result<()> {
        wrap(text, self.style.columns(), indent).iter().try_for_each(|line| writeln!(self.out, "{line}"))
    }

    /// A line for one thing; what does not fit is cut.
    fn item(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.out, "{}", clip(text, self.style.columns()))
    }

    fn heading(&mut self, text: &str) -> io::Result<()> {
        self.blank()?;
        writeln!(self.out, "{}", self.style.ink(Ink::Look, text))
    }

    fn head(&mut self, file: &str) -> io::Result<()> {
        let Witness { format, cooks, environment, .. } = self.witness;
        self.text(&format!("{file}: a witness of format {format}, recorded by cooks {cooks}"), 2)?;
        match environment.get("kernel") {
            Some(kernel) => self.text(&format!("recorded on {kernel}"), 2),
            None => Ok(()),
        }
    }

    fn scenario(&mut self) -> io::Result<()> {
        let scenario = &self.witness.scenario;
        let name = if scenario.name.is_empty() { "(no name)" } else { &scenario.name };
        self.heading(&format!("scenario {name}"))?;
        for (number, process) in scenario.processes.iter().enumerate() {
            let id = ProcessId(number);
            self.text(&format!("  {id}: {}", process.program.text()), 5)?;
            for text in &process.then {
                self.text(&format!("     then {text}"), 10)?;
            }
            if !process.requests.is_empty() {
                let requests = process.requests.len();
                self.text(
                    &format!("     is given {}", count(requests, "line of input", "lines of input")),
                    5,
                )?;
            }
        }
        let commands = [
            ("setup (not run by a replay)", &scenario.setup),
            ("final", &scenario.last),
            ("canon", &scenario.canon),
            ("check", &scenario.check),
        ];
        for (what, command) in commands {
            if let Some(command) = command {
                self.text(&format!("  {what}: {command}"), 4)?;
            }
        }
        // The options as they are called, less what was listed above.
        let mut options = serde_json::to_value(scenario).unwrap_or_default();
        for listed in ["name", "summary", "dir", "process", "setup", "final", "canon", "check", "expect"] {
            options.as_object_mut().map(|options| options.remove(listed));
        }
        for (option, value) in options.as_object().into_iter().flatten() {
            self.text(&format!("  {option}: {value}"), 4)?;
        }
        self.tree("starts from", &self.witness.initial)
    }

    fn anomaly(&mut self) -> io::Result<()> {
        let Some(anomaly) = &self.witness.anomaly else {
            return self.heading("no anomaly: recorded for another reason");
        };
        self.heading(&format!("anomaly: {}", anomaly.kind))?;
        self.text(&format!("  {}", anomaly.summary), 4)?;
        if let [first, second] = self.witness.critical.as_slice() {
            let step =
                |step: Option<usize>| step.map_or_else(String::new, |step| format!("step {}, ", step + 1));
            let told = [first, second].map(|it| format!("{}{}: {}", step(it.step), it.process, it.operation));
            self.text(&format!("  it happens only if ({}) comes before ({})", told[0], told[1]), 4)?;
        }
        Ok(())
    }

    fn schedule(&mut self) -> io::Result<()> {
        let (schedule, strands) = (&self.witness.recording.schedule, self.witness.scenario.strands());
        self.heading(&format!("schedule: {}", count(schedule.len(), "step", "steps")))?;
        let marked = |step: usize| {
            let steps = self.witness.anomaly.iter().flat_map(|anomaly| &anomaly.steps);
            steps.into_iter().find(|marked| marked.step == step)
        };
        let hidden = if schedule.len() > STEPS { STEPS / 2..schedule.len() - STEPS / 2 } else { 0..0 };
        let mut lines = Vec::new();
        let of = |(step, recorded): (usize, &Recorded)| {
            let mark = if marked(step).is_some() { '►' } else { ' ' };
            format!("  {:>5} {mark} {}", step + 1, chosen(recorded, strands))
        };
        for (step, recorded) in schedule.iter().enumerate().filter(|(step, _)| !hidden.contains(step)) {
            if step == hidden.end && !hidden.is_empty() {
                lines.push(format!("        ⋮ {} more (--format json has them all)", hidden.len()));
            }
            lines.push(of((step, recorded)));
        }
        lines.iter().try_for_each(|line| self.item(line))?;
        self.text(&format!("  ends: {}", end(&self.witness.recording.ending, strands)), 4)
    }

    fn outcome(&mut self) -> io::Result<()> {
        let outcome = &self.witness.recording.outcome;
        self.heading("outcome")?;
        for number in 0..outcome.exits.len() {
            let id = ProcessId(number);
            let exits: Vec<String> = outcome.exits_of(id).map(words::ended).collect();
            let exits = if exits.is_empty() { "does not end".to_owned() } else { exits.join(", then ") };
            let printed = outcome.stdout.get(number).map_or(&[][..], Vec::as_slice);
            let printed =
                if printed.is_empty() { String::new() } else { format!("; prints {}", quoted(printed)) };
            self.text(&format!("  {id}: {exits}{printed}"), 5)?;
        }
        if let Some((exit, printed)) = &outcome.last {
            self.text(
                &format!("  final: {}; prints {}", words::ended(*exit), quoted(printed.as_bytes())),
                4,
            )?;
        }
        if let Some(canon) = &outcome.canon {
            self.text(&format!("  canonical form: {}", quoted(canon.as_bytes())), 4)?;
        }
        self.tree("leaves", &outcome.tree)
    }

    fn tree(&mut self, what: &str, tree: &Tree) -> io::Result<()> {
        if tree.is_empty() {
            return self.text(&format!("  {what} no files"), 4);
        }
        self.text(&format!("  {what}:"), 4)?;
        for (path, entry) in tree.iter().take(ENTRIES) {
            let line = match entry {
                Entry::File { mode, content } => format!("{mode:04o} {:>9}  {path}", content.len()),
                Entry::Dir { mode } => format!("{mode:04o} {:>9}  {path}/", ""),
                Entry::Link { target } => format!("link {:>9}  {path} → {target}", ""),
                Entry::Other { kind, mode } => format!("{mode:04o} {kind:>9}  {path}"),
                Entry::HardLink { to } => format!("link {:>9}  {path} = {to}", ""),
            };
            self.item(&format!("    {line}{}", tree.details(path).in_words()))?;
        }
        match tree.len().saturating_sub(ENTRIES) {
            0 => Ok(()),
            more => self.text(&format!("    and {more} more"), 4),
        }
    }

    fn stderr(&mut self) -> io::Result<()> {
        for (process, text) in self.witness.stderr.iter() {
            let lines = text.lines().count();
            let part =
                if lines > LINES { format!(" (the last {LINES} of {lines} lines)") } else { String::new() };
            self.heading(&format!("standard error of {process}{part}"))?;
            for line in text.lines().skip(lines.saturating_sub(LINES)) {
                self.item(&format!("  {}", line.trim_end()))?;
            }
        }
        Ok(())
    }
}

fn count(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}
