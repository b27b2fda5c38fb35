//! One function says "clean". For each of its conditions: real processes that it alone keeps from being called clean, and the same
//! without the condition, which then are.

mod checks;

use std::sync::Arc;

use cooks_harness::limits::staged::{Staged, Then};
use cooks_harness::limits::{Limits, Phase};
use cooks_harness::model::{End, GapKind, Tree, Verdict};
use cooks_harness::report::Report;
use cooks_harness::scenario::{Process, Program as Given, Scenario};
use cooks_harness::session::{Job, explore};
use cooks_harness::tracer::Program;
use cooks_harness::verdict::{Because, GateFault, trust};

/// A job of these commands, each run by a shell.
fn job(commands: &[&str], scenario: Scenario) -> Job {
    let shell = |command: &&str| Program::Command(vec!["sh".into(), "-c".into(), (*command).to_owned()]);
    let given = |command: &&str| Process::from(Given::Command((*command).to_owned()));
    let processes = commands.iter().map(given).collect();
    Job::new(Scenario { processes, ..scenario }, commands.iter().map(shell).collect(), Tree::new())
}

fn report(job: &Job, limits: impl Into<Limits>) -> Report {
    explore(job, limits, &mut (), &mut |_| {}).expect("it can be explored").report
}

/// What the job comes to with the condition and without it; the reasons in words.
#[track_caller]
fn without(mut job: Job, fault: GateFault, word: &str) {
    let words = |report: &Report| report.conclusion.because().iter().map(Because::word).collect::<Vec<_>>();
    let whole = report(&job, Limits::default());
    assert_eq!((whole.verdict(), words(&whole)), (Verdict::Inconclusive, vec![word]), "{:?}", whole.basis);
    job.gate_fault = Some(fault);
    let less = report(&job, Limits::default());
    assert_eq!((less.verdict(), words(&less)), (Verdict::Clean, vec![]), "{:?}", less.basis);
}

/// A folder outside the workspace.
fn outside() -> tempfile::TempDir {
    tempfile::tempdir_in("/var/tmp").expect("a folder")
}

#[test]
fn a_process_that_succeeds_in_no_serial_order() {
    let job = job(&["echo 1 > f", "cat no-such-file"], Scenario::default());
    let found = report(&job, Limits::default());
    let [failure] = found.basis.serial_failures.as_slice() else { panic!("{:?}", found.basis) };
    assert_eq!((failure.process.0, failure.status.as_str()), (1, "exit 1"));
    assert!(failure.stderr.contains("no-such-file"), "{failure:?}");
    without(job, GateFault::SerialFailure, "serial-failure");
}

#[test]
fn a_process_that_may_fail() {
    let mut job = job(&["echo 1 > f", "cat no-such-file"], Scenario::default());
    job.scenario.processes[1].may_fail = true;
    assert_eq!(report(&job, Limits::default()).verdict(), Verdict::Clean);
}

#[test]
fn a_gap_that_can_hide_a_race_unless_it_is_accepted() {
    let folder = outside();
    let file = folder.path().join("n").display().to_string();
    std::fs::write(&file, "0").expect("a file");
    let counts = format!("n=$(cat {file}); echo $((n + 1)) > {file}");
    let mut job = job(&[&counts, &counts], Scenario::default());
    let found = report(&job, Limits::default());
    let gap = found.basis.gaps.iter().find(|gap| gap.kind == GapKind::OutsideWrite).expect("a gap");
    assert_eq!((gap.paths.as_slice(), gap.hides_races), ([file.clone()].as_slice(), true));
    job.scenario.accept = vec![format!("outside-write:{file}"), "persistent-effect".into(), "network".into()];
    let accepted = report(&job, Limits::default());
    assert_eq!((accepted.verdict(), accepted.basis.unmatched), (Verdict::Clean, vec!["network".to_owned()]));
    job.scenario.accept.clear();
    without(job, GateFault::Coverage, "coverage");
}

/// The first execution makes a file that all later ones read.
#[test]
fn what_stays_from_one_execution_to_the_next() {
    let folder = outside();
    let file = folder.path().join("cache").display().to_string();
    let fills = format!("[ -e {file} ] || echo x > {file}; echo 1 > f");
    let job = job(&[&fills, "true"], Scenario::default());
    let found = report(&job, Limits::default());
    assert_eq!(found.verdict(), Verdict::Inconclusive);
    let kinds: Vec<GapKind> =
        found.basis.gaps.iter().filter(|gap| gap.hides_races).map(|gap| gap.kind).collect();
    assert_eq!(kinds, [GapKind::PersistentEffect], "{:?}", found.basis.gaps);
}

#[test]
fn a_file_outside_that_no_other_process_touches_is_listed_only() {
    let folder = outside();
    let log = folder.path().join("log").display().to_string();
    // If it were not there, the first execution would make it, and each later one would find it.
    std::fs::write(&log, "x\n").expect("a file");
    let found = report(
        &job(&[&format!("echo x > {log}; echo 1 > f"), "cat f || true"], Scenario::default()),
        Limits::default(),
    );
    assert_eq!(found.verdict(), Verdict::Clean, "{:?}", found.basis.gaps);
    let gaps: Vec<_> =
        found.basis.gaps.iter().map(|gap| (gap.kind, gap.hides_races, gap.paths.clone())).collect();
    assert_eq!(gaps, [(GapKind::OutsideWrite, false, vec![log])]);
}

