use super::conflict::{Conflict, cycle};
use super::difference::{Compared, why_not_json};
use super::evidence::{Marks, clip, list, shown, sorted};
use super::explain::explain;
use super::history::{Deed, History, Touch};
use super::normalize::json_of;
use super::{Aborts, Case, Oracle, lost_update, taken, torn};
use crate::model::{AccessKind, Anomaly, Ending, Event, Exit, Kind, ProcessId, Units};

/// Finds complete executions whose outcome no serial order gives, and says in which way it is wrong.
#[derive(Clone, Copy, Debug)]
pub struct Serializability;

impl Oracle for Serializability {
    fn judge(&self, case: &Case<'_>) -> Option<Anomaly> {
        if case.execution.ending != Ending::Complete || case.serial.contains(&case.execution.outcome) {
            return None;
        }
        let compared = Compared::of(case);
        let history = History::of(case.initial, &case.execution.trace);
        let trace = &case.execution.trace;
        let allowed = case.serial.aborts() == Aborts::Allow;
        let mut anomaly = failure(&compared, &history, trace, allowed, MAY_GIVE_UP)
            .or_else(|| torn::find(&compared, &history))
            .or_else(|| lost_update::find(&compared, &history))
            .or_else(|| left_behind(&compared, &history))
            .or_else(|| dirty_read(&compared, &history, trace))
            .or_else(|| failure(&compared, &history, trace, false, HAD_AN_EFFECT))
            .unwrap_or_else(|| non_serializable(&compared, trace));
        anomaly.explanation.extend(canon_failure(&compared));
        anomaly.explanation.extend(explain(&who(case), &compared));
        Some(anomaly)
    }
}

/// What an outcome is held against, in words.
fn who(case: &Case<'_>) -> String {
    if case.serial.complete {
        "every serial order".to_owned()
    } else {
        format!("all {} serial orders run", case.serial.runs().len())
    }
}

/// What to say of a process that gave up, where that counts as a failure.
const MAY_GIVE_UP: &str = "If it may give up where a lock is taken: --aborts allow accepts that.";
/// The same where it may, unless it had an effect.
const HAD_AN_EFFECT: &str = "--aborts allow accepts what gives up without an effect; this left something. \
    --ignore and --canon leave out what does not count.";

/// The user's own check of the final workspace.
#[derive(Clone, Copy, Debug)]
pub struct Check;

impl Oracle for Check {
    fn judge(&self, case: &Case<'_>) -> Option<Anomaly> {
        let check = case.check.filter(|check| !check.exit.is_success())?;
        let output = check.output.lines().take(20).map(|line| format!("  {}", clip(line, 200)));
        let mut explanation = vec![format!("the check `{}` ends with {}", check.command, check.exit)];
        explanation.extend(output);
        let first =
            check.output.lines().find(|line| !line.trim().is_empty()).map(|line| clip(line.trim(), 100));
        Some(Anomaly {
            kind: Kind::CheckFailed,
            summary: first.map_or_else(
                || format!("the check fails ({})", check.exit),
                |line| format!("the check fails ({}): {line}", check.exit),
            ),
            files: Vec::new(),
            keys: Vec::new(),
            processes: Vec::new(),
            steps: Vec::new(),
            explanation,
        })
    }
}

/// The first process that ended as it does in no serial order: by a signal, or, unless giving up is allowed, with a status
/// other than 0. `advice` is for one that gave up because it found a lock taken.
fn failure(
    compared: &Compared<'_>,
    history: &History,
    trace: &[Event],
    signals_only: bool,
    advice: &str,
) -> Option<Anomaly> {
    let fails = |process: ProcessId, command: usize, exit: Exit| match exit {
        Exit::Status(0) => false,
        Exit::Status(_) if signals_only => false,
        exit => !compared.serial.iter().any(|(run, serial)| {
            !run.order.left_out.contains(&process) && serial.exits_of(process).nth(command) == Some(exit)
        }),
    };
    let of = |process| compared.here.exits_of(process).enumerate().map(move |(at, exit)| (process, at, exit));
    let mut exits = (0..compared.here.exits.len()).map(ProcessId).flat_map(of);
    let (process, command, exit) = exits.find(|(process, command, exit)| fails(*process, *command, *exit))?;
    let one_of_several = compared.here.exits_of(process).count() > 1;
    let whose =
        if one_of_several { format!("{process}'s command {}", command + 1) } else { process.to_string() };
    let what = match exit {
        Exit::Signal(signal) => format!("{whose} is killed by signal {signal}"),
        Exit::Status(_) => format!("{whose} fails ({exit}), which no serial order lets it"),
    };
    let of_taken = taken::find(&what, advice, process, trace);
    let mut anomaly =
        of_taken.unwrap_or_else(|| of_reader(Kind::ProcessFailure, what, &[process], history, trace));
    let units = Units::of(trace);
    let of_command = |step: &usize| {
        let unit = units.at(*step);
        (unit.process, unit.command) == (process, command)
    };
    if let Some(last) = (0..trace.len()).rev().find(of_command) {
        anomaly.steps.retain(|marked| marked.step != last);
        anomaly
            .steps
            .push(crate::model::MarkedStep { step: last, note: "ends so in no serial order".into() });
        anomaly.steps.sort_by_key(|marked| marked.step);
    }
    Some(anomaly)
}

