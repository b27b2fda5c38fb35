//! What comes from strangers: the names and outputs of tested programs, and witnesses of other people.

use std::fs;

use serde_json::{Value, json};

use crate::support::{Place, Run, kinds};

/// A name with everything in it that steers a terminal or gives a build server commands.
const NAME: &str = "n\x1b[2J\n::error::x\u{9b}31m\u{7f}\t\u{202e}z";

/// Counts in the file of that name; fails if it is empty. All that it prints is hostile as well.
const COUNT: &str = r#"f="$(printf 'n\033[2J\n::error::x\302\23331m\177\t\342\200\256z')"
read v < "$f"
printf 'out \033]0;t\007\302\205 %s\n' "$1"
if [ -z "$v" ]; then
    printf 'one\n\033[31mtwo\302\23331m\n::stop-commands::x\n\342\200\256four\377\n' >&2
    exit 3
fi
echo $((v + 1)) > "$f"
"#;

fn place() -> Place {
    let place = Place::with(&[("work/count.sh", COUNT)]);
    fs::write(place.path("work").join(NAME), "0").expect("a file of that name can be written");
    place
}

/// No character is left that does something and is not seen.
#[track_caller]
fn is_harmless(what: &str, run: &Run) {
    assert_eq!(run.code, Some(1), "{what}: {}", run.stderr);
    for text in [&run.stdout, &run.stderr] {
        let bad = |c: &char| {
            (c.is_control() && *c != '\n') || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        };
        let found = text.chars().find(bad);
        assert_eq!(found, None, "{what}: {text}");
        let commands = text.lines().filter(|line| line.trim_start().starts_with("::"));
        let forged: Vec<&str> = commands.filter(|line| !line.starts_with("::error title=cooks")).collect();
        assert!(forged.is_empty(), "{what}: {forged:?}");
    }
}

#[test]
fn what_tested_programs_print_and_name_does_not_reach_the_terminal_as_it_is() {
    let place = place();
    let (first, second) = ("sh count.sh \x1b[31mred", "sh count.sh \u{202e}b");
    let mut witness = String::new();
    for format in ["json", "human", "junit", "github"] {
        let arguments = ["explore", "--dir", "work", "--all", "--format", format, "-p", first, "-p", second];
        let run = place.cooks(&arguments);
        is_harmless(format, &run);
        if format == "json" {
            let report: Value = serde_json::from_str(&run.stdout).expect("JSON");
            let failed =
                kinds(&report).iter().position(|kind| *kind == "process-failure").expect("one fails");
            let anomaly = &report["anomalies"][failed];
            // For programs it is all there, as it is.
            assert_eq!(report["commands"][0], format!("sh -c {first}"));
            assert!(
                report["anomalies"].as_array().expect("a list").iter().any(|it| it["files"][0] == NAME),
                "{report}"
            );
            let said = anomaly["stderr"].as_object().expect("standard error");
            let expected = "one\n\x1b[31mtwo\u{9b}31m\n::stop-commands::x\n\u{202e}four\u{fffd}\n";
            assert_eq!(said.values().collect::<Vec<_>>(), [expected]);
            witness = anomaly["witness"].as_str().expect("a path").to_owned();
        }
    }
    let human = place.cooks(&["replay", &witness]);
    is_harmless("replay", &human);
    let shown =
        "'s standard error ends:\n  one\n  \\x1b[31mtwo\\u{9b}31m\n  \\x3a:stop-commands::x\n  \\u{202e}four";
    assert!(human.stdout.contains(shown), "{}", human.stdout);
    assert!(human.stdout.contains("n\\x1b[2J\\n::error::x"), "{}", human.stdout);
    for format in ["human", "json"] {
        let run = place.cooks(&["show", &witness, "--format", format]);
        is_harmless("show", &Run { code: Some(1), ..run });
    }
    // Errors as well: the divergence names the file.
    fs::write(place.path("w.json"), fs::read_to_string(place.path(&witness)).expect("a witness"))
        .expect("a copy");
    let run = place.cooks(&["explore", "--dir", "work", "-p", "./no\x1b[2J\u{202e}such", "-p", "true"]);
    run.refuses(2, "./no\\x1b[2J\\u{202e}such");
}

