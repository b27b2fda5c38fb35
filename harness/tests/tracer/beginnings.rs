//! What a tree begins with beside names and contents: hard links, times, owners, attributes, holes, names that are no text. Processes
//! find it so in every execution, whatever the one before has made of it.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::ffi::OsStringExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use cooks_harness::limits::Limits;
use cooks_harness::model::{
    Attribute, Details, Entry, Exit, GapKind, Kind, Outcome, Root, Tree, Verdict, name,
};
use cooks_harness::oracle::Normalize;
use cooks_harness::scenario::{Process, Program as Given, Scenario};
use cooks_harness::session::{Explored, Job, explore, replay};
use cooks_harness::tracer::{EPOCH, Tracer};
use cooks_harness::witness::{compare, parse, to_text};
use cooks_harness::workspace;

use crate::support::{
    InTurn, OneAfterTheOther, execution, files, held, interpreter, printed, python, schedules, shell, tracer,
};

/// What is explored of shell scripts.
fn explored(scripts: &[&str], scenario: Scenario, tree: Tree) -> Explored {
    let given = |script: &&str| Process::from(Given::Command((*script).to_owned()));
    let processes = scripts.iter().map(given).collect();
    let programs = scripts.iter().map(|script| shell(script)).collect();
    let job = Job::new(Scenario { processes, all: true, ..scenario }, programs, tree);
    explore(&job, Limits::default(), &mut (), &mut |_| {}).expect("it can be explored")
}

/// With this `--setup`.
fn set_up(script: &str) -> Scenario {
    Scenario { setup: Some(format!("sh -c '{script}'")), ..Scenario::default() }
}

fn linked() -> Tree {
    let mut tree = files(&[("f", "5\n")]);
    tree.insert("h".into(), Entry::HardLink { to: "f".into() });
    tree
}

const INCREMENT_F: &str = "read x < f; echo $((x+1)) > f";
const INCREMENT_H: &str = "read x < h; echo $((x+1)) > h";

/// Brute force finds 8 outcomes: what each of the two has read, and who wrote last.
#[test]
fn two_names_of_one_file_are_one_file() {
    let programs = [shell(INCREMENT_F), shell(INCREMENT_H)];
    let outcomes = schedules(&programs, &linked()).outcomes;
    for (scenario, tree) in [(Scenario::default(), linked()), (set_up("echo 5 > f; ln f h"), Tree::new())] {
        let found = explored(&[INCREMENT_F, INCREMENT_H], scenario, tree).report;
        assert_eq!(found.verdict(), Verdict::Anomaly);
        let kinds: Vec<Kind> = found.anomalies.iter().map(|found| found.anomaly.kind).collect();
        assert!(kinds.contains(&Kind::LostUpdate), "{kinds:?}");
        assert_eq!(found.distinct_outcomes, outcomes.len() as u64, "{found:?}");
    }
    // Of two files that are alike nothing is lost.
    let found =
        explored(&[INCREMENT_F, INCREMENT_H], Scenario::default(), files(&[("f", "5\n"), ("h", "5\n")]));
    assert_eq!(found.report.verdict(), Verdict::Clean);
}

/// One process links a file, the other one replaces that file: whether the two names are one file is seen in the outcome.
#[test]
fn whether_two_names_are_one_file_is_part_of_the_outcome() {
    let programs = [shell("ln f g"), shell("cp f t; mv t f")];
    let seen = schedules(&programs, &files(&[("f", "x")]));
    let structure = |outcome: &Outcome| outcome.tree.get("g").cloned();
    let seen: BTreeSet<_> = seen.outcomes.iter().map(structure).collect();
    let copy = Entry::File { mode: 0o644, content: b"x".to_vec() };
    assert_eq!(seen, [Some(copy), Some(Entry::HardLink { to: "f".into() })].into());
}

const CLEANED_BY_AGE: &str = "[ -z \"$(find lock -maxdepth 0 -mmin +1)\" ] || rmdir lock
    mkdir lock && { n=$(cat n); echo $((n+1)) > n; rmdir lock; }";

/// Each process alone removes an old lock as stale. If both do so at once, one of them removes the lock that the other has just made.
#[test]
fn an_old_lock_is_found_to_be_old_and_a_new_one_to_be_new() {
    let script = "mkdir lock; echo 0 > n; touch -d 2001-01-01 lock";
    let found = explored(&[CLEANED_BY_AGE, CLEANED_BY_AGE], set_up(script), Tree::new()).report;
    assert_eq!((found.verdict(), found.exhaustive), (Verdict::Anomaly, true));
    // No process removes a lock that was made just now: both fail.
    let programs = [shell(CLEANED_BY_AGE), shell(CLEANED_BY_AGE)];
    let mut fresh = files(&[("n", "0\n")]);
    fresh.insert("lock".into(), Entry::Dir { mode: 0o755 });
    let seen = held("a fresh lock", &programs, &fresh, 1, 0);
    assert!(seen.outcomes.iter().all(|outcome| outcome.exits == [Some(Exit::Status(1)); 2]));
}

