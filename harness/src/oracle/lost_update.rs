//! Lost updates: what a process wrote is gone, because another wrote on the strength of what it had read before.

use super::difference::{Compared, KeyDifference};
use super::evidence::{Marks, list, shown, sorted};
use super::history::{Content, Deed, History, How, Touch};
use super::normalize::json_of;
use crate::model::{Anomaly, Kind, Unit, Units};

/// One process's change of a path, and another's that did away with it.
struct Loss<'h> {
    path: String,
    /// The change that is lost.
    lost: &'h Touch,
    /// The change that did away with it.
    by: &'h Touch,
    /// What the latter rests on: the last look before the lost change.
    look: Option<&'h Touch>,
    keys: Vec<KeyDifference>,
}

/// The first file, by path, of which an update is lost: first those where a key tells.
pub(super) fn find(compared: &Compared<'_>, history: &History) -> Option<Anomaly> {
    Some(anomaly(history, &loss(compared, history)?))
}

/// The same, where the change that did away with the other rests on what its process had read in an earlier unit, and remembered:
/// it has not looked since, or puts back what it had seen there.
pub(super) fn find_remembered(
    compared: &Compared<'_>,
    history: &History,
    units: &Units,
) -> Option<(Anomaly, Unit)> {
    let loss = loss(compared, history)?;
    let by = units.at(loss.by.step);
    let earlier = |look: &&Touch| {
        let unit = units.at(look.step);
        look.as_of <= loss.lost.step && unit.command == by.command && unit.number < by.number
    };
    let remembered: Vec<&Touch> = looks(history, &loss.path, loss.by).filter(earlier).collect();
    let look = *remembered.last()?;
    let has_not_looked = looks(history, &loss.path, loss.by).all(|look| look.as_of <= loss.lost.step);
    let value_at = |step: usize, key: &KeyDifference| {
        let bytes = history.after(&loss.path, Some(step)).bytes()?;
        key.find(&json_of(&loss.path, bytes)?).cloned()
    };
    let puts_back = |look: &&Touch| loss.keys.iter().all(|key| value_at(look.step, key) == key.here);
    let seen = if has_not_looked { Some(look) } else { remembered.iter().copied().rfind(puts_back) };
    let seen = seen.filter(|_| has_not_looked || !loss.keys.is_empty())?;
    let loss = Loss { look: Some(seen), ..loss };
    Some((anomaly(history, &loss), units.at(seen.step).clone()))
}

fn loss<'h>(compared: &Compared<'_>, history: &'h History) -> Option<Loss<'h>> {
    let files: Vec<(String, Vec<KeyDifference>)> =
        compared.paths().into_iter().map(|path| (path.clone(), compared.keys(&path))).collect();
    let by_keys = files.iter().find_map(|(path, keys)| of_keys(history, path, keys));
    let by_steps = || files.iter().find_map(|(path, keys)| of_steps(compared, history, path, keys));
    by_keys.or_else(by_steps).or_else(|| behind_canon(compared, history))
}

/// By what the steps did, whatever the file holds. A file that nobody may leave is another matter.
fn of_steps<'h>(
    compared: &Compared<'_>,
    history: &'h History,
    path: &str,
    keys: &[KeyDifference],
) -> Option<Loss<'h>> {
    if !compared.some_serial_has(path) && *history.after(path, None) == Content::Absent {
        return None;
    }
    let loss = overwritten(history, path).or_else(|| astray(history, path))?;
    Some(Loss { keys: keys.to_vec(), ..loss })
}

/// Where a canonical form stands for the tree, the files are known from the trace alone.
fn behind_canon<'h>(compared: &Compared<'_>, history: &'h History) -> Option<Loss<'h>> {
    compared.here.canon.as_ref()?;
    if compared.serial.iter().any(|(_, serial)| serial.canon == compared.here.canon) {
        return None;
    }
    history.paths().filter_map(|path| overwritten(history, path)).max_by_key(|loss| loss.by.step)
}

/// The keys whose right value was there at some time, and the step that undid it. Of several steps the first; with it, the keys
/// that it undid.
fn of_keys<'h>(history: &'h History, path: &str, keys: &[KeyDifference]) -> Option<Loss<'h>> {
    let undone = keys.iter().filter_map(|key| undone(history, path, key).map(|(lost, by)| (key, lost, by)));
    let undone: Vec<_> = undone.collect();
    let (_, lost, by) = *undone.iter().min_by_key(|(_, lost, by)| (by.step, lost.step))?;
    let same = undone.iter().filter(|(_, l, b)| (l.step, b.step) == (lost.step, by.step));
    let keys = same.map(|(key, ..)| (*key).clone()).collect();
    let look = looks(history, path, by).filter(|look| look.as_of <= lost.step).last();
    Some(Loss { path: path.to_owned(), lost, by, look, keys })
}

/// The last change that made a key right, and the change after it that made it wrong, where they are of different processes.
fn undone<'h>(history: &'h History, path: &str, key: &KeyDifference) -> Option<(&'h Touch, &'h Touch)> {
    let parsed = history.touches(path).iter().filter_map(|touch| match &touch.deed {
        Deed::Change { after: Content::Bytes(bytes), .. } => json_of(path, bytes).map(|value| (touch, value)),
        _ => None,
    });
    let parsed: Vec<_> = parsed.collect();
    let right = parsed.iter().rposition(|(_, value)| key.is_serial(value))?;
    let (lost, by) = (parsed[right].0, parsed.get(right + 1)?.0);
    (lost.process != by.process).then_some((lost, by))
}

