use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::model::{Kind, Verdict};
use crate::report::Report;

/// What an exploration is expected to give.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Expect {
    /// The conclusion.
    pub verdict: Verdict,
    /// The kinds of anomalies found: all that are found, in any order. Empty: any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kinds: Vec<Kind>,
    /// The exact number of complete executions of an exhaustive search.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub complete: Option<u64>,
    /// The exact number of executions of an exhaustive search that end with processes that wait for each other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocked: Option<u64>,
}

/// In what a report is not as expected, in words; nothing where it is.
#[must_use]
pub fn differences(expected: &Expect, report: &Report) -> Vec<String> {
    let mut found = Vec::new();
    if expected.verdict != report.verdict {
        found.push(format!("the verdict is {}, expected {}", word(report.verdict), word(expected.verdict)));
    }
    let wanted: BTreeSet<Kind> = expected.kinds.iter().copied().collect();
    let kinds: BTreeSet<Kind> = report.anomalies.iter().map(|finding| finding.anomaly.kind).collect();
    if !wanted.is_empty() {
        found.extend(wanted.difference(&kinds).map(|kind| format!("no {kind} was found")));
        found
            .extend(kinds.difference(&wanted).map(|kind| format!("{kind} was found, which is not expected")));
    }
    let counts =
        [("complete", expected.complete, report.complete), ("blocked", expected.blocked, report.blocked)];
    for (what, expected, actual) in counts {
        let Some(expected) = expected else { continue };
        if !report.exhaustive {
            found.push(format!(
                "{expected} {what} executions are expected of an exhaustive search, and this one was not"
            ));
        } else if expected != actual {
            found.push(format!("{actual} {what} executions, expected {expected}"));
        }
    }
    found
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Clean => "clean",
        Verdict::Anomaly => "anomaly",
        Verdict::Inconclusive => "inconclusive",
    }
}
