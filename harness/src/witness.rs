//! Witnesses: files that replay an anomaly exactly.
//!
//! A witness is JSON and stands alone: the scenario in full, the tree that each execution starts from, the schedule with what is
//! expected at each choice, the outcome; and for people the anomaly and the versions that its files went through. A checksum
//! over its canonical form tells an edit. Where tasks were chosen among, `A.1` is the second of A, and `A.15` what A does as a
//! whole.
//!
//! Formats that were ever written stay readable: [`read`] goes by `format`. In format 2 steps count from 1, and there is what the
//! processes wrote to their standard error; in format 1 they count from 0. In memory they count from 0.
//!
//! A witness may come from a stranger. It is bounded in size, and what it says is checked ([`parse`]) before anything is done with it:
//! a tree that would be laid out elsewhere, or a number that counts nothing, is an error.

mod check;
mod compare;
mod error;
mod keep;
mod show;
mod steps;
mod tasks;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub(crate) use compare::quoted;
pub use compare::{Divergence, check_step, compare, compare_outcomes};
pub use error::WitnessError;
pub use keep::{Kept, keep, stem, write};
pub use show::{show, show_json};

use crate::bounded;
use crate::model::{
    Anomaly, Call, Choice, CriticalStep, Ending, Outcome, ProcessId, Said, Tree, Verdict, View,
};
use crate::oracle::FileVersion;
use crate::report::visible;
use crate::scenario::Scenario;

/// The format that is written.
pub const FORMAT: u32 = 2;

/// All that it takes to run an execution again, and to know that it is the same.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Witness {
    /// [`FORMAT`]; of one that was read, the format of its file.
    pub format: u32,
    /// The version of the program that wrote it.
    pub cooks: String,
    /// The scenario in full.
    pub scenario: Scenario,
    /// The files of which it matters which was changed last: their changes are in conflict.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub ordered_times: BTreeSet<String>,
    /// What each execution starts from: the workspace after `setup`, which a replay does not run again.
    pub initial: Tree,
    /// The conclusion.
    pub verdict: Verdict,
    /// What is wrong with the execution; nothing of one that was recorded for another reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anomaly: Option<Anomaly>,
    /// The two operations that it hangs on, the earlier first; none where they are not known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub critical: Vec<CriticalStep>,
    /// The execution.
    #[serde(flatten)]
    pub recording: Recording,
    /// What the files concerned held, for people; a replay does not look at it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub versions: Vec<FileVersion>,
    /// What the processes wrote to their standard error, for people; a replay does not look at it.
    #[serde(default, skip_serializing_if = "Said::is_empty")]
    pub stderr: Said,
    /// Facts about the machine that the execution may depend on, by name; for people, where a replay diverges.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub environment: BTreeMap<String, String>,
}

impl Witness {
    /// A witness of an execution, in the present format and by this version, without anything for people yet.
    #[must_use]
    pub fn new(scenario: Scenario, initial: Tree, verdict: Verdict, recording: Recording) -> Self {
        Self {
            format: FORMAT,
            cooks: env!("CARGO_PKG_VERSION").to_owned(),
            scenario,
            ordered_times: BTreeSet::new(),
            initial,
            verdict,
            anomaly: None,
            critical: Vec::new(),
            recording,
            versions: Vec::new(),
            stderr: Said::default(),
            environment: BTreeMap::new(),
        }
    }
}

/// An execution as a replay must find it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Recording {
    /// The choices, and what stood to choose at each.
    pub schedule: Vec<Recorded>,
    /// How it ended.
    pub ending: Ending,
    /// What it left.
    pub outcome: Outcome,
    /// Whether its tree has hard links, owners and extended attributes; the trees of earlier versions have none.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub whole_tree: bool,
}

/// A choice, and what it was made from.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Recorded {
    /// What was chosen.
    pub choice: Choice,
    /// The call that the chosen process was held at.
    pub call: Call,
    /// The processes that could have been chosen, sorted.
    pub enabled: Vec<ProcessId>,
}