const ADD: &str = "read n < n\necho $((n + 1)) > n\n";

/// A witness of two that count, as a value.
fn witness(place: &Place, command: &str) -> (String, Value) {
    let report = place.explore(1, &[command, command], &["--dir", "work"]);
    let path = report["anomalies"][0]["witness"].as_str().expect("a path").to_owned();
    let text = fs::read_to_string(place.path(&path)).expect("a witness");
    (path, serde_json::from_str(&text).expect("JSON"))
}

/// Writes a witness with the checksum of what it holds: that is what the message about a wrong one says.
fn sign(place: &Place, file: &str, mut value: Value) {
    fs::write(place.path(file), value.to_string()).expect("it can be written");
    let told = place.cooks(&["show", file]).stderr;
    if let Some((_, rest)) = told.split_once("of its content ") {
        value["checksum"] = rest.trim().into();
        fs::write(place.path(file), value.to_string()).expect("it can be written");
    }
}

#[test]
fn a_crafted_witness_is_refused_before_anything_is_written_or_run() {
    let place = Place::with(&[("work/add.sh", ADD), ("work/n", "0")]);
    let (_, value) = witness(&place, "sh add.sh");
    let target = place.path("crafted");
    let up = format!("{}{}", "../".repeat(20), target.to_str().expect("text").trim_start_matches('/'));
    let ran = format!("touch {}", place.path("ran").display());
    for path in [up.as_str(), target.to_str().expect("text"), "l/x"] {
        let mut value = value.clone();
        value["initial"]["l"] = json!({"type": "link", "target": place.path("").to_str()});
        value["initial"][path] = json!({"type": "file", "mode": 420, "content": "crafted"});
        value["scenario"]["process"][0]["command"] = ran.as_str().into();
        sign(&place, "crafted.json", value);
        place.cooks(&["replay", "crafted.json"]).refuses(2, "cannot be understood: `initial`: the path ");
        place.cooks(&["replay", "--root", "overlay", "crafted.json"]).refuses(2, "cannot be understood: ");
        place.cooks(&["show", "crafted.json"]).refuses(2, "cannot be understood: ");
        fs::remove_file(place.path("crafted.json")).expect("it is there");
        let names: Vec<String> = place.names().into_iter().collect();
        assert_eq!(names, ["cooks-output", "work"], "{path}");
    }
    // The same without it is run.
    sign(&place, "same.json", value);
    assert_eq!(place.cooks(&["replay", "same.json"]).code, Some(1));
}

#[test]
fn files_of_strangers_are_bounded() {
    let place = Place::with(&[("work/add.sh", ADD), ("deep.json", &"[".repeat(100_000))]);
    let file = fs::File::create(place.path("large.json")).expect("a file");
    file.set_len(300 << 20).expect("a sparse file");
    for command in ["replay", "show"] {
        place
            .cooks(&[command, "large.json"])
            .refuses(2, "large.json: cannot be read: it is larger than 256 MiB");
        place
            .cooks(&[command, "deep.json"])
            .refuses(2, "deep.json: not a witness: nested more than 127 deep");
    }
    place.cooks(&["merge", "large.json"]).refuses(2, "large.json cannot be read: it is larger than 256 MiB");
    place.cooks(&["merge", "deep.json"]).refuses(2, "deep.json: no result of");
    let shard = place.cooks(&["explore", "--shard", "4000000000/4000000000", "-p", "true", "-p", "true"]);
    shard.refuses(2, "there are at most 65536 of an exploration");
    fs::create_dir(place.path("s")).expect("a folder");
    let scenario = "name = \"../../x\"\n[[process]]\ncommand = \"true\"\n";
    fs::write(place.path("s/scenario.toml"), scenario).expect("a scenario");
    place.cooks(&["run", "s"]).refuses(2, "s/scenario.toml:1: `name` is a name, not a path");
}

