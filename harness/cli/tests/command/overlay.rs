//! `--root overlay`: programs that write to `/etc` and to their home are tested unharmed, and what they write there is judged.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::{Place, Run, kinds, number};

/// Reads the file, computes, writes it again: without a lock.
const APPEND: &str = "read x < $HOME/.history; echo $x $0 > $HOME/.history";

/// A place with a home in it.
fn place() -> Place {
    let place = Place::with(&[("home/.history", "begin\n"), ("home/notes/old", "old\n")]);
    fs::set_permissions(place.path(""), fs::Permissions::from_mode(0o755)).expect("a mode");
    place
}

fn arguments<'a>(commands: &'a [&'a str], options: &[&'a str]) -> Vec<&'a str> {
    let processes = commands.iter().flat_map(|command| ["-p", command]);
    let fixed = ["explore", "--root", "overlay", "--format", "json", "--output", "out"];
    fixed.into_iter().chain(processes).chain(options.iter().copied()).collect()
}

/// The command with this home, and without the folders of libraries that tests are run with: they are looked through at each start.
fn at_home(place: &Place, program: &Path, arguments: &[&str]) -> Command {
    let mut command = place.program(program, arguments);
    command.env("HOME", place.path("home")).env("PATH", "/usr/bin:/bin").env_remove("LD_LIBRARY_PATH");
    command
}

fn cooks(place: &Place, arguments: &[&str]) -> Run {
    let program = Path::new(env!("CARGO_BIN_EXE_cooks"));
    Run::of(at_home(place, program, arguments).output().expect("cooks can be run"))
}

#[track_caller]
fn explore(place: &Place, code: i32, commands: &[&str], options: &[&str]) -> Value {
    cooks(place, &arguments(commands, options)).json(code)
}

/// Each anomaly is shown again by its witness.
#[track_caller]
fn replays(place: &Place, report: &Value) {
    for anomaly in report["anomalies"].as_array().expect("a list") {
        let witness = anomaly["witness"].as_str().expect("a path");
        let replayed = cooks(place, &["replay", witness, "--quiet", "--format", "json"]).json(1);
        assert_eq!(replayed["anomalies"][0]["kind"], anomaly["kind"]);
    }
}

fn read(path: impl AsRef<Path>) -> String {
    fs::read_to_string(path).expect("a file")
}

#[test]
fn an_update_of_a_file_at_home_is_lost_and_the_home_stays_as_it_was() {
    let place = place();
    let mounts = read("/proc/self/mountinfo");
    let report = explore(&place, 1, &[APPEND; 2], &["--all"]);
    let history = place.path("home/.history").display().to_string();
    assert!(kinds(&report).contains(&"lost-update"), "{report}");
    assert_eq!(report["anomalies"][0]["files"][0], history.as_str());
    assert_eq!(
        (report["exhaustive"].as_bool(), &report["not_covered"]),
        (Some(true), &Value::Array(Vec::new()))
    );
    assert_eq!(read(place.path("home/.history")), "begin\n");
    assert_eq!(read("/proc/self/mountinfo"), mounts);
    replays(&place, &report);
    assert_eq!(read(place.path("home/.history")), "begin\n");
}

/// The same operations, there and in the workspace: as many executions and outcomes, and the same found.
#[test]
fn what_happens_at_home_is_explored_as_in_the_workspace() {
    let place = place();
    for (first, second) in [
        // An update; a file that was there before removed and made again; renamed; made, listed and made by both; with a mode and a link.
        ("read x < @.history; echo $x $0 > @.history", "read x < @.history; echo $x $0 > @.history"),
        ("rm @.history; echo new > @.history", "cat @.history"),
        ("mv @.history @notes/older", "cat @notes/*"),
        ("echo a > @made; ls @notes; echo b > @notes/made", "ls -A @. @notes"),
        ("mkdir @dir && echo x > @dir/x", "mkdir @dir && echo y > @dir/y"),
        ("ln @.history @link; chmod 600 @link", "stat -c '%a %h' @.history; test -e @link"),
        ("echo more >> @.history", "exec 3< @.history; cat <&3; cat <&3"),
    ] {
        let run = |at: &str, root: &str, directory: &[&str]| {
            let commands = [first.replace('@', at), second.replace('@', at)];
            let options =
                [&["--root", root, "--all", "--aborts", "allow", "--format", "json"], directory].concat();
            let processes = commands.iter().flat_map(|command| ["-p", command.as_str()]);
            let arguments: Vec<&str> = ["explore"].into_iter().chain(options).chain(processes).collect();
            let run = cooks(&place, &arguments);
            run.json(run.code.expect("it ends by itself"))
        };
        let (outside, inside) = (run("$HOME/", "overlay", &[]), run("", "host", &["--dir", "home"]));
        for key in [
            "verdict",
            "exhaustive",
            "executions",
            "complete",
            "redundant",
            "distinct_outcomes",
            "serial_outcomes",
        ] {
            assert_eq!(outside[key], inside[key], "{key}: {first} | {second}: {outside} {inside}");
        }
        assert_eq!(kinds(&outside), kinds(&inside), "{first} | {second}");
        assert_eq!(outside["not_covered"], inside["not_covered"], "{first} | {second}");
    }
    assert_eq!(read(place.path("home/.history")), "begin\n");
    assert_eq!(
        (read(place.path("home/notes/old")), place.path("home/made").exists()),
        ("old\n".into(), false)
    );
}

