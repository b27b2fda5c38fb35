//! A metadata file of the size that the comparisons use: a hundred agents, 18.7 kB.

use std::path::Path;

use cooks_core::{METADATA_FILE, Metadata};
use serde_json::{Value, json};

/// How many agents have a part in the file.
pub const AGENTS: usize = 100;

/// The id of an agent.
#[must_use]
pub fn id(number: usize) -> String {
    format!("agent-{number:02}")
}

/// The part of an agent that has not been updated.
#[must_use]
pub fn part(number: usize) -> Value {
    json!({
        "host": format!("kitchen-{:02}", number % 7),
        "status": "waiting for the oven",
        "task": format!("dish no {number:03}"),
        "files": ["menu.md", "prices.csv"],
        "updates": 0,
    })
}

/// Counts one more update in a part.
///
/// # Panics
/// Where the part has no count.
pub fn count(part: &mut Value) {
    part["updates"] = (updates(part) + 1).into();
}

/// How many updates a part counts.
///
/// # Panics
/// Where the part has no count.
#[must_use]
pub fn updates(part: &Value) -> u64 {
    part["updates"].as_u64().expect("a part counts its updates")
}

/// Writes the file, before anybody uses it.
///
/// # Panics
/// Where the directory cannot be written.
pub fn write(dir: &Path) {
    let metadata: Metadata = (0..AGENTS).map(|number| (id(number), part(number))).collect();
    let text = serde_json::to_string_pretty(&metadata).expect("JSON") + "\n";
    assert!(text.len().abs_diff(18_700) < 200, "the file has {} bytes", text.len());
    std::fs::write(dir.join(METADATA_FILE), text).expect("the file can be written");
}
