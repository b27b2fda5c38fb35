//! Scenarios: workspace, processes, oracles, bounds and the expected verdict, as `scenario.toml` in a folder of its own.
//!
//! Keys are the options of the command, with hyphens; `canon`, `final`, and `requests` of a process are the only ones that are not in this
//! example:
#![doc = "```toml"]
#![doc = include_str!("example.toml")]
#![doc = "```"]

mod error;
mod expect;
mod file;
mod folders;
mod process;

use serde::{Deserialize, Serialize};

pub use error::ScenarioError;
pub use expect::Expect;
pub use folders::folders_below;
pub use process::{Process, Program, requests};

use crate::model::{Root, Strands};
use crate::oracle::Aborts;

/// What to explore, how far, and what to expect of it.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Scenario {
    /// What it is called; the folder's name, unless given.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// What it shows, in a sentence.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub summary: String,
    /// The folder that each fresh workspace is a copy of, relative to the scenario's. It is only read, as are the `input`s of processes, so
    /// both may lead anywhere that the user may read: the commands may as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dir: Option<String>,
    /// What the processes have as the root of the file system.
    #[serde(default, skip_serializing_if = "is_default")]
    pub root: Root,
    /// Run once in a fresh workspace, unscheduled; each execution starts from the tree that it left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub setup: Option<String>,
    /// Run in the final workspace; what it prints stands for the tree in the outcome.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canon: Option<String>,
    /// What is left out of the outcome, as globs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ignore: Vec<String>,
    /// Files, or `stdout`, whose lines are compared in any order, as globs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unordered: Vec<String>,
    /// An invariant, run in the final workspace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<String>,
    /// Run alone after all the processes; what it prints is part of the outcome.
    #[serde(default, rename = "final", skip_serializing_if = "Option::is_none")]
    pub last: Option<String>,
    /// What to make of processes that give up.
    #[serde(default, skip_serializing_if = "is_default")]
    pub aborts: Aborts,
    /// Coverage gaps that are accepted, each as its kind, or as its kind, a colon and a glob of paths.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accept: Vec<String>,
    /// Which executions to run.
    #[serde(default, skip_serializing_if = "is_default")]
    pub strategy: StrategyName,
    /// Where chance plays a part, what decides it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// Of the strategy pct: how deep the bugs may be that it has a guarantee for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub depth: Option<u32>,
    /// How many preemptions a schedule may have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preemptions: Option<u32>,
    /// After how many executions to end the search.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_executions: Option<u64>,
    /// After how many seconds to end the search.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_limit: Option<f64>,
    /// How many seconds of processor time a task may use between two of its calls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_limit: Option<f64>,
    /// How many steps one execution may have; past it: livelock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_steps: Option<u64>,
    /// Whether to go on after the first anomaly.
    #[serde(default, skip_serializing_if = "is_default")]
    pub all: bool,
    /// Which executions count as the same.
    #[serde(default, skip_serializing_if = "is_default")]
    pub equivalence: Equivalence,
    /// Who decides in which order the tasks of one process come.
    #[serde(default, skip_serializing_if = "is_default")]
    pub threads: Threads,
    /// Of how many executions one is run twice, to see whether it is the same, byte for byte.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verify: Option<u64>,
    /// The processes, A first.
    #[serde(default, rename = "process")]
    pub processes: Vec<Process>,
    /// What the exploration is expected to give.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect: Option<Expect>,
}

impl Scenario {
    /// What is scheduled by itself.
    #[must_use]
    pub fn strands(&self) -> Strands {
        let processes = self.processes.len();
        match self.threads {
            Threads::Fixed => Strands::whole(processes),
            Threads::Explore => Strands::of_tasks(processes),
        }
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Which executions to run.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StrategyName {
    /// One of each trace class.
    #[default]
    Dpor,
    /// All.
    Dfs,
    /// By chance, evenly at each step that matters.
    Random,
    /// By chance: probabilistic concurrency testing.
    Pct,
    /// By chance: partial order sampling.
    Pos,
}

impl StrategyName {
    /// The word for it in options and reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Dpor => "dpor",
            Self::Dfs => "dfs",
            Self::Random => "random",
            Self::Pct => "pct",
            Self::Pos => "pos",
        }
    }

    /// Whether chance plays a part: then it has a seed, and no end of its own.
    #[must_use]
    pub fn is_by_chance(self) -> bool {
        matches!(self, Self::Random | Self::Pct | Self::Pos)
    }
}

/// Who decides in which order the tasks (threads and children) of one process come.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Threads {
    /// Nobody: it is the same in every execution.
    #[default]
    Fixed,
    /// The strategy, as it decides among processes.
    Explore,
}

/// Which executions count as the same.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Equivalence {
    /// Those of one trace class.
    #[default]
    Trace,
    /// Those that nobody can tell apart.
    Observed,
}
