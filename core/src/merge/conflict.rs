//! What is said about a place where both sides made different changes.

use std::fmt;

use serde_json::{Map, Value};

/// A place where both sides made different changes.
#[derive(Clone, Debug, PartialEq)]
pub struct Conflict {
    /// The keys that lead there. For an element of a keyed list, the value of its key field, not its index.
    pub path: Vec<String>,
    /// The value as it was loaded; `None` is missing.
    pub base: Option<Value>,
    /// The value as I want it.
    pub mine: Option<Value>,
    /// The value as it is.
    pub disk: Option<Value>,
    /// The agents in whose part it lies: the first key of the path. An agent's part has one writer, the holder of its
    /// lock, so both changes were made under that agent's name. More is not written down in the file.
    pub writers: Vec<String>,
}

impl Conflict {
    /// The path as a JSON pointer (RFC 6901).
    #[must_use]
    pub fn pointer(&self) -> String {
        self.path.iter().map(|key| format!("/{}", key.replace('~', "~0").replace('/', "~1"))).collect()
    }

    /// All of it as JSON: `path` (the keys), `pointer`, `base`, `mine`, `disk` and `writers`. A value that is missing
    /// is missing here too, so that it cannot be taken for null.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut fields = Map::new();
        fields.insert("path".to_owned(), self.path.clone().into());
        fields.insert("pointer".to_owned(), self.pointer().into());
        for (name, value) in [("base", &self.base), ("mine", &self.mine), ("disk", &self.disk)] {
            fields.extend(value.clone().map(|value| (name.to_owned(), value)));
        }
        fields.insert("writers".to_owned(), self.writers.clone().into());
        fields.into()
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
