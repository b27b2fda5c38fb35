//! Lost reduction: pairs of actions that conflict somewhere, though they leave the same in both orders everywhere.

use std::collections::{BTreeMap, BTreeSet};

use cooks_harness::model::{Operation, ProcessId};

use crate::drops::{Drops, accesses_of, word};
use crate::held::{Tracing, Tried};
use crate::pairs::Found;
use crate::tried::Pair;
use crate::worlds::{WORLDS, World};

/// An action that has nothing to do with any other.
const NOTHING: &str = "access '#nothing F_OK";

/// What actions do by themselves, by A and by B.
type Alone = BTreeMap<&'static str, [Vec<Operation>; 2]>;

/// What each action does in a world where no other is done.
fn alone(tracing: &mut Tracing, world: &'static World, drops: &mut Drops) -> Alone {
    let mut done = Alone::new();
    for action in world.actions.concat() {
        let mut does = |place: usize| {
            let (a, b) = if place == 0 { (action, NOTHING) } else { (NOTHING, action) };
            match tracing.try_pair(&Pair { world, a, b }.scripts()) {
                Tried::Orders(mut orders) => std::mem::take(&mut orders[0].done[place]),
                _ => Vec::new(),
            }
        };
        let both = [does(0), does(1)];
        drops.met.extend(both.iter().flatten().flat_map(accesses_of));
        done.insert(action, both);
    }
    done
}

/// The last call of an action.
fn call(action: &str) -> &str {
    let last = action.rsplit("; ").next().unwrap_or(action);
    last.split(' ').next().unwrap_or(last)
}

/// What two operations conflict in.
fn contested(a: &[Operation], b: &[Operation]) -> BTreeSet<&'static str> {
    let both = a.iter().flat_map(|a| b.iter().map(move |b| (a, b)));
    let conflicts = both.flat_map(|(a, b)| {
        let pairs = a.accesses.iter().flat_map(|a| b.accesses.iter().map(move |b| (a, b)));
        let own = pairs.filter(|(a, b)| a.conflicts(b)).map(|(a, _)| word(&a.location));
        let about = a.concerns(ProcessId(2)) || b.concerns(ProcessId(1));
        own.chain(about.then_some("process"))
    });
    conflicts.collect()
}

/// A kind of lost reduction: two calls, and what they conflict in.
type Kind = (&'static str, &'static str, String);

/// The lost reductions of all pairs, given what was found of these: of each kind how many there are, and an example. Notes in `drops` all
/// accesses of the actions.
pub fn lost(pairs: &[Pair], found: &[Found], drops: &mut Drops) -> String {
    let matters = |found: &Found| !matches!(found, Found::Same | Found::Impossible);
    let key = |pair: &Pair| (pair.a.max(pair.b), pair.a.min(pair.b));
    let differ: BTreeSet<_> =
        pairs.iter().zip(found).filter(|(_, found)| matters(found)).map(|(pair, _)| key(pair)).collect();
    let (mut lost, mut tracing) = (BTreeMap::new(), Tracing::start());
    for world in WORLDS.iter().filter(|world| pairs.iter().any(|pair| pair.world == *world)) {
        let alone = alone(&mut tracing, world, drops);
        let same =
            pairs.iter().zip(found).filter(|(pair, found)| pair.world == world && **found == Found::Same);
        for (pair, _) in same.filter(|(pair, _)| !differ.contains(&key(pair))) {
            let contested = contested(&alone[pair.a][0], &alone[pair.b][1]);
            if !contested.is_empty() {
                lost.entry(key(pair)).or_insert((*pair, contested));
            }
        }
    }
    let mut kinds: BTreeMap<Kind, (usize, Pair)> = BTreeMap::new();
    for ((a, b), (pair, contested)) in &lost {
        let (a, b) = (call(a), call(b));
        let what: Vec<&str> = contested.iter().copied().collect();
        kinds.entry((a.min(b), a.max(b), what.join("+"))).or_insert((0, *pair)).0 += 1;
    }
    println!("{} pairs of actions conflict and never differ: {} kinds of calls", lost.len(), kinds.len());
    let line = |((a, b, what), (count, pair)): (&Kind, &(usize, Pair))| {
        format!("lost reduction | {a} | {b} | {what} | {count} | {pair}\n")
    };
    kinds.iter().map(line).collect()
}
