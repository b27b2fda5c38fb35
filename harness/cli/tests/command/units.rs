//! Processes that are several units: `--then`, `--input`, and what is judged of them.

use serde_json::Value;

use crate::support::{Place, kinds, number};

/// Servers that keep a table in a file: each line that they are asked is a key to set. `section` is what one does for a request.
fn server(start: &str, section: &str) -> String {
    format!(
        "import fcntl, json, os, sys\n\
         def load(): return json.load(open('t.json'))\n\
         def save(table):\n    \
             with open('t.json', 'w') as file: json.dump(table, file)\n\
         lock = open('lock', 'w')\n{start}\n\
         for line in sys.stdin:\n    \
             key = line.strip()\n{section}\n"
    )
}

/// Two requests each.
const TWICE: [&str; 2] = ["a\nb\n", "c\nd\n"];
/// One.
const ONCE: [&str; 2] = ["a\n", "b\n"];
const LOCK: &str = "fcntl.flock(lock, fcntl.LOCK_EX)";
const UNLOCK: &str = "fcntl.flock(lock, fcntl.LOCK_UN)";

/// Two of these servers, each asked these things.
fn two_servers(code: i32, server: &str, asked: [&str; 2], options: &[&str]) -> (Place, Value) {
    let files = [("work/t.json", "{}"), ("server.py", server), ("one", asked[0]), ("two", asked[1])];
    let place = Place::with(&files);
    let command = format!("python3 {}", place.path("server.py").display());
    let arguments: Vec<&str> = ["explore", "--format", "json", "--dir", "work", "--ignore", "lock"]
        .into_iter()
        .chain(["-p", &command, "--input", "one", "-p", &command, "--input", "two"])
        .chain(options.iter().copied())
        .collect();
    let report = place.cooks(&arguments).json(code);
    (place, report)
}

#[test]
fn servers_that_load_afresh_under_the_lock_are_clean() {
    let section = format!(
        "    {LOCK}\n    table = load()\n    table[key] = 1\n    save(table)\n    {UNLOCK}\n    print(len(table))"
    );
    let (_, report) = two_servers(0, &server("", &section), TWICE, &[]);
    assert_eq!((report["verdict"].as_str(), &report["exhaustive"]), (Some("clean"), &true.into()));
    // The merges of three units and three: start-up (which opens the lock's file) and two requests. The end of the input does nothing
    // that anybody sees. What comes out depends on the order of the requests alone.
    assert_eq!((number(&report, "serial_runs"), number(&report, "serial_outcomes")), (20, 6));
    assert_eq!((number(&report, "complete"), number(&report, "distinct_outcomes")), (24, 6));
}

#[test]
fn servers_that_load_afresh_without_a_lock_lose_updates() {
    let section = "    table = load()\n    table[key] = 1\n    save(table)";
    let (place, report) = two_servers(1, &server("", section), ONCE, &[]);
    assert!(kinds(&report).contains(&"lost-update"), "{report}");
    let witness = report["anomalies"][0]["witness"].as_str().expect("a path");
    // It stands alone.
    std::fs::remove_file(place.path("one")).expect("a file");
    std::fs::remove_file(place.path("two")).expect("a file");
    place.cooks(&["replay", witness, "--quiet", "--format", "json"]).json(1);
}

/// The stale cache: each request is whole under the lock, none overlaps with another, and updates are lost.
#[test]
fn servers_that_write_back_what_they_remember_lose_updates_without_any_overlap() {
    let section = format!("    {LOCK}\n    table[key] = 1\n    save(table)\n    {UNLOCK}");
    let start = format!("{LOCK}\ntable = load()\n{UNLOCK}");
    let (place, report) = two_servers(1, &server(&start, &section), ONCE, &["--all"]);
    assert_eq!(kinds(&report), ["lost-update", "lost-update"]);
    // Every outcome is one that requests one after another give.
    assert_eq!((number(&report, "distinct_outcomes"), number(&report, "serial_outcomes")), (3, 3));
    assert_eq!(number(&report, "complete"), 24);
    let witness = report["anomalies"][0]["witness"].as_str().expect("a path");
    let shown = place.cooks(&["replay", witness]).stdout;
    assert!(shown.contains("No two units need overlap"), "{shown}");
    assert!(shown.contains("request 1"), "{shown}");
}

