//! Witnesses of strangers: whatever their files say, reading them does not panic, and what is laid out of them stays in its directory.

use std::path::Path;

use serde_json::{Value, json};

use super::{checksum, fails, parse, show, show_json, to_text, witness};
use crate::model::{Entry, Tree};
use crate::report::{Style, merge};
use crate::scenario::Scenario;
use crate::workspace;

/// With the checksum of what it holds.
fn signed(mut value: Value) -> String {
    if let Some(object) = value.as_object_mut() {
        object.remove("checksum");
        let sum = checksum(&value);
        value["checksum"] = sum.into();
    }
    value.to_string()
}

fn whole() -> Value {
    let mut witness = witness();
    witness.initial.insert("d".into(), Entry::Dir { mode: 0o755 });
    witness.initial.insert("d/l".into(), Entry::Link { target: "../f".into() });
    witness.initial.insert("d/p".into(), Entry::Other { kind: "fifo".into(), mode: 0o600 });
    serde_json::from_str(&to_text(&witness).unwrap()).unwrap()
}

fn refused(edit: impl Fn(&mut Value)) -> String {
    let mut value = whole();
    edit(&mut value);
    fails(signed(value).as_bytes())
}

#[test]
fn a_witness_that_would_write_elsewhere_is_refused_though_its_checksum_is_right() {
    let file = json!({"type": "file", "mode": 420, "content": "crafted"});
    for path in
        ["../../../../../../etc/x", "..", "/etc/x", "d/../../x", "d/l/x", "f/x", "no/x", "d//x", "a\0b"]
    {
        let told = refused(|value| value["initial"][path] = file.clone());
        assert!(told.starts_with("w.json: cannot be understood: `initial`: the path "), "{path}: {told}");
    }
    let told = refused(|value| {
        value["scenario"]["root"] = "overlay".into();
        value["initial"]["/etc/../x"] = file.clone();
    });
    assert!(told.contains("has `..` in it"), "{told}");
}

