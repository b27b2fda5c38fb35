//! Text in lines and columns of a given width. All that is laid out is made visible first: it may be what a tested program chose.

use std::io;

use super::visible::{self, line};

/// How a report for people looks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Style {
    /// Columns of text; at least 40 are used.
    pub width: usize,
    /// Whether to colour what matters, by ANSI escapes.
    pub color: bool,
}

impl Default for Style {
    /// 80 columns, no colour.
    fn default() -> Self {
        Self { width: 80, color: false }
    }
}

/// What to make of a piece of text where colour is wanted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Ink {
    /// A verdict that is fine.
    Good,
    /// One that is not.
    Bad,
    /// One that is neither; and what to look at.
    Look,
    /// What can be passed over.
    Faint,
}

impl Style {
    pub(crate) fn columns(&self) -> usize {
        self.width.max(40)
    }

    pub(crate) fn ink(&self, ink: Ink, text: &str) -> String {
        let text = line(text);
        if !self.color || text.is_empty() {
            return text.into_owned();
        }
        let code = match ink {
            Ink::Good => "1;32",
            Ink::Bad => "1;31",
            Ink::Look => "1;33",
            Ink::Faint => "2",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}

/// Writes a page by one door: whatever `write` wrote, no control character but the ends of lines and the style's colours comes out.
pub(crate) fn through_the_door(
    style: &Style,
    out: &mut dyn io::Write,
    write: impl FnOnce(&mut dyn io::Write) -> io::Result<()>,
) -> io::Result<()> {
    let mut page = Vec::new();
    write(&mut page)?;
    out.write_all(visible::page(&String::from_utf8_lossy(&page), style).as_bytes())
}

/// The text in lines of at most `width` characters, broken at spaces; a longer word is broken where the line ends. Lines after
/// the first begin with `indent` spaces.
pub(crate) fn wrap(text: &str, width: usize, indent: usize) -> Vec<String> {
    let text = line(text);
    let mut lines = Vec::new();
    let mut line: String = text.chars().take_while(|c| *c == ' ').collect();
    let mut fresh = true;
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        let mut word: Vec<char> = word.chars().collect();
        let gap = usize::from(!fresh);
        if !fresh && length(&line) + gap + word.len() > width {
            lines.push(std::mem::replace(&mut line, " ".repeat(indent)));
            fresh = true;
        }
        while length(&line) + word.len() > width && fresh {
            let rest = word.split_off((width - length(&line)).max(1));
            line.extend(word);
            lines.push(std::mem::replace(&mut line, " ".repeat(indent)));
            word = rest;
        }
        if !fresh {
            line.push(' ');
        }
        line.extend(word);
        fresh = false;
    }
    lines.push(line);
    lines
}

/// Characters, each taken as one column wide.
pub(crate) fn length(text: &str) -> usize {
    line(text).chars().count()
}

/// The text with spaces after it up to `width`.
pub(crate) fn pad(text: &str, width: usize) -> String {
    format!("{}{}", line(text), " ".repeat(width.saturating_sub(length(text))))
}

/// The text cut to `width` characters, with `…` where the rest was.
pub(crate) fn clip(text: &str, width: usize) -> String {
    let text = line(text);
    if length(&text) <= width {
        return text.into_owned();
    }
    text.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

/// The text cut to `width` characters, with `…` in the middle: of commands that begin alike, the end tells.
pub(crate) fn clip_middle(text: &str, width: usize) -> String {
    let text = line(text);
    if length(&text) <= width {
        return text.into_owned();
    }
    let kept = width.saturating_sub(1);
    let head = kept / 2;
    let tail = length(&text) - (kept - head);
    text.chars().take(head).chain(['…']).chain(text.chars().skip(tail)).collect()
}

/// A path of at most `width` characters: less the folders that do not fit, `…/` in their place.
pub(crate) fn short_path(path: &str, width: usize) -> String {
    let path = &*line(path);
    if length(path) <= width {
        return path.to_owned();
    }
    let ends = path.match_indices('/').map(|(at, _)| format!("…{}", &path[at..]));
    let name = path.rsplit('/').next().unwrap_or(path);
    ends.into_iter().find(|end| length(end) <= width).unwrap_or_else(|| clip_middle(name, width))
}

#[cfg(test)]
mod tests {
    use super::{clip, clip_middle, pad, short_path, wrap};

    #[test]
    fn what_is_laid_out_is_visible_and_fits() {
        let name = "a\n::error::b\x1b[2J";
        let all =
            [wrap(name, 12, 1), vec![clip(name, 12), clip_middle(name, 12), short_path(name, 12)]].concat();
        for line in all {
            assert!(line.chars().count() <= 12 && !line.contains(char::is_control), "{line:?}");
        }
        assert_eq!(pad("\x1b", 6), "\\x1b  ");
    }

    #[test]
    fn lines_break_at_spaces_and_long_words_where_they_must() {
        assert_eq!(wrap("one two three", 8, 2), ["one two", "  three"]);
        assert_eq!(wrap("  indented text", 12, 4), ["  indented", "    text"]);
        assert_eq!(wrap("abcdefghij k", 4, 1), ["abcd", " efg", " hij", " k"]);
        assert_eq!(wrap("", 4, 0), [""]);
        assert_eq!(pad("→", 3), "→  ");
        assert_eq!([clip("→ abc", 5), clip("→ abc", 4)], ["→ abc", "→ a…"]);
        let paths = [20, 12, 8, 4].map(|width| short_path("var/lib/state/f.json", width));
        assert_eq!(paths, ["var/lib/state/f.json", "…/f.json", "…/f.json", "f…on"]);
        assert_eq!([clip_middle("→ abcde", 7), clip_middle("→ abcde", 6)], ["→ abcde", "→ …cde"]);
    }
}
