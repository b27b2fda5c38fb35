//! The medians of this run, each against the first of its group.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde_json::Value;

/// Prints what was measured since then, in the order in which it was.
pub fn print(since: SystemTime) {
    let mut measured = Vec::new();
    for group in within(&results()) {
        measured.extend(within(&group).iter().filter_map(|dir| result(dir, since)));
    }
    measured.sort_by_key(|result| result.at);
    let mut first: Option<&Measured> = None;
    for result in &measured {
        let base = first.filter(|base| base.group == result.group).unwrap_or(result);
        if base == result {
            println!("\n| {} | ns | ratio |\n|---|---|---|", result.group);
        }
        println!("| {} | {:.0} | {:.2} |", result.name, result.median, result.median / base.median);
        first = Some(base);
    }
}

#[derive(PartialEq)]
struct Measured {
    at: SystemTime,
    group: String,
    name: String,
    median: f64,
}

/// What criterion left in a directory, when it did so in this run.
fn result(dir: &Path, since: SystemTime) -> Option<Measured> {
    let at = fs::metadata(dir.join("new/estimates.json")).ok()?.modified().ok()?;
    let json = |name| serde_json::from_slice::<Value>(&fs::read(dir.join(name)).ok()?).ok();
    let (names, estimates) = (json("new/benchmark.json")?, json("new/estimates.json")?);
    let name = |key: &str| names[key].as_str().map(str::to_owned);
    let (group, name) = (name("group_id")?, name("function_id")?);
    let median = estimates["median"]["point_estimate"].as_f64()?;
    (at >= since).then_some(Measured { at, group, name, median })
}

/// Where criterion puts its results: beside the directory that cargo gives to benches.
fn results() -> PathBuf {
    let default = || Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("criterion");
    std::env::var_os("CRITERION_HOME").map_or_else(default, PathBuf::from)
}

fn within(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}
