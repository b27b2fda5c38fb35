use super::{both_leave, judged};
use crate::model::Kind;
use crate::oracle::testing::{Script, tree};

/// Executions that no system would give, to see that nothing is taken for granted: a linear congruential generator picks.
#[test]
fn whatever_is_recorded_an_answer_comes_and_it_is_always_the_same() {
    let mut state = 1u64;
    let mut pick = move |of: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % of
    };
    let names = ["f.json", "g", "d/h", "", "../x"];
    let texts = ["", "{}", "{\"a\":1}", "{\"a\":", "1\n2\n", "\u{e9}"];
    let calls = ["openat", "read", "write", "rename", "unlink", "ftruncate", "flock", "linkat", "frobnicate"];
    let details = [
        "",
        "write, create, truncate",
        "append",
        "99999999999999999999",
        "to 9 bytes",
        "exchange",
        "3 bytes at 2",
    ];
    let choose = |from: &[&str], at: u64| from[usize::try_from(at).unwrap()].to_owned();
    let mut kinds = std::collections::BTreeSet::new();
    for _ in 0..2000 {
        let mut script = Script::new(2);
        for _ in 0..pick(9) {
            let (process, path) = (usize::from(pick(2) == 1), choose(&names, pick(5)));
            let text = choose(&texts, pick(6));
            script = match pick(6) {
                0 => script.write_at(
                    process,
                    &path,
                    [0, 1, u64::MAX][usize::try_from(pick(3)).unwrap()],
                    &text,
                ),
                1 => script.read(process, &path, &text),
                2 => script.rename(process, &path, &choose(&names, pick(5))),
                3 => script.touch(process, &format!("{}{}", choose(&["r", "w"], pick(2)), pick(4))),
                4 => script.call(process, "stat", &path, "").error("ENOENT"),
                _ => script.call(process, &choose(&calls, pick(9)), &path, &choose(&details, pick(7))),
            };
        }
        let script = script.leaves("f.json", &choose(&texts, pick(6))).leaves("g", &choose(&texts, pick(6)));
        let initial = tree(&[("f.json", "{}"), ("g", "0")]);
        let serial = both_leave("f.json", &choose(&texts, pick(6)));
        let first = judged(&script, &serial, &initial);
        assert_eq!(first, judged(&script, &serial, &initial));
        let length = script.execution().trace.len();
        if let Some(anomaly) = &first {
            assert!(anomaly.steps.iter().all(|marked| marked.step < length), "{anomaly:?}");
            assert!(!anomaly.summary.is_empty() && !anomaly.explanation.is_empty(), "{anomaly:?}");
            kinds.insert(anomaly.kind);
        }
    }
    assert_eq!(
        kinds.into_iter().collect::<Vec<_>>(),
        [Kind::TornFile, Kind::LostUpdate, Kind::LeftBehind, Kind::NonSerializable]
    );
}
