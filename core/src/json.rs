//! The bytes of the metadata file: read strictly, and written so that what nobody touched stays as it stands.
//!
//! The file is one object. [`Parts`] looks into its values only where it is asked to: the part of another agent goes
//! from file to file as text, so its wide integers, its spelling of numbers and the order of its keys survive a program
//! that could not have written them. White space between the parts, their order and the escapes in their names are
//! ours: two spaces, sorted, as serde_json writes them.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Number, Value};

use crate::Metadata;
use crate::file::MAX_DEPTH;

/// What is wrong with the bytes, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// Offset of the byte at which reading stopped, from 0; the number of bytes where there are too few.
    pub(crate) byte: usize,
    /// Line, from 1.
    pub(crate) line: usize,
    /// Column in bytes, from 1.
    pub(crate) column: usize,
    /// What was found or expected there.
    pub(crate) detail: String,
}

/// The top level of the metadata: the text of each part, under its name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Parts {
    /// What was read.
    text: String,
    parts: BTreeMap<String, Part>,
}

#[derive(Clone, Debug)]
enum Part {
    /// Where it stands in the text that was read.
    Read(Range<usize>),
    /// As it will be written.
    Written(String),
}

impl Parts {
    /// Takes the file apart. Finds what is wrong with its grammar, its encoding and its top level; what is wrong with
    /// the value of a part only when that value is asked for.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, Fault> {
        let text = check_start(bytes)?;
        let mut reader = serde_json::Deserializer::from_str(text);
        let parts = TopLevel { text }
            .deserialize(&mut reader)
            .and_then(|parts| reader.end().map(|()| parts))
            .map_err(|error| Fault::of(&error, bytes, 0..bytes.len(), 0))?;
        Ok(Parts { text: text.to_owned(), parts })
    }

    /// The value of a part, which must not be nested too deeply nor have a key twice in one object.
    /// The place of a fault is in the file that was read; in a part that was set, in the text of that part.
    pub(crate) fn get(&self, key: &str) -> Result<Option<Value>, Fault> {
        self.parts.get(key).map(|part| self.value(part)).transpose()
    }

    /// Puts a value in the place of a part; `None` removes it.
    pub(crate) fn set(&mut self, key: &str, value: Option<&Value>) {
        match value {
            Some(value) => drop(self.parts.insert(key.to_owned(), Part::Written(pretty(value)))),
            None => drop(self.parts.remove(key)),
        }
    }

    /// The names of the parts, sorted.
    #[cfg(test)]
    pub(crate) fn keys(&self) -> impl Iterator<Item = &str> {
        self.parts.keys().map(String::as_str)
    }

    /// The whole file. Where every part was set, what serde_json's `to_vec_pretty` makes of it, and a line break.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let lengths = self.parts.iter().map(|(key, part)| key.len() + self.raw(part).len() + 8);
        let mut text = String::with_capacity(lengths.sum::<usize>() + 4);
        for (number, (key, part)) in self.parts.iter().enumerate() {
            text.push_str(if number == 0 { "{\n  " } else { ",\n  " });
            text.push_str(&Value::from(key.as_str()).to_string());
            text.push_str(": ");
            text.push_str(self.raw(part));
        }
        text.push_str(if text.is_empty() { "{}\n" } else { "\n}\n" });
        text.into_bytes()
    }

    /// The values of all parts.
    #[cfg(test)]
    pub(crate) fn to_metadata(&self) -> Result<Metadata, Fault> {
        self.parts.iter().map(|(key, part)| Ok((key.clone(), self.value(part)?))).collect()
    }

    fn raw<'a>(&'a self, part: &'a Part) -> &'a str {
        match part {
            Part::Read(range) => &self.text[range.clone()],
            Part::Written(text) => text,
        }
    }

    fn value(&self, part: &Part) -> Result<Value, Fault> {
        let raw = self.raw(part);
        let (whole, range) = match part {
            Part::Read(range) => (self.text.as_str(), range.clone()),
            Part::Written(text) => (text.as_str(), 0..text.len()),
        };
        let mut reader = serde_json::Deserializer::from_str(raw);
        Strict { levels: MAX_DEPTH }
            .deserialize(&mut reader)
            .map_err(|error| Fault::of(&error, whole.as_bytes(), range, MAX_DEPTH))
    }
}

