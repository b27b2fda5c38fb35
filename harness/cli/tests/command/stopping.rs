//! However an exploration is ended, no process, no folder and no mount is left.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::{Place, processes};

/// Only so that a failure is told, not waited for.
const FOREVER: Duration = Duration::from_secs(60);

/// Looks again until there is something to be seen.
#[track_caller]
pub fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(begun.elapsed() < FOREVER, "waited in vain for {what}");
        std::thread::yield_now();
    }
}

/// A word that is on no other command line.
pub fn marker(test: &str) -> String {
    format!("marked-{test}-{}", std::process::id())
}

/// Explorations that take for ever: many schedules; a process that computes and makes no system call; one that waits in a call; one
/// with children in other sessions.
fn endless(marker: &str) -> [(&'static str, Vec<String>); 4] {
    let appends = format!("for i in 1 2 3 4 5 6 7 8; do echo {marker} >> log; done");
    [
        ("many schedules", vec![appends; 6]),
        ("a process that computes", vec![format!(": {marker}; while :; do :; done"); 2]),
        ("a child that computes", vec![format!("sh -c ': {marker}; while :; do :; done' & wait"); 2]),
        (
            "a child in a session of its own",
            vec![format!("setsid sh -c ': {marker}; while :; do :; done' & wait"); 2],
        ),
    ]
}

/// Starts an exploration and waits until a process of it runs that is not `cooks` by its command line.
fn begin(place: &Place, root: &str, commands: &[String], marker: &str) -> Child {
    let processes_of = commands.iter().flat_map(|command| ["-p", command.as_str()]);
    let arguments: Vec<&str> = ["explore", "--root", root].into_iter().chain(processes_of).collect();
    let mut command = place.command(&arguments);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("cooks can be run");
    wait_for("a process under test", || {
        assert_eq!(child.try_wait().expect("a child"), None, "it has ended by itself");
        processes(marker).iter().any(|(_, line)| line.starts_with("sh -c")).then_some(())
    });
    child
}

fn mounts() -> String {
    std::fs::read_to_string("/proc/self/mounts").expect("mounts")
}

/// No process of the exploration, no file, no mount.
fn assert_nothing_left(what: &str, marker: &str, place: &Place, mounts_before: &str) {
    wait_for(&format!("the end of all processes of: {what}: {:?}", processes(marker)), || {
        processes(marker).is_empty().then_some(())
    });
    // With --root overlay, cooks makes the folder for witnesses first. If cooks is killed, it cannot remove that folder.
    let _ = std::fs::remove_dir(place.path("cooks-output"));
    assert_eq!(place.names().len(), 0, "{what}");
    assert_eq!(mounts(), mounts_before, "{what}");
}

#[test]
fn an_interruption_ends_everything_in_order() {
    for (signal, root) in [(Signal::SIGINT, "host"), (Signal::SIGTERM, "host"), (Signal::SIGINT, "overlay")] {
        let marker = marker(signal.as_str());
        for (what, commands) in endless(&marker) {
            let (place, before) = (Place::with(&[]), mounts());
            let child = begin(&place, root, &commands, &marker);
            kill(Pid::from_raw(child.id().cast_signed()), signal).expect("it runs");
            let output = child.wait_with_output().expect("it ends");
            let said = String::from_utf8_lossy(&output.stderr);
            assert_eq!((output.status.code(), said.as_ref()), (Some(130), "cooks: interrupted\n"), "{what}");
            assert_eq!(output.stdout, b"", "{what}");
            // When it has ended, all has.
            assert_eq!(processes(&marker), [], "{what}");
            assert_nothing_left(what, &marker, &place, &before);
        }
    }
}

/// Of scenarios that are run side by side all end.
#[test]
fn an_interruption_ends_scenarios_that_run_side_by_side() {
    let marker = marker("together");
    let process = format!("[[process]]\ncommand = \": {marker}; while :; do :; done\"\n").repeat(2);
    let scenarios: Vec<(String, &str)> =
        (1..=3).map(|number| (format!("s/{number}/scenario.toml"), process.as_str())).collect();
    let files: Vec<(&str, &str)> = scenarios.iter().map(|(path, text)| (path.as_str(), *text)).collect();
    let (place, before) = (Place::with(&files), mounts());
    let mut command = place.command(&["run", "s", "--jobs", "2"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("cooks can be run");
    wait_for("a process of each", || (processes(&marker).len() >= 2).then_some(()));
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGINT).expect("it runs");
    let output = child.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), said.as_ref()), (Some(130), "cooks: interrupted\n"));
    assert_eq!((processes(&marker), mounts()), (Vec::new(), before));
    assert_eq!(place.names().into_iter().collect::<Vec<_>>(), ["s"]);
}

#[test]
fn nothing_outlives_a_controller_that_is_killed() {
    let marker = marker("killed");
    for root in ["host", "overlay"] {
        for (what, commands) in endless(&marker) {
            let (place, before) = (Place::with(&[]), mounts());
            let mut child = begin(&place, root, &commands, &marker);
            child.kill().expect("it runs");
            assert_eq!(child.wait().expect("it ends").code(), None, "{what}: killed by the signal");
            assert_nothing_left(what, &marker, &place, &before);
        }
    }
}

/// The time limit is looked at between executions, and ends the search in order.
#[test]
fn a_time_limit_ends_the_search() {
    let place = Place::with(&[]);
    let appends = "for i in 1 2 3 4 5 6 7 8; do echo x >> log; done";
    let report = place.explore(3, &[appends; 6], &["--time-limit", "0.2", "--unordered", "log"]);
    assert_eq!((&report["verdict"], &report["exhaustive"]), (&"inconclusive".into(), &false.into()));
}

/// Processes that end while children of theirs still run: the execution ends with the last of them.
#[test]
fn children_that_are_left_alone_are_waited_for() {
    let place = Place::with(&[]);
    let report = place.explore(0, &["(echo a >> log) & exit 0", "true"], &["--final", "cat log"]);
    assert_eq!((&report["complete"], &report["distinct_outcomes"]), (&1.into(), &1.into()));
}
