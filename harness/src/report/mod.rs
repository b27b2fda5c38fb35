//! The reports: what an exploration concluded, for people and for programs.
//!
//! Pure: writes to a given writer; knows neither terminals nor files.

mod ci;
pub(crate) mod counts;
mod expected;
mod fingerprint;
mod human;
mod json;
pub(crate) mod layout;
mod merge;
mod select;
mod suite;
#[cfg(test)]
mod tests;
mod timeline;
pub mod visible;
pub mod words;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

pub use crate::model::End;
use crate::model::{Anomaly, CriticalStep, Ending, Execution, Gap, Kind, Outcome, ProcessId, Said, Verdict};
use crate::scenario::{Equivalence, Expect};
use crate::verdict::{Because, Conclusion, Coverage, Facts, SerialFailure, sentence};

pub use ci::{github, junit};
pub use expected::differences;
pub use fingerprint::fingerprint;
pub(crate) use human::argument;
pub use human::{human, verdict};
pub use json::{json, json_of_suite};
pub use layout::Style;
pub use merge::{MergeError, merge};
pub use suite::{Broken, Ran, Suite, table};

/// The exit code of a fault of `cooks` itself.
const INTERNAL: u8 = 6;

/// What an exploration concluded.
#[derive(Clone, Debug)]
pub struct Report {
    /// The scenario's name.
    pub scenario: String,
    /// The conclusion, which the gate alone makes.
    pub conclusion: Conclusion,
    /// Whether every interleaving was tried.
    pub exhaustive: bool,
    /// Why it ended.
    pub end: End,
    /// What the executions stand for, where the strategy has a word for it: `all schedules with at most 2 preemptions`.
    pub covered: Option<String>,
    /// What the verdict rests on, besides the executions.
    pub basis: Basis,
    /// The strategy's name.
    pub strategy: String,
    /// Which executions it took for the same.
    pub equivalence: Equivalence,
    /// The seed that it had.
    pub seed: u64,
    /// The processes' commands, in their order.
    pub commands: Vec<String>,
    /// All runs of the search; serial runs apart.
    pub executions: u64,
    /// Of them, those in which every process ran to its exit.
    pub complete: u64,
    /// Of them, those that ended with processes that wait for each other.
    pub blocked: u64,
    /// Of them, those that were cut because an equivalent one had been run.
    pub redundant: u64,
    /// Of them, those that belong to another shard, which counts them as well.
    pub elsewhere: u64,
    /// How many serial runs were made.
    pub serial_runs: u64,
    /// How many different outcomes there were.
    pub distinct_outcomes: u64,
    /// How many different outcomes the serial runs left.
    pub serial_outcomes: u64,
    /// Steps, of all executions together.
    pub steps: u64,
    /// How long it took, in seconds.
    pub elapsed_s: f64,
    /// What was found, in the order of the executions.
    pub anomalies: Vec<Finding>,
    /// What the scenario is expected to give, where it is held to that.
    pub expected: Option<Expect>,
    /// A fingerprint for each of the different outcomes, sorted.
    pub outcomes: BTreeSet<String>,
    /// A fingerprint of what was explored: scenario and workspace.
    pub subject: String,
    /// Which part of the exploration this is, where it is not all of it.
    pub shard: Option<Shard>,
    /// What was seen where the processes ran free, and nobody searched.
    pub chance: Option<Chance>,
    /// How many executions were run twice more, with checkpoints and without, and came out the same, byte for byte; where some were to be.
    pub verified: Option<u64>,
}

/// What was seen of processes that ran free: the executions are runs.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Chance {
    /// Runs with an anomaly.
    pub hits: u64,
    /// Runs that were not over in time, and were ended.
    pub unfinished: u64,
    /// How many runs there were at a time.
    pub at_once: usize,
    /// How much later than the first each process began at most, in microseconds.
    pub jitter_us: u64,
    /// How long a run was waited for, in seconds.
    pub patience_s: f64,
    /// Runs with an anomaly, by its kind.
    pub kinds: BTreeMap<Kind, u64>,
}

/// The strategy that there is where nobody searches.
pub const STRESS: &str = "stress";

