//! Users, directories that cannot be looked at, and what is left as it was.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cooks_harness::diagnose::{DiagnoseError, Options, diagnose, human, json};

use crate::stage::{Stage, holders, the_lock};

#[test]
fn a_directory_that_cannot_be_looked_at_is_an_error_that_says_so() {
    let stage = Stage::with(&[("file", "")]);
    let look = |path: &Path| diagnose(path, &Options::default(), &AtomicBool::new(false)).map(drop);
    let missing = look(&stage.path("missing"));
    assert!(matches!(missing, Err(DiagnoseError::Missing(path)) if path == stage.path("missing")));
    for path in ["file", "file/below"] {
        let file = look(&stage.path(path));
        assert!(
            matches!(file, Err(DiagnoseError::NotADirectory(path)) if path.starts_with(stage.path("file"))),
            "{path}"
        );
    }
}

#[test]
fn a_request_to_stop_ends_a_watch() {
    let stage = Stage::with(&[]);
    let options = Options { watch: Some(Duration::from_secs(1_000_000)), ..Options::default() };
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watch = scope.spawn(|| diagnose(stage.dir(), &options, &stop));
        stop.store(true, Ordering::Relaxed);
        assert!(matches!(watch.join().expect("no panic"), Err(DiagnoseError::Interrupted)));
    });
}

/// A watch counts, for each lock that was held, at how many samples it was, and who waited.
#[test]
fn a_watch_shows_what_is_contended() {
    let stage = Stage::with(&[]);
    let [mut holder, mut waiter] = ["holder", "waiter"].map(|role| stage.actor(role));
    for actor in [&mut holder, &mut waiter] {
        actor.does("open a.lock write");
    }
    holder.does("open b.lock write");
    holder.does("flock a.lock exclusive");
    holder.does("flock b.lock exclusive");
    waiter.waits("flock a.lock exclusive");
    let options = Options { watch: Some(Duration::from_millis(1)), long_wait: 1e9 };
    let found = diagnose(stage.dir(), &options, &AtomicBool::new(false)).expect("a diagnosis");
    let watched = found.contention.expect("a watch");
    assert!(watched.samples > 0 && watched.seconds >= 0.0);
    let [a, b] = watched.locks.as_slice() else { panic!("{watched:?}") };
    assert_eq!(
        (a.path.as_str(), a.held, a.waited, a.most_waiters),
        ("a.lock", watched.samples, watched.samples, 1)
    );
    assert_eq!((b.path.as_str(), b.held, b.waited, b.most_waiters), ("b.lock", watched.samples, 0, 0));
    assert_eq!(a.pids.iter().copied().collect::<Vec<_>>(), {
        let mut pids = [holder.pid(), waiter.pid()];
        pids.sort_unstable();
        pids
    });
    assert_eq!(found.findings, []);
}

/// Of all that is in the directory: size, times of access, change and status, in seconds and nanoseconds.
fn traces(stage: &Stage) -> BTreeMap<&'static str, [i64; 7]> {
    let names = ["", "m.json", "a.lock", "folder", "folder/t.json"];
    let traces = names.map(|name| {
        let data = fs::metadata(stage.path(name)).expect("it is there");
        let (access, change) = ([data.atime(), data.atime_nsec()], [data.mtime(), data.mtime_nsec()]);
        let size = i64::try_from(data.size()).expect("a small file");
        (name, [size, access[0], access[1], change[0], change[1], data.ctime(), data.ctime_nsec()])
    });
    traces.into()
}

#[test]
fn nothing_is_changed() {
    let stage = Stage::with(&[("m.json", "{}"), ("a.lock", "1"), ("folder/t.json", "{")]);
    let before = traces(&stage);
    assert_eq!(stage.diagnosis().findings.len(), 1);
    assert_eq!(traces(&stage), before);
}

/// A line for people fits the width, whatever the commands and paths.
#[test]
fn the_page_fits_80_columns() {
    let long = "x".repeat(100);
    let stage = Stage::with(&[(&format!("{long}.json"), "{"), (&format!("{long}.json.tmp"), "")]);
    let mut holder = stage.actor(&long);
    holder.does(&format!("open {long}.lock write"));
    holder.does(&format!("flock {long}.lock exclusive"));
    holder.stop();
    let found = stage.diagnosis();
    assert_eq!(found.findings.len(), 3);
    for brief in [false, true] {
        let mut page = Vec::new();
        human(&found, brief, &Default::default(), &mut page).expect("it can be written");
        let page = String::from_utf8(page).expect("text");
        assert!(page.lines().all(|line| line.chars().count() <= 80), "{page}");
    }
    let mut object = Vec::new();
    json(&found, &mut object).expect("it can be written");
    assert!(object.ends_with(b"}\n"));
}

/// Another user's process is seen as far as the kernel lets one see it, and the rest is said. The look itself is made by an ordinary user in
/// the tests of the command; here, as root or not, nothing of one's own process is missing.
#[test]
fn a_process_of_another_user_is_seen_by_root() {
    if !nix::unistd::geteuid().is_root() {
        // Then every other test is one by an ordinary user, and processes of root are about: the first of them cannot be looked at.
        let found = Stage::with(&[]).diagnosis();
        assert!(
            found
                .seen
                .not_seen
                .iter()
                .any(|what| what.contains("look as root") || what.contains("container"))
        );
        return;
    }
    let stage = Stage::with(&[("a.lock", "")]);
    for path in ["", "a.lock"] {
        fs::set_permissions(stage.path(path), fs::Permissions::from_mode(0o777)).expect("a mode");
    }
    let mut holder = stage.actor_as("holder", 65_534);
    holder.does("open a.lock write");
    holder.does("flock a.lock exclusive");
    let found = stage.diagnosis();
    assert_eq!((found.findings.len(), holders(the_lock(&found))), (0, vec![holder.pid()]));
    assert!(found.seen.processes[&holder.pid()].seen);
}