/// Names made, removed and renamed, modes, directories, links: each execution begins with the machine's files.
#[test]
fn what_an_execution_changes_is_undone_before_the_next() {
    let place = place();
    let all = "cd $HOME && test -f notes/old && ! test -e new && mkdir new && echo x > new/x && chmod 600 .history && \
        rm notes/old && rmdir notes && ln -s new notes && mv .history kept && echo $(cat notes/x kept)";
    let report =
        explore(&place, 0, &[all, "cat $HOME/.history > seen"], &["--aborts", "allow", "--ignore", "seen"]);
    assert!(number(&report, "executions") > 1, "{report}");
    let status = fs::metadata(place.path("home/.history")).expect("it is there");
    assert_eq!(status.permissions().mode() & 0o777, 0o644);
    assert_eq!(
        (read(place.path("home/notes/old")), place.path("home/new").exists()),
        ("old\n".into(), false)
    );
}

/// Files that are in everybody's directory for such, and by chance not there.
#[test]
fn files_in_tmp_are_watched_and_gone_afterwards() {
    let place = place();
    let name = format!("/tmp/cooks-overlay-{}", std::process::id());
    let take = format!("test -e {name} || echo $0 > {name}; cat {name}");
    let report = explore(&place, 1, &[take.as_str(); 2], &["--all"]);
    assert_eq!(report["anomalies"][0]["files"][0], name.as_str());
    assert_eq!((report["exhaustive"].as_bool(), Path::new(&name).exists()), (Some(true), false));
}

/// One that is opened before another process first writes to it shows what was written, as files do.
#[test]
fn who_has_a_file_open_sees_what_is_written_to_it() {
    let place = place();
    // Run one after the other, the first one never writes.
    let writer = "if test -e flag; then echo more >> $HOME/.history; fi";
    let reader = "exec 3< $HOME/.history; touch flag; read c <&3; read d <&3; rm flag; echo $c$d";
    let commands = [writer, reader];
    let report = explore(&place, 1, &commands, &["--all", "--ignore", ".history"]);
    // That it is read with what was added is what no serial order gives.
    assert_eq!(kinds(&report), ["dirty-read"], "{report}");
}

/// Without it what is written there is really written, and told.
#[test]
fn on_the_machine_itself_what_is_written_at_home_is_told() {
    let place = place();
    let arguments = ["explore", "--format", "json", "-p", "echo x > $HOME/new", "-p", "true"];
    let report = cooks(&place, &arguments).json(0);
    let gap = &report["coverage"]["gaps"][0];
    assert_eq!((&gap["kind"], &gap["hides_races"]), (&"outside-write".into(), &false.into()), "{report}");
    assert_eq!(gap["paths"][0], place.path("home/new").display().to_string());
    assert_eq!(read(place.path("home/new")), "x\n");
}

/// What an overlay does otherwise than one file system is told where it may matter.
#[test]
fn what_an_overlay_cannot_do_is_not_covered() {
    let place = place();
    fs::hard_link(place.path("home/.history"), place.path("home/notes/link")).expect("a link");
    let home = place.path("home").display().to_string();
    for (command, told) in [
        (
            "echo x >> $HOME/.history",
            format!("an overlay does not write what other names lead to: {home}/.history"),
        ),
        ("mv $HOME/notes $HOME/other", format!(", which an overlay refuses (EXDEV): {home}/notes")),
    ] {
        let report = explore(&place, 3, &[command, "true"], &["--accept", "persistent-effect"]);
        assert_eq!(report["coverage"]["gaps"][0]["kind"], "overlay", "{report}");
        let not_covered = report["not_covered"].as_array().expect("a list");
        assert!(
            not_covered.iter().any(|it| it.as_str().is_some_and(|text| text.contains(&told))),
            "{report}"
        );
    }
    assert!(place.path("home/notes/old").exists() && !place.path("home/other").exists());
}