/// What the verdict rests on, besides the executions of the search.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Basis {
    /// How many pairs of operations of different processes conflict in the first execution; `None` if none was run. 0: these commands share
    /// nothing that changes.
    pub conflicts: Option<u64>,
    /// The files that each process wrote, sorted: relative to the workspace, absolute outside it.
    pub written: BTreeMap<ProcessId, BTreeSet<String>>,
    /// Whether all that the processes change and print is left out of the outcome, so that no two outcomes can differ by it.
    pub nothing_compared: bool,
    /// The coverage gaps, sorted.
    pub gaps: Vec<Gap>,
    /// What the gaps were made from, and what the user accepts: for joining the results of shards.
    pub coverage: Coverage,
    /// What the user accepts.
    pub accept: Vec<String>,
    /// Each `--accept` that matched no gap.
    pub unmatched: Vec<String>,
    /// The processes that succeed in no serial order and need to.
    pub serial_failures: Vec<SerialFailure>,
    /// A serial order that a bound cut: which bound, and what happened, in words.
    pub unfinished: Option<(End, String)>,
    /// What a self-check found wrong.
    pub self_check: Option<String>,
    /// Of a shard: the fingerprints of the outcomes that all shards together have to meet, each with the serial order that leaves it.
    pub serial: BTreeMap<String, String>,
    /// What ended the search, in words, if its end alone does not say it.
    pub why: Option<String>,
    /// What a reader should know of how the serial outcomes were made.
    pub remarks: Vec<String>,
}

impl Basis {
    /// What the gate looks at, of a search that ended like this and found an anomaly that was replayed, or none.
    #[must_use]
    pub fn facts(&self, end: End, confirmed: bool) -> Facts<'_> {
        Facts {
            confirmed,
            serial_failures: &self.serial_failures,
            unfinished: self.unfinished.as_ref().map(|(end, order)| (*end, order.as_str())),
            gaps: &self.gaps,
            self_check: self.self_check.as_deref(),
            ..Facts::of(end)
        }
    }

    /// What was not covered, in sentences: gaps, then remarks.
    #[must_use]
    pub fn not_covered(&self) -> Vec<String> {
        self.gaps.iter().map(sentence).chain(self.remarks.iter().cloned()).collect()
    }
}

impl Report {
    /// The verdict.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        self.conclusion.verdict()
    }

    /// The exit code of the verdict: 0 clean, 1 anomaly, 3 inconclusive, 6 if a self-check failed, which says that nothing else can be
    /// relied on.
    #[must_use]
    pub fn code(&self) -> u8 {
        let failed = |because: &Because| matches!(because, Because::SelfCheck(_));
        match self.verdict() {
            _ if self.conclusion.because().iter().any(failed) => INTERNAL,
            Verdict::Clean => 0,
            Verdict::Anomaly => 1,
            Verdict::Inconclusive => 3,
        }
    }

    /// What it is held to: a shard to nothing, only what all of them come to.
    #[must_use]
    pub fn expectation(&self) -> Option<&Expect> {
        self.expected.as_ref().filter(|_| self.shard.is_none())
    }
}

/// One of several shards of an exploration.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Shard {
    /// Which, from 1.
    pub number: u32,
    /// Of how many.
    pub of: u32,
}

impl Shard {
    /// So many shards there may be of one exploration.
    pub const MOST: u32 = 65_536;
}

impl std::fmt::Display for Shard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.number, self.of)
    }
}

impl std::str::FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts =
            text.split_once('/').and_then(|(number, of)| Some((number.parse().ok()?, of.parse().ok()?)));
        match parts {
            Some((_, of)) if of > Self::MOST => {
                Err(format!("`{text}` is no shard: there are at most {} of an exploration", Self::MOST))
            }
            Some((number, of)) if 1 <= number && number <= of => Ok(Self { number, of }),
            _ => Err(format!("`{text}` is no shard: give its number and how many there are, as in 2/8")),
        }
    }
}

/// An anomaly that was found, and where.
#[derive(Clone, Debug)]
pub struct Finding {
    /// What is wrong.
    pub anomaly: Anomaly,
    /// The two operations that it hangs on, the earlier first: the other way round it goes. None where they are not known.
    pub critical: Vec<CriticalStep>,
    /// The execution in which it shows, as the witness has it: as simple a one as was found.
    pub shown: Execution,
    /// The number of the execution that showed it first, from 1.
    pub execution: u64,
    /// How often its schedule goes from one process to another.
    pub context_switches: u64,
    /// Where the witness was written, if it was.
    pub witness: Option<String>,
    /// How many times it was replayed and came out the same.
    pub replayed: u32,
    /// In how many runs it was seen, where chance decided.
    pub hits: Option<u64>,
    /// What the processes wrote to their standard error in the execution that shows it.
    pub stderr: Said,
}

impl Finding {
    /// One that nobody has the execution of: it was seen in so many runs, in this one first.
    #[must_use]
    pub fn by_chance(anomaly: Anomaly, first: u64, hits: u64) -> Self {
        let (schedule, trace, outcome) = (Vec::new(), Vec::new(), Outcome::default());
        Self {
            anomaly,
            critical: Vec::new(),
            shown: Execution { schedule, trace, ending: Ending::Complete, outcome },
            execution: first,
            context_switches: 0,
            witness: None,
            replayed: 0,
            hits: Some(hits),
            stderr: Said::default(),
        }
    }
}