/// The last change that another process made away with without having looked at it.
fn overwritten<'h>(history: &'h History, path: &str) -> Option<Loss<'h>> {
    let touches = history.touches(path);
    for by in touches.iter().rev().filter(|touch| touch.deed.is_change()) {
        let Some(look) = looks(history, path, by).last() else { continue };
        let lost = touches.iter().rev().find(|lost| {
            lost.process != by.process
                && look.as_of <= lost.step
                && lost.step < by.step
                && has_effect(history, path, lost)
                && overlap(&lost.deed, &by.deed)
        });
        if let Some(lost) = lost {
            return Some(Loss { path: path.to_owned(), lost, by, look: Some(look), keys: Vec::new() });
        }
    }
    None
}

/// A write into a file that another process had put a new one in the place of.
fn astray<'h>(history: &'h History, path: &str) -> Option<Loss<'h>> {
    let touches = history.touches(path);
    let lost = touches.iter().rev().find(|touch| touch.deed == Deed::Astray)?;
    let by = touches.iter().find(|touch| touch.step == lost.as_of && touch.process != lost.process)?;
    Some(Loss { path: path.to_owned(), lost, by, look: None, keys: Vec::new() })
}

/// The looks of a change's process at the path before the change, one in the same step among them.
fn looks<'h>(history: &'h History, path: &str, change: &'h Touch) -> impl Iterator<Item = &'h Touch> {
    let before = history.touches(path).iter().take_while(|touch| !std::ptr::eq(*touch, change));
    before.filter(|touch| {
        touch.process == change.process && matches!(touch.deed, Deed::FoundNone | Deed::Read { .. })
    })
}

fn has_effect(history: &History, path: &str, touch: &Touch) -> bool {
    let Deed::Change { after, .. } = &touch.deed else { return false };
    let before = history.after(path, touch.step.checked_sub(1));
    *after == Content::Unknown || before != after
}

fn overlap(lost: &Deed, by: &Deed) -> bool {
    match (lost, by) {
        (Deed::Change { range: a, .. }, Deed::Change { range: b, .. }) => a.0 < b.1 && b.0 < a.1,
        _ => false,
    }
}

fn anomaly(history: &History, loss: &Loss<'_>) -> Anomaly {
    let Loss { path, lost, by, look, .. } = loss;
    let mut marks = Marks::default();
    if let Some(look) = look {
        marks.add(look.step, look_note(history, loss, look));
    }
    marks.add(lost.step, format!("{}'s change", lost.process));
    let verb = by_note(&by.deed);
    marks.add(by.step, format!("{verb} {}'s change", lost.process));
    let mut keys: Vec<String> =
        loss.keys.iter().map(KeyDifference::name).filter(|key| !key.is_empty()).collect();
    keys.sort();
    Anomaly {
        kind: Kind::LostUpdate,
        summary: format!("{path}: {}: {}", what(loss), how(loss)),
        files: vec![path.clone()],
        keys,
        processes: sorted([lost.process, by.process]),
        steps: marks.finish(),
        explanation: Vec::new(),
    }
}

fn look_note(history: &History, loss: &Loss<'_>, look: &Touch) -> String {
    let before = format!("before {} changes it", loss.lost.process);
    match (&look.deed, history.writer_during(look)) {
        (Deed::FoundNone, _) => format!("finds no file, before {} makes it", loss.lost.process),
        (_, Some(writer)) => format!("reads it while {writer} is writing it"),
        _ if look.step > loss.lost.step => format!("reads it as it was {before}"),
        _ => format!("reads it {before}"),
    }
}

fn by_note(deed: &Deed) -> &'static str {
    match deed {
        Deed::Change { how: How::Remove, .. } => "removes the file, with",
        Deed::Change { how: How::Resize, .. } => "empties the file, with",
        _ => "overwrites",
    }
}

/// What is lost: `B's "agent-b" (written at step 9) is gone`.
fn what(loss: &Loss<'_>) -> String {
    let (who, step) = (loss.lost.process, shown(loss.lost.step));
    let quoted: Vec<String> =
        loss.keys.iter().filter(|key| !key.key.is_empty()).map(|key| format!("\"{}\"", key.name())).collect();
    let (keys, are) = (list(&quoted, 3), if quoted.len() == 1 { "is" } else { "are" });
    if quoted.is_empty() {
        format!("{who}'s change (step {step}) is lost")
    } else if loss.keys.iter().all(|key| key.here.is_none()) {
        format!("{who}'s {keys} (written at step {step}) {are} gone")
    } else if loss.keys.iter().all(|key| key.serial.iter().all(Option::is_none)) {
        format!("{keys}, taken out by {who} at step {step}, {are} back")
    } else {
        format!("{who}'s change of {keys} (step {step}) is lost")
    }
}

/// How it was lost: `A overwrote it at step 12 with what it had read at step 3`.
fn how(loss: &Loss<'_>) -> String {
    let (who, step) = (loss.by.process, shown(loss.by.step));
    if loss.lost.deed == Deed::Astray {
        return format!("{who} had put another file in its place at step {step}");
    }
    let verb = match loss.by.deed {
        Deed::Change { how: How::Remove, .. } => "removed the file",
        Deed::Change { how: How::Resize, .. } => "emptied the file",
        _ => "overwrote it",
    };
    let Some(look) = loss.look else { return format!("{who} {verb} at step {step}") };
    let seen = shown(look.step);
    match look.deed {
        Deed::FoundNone => format!("{who} {verb} at step {step}, having found no such file at step {seen}"),
        _ if verb == "overwrote it" => {
            format!("{who} overwrote it at step {step} with what it had read at step {seen}")
        }
        _ => format!("{who} {verb} at step {step} on the strength of its read at step {seen}"),
    }
}