/// What a command prints that follows the preparation. It is run twice.
#[track_caller]
fn said_after(setup: &str, script: &str) -> String {
    let programs = [shell(script)];
    let mut tracer =
        Tracer::new(&programs, &[shell(setup)], Tree::new(), Limits::default()).expect("it can trace");
    tracer.reset().expect("it can be laid out");
    assert_eq!(tracer.run_alone(0).expect("it runs").exit, Exit::Status(0), "{setup}");
    tracer.begin_from_here().expect("it can be read");
    let mut say = || printed(&execution(&mut tracer, &mut InTurn), 0).to_owned();
    let first = say();
    assert_eq!(say(), first, "{script}");
    // A tree that was read from JSON, as in a witness, gives the same.
    let text = serde_json::to_string(&tracer.beginning()).expect("JSON");
    let tree: Tree = serde_json::from_str(&text).expect("a tree");
    let mut elsewhere = self::tracer(&programs, tree);
    assert_eq!(printed(&execution(&mut elsewhere, &mut InTurn), 0), first, "{text}");
    first
}

#[test]
fn times_of_the_beginning_are_seen_and_end_with_a_change() {
    let dates = |setup, script| said_after(&format!("export TZ=UTC; {setup}"), script);
    assert_eq!(
        dates("touch -d 2001-01-01 old", "stat -c %Y old; echo x > old; date -d @$(stat -c %Y old) +%Y"),
        "978307200\n2025\n"
    );
    // In the future, too.
    assert_eq!(
        dates(
            "touch -d 2099-01-01 f; mkdir d; touch -d 2099-01-01 d",
            "stat -c %Y f d; echo x > f; : > d/x; date -d @$(stat -c %Y f) +%Y; date -d @$(stat -c %Y d) +%Y"
        ),
        "4070908800\n4070908800\n2025\n2025\n"
    );
    // The clock goes on where the preparation ended: nothing is in the future that was not set so.
    assert_eq!(
        dates(
            ": > a; sleep 100; : > b",
            "touch c; echo $(($(stat -c %Y b) - $(stat -c %Y a))); [ c -nt b ] && echo newer"
        ),
        "100\nnewer\n"
    );
}

/// The workspace directory itself is laid out again, too.
#[test]
fn what_was_done_to_the_workspace_itself_is_gone_in_the_next_execution() {
    let script = "import os
print(oct(os.stat('.').st_mode), os.listxattr('.'), os.stat('.').st_uid == os.geteuid())
os.setxattr('.', 'user.x', b''); os.chmod('.', 0o2700)
if os.geteuid() == 0: os.chown('.', 1, 1)";
    let mut tracer = tracer(&[python(script)], Tree::new());
    for _ in 0..3 {
        assert_eq!(printed(&execution(&mut tracer, &mut InTurn), 0), "0o40755 [] True\n");
    }
    let interpreter = interpreter();
    let setup = format!("{interpreter} -c 'import os; os.setxattr(\".\", \"user.x\", b\"\")'; chmod 700 .");
    let script =
        format!("stat -c %a .; {interpreter} -c 'import os; print(os.listxattr(\".\"))'; chmod 755 .");
    assert_eq!(said_after(&setup, &script), "700\n['user.x']\n");
}

#[test]
fn a_time_that_was_set_is_gone_in_the_next_execution() {
    let mut tracer =
        tracer(&[shell("stat -c %Y f d; touch -d 2099-01-01 f d")], files(&[("f", "x"), ("d", "")]));
    let begins = EPOCH / 1_000_000_000;
    for _ in 0..3 {
        assert_eq!(printed(&execution(&mut tracer, &mut InTurn), 0), format!("{begins}\n{begins}\n"));
    }
}

/// The times of a directory on disk: none is in the future of the processes, and the order stays, and the intervals.
#[test]
fn files_of_a_folder_are_as_old_as_they_are() {
    let folder = tempfile::tempdir().expect("a folder");
    let now = SystemTime::now();
    for (name, age) in [("new", 0), ("older", 10), ("old", 1_000_000)] {
        let file = File::create(folder.path().join(name)).expect("a file");
        file.set_modified(now - Duration::from_secs(age)).expect("a time");
    }
    fs::hard_link(folder.path().join("old"), folder.path().join("z")).expect("a link");
    File::open(folder.path()).and_then(|dir| dir.set_modified(now)).expect("a time");
    let mut tree = workspace::capture(folder.path()).expect("it can be read");
    tree.end_by(EPOCH);
    let script = "n=$(stat -c %Y new); echo $((n-$(stat -c %Y older))) $((n-$(stat -c %Y z)))
        echo $(($(date +%s) - n)); stat -c '%h' old";
    let said = execution(&mut tracer(&[shell(script)], tree), &mut InTurn);
    assert_eq!(printed(&said, 0), "10 1000000\n0\n2\n");
}

