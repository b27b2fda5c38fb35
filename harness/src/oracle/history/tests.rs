use super::{Content, Deed, History, How};
use crate::model::ProcessId;
use crate::oracle::testing::{Script, tree};

fn bytes(text: &str) -> Content {
    Content::Bytes(text.as_bytes().to_vec())
}

#[test]
fn writes_renames_links_and_removals_are_followed() {
    let script = Script::new(1)
        .open(0, "t", "write, create, truncate")
        .write(0, "t", "hello")
        .write_at(0, "t", 7, "x")
        .rename(0, "t", "f")
        .call(0, "ftruncate", "f", "to 4 bytes")
        .call(0, "unlink", "f", "");
    let history = History::of(&tree(&[("f", "old")]), &script.execution().trace);
    let versions: Vec<&Content> = (0..6).map(|step| history.after("f", Some(step))).collect();
    let expected =
        [bytes("old"), bytes("old"), bytes("old"), bytes("hello\0\0x"), bytes("hell"), Content::Absent];
    assert_eq!(versions, expected.iter().collect::<Vec<_>>());
    assert_eq!(history.after("t", Some(2)), &bytes("hello\0\0x"));
    assert_eq!(history.after("t", Some(3)), &Content::Absent);
    assert_eq!(history.after("f", None), &bytes("old"));
}

#[test]
fn looks_are_kept_less_those_that_only_find_the_end() {
    let mut script = Script::new(2).open(0, "f", "read").error("ENOENT").open(1, "f", "write, create");
    script = script.write(1, "f", "abc").read(0, "f", "abc").call(0, "read", "f", "0 bytes at 3");
    let history = History::of(&tree(&[]), &script.execution().trace);
    let touches = history.touches("f");
    let of_a: Vec<_> = touches.iter().filter(|touch| touch.process == ProcessId(0)).collect();
    assert_eq!(of_a.iter().map(|touch| touch.step).collect::<Vec<_>>(), [0, 3]);
    assert_eq!((&of_a[0].deed, &of_a[1].deed), (&Deed::FoundNone, &Deed::Read { bytes: Some(3) }));
    let Deed::Change { how, .. } = touches[1].deed else { panic!("a change") };
    assert_eq!(how, How::Create);
}

#[test]
fn writings_tell_what_each_writer_would_have_left_alone() {
    let script = Script::new(2)
        .open(0, "f", "write, create, truncate")
        .open(1, "f", "write, create, truncate")
        .write(0, "f", "AAAA")
        .write(1, "f", "BB");
    let history = History::of(&tree(&[("f", "old")]), &script.execution().trace);
    let writings = history.writings("f");
    assert_eq!(history.after("f", Some(3)), &bytes("BBAA"));
    assert_eq!(writings.iter().map(|s| &s.alone).collect::<Vec<_>>(), [&bytes("AAAA"), &bytes("BB")]);
    assert_eq!(writings.iter().map(|s| (s.first, s.last)).collect::<Vec<_>>(), [(0, 2), (1, 3)]);
}

#[test]
fn a_directory_takes_its_files_along() {
    let script =
        Script::new(1).rename(0, "d", "e").rename(0, "nothing", "anything").call(0, "frobnicate", "x", "");
    let history = History::of(&tree(&[("d/f", "1"), ("dd", "2")]), &script.execution().trace);
    assert_eq!(history.after("e/f", Some(0)), &bytes("1"));
    assert_eq!(history.after("d/f", Some(0)), &Content::Absent);
    assert_eq!(history.after("dd", Some(2)), &bytes("2"));
}

#[test]
fn names_change_places_and_files_come_from_where_nobody_saw() {
    let script = Script::new(1).rename(0, "a", "b").rename(0, "unseen", "b");
    let mut trace = script.execution().trace;
    trace[0].operation.call.detail = "exchange".into();
    let history = History::of(&tree(&[("a", "1"), ("b", "2")]), &trace);
    assert_eq!((history.after("a", Some(0)), history.after("b", Some(0))), (&bytes("2"), &bytes("1")));
    assert_eq!((history.after("a", Some(1)), history.after("b", Some(1))), (&bytes("2"), &Content::Unknown));
}
