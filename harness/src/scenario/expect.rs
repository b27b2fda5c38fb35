use serde::{Deserialize, Serialize};

use crate::model::{Kind, Verdict};

/// What an exploration is expected to give.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Expect {
    /// The conclusion.
    pub verdict: Verdict,
    /// The kinds of anomalies found: all that are found, in any order. Empty: any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kinds: Vec<Kind>,
    /// Steps of the most telling anomaly, in their order, each as its timeline has it or how that begins: `B: read notes.json`.
    /// Others may come in between.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub timeline: Vec<String>,
    /// The exact number of complete executions of an exhaustive search.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub complete: Option<u64>,
    /// The exact number of executions of an exhaustive search that end with processes that wait for each other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocked: Option<u64>,
}