impl Recorded {
    /// What a choice among what `view` shows is recorded as.
    #[must_use]
    pub fn at(view: &View<'_>, choice: Choice) -> Self {
        let Choice::Process(process) = choice;
        let pending = view.processes.get(process.0).and_then(|status| status.operation());
        let call = pending.map_or_else(Call::default, |operation| operation.call.clone());
        Self { choice, call, enabled: view.enabled().collect() }
    }
}

/// Reads a witness.
///
/// # Errors
/// Where the file cannot be read, or is not a witness as it was written.
pub fn read(path: &Path) -> Result<Witness, WitnessError> {
    let text = bounded::read(path, bounded::LARGEST)
        .map_err(|source| WitnessError::Read { path: path.to_owned(), source })?;
    parse(&text, path)
}

/// Reads a witness from the bytes of its file, called `path` in errors.
///
/// # Errors
/// Where they are not a witness as it was written.
pub fn parse(bytes: &[u8], path: &Path) -> Result<Witness, WitnessError> {
    let path = || path.to_owned();
    let mut value: Value = serde_json::from_slice(bytes).map_err(|error| {
        if error.is_eof() {
            WitnessError::Cut { path: path(), line: error.line(), column: error.column() }
        } else {
            let reason = error.to_string().replace("recursion limit exceeded", "nested more than 127 deep");
            WitnessError::NotJson { path: path(), reason }
        }
    })?;
    let format = value.get("format").cloned().ok_or_else(|| WitnessError::NoFormat { path: path() })?;
    if !format.as_u64().is_some_and(|format| (1..=FORMAT.into()).contains(&format)) {
        let found: String = format.to_string().chars().take(40).collect();
        return Err(WitnessError::Format { path: path(), found });
    }
    let found = value.as_object_mut().and_then(|object| object.remove("checksum"));
    let found =
        found.map_or_else(|| "missing".to_owned(), |sum| sum.as_str().unwrap_or("no text").to_owned());
    let expected = checksum(&value);
    if found != expected {
        return Err(WitnessError::Checksum { path: path(), expected, found });
    }
    understood(value).map_err(|reason| WitnessError::Content { path: path(), reason })
}

/// The witness that a value is, if all that it says can be.
fn understood(mut value: Value) -> Result<Witness, String> {
    let say = |error: serde_json::Error| error.to_string();
    if value["scenario"]["threads"] == "explore" {
        let scenario = Scenario::deserialize(&value["scenario"]).map_err(say)?;
        tasks::from_names(&mut value, scenario.strands())?;
    }
    let mut witness: Witness = serde_json::from_value(value).map_err(say)?;
    if witness.format > 1 {
        steps::shift(&mut witness, |step| step.checked_sub(1))
            .ok_or("steps count from 1, and there is a step 0")?;
    }
    check::check(&witness)?;
    Ok(witness)
}

/// A witness with its checksum, as text; in the present format, whichever it was read in.
///
/// # Errors
/// Where it cannot be put into JSON.
pub fn to_text(witness: &Witness) -> serde_json::Result<String> {
    #[derive(Serialize)]
    struct Signed<T> {
        #[serde(flatten)]
        witness: T,
        checksum: String,
    }
    let mut witness = Witness { format: FORMAT, ..witness.clone() };
    steps::shift(&mut witness, |step| step.checked_add(1))
        .ok_or_else(|| serde::ser::Error::custom("a step is beyond all numbers"))?;
    // What is read back is what counts: a number that does not survive being read is written as it will be read.
    let mut value: Value = serde_json::from_str(&serde_json::to_string(&witness)?)?;
    let strands = witness.scenario.strands();
    let text = if strands.are_tasks() {
        tasks::to_names(&mut value, strands).map_err(serde::ser::Error::custom)?;
        serde_json::to_string_pretty(&Signed { checksum: checksum(&value), witness: value })?
    } else {
        serde_json::to_string_pretty(&Signed { checksum: checksum(&value), witness })?
    };
    Ok(visible::json(&text).into_owned() + "\n")
}

/// Of the canonical form: compact, with the keys of each object sorted.
fn checksum(value: &Value) -> String {
    format!("crc32:{:08x}", crc32fast::hash(value.to_string().as_bytes()))
}

#[cfg(test)]
mod tests;
