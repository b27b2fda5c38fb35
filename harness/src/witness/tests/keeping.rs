use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Barrier;

use super::witness;
use crate::witness::{Witness, keep, read, stem};

fn other(number: usize) -> Witness {
    Witness { cooks: format!("another {number}"), ..witness() }
}

fn names(folder: &Path) -> BTreeSet<String> {
    std::fs::read_dir(folder)
        .unwrap()
        .map(|e| e.unwrap().file_name().to_string_lossy().into_owned())
        .collect()
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn a_second_run_writes_over_nothing() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("deep/out");
    let first = keep(&folder, "s", &witness()).unwrap();
    assert_eq!(first.path(), folder.join("s.json"));
    assert_eq!(
        keep(&folder, "s", &witness()).unwrap().path(),
        folder.join("s.json"),
        "the same one is there"
    );
    assert_eq!(keep(&folder, "s", &other(1)).unwrap().path(), folder.join("s.2.json"));
    assert_eq!(keep(&folder, "s", &other(2)).unwrap().path(), folder.join("s.3.json"));
    assert_eq!(keep(&folder, "s", &other(1)).unwrap().path(), folder.join("s.2.json"));
    assert_eq!(names(&folder), set(&["s.json", "s.2.json", "s.3.json"]), "nothing else is left");
    assert_eq!(read(&folder.join("s.json")).unwrap(), witness());
    assert_eq!(read(&folder.join("s.2.json")).unwrap(), other(1));
}

#[test]
fn a_simpler_witness_takes_the_place_of_its_own_file_alone() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path();
    let mut first = keep(folder, "s", &witness()).unwrap();
    let mut second = keep(folder, "s", &other(1)).unwrap();
    second.replace(&other(2)).unwrap();
    assert_eq!((second.path(), read(second.path()).unwrap()), (folder.join("s.2.json").as_path(), other(2)));
    assert_eq!(read(first.path()).unwrap(), witness());
    // It came to what an earlier run had: that is its file, and there is no second one.
    second.replace(&witness()).unwrap();
    assert_eq!((second.path(), names(folder)), (folder.join("s.json").as_path(), set(&["s.json"])));
    // The file of the earlier run stays as it is.
    second.replace(&other(3)).unwrap();
    assert_eq!(
        (second.path(), names(folder)),
        (folder.join("s.2.json").as_path(), set(&["s.json", "s.2.json"]))
    );
    assert_eq!(read(first.path()).unwrap(), witness());
    first.replace(&other(4)).unwrap();
    assert_eq!(read(&folder.join("s.json")).unwrap(), other(4));
}

#[test]
fn those_that_write_at_once_write_over_nothing() {
    let place = tempfile::tempdir().unwrap();
    let (writers, start) = (8, Barrier::new(8));
    let paths: BTreeSet<_> = std::thread::scope(|scope| {
        let each = |number: usize| {
            let (folder, start) = (place.path(), &start);
            scope.spawn(move || {
                start.wait();
                let kept = keep(folder, "s", &other(number)).unwrap();
                assert_eq!(read(kept.path()).unwrap(), other(number));
                kept.path().to_owned()
            })
        };
        let all: Vec<_> = (0..writers).map(each).collect();
        all.into_iter().map(|writer| writer.join().unwrap()).collect()
    });
    assert_eq!((paths.len(), names(place.path()).len()), (writers, writers));
}

#[test]
fn a_folder_that_cannot_be_written_is_an_error_and_nothing_is_left() {
    let place = tempfile::tempdir().unwrap();
    std::fs::write(place.path().join("file"), "in the way").unwrap();
    let error = keep(&place.path().join("file"), "s", &witness()).unwrap_err().to_string();
    assert!(error.contains("file/s.json: cannot be written: "), "{error}");
    // What is in the way of one name is no reason not to write the next.
    std::fs::create_dir(place.path().join("s.json")).unwrap();
    let kept = keep(place.path(), "s", &witness()).unwrap();
    assert_eq!(kept.path(), place.path().join("s.2.json"));
    std::os::unix::fs::symlink("nowhere", place.path().join("t.json")).unwrap();
    assert_eq!(keep(place.path(), "t", &witness()).unwrap().path(), place.path().join("t.2.json"));
    assert_eq!(names(place.path()), set(&["file", "s.json", "s.2.json", "t.json", "t.2.json"]));
}

#[test]
fn the_name_of_a_scenario_is_a_part_of_a_files_name_and_no_path() {
    let cases = [
        ("agent-ab", "agent-ab-1-k"),
        ("../../etc/x", "_._.._etc_x-1-k"),
        ("/etc/x", "_etc_x-1-k"),
        ("..", "_.-1-k"),
        ("", "-1-k"),
        ("a\0b\n\x1b[2J c", "a_b__[2J_c-1-k"),
        ("-rf", "_rf-1-k"),
        ("häßlich", "häßlich-1-k"),
    ];
    for (name, expected) in cases {
        let expected = expected.replace('[', "_");
        assert_eq!(stem(name, 1, "k"), expected, "{name:?}");
    }
    assert!(stem(&"ä".repeat(500), 1, "k").len() <= 110);
}