/// What a server keeps to itself is not judged: it counts, and tells what it has counted.
#[test]
fn a_server_may_remember_what_is_its_own() {
    let section = format!(
        "    {LOCK}\n    table = load()\n    table[key] = 1\n    save(table)\n    {UNLOCK}\n    mine.append(key)\n    print(mine, len(table))"
    );
    let (_, report) = two_servers(0, &server("mine = []", &section), TWICE, &[]);
    assert_eq!(report["verdict"], "clean");
}

/// Reads a number and writes one more, in two steps: `get` remembers in a file, `put` writes.
const STEP: &str = "\
import os, sys
me, what = sys.argv[1:]
if what != 'put':
    n = int(open('n').read())
    open(me, 'w').write(str(n))
if what != 'get':
    n = int(open(me).read())
    with open(me, 'w') as file: file.write(str(n + 1))
    os.replace(me, 'n')
";

/// As one command it must look indivisible, as two it need not.
#[test]
fn commands_one_after_another_are_judged_by_their_merges() {
    let place = Place::with(&[("work/n", "0\n"), ("step.py", STEP)]);
    let step = |what: &str| format!("python3 {} {what}", place.path("step.py").display());
    let (get, put, both, other) = (step("a get"), step("a put"), step("a both"), step("b both"));
    let explore = |code: i32, arguments: &[&str]| {
        let options = ["explore", "--format", "json", "--dir", "work", "-p", &other];
        place.cooks(&[&options, arguments].concat()).json(code)
    };
    let report = explore(0, &["-p", &get, "--then", &put]);
    assert_eq!((number(&report, "serial_runs"), number(&report, "serial_outcomes")), (3, 2));
    assert_eq!((&report["verdict"], number(&report, "distinct_outcomes")), (&"clean".into(), 2));
    assert_eq!(kinds(&explore(1, &["-p", &both])), ["lost-update"]);
}

#[test]
fn a_command_that_fails_is_told_by_its_place() {
    let place = Place::with(&[]);
    let first = ["explore", "--setup", "echo x > f", "-p", "true", "--then", "test -s f"];
    let run = place.cooks(&[&first[..], &["-p", "echo a > f", "--then", "echo b > f"]].concat());
    assert_eq!(run.code, Some(1), "{}", run.stderr);
    assert!(run.stdout.contains("A's command 2 fails (exit 1)"), "{}", run.stdout);
}

#[test]
fn scenarios_have_units() {
    let scenario = "[[process]]\ncommand = \"echo a\"\nthen = [\"echo b\"]\n[[process]]\ncommand = \"cat\"\ninput = \"asked\"\n";
    let place = Place::with(&[("s/scenario.toml", scenario), ("s/asked", "x\ny\n")]);
    let report = place.cooks(&["run", "s", "--format", "json"]).json(0);
    assert_eq!((report["verdict"].as_str(), number(&report, "complete")), (Some("clean"), 1));
}

#[test]
fn units_that_cannot_be_are_refused() {
    let place = Place::with(&[("empty", ""), ("lines", "x\n")]);
    for (arguments, message) in [
        (
            &["--then", "true", "-p", "true", "-p", "true"][..],
            "--then is of the -p before it, and there is none",
        ),
        (
            &["--input", "lines", "-p", "true", "-p", "true"],
            "--input is of the -p before it, and there is none",
        ),
        (&["-p", "true", "-p", "true", "--input", "none"], "--input none cannot be read: No such file"),
        (&["-p", "true", "-p", "true", "--input", "empty"], "--input empty is empty: nothing would be asked"),
        (
            &["-p", "true", "-p", "cat", "--input", "lines", "--input", "lines"],
            "two --input for one process: `cat` has one",
        ),
        (
            &["-p", "true", "-p", "cat", "--input", "lines", "--then", "true"],
            "--then and --input for one process: `cat` is several commands, or one that is asked",
        ),
        (
            &["-p", "true", "-p", "true", "--then", "no-such-command"],
            "process B cannot be run: `no-such-command`",
        ),
    ] {
        place.cooks(&[&["explore"], arguments].concat()).refuses(2, message);
    }
}