#[test]
fn a_bound_that_ends_the_search() {
    let appends = "echo x >> f; echo y >> f";
    let unordered = vec!["f".to_owned()];
    let scenario = Scenario { max_executions: Some(1), unordered, ..Scenario::default() };
    without(job(&[appends, appends], scenario), GateFault::Bound, "max-executions");
}

#[test]
fn a_serial_order_that_a_bound_cuts() {
    let many = "for i in 1 2 3 4 5 6 7 8 9; do echo $i > f; done";
    // Alone it has too many steps; if the other one has made `f` a directory, it ends at its first.
    let first = format!("[ -d g ] || {{ {many}; }}");
    let scenario = Scenario { max_steps: Some(12), preemptions: Some(0), ..Scenario::default() };
    let found = report(&job(&[&first, "mkdir g"], scenario), Limits::default());
    let Some((End::MaxSteps, what)) = &found.basis.unfinished else { panic!("{:?}", found.basis) };
    assert!(what.starts_with("the serial order A, … did not finish"), "{what}");
    let words: Vec<&str> = found.conclusion.because().iter().map(Because::word).collect();
    assert_eq!(words.first(), Some(&"max-steps"));
    assert_ne!(found.verdict(), Verdict::Clean);
}

#[test]
fn commands_that_share_nothing_are_said_to() {
    let found = report(&job(&["touch a", "touch b"], Scenario::default()), Limits::default());
    assert_eq!((found.verdict(), found.basis.conflicts), (Verdict::Clean, Some(0)));
    assert_eq!(
        first_line(&found),
        "clean, but these commands share nothing that changes: A writes a; B writes b"
    );
    let found = report(&job(&["echo 1 > a", "cat a || true"], Scenario::default()), Limits::default());
    assert_ne!(found.basis.conflicts, Some(0));
}

#[test]
fn an_outcome_that_leaves_everything_out_is_said_to() {
    let loses = "n=$(cat n || echo 0); echo $((n + 1)) > n";
    let ignore = vec!["*".to_owned()];
    let found = report(&job(&[loses, loses], Scenario { ignore, ..Scenario::default() }), Limits::default());
    assert_eq!((found.verdict(), found.basis.nothing_compared), (Verdict::Clean, true));
    assert!(first_line(&found).starts_with("clean, but nothing is compared: "), "{}", first_line(&found));
    let ignore = vec!["m*".to_owned()];
    let found = report(&job(&[loses, loses], Scenario { ignore, ..Scenario::default() }), Limits::default());
    assert_eq!((found.verdict(), found.basis.nothing_compared), (Verdict::Anomaly, false));
}

/// What a process does in several threads is explored in one order: the verdict says so.
#[test]
fn the_order_of_threads_is_a_part_of_the_verdict() {
    let threads = "python3 -c 'import threading; t = threading.Thread(target=lambda: None); t.start(); t.join()'; echo 1 > f";
    let found = report(&job(&[threads, "cat f || true"], Scenario::default()), Limits::default());
    assert_eq!(found.verdict(), Verdict::Clean, "{:?}", found.basis.gaps);
    let line = first_line(&found);
    assert!(line.ends_with("(threads and children of A in one order)"), "{line}");
}

fn first_line(report: &Report) -> String {
    let mut text = Vec::new();
    cooks_harness::report::verdict(report, &Default::default(), &mut text).expect("it can be written");
    String::from_utf8(text).expect("text").split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Interrupted after so many events, whatever was done until then is no "clean".
#[test]
fn an_interruption() {
    let job = job(&["echo 1 > f", "echo 1 > f"], Scenario::default());
    for event in [1, 3, 9] {
        let clock = Arc::new(Staged::at(Phase::Search, event, Then::Stop));
        let ended = explore(&job, Limits::with_clock(Arc::default(), clock), &mut (), &mut |_| {});
        if let Ok(explored) = ended {
            assert_ne!(explored.report.verdict(), Verdict::Clean, "at event {event}");
            assert_eq!(explored.report.end, End::Interrupted, "at event {event}");
        }
    }
}

/// The README's tables are made from the code.
#[test]
fn the_readme_has_the_tables() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md");
    let mut readme = std::fs::read_to_string(path).expect("the README");
    let before = readme.clone();
    for (name, table) in [("gaps", trust::table_of_gaps()), ("trust", trust::table_of_trust())] {
        let (begin, end) = (format!("<!-- begin table: {name} -->\n"), format!("<!-- end table: {name} -->"));
        let from = readme.find(&begin).unwrap_or_else(|| panic!("no table of {name}")) + begin.len();
        let to = from + readme[from..].find(&end).expect("its end");
        readme.replace_range(from..to, &table);
    }
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(path, &readme).expect("the README can be written");
    } else {
        assert_eq!(
            readme, before,
            "UPDATE_EXPECT=1 cargo test -p cooks-harness --test gate rewrites the tables"
        );
    }
}
