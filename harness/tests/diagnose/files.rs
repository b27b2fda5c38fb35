//! Names of the dead, torn files, writers without a lock, and what dead writers left.

use std::fs;
use std::process::{Command, Stdio};

use cooks_harness::diagnose::{Kind, Severity};

use crate::stage::{Stage, holders, kinds, only, until};

/// The id of a process that is gone.
fn dead() -> i32 {
    let mut child = Command::new("true").stdin(Stdio::null()).spawn().expect("`true` can be run");
    child.wait().expect("it ends");
    i32::try_from(child.id()).expect("a process id")
}

#[test]
fn a_lock_file_that_names_the_dead_is_found_and_told_to_be_free() {
    let pid = dead();
    for note in [format!("{pid}\n"), format!("{{\"pid\": {pid}, \"time\": 1.0}}"), format!("pid: {pid}")] {
        let stage = Stage::with(&[("agent.lock", &note)]);
        let found = stage.diagnosis();
        let finding = only(&found);
        assert_eq!((finding.kind, finding.severity), (Kind::DeadOwner, Severity::Warning));
        assert_eq!((finding.paths[0].as_str(), finding.pids.as_slice()), ("agent.lock", &[pid][..]));
        assert!(finding.summary.contains("holds no lock"), "{}", finding.summary);
        assert_eq!(found.seen.locks, []);

        // Somebody holds it by now, and has not written into it.
        let mut holder = stage.actor("holder");
        holder.does("open agent.lock write");
        holder.does("flock agent.lock exclusive");
        assert_eq!(stage.diagnosis().findings, []);
    }
}

#[test]
fn a_lock_file_that_names_the_living_or_nobody_is_no_finding() {
    let (alive, dead) = (std::process::id(), dead());
    // The line of cooks-core is for people, and stays when the lock is given back.
    for note in
        [format!("{alive}\n"), String::new(), "locked".to_owned(), format!("pid {dead} agent a\n   \n")]
    {
        assert_eq!(Stage::with(&[("agent.lock", &note)]).diagnosis().findings, [], "{note}");
    }
}

#[test]
fn a_torn_file_is_found() {
    let files = [
        ("good.json", "{\"a\": 1}"),
        ("note.txt", "{\"a\": "),
        ("deep/torn.json", "{\"a\": "),
        ("empty.json", ""),
    ];
    let stage = Stage::with(&files);
    let found = stage.diagnosis();
    assert_eq!(kinds(&found), [Kind::TornFile; 2]);
    let [torn, empty] = found.findings.as_slice() else { panic!("two") };
    assert_eq!((torn.paths[0].as_str(), empty.paths[0].as_str()), ("deep/torn.json", "empty.json"));
    assert_eq!((torn.severity, empty.severity), (Severity::Error, Severity::Error));
    assert!(torn.summary.contains("ends in the middle, after 6 bytes"), "{}", torn.summary);

    // With a writer that may be in the middle it is less sure.
    let mut writer = stage.actor("writer");
    writer.does("open deep/torn.json write");
    let found = stage.diagnosis();
    assert_eq!(
        (found.findings[1].severity, found.findings[1].pids.as_slice()),
        (Severity::Warning, &[writer.pid()][..])
    );
    writer.does("write deep/torn.json {\"a\":1}");
    writer.does("close deep/torn.json");
    fs::write(stage.path("empty.json"), "[]").expect("it can be written");
    assert_eq!(stage.diagnosis().findings, []);
}

#[test]
fn a_writer_without_the_lock_is_found() {
    let stage = Stage::with(&[("agent_metadata.json", "{}"), (".metadata.lock", ""), ("log.txt", "")]);
    let mut writer = stage.actor("writer");
    writer.does("open agent_metadata.json read");
    writer.does("open log.txt write");
    assert_eq!(stage.diagnosis().findings, [], "who reads, or writes what has no lock file, needs none");
    writer.does("close agent_metadata.json");
    writer.does("open agent_metadata.json append");
    assert_eq!(stage.diagnosis().findings, [], "who appends overwrites nothing");
    writer.does("close agent_metadata.json");
    writer.does("open agent_metadata.json write");
    let found = stage.diagnosis();
    let finding = only(&found);
    assert_eq!((finding.kind, finding.severity), (Kind::UnlockedWriter, Severity::Warning));
    assert_eq!(
        (finding.paths[0].as_str(), finding.pids.as_slice()),
        ("agent_metadata.json", &[writer.pid()][..])
    );
    assert!(finding.summary.contains("(there is .metadata.lock)"), "{}", finding.summary);

    // The lock of another does not make it right; its own does.
    let mut holder = stage.actor("holder");
    holder.does("open .metadata.lock write");
    holder.does("flock .metadata.lock exclusive");
    assert_eq!(kinds(&stage.diagnosis()), [Kind::UnlockedWriter]);
    writer.does("open .metadata.lock write");
    writer.waits("flock .metadata.lock exclusive");
    assert_eq!(stage.diagnosis().findings, [], "it waits for the lock");
    holder.die();
    until("it to have the lock", || {
        stage.diagnosis().seen.locks.iter().any(|lock| holders(lock) == [writer.pid()])
    });
    assert_eq!(stage.diagnosis().findings, []);
}

#[test]
fn what_dead_writers_left_is_found() {
    let dead = dead();
    let core = format!(".agent_metadata.json.000000000000000000000000000000ab.{dead}.0.tmp");
    let living = format!("agent_metadata.json.tmp.{}", std::process::id());
    let stage = Stage::with(&[
        ("agent_metadata.json", "{}"),
        ("agent_metadata.json.tmp", "{}"),
        ("agent_metadata.tmp", ""),
        ("tmpab12cd34", ""),
        (&core, "{}"),
        (&living, "{}"),
        ("without_target.tmp", ""),
        ("template.json", "{}"),
        ("apart/.tmpAb12Xy", ""),
    ]);
    let found = stage.diagnosis();
    let paths: Vec<&str> = found.findings.iter().map(|finding| finding.paths[0].as_str()).collect();
    assert_eq!(kinds(&found), [Kind::LeftoverTemporary; 4]);
    assert_eq!(paths, [core.as_str(), "agent_metadata.json.tmp", "agent_metadata.tmp", "tmpab12cd34"]);

    // Whoever has it open may still rename it.
    let mut writer = stage.actor("writer");
    writer.does("open agent_metadata.json.tmp write");
    assert_eq!(stage.diagnosis().findings.len(), 3);
}
