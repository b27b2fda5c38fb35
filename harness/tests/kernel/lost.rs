//! Lost reduction: pairs of actions that conflict somewhere, though they leave the same in both orders everywhere.

use std::collections::{BTreeMap, BTreeSet};

use cooks_harness::model::{Operation, ProcessId};

use crate::actions::actions;
use crate::held::{Tracing, Tried};
use crate::pairs::Found;
use crate::tried::Pair;
use crate::worlds::{WORLDS, World};

/// An action that has nothing to do with any other.
const NOTHING: &str = "access '#nothing F_OK";

/// What each action does in a world where no other is done, by A and by B.
fn alone(tracing: &mut Tracing, world: &'static World) -> BTreeMap<&'static str, [Vec<Operation>; 2]> {
    let mut done = BTreeMap::new();
    for action in actions() {
        let mut does = |place: usize| {
            let (a, b) = if place == 0 { (action, NOTHING) } else { (NOTHING, action) };
            match tracing.try_pair(&Pair { world, a, b }.scripts()) {
                Tried::Orders(mut orders) => std::mem::take(&mut orders[0].done[place]),
                _ => Vec::new(),
            }
        };
        done.insert(action, [does(0), does(1)]);
    }
    done
}

/// Those of all pairs, given what was found of them.
pub fn lost(pairs: &[Pair], found: &[Found]) -> BTreeSet<(&'static str, &'static str)> {
    let matters = |found: &Found| !matches!(found, Found::Same | Found::Impossible);
    let key = |pair: &Pair| (pair.a.max(pair.b), pair.a.min(pair.b));
    let differ: BTreeSet<_> =
        pairs.iter().zip(found).filter(|(_, found)| matters(found)).map(|(pair, _)| key(pair)).collect();
    let (mut lost, mut tracing) = (BTreeSet::new(), Tracing::start());
    for world in WORLDS {
        let alone = alone(&mut tracing, world);
        let same =
            pairs.iter().zip(found).filter(|(pair, found)| pair.world == world && **found == Found::Same);
        for (pair, _) in same.filter(|(pair, _)| !differ.contains(&key(pair))) {
            let (a, b) = (&alone[pair.a][0], &alone[pair.b][1]);
            if a.iter().any(|a| b.iter().any(|b| a.disturbs(ProcessId(1), b, ProcessId(2)))) {
                lost.insert(key(pair));
            }
        }
    }
    lost
}
