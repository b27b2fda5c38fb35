//! The laws of the three-way merge, for random objects, and wrong merges that they must refuse. proptest prints the
//! case that breaks one, and its seed.

#[path = "merge_laws/cases.rs"]
mod cases;
#[path = "merge_laws/laws.rs"]
mod laws;
#[path = "merge_laws/wrong.rs"]
mod wrong;

use cases::World;
use cooks_core::merge::{Conflict, Policy, Strategies, Strategy, merge, merge_value, merge_with};
use laws::{Check, Merge};
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Map, Value, json};

/// A law, and where it holds.
struct Law {
    name: &'static str,
    worlds: &'static [World],
    check: fn(Merge, &cases::Case) -> Check,
}

/// Each law becomes a test, and an entry of the list that wrong merges are held against.
macro_rules! laws {
    ($($name:ident: $($world:ident)+;)*) => {
        const LAWS: &[Law] =
            &[$(Law { name: stringify!($name), worlds: &[$(World::$world),+], check: laws::$name }),*];
        $(#[test]
        fn $name() {
            for world in [$(World::$world),+] {
                holds(stringify!($name), world, laws::$name);
            }
        })*
    };
}

// Where values are counted, two equal changes are two, and a change that is merged again is counted again.
laws! {
    what_nobody_else_touched_becomes_mine: Plain Misfit Lists Counted;
    what_i_did_not_touch_stays_theirs: Plain Misfit Lists Counted;
    the_same_change_twice_is_that_change: Plain Misfit Lists;
    merging_again_changes_nothing: Plain Misfit Lists;
    the_sides_can_be_swapped_but_for_the_labels: Plain Misfit Lists Counted;
    changes_in_different_parts_give_the_same_in_any_order: Plain Misfit Lists Counted;
    what_only_one_side_wrote_is_never_lost: Plain Misfit Lists;
    nothing_is_made_up: Plain Misfit Lists Counted;
    conflicts_are_sorted_and_real: Plain Misfit Lists Counted;
    no_conflict_is_kept_silent: Plain Lists;
    arrays_are_whole_values: Plain;
    the_policy_decides_conflicts_and_nothing_else: Plain Misfit Lists Counted;
    lists_merge_as_the_objects_they_stand_for: Lists;
    lists_keep_the_order_of_the_disk: Lists Counted;
    counters_add_up: Counted;
}

fn holds(name: &'static str, world: World, check: fn(Merge, &cases::Case) -> Check) {
    let strategies = world.strategies();
    let config = Config { test_name: Some(name), source_file: Some(file!()), ..Config::default() };
    TestRunner::new(config)
        .run(&world.cases(), |case| check(&|b, m, d, policy| merge_with(b, m, d, policy, &strategies), &case))
        .unwrap_or_else(|error| panic!("{name}, {world:?}: {error}"));
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

fn with(strategies: &Strategies, base: Value, mine: Value, disk: Value) -> Result<Value, Vec<String>> {
    merge_value("k", Some(&base), Some(&mine), Some(&disk), Policy::Fail, strategies)
        .map(|merged| merged.value.unwrap_or(json!("missing")))
        .map_err(|conflicts| conflicts.0.iter().map(Conflict::pointer).collect())
}

#[test]
fn each_strategy_by_example() {
    let conflict = |path: &str| Err(vec![path.to_owned()]);
    let only = |strategy| Strategies::new().with("/*", strategy).expect("valid");
    let set = only(Strategy::Set);
    assert_eq!(with(&set, json!([1, 2, 3]), json!([5, 3, 2, 4]), json!([6, 3, 1])), Ok(json!([6, 3, 5, 4])));
    assert_eq!(with(&set, json!([1]), json!([1, 2, 2]), json!([1, 3])), conflict("/k"), "twice: no set");
    assert_eq!(with(&set, json!([1]), json!([1, 2]), json!(3)), conflict("/k"), "no array: no set");

    let list = only(Strategy::Keyed("id".into()));
    let one = |x: u64| json!([{ "id": 1, "x": x }]);
    let two = json!([{ "id": "2" }, { "id": 1, "x": 0, "y": 1 }]);
    assert_eq!(with(&list, one(0), one(7), two), Ok(json!([{ "id": "2" }, { "id": 1, "x": 7, "y": 1 }])));
    assert_eq!(with(&list, one(0), one(1), one(2)), conflict("/k/1/x"));
    assert_eq!(with(&list, one(0), json!([]), one(2)), conflict("/k/1"), "delete against edit");
    assert_eq!(with(&list, one(0), json!([{ "x": 1 }]), one(2)), conflict("/k"), "an element without a key");
    let twins = json!([{ "id": 1 }, { "id": "1" }]);
    assert_eq!(with(&list, one(0), twins, one(2)), conflict("/k"), "the same key twice");

    let counter = only(Strategy::Counter);
    assert_eq!(with(&counter, json!(5), json!(6), json!(6)), Ok(json!(7)), "two equal changes are two");
    assert_eq!(with(&counter, json!(0), json!(u64::MAX), json!(u64::MAX)), conflict("/k"), "no room");
    assert_eq!(with(&counter, json!(0), json!("one"), json!("one")), Ok(json!("one")), "no number: whole");
    assert_eq!(with(&counter, json!(0), json!(1), json!("one")), conflict("/k"));
}

#[test]
fn many_savers_count_to_their_sum_in_any_order() {
    let strategies = Strategies::new().with("/a/runs", Strategy::Counter).expect("valid");
    let base = json!({ "runs": 10 });
    let save = |disk: Value, add: i64| {
        let mine = json!({ "runs": 10 + add });
        let merged = merge_value("a", Some(&base), Some(&mine), Some(&disk), Policy::Fail, &strategies);
        merged.expect("no conflict").value.expect("still there")
    };
    let there = (1..=8).fold(base.clone(), save);
    assert_eq!(there, (1..=8).rev().fold(base.clone(), save));
    assert_eq!(there, json!({ "runs": 46 }));
}

#[test]
fn one_part_is_merged_as_in_the_whole() {
    let none = Strategies::new();
    let part = |value: Value| Some(value);
    let merged =
        merge_value("a", part(json!(1)).as_ref(), None, part(json!(1)).as_ref(), Policy::Fail, &none);
    assert_eq!(merged.expect("no conflict").value, None, "deleted");
    let (base, mine, disk) = (json!({ "x": null }), json!({ "x": 1 }), json!({}));
    let refused = merge_value("a", Some(&base), Some(&mine), Some(&disk), Policy::Fail, &none);
    let expected =
        json!({ "path": ["a", "x"], "pointer": "/a/x", "base": null, "mine": 1, "writers": ["a"] });
    assert_eq!(refused.expect_err("both changed x").0[0].to_json(), expected, "missing is not null");
}
