//! What the laws are tried on: three objects each, in several worlds.

use cooks_core::Metadata;
use cooks_core::merge::{Strategies, Strategy as By};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// What a merge is given.
#[derive(Clone, Debug)]
pub struct Case {
    pub base: Metadata,
    pub mine: Metadata,
    pub disk: Metadata,
}

/// Which values there are, and what the merge is told about them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum World {
    /// Any values, no strategies.
    Plain,
    /// Any values, and strategies for lists that mostly find values of another kind.
    Misfit,
    /// Sets and keyed lists, and their strategies.
    Lists,
    /// The same, with counters.
    Counted,
}

impl World {
    pub fn cases(self) -> BoxedStrategy<Case> {
        match self {
            World::Plain | World::Misfit => plain().boxed(),
            World::Lists | World::Counted => lists().boxed(),
        }
    }

    pub fn strategies(self) -> Strategies {
        let sets = [("/*/a", By::Set), ("/*/b", By::Keyed("id".into())), ("/*/b/*/a", By::Set)];
        let counters = [("/*/c", By::Counter), ("/*/b/*/c", By::Counter)];
        let rules = match self {
            World::Plain => vec![],
            World::Misfit | World::Lists => sets.to_vec(),
            World::Counted => sets.into_iter().chain(counters).collect(),
        };
        rules.into_iter().fold(Strategies::new(), |all, (pattern, by)| all.with(pattern, by).expect("valid"))
    }
}

/// Few keys and few values, so that the three sides meet often.
fn value() -> impl Strategy<Value = Value> {
    leaf().prop_recursive(3, 24, 3, |inner| object_of(inner).prop_map(Value::from))
}

fn leaf() -> impl Strategy<Value = Value> {
    prop_oneof![
        1 => Just(Value::Null),
        1 => any::<bool>().prop_map(Value::from),
        1 => (0..3).prop_map(Value::from),
        2 => Just(json!([1])),
        2 => Just(json!([1, 2])),
        1 => Just(json!({})),
    ]
}

fn object_of(inner: impl Strategy<Value = Value>) -> impl Strategy<Value = Metadata> {
    proptest::collection::btree_map("[abc~/]", inner, 0..4).prop_map(|fields| fields.into_iter().collect())
}

fn object() -> impl Strategy<Value = Metadata> {
    object_of(value())
}

