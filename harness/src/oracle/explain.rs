//! What every serial order gives against what came out, in lines for people.

use serde_json::Value;

use super::SerialOutcomes;
use super::difference::{Compared, KeyDifference, content};
use super::evidence::clip;
use super::serial::SerialRun;
use crate::model::{Entry, Exit, Outcome, ProcessId};

/// Longest value shown, in characters.
const VALUE: usize = 60;
/// Most lines of a difference of texts, and most values or serial orders, that are shown.
const LINES: usize = 8;
const ORDERS: usize = 3;

/// The lines. Where parts of the outcome are ones that no serial order gives, those; else each serial outcome's difference.
pub(super) fn explain(serial: &SerialOutcomes, compared: &Compared<'_>) -> Vec<String> {
    let who = if serial.complete {
        "every serial order".to_owned()
    } else {
        format!("each of the {} serial orders that were run", serial.runs().len())
    };
    let mut lines = Vec::new();
    for path in compared.paths() {
        let keys = compared.keys(&path);
        if keys.is_empty() {
            lines.extend(file(&who, compared, &path));
        } else {
            lines.extend(keys.iter().flat_map(|difference| key(&who, compared, &path, difference)));
        }
    }
    for part in parts(&compared.here) {
        let values: Vec<String> =
            compared.serial.iter().map(|(_, outcome)| value_of(&part, outcome)).collect();
        let here = value_of(&part, &compared.here);
        if !values.contains(&here) {
            lines.push(format!("{who} gives: {}", alternatives(&part.name(), &values, &compared.serial)));
            lines.push(format!("this one gives: {} {here}", part.name()));
        }
    }
    if lines.is_empty() { by_order(compared) } else { lines }
}

/// A part of an outcome other than its files.
enum Part {
    Exit(usize),
    Stdout(usize),
    Canon,
    Last,
}

impl Part {
    fn name(&self) -> String {
        match self {
            Self::Exit(process) => ProcessId(*process).to_string(),
            Self::Stdout(process) => format!("{} prints", ProcessId(*process)),
            Self::Canon => "the canonical form".into(),
            Self::Last => "the final command:".into(),
        }
    }
}

fn parts(outcome: &Outcome) -> Vec<Part> {
    let processes = 0..outcome.exits.len();
    let own = processes.flat_map(|process| [Part::Exit(process), Part::Stdout(process)]);
    own.chain([Part::Canon, Part::Last]).collect()
}

fn value_of(part: &Part, outcome: &Outcome) -> String {
    let exit = |exit: Option<&Exit>| exit.map_or_else(|| "no exit".into(), Exit::to_string);
    match part {
        Part::Exit(process) => exit(outcome.exits.get(*process).and_then(Option::as_ref)),
        Part::Stdout(process) => quoted(outcome.stdout.get(*process).map_or(&[], Vec::as_slice)),
        Part::Canon => quoted(outcome.canon.as_deref().unwrap_or_default().as_bytes()),
        Part::Last => outcome
            .last
            .as_ref()
            .map_or_else(String::new, |(exit, output)| format!("{exit}, {}", quoted(output.as_bytes()))),
    }
}

/// The values of the serial orders: one where all agree, else each with an order that gives it.
fn alternatives(name: &str, values: &[String], serial: &[(&SerialRun, Outcome)]) -> String {
    let mut distinct: Vec<(&String, String)> = Vec::new();
    for (value, (run, _)) in values.iter().zip(serial) {
        if !distinct.iter().any(|(known, _)| *known == value) {
            distinct.push((value, order(run)));
        }
    }
    match distinct.as_slice() {
        [(value, _)] => format!("{name} {value}"),
        _ => {
            let shown =
                distinct.iter().take(ORDERS).map(|(value, order)| format!("{value} (in the order {order})"));
            let more = (distinct.len() > ORDERS).then(|| format!("{} others", distinct.len() - ORDERS));
            format!("{name} {}", shown.chain(more).collect::<Vec<_>>().join(" or "))
        }
    }
}

/// `A B`, or `A B without C`.
fn order(run: &SerialRun) -> String {
    let names =
        |processes: &[ProcessId]| processes.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    let without =
        Some(&run.order.left_out).filter(|out| !out.is_empty()).map(|out| format!(" without {}", names(out)));
    names(&run.order.processes) + &without.unwrap_or_default()
}

