//! JSON as it is compared: exactly. Numbers are decimals of any size and precision, and a key that stands twice is there twice.
//!
//! Two numbers are equal if they have the same decimal value and the same sign, and both or neither are written as whole numbers,
//! without a point or exponent: `1.0` is `1.00` and `1e2` is `100.0`, but `1` is not `1.0`, which many programs tell apart, and `0.0` is
//! not `-0.0`. The order of different keys does not count, that of equal ones does.
//!
//! The type is our own, and takes each number's text from [`RawValue`]: a `serde_json::Value` rounds numbers to 64 bits and keeps the last of two
//! equal keys. The feature of `serde_json` that keeps the digits would change its numbers everywhere in the workspace, and its `1.0` is not `1.00`.

use std::fmt;

use serde::de::{Deserializer as _, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Error, Value};

/// How deep values may be nested, as for all that `serde_json` reads.
const DEEPEST: usize = 127;
/// The most digits that are written before or behind a point to show a number without an exponent.
const PLAIN: i64 = 21;

/// A value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Json {
    /// `null`, `true` or `false`.
    Word(String),
    /// The canonical text of a number.
    Number(String),
    String(String),
    Array(Vec<Json>),
    /// The members by their names, sorted; those of one name in the order of the text.
    Object(Vec<(String, Json)>),
}

impl Json {
    /// The value of a text.
    ///
    /// # Errors
    /// The first thing that is not JSON, with its place.
    pub(super) fn parse(text: &[u8]) -> Result<Self, Error> {
        let raw: &RawValue = serde_json::from_slice(text)?;
        // The place of an error further in is one in the whole text.
        Self::of(raw, 0).map_err(|error| serde_json::from_slice::<Value>(text).err().unwrap_or(error))
    }

    fn of(raw: &RawValue, depth: usize) -> Result<Self, Error> {
        if depth > DEEPEST {
            return Err(Error::custom("recursion limit exceeded"));
        }
        let text = raw.get();
        Ok(match text.as_bytes().first() {
            Some(b'{') => {
                let members = serde_json::Deserializer::from_str(text).deserialize_map(Members)?;
                let of = |(name, raw): (String, &RawValue)| Ok((name, Self::of(raw, depth + 1)?));
                let mut members = members.into_iter().map(of).collect::<Result<Vec<_>, Error>>()?;
                members.sort_by(|(a, _), (b, _)| a.cmp(b));
                Self::Object(members)
            }
            Some(b'[') => {
                let items: Vec<&RawValue> = serde_json::from_str(text)?;
                Self::Array(items.into_iter().map(|raw| Self::of(raw, depth + 1)).collect::<Result<_, _>>()?)
            }
            Some(b'"') => Self::String(serde_json::from_str(text)?),
            Some(b'-' | b'0'..=b'9') => Self::Number(canonical(text)),
            _ => Self::Word(text.to_owned()),
        })
    }

    /// The value of a member, if this is an object in which one member has this name.
    pub(super) fn get(&self, name: &str) -> Option<&Self> {
        let Self::Object(members) = self else { return None };
        let mut named = members.iter().filter(|(member, _)| member == name);
        named.next().filter(|_| named.next().is_none()).map(|(_, value)| value)
    }

    /// The names of the members, sorted, if this is an object in which each stands once.
    pub(super) fn names(&self) -> Option<Vec<&String>> {
        let Self::Object(members) = self else { return None };
        let is_clear = members.windows(2).all(|two| two[0].0 != two[1].0);
        is_clear.then(|| members.iter().map(|(name, _)| name).collect())
    }
}

/// Reads the members of an object, also those that stand twice.
struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Vec<(String, &'de RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(members)
    }
}

/// The text that all equal numbers have: a whole number as it is, any other with a point, as few digits as can be, and an exponent only if it
/// is far from 1.
fn canonical(text: &str) -> String {
    if text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-') {
        return text.to_owned();
    }
    // An exponent that is no number of 64 bits stays as it is written.
    fraction(text).unwrap_or_else(|| text.to_owned())
}

fn fraction(text: &str) -> Option<String> {
    let (sign, text) = text.strip_prefix('-').map_or(("", text), |text| ("-", text));
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, rest) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = format!("{whole}{rest}");
    let digits = all.trim_start_matches('0');
    // Where the point is, counted from the first digit that is not 0.
    let leading = i64::try_from(whole.len()).ok()? - i64::try_from(all.len() - digits.len()).ok()?;
    let point = exponent.parse::<i64>().ok()?.checked_add(leading)?;
    let digits = digits.trim_end_matches('0');
    let count = i64::try_from(digits.len()).ok()?;
    let zeros = |number: i64| "0".repeat(usize::try_from(number).unwrap_or(0));
    Some(if digits.is_empty() {
        format!("{sign}0.0")
    } else if (1..=PLAIN).contains(&point) && point >= count {
        format!("{sign}{digits}{}.0", zeros(point - count))
    } else if (1..=PLAIN).contains(&point) {
        let (before, behind) = digits.split_at(usize::try_from(point).ok()?);
        format!("{sign}{before}.{behind}")
    } else if (-PLAIN..=0).contains(&point) {
        format!("{sign}0.{}{digits}", zeros(-point))
    } else {
        let (first, behind) = digits.split_at(1);
        let behind = if behind.is_empty() { "0" } else { behind };
        format!("{sign}{first}.{behind}e{}", point.checked_sub(1)?)
    })
}

