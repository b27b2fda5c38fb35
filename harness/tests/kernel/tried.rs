//! Which pairs there are, and what is found of many of them.

use std::sync::Mutex;

use cooks_harness::explore::SplitMix64;

use crate::drops::Drops;
use crate::held::Tracing;
use crate::pairs::{Found, Glasses, find};
use crate::program::{Reference, Scripts};
use crate::worlds::{ORDINARY, Users, WORLDS, World};

/// Two actions by two processes in a world.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pair {
    pub world: &'static World,
    pub a: &'static str,
    pub b: &'static str,
}

impl std::fmt::Display for Pair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} | {} | {}", self.world.name, self.a, self.b)
    }
}

/// One call a line.
pub fn lines(calls: &str) -> String {
    calls.split("; ").map(|call| format!("{}\n", call.trim())).collect()
}

/// The script of a process that does this action, after these calls.
fn script(action: &str, before: &str) -> String {
    let all = if before.is_empty() { action.to_owned() } else { format!("{before}; {action}") };
    let (needed, call) = all.rsplit_once("; ").unwrap_or(("", &all));
    let needed = if needed.is_empty() { String::new() } else { lines(needed) };
    format!("{needed}--\n{call}")
}

impl Pair {
    pub fn in_world(world: &str, a: &'static str, b: &'static str) -> Self {
        let world = WORLDS.iter().find(|known| known.name == world).expect("a world");
        Self { world, a, b }
    }

    pub fn scripts(&self) -> Scripts {
        let before = if self.world.users == Users::Ordinary { ORDINARY } else { "" };
        Scripts {
            world: lines(self.world.calls),
            processes: vec![script(self.a, ""), script(self.b, before)],
        }
    }
}

/// All pairs of all worlds: where both processes are alike, each in one of the two ways.
pub fn pairs() -> Vec<Pair> {
    let mut pairs = Vec::new();
    for world in WORLDS {
        let actions = world.actions.concat();
        for (at, &a) in actions.iter().enumerate() {
            let others = if world.users == Users::Same { &actions[..=at] } else { &actions[..] };
            pairs.extend(others.iter().map(|&b| Pair { world, a, b }));
        }
    }
    pairs
}

/// So many of them, by chance.
pub fn some(seed: u64, count: usize) -> Vec<Pair> {
    let (mut random, mut pairs) = (SplitMix64::new(seed), pairs());
    let count = count.min(pairs.len());
    for place in 0..count {
        let other = place + random.below(pairs.len() - place);
        pairs.swap(place, other);
    }
    pairs.truncate(count);
    pairs
}

/// Tries pairs side by side; what is found of each, in their order.
pub fn try_all(pairs: &[Pair], glasses: Glasses) -> Vec<Found> {
    try_and_drop(pairs, glasses).0
}

/// The same, and what comes of dropping accesses.
pub fn try_and_drop(pairs: &[Pair], glasses: Glasses) -> (Vec<Found>, Drops) {
    let workers = std::thread::available_parallelism().map_or(1, usize::from).min(4);
    let next = Mutex::new(0..pairs.len());
    let found = Mutex::new((vec![Found::Same; pairs.len()], Drops::default()));
    std::thread::scope(|scope| {
        for _ in 0..workers {
            let (next, found) = (&next, &found);
            scope.spawn(move || {
                // In this order: the reference is on the core of its worker, of which it waits for the other.
                let mut tracing = Tracing::start();
                let mut reference = Reference::start();
                let mut drops = Drops::default();
                loop {
                    let Some(place) = next.lock().expect("no worker has failed").next() else { break };
                    let pair = (place, &pairs[place]);
                    let one = find(&mut reference, &mut tracing, pair, glasses, &mut drops);
                    found.lock().expect("no worker has failed").0[place] = one;
                }
                found.lock().expect("no worker has failed").1.join(drops);
            });
        }
    });
    found.into_inner().expect("no worker has failed")
}