fn key(who: &str, compared: &Compared<'_>, path: &str, difference: &KeyDifference) -> [String; 2] {
    let show = |value: Option<&Value>| {
        value.map_or_else(|| "nothing".into(), |value| clip(&value.to_string(), VALUE))
    };
    let value_in = |outcome: &Outcome| {
        let bytes = content(&outcome.tree, path)?;
        difference.find(&serde_json::from_slice(bytes).ok()?).cloned()
    };
    let values: Vec<String> =
        compared.serial.iter().map(|(_, outcome)| show(value_in(outcome).as_ref())).collect();
    let name = if difference.key.is_empty() {
        path.to_owned()
    } else {
        format!("{path} \"{}\":", difference.name())
    };
    [
        format!("{who} gives: {}", alternatives(&name, &values, &compared.serial)),
        format!("this one gives: {name} {}", show(difference.here.as_ref())),
    ]
}

fn file(who: &str, compared: &Compared<'_>, path: &str) -> Vec<String> {
    let here = compared.here.tree.get(path);
    let mut distinct: Vec<Option<&Entry>> =
        compared.serial.iter().map(|(_, serial)| serial.tree.get(path)).collect();
    distinct.dedup();
    if let ([Some(Entry::File { content: serial, mode: a })], Some(Entry::File { content, mode: b })) =
        (distinct.as_slice(), here)
        && a == b
        && [serial, content].iter().any(|bytes| lines(bytes).len() > 1)
    {
        let mut found = vec![format!("{path}, as {who} gives it (-) and as this one does (+):")];
        found.extend(changed_lines(&lines(serial), &lines(content)));
        return found;
    }
    let values: Vec<String> =
        compared.serial.iter().map(|(_, serial)| entry(serial.tree.get(path))).collect();
    vec![
        format!("{who} gives: {}", alternatives(path, &values, &compared.serial)),
        format!("this one gives: {path} {}", entry(here)),
    ]
}

fn entry(entry: Option<&Entry>) -> String {
    match entry {
        None => "not there".into(),
        Some(Entry::File { mode, content }) if *mode == 0o644 || *mode == 0o664 => quoted(content),
        Some(Entry::File { mode, content }) => format!("{} with mode {mode:o}", quoted(content)),
        Some(Entry::Dir { mode }) => format!("a directory with mode {mode:o}"),
        Some(Entry::Link { target }) => format!("a link to {target}"),
        Some(Entry::Other { kind, mode }) => format!("a {kind} with mode {mode:o}"),
    }
}

fn quoted(bytes: &[u8]) -> String {
    format!("{:?}", clip(&String::from_utf8_lossy(bytes), VALUE))
}

fn lines(bytes: &[u8]) -> Vec<String> {
    String::from_utf8_lossy(bytes).lines().map(|line| clip(line, VALUE)).collect()
}

/// What is between the lines that two texts begin and end with alike.
fn changed_lines(old: &[String], new: &[String]) -> Vec<String> {
    let head = old.iter().zip(new).take_while(|(a, b)| a == b).count();
    let (old, new) = (&old[head..], &new[head..]);
    let tail = old.iter().rev().zip(new.iter().rev()).take_while(|(a, b)| a == b).count();
    let part = |sign: char, lines: &[String]| {
        let mut shown: Vec<String> =
            lines.iter().take(LINES).map(|line| format!("  {sign} {line}")).collect();
        if lines.len() > LINES {
            shown.push(format!("  {sign} … {} more lines", lines.len() - LINES));
        }
        shown
    };
    [part('-', &old[..old.len() - tail]), part('+', &new[..new.len() - tail])].concat()
}

/// Of some serial orders, what they give that differs from this outcome: where each part by itself is one that some order gives.
fn by_order(compared: &Compared<'_>) -> Vec<String> {
    let mut found = Vec::new();
    let mut seen: Vec<&Outcome> = Vec::new();
    for (run, serial) in &compared.serial {
        if seen.contains(&serial) || seen.len() == ORDERS {
            continue;
        }
        seen.push(serial);
        let paths = super::normalize::paths([&serial.tree, &compared.here.tree]);
        let files = paths
            .into_iter()
            .filter(|path| serial.tree.get(*path) != compared.here.tree.get(*path))
            .map(|path| (path.clone(), entry(serial.tree.get(path)), entry(compared.here.tree.get(path))));
        let parts = parts(&compared.here);
        let parts =
            parts.iter().map(|part| (part.name(), value_of(part, serial), value_of(part, &compared.here)));
        let parts = parts.filter(|(_, serial, here)| serial != here);
        let both = files
            .chain(parts)
            .map(|(name, serial, here)| format!("{name} {serial} where this one gives {here}"));
        found.push(format!(
            "the order {} gives: {}",
            order(run),
            both.take(LINES).collect::<Vec<_>>().join("; ")
        ));
    }
    found
}
