//! The bytes of the metadata file: read strictly, and written so that what nobody touched stays as it stood.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::Metadata;

/// What is wrong with a file, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// The offset of the byte at which reading stopped.
    pub(crate) byte: usize,
    pub(crate) detail: String,
}

/// The parts of the agents, each as the text that it stood in: a part that is not touched is written as it was read,
/// with its numbers, however long, and the order of its keys.
#[derive(Clone, Debug, Default)]
pub(crate) struct Parts(BTreeMap<String, Part>);

#[derive(Clone, Debug)]
struct Part {
    text: Box<str>,
    /// Where it stood in the file; 0 if it did not.
    at: usize,
}

impl Parts {
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, Fault> {
        let text = std::str::from_utf8(bytes)
            .map_err(|error| Fault { byte: error.valid_up_to(), detail: "not UTF-8".to_owned() })?;
        if text.starts_with('\u{feff}') {
            return Err(Fault { byte: 0, detail: "a byte order mark, which JSON does not have".to_owned() });
        }
        if text.trim().is_empty() {
            return Err(Fault { byte: bytes.len(), detail: "there is nothing in it".to_owned() });
        }
        let mut reader = serde_json::Deserializer::from_str(text);
        let parts = reader.deserialize_map(PartsIn(text)).and_then(|parts| reader.end().map(|()| parts));
        parts.map(Self).map_err(|error| fault(bytes, &error))
    }

    /// The value of a part.
    pub(crate) fn get(&self, key: &str) -> Result<Option<Value>, Fault> {
        self.0.get(key).map(Part::value).transpose()
    }

    /// Puts a value in the place of a part, or takes the part away.
    pub(crate) fn set(&mut self, key: &str, value: Option<&Value>) {
        let Some(value) = value else {
            self.0.remove(key);
            return;
        };
        // No line break stands in a string of JSON, so these are all of the layout.
        let text = format!("{value:#}").replace('\n', "\n  ").into_boxed_str();
        self.0.insert(key.to_owned(), Part { text, at: 0 });
    }

    /// The file: what serde_json writes for the whole, if all parts are its own.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        if self.0.is_empty() {
            return b"{}\n".to_vec();
        }
        let mut text = String::new();
        for (key, part) in &self.0 {
            text.push_str(if text.is_empty() { "{\n  " } else { ",\n  " });
            text.push_str(&Value::from(key.as_str()).to_string());
            text.push_str(": ");
            text.push_str(&part.text);
        }
        text.push_str("\n}\n");
        text.into_bytes()
    }

    pub(crate) fn to_metadata(&self) -> Result<Metadata, Fault> {
        self.0.iter().map(|(key, part)| Ok((key.clone(), part.value()?))).collect()
    }
}

impl Part {
    fn value(&self) -> Result<Value, Fault> {
        let mut reader = serde_json::Deserializer::from_str(&self.text);
        let value = Strict.deserialize(&mut reader).and_then(|value| reader.end().map(|()| value));
        value.map_err(|error| {
            let Fault { byte, detail } = fault(self.text.as_bytes(), &error);
            Fault { byte: self.at + byte, detail }
        })
    }
}

/// A checksum that tells contents apart, and a complete file from a torn one. No protection against malice.
pub(crate) fn checksum(bytes: &[u8]) -> u128 {
    twox_hash::XxHash3_128::oneshot(bytes)
}

fn fault(bytes: &[u8], error: &serde_json::Error) -> Fault {
    // serde_json appends the place, which is told in other words.
    let text = error.to_string();
    let detail = text.split(" at line ").next().unwrap_or_default();
    let detail = detail.replace("invalid type: sequence", "an array").replace("invalid type: ", "");
    Fault { byte: if error.is_eof() { bytes.len() } else { offset(bytes, error) }, detail }
}

/// The offset of the last byte that the parser looked at. It says how many it took of which line, and 0 when the
/// last was the line break before.
fn offset(bytes: &[u8], error: &serde_json::Error) -> usize {
    let lines = bytes.split_inclusive(|byte| *byte == b'\n');
    let before: usize = lines.take(error.line().saturating_sub(1)).map(<[u8]>::len).sum();
    (before + error.column()).saturating_sub(1).min(bytes.len())
}

/// Line and column of a byte, from 1.
pub(crate) fn place(bytes: &[u8], byte: usize) -> (usize, usize) {
    let before = &bytes[..byte.min(bytes.len())];
    let line_start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    (line, byte - line_start + 1)
}

fn twice<E: serde::de::Error>(key: &str) -> E {
    E::custom(format!("the key {key:?} a second time"))
}

/// Reads the parts in this text.
struct PartsIn<'a>(&'a str);

impl<'a> Visitor<'a> for PartsIn<'a> {
    type Value = BTreeMap<String, Part>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with a key for each agent")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut parts = BTreeMap::new();
        while let Some(key) = map.next_key::<String>()? {
            if parts.contains_key(&key) {
                return Err(twice(&key));
            }
            let text = map.next_value::<&'a RawValue>()?.get();
            let at = text.as_ptr() as usize - self.0.as_ptr() as usize;
            parts.insert(key, Part { text: text.into(), at });
        }
        Ok(parts)
    }
}

