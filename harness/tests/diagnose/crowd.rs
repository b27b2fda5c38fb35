//! Many: servers of the same command; 200 lock files with 50 processes.

use std::collections::BTreeSet;

use cooks_harness::diagnose::{Kind, Severity};

use crate::stage::{Actor, Stage, holders, kinds, only};

#[test]
fn several_servers_of_the_same_command_are_found() {
    let stage = Stage::with(&[("agent_metadata.json", "{}")]);
    let mut servers = [(); 3].map(|()| stage.actor("mcp"));
    let mut other = stage.actor("another");
    for server in servers.iter_mut().chain([&mut other]) {
        server.does("open agent_metadata.json read");
    }
    let found = stage.diagnosis();
    let finding = only(&found);
    let mut pids = servers.each_ref().map(Actor::pid);
    pids.sort_unstable();
    assert_eq!((finding.kind, finding.severity), (Kind::TooManyServers, Severity::Warning));
    assert_eq!(
        (finding.pids.as_slice(), finding.paths.as_slice()),
        (&pids[..], &["agent_metadata.json".to_owned()][..])
    );

    // A server with its own child is one.
    let [mut first, second, third] = servers;
    drop((second, third));
    first.does("fork");
    assert_eq!(stage.diagnosis().findings, []);
}

/// 200 lock files, 50 processes that hold four each; among them one that is stopped, one whose file is removed, and one that waits.
#[test]
fn a_crowd_is_seen_in_full() {
    let stage = Stage::with(&[]);
    let mut crowd: Vec<Actor> = (0..50).map(|number| stage.actor(&format!("agent-{number}"))).collect();
    for (number, actor) in crowd.iter_mut().enumerate() {
        for file in 0..4 {
            actor.does(&format!("open {number:02}-{file}.lock write"));
            actor.does(&format!("flock {number:02}-{file}.lock exclusive"));
        }
    }
    let found = stage.diagnosis();
    assert_eq!(found.findings, []);
    assert_eq!((found.seen.files.len(), found.seen.locks.len()), (200, 200));
    let open = found.seen.processes.values().filter(|process| !process.open.is_empty());
    assert_eq!(open.map(|process| process.open.len()).collect::<Vec<_>>(), [4; 50]);
    let pids: BTreeSet<i32> = crowd.iter().map(Actor::pid).collect();
    assert_eq!(found.seen.locks.iter().flat_map(holders).collect::<BTreeSet<_>>(), pids);
    for (number, locks) in found.seen.locks.chunks(4).enumerate() {
        assert!(locks.iter().all(|lock| holders(lock) == [crowd[number].pid()]), "{locks:?}");
    }

    crowd[7].stop();
    std::fs::remove_file(stage.path("11-0.lock")).expect("it can be removed");
    crowd[20].does("open 21-3.lock write");
    crowd[20].waits("flock 21-3.lock exclusive");
    let found = stage.diagnosis();
    let mut expected = vec![Kind::UnlinkedLock];
    expected.extend([Kind::StoppedHolder; 4]);
    assert_eq!(kinds(&found), expected);
    assert_eq!(found.findings[0].paths, ["11-0.lock"]);
    let stopped: Vec<&str> = found.findings[1..].iter().map(|finding| finding.paths[0].as_str()).collect();
    assert_eq!(stopped, ["07-0.lock", "07-1.lock", "07-2.lock", "07-3.lock"]);
    assert_eq!((found.seen.files.len(), found.seen.locks.len()), (199, 200));
}