/// The values of all parts at once: what [`Parts::parse`] and [`Parts::to_metadata`] give, for a caller who has no use
/// for their text.
pub(crate) fn metadata(bytes: &[u8]) -> Result<Metadata, Fault> {
    const LEVELS: usize = MAX_DEPTH + 1;
    let text = check_start(bytes)?;
    let mut reader = serde_json::Deserializer::from_str(text);
    let value = Strict { levels: LEVELS }
        .deserialize(&mut reader)
        .and_then(|value| reader.end().map(|()| value))
        .map_err(|error| Fault::of(&error, bytes, 0..bytes.len(), LEVELS))?;
    match value {
        Value::Object(metadata) => Ok(metadata),
        // check_start has seen the brace.
        _ => Err(Fault::at(bytes, 0, "expected an object".to_owned())),
    }
}

/// A value as it stands in the file, two spaces further in. A string has no line breaks in it: they are escaped.
fn pretty(value: &Value) -> String {
    format!("{value:#}").replace('\n', "\n  ")
}

/// A checksum (XXH3, 128 bits) to tell a whole file from a torn one. It is no protection against somebody who
/// chooses the bytes.
pub(crate) fn checksum(bytes: &[u8]) -> u128 {
    twox_hash::XxHash3_128::oneshot(bytes)
}

/// The bytes as text, if it can be an object at all.
fn check_start(bytes: &[u8]) -> Result<&str, Fault> {
    let fault = |byte, detail: &str| Err(Fault::at(bytes, byte, detail.to_owned()));
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
    if bytes.starts_with(b"\xEF\xBB\xBF") {
        return fault(0, "the file begins with a byte order mark: take these three bytes away");
    }
    let Some(start) = bytes.iter().position(|byte| !is_space(byte)) else {
        let detail =
            if bytes.is_empty() { "the file is empty" } else { "the file is empty but for white space" };
        return fault(bytes.len(), detail);
    };
    let found = match bytes[start] {
        b'{' => {
            return std::str::from_utf8(bytes).or_else(|error| {
                fault(error.valid_up_to(), "the text is not UTF-8: this byte cannot stand here")
            });
        }
        b'[' => "an array",
        b'"' => "a string",
        b'-' | b'0'..=b'9' => "a number",
        b't' | b'f' if bytes[start..].starts_with(b"true") || bytes[start..].starts_with(b"false") => {
            "a boolean"
        }
        b'n' if bytes[start..].starts_with(b"null") => "null",
        0 => "a zero byte, as a loss of power may leave them",
        _ => "something that is no JSON",
    };
    fault(start, &format!("expected an object, found {found}"))
}

impl Fault {
    fn at(bytes: &[u8], byte: usize, detail: String) -> Self {
        let before = &bytes[..byte];
        let line_start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        Fault { byte, line, column: byte - line_start + 1, detail }
    }

    /// The reader's words in ours, for an error in that range of the file, of which `levels` may be nested.
    fn of(error: &serde_json::Error, bytes: &[u8], range: Range<usize>, levels: usize) -> Self {
        let part = &bytes[range.clone()];
        // serde_json appends the place, which we say in our own words.
        let text = error.to_string();
        let text = text.rsplit_once(" at line ").map_or(text.as_str(), |(text, _)| text);
        let (byte, detail) = if error.is_eof() {
            (part.len(), format!("the text ends too early ({text})"))
        } else if error.is_data() {
            // One of our own: the reader may have gone on to the next token since.
            let stopped = offset(part, error);
            let place = if text == TOO_DEEP { too_deep(part, levels) } else { key_before(part, stopped) };
            (place.unwrap_or(stopped), text.to_owned())
        } else if text.starts_with("control character") {
            // The reader stops before it in some places, behind it in others.
            let stopped = offset(part, error);
            let control = part[stopped..].iter().position(|byte| *byte < b' ');
            (stopped + control.unwrap_or(0), text.to_owned())
        } else {
            (offset(part, error), in_our_words(text).to_owned())
        };
        Fault::at(bytes, range.start + byte, detail)
    }
}

