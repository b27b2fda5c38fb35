//! What every serial order gives against what came out, in lines for people.

use std::collections::BTreeMap;

use super::difference::{Compared, KeyDifference, content, why_not_json};
use super::evidence::{clip, list};
use super::json::Json;
use super::serial::{Order, SerialRun};
use crate::model::{Entry, Outcome, ProcessId, Tree};

/// Longest value shown, in characters.
const VALUE: usize = 56;
/// Most lines of a text, and most serial orders, that are shown.
const LINES: usize = 8;
const ORDERS: usize = 3;
/// Most keys and processes that are named together.
const NAMES: usize = 6;

/// What a part of the outcome is in the serial orders and here: a label and a value for each.
type Rows = Vec<(String, String)>;

/// The lines: a heading for each part that no serial order gives, and below it, indented, what the serial orders give and what
/// came out. Where each part by itself is one that some order gives, each serial outcome's difference.
pub(super) fn explain(who: &str, compared: &Compared<'_>) -> Vec<String> {
    let mut lines = Vec::new();
    for path in compared.paths() {
        let keys = compared.keys(&path);
        if keys.is_empty() {
            lines.extend(file(who, compared, &path));
        } else {
            let rows = keys.iter().map(|key| (key.name(), rows_of_key(who, compared, &path, key)));
            lines.extend(tables(rows.collect(), |names| key_title(&path, names)));
        }
    }
    lines.extend(tables(parts_of(who, compared, Part::Exit), |names| {
        format!("how {} {}", list(names, NAMES), if names.len() == 1 { "ends" } else { "end" })
    }));
    lines.extend(tables(parts_of(who, compared, Part::Stdout), |names| {
        format!("what {} {}", list(names, NAMES), if names.len() == 1 { "prints" } else { "print" })
    }));
    for (part, title) in [(Part::Canon, "the canonical form"), (Part::Last, "the final command")] {
        let found = part_of(who, compared, &part).into_iter().map(|rows| (String::new(), rows));
        lines.extend(tables(found.collect(), |_| title.to_owned()));
    }
    if lines.is_empty() { by_order(compared) } else { lines }
}

/// Tables of rows, one for all names that have the same.
fn tables(named: Vec<(String, Rows)>, title: impl Fn(&[String]) -> String) -> Vec<String> {
    let mut groups: Vec<(Vec<String>, Rows)> = Vec::new();
    for (name, rows) in named {
        match groups.iter_mut().find(|(_, known)| *known == rows) {
            Some((names, _)) => names.push(name),
            None => groups.push((vec![name], rows)),
        }
    }
    groups.iter().flat_map(|(names, rows)| table(&title(names), rows)).collect()
}

/// A heading, and rows below it in two columns.
fn table(title: &str, rows: &[(String, String)]) -> Vec<String> {
    let widest = rows.iter().map(|(label, _)| label.chars().count()).max().unwrap_or(0);
    let rows = rows.iter().map(|(label, value)| format!("  {label:widest$}  {value}"));
    [format!("{title}:")].into_iter().chain(rows).collect()
}

fn key_title(path: &str, names: &[String]) -> String {
    let quoted: Vec<String> =
        names.iter().filter(|name| !name.is_empty()).map(|name| format!("\"{name}\"")).collect();
    match quoted.len() {
        0 => path.to_owned(),
        1 => format!("{path}, key {}", list(&quoted, NAMES)),
        _ => format!("{path}, keys {}", list(&quoted, NAMES)),
    }
}

fn parts_of(who: &str, compared: &Compared<'_>, part: fn(usize) -> Part) -> Vec<(String, Rows)> {
    let processes = 0..compared.here.exits.len();
    let rows =
        processes.map(|process| (ProcessId(process).to_string(), part_of(who, compared, &part(process))));
    rows.filter_map(|(name, rows)| Some((name, rows?))).collect()
}

/// What the serial orders give for a part and what came out, where none gives that.
fn part_of(who: &str, compared: &Compared<'_>, part: &Part) -> Option<Rows> {
    let values: Vec<String> = compared.serial.iter().map(|(_, outcome)| value_of(part, outcome)).collect();
    let here = value_of(part, &compared.here);
    (!values.contains(&here)).then(|| against(who, &values, here, &compared.serial))
}

/// The values of the serial orders (one where all agree, else each with an order that gives it), and the value here.
fn against(who: &str, values: &[String], here: String, serial: &[(&SerialRun, Outcome)]) -> Rows {
    let mut distinct: Vec<(&String, String)> = Vec::new();
    for (value, (run, _)) in values.iter().zip(serial) {
        if !distinct.iter().any(|(known, _)| *known == value) {
            distinct.push((value, order(run)));
        }
    }
    let mut rows: Rows = match distinct.as_slice() {
        [(value, _)] => vec![(who.to_owned(), (*value).clone())],
        many => many.iter().take(ORDERS).map(|(value, order)| (order.clone(), (*value).clone())).collect(),
    };
    if distinct.len() > ORDERS {
        rows.push(("other orders".into(), format!("{} more values", distinct.len() - ORDERS)));
    }
    rows.push(("here".into(), here));
    rows
}