/// `--final`, `--check` and `--canon` come after the processes, and see when these changed a file.
#[test]
fn who_looks_at_what_is_left_sees_when_it_was_changed() {
    let tree = || files(&[("source", "old"), ("target", "")]);
    let scripts = ["sleep 2; echo new > source", "true"];
    let check = |what: &str| Scenario { check: Some(format!("sh -c '{what}'")), ..Scenario::default() };
    for (what, verdict) in [
        ("[ source -nt target ]", Verdict::Clean),
        ("[ target -nt source ]", Verdict::Anomaly),
        ("[ $(($(stat -c %Y source) - $(stat -c %Y target))) = 2 ]", Verdict::Clean),
        // The clock is no earlier than the processes left it.
        ("[ $(($(date +%s) - $(stat -c %Y target))) -ge 2 ]", Verdict::Clean),
    ] {
        assert_eq!(explored(&scripts, check(what), tree()).report.verdict(), verdict, "{what}");
    }
    let mut scenario = check("[ seen -nt source ] && [ \"$(cat seen)\" = newer ]");
    scenario.last = Some("sh -c '[ source -nt target ] && echo newer > seen'".into());
    assert_eq!(explored(&scripts, scenario, tree()).report.verdict(), Verdict::Clean);
    let canon = Scenario { canon: Some("find . -newer target".into()), ..Scenario::default() };
    let found = explored(&scripts, canon, tree()).report;
    assert_eq!(found.verdict(), Verdict::Clean);
}

