//! What cannot be: one clear message on standard error, nothing on standard output, the exit code for it, and nothing left behind.

use std::fs;

use crate::support::Place;

const COUNTER: &str = "read x < n; echo $((x+1)) > n";

#[test]
fn what_cannot_be_explored_is_refused() {
    let place = Place::with(&[("work/n", "0\n"), ("work/plain", "x"), ("file", "")]);
    let before = place.names();
    for (arguments, message) in [
        (&[][..], "nothing to explore: give two commands or more, each with -p CMD"),
        (&["-p", "true"], "one process cannot race: give a second command with -p CMD"),
        (&["-p", "true", "-p", ""], "process B cannot be run: ``: there is nothing to run"),
        (&["-p", "no-such-command", "-p", "true"], "`no-such-command` is not found along PATH"),
        (&["-p", "true", "-p", "/no/such/command x"], "there is no file /no/such/command"),
        (&["-p", "./missing", "-p", "true"], "there is no ./missing in the workspace"),
        (&["--dir", "work", "-p", "./plain", "-p", "true"], "chmod +x ./plain"),
        (
            &["-p", "true", "-p", "true", "--check", "no-such-command"],
            "`no-such-command` is not found along PATH",
        ),
        (
            &["-p", "true", "-p", "true", "--final", "no-such-command"],
            "`no-such-command` is not found along PATH",
        ),
        (
            &["-p", "true", "-p", "true", "--canon", "no-such-command"],
            "`no-such-command` is not found along PATH",
        ),
        (
            &["-p", "true", "-p", "true", "--setup", "no-such-command"],
            "`no-such-command` is not found along PATH",
        ),
        (&["-p", "true", "-p", "true", "--setup", "echo oh; exit 3;"], "`--setup` fails (exit 3)"),
        (&["-p", "true", "-p", "true", "--canon", "echo oh; exit 3;"], "`--canon` fails (exit 3)"),
        (
            &["--dir", "missing", "-p", "true", "-p", "true"],
            "the workspace folder missing: No such file or directory",
        ),
        (&["--dir", "file", "-p", "true", "-p", "true"], "the workspace folder file: is not a folder"),
        (&["-p", "true", "-p", "true", "--ignore", "["], "`[` is not a glob"),
        (&["-p", "true", "-p", "true", "--unordered", "["], "`[` is not a glob"),
        (
            &["-p", "true", "-p", "true", "--max-executions", "0"],
            "`max-executions` is 0: nothing would be run",
        ),
        (&["-p", "true", "-p", "true", "--max-steps", "0"], "`max-steps` is 0: nothing would be run"),
        (&["-p", "true", "-p", "true", "--time-limit", "-1"], "unexpected argument '-1'"),
        (&["-p", "true", "-p", "true", "--time-limit=-1"], "number of seconds"),
        (&["-p", "true", "-p", "true", "--time-limit", "nan"], "number of seconds"),
        (&["-p", "true", "-p", "true", "--time-limit", "0"], "number of seconds"),
        (&["-p", "true", "-p", "true", "--preemptions", "-1"], "unexpected argument '-1'"),
        (
            &["-p", "true", "-p", "true", "--preemptions", "1", "--strategy", "pct"],
            "`preemptions` bounds dpor and dfs; pct draws its schedules",
        ),
        (&["-p", "true", "-p", "true", "--depth", "2"], "`depth` is of the strategy pct, not of dpor"),
        (
            &["-p", "true", "-p", "true", "--strategy", "pct", "--depth", "0"],
            "`depth` is a number from 1 to 20",
        ),
        (&["-p", "true", "-p", "true", "--seed", "x"], "invalid value 'x' for '--seed <N>'"),
        (&["-p", "true", "-p", "true", "--strategy", "x"], "invalid value 'x' for '--strategy <STRATEGY>'"),
        (&["-p", "true", "-p", "true", "--format", "x"], "invalid value 'x' for '--format <FORMAT>'"),
        (&["-p", "true", "-p", "true", "--no-such-option"], "unexpected argument '--no-such-option'"),
        (&["-p"], "a value is required for '--process <CMD>'"),
    ] {
        place.cooks(&[&["explore"], arguments].concat()).refuses(2, message);
        assert_eq!(place.names(), before, "{arguments:?} leaves something behind");
    }
}

/// What a shell cannot find is told by the serial runs, which come first.
#[test]
fn a_command_that_a_shell_does_not_find_is_refused() {
    let place = Place::with(&[]);
    for commands in [["no-such-command > f", "true"], ["true", "echo x; exec no-such-command 'a b'"]] {
        let run = place.cooks(&["explore", "-p", commands[0], "-p", commands[1]]);
        run.refuses(2, "no-such-command: not found");
        assert_eq!((run.stderr.lines().count(), place.names().len()), (1, 0), "{}", run.stderr);
    }
}

#[test]
fn what_is_not_built_yet_is_refused_by_its_name() {
    let place = Place::with(&[]);
    let two = ["explore", "-p", "true", "-p", "true"];
    for option in [&["--crash", "kill"][..], &["--faults", "x"]] {
        let message = format!("cooks: {} is not built yet\n", option.join(" "));
        let run = place.cooks(&[two.as_slice(), option].concat());
        run.refuses(2, &message);
        assert_eq!(run.stderr, message, "nothing else is said");
        let run = place.cooks(&[&["run", "agent-ab-fixed"], option].concat());
        run.refuses(2, &message);
    }
    place.cooks(&["replay", "w.json", "--html", "page.html"]).refuses(2, "--html is not built yet");
    // What they would be by default anyway is no request for more.
    for option in [["--jobs", "1"], ["--crash", "none"], ["--shard", "1/1"]] {
        assert_eq!(place.cooks(&[two.as_slice(), &option].concat()).code, Some(0), "{option:?}");
    }
    assert_eq!(place.names().len(), 0);
}