#[test]
fn numbers_that_count_nothing_are_refused() {
    type Edit = (&'static str, Box<dyn Fn(&mut Value)>);
    let cases: [Edit; 9] = [
        ("names a process ZZZZ, and there are 2", Box::new(|v| v["schedule"][0]["choice"] = "ZZZZ".into())),
        (
            "names a process ZZZZ, and there are 2",
            Box::new(|v| v["schedule"][0]["enabled"][0] = "ZZZZ".into()),
        ),
        ("names a process ZZZZ, and there are 2", Box::new(|v| v["anomaly"]["processes"][0] = "ZZZZ".into())),
        ("names a process ZZZZ, and there are 2", Box::new(|v| v["stderr"]["ZZZZ"] = "x".into())),
        ("names step 99, and there are 4", Box::new(|v| v["anomaly"]["steps"][0]["step"] = 99.into())),
        ("there is a step 0", Box::new(|v| v["anomaly"]["steps"][0]["step"] = 0.into())),
        ("names step 18446744073709551615, and", Box::new(|v| v["versions"][1]["step"] = u64::MAX.into())),
        ("no process ends by signal 4000", Box::new(|v| v["outcome"]["exits"][0] = json!({"signal": 4000}))),
        ("not a path", Box::new(|v| v["scenario"]["name"] = "../../etc/x".into())),
    ];
    for (expected, edit) in cases {
        let told = refused(edit);
        assert!(told.contains(expected), "`{expected}` is not in: {told}");
    }
    let many = refused(|value| value["scenario"]["process"] = vec![json!({"command": "a"}); 1_001].into());
    assert!(many.contains("1001 processes: at most 1000 are run"), "{many}");
    let deep = format!("{{\"format\": 2, \"x\": {}{}}}", "[".repeat(200), "]".repeat(200));
    assert!(fails(deep.as_bytes()).contains("nested more than 127 deep"), "{}", fails(deep.as_bytes()));
}

/// A small generator: what it makes depends on the seed alone.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: usize) -> usize {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % end.max(1) as u64) as usize
    }

    fn text(&mut self) -> String {
        const TEXTS: [&str; 22] = [
            "",
            ".",
            "..",
            "../sentinel",
            "../../x",
            "/etc/x",
            "/",
            "d/../../sentinel",
            "d/l/x",
            "f/x",
            "a\0b",
            "\x1b[2J",
            "\u{202e}",
            "ZZZZ",
            "A",
            "B.15",
            "B.99",
            "hex:0",
            "hex:zz",
            "4000000000/4000000000",
            "a,b\n::error::x",
            "explore",
        ];
        if self.below(20) == 0 {
            "x".repeat(self.below(10_000))
        } else {
            TEXTS[self.below(TEXTS.len())].into()
        }
    }

    fn value(&mut self) -> Value {
        match self.below(9) {
            0 => Value::Null,
            1 => json!(self.below(2) == 0),
            2 => json!([0, 1, -1, 64, 99, i64::MIN, i64::MAX][self.below(7)]),
            3 => json!(u64::MAX),
            4 => json!([1e308, -1e308, 0.5, 1e-300][self.below(4)]),
            5 => json!([self.text(), self.text()]),
            6 => json!({self.text(): self.text()}),
            7 => (0..self.below(100)).fold(Value::Null, |inner, _| json!([inner])),
            _ => self.text().into(),
        }
    }

    /// Changes something, somewhere within a value.
    fn edit(&mut self, value: &mut Value) {
        let stop = self.below(6) == 0;
        match value {
            Value::Object(object) if !object.is_empty() && !stop => {
                let key = object.keys().nth(self.below(object.len())).cloned().unwrap_or_default();
                match self.below(12) {
                    0 => drop(object.remove(&key)),
                    1 => drop(object.insert(self.text(), self.value())),
                    // The same under another name: of a path.
                    2 => drop(object.remove(&key).map(|inner| object.insert(self.text(), inner))),
                    _ => object.get_mut(&key).into_iter().for_each(|inner| self.edit(inner)),
                }
            }
            Value::Array(list) if !list.is_empty() && !stop => {
                let at = self.below(list.len());
                match self.below(8) {
                    0 => drop(list.remove(at)),
                    1 => list.push(list[at].clone()),
                    _ => self.edit(&mut list[at]),
                }
            }
            other => *other = self.value(),
        }
    }
}

/// A directory to lay out in, and a file beside it that must stay as it is.
struct Yard(tempfile::TempDir);

impl Yard {
    fn new() -> Self {
        let place = tempfile::tempdir().unwrap();
        std::fs::create_dir(place.path().join("inside")).unwrap();
        std::fs::write(place.path().join("sentinel"), "untouched").unwrap();
        Self(place)
    }

    fn lay(&self, tree: &Tree, seed: u64) {
        // Whether it can be laid out is another matter.
        let _ = workspace::lay(&self.0.path().join("inside"), tree);
        let beside = std::fs::read_dir(self.0.path()).unwrap().count();
        assert_eq!(beside, 2, "seed {seed}: something was made beside the directory");
        assert_eq!(std::fs::read(self.0.path().join("sentinel")).unwrap(), b"untouched", "seed {seed}");
    }
}

fn edited(mut value: Value, chance: &mut Chance) -> Value {
    for _ in 0..=chance.below(4) {
        chance.edit(&mut value);
    }
    value
}

/// Whatever is edited, and signed again: it is read or refused, shown if it is read, and laid out in its directory alone; also the tree
/// of one that is refused.
#[test]
fn no_edited_witness_panics_or_is_laid_out_elsewhere() {
    let (yard, mut read) = (Yard::new(), 0);
    for seed in 0..3_000 {
        let mut chance = Chance(seed);
        let value = edited(whole(), &mut chance);
        if let Ok(tree) = serde_json::from_value::<Tree>(value["initial"].clone()) {
            yard.lay(&tree, seed);
        }
        let text = signed(value);
        let cut = if chance.below(10) == 0 { chance.below(text.len()) } else { text.len() };
        let Ok(witness) = parse(&text.as_bytes()[..cut], Path::new("w.json")) else { continue };
        read += 1;
        yard.lay(&witness.initial, seed);
        let mut out = Vec::new();
        show(&witness, "w.json", &Style::default(), &mut out).unwrap();
        show_json(&witness, "w.json", &mut out).unwrap();
        let hidden = |c: &char| c.is_control() && *c != '\n' || matches!(c, '\u{202a}'..='\u{202e}');
        assert_eq!(String::from_utf8(out).unwrap().chars().find(hidden), None, "seed {seed}");
        parse(to_text(&witness).unwrap().as_bytes(), Path::new("again.json"))
            .unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    }
    assert!(read > 100, "the edits leave some that can be read: {read}");
}

