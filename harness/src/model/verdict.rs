use std::fmt;

use serde::{Deserialize, Serialize};

use super::process::ProcessId;

/// What an exploration concludes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Every interleaving was tried and is fine.
    Clean,
    /// Here is one that is not.
    Anomaly,
    /// A bound ended the search first, and nothing was found.
    Inconclusive,
}

/// What is wrong with an execution. In the order of preference: of several that fit, the first is reported.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Processes wait for each other, for ever.
    Deadlock,
    /// More steps than an execution may have.
    Livelock,
    /// A process dies by a signal, or fails where no serial order lets it.
    ProcessFailure,
    /// A file has content that no process wrote as a whole, or no longer parses.
    TornFile,
    /// What a process wrote is gone, though every serial order keeps it.
    LostUpdate,
    /// Files that no serial order leaves.
    LeftBehind,
    /// Output that no serial order gives.
    DirtyRead,
    /// Any other outcome that no serial order gives.
    NonSerializable,
    /// The user's own invariant does not hold.
    CheckFailed,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Deadlock => "deadlock",
            Self::Livelock => "livelock",
            Self::ProcessFailure => "process-failure",
            Self::TornFile => "torn-file",
            Self::LostUpdate => "lost-update",
            Self::LeftBehind => "left-behind",
            Self::DirtyRead => "dirty-read",
            Self::NonSerializable => "non-serializable",
            Self::CheckFailed => "check-failed",
        })
    }
}

/// An anomaly: its kind, and the evidence in the user's words.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Anomaly {
    /// What is wrong.
    pub kind: Kind,
    /// One sentence: which key of which file, written by whom at which step, lost to whom.
    pub summary: String,
    /// The files concerned, sorted.
    pub files: Vec<String>,
    /// The JSON keys concerned, as paths (`agents.b.status`), sorted.
    pub keys: Vec<String>,
    /// The processes concerned, sorted.
    pub processes: Vec<ProcessId>,
    /// Steps (from 0) that made it, in order, each with what to say of it: `reads before B writes`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<MarkedStep>,
    /// Sentences that explain it further: what every serial order gives against what came out, who waits for whom.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub explanation: Vec<String>,
}

/// A step of the trace that had a part in the anomaly.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct MarkedStep {
    /// Its number, from 0.
    pub step: usize,
    /// What to say of it, in a few words.
    pub note: String,
}

/// One of the two operations that an anomaly hangs on: the other way round it does not come about.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CriticalStep {
    /// Whose it is.
    pub process: ProcessId,
    /// Its step, from 0; none where the process waits at it for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<usize>,
    /// What it is, in plain words.
    pub operation: String,
}