/// Three objects that have much in common: two are edits of the first.
pub fn plain() -> impl Strategy<Value = Case> {
    let edits =
        || proptest::collection::vec((any::<prop::sample::Index>(), proptest::option::of(value())), 0..4);
    let either = || prop_oneof![2 => leaf(), 1 => value()];
    let clash = proptest::option::weighted(0.8, (any::<prop::sample::Index>(), either(), either()));
    (object(), edits(), edits(), clash, object()).prop_map(|(base, mut mine, mut disk, clash, other)| {
        // Sometimes both at the same place, first of all so that it is the same.
        if let Some((index, one, two)) = clash {
            mine.insert(0, (index, Some(one)));
            disk.insert(0, (index, Some(two)));
        }
        let (mine, mut disk) = (edit(&base, &mine), edit(&base, &disk));
        // Sometimes something that has nothing to do with the base.
        if other.len() == 1 {
            disk = other;
        }
        Case { base, mine, disk }
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

/// Parts with a set `a`, a keyed list `b`, a number `c` and something else `x`; in the list, elements of that kind.
fn lists() -> impl Strategy<Value = Case> {
    let part = || {
        (record(), elements()).prop_map(|(mut part, list)| {
            part.extend(list.map(|list| ("b".to_owned(), list)));
            Value::from(part)
        })
    };
    let object = move || {
        let often = || proptest::option::weighted(0.85, part());
        (often(), often()).prop_map(|(a, b)| {
            let parts = [("a", a), ("b", b)].into_iter();
            parts.filter_map(|(key, part)| Some((key.to_owned(), part?))).collect()
        })
    };
    (object(), object(), object(), any::<[u64; 2]>(), any::<u8>()).prop_map(
        |(base, mine, disk, [mut first, mut second], same): (Metadata, _, _, _, _)| {
            let (mine, mut disk) = (mix(&base, &mine, &mut first), mix(&base, &disk, &mut second));
            // Sometimes both made the same of a part.
            if same < 64
                && let Some((key, part)) = mine.iter().next()
            {
                disk.insert(key.clone(), part.clone());
            }
            Case { base, mine, disk }
        },
    )
}

fn record() -> impl Strategy<Value = Metadata> {
    let set =
        prop::sample::subsequence(vec![json!(1), json!("1"), json!([2]), json!("x")], 0..=4).prop_shuffle();
    let fields = (
        proptest::option::weighted(0.85, set),
        proptest::option::weighted(0.85, -3..4),
        proptest::option::of(0..2),
    );
    fields.prop_map(|(set, number, other)| {
        let fields =
            [("a", set.map(Value::from)), ("c", number.map(Value::from)), ("x", other.map(Value::from))];
        fields.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect()
    })
}

fn elements() -> impl Strategy<Value = Option<Value>> {
    let ids = prop::sample::subsequence(vec![json!(1), json!("k"), json!("~/")], 0..=3).prop_shuffle();
    let list = ids.prop_flat_map(|ids| {
        let element = |id: Value| {
            record().prop_map(move |mut fields| {
                fields.insert("id".to_owned(), id.clone());
                Value::from(fields)
            })
        };
        ids.into_iter().map(element).collect::<Vec<_>>().prop_map(Value::from)
    });
    proptest::option::weighted(0.8, list)
}

/// Of `other` some, of `base` the rest, so that the sides have much in common.
fn mix(base: &Metadata, other: &Metadata, bits: &mut u64) -> Metadata {
    let mut result = Map::new();
    for key in base.keys().chain(other.keys().filter(|key| !base.contains_key(*key))) {
        let value = match (base.get(key), other.get(key)) {
            (Some(Value::Object(base)), Some(Value::Object(other))) => Some(mix(base, other, bits).into()),
            (base, _) if next(bits) => base.cloned(),
            (Some(base), Some(Value::Array(other))) if key == "b" => {
                let element = |element: &Value| match step(base, &name(element)) {
                    Some(old) if next(bits) => old.clone(),
                    _ => element.clone(),
                };
                Some(other.iter().map(element).collect())
            }
            (_, other) => other.cloned(),
        };
        result.extend(value.map(|value| (key.clone(), value)));
    }
    result
}

fn next(bits: &mut u64) -> bool {
    let bit = *bits & 1 == 1;
    *bits = bits.rotate_right(1);
    bit
}

/// What tells an element of a keyed list apart.
pub fn name(element: &Value) -> String {
    element.get("id").map(|id| id.as_str().map_or_else(|| id.to_string(), str::to_owned)).unwrap_or_default()
}

/// The value under a key, of an object or of a keyed list.
fn step<'a>(value: &'a Value, key: &str) -> Option<&'a Value> {
    match value {
        Value::Object(fields) => fields.get(key),
        Value::Array(items) => items.iter().find(|item| item.get("id").is_some() && name(item) == key),
        _ => None,
    }
}

/// The value at a path.
pub fn get<'a>(object: &'a Metadata, path: &[String]) -> Option<&'a Value> {
    let (first, rest) = path.split_first()?;
    rest.iter().try_fold(object.get(first)?, |value, key| step(value, key))
}

/// The paths of all values, outer before inner.
pub fn paths(object: &Metadata) -> Vec<Vec<String>> {
    let inner = |(key, value): (&String, &Value)| {
        let inner = match value {
            Value::Object(fields) => paths(fields),
            Value::Array(items) if items.iter().all(|item| item.get("id").is_some()) => {
                paths(&items.iter().map(|item| (name(item), item.clone())).collect())
            }
            _ => Vec::new(),
        };
        let inner = inner.into_iter().map(|rest| [vec![key.clone()], rest].concat()).collect::<Vec<_>>();
        [vec![vec![key.clone()]], inner].concat()
    };
    object.iter().flat_map(inner).collect()
}

/// The same with its sets and keyed lists in one order.
pub fn sorted(object: &Metadata) -> Metadata {
    let in_order = |key: &str, value: &Value| match value {
        Value::Array(items) if key == "a" || key == "b" => {
            let mut items: Vec<_> = items.iter().map(|item| inner(item, sorted)).collect();
            items.sort_by_key(Value::to_string);
            items.into()
        }
        other => inner(other, sorted),
    };
    object.iter().map(|(key, value)| (key.clone(), in_order(key, value))).collect()
}

/// The objects that its sets and keyed lists stand for.
pub fn as_objects(object: &Metadata) -> Metadata {
    let as_object = |key: &str, value: &Value| match value {
        Value::Array(items) if key == "a" => {
            items.iter().map(|item| (item.to_string(), Value::Null)).collect::<Metadata>().into()
        }
        Value::Array(items) if key == "b" => {
            items.iter().map(|item| (name(item), inner(item, as_objects))).collect::<Metadata>().into()
        }
        other => inner(other, as_objects),
    };
    object.iter().map(|(key, value)| (key.clone(), as_object(key, value))).collect()
}

fn inner(value: &Value, change: fn(&Metadata) -> Metadata) -> Value {
    value.as_object().map_or_else(|| value.clone(), |fields| change(fields).into())
}