#[test]
fn a_scenario_that_cannot_be_is_refused_with_its_line() {
    let process = "[[process]]\ncommand = \"true\"\n";
    for (text, message) in [
        (
            format!("summary = \"x\"\nstrtegy = \"dpor\"\n{process}"),
            "s/scenario.toml:2: unknown key `strtegy`; did you mean `strategy`?",
        ),
        (format!("jobs = 4\n{process}"), "s/scenario.toml:1: `jobs` is not built yet"),
        (
            format!("\nstrategy = \"pos\"\npreemptions = 1\n{process}"),
            "s/scenario.toml:3: `preemptions` bounds dpor and dfs; pos draws its schedules",
        ),
        (
            format!("{process}comand = \"x\"\n"),
            "s/scenario.toml:3: unknown key `comand`; did you mean `command`?",
        ),
        ("seed = 1\n".to_owned(), "there is no process"),
        ("seed = \n".to_owned(), "s/scenario.toml:1: "),
        (
            format!("dir = \"gone\"\n{process}"),
            "s/scenario.toml:1: `dir` is gone, and there is no such folder",
        ),
        (format!("{process}[expect]\nverdict = \"fine\"\n"), "s/scenario.toml:4: unknown value `fine`"),
        (
            "[[process]]\ncommand = \"no-such-command\"\n".to_owned(),
            "`no-such-command` is not found along PATH",
        ),
        ("[[process]]\nclosure = \"no-such-closure\"\n".to_owned(), "there is no closure `no-such-closure`"),
    ] {
        let place = Place::with(&[("s/scenario.toml", &text)]);
        let run = place.cooks(&["run", "s"]);
        run.refuses(2, message);
        assert_eq!(run.stderr.lines().count(), 1, "{}", run.stderr);
        assert_eq!(place.names(), ["s".to_owned()].into());
    }
}

#[test]
fn a_scenario_that_is_not_there_is_refused() {
    let place = Place::with(&[("folder/file", "")]);
    for (arguments, message) in [
        (&["run"][..], "no scenario: give names or folders, or --all"),
        (&["run", "no-such-scenario"], "there is no scenario `no-such-scenario`"),
        (&["run", "folder"], "the folder folder has no scenario.toml, and no folder below it has one"),
        (&["run", "agent-ab-fixed", "no-such-scenario"], "there is no scenario `no-such-scenario`"),
        (&["run", "--all", "agent-ab"], "cannot be used with"),
        (&["run", "agent-ab-fixed", "--max-executions", "0"], "`max-executions` is 0: nothing would be run"),
        (&["no-such-word"], "unrecognized subcommand 'no-such-word'"),
    ] {
        place.cooks(arguments).refuses(2, message);
    }
}

#[test]
fn a_witness_that_is_none_is_refused() {
    let place = Place::with(&[("work/n", "0\n"), ("text", "not JSON"), ("other.json", "{\"a\": 1}")]);
    place.explore(1, &[COUNTER, COUNTER], &["--dir", "work"]);
    let whole = fs::read_to_string(place.path("cooks-output/work-1-lost-update.json")).expect("a witness");
    fs::write(place.path("whole.json"), &whole).expect("a copy");
    let half = whole.get(..whole.len() / 2).expect("ASCII");
    fs::write(place.path("half.json"), half).expect("a copy");
    fs::write(place.path("edited.json"), whole.replacen("\"choice\": \"A\"", "\"choice\": \"B\"", 1))
        .expect("a copy");
    fs::write(place.path("later.json"), whole.replacen("\"format\": 2", "\"format\": 99", 1))
        .expect("a copy");
    fs::write(place.path("empty.json"), "").expect("a file");
    fs::remove_dir_all(place.path("cooks-output")).expect("it is there");
    let before = place.names();
    for (file, message) in [
        ("missing.json", "missing.json: cannot be read: No such file or directory"),
        ("work", "work: cannot be read"),
        ("text", "text: not a witness"),
        ("other.json", "other.json: not a witness: there is no `format`"),
        ("half.json", "half.json: the file is cut off at line "),
        ("empty.json", "empty.json: "),
        ("edited.json", "edited.json: this witness was edited or damaged"),
        ("later.json", "later.json: a witness of format 99; this version reads formats 1 to 2"),
    ] {
        let run = place.cooks(&["replay", file]);
        run.refuses(2, message);
        assert_eq!(run.stderr.lines().count(), 1, "{}", run.stderr);
    }
    assert_eq!(place.names(), before);
    assert_eq!(place.cooks(&["replay", "whole.json"]).code, Some(1), "the copy is whole");
}

/// The program under test has changed since: the replay says where it goes another way.
#[test]
fn a_replay_of_something_else_is_a_divergence() {
    let place = Place::with(&[("work/n", "0\n"), ("run.sh", "read x < n; echo $((x+1)) > n\n")]);
    let script = format!("sh {}", place.path("run.sh").display());
    place.explore(1, &[&script, &script], &["--dir", "work"]);
    fs::write(place.path("run.sh"), "read x < n; rm n; echo $((x+1)) > n\n").expect("it can be written");
    let run = place.cooks(&["replay", "--quiet", "cooks-output/work-1-lost-update.json"]);
    run.refuses(5, "cooks: divergence at step ");
    assert_eq!(run.stderr.lines().count(), 1, "{}", run.stderr);
}
