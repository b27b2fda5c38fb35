use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::ProcessId;

/// What processes wrote to their standard error, as text; of each at most the last [`Said::MOST`] bytes. A process that wrote nothing
/// is not in it.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Said(BTreeMap<ProcessId, String>);

impl Said {
    /// So many bytes are kept of each process.
    pub const MOST: usize = 64 << 10;

    /// Keeps what a process wrote. If that is more than is kept, the text begins with a line that says how much of it is missing, and
    /// goes on with a whole line. What is not UTF-8 is shown with U+FFFD.
    pub fn keep(&mut self, process: ProcessId, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let mut start = bytes.len().saturating_sub(Self::MOST);
        if start > 0 && bytes[start - 1] != b'\n' {
            let end = bytes[start..].iter().position(|byte| *byte == b'\n');
            start += end.map_or_else(|| first_character(&bytes[start..]), |end| end + 1);
        }
        let text = String::from_utf8_lossy(&bytes[start..]);
        let cut = if start > 0 { format!("(the first {start} bytes are cut off)\n") } else { String::new() };
        self.0.insert(process, cut + &text);
    }

    /// What a process wrote; empty if it wrote nothing.
    #[must_use]
    pub fn of(&self, process: ProcessId) -> &str {
        self.0.get(&process).map_or("", String::as_str)
    }

    /// The last lines of a process that hold anything, at most so many.
    #[must_use]
    pub fn last_lines(&self, process: ProcessId, most: usize) -> Vec<&str> {
        let mut lines: Vec<&str> =
            self.of(process).lines().rev().filter(|line| !line.trim().is_empty()).take(most).collect();
        lines.reverse();
        lines
    }

    /// Each process that wrote anything, with its text.
    pub fn iter(&self) -> impl Iterator<Item = (ProcessId, &str)> {
        self.0.iter().map(|(process, text)| (*process, text.as_str()))
    }

    /// Whether nobody wrote anything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Where the first character begins of bytes that may begin in the midst of one.
fn first_character(bytes: &[u8]) -> usize {
    bytes.iter().take(4).position(|byte| byte & 0xc0 != 0x80).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::Said;
    use crate::model::ProcessId;

    fn kept(bytes: &[u8]) -> String {
        let mut said = Said::default();
        said.keep(ProcessId(0), bytes);
        said.of(ProcessId(0)).to_owned()
    }

    #[test]
    fn the_end_is_kept_and_the_cut_is_told() {
        assert_eq!(kept(b""), "");
        assert_eq!(kept(b"a\nb\xff\n"), "a\nb\u{fffd}\n");
        let whole = "x".repeat(Said::MOST);
        assert_eq!(kept(whole.as_bytes()), whole);
        let lines = "0123456\n".repeat(Said::MOST / 8 + 1) + "end\n";
        let text = kept(lines.as_bytes());
        assert!(text.starts_with("(the first 16 bytes are cut off)\n0123456\n"), "{}", &text[..60]);
        assert!(text.ends_with("\n0123456\nend\n") && text.len() < Said::MOST + 40);
        let one_line = "é".repeat(Said::MOST);
        let text = kept(&[one_line.as_bytes(), b"x"].concat());
        assert!(!text.contains('\u{fffd}') && text.ends_with("éx"), "no character is cut in two");
    }

    #[test]
    fn the_last_lines_are_those_that_hold_anything() {
        let mut said = Said::default();
        said.keep(ProcessId(1), b"one\n\ntwo\n  \nthree\n\n");
        assert_eq!(said.last_lines(ProcessId(1), 2), ["two", "three"]);
        assert!(said.last_lines(ProcessId(0), 2).is_empty());
        let json = serde_json::to_string(&said).unwrap();
        assert_eq!(json, "{\"B\":\"one\\n\\ntwo\\n  \\nthree\\n\\n\"}");
        assert_eq!(serde_json::from_str::<Said>(&json).unwrap(), said);
    }
}
