//! Three-way merge of JSON objects: no file, no lock, no clock.
//!
//! For each path there are three values: *base*, as it was when it was loaded; *mine*, as I want it; *disk*, as it
//! is now. Each may be missing, and missing is not null. In this order:
//!
//! 1. I did not touch it (mine = base): what is on disk stays.
//! 2. Nobody else touched it (disk = base): mine is written.
//! 3. The caller named a [`Strategy`] for the path, and the values are of its kind: what the strategy says.
//! 4. All three are objects, or mine and disk are and base is missing: key by key, over all keys of the three.
//! 5. Both came to the same (mine = disk): that.
//! 6. Otherwise a [`Conflict`], which the [`Policy`] decides.
//!
//! A deletion is a change like any other: deleting what another edited is a conflict. Arrays are whole values, unless
//! a strategy says that they are sets or lists of objects with a key. Two equal changes are one change, but not where
//! they are counted: that is why 3 and 4 come before 5.
//!
//! ```
//! use cooks_core::merge::{merge, Policy};
//! use serde_json::json;
//!
//! let object = |value: serde_json::Value| value.as_object().unwrap().clone();
//! let base = object(json!({ "a": { "status": "new", "runs": 1 }, "old": {} }));
//! let mine = object(json!({ "a": { "status": "active", "runs": 1 } }));            // edits a.status, deletes old
//! let disk = object(json!({ "a": { "status": "new", "runs": 2 }, "old": {}, "b": {} })); // edits a.runs, adds b
//!
//! let merged = merge(&base, &mine, &disk, Policy::Fail).unwrap();
//! assert_eq!(merged.value, object(json!({ "a": { "status": "active", "runs": 2 }, "b": {} })));
//! ```
//!
//! With strategies:
//!
//! ```
//! use cooks_core::merge::{merge_with, Policy, Strategies, Strategy};
//! use serde_json::json;
//!
//! let object = |value: serde_json::Value| value.as_object().unwrap().clone();
//! let strategies = Strategies::new().with("/*/tags", Strategy::Set)?.with("/*/runs", Strategy::Counter)?;
//! let base = object(json!({ "a": { "tags": ["hot"], "runs": 1 } }));
//! let mine = object(json!({ "a": { "tags": ["hot", "new"], "runs": 2 } }));
//! let disk = object(json!({ "a": { "tags": ["old"], "runs": 2 } }));
//!
//! let merged = merge_with(&base, &mine, &disk, Policy::Fail, &strategies)?;
//! assert_eq!(merged.value, object(json!({ "a": { "tags": ["old", "new"], "runs": 3 } })));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::Metadata;

mod conflict;
mod kinds;
mod strategy;

use kinds::{Elements, Sum};

pub use conflict::{Conflict, Conflicts};
pub use strategy::{BadPattern, Strategies, Strategy};

/// What to do where both sides changed the same value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// Nothing is merged; the caller gets the conflicts.
    #[default]
    Fail,
    /// My value is written.
    PreferMine,
    /// What is on disk stays.
    PreferTheirs,
}

/// The result of a merge: of whole metadata, or of what it is given for.
#[derive(Clone, Debug, PartialEq)]
pub struct Merged<T = Metadata> {
    /// Both sides' changes together.
    pub value: T,
    /// The places that the policy decided, sorted by path.
    pub conflicts: Vec<Conflict>,
}

/// Puts my changes since `base` on top of what is on disk.
///
/// # Errors
/// With [`Policy::Fail`], all the conflicts, if there are any.
pub fn merge(base: &Metadata, mine: &Metadata, disk: &Metadata, policy: Policy) -> Result<Merged, Conflicts> {
    merge_with(base, mine, disk, policy, &Strategies::new())
}

/// As [`merge`], with values that are sets, keyed lists or counters.
///
/// # Errors
/// As for [`merge`].
pub fn merge_with(
    base: &Metadata,
    mine: &Metadata,
    disk: &Metadata,
    policy: Policy,
    strategies: &Strategies,
) -> Result<Merged, Conflicts> {
    let mut merging = Merging::new(policy, strategies);
    let value = merging.objects(Some(base), mine, disk);
    merging.done(value)
}

/// As [`merge_with`], for the one value under `key` of the metadata: an agent's part. `None` is missing.
///
/// # Errors
/// As for [`merge`]; the paths of the conflicts begin with the key.
pub fn merge_value(
    key: &str,
    base: Option<&Value>,
    mine: Option<&Value>,
    disk: Option<&Value>,
    policy: Policy,
    strategies: &Strategies,
) -> Result<Merged<Option<Value>>, Conflicts> {
    let mut merging = Merging::new(policy, strategies);
    let value = merging.value_under(key, base, mine, disk);
    merging.done(value)
}

