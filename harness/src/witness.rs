//! Witnesses: files that replay an anomaly exactly.
//!
//! A witness is JSON and stands alone: the scenario in full, the tree that each execution starts from, the schedule with what is
//! expected at each choice, the outcome; and for people the anomaly and the versions that its files went through. A checksum
//! over its canonical form tells an edit. Where tasks were chosen among, `A.1` is the second of A, and `A.15` what A does as a
//! whole. Formats that were ever written stay readable: [`read`] goes by `format`.

mod compare;
mod tasks;

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub(crate) use compare::quoted;
pub use compare::{Divergence, check_step, compare, compare_outcomes};

use crate::model::{Anomaly, Call, Choice, CriticalStep, Ending, Outcome, ProcessId, Tree, Verdict, View};
use crate::oracle::FileVersion;
use crate::scenario::Scenario;

/// The format that is written.
pub const FORMAT: u32 = 1;

/// All that it takes to run an execution again, and to know that it is the same.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Witness {
    /// [`FORMAT`].
    pub format: u32,
    /// The version of the program that wrote it.
    pub cooks: String,
    /// The scenario in full.
    pub scenario: Scenario,
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
            initial,
            verdict,
            anomaly: None,
            critical: Vec::new(),
            recording,
            versions: Vec::new(),
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

/// A witness that cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum WitnessError {
    /// The file cannot be read.
    #[error("{}: cannot be read: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file cannot be written.
    #[error("{}: cannot be written: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file ends in the midst of things.
    #[error("{}: the file is cut off at line {line}, column {column}: copy it again", path.display())]
    Cut {
        /// The file.
        path: PathBuf,
        /// Where it ends.
        line: usize,
        /// Where it ends.
        column: usize,
    },
    /// The file is not JSON.
    #[error("{}: not a witness: {reason}", path.display())]
    NotJson {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        reason: String,
    },
    /// The file is JSON, but says of no format that it is in.
    #[error("{}: not a witness: there is no `format`", path.display())]
    NoFormat {
        /// The file.
        path: PathBuf,
    },
    /// The file is in a format that is not known.
    #[error("{}: a witness of format {found}; this version reads format {FORMAT}: use a newer one", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: String,
    },
    /// The file is not as it was written.
    #[error("{}: this witness was edited or damaged: its checksum is {found}, of its content {expected}", path.display())]
    Checksum {
        /// The file.
        path: PathBuf,
        /// The checksum of what it holds.
        expected: String,
        /// The one that it gives.
        found: String,
    },
    /// The file is as it was written, but cannot be understood.
    #[error("{}: cannot be understood: {reason}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

/// Reads a witness.
///
/// # Errors
/// Where the file cannot be read, or is not a witness as it was written.
pub fn read(path: &Path) -> Result<Witness, WitnessError> {
    let text = fs::read(path).map_err(|source| WitnessError::Read { path: path.to_owned(), source })?;
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
            WitnessError::NotJson { path: path(), reason: error.to_string() }
        }
    })?;
    let format = value.get("format").cloned().ok_or_else(|| WitnessError::NoFormat { path: path() })?;
    if format.as_u64() != Some(FORMAT.into()) {
        return Err(WitnessError::Format { path: path(), found: format.to_string() });
    }
    let found = value.as_object_mut().and_then(|object| object.remove("checksum"));
    let found =
        found.map_or_else(|| "missing".to_owned(), |sum| sum.as_str().unwrap_or("no text").to_owned());
    let expected = checksum(&value);
    if found != expected {
        return Err(WitnessError::Checksum { path: path(), expected, found });
    }
    let content = |reason| WitnessError::Content { path: path(), reason };
    if value["scenario"]["threads"] == "explore" {
        let scenario =
            Scenario::deserialize(&value["scenario"]).map_err(|error| content(error.to_string()))?;
        tasks::from_names(&mut value, scenario.strands()).map_err(content)?;
    }
    serde_json::from_value(value).map_err(|error| content(error.to_string()))
}

/// A witness with its checksum, as text.
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
    // What is read back is what counts: a number that does not survive being read is written as it will be read.
    let mut value: Value = serde_json::from_str(&serde_json::to_string(witness)?)?;
    let strands = witness.scenario.strands();
    let text = if strands.are_tasks() {
        tasks::to_names(&mut value, strands).map_err(serde::ser::Error::custom)?;
        serde_json::to_string_pretty(&Signed { checksum: checksum(&value), witness: value })?
    } else {
        serde_json::to_string_pretty(&Signed { checksum: checksum(&value), witness })?
    };
    Ok(text + "\n")
}

/// Writes a witness to `path`: first to another name in the same folder, which is made where it is missing, so that whoever reads
/// `path` sees a whole witness or none.
///
/// # Errors
/// Where it cannot be written; then nothing is left.
pub fn write(witness: &Witness, path: &Path) -> Result<(), WitnessError> {
    let fail = |source| WitnessError::Write { path: path.to_owned(), source };
    let text = to_text(witness).map_err(|error| fail(error.into()))?;
    let name = path.file_name().ok_or_else(|| fail(io::ErrorKind::InvalidFilename.into()))?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(fail)?;
    let temporary = folder.join(format!(".{}.{}.tmp", name.to_string_lossy(), std::process::id()));
    let written = write_whole(&temporary, text.as_bytes()).and_then(|()| fs::rename(&temporary, path));
    written.map_err(|source| {
        // The first failure is the one to tell of.
        let _ = fs::remove_file(&temporary);
        fail(source)
    })
}

fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = fs::File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Of the canonical form: compact, with the keys of each object sorted.
fn checksum(value: &Value) -> String {
    format!("crc32:{:08x}", crc32fast::hash(value.to_string().as_bytes()))
}

#[cfg(test)]
mod tests;
