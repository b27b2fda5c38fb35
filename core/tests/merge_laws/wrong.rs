//! A second merge, written for the tests alone, into which one bug at a time can be put: the laws must refuse each,
//! and the merge without a bug must pass. So they are known to look.

use std::collections::BTreeSet;

use cooks_core::Metadata;
use cooks_core::merge::{Conflict, Conflicts, Merged, Policy};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Map, Value, json};

use crate::LAWS;
use crate::cases::{World, name};

/// What can be wrong with a merge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bug {
    LastWriterWins,
    FirstWriterWins,
    MyDeletionsComeBack,
    TheirDeletionsComeBack,
    DeletionsWin,
    EditsWin,
    NullIsMissing,
    NothingInsideIsMerged,
    TheBaseIsForgotten,
    AScalarBaseIsAnEmptyObject,
    ANewObjectIsAConflict,
    EqualChangesAreAConflict,
    ArraysAreJoined,
    ConflictsAreSilent,
    ConflictsAreReversed,
    ThePolicyIsTurnedRound,
    SetsKeepWhatWasRemoved,
    SetsKeepBothCopies,
    SetsTakeMine,
    SetsAreInMyOrder,
    ListsGoByPosition,
    ListsKeepWhatWasRemoved,
    ListsAreInMyOrder,
    CountersTakeTheLarger,
    CountersCountEqualChangesOnce,
    CountersForgetTheBase,
    CountersInEqualPartsCountOnce,
}

const BUGS: [Bug; 27] = [
    Bug::LastWriterWins,
    Bug::FirstWriterWins,
    Bug::MyDeletionsComeBack,
    Bug::TheirDeletionsComeBack,
    Bug::DeletionsWin,
    Bug::EditsWin,
    Bug::NullIsMissing,
    Bug::NothingInsideIsMerged,
    Bug::TheBaseIsForgotten,
    Bug::AScalarBaseIsAnEmptyObject,
    Bug::ANewObjectIsAConflict,
    Bug::EqualChangesAreAConflict,
    Bug::ArraysAreJoined,
    Bug::ConflictsAreSilent,
    Bug::ConflictsAreReversed,
    Bug::ThePolicyIsTurnedRound,
    Bug::SetsKeepWhatWasRemoved,
    Bug::SetsKeepBothCopies,
    Bug::SetsTakeMine,
    Bug::SetsAreInMyOrder,
    Bug::ListsGoByPosition,
    Bug::ListsKeepWhatWasRemoved,
    Bug::ListsAreInMyOrder,
    Bug::CountersTakeTheLarger,
    Bug::CountersCountEqualChangesOnce,
    Bug::CountersForgetTheBase,
    Bug::CountersInEqualPartsCountOnce,
];

/// The cases are the same in every run.
const SEED: [u8; 32] = *b"too many cooks, three way merges";

/// A law that refuses a merge with this bug, and in which world. The last laws are the most particular: they are
/// tried first, because they mostly find at once what the others do not.
fn refusal(bug: Option<Bug>) -> Option<String> {
    LAWS.iter().rev().find_map(|law| {
        // Misfits differ from Plain in the strategies alone, of which this merge knows those that fit.
        let mut worlds = law.worlds.iter().filter(|world| **world != World::Misfit);
        worlds.find_map(|&world| {
            let config =
                Config { cases: 200, failure_persistence: None, max_shrink_iters: 0, ..Config::default() };
            let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &SEED);
            let wrong = |b: &Metadata, m: &Metadata, d: &Metadata, policy| {
                Wrong::merge(bug, world, policy, [b, m, d])
            };
            let mut runner = TestRunner::new_with_rng(config, rng);
            let run = runner.run(&world.cases(), |case| (law.check)(&wrong, &case));
            run.err().map(|error| format!("{} ({world:?}): {error}", law.name))
        })
    })
}