#[test]
fn owners_attributes_and_holes_of_the_beginning_are_seen_and_come_back() {
    let setup = "python3 -c '
import os
open(\"f\", \"w\").write(\"x\")
os.setxattr(\"f\", \"user.note\", b\"one\")
with open(\"s\", \"wb\") as s: s.truncate(1 << 20); s.seek(1 << 19); s.write(b\"data\")
if os.geteuid() == 0: os.chown(\"f\", 1234, 4321); os.chmod(\"f\", 0o4755)
'";
    let look = "python3 -c '
import os
print(os.getxattr(\"f\", \"user.note\"), os.stat(\"f\").st_uid in (1234, os.geteuid()), os.stat(\"s\").st_blocks < 100)
print(os.lseek(os.open(\"s\", os.O_RDONLY), 0, os.SEEK_DATA) == 1 << 19)
os.setxattr(\"f\", \"user.note\", b\"two\"); os.setxattr(\"f\", \"user.more\", b\"\")
open(\"s\", \"r+b\").write(b\"x\" * (1 << 20))
if os.geteuid() == 0: os.chown(\"f\", 1, 1)
'; id -u; stat -c %u f";
    let said = said_after(setup, look);
    assert!(said.starts_with("b'one' True True\nTrue\n"), "{said}");
}

/// Two processes change the same one: which of them was last is seen in the outcome.
#[test]
fn attributes_and_owners_are_part_of_the_outcome() {
    let sets = |value: &str| python(&format!("import os; os.setxattr('f', 'user.a', b'{value}')"));
    let seen = held("attributes", &[sets("one"), sets("two")], &files(&[("f", "x")]), 2, 0);
    let value = |outcome: &Outcome| outcome.tree.details("f").attributes["user.a"].clone();
    let values: BTreeSet<Attribute> = seen.outcomes.iter().map(value).collect();
    assert_eq!(values, ["one", "two"].map(|value| Attribute(value.into())).into());
    if rustix::process::geteuid().is_root() {
        let programs = [shell("chown 1:1 f"), shell("chown 2:2 f")];
        let seen = held("owners", &programs, &files(&[("f", "x")]), 4, 0);
        let owners: BTreeSet<_> = seen.outcomes.iter().map(|it| it.tree.details("f").owner).collect();
        assert_eq!(owners, [Some((1, 1)), Some((2, 2))].into());
    }
}

/// Names that differ only in a byte that is no text are two files; a lost update of one is reported with its name.
#[test]
fn names_that_are_no_text_are_kept() {
    let named = |bytes: &[u8]| name::text(bytes.to_vec());
    let (ff, fe) = (named(b"n\xff"), named(b"n\xfe"));
    let tree = || files(&[(&ff, "5\n"), (&fe, "7\n")]);
    let script = |octal: &str| format!("f=$(printf 'n\\{octal}'); read x < \"$f\"; echo $((x+1)) > \"$f\"");
    let (one, other) = (script("377"), script("376"));
    let apart = explored(&[&one, &other], Scenario::default(), tree());
    assert_eq!(apart.report.verdict(), Verdict::Clean);
    let lost = explored(&[&one, &one], Scenario::default(), tree());
    let [finding, ..] = lost.report.anomalies.as_slice() else { panic!("{:?}", lost.report) };
    assert_eq!(finding.anomaly.files, [ff.as_str()]);
    // In JSON as one character of its own, escaped; read back it is the same name.
    let text = to_text(&lost.witnesses[0]).expect("JSON");
    assert!(text.contains("\"n\\udbfd\\udfff\"") && text.is_ascii(), "{text}");
    let witness = parse(text.as_bytes(), Path::new("w.json")).expect("a witness");
    assert_eq!(witness, lost.witnesses[0]);
    let again = replay(&witness, &[shell(&one), shell(&one)], true, Limits::default()).expect("it runs");
    assert_eq!(again.divergence, None);
    assert_eq!(cooks_harness::report::visible::line(&ff), "n\\xff");
    // A folder with such names.
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join(std::ffi::OsString::from_vec(b"n\xff".to_vec())), "x").expect("a file");
    assert!(workspace::capture(folder.path()).expect("it can be read").contains_key(&ff));
}

/// A recording of an earlier version has two files with the same content where one file has two names. It is one of the same execution.
#[test]
fn a_recording_of_before_says_nothing_of_hard_links() {
    let found = explored(&[INCREMENT_F, INCREMENT_H], Scenario::default(), linked());
    let now = found.witnesses[0].recording.clone();
    let mut before = now.clone();
    (before.whole_tree, before.outcome.tree) = (false, before.outcome.tree.plain());
    let rules = Normalize::new(&[], &[]).expect("no rules");
    let strands = found.witnesses[0].scenario.strands();
    assert_eq!(compare(&before, &now, &rules, strands), None);
    before.whole_tree = true;
    assert!(compare(&before, &now, &rules, strands).is_some());
}

/// What cannot be laid out as it is forbids "clean" if a process looks at it.
#[test]
fn what_could_not_be_laid_out_is_a_gap_if_somebody_meets_it() {
    let tree = || {
        let mut tree = files(&[("f", "5\n"), ("h", "5\n")]);
        tree.insert("d".into(), Entry::Dir { mode: 0o755 });
        tree.insert("d/s".into(), Entry::Other { kind: "socket".into(), mode: 0o755 });
        // Nobody may give a link such an attribute.
        tree.insert("l".into(), Entry::Link { target: "f".into() });
        let attributes = [("user.a".to_owned(), Attribute::default())].into();
        tree.describe("l", Details { attributes, ..Details::default() });
        tree
    };
    for (script, paths) in
        [("true", &[][..]), ("ls d", &["d/s"]), ("[ -e d/s ] || true", &["d/s"]), ("stat -c %a l", &["l"])]
    {
        let found =
            explored(&[INCREMENT_F, &format!("{INCREMENT_H}; {script}")], Scenario::default(), tree());
        let gaps = found.report.basis.gaps.iter().filter(|gap| gap.kind == GapKind::InitialTree);
        let met: Vec<&str> = gaps.flat_map(|gap| gap.paths.iter().map(String::as_str)).collect();
        assert_eq!(met, paths, "{script}");
        let verdict = if paths.is_empty() { Verdict::Clean } else { Verdict::Inconclusive };
        assert_eq!(found.report.verdict(), verdict, "{script}");
    }
}

/// The same of files outside of the workspace, on an overlay.
#[test]
fn what_is_outside_begins_the_same_in_every_execution() {
    let folder = tempfile::tempdir_in("/var/tmp").expect("a folder");
    let (file, python) = (folder.path().join("f").display().to_string(), interpreter());
    fs::write(&file, "x").expect("a file");
    let script = format!(
        "stat -c %Y {file}; touch -d 2099-01-01 {file}; {python} -c 'import os; print(os.listxattr(\"{file}\")); os.setxattr(\"{file}\", \"user.b\", b\"\")'"
    );
    let setup = format!(
        "touch -d 2001-01-01Z {file}; {python} -c 'import os; os.setxattr(\"{file}\", \"user.a\", b\"\")'"
    );
    let mut tracer =
        Tracer::with_root(Root::Overlay, &[shell(&script)], &[shell(&setup)], Tree::new(), Limits::default())
            .expect("it can trace");
    tracer.reset().expect("it can be laid out");
    assert_eq!(tracer.run_alone(0).expect("it runs").exit, Exit::Status(0));
    tracer.begin_from_here().expect("it can be read");
    for _ in 0..3 {
        let execution = execution(&mut tracer, &mut OneAfterTheOther);
        assert_eq!(printed(&execution, 0), "978307200\n['user.a']\n");
        let now = execution.outcome.tree.details(&file).attributes.keys().collect::<Vec<_>>();
        assert_eq!(now, ["user.a", "user.b"]);
    }
}
