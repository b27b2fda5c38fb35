use proptest::prelude::*;
use serde_json::json;

use super::*;

fn parse(text: &str) -> Parts {
    Parts::parse(text.as_bytes()).expect("a good file")
}

/// Where a file is refused, by whichever call finds it, and why.
fn fault(bytes: &[u8]) -> (usize, String) {
    let fault = Parts::parse(bytes).and_then(|parts| parts.to_metadata()).expect_err("a bad file");
    assert_eq!(
        Fault::at(bytes, fault.byte, fault.detail.clone()),
        fault,
        "line and column are those of the byte"
    );
    (fault.byte, fault.detail)
}

fn nested(levels: usize) -> String {
    format!(r#"{{"a": {}{}}}"#, "[".repeat(levels), "]".repeat(levels))
}

#[test]
fn what_nobody_touches_stays_as_it_stands() {
    let wide =
        r#"{"z":{"wide": 123456789012345678901234567890, "same": 1.50e+01,"b":"\u00e9\/","a":[ ]}, "b" :1}"#;
    let mut parts = parse(wide);
    parts.set("b", None);
    parts.set("a", Some(&json!({ "x": [1, {}], "s": "a\nb" })));
    let expected = r#"{
  "a": {
    "s": "a\nb",
    "x": [
      1,
      {}
    ]
  },
  "z": {"wide": 123456789012345678901234567890, "same": 1.50e+01,"b":"\u00e9\/","a":[ ]}
}
"#;
    assert_eq!(String::from_utf8(parts.to_bytes()).expect("text"), expected);
    assert_eq!(parts.keys().collect::<Vec<_>>(), ["a", "z"]);
    assert_eq!(parts.get("a"), Ok(Some(json!({ "x": [1, {}], "s": "a\nb" }))));
    assert_eq!(parts.get("b"), Ok(None));
}

#[test]
fn an_object_without_parts_is_a_good_file() {
    assert_eq!(parse(" { } ").to_bytes(), b"{}\n");
    assert_eq!(Parts::default().to_bytes(), b"{}\n");
}

#[test]
fn a_file_that_is_no_object_says_what_it_is() {
    for (text, byte, detail) in [
        ("", 0, "the file is empty"),
        (" \n\t", 3, "the file is empty but for white space"),
        ("\u{feff}{}", 0, "the file begins with a byte order mark: take these three bytes away"),
        (" [{}]", 1, "expected an object, found an array"),
        ("\"{}\"", 0, "expected an object, found a string"),
        ("-1", 0, "expected an object, found a number"),
        ("\nfalse", 1, "expected an object, found a boolean"),
        ("null", 0, "expected an object, found null"),
        ("\0\0", 0, "expected an object, found a zero byte, as a loss of power may leave them"),
        ("nobody", 0, "expected an object, found something that is no JSON"),
    ] {
        assert_eq!(fault(text.as_bytes()), (byte, detail.to_owned()), "{text:?}");
    }
}

#[test]
fn a_broken_object_says_where_it_breaks() {
    for (text, byte, detail) in [
        ("{\"a\": {\"b\": 1}", 14, "the text ends too early (EOF while parsing an object)"),
        ("{\"a\": \"b", 8, "the text ends too early (EOF while parsing a string)"),
        ("{\n", 2, "the text ends too early (EOF while parsing an object)"),
        ("{\"a\": 1}\n}", 9, "the object has ended, but the text goes on"),
        ("{\"a\": 1,}", 8, "trailing comma"),
        ("{\"a\" 1}", 5, "expected `:`"),
        ("{\"a\": nul}", 9, "expected ident"),
        ("{\"a\": [1 2]}", 9, "expected `,` or `]`"),
        ("{\"a\": 01}", 7, "invalid number"),
        ("{\"a\": [1e999]}", 11, "number out of range"),
        ("{\"a\": \"\\x\"}", 8, "invalid escape"),
        ("{\"a\": \"\n\"}", 7, "control character (\\u0000-\\u001F) found while parsing a string"),
        ("{\"a\t\": 1}", 3, "control character (\\u0000-\\u001F) found while parsing a string"),
        ("{\"a\": \"\t\"}", 7, "control character (\\u0000-\\u001F) found while parsing a string"),
    ] {
        assert_eq!(fault(text.as_bytes()), (byte, detail.to_owned()), "{text:?}");
    }
    let (byte, detail) = fault(b"{\"a\": 1, \"b\": \"\xC3(\"}");
    assert_eq!((byte, detail.as_str()), (15, "the text is not UTF-8: this byte cannot stand here"));
}

