//! A tree in JSON: an object of entries by path, each with what else there is to say of it.

use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Details, Entry, ITSELF, Itself, Tree};

impl Serialize for Tree {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Item<'a> {
            #[serde(flatten)]
            entry: &'a Entry,
            #[serde(flatten)]
            details: &'a Details,
        }
        let mut map = serializer.serialize_map(None)?;
        if self.itself != Itself::default() {
            map.serialize_entry(ITSELF, &self.itself)?;
        }
        for (path, entry) in &self.entries {
            map.serialize_entry(path, &Item { entry, details: self.details(path) })?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Items)
    }
}

struct Items;

impl<'de> Visitor<'de> for Items {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of entries")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tree, A::Error> {
        #[derive(Deserialize)]
        struct Item {
            #[serde(flatten)]
            entry: Entry,
            #[serde(flatten)]
            details: Details,
        }
        let mut tree = Tree::new();
        while let Some(path) = map.next_key::<String>()? {
            if path == ITSELF {
                tree.itself = map.next_value()?;
            } else {
                let Item { entry, details } = map.next_value()?;
                tree.insert(path.clone(), entry);
                tree.describe(&path, details);
            }
        }
        Ok(tree)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{detailed, file};
    use crate::model::{Entry, Tree};

    #[test]
    fn bytes_survive_json() {
        for bytes in [&b""[..], b"{\"a\": 1}\n", b"\xff\x00", b"hex:12", "h\u{e4}\u{df}lich".as_bytes()] {
            let entry = Entry::File { mode: 0o644, content: bytes.to_vec() };
            let text = serde_json::to_string(&entry).unwrap();
            assert_eq!(serde_json::from_str::<Entry>(&text).unwrap(), entry, "{text}");
        }
    }

    #[test]
    fn a_tree_survives_json_with_all_that_is_said_of_it() {
        let tree = detailed();
        let text = serde_json::to_string(&tree).unwrap();
        assert_eq!(serde_json::from_str::<Tree>(&text).unwrap(), tree, "{text}");
        // Usual details are left out, so a plain tree is written as by earlier versions.
        let plain = Tree::from([("f".into(), file("x"))]);
        assert_eq!(
            serde_json::to_string(&plain).unwrap(),
            "{\"f\":{\"type\":\"file\",\"mode\":420,\"content\":\"x\"}}"
        );
    }
}