fn in_our_words(text: &str) -> &str {
    match text {
        "trailing characters" => "the object has ended, but the text goes on",
        "lone leading surrogate in hex escape" | "unexpected end of hex escape" => {
            "an escape is one half of a surrogate pair, and the other half is missing"
        }
        other => other,
    }
}

/// The offset of the last byte that the parser looked at. It says how many it took of which line, and 0 when the
/// last was the line break before.
fn offset(bytes: &[u8], error: &serde_json::Error) -> usize {
    let lines = bytes.split_inclusive(|byte| *byte == b'\n');
    let before: usize = lines.take(error.line().saturating_sub(1)).map(<[u8]>::len).sum();
    (before + error.column()).saturating_sub(1).min(bytes.len())
}

/// Where the string begins that ends last before `end` or there. Inside of a string, a backslash stands before every
/// quote; none stands before its first.
fn key_before(bytes: &[u8], end: usize) -> Option<usize> {
    let last = bytes[..bytes.len().min(end + 1)].iter().rposition(|byte| *byte == b'"')?;
    (0..last).rev().find(|&at| bytes[at] == b'"' && (at == 0 || bytes[at - 1] != b'\\'))
}

/// Where the first bracket stands that has more than `levels` around it and itself.
fn too_deep(bytes: &[u8], levels: usize) -> Option<usize> {
    let (mut open, mut quoted, mut escaped) = (0, false, false);
    bytes.iter().position(|byte| {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => quoted = !quoted,
            b'{' | b'[' if !quoted => open += 1,
            b'}' | b']' if !quoted => open -= 1,
            _ => {}
        }
        open > levels
    })
}

/// What the error for too many levels says.
const TOO_DEEP: &str = "the value is nested more than 100 levels deep";
const _: () = assert!(MAX_DEPTH == 100, "the message says otherwise");

fn twice<E: serde::de::Error>(key: &str) -> E {
    E::custom(format_args!("the key {key:?} stands twice in the same object"))
}

/// Reads the top level: where each value stands.
struct TopLevel<'a> {
    text: &'a str,
}

impl<'de> DeserializeSeed<'de> for TopLevel<'de> {
    type Value = BTreeMap<String, Part>;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Self::Value, D::Error> {
        reader.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for TopLevel<'de> {
    type Value = BTreeMap<String, Part>;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut parts = BTreeMap::new();
        while let Some(key) = map.next_key::<String>()? {
            if parts.contains_key(&key) {
                return Err(twice(&key));
            }
            let raw = map.next_value::<&'de RawValue>()?.get();
            // The reader lends out pieces of the text: the place of a piece is its distance from the beginning.
            let start = raw.as_ptr().addr() - self.text.as_ptr().addr();
            parts.insert(key, Part::Read(start..start + raw.len()));
        }
        Ok(parts)
    }
}

/// Reads a value that has at most so many levels, and no key twice in an object.
#[derive(Clone, Copy)]
struct Strict {
    levels: usize,
}

impl Strict {
    fn inner<E: serde::de::Error>(self) -> Result<Self, E> {
        self.levels.checked_sub(1).map(|levels| Strict { levels }).ok_or_else(|| E::custom(TOO_DEEP))
    }
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Value, D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a JSON value")
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

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("number out of range"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<Value, A::Error> {
        let inner = self.inner()?;
        let mut items = Vec::new();
        while let Some(item) = array.next_element_seed(inner)? {
            items.push(item);
        }
        Ok(items.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Value, A::Error> {
        let inner = self.inner()?;
        let mut fields = Map::new();
        while let Some(key) = object.next_key::<String>()? {
            if fields.contains_key(&key) {
                return Err(twice(&key));
            }
            fields.insert(key, object.next_value_seed(inner)?);
        }
        Ok(fields.into())
    }
}

#[cfg(test)]
mod tests;