#[test]
fn a_replay_says_whose_commands_it_runs_and_an_overlay_keeps_them_apart() {
    let place = Place::with(&[("work/add.sh", ADD), ("work/n", "0")]);
    let mark = place.path("mark");
    let command = format!("echo x > {}; sh add.sh", mark.display());
    let (path, _) = witness(&place, &command);
    assert!(mark.exists(), "on the machine itself it is written");
    fs::remove_file(&mark).expect("it is there");
    let apart = place.cooks(&["replay", "--root", "overlay", &path]);
    assert_eq!(apart.code, Some(1), "{}", apart.stderr);
    assert!(!mark.exists(), "on an overlay it is not");
    let told = format!(
        "cooks: {path} was recorded by cooks {} (format 2). A replay runs its commands:\n  A: {command}\n  B: {command}\n",
        env!("CARGO_PKG_VERSION")
    );
    assert_eq!(
        apart.stderr,
        told.clone()
            + "They run with your rights, on an overlay: they can read your files, and change none of them.\n"
    );
    let here = place.cooks(&["replay", &path]);
    assert_eq!(
        here.stderr,
        told + "They run with your rights. With --root overlay they cannot change your files.\n"
    );
    assert!(mark.exists());
    assert_eq!(place.cooks(&["replay", "--quiet", &path]).stderr, "");
}

/// What was recorded on an overlay is not replayed without one.
#[test]
fn a_recording_of_an_overlay_stays_on_one() {
    let place = Place::with(&[("work/add.sh", ADD), ("work/n", "0")]);
    let report = place.explore(1, &["sh add.sh", "sh add.sh"], &["--dir", "work", "--root", "overlay"]);
    let path = report["anomalies"][0]["witness"].as_str().expect("a path");
    place
        .cooks(&["replay", "--root", "host", path])
        .refuses(2, "--root host: this was recorded on an overlay");
    let again = place.cooks(&["replay", "--root", "overlay", path]);
    assert_eq!(again.code, Some(1), "{}", again.stderr);
}

#[test]
fn a_second_run_leaves_the_witnesses_of_the_first_as_they_are() {
    let place = Place::with(&[("work/add.sh", ADD), ("work/n", "0")]);
    let (path, _) = witness(&place, "sh add.sh");
    let first = fs::read(place.path(&path)).expect("a witness");
    let (same, _) = witness(&place, "sh add.sh");
    assert_eq!(same, path, "the same run has the same witness");
    fs::write(place.path("work/n"), "1").expect("another workspace");
    let (other, _) = witness(&place, "sh add.sh");
    assert_eq!(other, path.replace(".json", ".2.json"));
    assert_eq!(fs::read(place.path(&path)).expect("a witness"), first);
    for path in [path, other] {
        assert_eq!(place.cooks(&["replay", &path]).code, Some(1), "{path}");
    }
}

/// Steps count from 1 in the file, in the report and where it is shown.
#[test]
fn steps_count_from_one_everywhere() {
    let place = Place::with(&[("work/add.sh", ADD), ("work/n", "0")]);
    let report = place.explore(1, &["sh add.sh", "sh add.sh"], &["--dir", "work"]);
    let anomaly = &report["anomalies"][0];
    let path = anomaly["witness"].as_str().expect("a path");
    let value: Value =
        serde_json::from_str(&fs::read_to_string(place.path(path)).expect("a witness")).expect("JSON");
    assert_eq!(value["critical"], anomaly["critical"]);
    let shown = place.cooks(&["show", path]);
    assert_eq!(shown.code, Some(0), "{}", shown.stderr);
    for marked in value["anomaly"]["steps"].as_array().expect("a list") {
        let line = format!("{:>7} ► ", marked["step"].as_u64().expect("a number"));
        assert!(shown.stdout.contains(&line), "{line:?} is not in {}", shown.stdout);
    }
    assert!(shown.stdout.ends_with(&format!("replay: cooks replay {path}\n")));
}