#[test]
fn no_edited_scenario_panics() {
    let scenario = json!({
        "name": "s", "dir": "workspace", "ignore": ["*.log"], "unordered": ["stdout"], "strategy": "pct", "depth": 3, "seed": 1,
        "max-executions": 10, "time-limit": 1.5, "max-steps": 100, "verify": 1, "setup": "true", "check": "true",
        "process": [{"command": "a", "then": ["b"]}, {"command": "c", "requests": ["x"]}],
        "expect": {"verdict": "anomaly", "kinds": ["lost-update"], "timeline": ["A writes f"]},
    });
    let mut read = 0;
    for seed in 0..3_000 {
        let mut chance = Chance(seed);
        let value = edited(scenario.clone(), &mut chance);
        let Ok(scenario) = serde_json::from_value::<Scenario>(value) else { continue };
        if scenario.validate().is_ok() {
            read += 1;
            assert!(!scenario.name.contains('/'), "seed {seed}");
        }
    }
    assert!(read > 100, "the edits leave some that are fine: {read}");
    for text in ["[[process]]\ncommand = \"a\"\n".repeat(3), "a = [".repeat(10_000), "[a.".repeat(5_000)] {
        // It is read or refused.
        let _ = Scenario::parse(&text, "s.toml");
    }
}

/// The result of a shard, as `--format json` prints it.
const RESULT: &str = include_str!("shard-result.json");

#[test]
fn no_edited_result_of_a_shard_panics() {
    let result: Value = serde_json::from_str(RESULT).unwrap();
    let one = |value: &Value| [("r.json".to_owned(), value.to_string())];
    assert!(merge(&one(&result)).is_ok(), "{:?}", merge(&one(&result)).err());
    let mut joined = 0;
    for seed in 0..3_000 {
        let mut chance = Chance(seed);
        let value = edited(result.clone(), &mut chance);
        let Ok(suite) = merge(&one(&value)) else { continue };
        joined += 1;
        let (mut human, ran) = (Vec::new(), suite.ran());
        for report in ran.iter().flatten() {
            crate::report::human(report, &Style::default(), &mut human).unwrap();
        }
        crate::report::junit(&ran, &mut human).unwrap();
        crate::report::github(&ran, &mut human).unwrap();
        crate::report::json_of_suite(&suite, &mut human).unwrap();
        let hidden = |c: &char| c.is_control() && *c != '\n' || matches!(c, '\u{202a}'..='\u{202e}');
        assert_eq!(String::from_utf8(human).unwrap().chars().find(hidden), None, "seed {seed}");
    }
    assert!(joined > 100, "the edits leave some that can be joined: {joined}");
}

#[test]
fn shards_without_number_are_refused_at_once() {
    let mut result: Value = serde_json::from_str(RESULT).unwrap();
    for (shard, told) in [
        ("4000000000/4000000000", "there are at most 65536 of an exploration"),
        ("99999999999/99999999999", "is no shard"),
        ("0/1", "is no shard"),
        ("1/65536", "… (65535 in all)"),
    ] {
        result["shard"] = shard.into();
        let error = merge(&[("r.json".to_owned(), result.to_string())]).unwrap_err().to_string();
        assert!(error.contains(told), "{shard}: {error}");
    }
    let deep = "[".repeat(100_000);
    assert!(merge(&[("r.json".to_owned(), deep)]).is_err());
}
