use super::{FILE, TRUNCATE, both_leave, incident, judged, notes};
use crate::model::{Kind, Outcome, ProcessId, Tree};
use crate::oracle::testing::{Script, serial_of_two, tree};
use crate::oracle::{Case, judge};

#[test]
fn a_lost_key_is_named_with_its_writer_and_who_overwrote_it() {
    let serial = both_leave(FILE, "{\"agent-b\": 1, \"agent-a\": 1}");
    let anomaly = judged(&incident(), &serial, &tree(&[(FILE, "{}")])).unwrap();
    assert_eq!(anomaly.kind, Kind::LostUpdate);
    assert_eq!(
        anomaly.summary,
        "agent_metadata.json: B's \"agent-b\" (written at step 6) is gone: A overwrote it at step 8 with what it had \
         read at step 2"
    );
    assert_eq!(
        (anomaly.files.as_slice(), anomaly.keys.as_slice()),
        (&[FILE.to_owned()][..], &["agent-b".to_owned()][..])
    );
    assert_eq!(anomaly.processes, [ProcessId(0), ProcessId(1)]);
    assert_eq!(
        notes(&anomaly),
        [(1, "reads it before B changes it"), (5, "B's change"), (7, "overwrites B's change")]
    );
    assert_eq!(
        anomaly.explanation,
        [
            "agent_metadata.json, key \"agent-b\":",
            "  every serial order  1",
            "  here                not there"
        ]
    );
}

#[test]
fn a_lost_key_is_found_through_renames_of_temporary_files_and_below_other_keys() {
    let script = Script::new(2)
        .read(0, FILE, "{\"agents\":{}}")
        .read(1, FILE, "{\"agents\":{}}")
        .open(0, "a.tmp", "write, create, exclusive")
        .write(0, "a.tmp", "{\"agents\":{\"a\":{\"status\":1}}}")
        .rename(0, "a.tmp", FILE)
        .open(1, "b.tmp", "write, create, exclusive")
        .write(1, "b.tmp", "{\"agents\":{\"b\":{\"status\":1}}}")
        .rename(1, "b.tmp", FILE)
        .leaves(FILE, "{\"agents\":{\"b\":{\"status\":1}}}");
    let serial = both_leave(FILE, "{\"agents\":{\"a\":{\"status\":1},\"b\":{\"status\":1}}}");
    let anomaly = judged(&script, &serial, &tree(&[(FILE, "{\"agents\":{}}")])).unwrap();
    assert_eq!(
        anomaly.summary,
        "agent_metadata.json: A's \"agents.a\" (written at step 5) is gone: B overwrote it at step 8 with what it had \
         read at step 2"
    );
    assert_eq!(anomaly.keys, ["agents.a"]);
}

/// A value of 64 bits does not tell these numbers apart, nor does it keep both of two equal keys.
#[test]
fn a_number_of_any_size_and_a_key_that_stands_twice_are_lost_too() {
    let big = |last: u8| format!("{{\"n\": 10000000000000000000000{last}}}");
    let twice = |last: u8| format!("{{\"n\": {last}, \"n\": 0}}");
    let cases = [(big(0), big(1), big(2), vec!["n".to_owned()]), (twice(0), twice(1), twice(2), Vec::new())];
    for (before, once, both, keys) in cases {
        let script = Script::new(2)
            .read(0, FILE, &before)
            .read(1, FILE, &before)
            .open(0, FILE, TRUNCATE)
            .write(0, FILE, &once)
            .open(1, FILE, TRUNCATE)
            .write(1, FILE, &once)
            .leaves(FILE, &once);
        let anomaly = judged(&script, &both_leave(FILE, &both), &tree(&[(FILE, &before)])).expect("a loss");
        assert_eq!((anomaly.kind, anomaly.keys), (Kind::LostUpdate, keys), "{}", anomaly.summary);
    }
}

#[test]
fn a_counter_and_a_plain_text_lose_updates_too() {
    let cases = [
        (
            "n.json",
            "{\"n\":0}",
            "{\"n\":1}",
            "{\"n\":2}",
            "n.json: A's change of \"n\" (step 3) is lost",
            vec!["n"],
        ),
        ("n.txt", "0", "1", "2", "n.txt: A's change (step 3) is lost", vec![]),
    ];
    for (path, old, one, two, what, keys) in cases {
        let script =
            Script::new(2).read(0, path, old).read(1, path, old).write(0, path, one).write(1, path, one);
        let anomaly =
            judged(&script.leaves(path, one), &both_leave(path, two), &tree(&[(path, old)])).unwrap();
        assert_eq!(anomaly.kind, Kind::LostUpdate);
        let how = "B overwrote it at step 4 with what it had read at step 2";
        assert_eq!(anomaly.summary, format!("{what}: {how}"));
        assert_eq!(anomaly.keys, keys);
        assert_eq!(notes(&anomaly)[0], (1, "reads it before A changes it"));
    }
}