/// Interpreters side by side on both cores, each with what it keeps in its cache; executions repeated; each witness replayed.
#[test]
fn programs_that_keep_their_state_in_a_cache_at_home() {
    let place = place();
    let program = "import json, os, sys\n\
        place = os.path.expanduser('~/.cache/tool')\n\
        os.makedirs(place, exist_ok=True)\n\
        file = place + '/state.json'\n\
        state = json.load(open(file)) if os.path.exists(file) else {}\n\
        state[sys.argv[1]] = 1\n\
        json.dump(state, open(file, 'w'))\n";
    fs::write(place.path("tool.py"), program).expect("a file");
    let script = place.path("tool.py").display().to_string();
    let commands = ["alice", "bob"].map(|name| format!("python3 {script} {name}"));
    let options = ["--all", "--jobs", "2", "--verify", "3"];
    let report = explore(&place, 1, &commands.each_ref().map(String::as_str), &options);
    assert_eq!(report["exhaustive"], true, "{report}");
    assert!(kinds(&report).contains(&"lost-update"), "{report}");
    replays(&place, &report);
    assert!(!place.path("home/.cache").exists());
}

/// As a key of a scenario, which the command line may say otherwise.
#[test]
fn a_scenario_may_ask_for_it() {
    let place = place();
    let process = format!("[[process]]\ncommand = '{APPEND}'\n");
    let scenario =
        format!("root = \"overlay\"\nall = true\n{process}{process}[expect]\nverdict = \"anomaly\"\n");
    fs::create_dir(place.path("s")).expect("a folder");
    fs::write(place.path("s/scenario.toml"), scenario).expect("a file");
    let run = |options: &[&str]| cooks(&place, &[&["run", "s", "--format", "json"], options].concat());
    assert!(kinds(&run(&[]).json(0)).contains(&"lost-update"));
    assert_eq!(read(place.path("home/.history")), "begin\n");
    let host = run(&["--root", "host"]);
    assert!(host.stdout.contains("change the same files outside the workspace: "), "{host:?}");
    assert_ne!(read(place.path("home/.history")), "begin\n");
}

/// Who runs free is watched by nobody.
#[test]
fn it_is_not_for_what_runs_free() {
    let place = place();
    let stress = ["stress", "--root", "overlay", "-p", "true", "-p", "true"];
    cooks(&place, &stress).refuses(2, "--root overlay: nobody watches processes that run free");
}

#[test]
fn a_lock_at_home_is_known() {
    let place = place();
    let locked = "exec 9>> $HOME/.lock; flock 9; read x < $HOME/.history; echo $x $0 > $HOME/.history";
    let report = explore(&place, 0, &[locked; 2], &[]);
    assert_eq!(report["exhaustive"], true);
    assert!(!place.path("home/.lock").exists());
}

/// As root: a file of the system. As somebody else it cannot be written, there as here.
#[test]
fn files_of_the_system_are_written_on_the_overlay_alone() {
    let file = Path::new("/etc/cooks-overlay-test");
    assert!(!file.exists(), "{file:?} is left from somewhere");
    let place = place();
    let count = "read x < /etc/cooks-overlay-test; echo $((x+1)) > /etc/cooks-overlay-test";
    let setup = "echo 0 > /etc/cooks-overlay-test && touch /usr/cooks-overlay-test";
    if nix::unistd::geteuid().is_root() {
        let report = explore(&place, 1, &[count; 2], &["--all", "--setup", setup]);
        let lost = |anomaly: &Value| {
            anomaly["kind"] == "lost-update" && anomaly["files"][0] == "/etc/cooks-overlay-test"
        };
        assert!(report["anomalies"].as_array().expect("a list").iter().any(lost), "{report}");
    } else {
        cooks(&place, &arguments(&[count; 2], &["--setup", setup])).refuses(2, "`--setup` fails");
    }
    assert!(!file.exists() && !Path::new("/usr/cooks-overlay-test").exists());
}

/// In a user namespace, where the overlay is put together from parts.
#[test]
fn an_ordinary_user_has_an_overlay_too() {
    if !nix::unistd::geteuid().is_root() {
        return; // Then all the other tests show it.
    }
    let place = place();
    let root = explore(&place, 1, &[APPEND; 2], &["--all"]);
    for path in ["home", "home/.history", ""] {
        nix::unistd::chown(&place.path(path), Some(65_534.into()), Some(65_534.into()))
            .expect("it can be given away");
    }
    fs::remove_dir_all(place.path("out")).expect("the first one's witnesses");
    let copy = place.path("cooks");
    fs::copy(env!("CARGO_BIN_EXE_cooks"), &copy).expect("a copy that everybody may run");
    let mut command = at_home(&place, &copy, &arguments(&[APPEND; 2], &["--all"]));
    command.gid(65_534).uid(65_534);
    let mut user = Run::of(command.output().expect("it can be run")).json(1);
    for key in ["executions", "complete", "steps", "distinct_outcomes", "serial_outcomes"] {
        assert_eq!(user[key].take(), root[key], "{key}");
    }
    assert_eq!(read(place.path("home/.history")), "begin\n");
}