#[test]
fn the_laws_refuse_every_wrong_merge() {
    println!("seed: {:?}", String::from_utf8_lossy(&SEED));
    let passed: Vec<_> = BUGS
        .into_iter()
        .filter(|&bug| {
            let refused = refusal(Some(bug));
            println!("{bug:?}: {}", refused.as_deref().unwrap_or("no law refuses it"));
            refused.is_none()
        })
        .collect();
    assert!(passed.is_empty(), "no law refuses {passed:?}");
}

#[test]
fn the_laws_pass_the_same_merge_without_a_bug() {
    println!("seed: {:?}", String::from_utf8_lossy(&SEED));
    assert_eq!(refusal(None), None);
}

type Side<'a> = Option<&'a Value>;

struct Wrong {
    bug: Option<Bug>,
    world: World,
    policy: Policy,
    path: Vec<String>,
    conflicts: Vec<Conflict>,
}

impl Wrong {
    fn merge(
        bug: Option<Bug>,
        world: World,
        policy: Policy,
        [b, m, d]: [&Metadata; 3],
    ) -> Result<Merged, Conflicts> {
        let mut wrong = Wrong { bug, world, policy, path: Vec::new(), conflicts: Vec::new() };
        let value = wrong.objects(Some(b), m, d);
        let mut conflicts = wrong.conflicts;
        conflicts.sort_by(|a, b| a.path.cmp(&b.path));
        match bug {
            Some(Bug::ConflictsAreReversed) => conflicts.reverse(),
            Some(Bug::ConflictsAreSilent) => conflicts.clear(),
            _ => {}
        }
        if policy == Policy::Fail && !conflicts.is_empty() {
            Err(Conflicts(conflicts))
        } else {
            Ok(Merged { value, conflicts })
        }
    }

    fn has(&self, bug: Bug) -> bool {
        self.bug == Some(bug)
    }

    fn objects(&mut self, b: Option<&Metadata>, m: &Metadata, d: &Metadata) -> Metadata {
        let empty = Map::new();
        let b = b.filter(|_| !self.has(Bug::TheBaseIsForgotten)).unwrap_or(&empty);
        let keys: BTreeSet<&String> = b.keys().chain(m.keys()).chain(d.keys()).collect();
        let merged = keys.into_iter().filter_map(|key| {
            let value = self.under(key, b.get(key), m.get(key), d.get(key))?;
            Some((key.clone(), value))
        });
        merged.collect()
    }

    fn under(&mut self, key: &str, b: Side, m: Side, d: Side) -> Option<Value> {
        self.path.push(key.to_owned());
        let solid = |side: Side| side.filter(|value| !value.is_null()).is_some();
        let value = match self.bug {
            Some(Bug::LastWriterWins) => m.cloned(),
            Some(Bug::FirstWriterWins) => d.cloned(),
            Some(Bug::MyDeletionsComeBack) if m.is_none() => d.cloned(),
            Some(Bug::TheirDeletionsComeBack) if d.is_none() => m.cloned(),
            Some(Bug::DeletionsWin) if b.is_some() && (m.is_none() || d.is_none()) => None,
            Some(Bug::EditsWin) if b.is_some() && m.is_none() && d != b => d.cloned(),
            Some(Bug::EditsWin) if b.is_some() && d.is_none() && m != b => m.cloned(),
            Some(Bug::NullIsMissing) if m.is_some() && !solid(m) => None,
            _ => self.values(b, m, d),
        };
        self.path.pop();
        value
    }