#[test]
fn a_lost_update_is_found_behind_a_canonical_form() {
    let script = Script::new(2).read(0, "db", "0").read(1, "db", "0").write(0, "db", "1").write(1, "db", "1");
    let canon = |text: &str| Outcome { canon: Some(text.into()), ..Script::new(2).outcome() };
    let mut execution = script.execution();
    execution.outcome = canon("1 row");
    let (serial, initial) = (serial_of_two(canon("2 rows"), canon("2 rows")), tree(&[("db", "0")]));
    let case = Case { execution: &execution, serial: &serial, initial: &initial, commands: &[], check: None };
    let anomaly = judge(&case).unwrap();
    assert_eq!(
        anomaly.summary,
        "db: A's change (step 3) is lost: B overwrote it at step 4 with what it had read at step 2"
    );
    let expected =
        ["the canonical form:", "  every serial order  \"2 rows\"", "  here                \"1 row\""];
    assert_eq!(anomaly.explanation, expected);
}

#[test]
fn a_deletion_that_is_undone_is_a_lost_update() {
    let script = Script::new(2)
        .read(0, FILE, "{\"x\":1}")
        .read(1, FILE, "{\"x\":1}")
        .rename(1, "none", "nowhere")
        .open(1, FILE, TRUNCATE)
        .write(1, FILE, "{}")
        .open(0, FILE, TRUNCATE)
        .write(0, FILE, "{\"a\":1,\"x\":1}")
        .leaves(FILE, "{\"a\":1,\"x\":1}");
    let anomaly = judged(&script, &both_leave(FILE, "{\"a\":1}"), &tree(&[(FILE, "{\"x\":1}")])).unwrap();
    assert_eq!(
        anomaly.summary,
        "agent_metadata.json: \"x\", taken out by B at step 5, is back: A overwrote it at step 7 with what it had \
         read at step 1"
    );
}

#[test]
fn a_file_that_was_not_there_when_it_was_looked_for_loses_updates_too() {
    let script = Script::new(2)
        .open(0, FILE, "read")
        .error("ENOENT")
        .open(1, FILE, TRUNCATE)
        .write(1, FILE, "{\"b\":1}")
        .open(0, FILE, TRUNCATE)
        .write(0, FILE, "{\"a\":1}")
        .leaves(FILE, "{\"a\":1}");
    let anomaly = judged(&script, &both_leave(FILE, "{\"a\":1,\"b\":1}"), &Tree::new()).unwrap();
    assert_eq!(
        anomaly.summary,
        "agent_metadata.json: B's \"b\" (written at step 3) is gone: A overwrote it at step 5, having found no such file at \
         step 1"
    );
    assert_eq!(notes(&anomaly)[0], (0, "finds no file, before B makes it"));
}

#[test]
fn reading_again_before_writing_loses_nothing_by_itself() {
    // Neither lost an update: the file is one that no serial order leaves, for another reason.
    let script = Script::new(2)
        .read(0, "f", "0")
        .write(1, "f", "1")
        .read(0, "f", "1")
        .write(0, "f", "9")
        .leaves("f", "9");
    let anomaly = judged(&script, &both_leave("f", "2"), &tree(&[("f", "0")])).unwrap();
    assert_eq!(anomaly.kind, Kind::NonSerializable);
}

#[test]
fn writes_to_other_parts_of_a_file_lose_nothing() {
    let script = Script::new(2)
        .read(0, "f", "0000")
        .write_at(1, "f", 2, "11")
        .write_at(0, "f", 0, "22")
        .leaves("f", "2211");
    let anomaly = judged(&script, &both_leave("f", "3333"), &tree(&[("f", "0000")])).unwrap();
    assert_eq!(anomaly.kind, Kind::NonSerializable);
}

#[test]
fn a_write_to_a_file_that_was_replaced_is_lost() {
    let script = Script::new(2)
        .open(0, "f", "read+write")
        .write(1, "f.tmp", "new")
        .rename(1, "f.tmp", "f")
        .write(0, "f", "old+a")
        .leaves("f", "new");
    let mut execution = script.execution();
    // The tracer names the object: the one that was at `f` in the beginning.
    let object = crate::model::ObjectId::Initial(1);
    let data = crate::model::Location::Data { object, start: 0, end: 5 };
    execution.trace[3].operation.accesses.push(crate::model::Access::write(data));
    let serial = both_leave("f", "new+a");
    let initial = tree(&[("f", "old")]);
    let case = Case { execution: &execution, serial: &serial, initial: &initial, commands: &[], check: None };
    let anomaly = judge(&case).unwrap();
    assert_eq!(
        anomaly.summary,
        "f: A's change (step 4) is lost: B had put another file in its place at step 3"
    );
}

#[test]
fn without_the_bytes_the_pattern_is_still_found_where_the_accesses_tell() {
    let script = Script::new(2).touch(0, "r1").touch(1, "r1").touch(1, "w1").touch(0, "w1");
    let anomaly = judged(&script.leaves("f", "1"), &both_leave("f", "2"), &tree(&[("f", "0")])).unwrap();
    assert_eq!(
        anomaly.summary,
        "f: B's change (step 3) is lost: A overwrote it at step 4 with what it had read at step 1"
    );
}

#[test]
fn a_step_that_reads_and_writes_loses_nothing() {
    let script = Script::new(2).touch(0, "r1").touch(1, "w1").touch(0, "r1");
    let mut execution = script.leaves("f", "1").execution();
    let write = execution.trace[1].operation.accesses.clone();
    execution.trace[2].operation.accesses.extend(write);
    let (serial, initial) = (both_leave("f", "2"), tree(&[("f", "0")]));
    let case = Case { execution: &execution, serial: &serial, initial: &initial, commands: &[], check: None };
    assert_eq!(judge(&case).unwrap().kind, Kind::NonSerializable);
}