/// The compact text: equal values have the same.
impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quoted = |text: &String| serde_json::to_string(text).map_err(|_| fmt::Error);
        match self {
            Self::Word(text) | Self::Number(text) => f.write_str(text),
            Self::String(text) => f.write_str(&quoted(text)?),
            Self::Array(items) => {
                f.write_str("[")?;
                for (at, item) in items.iter().enumerate() {
                    write!(f, "{}{item}", if at > 0 { "," } else { "" })?;
                }
                f.write_str("]")
            }
            Self::Object(members) => {
                f.write_str("{")?;
                for (at, (name, value)) in members.iter().enumerate() {
                    write!(f, "{}{}:{value}", if at > 0 { "," } else { "" }, quoted(name)?)?;
                }
                f.write_str("}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Json;

    fn parsed(text: &str) -> Json {
        Json::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn numbers_are_equal_if_their_decimals_are() {
        let big = "1".to_owned() + &"0".repeat(400);
        for (a, b, equal) in [
            ("100000000000000000000000", "100000000000000000000001", false),
            ("18446744073709551616", "18446744073709551617", false),
            ("0.1", "0.10000000000000000001", false),
            ("1e400", "1e401", false),
            ("1e400", "10.0e399", true),
            (&format!("{big}1.5"), &format!("{big}2.5"), false),
            ("1.0", "1.00", true),
            ("1e2", "100.0", true),
            ("1E+2", "1000e-1", true),
            ("-12.50", "-1.25e1", true),
            ("0.00125", "125e-5", true),
            ("0e7", "0.0", true),
            ("1", "1.0", false),
            ("100", "1e2", false),
            ("0.0", "-0.0", false),
            ("1e99999999999999999999", "1e99999999999999999998", false),
            ("1e9223372036854775807", "1e-9223372036854775808", false),
        ] {
            assert_eq!(parsed(a) == parsed(b), equal, "{a} {b}");
            assert_eq!(parsed(a).to_string() == parsed(b).to_string(), equal, "{a} {b}");
        }
    }

    #[test]
    fn the_canonical_text_has_the_same_value() {
        for (text, canonical) in [
            ("{ \"b\": [1, 2.50, null], \"a\\u0062\": \"\\n\" }", "{\"ab\":\"\\n\",\"b\":[1,2.5,null]}"),
            ("[true,false,1e2,-1.5e-3,{},[]]", "[true,false,100.0,-0.0015,{},[]]"),
            ("[1e30,12345678901234567890.125,1.5e-30]", "[1.0e30,12345678901234567890.125,1.5e-30]"),
            ("{\"a\":1,\"b\":0,\"a\":2}", "{\"a\":1,\"a\":2,\"b\":0}"),
        ] {
            assert_eq!(parsed(text).to_string(), canonical);
            assert_eq!(parsed(canonical), parsed(text), "{text}");
        }
    }

    #[test]
    fn keys_that_stand_twice_are_there_twice() {
        let twice = parsed("{\"a\":1,\"a\":2}");
        for other in ["{\"a\":2}", "{\"a\":2,\"a\":1}", "{\"a\":1,\"a\":2,\"a\":2}"] {
            assert_ne!(twice, parsed(other), "{other}");
        }
        assert_eq!(parsed("{\"b\":3,\"a\":1,\"a\":2}"), parsed("{\"a\":1,\"b\":3,\"a\":2}"));
        // Neither of the two is the value at that name.
        assert_eq!((twice.get("a"), twice.names()), (None, None));
    }

    #[test]
    fn what_is_not_json_is_refused_with_its_place() {
        for text in ["", "{", "[1,]", "{\"a\" 1}", "01", "[\"\\ud800\"]", "[1] 2", "\u{ff}", "{\"a\":[nul]}"]
        {
            let error = Json::parse(text.as_bytes()).unwrap_err();
            assert!(error.line() > 0, "{text}: {error}");
        }
        assert!(Json::parse(b"[\"\xff\"]").is_err());
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(Json::parse(nested(127).as_bytes()).is_ok());
        let error = Json::parse(nested(200_000).as_bytes()).unwrap_err().to_string();
        assert!(error.starts_with("recursion limit exceeded at line 1"), "{error}");
    }
}