/// A part of an outcome other than its files.
enum Part {
    Exit(usize),
    Stdout(usize),
    Canon,
    Last,
}

/// What that part is.
fn value_of(part: &Part, outcome: &Outcome) -> String {
    match part {
        Part::Exit(process) => {
            let exits: Vec<String> =
                outcome.exits_of(ProcessId(*process)).map(|exit| exit.to_string()).collect();
            if exits.is_empty() { "no exit".into() } else { exits.join(", ") }
        }
        Part::Stdout(process) => quoted(outcome.stdout.get(*process).map_or(&[], Vec::as_slice)),
        Part::Canon => quoted(outcome.canon.as_deref().unwrap_or_default().as_bytes()),
        Part::Last => outcome
            .last
            .as_ref()
            .map_or_else(String::new, |(exit, output)| format!("{exit}, {}", quoted(output.as_bytes()))),
    }
}

/// `A then B`; of more than three, `ABCD`; of units, `A1 B1-3 A2`.
fn order(run: &SerialRun) -> String {
    let names = |processes: &[ProcessId], between| {
        processes.iter().map(ToString::to_string).collect::<Vec<_>>().join(between)
    };
    let left_out = &run.order.left_out;
    let stretches: Vec<&[ProcessId]> = run.order.processes.chunk_by(|a, b| a == b).collect();
    let ran: Vec<ProcessId> = stretches.iter().filter_map(|stretch| stretch.first()).copied().collect();
    let single = ran.iter().all(|process| process.0 < 26);
    let between = match ran.len() {
        0..=3 => " then ",
        _ if single => "",
        _ => " ",
    };
    let without =
        if left_out.is_empty() { String::new() } else { format!(" without {}", names(left_out, ", ")) };
    if run.order.is_whole() { names(&ran, between) + &without } else { units(&run.order) + &without }
}

/// The units of an order, numbered from 1 for each process: `A1 B1-3 A2`.
fn units(order: &Order) -> String {
    let mut done: BTreeMap<ProcessId, usize> = BTreeMap::new();
    let mut stretch = |stretch: &[ProcessId]| {
        let count = done.entry(stretch[0]).or_default();
        let first = *count + 1;
        *count += stretch.len();
        let last = if *count > first { format!("-{count}") } else { String::new() };
        format!("{}{first}{last}", stretch[0])
    };
    order.processes.chunk_by(|a, b| a == b).map(&mut stretch).collect::<Vec<_>>().join(" ")
}

fn rows_of_key(who: &str, compared: &Compared<'_>, path: &str, difference: &KeyDifference) -> Rows {
    let show = |value: Option<&Json>| {
        value.map_or_else(|| "not there".into(), |value| clip(&value.to_string(), VALUE))
    };
    let value_in = |outcome: &Outcome| {
        let bytes = content(&outcome.tree, path)?;
        difference.find(&Json::parse(bytes).ok()?).cloned()
    };
    let values: Vec<String> =
        compared.serial.iter().map(|(_, outcome)| show(value_in(outcome).as_ref())).collect();
    against(who, &values, show(difference.here.as_ref()), &compared.serial)
}

/// A file: short ones as they are, longer ones by the lines that differ from the serial outcome that is nearest.
fn file(who: &str, compared: &Compared<'_>, path: &str) -> Vec<String> {
    let here = compared.here.tree.get(path);
    if let Some(difference) = by_lines(who, compared, path) {
        return difference;
    }
    if let Some(Entry::File { content: bytes, .. }) = here.filter(|_| compared.no_longer_json(path)) {
        let raw = |(_, serial): &(&SerialRun, Outcome)| raw(content(&serial.tree, path).unwrap_or_default());
        let values: Vec<String> = compared.serial.iter().map(raw).collect();
        return [table(path, &against(who, &values, no_json(path, bytes), &compared.serial)), around(bytes)]
            .concat();
    }
    let values: Vec<String> = compared.serial.iter().map(|(_, serial)| entry(&serial.tree, path)).collect();
    table(path, &against(who, &values, entry(&compared.here.tree, path), &compared.serial))
}

/// A text of one line, as it is.
fn raw(bytes: &[u8]) -> String {
    clip(&String::from_utf8_lossy(bytes), VALUE)
}

/// What is there instead of JSON: a text of one line as it is, else what is wrong with it.
fn no_json(path: &str, bytes: &[u8]) -> String {
    if bytes.is_empty() || lines(bytes).len() > 1 {
        format!("no JSON: {}", why_not_json(path, bytes))
    } else {
        raw(bytes)
    }
}

