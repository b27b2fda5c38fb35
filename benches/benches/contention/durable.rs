//! Durable updates: many agents in one file, each writer changing its own part, nothing lost.

use std::path::Path;

use cooks_benches::{crowd, ours};
use cooks_core::Agent;
use serde_json::Value;

use crate::Run;
use crate::pack::{self, Tally, Work, timed};
use crate::table::{Figures, Table};

/// A store of the parts of all agents.
pub struct Keeper {
    pub name: &'static str,
    /// Writes the parts, before the processes begin.
    pub prepare: fn(&Path),
    /// Opens the store for the agent of that number. What it gives counts one more update, durably.
    pub open: fn(&Path, usize) -> Box<dyn FnMut()>,
    /// The part of the agent of that number.
    pub stored: fn(&Path, usize) -> Value,
}

const KEEPERS: &[Keeper] = &[
    Keeper { name: "ours, no group commit", prepare: crowd::write, open: open_update, stored },
    Keeper { name: ours::GROUP_COMMIT, prepare: crowd::write, open: open_change, stored },
    #[cfg(feature = "peers")]
    crate::peers::SQLITE,
    #[cfg(feature = "peers")]
    crate::peers::LMDB,
];

pub fn measure(run: &Run) {
    for count in [1, 8, 16] {
        let title = format!("durable {count}");
        let mut table = Table::new(title.clone(), None);
        for keeper in KEEPERS {
            run.cell(&title, keeper.name, |dir| {
                (keeper.prepare)(dir);
                let tallies = pack::run(count, run.time, |number| writer(keeper, dir, number));
                verify(keeper, dir, &tallies);
                table.row(keeper.name, Figures::of(&tallies, run.time));
            });
        }
    }
}

fn writer(keeper: &Keeper, dir: &Path, number: usize) -> Work {
    timed((keeper.open)(dir, number))
}

/// The store counts what was acknowledged, for each agent: no update fewer, and none more.
fn verify(keeper: &Keeper, dir: &Path, tallies: &[Tally]) {
    for number in 0..crowd::AGENTS {
        let acknowledged = tallies.get(number).map_or(0, |tally| tally.waits.len() as u64);
        let counted = crowd::updates(&(keeper.stored)(dir, number));
        let agent = crowd::id(number);
        assert_eq!(counted, acknowledged, "{}: counted and acknowledged for {agent}", keeper.name);
    }
}

fn open_update(dir: &Path, number: usize) -> Box<dyn FnMut()> {
    let agent = open(dir, number);
    Box::new(move || ours::update(&agent, count))
}

fn open_change(dir: &Path, number: usize) -> Box<dyn FnMut()> {
    let agent = open(dir, number);
    Box::new(move || ours::change(&agent, count))
}

fn open(dir: &Path, number: usize) -> Agent {
    ours::open(dir).agent(&crowd::id(number)).expect("the agent is free")
}

fn count(part: &mut Option<Value>) {
    crowd::count(part.as_mut().expect("the agent has a part"));
}

fn stored(dir: &Path, number: usize) -> Value {
    ours::open(dir).load().expect("the file loads")[&crowd::id(number)].clone()
}