#[test]
fn half_a_surrogate_pair_is_refused() {
    for text in [r#"{"a": "\ud800"}"#, r#"{"a": ["\udc00"]}"#, r#"{"a": {"\ud800x": 1}}"#, r#"{"\ud800": 1}"#]
    {
        let (_, detail) = fault(text.as_bytes());
        assert!(detail.contains("surrogate"), "{text}: {detail}");
    }
    assert_eq!(parse(r#"{"a": "\ud83c\udf73"}"#).get("a"), Ok(Some(json!("🍳"))));
}

#[test]
fn a_key_that_stands_twice_is_refused_where_it_stands_again() {
    let twice = |key: &str| format!("the key {key:?} stands twice in the same object");
    let top = r#"{"a": 1, "b": {}, "a" : 2}"#;
    assert_eq!(fault(top.as_bytes()), (18, twice("a")));
    Parts::parse(top.as_bytes()).expect_err("found at once");
    assert_eq!(fault(b"{\"a\": {\n \"x\": [{\"k\": 1,\n \"k\"\n: 2}]}}"), (25, twice("k")));
    assert_eq!(fault(br#"{"a": {"q\"\\": 1, "\u0071\"\\": 2}}"#), (19, twice("q\"\\")), "spelled otherwise");
    let deep = parse(r#"{"a": {"k": 1, "k": 1}, "b": {"k": 1}}"#);
    deep.get("a").expect_err("found when asked for");
    assert_eq!(deep.get("b"), Ok(Some(json!({ "k": 1 }))), "not where another part is asked for");
}

#[test]
fn what_is_nested_too_deeply_is_refused_at_the_first_level_too_many() {
    parse(&nested(MAX_DEPTH)).to_metadata().expect("at the limit");
    for levels in [MAX_DEPTH + 1, MAX_DEPTH + 50, 100_000] {
        assert_eq!(fault(nested(levels).as_bytes()), (6 + MAX_DEPTH, TOO_DEEP.to_owned()));
    }
    let strings = nested(MAX_DEPTH + 1).replacen(": ", ": {\"[[\\\"[\": 1, \"x\": ", 1) + "}";
    assert_eq!(fault(strings.as_bytes()), (6 + 18 + MAX_DEPTH - 1, TOO_DEEP.to_owned()));
}

#[test]
fn no_key_means_something_to_the_reader() {
    let text = r#"{"a": {"$serde_json::private::RawValue": "1"}}"#;
    assert_eq!(parse(text).get("a").expect("good").expect("there").as_object().map(Map::len), Some(1));
}

#[test]
fn the_checksum_is_the_published_one() {
    // The XXH3-128 test vector for no bytes, seed 0.
    assert_eq!(checksum(b""), 0x99aa_06d3_0147_98d8_6001_c324_468d_497f);
    assert_ne!(checksum(b"{}"), checksum(b"{}\n"));
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            object_of(inner).prop_map(Value::from),
        ]
    })
}

fn object_of(inner: impl Strategy<Value = Value>) -> impl Strategy<Value = Metadata> {
    proptest::collection::btree_map(any::<String>(), inner, 0..4)
        .prop_map(|fields| fields.into_iter().collect())
}

proptest! {
    #[test]
    fn what_was_set_is_written_as_serde_json_would_and_read_back(object in object_of(value())) {
        let mut parts = Parts::default();
        for (key, value) in &object {
            parts.set(key, Some(value));
        }
        let mut expected = serde_json::to_vec_pretty(&object).expect("encodes");
        expected.push(b'\n');
        prop_assert_eq!(&parts.to_bytes(), &expected);
        prop_assert_eq!(&parts.to_metadata().expect("good"), &object);
        let read = Parts::parse(&expected).expect("good");
        prop_assert_eq!(&read.to_metadata().expect("good"), &object);
        prop_assert_eq!(&read.to_bytes(), &expected);
        prop_assert_eq!(metadata(&expected).expect("good"), object);
    }

    #[test]
    fn a_change_leaves_the_other_parts_alone(
        object in object_of(value()), key in any::<String>(), new in proptest::option::of(value()), pretty in any::<bool>()
    ) {
        let text = if pretty { serde_json::to_string_pretty(&object) } else { serde_json::to_string(&object) };
        let before = parse(&text.expect("encodes"));
        let mut after = before.clone();
        after.set(&key, new.as_ref());
        let after = Parts::parse(&after.to_bytes()).expect("good");
        prop_assert_eq!(after.get(&key).expect("good"), new);
        for (other, part) in before.parts.iter().filter(|(other, _)| **other != key) {
            prop_assert_eq!(before.raw(part), after.raw(&after.parts[other]));
        }
        prop_assert!(after.keys().all(|other| other == key || object.contains_key(other)));
    }

    #[test]
    fn any_bytes_are_read_as_serde_json_reads_them_or_refused(text in "[{}\\[\\]\",:a1\\\\ \n-]{0,12}") {
        let ours = Parts::parse(text.as_bytes()).and_then(|parts| parts.to_metadata());
        match (ours, serde_json::from_str::<Metadata>(&text)) {
            (Ok(ours), theirs) => prop_assert_eq!(ours, theirs.expect("good")),
            (Err(fault), Ok(_)) => prop_assert!(fault.detail.contains("stands twice"), "{:?}", fault),
            (Err(fault), Err(_)) => prop_assert!(fault.byte <= text.len()),
        }
    }
}
