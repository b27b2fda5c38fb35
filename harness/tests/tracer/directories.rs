//! What programs are told of directories: nothing that depends on what others do in them at the same time.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use cooks_harness::model::{Exit, Tree};
use cooks_harness::tracer::Program;

use crate::support::{Seen, assert_counts, classes, create, files, in_turn, process, schedules};

/// A file is made, and another process looks at the directory, `before` it looks at anything else.
fn maker_and_looker(before: fn()) -> Seen {
    let maker = process(|| i32::from(!create("made")));
    let looker = process(move || {
        before();
        let told = |_| {
            let told = fs::metadata(".").expect("the workspace");
            (told.mtime(), told.mtime_nsec(), told.nlink(), told.size())
        };
        let seen: std::collections::BTreeSet<_> = (0..3).map(told).collect();
        seen.len() as i32
    });
    let programs = [maker, looker];
    let seen = classes(&programs, &Tree::new());
    assert_eq!(seen.outcomes, schedules(&programs, &Tree::new()).outcomes);
    seen
}

#[test]
fn a_look_at_a_directory_depends_on_no_name_in_it() {
    let seen = maker_and_looker(|| ());
    assert_counts("three looks beside a new file", &seen, 1, 0);
}

#[test]
fn who_waits_for_time_to_pass_sees_a_directory_change() {
    let seen = maker_and_looker(|| std::thread::sleep(Duration::from_millis(1)));
    assert_counts("before each of the looks, and behind them", &seen, 4, 0);
    let told: std::collections::BTreeSet<_> =
        seen.outcomes.iter().map(|outcome| format!("{:?}", outcome.exits[1])).collect();
    assert_eq!(told.len(), 2, "always the same, or one time and then another: {told:?}");
}

#[test]
fn what_a_process_does_in_a_directory_changes_its_time_for_it() {
    let looker = process(|| {
        let time = || fs::metadata(".").and_then(|told| told.modified()).expect("the workspace");
        let before = time();
        let made = create("made") && fs::create_dir("under").is_ok();
        i32::from(!(made && time() > before))
    });
    assert_eq!(in_turn(&[looker], Tree::new()).outcome.exits, [Some(Exit::Status(0))]);
}

#[test]
fn a_name_that_was_found_brings_the_time_with_it() {
    let maker = process(|| i32::from(!create("made")));
    let looker = process(|| {
        let time = || fs::metadata(".").and_then(|told| told.modified()).expect("the workspace");
        let before = time();
        let found = fs::exists("made").expect("a name can be looked for");
        i32::from(found != (time() > before))
    });
    let seen = classes(&[maker, looker] as &[Program], &files(&[("old", "")]));
    assert_counts("found, or not", &seen, 2, 0);
    assert!(seen.outcomes.iter().all(|outcome| outcome.exits[1].is_some_and(Exit::is_success)));
}