/// The lines that differ, where all is text of more than a line. JSON that no longer parses has nothing to be compared with: the
/// canonical form of the others has other lines.
fn by_lines(who: &str, compared: &Compared<'_>, path: &str) -> Option<Vec<String>> {
    let Some(Entry::File { content: here, mode }) = compared.here.tree.get(path) else { return None };
    let text = |tree: &Tree| match tree.get(path) {
        Some(Entry::File { content, mode: other }) if other == mode => Some(lines(content)),
        _ => None,
    };
    let texts = compared.serial.iter().map(|(run, outcome)| Some((*run, text(&outcome.tree)?)));
    let texts: Vec<(&SerialRun, Vec<String>)> = texts.collect::<Option<_>>()?;
    let here = lines(here);
    let long = here.len() > 1 || texts.iter().any(|(_, text)| text.len() > 1);
    if !long || compared.no_longer_json(path) {
        return None;
    }
    let same = texts.windows(2).all(|pair| pair[0].1 == pair[1].1);
    let (run, nearest) = texts.iter().min_by_key(|(_, text)| changed_lines(text, &here, usize::MAX).len())?;
    let order = if same { who.to_owned() } else { order(run) };
    let title = format!("{path}, after {order} (-) and here (+):");
    Some([title].into_iter().chain(changed_lines(nearest, &here, LINES)).collect())
}

/// The text of a file that should be JSON, around the place where it no longer is.
fn around(content: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(content);
    if text.lines().count() < 2 {
        return Vec::new();
    }
    let at = Json::parse(content).err().map_or(0, |error| error.line());
    let first = at.saturating_sub(LINES - 2);
    let shown = text.lines().enumerate().skip(first).take(LINES);
    let shown = shown.map(|(line, text)| format!("  {:>4}  {}", format!("{}:", line + 1), clip(text, VALUE)));
    shown.collect()
}

fn entry(tree: &Tree, path: &str) -> String {
    let entry = match tree.get(path) {
        None => "not there".into(),
        Some(Entry::File { mode, content }) if *mode == 0o644 || *mode == 0o664 => quoted(content),
        Some(Entry::File { mode, content }) => format!("{} with mode {mode:o}", quoted(content)),
        Some(Entry::Dir { mode }) => format!("a directory with mode {mode:o}"),
        Some(Entry::Link { target }) => format!("a link to {target}"),
        Some(Entry::Other { kind, mode }) => format!("a {kind} with mode {mode:o}"),
        Some(Entry::HardLink { to }) => format!("the same file as {to}"),
    };
    entry + &tree.details(path).in_words()
}

fn quoted(bytes: &[u8]) -> String {
    format!("{:?}", clip(&String::from_utf8_lossy(bytes), VALUE))
}

fn lines(bytes: &[u8]) -> Vec<String> {
    String::from_utf8_lossy(bytes).lines().map(|line| clip(line, VALUE)).collect()
}

/// What is between the lines that two texts begin and end with alike.
fn changed_lines(old: &[String], new: &[String], most: usize) -> Vec<String> {
    let head = old.iter().zip(new).take_while(|(a, b)| a == b).count();
    let (old, new) = (&old[head..], &new[head..]);
    let tail = old.iter().rev().zip(new.iter().rev()).take_while(|(a, b)| a == b).count();
    let part = |sign: char, lines: &[String]| {
        let mut shown: Vec<String> = lines.iter().take(most).map(|line| format!("  {sign} {line}")).collect();
        if lines.len() > most {
            shown.push(format!("  {sign} … {} more lines", lines.len() - most));
        }
        shown
    };
    [part('-', &old[..old.len() - tail]), part('+', &new[..new.len() - tail])].concat()
}

/// Of some serial orders, what they give that differs from this outcome: where each part by itself is one that some order gives.
fn by_order(compared: &Compared<'_>) -> Vec<String> {
    let mut rows: Rows = Vec::new();
    let mut seen: Vec<&Outcome> = Vec::new();
    for (run, serial) in &compared.serial {
        if seen.contains(&serial) || seen.len() == ORDERS {
            continue;
        }
        seen.push(serial);
        let differences = differences(serial, &compared.here).into_iter().take(LINES);
        rows.extend(
            differences
                .enumerate()
                .map(|(at, text)| (if at == 0 { order(run) } else { String::new() }, text)),
        );
    }
    table("each part is one that some serial order gives, all together are not", &rows)
}

/// `count "2", here "1"`, for each part that differs.
fn differences(serial: &Outcome, here: &Outcome) -> Vec<String> {
    let paths = super::normalize::paths([&serial.tree, &here.tree]);
    let files =
        paths.into_iter().map(|path| (path.clone(), entry(&serial.tree, path), entry(&here.tree, path)));
    let own = (0..here.exits.len()).flat_map(|process| {
        let name = ProcessId(process);
        [
            (Part::Exit(process), format!("{name} ends with")),
            (Part::Stdout(process), format!("{name} prints")),
        ]
    });
    let others =
        [(Part::Canon, "the canonical form".to_owned()), (Part::Last, "the final command".to_owned())];
    let parts = own.chain(others).map(|(part, name)| (name, value_of(&part, serial), value_of(&part, here)));
    let differing = files.chain(parts).filter(|(_, serial, here)| serial != here);
    differing.map(|(name, serial, here)| format!("{name} {serial}, here {here}")).collect()
}
