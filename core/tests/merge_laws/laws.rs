//! The laws, each for any merge, so that wrong ones can be held against them.

use cooks_core::Metadata;
use cooks_core::merge::{self, Conflict, Conflicts, Merged, Policy};
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use serde_json::Value;

use crate::cases::{Case, as_objects, get, paths, sorted};

pub type Merge<'a> = &'a dyn Fn(&Metadata, &Metadata, &Metadata, Policy) -> Result<Merged, Conflicts>;
pub type Check = Result<(), TestCaseError>;

const DECIDING: [Policy; 2] = [Policy::PreferMine, Policy::PreferTheirs];

/// The merge of a case in which there is nothing to decide.
fn agreed(
    merge: Merge,
    base: &Metadata,
    mine: &Metadata,
    disk: &Metadata,
) -> Result<Metadata, TestCaseError> {
    let merged = merge(base, mine, disk, Policy::Fail);
    merged.map(|merged| merged.value).map_err(|conflicts| TestCaseError::fail(conflicts.to_string()))
}

fn decided(merge: Merge, case: &Case, policy: Policy) -> Result<Merged, TestCaseError> {
    let merged = merge(&case.base, &case.mine, &case.disk, policy);
    merged.map_err(|conflicts| TestCaseError::fail(format!("{policy:?} has to decide: {conflicts}")))
}

pub fn what_nobody_else_touched_becomes_mine(merge: Merge, Case { base, mine, .. }: &Case) -> Check {
    prop_assert_eq!(&agreed(merge, base, mine, base)?, mine);
    Ok(())
}

pub fn what_i_did_not_touch_stays_theirs(merge: Merge, Case { base, disk, .. }: &Case) -> Check {
    prop_assert_eq!(&agreed(merge, base, base, disk)?, disk);
    Ok(())
}

pub fn the_same_change_twice_is_that_change(merge: Merge, Case { base, mine, .. }: &Case) -> Check {
    prop_assert_eq!(&agreed(merge, base, mine, mine)?, mine);
    Ok(())
}

pub fn merging_again_changes_nothing(merge: Merge, case: &Case) -> Check {
    for policy in DECIDING {
        let once = decided(merge, case, policy)?.value;
        let again = decided(merge, &Case { disk: once.clone(), ..case.clone() }, policy)?;
        prop_assert_eq!(again.value, once);
    }
    Ok(())
}

pub fn the_sides_can_be_swapped_but_for_the_labels(merge: Merge, case: &Case) -> Check {
    let swapped = |conflict: Conflict| Conflict { mine: conflict.disk, disk: conflict.mine, ..conflict };
    let other_way = Case { base: case.base.clone(), mine: case.disk.clone(), disk: case.mine.clone() };
    let one = decided(merge, case, Policy::PreferMine)?;
    let other = decided(merge, &other_way, Policy::PreferTheirs)?;
    prop_assert_eq!(sorted(&one.value), sorted(&other.value));
    prop_assert_eq!(one.conflicts, other.conflicts.into_iter().map(swapped).collect::<Vec<_>>());
    Ok(())
}

pub fn changes_in_different_parts_give_the_same_in_any_order(merge: Merge, case: &Case) -> Check {
    let Case { base, mine, disk } = case;
    // Each key belongs to one of the two.
    let is_mine = |key: &str| key.bytes().map(usize::from).sum::<usize>() % 2 == 0;
    let part = |from: &Metadata, want: bool| -> Metadata {
        let keep = from.iter().filter(|(key, _)| is_mine(key) == want);
        let rest = base.iter().filter(|(key, _)| is_mine(key) != want);
        keep.chain(rest).map(|(key, value)| (key.clone(), value.clone())).collect()
    };
    let (mine, theirs) = (part(mine, true), part(disk, false));
    let save =
        |first: &Metadata, then: &Metadata| agreed(merge, base, then, &agreed(merge, base, first, base)?);
    let expected: Metadata = [(&mine, true), (&theirs, false)]
        .into_iter()
        .flat_map(|(from, want)| from.iter().filter(move |(key, _)| is_mine(key) == want))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    prop_assert_eq!(&save(&mine, &theirs)?, &expected);
    prop_assert_eq!(&save(&theirs, &mine)?, &expected);
    Ok(())
}

pub fn what_only_one_side_wrote_is_never_lost(merge: Merge, case: &Case) -> Check {
    for policy in DECIDING {
        let result = decided(merge, case, policy)?;
        let open = |path: &[String]| {
            let mut conflicts = result.conflicts.iter().map(|conflict| &conflict.path);
            conflicts.any(|conflict| path.starts_with(conflict) || conflict.starts_with(path))
        };
        for path in [&case.mine, &case.disk, &case.base].into_iter().flat_map(paths) {
            let [b, m, d] = sides(case, &path);
            // Both changed it: an object or a list, whose keys come up by themselves.
            if open(&path) || (m != d && b != m && b != d) {
                continue;
            }
            prop_assert_eq!(get(&result.value, &path), if b == d { m } else { d }, "at {:?}", path);
        }
    }
    Ok(())
}

pub fn nothing_is_made_up(merge: Merge, case: &Case) -> Check {
    for policy in DECIDING {
        for path in paths(&decided(merge, case, policy)?.value) {
            prop_assert!(sides(case, &path)[1..].iter().any(Option::is_some), "at {:?}", path);
        }
    }
    Ok(())
}

