use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// One of the commands (or closures) under test, by its place in the order in which they were given: 0 is shown as `A`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ProcessId(pub usize);

impl fmt::Display for ProcessId {
    /// `A` to `Z`, then `AA`, `AB`, … as spreadsheets name columns.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut letters = Vec::new();
        let mut rest = self.0 + 1;
        while rest > 0 {
            rest -= 1;
            letters.push(b'A' + (rest % 26) as u8);
            rest /= 26;
        }
        letters.reverse();
        f.pad(std::str::from_utf8(&letters).unwrap_or("?"))
    }
}

impl std::str::FromStr for ProcessId {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let bad = || format!("`{name}` does not name a process: processes are A, B, C, …");
        if name.is_empty() || name.len() > 4 || !name.bytes().all(|b| b.is_ascii_uppercase()) {
            return Err(bad());
        }
        let number = name.bytes().fold(0usize, |sum, b| sum * 26 + usize::from(b - b'A') + 1);
        Ok(Self(number - 1))
    }
}

impl Serialize for ProcessId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ProcessId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::ProcessId;

    #[test]
    fn names_are_letters_and_parse_back() {
        for (number, name) in
            [(0, "A"), (1, "B"), (25, "Z"), (26, "AA"), (27, "AB"), (701, "ZZ"), (702, "AAA")]
        {
            assert_eq!(ProcessId(number).to_string(), name);
            assert_eq!(name.parse(), Ok(ProcessId(number)));
        }
        for bad in ["", "a", "A1", "ABCDE"] {
            assert!(bad.parse::<ProcessId>().is_err(), "{bad}");
        }
    }
}