/// Standard output alone differs.
fn dirty_read(compared: &Compared<'_>, history: &History, trace: &[Event]) -> Option<Anomaly> {
    if !compared.only_output() {
        return None;
    }
    let output = |serial: &crate::model::Outcome, process: usize| serial.stdout.get(process).cloned();
    let odd = |process: &usize| {
        compared.serial.iter().all(|(_, serial)| output(serial, *process) != output(&compared.here, *process))
    };
    let processes: Vec<ProcessId> = (0..compared.here.stdout.len()).filter(odd).map(ProcessId).collect();
    let what = match processes.as_slice() {
        [] => "the processes print what no serial order prints together".to_owned(),
        [one] => format!("{one} prints what no serial order prints"),
        many => format!("{} print what no serial order prints", list(many, 4)),
    };
    Some(of_reader(Kind::DirtyRead, what, &processes, history, trace))
}

/// An anomaly of processes that may have read what another was writing; where they have not, the cycle of conflicts tells.
fn of_reader(kind: Kind, what: String, readers: &[ProcessId], history: &History, trace: &[Event]) -> Anomaly {
    let looks = history.paths().flat_map(|path| history.touches(path).iter().map(move |touch| (path, touch)));
    let mut dirty: Vec<(&String, &Touch, ProcessId)> = looks
        .filter(|(_, touch)| readers.contains(&touch.process) && matches!(touch.deed, Deed::Read { .. }))
        .filter_map(|(path, touch)| history.writer_during(touch).map(|writer| (path, touch, writer)))
        .collect();
    dirty.sort_by_key(|(_, touch, _)| touch.step);
    let Some((path, look, writer)) = dirty.last().copied() else {
        if let Some(anomaly) = of_broken_file(kind, &what, readers, history) {
            return anomaly;
        }
        let mut anomaly = of_cycle(kind, &what, trace);
        anomaly.processes = sorted(anomaly.processes.into_iter().chain(readers.iter().copied()));
        return anomaly;
    };
    let mut marks = Marks::default();
    marks.add(look.step, format!("reads it while {writer} is writing it"));
    let got = match look.deed {
        Deed::Read { bytes: Some(bytes) } => format!(" and got {bytes} bytes"),
        _ => String::new(),
    };
    let read = format!("it read {path} at step {} while {writer} was writing it{got}", shown(look.step));
    Anomaly {
        kind,
        summary: format!("{what}: {read}"),
        files: vec![path.clone()],
        keys: Vec::new(),
        processes: sorted([look.process, writer]),
        steps: marks.finish(),
        explanation: Vec::new(),
    }
}

/// An anomaly of processes that read a JSON file that others had left broken.
fn of_broken_file(kind: Kind, what: &str, readers: &[ProcessId], history: &History) -> Option<Anomaly> {
    let looks = history.paths().flat_map(|path| history.touches(path).iter().map(move |touch| (path, touch)));
    let reads = looks.filter(|(_, touch)| {
        readers.contains(&touch.process)
            && touch.as_of == touch.step
            && matches!(touch.deed, Deed::Read { .. })
    });
    let broken = reads.filter_map(|(path, look)| {
        let bytes = history.after(path, Some(look.step)).bytes()?;
        let by =
            history.touches(path).iter().rfind(|touch| touch.step < look.step && touch.deed.is_change())?;
        let names_json = std::path::Path::new(path).extension().is_some_and(|ending| ending == "json");
        (names_json && by.process != look.process && json_of(path, bytes).is_none())
            .then(|| (path, look, by, why_not_json(path, bytes)))
    });
    let (path, look, by, why) = broken.max_by_key(|(_, look, ..)| look.step)?;
    let mut marks = Marks::default();
    marks.add(by.step, "leaves it broken");
    marks.add(look.step, format!("reads what is not JSON ({why})"));
    Some(Anomaly {
        kind,
        summary: format!(
            "{what}: what it read of {path} at step {} was not JSON ({why}), as {} had left it at step {}",
            shown(look.step),
            by.process,
            shown(by.step)
        ),
        files: vec![path.clone()],
        keys: Vec::new(),
        processes: sorted([look.process, by.process]),
        steps: marks.finish(),
        explanation: Vec::new(),
    })
}

