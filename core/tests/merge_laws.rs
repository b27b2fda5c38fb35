//! The laws of the three-way merge, for random objects. proptest prints the case that breaks one, and its seed.

use cooks_core::Metadata;
use cooks_core::merge::{Conflict, Merged, Policy, merge};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// Few keys and few values, so that the three sides meet often.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (0..3).prop_map(Value::from),
        Just(json!([1])),
        Just(json!([1, 2])),
        Just(json!({})),
    ];
    leaf.prop_recursive(3, 24, 3, |inner| object_of(inner).prop_map(Value::from))
}

fn object_of(inner: impl Strategy<Value = Value>) -> impl Strategy<Value = Metadata> {
    proptest::collection::btree_map("[abc~/]", inner, 0..4).prop_map(|fields| fields.into_iter().collect())
}

fn object() -> impl Strategy<Value = Metadata> {
    object_of(value())
}

/// Three objects that have much in common: two are edits of the first.
fn three() -> impl Strategy<Value = (Metadata, Metadata, Metadata)> {
    let edits =
        || proptest::collection::vec((any::<prop::sample::Index>(), proptest::option::of(value())), 0..4);
    (object(), edits(), edits(), object()).prop_map(|(base, mine, disk, other)| {
        let (mine, mut disk) = (edit(&base, &mine), edit(&base, &disk));
        // Sometimes something that has nothing to do with the base.
        if other.len() == 1 {
            disk = other;
        }
        (base, mine, disk)
    })
}

/// Replaces (or removes) values of `base`, each at a path of it or of a new key.
fn edit(base: &Metadata, edits: &[(prop::sample::Index, Option<Value>)]) -> Metadata {
    let mut result = base.clone();
    for (index, value) in edits {
        let mut paths = paths(&result);
        paths.extend(["a", "b", "c", "d"].map(|key| vec![key.to_owned()]));
        set(&mut result, &paths[index.index(paths.len())], value.clone());
    }
    result
}

fn set(object: &mut Metadata, path: &[String], value: Option<Value>) {
    match (path, value) {
        ([key], Some(value)) => drop(object.insert(key.clone(), value)),
        ([key], None) => drop(object.remove(key)),
        ([key, rest @ ..], value) => {
            if let Some(Value::Object(inner)) = object.get_mut(key) {
                set(inner, rest, value);
            }
        }
        ([], _) => {}
    }
}

/// The paths of all values, outer before inner.
fn paths(object: &Metadata) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for (key, value) in object {
        found.push(vec![key.clone()]);
        if let Value::Object(inner) = value {
            found.extend(paths(inner).into_iter().map(|rest| [vec![key.clone()], rest].concat()));
        }
    }
    found
}

fn get<'a>(object: &'a Metadata, path: &[String]) -> Option<&'a Value> {
    let (last, outer) = path.split_last()?;
    outer.iter().try_fold(object, |object, key| object.get(key)?.as_object())?.get(last)
}

fn merged(base: &Metadata, mine: &Metadata, disk: &Metadata, policy: Policy) -> Merged {
    merge(base, mine, disk, policy).expect("a policy that decides")
}

fn swapped(conflict: Conflict) -> Conflict {
    Conflict { mine: conflict.disk, disk: conflict.mine, ..conflict }
}

const DECIDING: [Policy; 2] = [Policy::PreferMine, Policy::PreferTheirs];

