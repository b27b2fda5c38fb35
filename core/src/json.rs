//! Stand-in.
use std::collections::BTreeMap;
use serde_json::{Value, value::RawValue};
use crate::Metadata;
#[derive(Debug)]
pub(crate) struct Fault { pub(crate) byte: usize, pub(crate) line: usize, pub(crate) column: usize, pub(crate) detail: String }
#[derive(Clone, Default)]
pub(crate) struct Parts(BTreeMap<String, Box<RawValue>>);
impl Parts {
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, Fault> {
        serde_json::from_slice(bytes).map(Self).map_err(|error| Fault { byte: 0, line: error.line(), column: error.column(), detail: error.to_string() })
    }
    pub(crate) fn get(&self, key: &str) -> Result<Option<Value>, Fault> {
        Ok(self.0.get(key).map(|raw| serde_json::from_str(raw.get()).expect("x")))
    }
    pub(crate) fn set(&mut self, key: &str, value: Option<&Value>) {
        match value {
            None => drop(self.0.remove(key)),
            Some(value) => {
                let text = serde_json::to_string_pretty(value).expect("x").replace('\n', "\n  ");
                drop(self.0.insert(key.to_owned(), RawValue::from_string(text).expect("x")));
            }
        }
    }
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        if self.0.is_empty() { return b"{}\n".to_vec(); }
        let list: Vec<_> = self.0.iter().map(|(key, raw)| format!("  {}: {}", Value::from(key.as_str()), raw.get())).collect();
        format!("{{\n{}\n}}\n", list.join(",\n")).into_bytes()
    }
    pub(crate) fn to_metadata(&self) -> Result<Metadata, Fault> {
        self.0.keys().map(|key| Ok((key.clone(), self.get(key)?.expect("x")))).collect()
    }
}
pub(crate) fn checksum(bytes: &[u8]) -> u128 { twox_hash::XxHash3_128::oneshot(bytes) }