/// Nothing but additional paths.
fn left_behind(compared: &Compared<'_>, history: &History) -> Option<Anomaly> {
    let files = compared.only_added()?;
    let mut marks = Marks::default();
    let mut makers = Vec::new();
    for path in &files {
        if let Some(made) = history.touches(path).iter().rev().find(|touch| touch.deed.is_change()) {
            marks.add(made.step, format!("leaves {path}"));
            makers.push(made.process);
        }
    }
    Some(Anomaly {
        kind: Kind::LeftBehind,
        summary: format!("{} left behind, which no serial order leaves", list(&files, 3)),
        files,
        keys: Vec::new(),
        processes: sorted(makers),
        steps: marks.finish(),
        explanation: Vec::new(),
    })
}

fn non_serializable(compared: &Compared<'_>, trace: &[Event]) -> Anomaly {
    let what = match &compared.here.canon_failed {
        Some((exit, _)) if canon_failure(compared).is_some() => {
            format!("--canon fails ({exit}), as it does in no serial order")
        }
        _ => "no serial order gives this outcome".to_owned(),
    };
    of_cycle(Kind::NonSerializable, &what, trace)
}

/// How `--canon` fails here, if it fails so in no serial order.
fn canon_failure(compared: &Compared<'_>) -> Option<String> {
    let failed @ (exit, said) = compared.here.canon_failed.as_ref()?;
    let is_known = compared.serial.iter().any(|(_, serial)| serial.canon_failed.as_ref() == Some(failed));
    let last = said.lines().rev().take(3).map(|line| clip(line.trim(), 200)).collect::<Vec<_>>();
    let last: String = last.into_iter().rev().collect::<Vec<_>>().join("; ");
    (!is_known).then(|| format!("--canon fails ({exit}): {last}"))
}

/// An anomaly that is explained by the conflicts that put the processes in no order.
fn of_cycle(kind: Kind, what: &str, trace: &[Event]) -> Anomaly {
    let mut marks = Marks::default();
    let (mut files, mut processes, mut reasons) = (Vec::new(), Vec::new(), Vec::new());
    for Conflict { first, second } in cycle(trace).unwrap_or_default() {
        let (a, b) = (&trace[first], &trace[second]);
        let path = common_path(a, b);
        let name = path.map_or("what they share", String::as_str);
        let (does, then) = (verb(a, b), verb(b, a));
        marks.add(first, format!("before {} {then} it", b.process));
        marks.add(second, format!("after {} {does} it", a.process));
        let steps = (shown(first), shown(second));
        reasons.push(format!(
            "{} {does} {name} (step {}) before {} {then} it (step {})",
            a.process, steps.0, b.process, steps.1
        ));
        processes.push(a.process);
        files.extend(path.cloned());
    }
    files.sort();
    files.dedup();
    let reasons = if reasons.is_empty() { String::new() } else { format!(": {}", reasons.join(", ")) };
    Anomaly {
        kind,
        summary: format!("{what}{reasons}"),
        files,
        keys: Vec::new(),
        processes: sorted(processes),
        steps: marks.finish(),
        explanation: Vec::new(),
    }
}

/// The file that two events are about: one that both name, else the one that the later names.
fn common_path<'e>(a: &'e Event, b: &'e Event) -> Option<&'e String> {
    let paths =
        |event: &'e Event| [&event.operation.call.target, &event.operation.call.path].into_iter().flatten();
    let common = paths(b).find(|path| paths(a).any(|other| other == *path));
    common.or_else(|| paths(b).next()).or_else(|| paths(a).next())
}

/// What an event does to that which another does not commute with.
fn verb(event: &Event, other: &Event) -> &'static str {
    let conflicting = event
        .operation
        .accesses
        .iter()
        .filter(|access| other.operation.accesses.iter().any(|against| access.conflicts(against)));
    if conflicting.map(|access| access.kind).max() == Some(AccessKind::Read) { "reads" } else { "changes" }
}
