use std::fmt;

use serde::{Deserialize, Serialize};

use super::{ProcessId, Tree};

/// How a process ended.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Exit {
    /// It ended by itself, with this status.
    Status(i32),
    /// This signal killed it.
    Signal(i32),
}

impl Exit {
    /// Whether it ended by itself with status 0.
    #[must_use]
    pub fn is_success(self) -> bool {
        self == Self::Status(0)
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "exit {status}"),
            Self::Signal(signal) => write!(f, "signal {signal}"),
        }
    }
}

/// What an execution leaves that somebody can see.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
pub struct Outcome {
    /// The final workspace, less what is ignored. Empty where a canonical form stands for it.
    pub tree: Tree,
    /// How each process ended, in the order of the processes; `None` for one that never did (a deadlock).
    pub exits: Vec<Option<Exit>>,
    /// Of each process that is several commands one after another: how those before its last ended. Empty where there is none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub earlier: Vec<Vec<Exit>>,
    /// What each process wrote to its standard output.
    #[serde(with = "text_of_bytes::list")]
    pub stdout: Vec<Vec<u8>>,
    /// What `--canon` printed, where it is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canon: Option<String>,
    /// How `--canon` failed, if it did, and what it said last on its standard error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canon_failed: Option<(Exit, String)>,
    /// What `--final` did and printed, where it is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<(Exit, String)>,
}

impl Outcome {
    /// How the commands of a process ended, in their order; of most there is one.
    pub fn exits_of(&self, process: ProcessId) -> impl Iterator<Item = Exit> + '_ {
        let earlier = self.earlier.get(process.0).into_iter().flatten().copied();
        earlier.chain(self.exits.get(process.0).copied().flatten())
    }
}

/// Bytes in JSON: text where they are UTF-8 and do not begin with `hex:`, else `hex:` and hexadecimal digits.
pub mod text_of_bytes {
    use serde::{Deserialize, Deserializer, Serializer, de};

    fn encode(bytes: &[u8]) -> String {
        match std::str::from_utf8(bytes) {
            Ok(text) if !text.starts_with("hex:") => text.to_owned(),
            _ => bytes.iter().fold(String::from("hex:"), |text, byte| text + &format!("{byte:02x}")),
        }
    }

    fn decode(text: &str) -> Result<Vec<u8>, String> {
        let Some(digits) = text.strip_prefix("hex:") else { return Ok(text.as_bytes().to_vec()) };
        let bad = || format!("`{text}` is not hexadecimal");
        if !digits.len().is_multiple_of(2) || !digits.is_ascii() {
            return Err(bad());
        }
        (0..digits.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).map_err(|_| bad()))
            .collect()
    }

    /// Writes bytes as text.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&encode(bytes))
    }

    /// Reads what [`serialize`] wrote.
    ///
    /// # Errors
    /// Where the text after `hex:` is not hexadecimal.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        decode(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }

    /// The same for a list of byte strings.
    pub mod list {
        use serde::{Deserialize, Deserializer, Serializer, de};

        /// Writes each as text.
        ///
        /// # Errors
        /// Those of the serializer.
        pub fn serialize<S: Serializer>(list: &[Vec<u8>], serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_seq(list.iter().map(|bytes| super::encode(bytes)))
        }

        /// Reads what [`serialize`] wrote.
        ///
        /// # Errors
        /// Where a text after `hex:` is not hexadecimal.
        pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Vec<u8>>, D::Error> {
            let texts = Vec::<String>::deserialize(deserializer)?;
            texts.iter().map(|text| super::decode(text).map_err(de::Error::custom)).collect()
        }
    }
}
