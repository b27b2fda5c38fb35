//! Text of strangers made visible: a tested program chooses the names of files, what it prints and what it says about errors, and
//! none of that may steer a terminal, forge a line of a report, or give commands to a build server.
//!
//! A fragment ([`line()`]) is made visible when it is laid out; a whole page (`page`) once more before it is written, so that text that
//! came there another way is made visible as well. To make text visible twice is the same as once.

use std::borrow::Cow;
use std::fmt::Write as _;

use super::layout::Style;
use crate::model::name;

/// What a page may have beside text: the colours that [`Style`] gives.
const COLOURS: [&str; 5] = ["\x1b[1;32m", "\x1b[1;31m", "\x1b[1;33m", "\x1b[2m", "\x1b[0m"];

/// Text for one line. Control characters, and characters that change the order of others, are shown as their escapes: `\x1b`, `\n`,
/// `\u{202e}`; bytes of a name that belong to no character as `\xff`.
#[must_use]
pub fn line(text: &str) -> Cow<'_, str> {
    escaped(text, |_| false)
}

/// Text of several lines: as [`line()`], but line ends stay.
#[must_use]
pub fn lines(text: &str) -> Cow<'_, str> {
    let text = escaped(text, |c| c == '\n');
    if text.lines().any(is_command) { Cow::Owned(without_commands(&text)) } else { text }
}

/// JSON in which no control character is left: it stands in a string there, and is written as its escape.
#[must_use]
pub fn json(text: &str) -> Cow<'_, str> {
    if !text.chars().any(|c| is_hidden(c) && c != '\n') {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if is_hidden(c) && c != '\n' {
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                // Writing to a string does not fail.
                let _ = write!(escaped, "\\u{unit:04x}");
            }
        } else {
            escaped.push(c);
        }
    }
    Cow::Owned(escaped)
}

/// A whole page: as [`lines`], and where the style has colour, its colours stay.
pub(crate) fn page(text: &str, style: &Style) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\x1b').filter(|_| style.color) {
        let (before, from) = rest.split_at(at);
        shown += before;
        let colour = COLOURS.iter().find(|colour| from.starts_with(**colour));
        match colour {
            Some(colour) => shown += colour,
            None => shown += "\\x1b",
        }
        rest = &from[colour.map_or(1, |colour| colour.len())..];
    }
    shown += rest;
    let keep = |c| c == '\n' || (c == '\x1b' && style.color);
    let shown = escaped(&shown, keep);
    if shown.lines().any(is_command) { without_commands(&shown) } else { shown.into_owned() }
}

fn escaped(text: &str, keep: impl Fn(char) -> bool) -> Cow<'_, str> {
    let hidden = |c: char| is_hidden(c) && !keep(c);
    if !text.chars().any(hidden) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            c if !hidden(c) => shown.push(c),
            '\n' => shown += "\\n",
            '\r' => shown += "\\r",
            '\t' => shown += "\\t",
            // Writing to a string does not fail.
            c if c.is_ascii() => drop(write!(shown, "\\x{:02x}", c as u32)),
            c => drop(match name::byte(c) {
                Some(byte) => write!(shown, "\\x{byte:02x}"),
                None => write!(shown, "\\u{{{:x}}}", c as u32),
            }),
        }
    }
    Cow::Owned(shown)
}

/// Whether a character shows as nothing and does something: controls (C0, DEL, C1), line and paragraph separators, marks that change
/// the direction of text, and tags; and what stands for a byte of a [`name`].
fn is_hidden(c: char) -> bool {
    c.is_control()
        || name::byte(c).is_some()
        || matches!(c,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Whether a build server takes a line for a command to itself.
fn is_command(line: &str) -> bool {
    line.trim_start().starts_with("::") || line.contains("##[") || line.contains("##vso[")
}

fn without_commands(text: &str) -> String {
    let each = text.split('\n').map(|line| {
        let spaces = line.len() - line.trim_start().len();
        let (indent, rest) = line.split_at(spaces);
        let rest = rest.replace("##[", "#\\x23[").replace("##vso[", "#\\x23vso[");
        match rest.strip_prefix("::") {
            Some(more) => format!("{indent}\\x3a:{more}"),
            None => format!("{indent}{rest}"),
        }
    });
    each.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::{json, line, lines, page};
    use crate::report::layout::{Ink, Style};

    const PLAIN: Style = Style { width: 80, color: false };
    const COLOUR: Style = Style { width: 80, color: true };

    #[test]
    fn what_cannot_be_seen_is_shown_as_its_escape() {
        let shown = [
            ("plain → häßlich", "plain → häßlich"),
            ("\x1b[31mred\x07", "\\x1b[31mred\\x07"),
            ("a\nb\r\n\tc", "a\\nb\\r\\n\\tc"),
            ("\x7f\u{9b}31m\u{85}", "\\x7f\\u{9b}31m\\u{85}"),
            ("\u{202e}gpj.exe\u{2066}\u{2069}", "\\u{202e}gpj.exe\\u{2066}\\u{2069}"),
            ("\u{2028}\u{feff}\0", "\\u{2028}\\u{feff}\\x00"),
            // The byte 0x9b in a name, and the character U+009B.
            ("n\u{10f79b}\u{9b}", "n\\x9b\\u{9b}"),
        ];
        for (text, expected) in shown {
            assert_eq!(line(text), expected);
            assert_eq!(line(&line(text)), expected, "twice is the same as once");
        }
        assert_eq!(lines("one\x1b\ntwo\n"), "one\\x1b\ntwo\n");
    }

    #[test]
    fn every_character_that_is_hidden_is_shown_in_every_way() {
        for c in (0..=u32::from(char::MAX)).filter_map(char::from_u32).filter(|c| super::is_hidden(*c)) {
            let text = format!("a{c}b");
            let all = [
                line(&text).into_owned(),
                lines(&text).into_owned(),
                page(&text, &COLOUR),
                json(&text).into_owned(),
            ];
            for shown in all {
                assert!(shown.chars().all(|c| c == '\n' || !super::is_hidden(c)), "{c:?}: {shown:?}");
            }
        }
    }

    #[test]
    fn a_page_keeps_its_own_colours_and_no_others() {
        let ours = COLOUR.ink(Ink::Bad, "bad \x1b[2Jname");
        assert_eq!(page(&ours, &COLOUR), "\x1b[1;31mbad \\x1b[2Jname\x1b[0m");
        assert_eq!(page("\x1b]0;title\x07 \x1b[1;31", &COLOUR), "\\x1b]0;title\\x07 \\x1b[1;31");
        assert_eq!(page("\x1b[1;31mred\n", &PLAIN), "\\x1b[1;31mred\n");
    }

    #[test]
    fn no_line_is_a_command_to_a_build_server() {
        assert_eq!(lines("a\n::error::x\n  ::add-mask::y"), "a\n\\x3a:error::x\n  \\x3a:add-mask::y");
        assert_eq!(page("x ##[group]y\na::b", &PLAIN), "x #\\x23[group]y\na::b");
    }

    #[test]
    fn json_is_the_same_value_with_nothing_hidden() {
        let value = serde_json::json!({"k\u{7f}": "\x1b\u{9b}\u{202e}\u{e0041}\n", "list": [1, 2]});
        let text = serde_json::to_string_pretty(&value).unwrap();
        let shown = json(&text);
        assert!(shown.chars().all(|c| c == '\n' || !super::is_hidden(c)), "{shown:?}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), value);
    }
}
