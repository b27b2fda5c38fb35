//! Where an outcome differs from the serial ones: by file, and in JSON files by key.

use std::collections::BTreeSet;

use super::json::Json;
use super::normalize::{is_json, json_of, paths};
use super::serial::SerialRun;
use super::{Case, Normalize};
use crate::model::{Entry, Outcome, ProcessId, Tree};

/// A key of a JSON file whose value is one that no serial order gives.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct KeyDifference {
    /// The names that lead to it, from the outside in. Empty for the whole value.
    pub key: Vec<String>,
    /// What it is here.
    pub here: Option<Json>,
    /// What it is in the serial outcomes, each value once.
    pub serial: Vec<Option<Json>>,
}

impl KeyDifference {
    /// `agents.b.status`.
    pub(super) fn name(&self) -> String {
        self.key.join(".")
    }

    /// What this key leads to in a value.
    pub(super) fn find<'v>(&self, value: &'v Json) -> Option<&'v Json> {
        self.key.iter().try_fold(value, |value, name| value.get(name))
    }

    /// Whether a value has at this key what some serial order leaves there.
    pub(super) fn is_serial(&self, value: &Json) -> bool {
        let found = self.find(value);
        self.serial.iter().any(|serial| serial.as_ref() == found)
    }
}

/// An outcome and the serial ones that it may be held against, all in canonical form. What a process shows of itself that is
/// taken as having had no effect counts as the same.
pub(super) struct Compared<'a> {
    pub here: Outcome,
    pub serial: Vec<(&'a SerialRun, Outcome)>,
}

impl<'a> Compared<'a> {
    pub(super) fn of(case: &Case<'a>) -> Self {
        Self::to(case, case.serial.relevant(&case.execution.outcome))
    }

    /// The same, with the serial runs in which the processes ran whole.
    pub(super) fn with_whole(case: &Case<'a>) -> Self {
        let mut runs = case.serial.relevant(&case.execution.outcome);
        runs.retain(|run| run.order.is_whole());
        Self::to(case, runs)
    }

    fn to(case: &Case<'a>, relevant: Vec<&'a SerialRun>) -> Self {
        let rules: &Normalize = case.serial.rules();
        let here = rules.outcome(&case.execution.outcome);
        let normal = |run: &SerialRun| {
            let mut outcome = rules.outcome(&run.outcome);
            for &ProcessId(left_out) in &run.order.left_out {
                if let (Some(exit), Some(ours)) = (outcome.exits.get_mut(left_out), here.exits.get(left_out))
                {
                    *exit = *ours;
                }
                if let (Some(earlier), Some(ours)) =
                    (outcome.earlier.get_mut(left_out), here.earlier.get(left_out))
                {
                    earlier.clone_from(ours);
                }
                if let (Some(output), Some(ours)) =
                    (outcome.stdout.get_mut(left_out), here.stdout.get(left_out))
                {
                    output.clone_from(ours);
                }
            }
            outcome
        };
        let serial = relevant.into_iter().map(|run| (run, normal(run))).collect();
        Self { here, serial }
    }

    fn trees(&self) -> impl Iterator<Item = &Tree> {
        self.serial.iter().map(|(_, outcome)| &outcome.tree)
    }

    /// The paths at which every serial outcome has something else (or something) than this one, in order.
    pub(super) fn paths(&self) -> Vec<String> {
        let all: BTreeSet<&String> = paths(self.trees().chain([&self.here.tree]));
        let differs =
            |path: &&String| self.trees().all(|tree| tree.detailed(path) != self.here.tree.detailed(path));
        all.into_iter().filter(differs).cloned().collect()
    }

    /// Whether some serial outcome has a file at `path`.
    pub(super) fn some_serial_has(&self, path: &str) -> bool {
        self.trees().any(|tree| tree.contains_key(path))
    }

    /// Whether the file at `path` no longer parses as JSON, though it does in every serial outcome. The empty file counts.
    pub(super) fn no_longer_json(&self, path: &str) -> bool {
        let Some(here) = content(&self.here.tree, path) else { return false };
        let parses = |tree: &Tree| content(tree, path).is_some_and(|bytes| json_of(path, bytes).is_some());
        !self.serial.is_empty() && json_of(path, here).is_none() && self.trees().all(parses)
    }

    /// The keys of the file at `path` that differ from every serial outcome; none where it is not JSON everywhere.
    pub(super) fn keys(&self, path: &str) -> Vec<KeyDifference> {
        let value = |tree: &Tree| content(tree, path).and_then(|bytes| json_of(path, bytes));
        let (Some(here), Some(serial)) =
            (value(&self.here.tree), self.trees().map(value).collect::<Option<Vec<_>>>())
        else {
            return Vec::new();
        };
        let mut found = Vec::new();
        let serial: Vec<Option<&Json>> = serial.iter().map(Some).collect();
        compare(&mut Vec::new(), Some(&here), &serial, &mut found);
        found
    }

    /// The serial outcome that this one adds nothing but paths to, and those paths.
    pub(super) fn only_added(&self) -> Option<Vec<String>> {
        let added = |serial: &Outcome| {
            let same = self.here.tree.only(|path| serial.tree.contains_key(path));
            let rest = Outcome { tree: same, ..self.here.clone() };
            let extra = self.here.tree.keys().filter(|path| !serial.tree.contains_key(*path));
            (rest == *serial).then(|| extra.cloned().collect::<Vec<_>>())
        };
        self.serial.iter().filter_map(|(_, serial)| added(serial)).min_by_key(Vec::len)
    }

    /// Whether some serial outcome differs from this one in standard output alone.
    pub(super) fn only_output(&self) -> bool {
        let same =
            |serial: &Outcome| Outcome { stdout: self.here.stdout.clone(), ..serial.clone() } == self.here;
        self.serial.iter().any(|(_, serial)| same(serial))
    }
}

/// The bytes of a file in a tree.
pub(super) fn content<'t>(tree: &'t Tree, path: &str) -> Option<&'t [u8]> {
    match tree.get(tree.first_name(path)) {
        Some(Entry::File { content, .. }) => Some(content),
        _ => None,
    }
}

/// What is wrong with a text that should be JSON, in a few words.
pub(super) fn why_not_json(path: &str, bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return "it is empty".into();
    }
    match Json::parse(bytes) {
        Err(error) => error.to_string(),
        Ok(_) if is_json(path, bytes) => "it parses".into(),
        Ok(_) => "it is no object or array".into(),
    }
}

/// Goes down into objects as long as they are objects everywhere, and notes what no serial order gives.
fn compare(
    key: &mut Vec<String>,
    here: Option<&Json>,
    serial: &[Option<&Json>],
    found: &mut Vec<KeyDifference>,
) {
    if serial.contains(&here) {
        return;
    }
    let values = || serial.iter().chain([&here]).copied();
    let names: Option<Vec<_>> = values().map(|value| value.and_then(Json::names)).collect();
    let Some(names) = names else {
        let mut distinct: Vec<Option<Json>> = Vec::new();
        for value in serial.iter().map(|value| value.cloned()) {
            if !distinct.contains(&value) {
                distinct.push(value);
            }
        }
        found.push(KeyDifference { key: key.clone(), here: here.cloned(), serial: distinct });
        return;
    };
    let names: BTreeSet<&String> = names.into_iter().flatten().collect();
    for name in names {
        let inner: Vec<Option<&Json>> =
            serial.iter().map(|value| value.and_then(|value| value.get(name))).collect();
        key.push(name.clone());
        compare(key, here.and_then(|value| value.get(name)), &inner, found);
        key.pop();
    }
}