/// A merge under way, at `path`.
struct Merging<'a> {
    policy: Policy,
    strategies: &'a Strategies,
    path: Vec<String>,
    conflicts: Vec<Conflict>,
}

impl<'a> Merging<'a> {
    fn new(policy: Policy, strategies: &'a Strategies) -> Self {
        Merging { policy, strategies, path: Vec::new(), conflicts: Vec::new() }
    }

    fn done<T>(self, value: T) -> Result<Merged<T>, Conflicts> {
        let mut conflicts = self.conflicts;
        // Keyed lists are merged in the order of their elements.
        conflicts.sort_by(|a, b| a.path.cmp(&b.path));
        match self.policy {
            Policy::Fail if !conflicts.is_empty() => Err(Conflicts(conflicts)),
            _ => Ok(Merged { value, conflicts }),
        }
    }

    fn value_under(
        &mut self,
        key: &str,
        base: Option<&Value>,
        mine: Option<&Value>,
        disk: Option<&Value>,
    ) -> Option<Value> {
        self.path.push(key.to_owned());
        let value = self.values(base, mine, disk);
        self.path.pop();
        value
    }

    fn values(&mut self, base: Option<&Value>, mine: Option<&Value>, disk: Option<&Value>) -> Option<Value> {
        if mine == base {
            return disk.cloned();
        }
        if disk == base {
            return mine.cloned();
        }
        match self.strategies.at(&self.path) {
            Some(Strategy::Set) => kinds::sets(base, mine, disk),
            Some(Strategy::Keyed(field)) => self.lists(field, base, mine, disk),
            Some(Strategy::Counter) => match kinds::sum(base, mine, disk) {
                Some(Sum::Is(sum)) => Some(sum),
                Some(Sum::Beyond) => return self.conflict(base, mine, disk),
                None => None,
            },
            None => None,
        }
        .or_else(|| self.whole(base, mine, disk))
    }

    fn objects(&mut self, base: Option<&Metadata>, mine: &Metadata, disk: &Metadata) -> Metadata {
        let empty = Map::new();
        let base = base.unwrap_or(&empty);
        // Sorted here, and not by the map's own order: that order changes where somebody in the same build turns
        // on serde_json's `preserve_order`.
        let keys: BTreeSet<&String> = base.keys().chain(mine.keys()).chain(disk.keys()).collect();
        let mut merged = Map::new();
        for key in keys {
            if let Some(value) = self.value_under(key, base.get(key), mine.get(key), disk.get(key)) {
                merged.insert(key.clone(), value);
            }
        }
        merged
    }

    /// `None` where one of the sides is no list with this key.
    fn lists(
        &mut self,
        field: &str,
        base: Option<&Value>,
        mine: Option<&Value>,
        disk: Option<&Value>,
    ) -> Option<Value> {
        let (base, mine, disk) = (
            Elements::of(base, field)?,
            Elements::of(Some(mine?), field)?,
            Elements::of(Some(disk?), field)?,
        );
        let added = mine.order.iter().filter(|key| !disk.by_key.contains_key(*key));
        let keys = disk.order.iter().chain(added);
        let merged = keys.filter_map(|key| {
            let [base, mine, disk] = [&base, &mine, &disk].map(|side| side.by_key.get(key).copied());
            self.value_under(key, base, mine, disk)
        });
        Some(merged.collect())
    }

    /// What no strategy has merged: objects key by key, anything else as one value.
    fn whole(&mut self, base: Option<&Value>, mine: Option<&Value>, disk: Option<&Value>) -> Option<Value> {
        match (base, mine, disk) {
            (None, Some(Value::Object(mine)), Some(Value::Object(disk))) => {
                Some(self.objects(None, mine, disk).into())
            }
            (Some(Value::Object(base)), Some(Value::Object(mine)), Some(Value::Object(disk))) => {
                Some(self.objects(Some(base), mine, disk).into())
            }
            _ if mine == disk => mine.cloned(),
            _ => self.conflict(base, mine, disk),
        }
    }

    fn conflict(
        &mut self,
        base: Option<&Value>,
        mine: Option<&Value>,
        disk: Option<&Value>,
    ) -> Option<Value> {
        let (base, mine, disk) = (base.cloned(), mine.cloned(), disk.cloned());
        let chosen = if self.policy == Policy::PreferMine { mine.clone() } else { disk.clone() };
        let (path, writers) = (self.path.clone(), self.path.first().cloned().into_iter().collect());
        self.conflicts.push(Conflict { path, base, mine, disk, writers });
        chosen
    }
}
