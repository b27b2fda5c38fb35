//! `cooks stress`: processes that run free and side by side.

use std::process::Stdio;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::support::{Place, kinds, number, processes};

/// Long enough a window for chance to hit it.
const SLOW: &str = "read x < n; sleep 0.3; echo $((x+1)) > n";
const LOCKED: &str = "flock lock sh -c 'read x < n; echo $((x+1)) > n'";

fn place() -> Place {
    Place::with(&[("work/n", "0\n"), ("work/lock", ""), ("asked", "one\ntwo\n")])
}

fn stress(place: &Place, code: i32, options: &[&str]) -> Value {
    place.cooks(&[&["stress", "--dir", "work", "--format", "json"], options].concat()).json(code)
}

#[test]
fn what_chance_shows_is_counted_and_named() {
    let place = place();
    let report =
        stress(&place, 1, &["-p", SLOW, "-p", SLOW, "--runs", "5", "--jitter", "100", "--seed", "7"]);
    assert_eq!((&report["verdict"], kinds(&report)), (&"anomaly".into(), vec!["lost-update"]));
    assert_eq!((number(&report, "executions"), number(&report, "seed")), (5, 7));
    let (chance, found) = (&report["chance"], &report["anomalies"][0]);
    assert_eq!(chance["kinds"]["lost-update"], chance["hits"]);
    assert_eq!((&found["hits"], &found["files"][0]), (&chance["hits"], &"n".into()));
    assert!(number(chance, "hits") > 0 && number(found, "execution") <= 5, "{report}");
    assert_eq!((number(chance, "unfinished"), number(chance, "jitter_us")), (0, 100));
    let human = place.cooks(&["stress", "--dir", "work", "-p", SLOW, "-p", SLOW, "--runs", "5"]);
    assert_eq!(human.code, Some(1));
    assert!(human.stdout.contains("lost-update: n: the change by A or B is lost"), "{}", human.stdout);
    assert_eq!(place.names().len(), 2, "what nobody can replay has no witness");
}

/// That nothing was seen is no proof, and not told as one.
#[test]
fn what_is_right_is_inconclusive() {
    let place = place();
    for options in [
        &["-p", LOCKED, "-p", LOCKED, "--final", "cat n"][..],
        &["-p", "echo a >> log", "--then", "echo b >> log", "-p", "echo c > other"],
        &["-p", "cat > a", "--input", "asked", "-p", "cat > b", "--input", "asked"],
        // Who starts something that goes on is waited for.
        &["-p", "(echo x > late) & exit 0", "-p", "setsid sh -c 'echo y > later' & exit 0"],
        &["-p", "(exit 3)", "-p", "kill -9 $$"],
        &["-p", LOCKED, "-p", LOCKED, "--jobs", "3", "--jitter", "500"],
        &["-p", "mkdir d || exit 1", "-p", "mkdir d || exit 1", "--aborts", "allow"],
    ] {
        let report = stress(&place, 3, &[options, &["--runs", "20"]].concat());
        assert_eq!((number(&report, "complete"), kinds(&report)), (20, Vec::new()), "{options:?}");
        assert_eq!(report["exhaustive"], false);
    }
    let native = place.cooks(&["stress", "agent-ab-fixed", "--runs", "50"]);
    assert_eq!(native.code, Some(3));
    assert!(
        native.stdout.contains("more often than once in 17 runs would have been seen"),
        "{}",
        native.stdout
    );
    let limited =
        stress(&place, 3, &["-p", LOCKED, "-p", LOCKED, "--runs", "1000000", "--time-limit", "0.5"]);
    assert_eq!(limited["ended_by"], "time-limit");
}

#[test]
fn a_check_that_fails_is_a_hit_of_each_run() {
    let place = place();
    let report =
        stress(&place, 1, &["-p", LOCKED, "-p", LOCKED, "--check", "false", "--runs", "6", "--jobs", "2"]);
    assert_eq!((kinds(&report), number(&report["chance"], "hits")), (vec!["check-failed"], 6));
    assert_eq!(report["anomalies"][0]["execution"], 1);
}

#[test]
fn who_does_not_end_is_ended_with_all_that_he_started() {
    let place = place();
    let marker = format!("marked-stress-{}", std::process::id());
    let endless = format!(": {marker}; setsid sh -c ': {marker}; sleep 1000' & sleep 1000");
    let report = stress(&place, 3, &["-p", &endless, "-p", &endless, "--runs", "2", "--patience", "0.2"]);
    assert_eq!((number(&report["chance"], "unfinished"), number(&report, "complete")), (2, 0));
    assert_eq!(processes(&marker), []);

    let arguments = ["stress", "-p", &endless, "-p", &endless, "--patience", "1000"];
    let mounts = || std::fs::read_to_string("/proc/self/mounts").expect("mounts");
    let before = mounts();
    let mut command = place.command(&arguments);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("cooks can be run");
    // They run free when each has its second shell; the serial runs that are traced have ended by then.
    while processes(&marker)
        .iter()
        .filter(|(_, line)| line.starts_with("sleep 1000") || line.starts_with("sh -c"))
        .count()
        < 2
    {
        std::thread::yield_now();
    }
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGINT).expect("it runs");
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(
        (output.status.code(), output.stderr.as_slice()),
        (Some(130), b"cooks: interrupted\n".as_slice())
    );
    assert_eq!((processes(&marker), mounts()), (Vec::new(), before));
}

#[test]
fn what_cannot_be_judged_is_refused() {
    let place = place();
    let two = ["stress", "-p", "true", "-p"];
    place
        .cooks(&[&two[..], &["head -c 8 /dev/urandom > noise"]].concat())
        .refuses(2, "each time that they run free");
    place.cooks(&[&two[..], &["true", "--runs", "0"]].concat()).refuses(2, "0 is not in 1..");
    place.cooks(&["stress", "-p", "true"]).refuses(2, "one process cannot race");
    place.cooks(&["stress", "canary", "-p", "true"]).refuses(2, "cannot be used with");
    place.cooks(&[&two[..], &["true", "--strategy", "dpor"]].concat()).refuses(2, "unexpected argument");
}