/// Reads a value in which no key stands twice.
struct Strict;

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Value, D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(Self)? {
            list.push(item);
        }
        Ok(list.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            if object.contains_key(&key) {
                return Err(A::Error::custom(twice::<A::Error>(&key)));
            }
            object.insert(key, map.next_value_seed(Self)?);
        }
        Ok(object.into())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn whole(bytes: &[u8]) -> Result<Metadata, Fault> {
        Parts::parse(bytes)?.to_metadata()
    }

    #[test]
    fn what_is_no_metadata_is_refused_where_it_is_wrong() {
        let deep = format!(r#"{{"a": {}{}}}"#, "[".repeat(300), "]".repeat(300));
        let faults: [(&[u8], usize, &str); 19] = [
            (b"", 0, "there is nothing in it"),
            (b" \n\t ", 4, "there is nothing in it"),
            (b"[1, 2]", 0, "an array, expected an object with a key for each agent"),
            (b"null", 3, "null, expected an object with a key for each agent"),
            (b"7", 0, "integer `7`, expected an object with a key for each agent"),
            (b"\"x\"", 2, "string \"x\", expected an object with a key for each agent"),
            (b"{", 1, "EOF while parsing an object"),
            (b"{\"a\": 1", 7, "EOF while parsing an object"),
            (b"{\"a\": {\"b\": [1,", 15, "EOF while parsing a value"),
            (b"{\"a\": \"x", 8, "EOF while parsing a string"),
            (b"{\"a\": 1}}", 8, "trailing characters"),
            (b"{\"a\": 1}\n{}", 9, "trailing characters"),
            (b"{\"a\": 1,}", 8, "trailing comma"),
            (b"{\"a\": \xff}", 6, "not UTF-8"),
            (b"\xef\xbb\xbf{}", 0, "a byte order mark, which JSON does not have"),
            (b"{\"a\": 1, \"b\": 2, \"a\": 3}", 19, "the key \"a\" a second time"),
            (b"{\"a\": {\"x\": [{\"y\": 1, \"y\": 1}]}}", 24, "the key \"y\" a second time"),
            (b"{\"a\": \"\\ud800\"}", 13, "unexpected end of hex escape"),
            (deep.as_bytes(), 133, "recursion limit exceeded"),
        ];
        for (bytes, byte, detail) in faults {
            let fault = whole(bytes).expect_err(&String::from_utf8_lossy(bytes));
            assert_eq!((fault.byte, fault.detail.as_str()), (byte, detail), "{}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn what_nobody_touches_stays_as_it_stands() {
        let text = r#"{ "z" : {"wide": 123456789012345678901234567890, "f": 1.10, "b": 1, "a": 2},
            "a": [1,
            2] }"#;
        let mut parts = Parts::parse(text.as_bytes()).expect("reads");
        parts.set("m", Some(&json!({ "x": [1, { "y": "a\nb" }], "e": {} })));
        let expected = r#"{
  "a": [1,
            2],
  "m": {
    "e": {},
    "x": [
      1,
      {
        "y": "a\nb"
      }
    ]
  },
  "z": {"wide": 123456789012345678901234567890, "f": 1.10, "b": 1, "a": 2}
}
"#;
        assert_eq!(String::from_utf8(parts.to_bytes()).expect("text"), expected);
        parts.set("a", None);
        assert_eq!(parts.get("a"), Ok(None));
        assert_eq!(parts.get("z").expect("reads").expect("there")["f"], json!(1.1));
    }

    #[test]
    fn a_place_is_told_as_editors_do() {
        let text = b"{\n  \"a\": 1,\n}\n";
        assert_eq!(place(text, 0), (1, 1));
        assert_eq!(place(text, 12), (3, 1));
        assert_eq!(place(text, 400), (4, 387));
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            ".*".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                proptest::collection::btree_map(".*", inner, 0..4)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(values in proptest::collection::btree_map(".*", value(), 0..5)) {
            let mut parts = Parts::default();
            values.iter().for_each(|(key, value)| parts.set(key, Some(value)));
            let metadata: Metadata = values.into_iter().collect();
            let bytes = parts.to_bytes();
            let expected = [serde_json::to_vec_pretty(&metadata).expect("encodes"), b"\n".to_vec()].concat();
            prop_assert_eq!(String::from_utf8_lossy(&bytes), String::from_utf8_lossy(&expected));
            prop_assert_eq!(whole(&bytes).expect("reads"), metadata);
        }

        #[test]
        fn setting_a_part_leaves_the_others_as_they_stood(
            values in proptest::collection::btree_map("[a-z]{1,8}", value(), 1..5), new in value()
        ) {
            let compact = Value::Object(values.clone().into_iter().collect()).to_string();
            let mut parts = Parts::parse(compact.as_bytes()).expect("reads");
            parts.set("A", Some(&new));
            let text = String::from_utf8(parts.to_bytes()).expect("text");
            for (key, value) in &values {
                let line = format!("  {}: {value}", Value::from(key.as_str()));
                prop_assert!(text.contains(&line), "{line} is not in {text}");
            }
        }

        #[test]
        fn nothing_makes_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            drop(whole(&bytes).map_err(|fault| place(&bytes, fault.byte)));
        }
    }
}
