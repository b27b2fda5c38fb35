//! Small things that the oracles share: words, marks, versions.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::history::{Content, Deed, History};
use crate::model::{Execution, MarkedStep, ProcessId, Tree, text_of_bytes};

/// What a file held at some time, for people to read.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FileVersion {
    /// The file.
    pub path: String,
    /// The step (from 0) that left it so; none for the version before the first step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<usize>,
    /// Whose step that was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<ProcessId>,
    /// Its bytes.
    #[serde(with = "text_of_bytes")]
    pub content: Vec<u8>,
}

/// The versions that these files went through, in order, as far as their bytes were recorded: what to keep beside a schedule so
/// that a person can read the incident without running it.
#[must_use]
pub fn versions(execution: &Execution, initial: &Tree, files: &[String]) -> Vec<FileVersion> {
    let history = History::of(initial, &execution.trace);
    let mut found = Vec::new();
    for path in files {
        let first = history.after(path, None).bytes();
        found.extend(first.map(|content| FileVersion {
            path: path.clone(),
            step: None,
            process: None,
            content: content.to_vec(),
        }));
        for touch in history.touches(path) {
            if let Deed::Change { after: Content::Bytes(content), .. } = &touch.deed {
                let (step, process) = (Some(touch.step), Some(touch.process));
                found.push(FileVersion { path: path.clone(), step, process, content: content.clone() });
            }
        }
    }
    found
}

/// Notes on steps, in the order of the steps, each step and note once.
#[derive(Default)]
pub(super) struct Marks(BTreeMap<usize, Vec<String>>);

impl Marks {
    pub(super) fn add(&mut self, step: usize, note: impl Into<String>) {
        let (note, notes) = (note.into(), self.0.entry(step).or_default());
        if !notes.contains(&note) {
            notes.push(note);
        }
    }

    pub(super) fn finish(self) -> Vec<MarkedStep> {
        self.0.into_iter().map(|(step, notes)| MarkedStep { step, note: notes.join("; ") }).collect()
    }
}

/// The processes, sorted, each once.
pub(super) fn sorted(processes: impl IntoIterator<Item = ProcessId>) -> Vec<ProcessId> {
    processes.into_iter().collect::<BTreeSet<_>>().into_iter().collect()
}

/// `A`, `A and B`, `A, B and C`; of more than `most`, how many more.
pub(super) fn list<T: ToString>(items: &[T], most: usize) -> String {
    let mut words: Vec<String> = items.iter().take(most).map(ToString::to_string).collect();
    if items.len() > most {
        words.push(format!("{} more", items.len() - most));
    }
    let last = words.pop().unwrap_or_default();
    if words.is_empty() { last } else { format!("{} and {last}", words.join(", ")) }
}

/// A value or text, cut to a length that fits a line.
pub(super) fn clip(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// The number of a step as people count them.
pub(super) fn shown(step: usize) -> usize {
    step + 1
}