proptest! {
    #[test]
    fn what_nobody_else_touched_becomes_mine((base, mine, _) in three()) {
        prop_assert_eq!(merge(&base, &mine, &base, Policy::Fail).expect("no conflict").value, mine);
    }

    #[test]
    fn what_i_did_not_touch_stays_theirs((base, _, disk) in three()) {
        prop_assert_eq!(merge(&base, &base, &disk, Policy::Fail).expect("no conflict").value, disk);
    }

    #[test]
    fn the_same_change_twice_is_that_change((base, mine, _) in three()) {
        prop_assert_eq!(merge(&base, &mine, &mine, Policy::Fail).expect("no conflict").value, mine);
    }

    #[test]
    fn merging_again_changes_nothing((base, mine, disk) in three()) {
        for policy in DECIDING {
            let once = merged(&base, &mine, &disk, policy).value;
            prop_assert_eq!(&merged(&base, &mine, &once, policy).value, &once);
        }
    }

    #[test]
    fn the_sides_can_be_swapped_but_for_the_labels((base, mine, disk) in three()) {
        let one = merged(&base, &mine, &disk, Policy::PreferMine);
        let other = merged(&base, &disk, &mine, Policy::PreferTheirs);
        prop_assert_eq!(one.value, other.value);
        prop_assert_eq!(one.conflicts, other.conflicts.into_iter().map(swapped).collect::<Vec<_>>());
    }

    #[test]
    fn changes_in_different_parts_give_the_same_in_any_order(
        base in object(), mine in object(), theirs in object(), split in any::<[bool; 5]>()
    ) {
        // Each key belongs to one of the two.
        let is_mine = |key: &str| split[key.bytes().map(usize::from).sum::<usize>() % 5];
        let part = |from: &Metadata, want: bool| -> Metadata {
            let keep = from.iter().filter(|(key, _)| is_mine(key) == want);
            let rest = base.iter().filter(|(key, _)| is_mine(key) != want);
            keep.chain(rest).map(|(key, value)| (key.clone(), value.clone())).collect()
        };
        let (mine, theirs) = (part(&mine, true), part(&theirs, false));
        let save = |first: &Metadata, then: &Metadata| {
            let after = merge(&base, first, &base, Policy::Fail).expect("no conflict").value;
            merge(&base, then, &after, Policy::Fail).expect("no conflict").value
        };
        prop_assert_eq!(save(&mine, &theirs), save(&theirs, &mine));
    }

    #[test]
    fn what_only_one_side_wrote_is_never_lost((base, mine, disk) in three()) {
        for policy in DECIDING {
            let result = merged(&base, &mine, &disk, policy);
            let decided = |path: &[String]| result.conflicts.iter().any(|conflict| {
                path.starts_with(&conflict.path) || conflict.path.starts_with(path)
            });
            for path in paths(&mine).into_iter().chain(paths(&disk)).chain(paths(&base)) {
                let [b, m, d, r] = [&base, &mine, &disk, &result.value].map(|side| get(side, &path));
                // Both changed it: an object, whose keys come up by themselves.
                if decided(&path) || (m != d && b != m && b != d) {
                    continue;
                }
                let expected = if b == d { m } else { d };
                prop_assert_eq!(r, expected, "at {:?}", path);
            }
        }
    }

    #[test]
    fn conflicts_are_sorted_and_real((base, mine, disk) in three()) {
        let Merged { conflicts, .. } = merged(&base, &mine, &disk, Policy::PreferMine);
        prop_assert!(conflicts.windows(2).all(|pair| pair[0].path < pair[1].path));
        for conflict in &conflicts {
            let [b, m, d] = [&base, &mine, &disk].map(|side| get(side, &conflict.path).cloned());
            prop_assert_eq!((&b, &m, &d), (&conflict.base, &conflict.mine, &conflict.disk));
            prop_assert!(b != m && b != d && m != d);
        }
        let failed = merge(&base, &mine, &disk, Policy::Fail).err().map(|all| all.0).unwrap_or_default();
        prop_assert_eq!(failed, conflicts);
    }

    #[test]
    fn the_policy_decides_conflicts_and_nothing_else((base, mine, disk) in three()) {
        let (ours, theirs) = (merged(&base, &mine, &disk, Policy::PreferMine), merged(&base, &mine, &disk, Policy::PreferTheirs));
        for conflict in &ours.conflicts {
            prop_assert_eq!(get(&ours.value, &conflict.path), conflict.mine.as_ref());
            prop_assert_eq!(get(&theirs.value, &conflict.path), conflict.disk.as_ref());
        }
        if ours.conflicts.is_empty() {
            prop_assert_eq!(ours.value, theirs.value);
        }
    }
}

fn case(base: Value, mine: Value, disk: Value) -> Result<Value, Vec<String>> {
    let wrap = |value: Value| {
        if value == json!("missing") { Map::new() } else { Map::from_iter([("k".to_owned(), value)]) }
    };
    match merge(&wrap(base), &wrap(mine), &wrap(disk), Policy::Fail) {
        Ok(merged) => Ok(merged.value.get("k").cloned().unwrap_or(json!("missing"))),
        Err(conflicts) => Err(conflicts.0.iter().map(Conflict::pointer).collect()),
    }
}

#[test]
fn each_rule_by_example() {
    let none = || json!("missing");
    let conflict = |path: &str| Err(vec![path.to_owned()]);
    assert_eq!(case(json!(1), json!(1), json!(2)), Ok(json!(2)));
    assert_eq!(case(json!(1), json!(2), json!(1)), Ok(json!(2)));
    assert_eq!(case(json!(1), none(), json!(1)), Ok(none()), "my deletion stays");
    assert_eq!(case(json!(1), json!(1), none()), Ok(none()), "their deletion stays");
    assert_eq!(case(json!(1), none(), none()), Ok(none()));
    assert_eq!(case(json!(1), none(), json!(2)), conflict("/k"), "delete against edit");
    assert_eq!(case(json!(1), json!(null), none()), conflict("/k"), "null is not missing");
    assert_eq!(case(none(), json!({ "a": 1 }), json!({ "b": 1 })), Ok(json!({ "a": 1, "b": 1 })));
    assert_eq!(case(none(), json!({ "a": 1 }), json!({ "a": 2 })), conflict("/k/a"));
    assert_eq!(
        case(json!(1), json!({ "a": 1 }), json!({ "b": 1 })),
        conflict("/k"),
        "the base was no object"
    );
    assert_eq!(case(json!([1]), json!([1, 2]), json!([1, 3])), conflict("/k"), "arrays are whole values");
    let both = case(json!({ "a/b": 1, "~": 1 }), json!({ "a/b": 2, "~": 2 }), json!({ "a/b": 3, "~": 3 }));
    assert_eq!(both, Err(vec!["/k/a~1b".to_owned(), "/k/~0".to_owned()]));
}
