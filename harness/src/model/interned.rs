use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// All texts that were interned.
static TEXTS: Mutex<BTreeSet<Interned>> = Mutex::new(BTreeSet::new());

/// A text that is kept once, as long as the program runs, so that copying and comparing it costs no more than with a number. Two of them
/// are equal exactly if their texts are; they are ordered as their texts.
#[derive(Clone, Copy)]
pub struct Interned(&'static String);

impl Interned {
    /// Keeps a text.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let mut texts = TEXTS.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = texts.get(text) {
            return *known;
        }
        let new = Self(Box::leak(Box::new(text.to_owned())));
        texts.insert(new);
        new
    }
}

impl Deref for Interned {
    type Target = str;

    fn deref(&self) -> &str {
        self.0
    }
}

impl std::borrow::Borrow<str> for Interned {
    fn borrow(&self) -> &str {
        self.0
    }
}

impl PartialEq for Interned {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.0, other.0)
    }
}

impl Eq for Interned {}

impl PartialOrd for Interned {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Interned {
    fn cmp(&self, other: &Self) -> Ordering {
        if self == other { Ordering::Equal } else { self.0.cmp(other.0) }
    }
}

impl Hash for Interned {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl fmt::Debug for Interned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for Interned {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self)
    }
}

impl<'de> Deserialize<'de> for Interned {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self::new(&text))
    }
}

#[cfg(test)]
mod tests {
    use super::Interned;

    #[test]
    fn the_same_text_is_kept_once_and_survives_json() {
        let [a, again, b] = ["/srv/a", "/srv/a", "/srv/b"].map(Interned::new);
        assert!(a == again && a != b && a < b);
        assert_eq!(serde_json::from_str::<Interned>(&serde_json::to_string(&a).unwrap()).unwrap(), a);
    }
}