    fn values(&mut self, b: Side, m: Side, d: Side) -> Option<Value> {
        let equal = m == d && (self.world != World::Counted || self.has(Bug::CountersInEqualPartsCountOnce));
        if m == b {
            return d.cloned();
        }
        if d == b || (equal && !self.has(Bug::EqualChangesAreAConflict)) {
            return m.cloned();
        }
        if let Some(value) = self.special(b, m, d) {
            return Some(value);
        }
        let scalar_is_empty = self.has(Bug::AScalarBaseIsAnEmptyObject);
        match (b, m, d) {
            (_, Some(Value::Object(m)), Some(Value::Object(d))) if !self.has(Bug::NothingInsideIsMerged) => {
                match b {
                    None if !self.has(Bug::ANewObjectIsAConflict) => Some(self.objects(None, m, d).into()),
                    Some(Value::Object(b)) => Some(self.objects(Some(b), m, d).into()),
                    Some(_) if scalar_is_empty => Some(self.objects(None, m, d).into()),
                    _ => self.conflict(b, Some(&m.clone().into()), Some(&d.clone().into())),
                }
            }
            (_, Some(Value::Array(m)), Some(Value::Array(d))) if self.has(Bug::ArraysAreJoined) => {
                Some(d.iter().chain(m).cloned().collect())
            }
            _ if m == d && !self.has(Bug::EqualChangesAreAConflict) => m.cloned(),
            _ => self.conflict(b, m, d),
        }
    }

    /// Sets, keyed lists and counters, where the world has them.
    fn special(&mut self, b: Side, m: Side, d: Side) -> Option<Value> {
        let path: Vec<_> = self.path.iter().map(String::as_str).collect();
        let kind = match path[..] {
            [_, kind] | [_, "b", _, kind] => kind,
            _ => return None,
        };
        if self.world == World::Plain {
            return None;
        }
        if let (Value::Array(m), Value::Array(d)) = (m?, d?) {
            let none = Vec::new();
            let b = b.map_or(Some(&none), Value::as_array)?;
            return match kind {
                "a" => Some(self.sets(b, m, d)),
                "b" => Some(self.lists(b, m, d)),
                _ => None,
            };
        }
        let (b, m, d) = (b.map_or(Some(0), Value::as_i64)?, m?.as_i64()?, d?.as_i64()?);
        (kind == "c" && self.world == World::Counted).then(|| match self.bug {
            Some(Bug::CountersTakeTheLarger) => json!(m.max(d)),
            Some(Bug::CountersCountEqualChangesOnce) if m == d => json!(m),
            Some(Bug::CountersForgetTheBase) => json!(m + d),
            _ => json!(d + m - b),
        })
    }

    fn sets(&self, b: &[Value], m: &[Value], d: &[Value]) -> Value {
        let (first, second) = if self.has(Bug::SetsAreInMyOrder) { (m, d) } else { (d, m) };
        let old = first.iter().filter(|item| {
            self.has(Bug::SetsKeepWhatWasRemoved) || second.contains(item) || !b.contains(item)
        });
        let new = second
            .iter()
            .filter(|item| !b.contains(item) && (self.has(Bug::SetsKeepBothCopies) || !first.contains(item)));
        if self.has(Bug::SetsTakeMine) { m.into() } else { old.chain(new).cloned().collect() }
    }

    fn lists(&mut self, b: &[Value], m: &[Value], d: &[Value]) -> Value {
        let by_position = self.has(Bug::ListsGoByPosition);
        let (first, second) = if self.has(Bug::ListsAreInMyOrder) { (m, d) } else { (d, m) };
        let mut keys: Vec<String> = Vec::new();
        for element in first.iter().chain(second) {
            if !keys.contains(&name(element)) {
                keys.push(name(element));
            }
        }
        let keep = self.has(Bug::ListsKeepWhatWasRemoved);
        let merged = keys.iter().enumerate().filter_map(|(position, key)| {
            let [b, m, d] = [b, m, d].map(|side| {
                let named = side.iter().find(|element| name(element) == *key);
                if by_position { side.get(position) } else { named }
            });
            if keep && m.is_none() { d.cloned() } else { self.under(key, b, m, d) }
        });
        merged.collect()
    }

    fn conflict(&mut self, b: Side, m: Side, d: Side) -> Option<Value> {
        let mine = (self.policy == Policy::PreferMine) != self.has(Bug::ThePolicyIsTurnedRound);
        let (path, writers) = (self.path.clone(), vec![self.path[0].clone()]);
        let [base, own, disk] = [b, m, d].map(Option::<&Value>::cloned);
        self.conflicts.push(Conflict { path, base, mine: own, disk, writers });
        if mine { m.cloned() } else { d.cloned() }
    }
}