pub fn conflicts_are_sorted_and_real(merge: Merge, case: &Case) -> Check {
    let conflicts = decided(merge, case, Policy::PreferMine)?.conflicts;
    prop_assert!(conflicts.windows(2).all(|pair| pair[0].path < pair[1].path));
    for conflict in &conflicts {
        let [b, m, d] = sides(case, &conflict.path).map(Option::<&Value>::cloned);
        prop_assert_eq!((&b, &m, &d), (&conflict.base, &conflict.mine, &conflict.disk));
        prop_assert!(b != m && b != d && m != d);
        let both_objects = [&m, &d].iter().all(|side| side.as_ref().is_some_and(Value::is_object));
        prop_assert!(!both_objects || b.is_some_and(|base| !base.is_object()), "it can be taken apart");
        prop_assert_eq!(&conflict.writers[..], &conflict.path[..1]);
    }
    let failed = merge(&case.base, &case.mine, &case.disk, Policy::Fail).err();
    prop_assert_eq!(failed.map(|all| all.0).unwrap_or_default(), conflicts);
    Ok(())
}

/// Where both sides wrote different values that cannot be taken apart, somebody is asked.
pub fn no_conflict_is_kept_silent(merge: Merge, case: &Case) -> Check {
    asked_about(merge, case, |value| value.is_object() || value.is_array())
}

/// The same where arrays cannot be taken apart.
pub fn arrays_are_whole_values(merge: Merge, case: &Case) -> Check {
    asked_about(merge, case, Value::is_object)
}

fn asked_about(merge: Merge, case: &Case, divisible: fn(&Value) -> bool) -> Check {
    let conflicts = decided(merge, case, Policy::PreferMine)?.conflicts;
    let asked = |path: &[String]| conflicts.iter().any(|conflict| path.starts_with(&conflict.path));
    for path in [&case.mine, &case.disk].into_iter().flat_map(paths) {
        let [b, m, d] = sides(case, &path);
        let mergeable = [m, d].into_iter().all(|side| side.is_some_and(divisible)) && b.is_none_or(divisible);
        if b != m && b != d && m != d && !mergeable {
            prop_assert!(asked(&path), "at {:?}", path);
        }
    }
    Ok(())
}

pub fn the_policy_decides_conflicts_and_nothing_else(merge: Merge, case: &Case) -> Check {
    let (ours, theirs) =
        (decided(merge, case, Policy::PreferMine)?, decided(merge, case, Policy::PreferTheirs)?);
    for conflict in &ours.conflicts {
        prop_assert_eq!(get(&ours.value, &conflict.path), conflict.mine.as_ref());
        prop_assert_eq!(get(&theirs.value, &conflict.path), conflict.disk.as_ref());
    }
    if ours.conflicts.is_empty() {
        prop_assert_eq!(ours.value, theirs.value);
    }
    Ok(())
}

/// Sets and keyed lists merge as the objects do whose keys are their elements.
pub fn lists_merge_as_the_objects_they_stand_for(merge: Merge, case: &Case) -> Check {
    // In one order: an order means nothing in an object, but a list in another order is another value.
    let [base, mine, disk] = [&case.base, &case.mine, &case.disk].map(sorted);
    for policy in DECIDING {
        let lists = merge(&base, &mine, &disk, policy).map_err(|all| TestCaseError::fail(all.to_string()))?;
        let [base, mine, disk] = [&base, &mine, &disk].map(as_objects);
        let objects = merge::merge(&base, &mine, &disk, policy).expect("a policy that decides");
        prop_assert_eq!(as_objects(&lists.value), objects.value);
        let paths = |conflicts: Vec<Conflict>| conflicts.into_iter().map(|one| one.path).collect::<Vec<_>>();
        prop_assert_eq!(paths(lists.conflicts), paths(objects.conflicts));
    }
    Ok(())
}

/// Elements that are on disk keep their order, and come before mine, which keep theirs.
pub fn lists_keep_the_order_of_the_disk(merge: Merge, case: &Case) -> Check {
    let merged = decided(merge, case, Policy::PreferMine)?.value;
    for path in paths(&merged).iter().filter(|path| matches!(&path[1..], [key] if key == "a" || key == "b")) {
        let [b, m, d] = sides(case, path);
        let (Some(r), Some(m), Some(d)) = (get(&merged, path), m, d) else { continue };
        if b != Some(m) && b != Some(d) {
            let [r, m, d] =
                [r, m, d].map(|list| list.as_array().into_iter().flatten().map(identity).collect::<Vec<_>>());
            let added = m.iter().filter(|item| !d.contains(item));
            let order: Vec<_> = d.iter().chain(added).filter(|item| r.contains(item)).cloned().collect();
            prop_assert_eq!(r, order, "at {:?}", path);
        }
    }
    Ok(())
}

fn identity(item: &Value) -> String {
    item.get("id").unwrap_or(item).to_string()
}

/// A counter has both sides' differences, wherever its surroundings were not decided.
pub fn counters_add_up(merge: Merge, case: &Case) -> Check {
    let merged = decided(merge, case, Policy::PreferMine)?;
    let open = |path: &[String]| merged.conflicts.iter().any(|conflict| path.starts_with(&conflict.path));
    for path in
        paths(&case.mine).iter().filter(|path| path.last().is_some_and(|key| key == "c") && !open(path))
    {
        let [b, m, d] = sides(case, path);
        if let (Some(m), Some(d)) = (m.and_then(Value::as_i64), d.and_then(Value::as_i64)) {
            let sum = d + m - b.and_then(Value::as_i64).unwrap_or(0);
            prop_assert_eq!(get(&merged.value, path), Some(&Value::from(sum)), "at {:?}", path);
        }
    }
    Ok(())
}

fn sides<'a>(case: &'a Case, path: &[String]) -> [Option<&'a Value>; 3] {
    [&case.base, &case.mine, &case.disk].map(|side| get(side, path))
}
