//! Names of files as text. A name is bytes; one that is not UTF-8 is text here too, and nothing of it is lost.
//!
//! Each byte that belongs to no character, from 0x80 to 0xff, stands as a character of its own at the end of a private area, U+10F780 to U+10F7FF.
//! The bytes of a character of that area are such bytes as well, so that no two names have the same text. Bytes below 0x80 never stand so:
//! no text hides a `/` or a NUL.

use std::borrow::Cow;

/// The character of byte 0.
const FIRST: u32 = 0x10_f700;

/// The text of a name, or of several with `/` between them.
#[must_use]
pub fn text(bytes: Vec<u8>) -> String {
    match String::from_utf8(bytes) {
        Ok(text) if !text.contains(is_byte) => text,
        Ok(text) => escaped(text.as_bytes()),
        Err(error) => escaped(error.as_bytes()),
    }
}

fn escaped(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() + 16);
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            if is_byte(c) {
                text.extend(c.encode_utf8(&mut [0; 4]).bytes().filter_map(shown));
            } else {
                text.push(c);
            }
        }
        text.extend(chunk.invalid().iter().copied().filter_map(shown));
    }
    text
}

/// The name that has this text.
#[must_use]
pub fn bytes(text: &str) -> Cow<'_, [u8]> {
    if !text.contains(is_byte) {
        return Cow::Borrowed(text.as_bytes());
    }
    let mut bytes = Vec::with_capacity(text.len());
    for c in text.chars() {
        match byte(c) {
            Some(byte) => bytes.push(byte),
            None => bytes.extend(c.encode_utf8(&mut [0; 4]).bytes()),
        }
    }
    Cow::Owned(bytes)
}

/// The byte that a character stands for, if it stands for one.
#[must_use]
pub fn byte(c: char) -> Option<u8> {
    u8::try_from(u32::from(c).checked_sub(FIRST)?).ok().filter(|byte| *byte >= 0x80)
}

fn is_byte(c: char) -> bool {
    byte(c).is_some()
}

fn shown(byte: u8) -> Option<char> {
    char::from_u32(FIRST + u32::from(byte))
}

#[cfg(test)]
mod tests {
    use super::{bytes, text};

    #[test]
    fn every_name_survives_and_no_two_have_the_same_text() {
        let names: [&[u8]; 9] = [
            b"plain",
            "h\u{e4}\u{df}lich".as_bytes(),
            b"n\xff",
            b"n\xfe",
            b"\xc3",
            b"\xc3\xa9",
            b"\xf4\x8f\x9d\xa9",
            b"d\xff/\xed\xa0\x80",
            "\u{fffd}".as_bytes(),
        ];
        let texts: Vec<String> = names.iter().map(|name| text(name.to_vec())).collect();
        for (number, name) in names.iter().enumerate() {
            assert_eq!(bytes(&texts[number]).as_ref(), *name);
            assert!(!texts[..number].contains(&texts[number]), "{name:?}");
        }
        assert_eq!(texts[0], "plain");
        assert_eq!(texts[2], "n\u{10f7ff}");
    }

    #[test]
    fn no_text_hides_a_slash() {
        for text in ["\u{10f72f}", "\u{10f700}", "\u{10f77f}", "\u{10f800}"] {
            assert_eq!(bytes(text).as_ref(), text.as_bytes());
        }
    }
}
