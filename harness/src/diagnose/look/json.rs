//! Why a file is no JSON, if it looks torn.

use serde::de::IgnoredAny;
use serde_json::error::Category;

/// Why these bytes, of a file that is called JSON, are none. Comments, commas too many, names without quotes, one value a line: such
/// files are read by other rules, and are not torn.
pub fn flaw(bytes: &[u8]) -> Option<String> {
    let blank = bytes.iter().all(u8::is_ascii_whitespace);
    if bytes.is_empty() || blank {
        return Some(if bytes.is_empty() { "it is empty" } else { "it is blank" }.to_owned());
    }
    let error = serde_json::from_slice::<IgnoredAny>(bytes).err()?;
    let line = bytes.split(|byte| *byte == b'\n').nth(error.line().saturating_sub(1)).unwrap_or_default();
    let sign = line.get(error.column().saturating_sub(1)).copied().unwrap_or_default();
    let place = format!("line {} column {}", error.line(), error.column());
    let message = error.to_string();
    let other_rules = ["trailing comma", "key must be a string", "recursion limit"];
    let lines = || {
        let text = bytes.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
        text.into_iter().all(|line| serde_json::from_slice::<IgnoredAny>(line).is_ok())
    };
    let byte_order_mark = bytes.starts_with(&[0xef, 0xbb, 0xbf]) || bytes.starts_with(&[0xff, 0xfe]);
    if bytes.contains(&0) && !byte_order_mark {
        let first = bytes.iter().position(|byte| *byte == 0).unwrap_or_default();
        return Some(format!(
            "it has zero bytes from byte {first} on, as a write or a power loss leaves them"
        ));
    }
    if error.classify() == Category::Eof {
        return Some(format!("it ends in the middle, after {} bytes", bytes.len()));
    }
    if byte_order_mark
        || b"/#'".contains(&sign)
        || sign == b']' && message.starts_with("expected value")
        || other_rules.iter().any(|rule| message.contains(rule))
        || lines()
    {
        return None;
    }
    let what = message.split(" at line").next().unwrap_or(&message);
    Some(format!("{what} at {place}"))
}

#[cfg(test)]
mod tests {
    use super::flaw;

    #[test]
    fn torn_files_are_told_from_files_of_other_rules() {
        let fine = [
            "{}",
            " [1, 2]\n",
            "// comment\n{}",
            "{ /* c */ }",
            "[1,2,]",
            "{a: 1}",
            "{'a': 1}",
            "{\"a\":1}\n{\"b\":2}\n",
            "\u{feff}{}",
        ];
        for text in fine {
            assert_eq!(flaw(text.as_bytes()), None, "{text}");
        }
        let torn = [
            ("", "it is empty"),
            (" \n", "it is blank"),
            ("{\"a\": 1", "it ends in the middle, after 7 bytes"),
            ("{\"a\": \"xy", "it ends in the middle, after 9 bytes"),
            ("{\"a\": 1}1}", "trailing characters at line 1 column 9"),
            ("{\"a\": 1 \"b\": 2}", "expected `,` or `}` at line 1 column 9"),
            ("{}\0\0", "it has zero bytes from byte 2 on, as a write or a power loss leaves them"),
        ];
        for (text, why) in torn {
            assert_eq!(flaw(text.as_bytes()).as_deref(), Some(why), "{text}");
        }
    }
}
