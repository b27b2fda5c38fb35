//! What people read where a trace is wide, long or empty.

use expect_test::expect;

use super::{FILE, TRUNCATE, both_leave, check, finding, report};
use crate::model::{Anomaly, Cut, Ending, Gap, GapKind, Kind, ProcessId, Tree, Verdict};
use crate::oracle::testing::{Script, serial_of_two, tree};
use crate::report::{Finding, Report};

/// An agent's part of the incident: its lock, the file read, and on another call written.
fn reads(script: Script, process: usize) -> Script {
    let lock = format!("agent-{}.lock", ProcessId(process).to_string().to_lowercase());
    let number = u32::try_from(process).unwrap();
    script
        .open(process, &lock, "write, create")
        .lock(process, &lock, number)
        .open(process, FILE, "read")
        .call(process, "newfstatat", FILE, "")
        .read(process, FILE, "{}")
}

fn writes(script: Script, process: usize) -> Script {
    let content = format!("{{\"{}\": 1}}", ProcessId(process));
    script.open(process, FILE, TRUNCATE).write(process, FILE, &content).leaves(FILE, &content)
}

/// The incident among so many agents: all read, then all write; the first one's update is lost.
fn incident(processes: usize) -> Report {
    let script = (0..processes).fold(Script::new(processes), reads);
    let script = (0..processes).fold(script, writes);
    let keys: Vec<String> = (0..processes).map(|process| format!("\"{}\": 1", ProcessId(process))).collect();
    let serial = both_leave(processes, &format!("{{{}}}", keys.join(", ")));
    let mut found = finding(script.execution(), &serial, &tree(&[(FILE, "{}")]));
    // As where the last one fails as well: everybody has a part in it.
    found.anomaly.processes = (0..processes).map(ProcessId).collect();
    let commands: Vec<String> =
        (0..processes).map(|process| format!("agent {}", ProcessId(process))).collect();
    let commands: Vec<&str> = commands.iter().map(String::as_str).collect();
    report(Verdict::Anomaly, &commands, vec![found])
}

#[test]
fn three_processes_stand_in_columns_that_overlap() {
    let mut report = incident(3);
    report.basis.gaps.push(Gap {
        kind: GapKind::OutsideWrite,
        processes: vec![ProcessId(0)],
        paths: vec!["/tmp/log".into()],
        detail: "a file that no other process uses".into(),
        hides_races: false,
        accepted: false,
    });
    check(
        &report,
        &expect![[r#"
            anomaly: lost-update

            agent_metadata.json: A's "A" (written at step 17) is gone: B overwrote it at
              step 19 with what it had read at step 10

            step  A: agent A         B: agent B         C: agent C
              2   lock agent-a.lock
              5   read agent_metadata.json: 2 bytes
              7                      lock agent-b.lock
             10 ►                    read agent_metadata.json: 2 bytes
                                     └ reads it before A changes it
             12                                         lock agent-c.lock
             15                                         read agent_metadata.json: 2 bytes
             16   open and empty agent_metadata.json
             17 ► write agent_metadata.json: 8 bytes
                  └ A's change
             18                      open and empty agent_metadata.json
             19 ►                    write agent_metadata.json: 8 bytes
                                     └ overwrites A's change
             20                                         open and empty agent_metadata.json
             21                                         write agent_metadata.json: 8 bytes
                  (not shown: 9 steps that only open or look, or are on other files)

            agent_metadata.json, keys "A" and "B":
              every serial order  1
              here                not there
            (execution 7 of 34, 2 context switches, replayed 3 times)

            34 executions stand for all interleavings (dpor, exhaustive): 30 complete, 4
              blocked in a deadlock. 3 distinct outcomes; the 2 serial runs give 2. 612
              steps in 0.41 s.
            not covered: outside-write: a file that no other process uses: /tmp/log (A);
              cannot hide a race
            replay: cooks replay 'out/lost update-1.json'
        "#]],
    );
}

#[test]
fn of_sixteen_processes_the_letter_tells() {
    check(
        &incident(16),
        &expect![[r#"
            anomaly: lost-update

            agent_metadata.json: A's "A" (written at step 82) is gone: B overwrote it at
              step 84 with what it had read at step 10

            A: agent A
            B: agent B

            step
              5   A read agent_metadata.json: 2 bytes
              7   B lock agent-b.lock
             10 ► B read agent_metadata.json: 2 bytes
                     └ reads it before A changes it
             12   C lock agent-c.lock
             15   C read agent_metadata.json: 2 bytes
             17   D lock agent-d.lock
                  ⋮ 57 steps on agent_metadata.json, …
             75   O read agent_metadata.json: 2 bytes
             77   P lock agent-p.lock
             80   P read agent_metadata.json: 2 bytes
             81   A open and empty agent_metadata.json
             82 ► A write agent_metadata.json: 8 bytes
                     └ A's change
             83   B open and empty agent_metadata.json
             84 ► B write agent_metadata.json: 8 bytes
                     └ overwrites A's change
             85   C open and empty agent_metadata.json
             86   C write agent_metadata.json: 8 bytes
             87   D open and empty agent_metadata.json
             88   D write agent_metadata.json: 8 bytes
             89   E open and empty agent_metadata.json
             90   E write agent_metadata.json: 8 bytes
             91   F open and empty agent_metadata.json
                  ⋮ 21 steps on agent_metadata.json
                  (not shown: 14 steps that only open or look, or are on other files)

            agent_metadata.json, keys "A", "B", "C", "D", "E", "F" and 9 more:
              every serial order  1
              here                not there
            (execution 7 of 34, 2 context switches, replayed 3 times)

            34 executions stand for all interleavings (dpor, exhaustive): 30 complete, 4
              blocked in a deadlock. 3 distinct outcomes; the 2 serial runs give 2. 612
              steps in 0.41 s.
            replay: cooks replay 'out/lost update-1.json'
        "#]],
    );
}

#[test]
fn those_not_concerned_are_left_out() {
    let mut report = incident(5);
    report.anomalies[0].anomaly.processes.clear();
    check(
        &report,
        &expect![[r#"
        anomaly: lost-update

        agent_metadata.json: A's "A" (written at step 27) is gone: B overwrote it at
          step 29 with what it had read at step 10

        step  A: agent A                           B: agent B
          2   lock agent-a.lock
          5   read agent_metadata.json: 2 bytes
          7                                        lock agent-b.lock
         10 ►                                      read agent_metadata.json: 2 bytes
                                                   └ reads it before A changes it
         26   open and empty agent_metadata.json
         27 ► write agent_metadata.json: 8 bytes
              └ A's change
         28                                        open and empty agent_metadata.json
         29 ►                                      write agent_metadata.json: 8 bytes
                                                   └ overwrites A's change
              (not shown: 6 steps that only open or look, or are on other files; the 21
               steps of C, D, E)

        agent_metadata.json, keys "A", "B", "C" and "D":
          every serial order  1
          here                not there
        (execution 7 of 34, 2 context switches, replayed 3 times)

        34 executions stand for all interleavings (dpor, exhaustive): 30 complete, 4
          blocked in a deadlock. 3 distinct outcomes; the 2 serial runs give 2. 612
          steps in 0.41 s.
        replay: cooks replay 'out/lost update-1.json'
    "#]],
    );
}

#[test]
fn long_paths_and_commands_are_cut_in_the_middle_or_wrapped() {
    let path = "var/lib/service/2025/11/20/agents/state/agent_metadata_with_a_long_name.json";
    let script = Script::new(2).read(0, path, "{}").read(1, path, "{}").write(0, path, "{\"a\":1}");
    let script = script.write(1, path, "{\"b\":1}").leaves(path, "{\"b\":1}");
    let both = Script::new(2).leaves(path, "{\"a\":1,\"b\":1}").outcome();
    let serial = serial_of_two(both.clone(), both);
    let found = finding(script.execution(), &serial, &tree(&[(path, "{}")]));
    let command = |agent: &str| {
        format!("python3 /opt/service/releases/2025-11-20/bin/update_agent.py --state {path} --agent {agent}")
    };
    let commands = [command("one"), command("two")];
    check(
        &report(Verdict::Anomaly, &[&commands[0], &commands[1]], vec![found]),
        &expect![[r#"
            anomaly: lost-update

            var/lib/service/2025/11/20/agents/state/agent_metadata_with_a_long_name.json:
              A's "a" (written at step 3) is gone: B overwrote it at step 4 with what it had
              read at step 2

            A: python3 /opt/service/releases/2025-1…tadata_with_a_long_name.json --agent one
            B: python3 /opt/service/releases/2025-1…tadata_with_a_long_name.json --agent two

            step  A                                    B
              1   read agent_met…_name.json: 2 bytes
              2 ►                                      read agent_meta…_name.json: 2 bytes
                                                       └ reads it before A changes it
              3 ► write agent_met…_name.json: 7 bytes
                  └ A's change
              4 ►                                      write agent_meta…_name.json: 7 bytes
                                                       └ overwrites A's change

            var/lib/service/2025/11/20/agents/state/agent_metadata_with_a_long_name.json,
              key "a":
              every serial order  1
              here                not there
            (execution 7 of 34, 2 context switches, replayed 3 times)

            34 executions stand for all interleavings (dpor, exhaustive): 30 complete, 4
              blocked in a deadlock. 3 distinct outcomes; the 2 serial runs give 2. 612
              steps in 0.41 s.
            replay: cooks replay 'out/lost update-1.json'
        "#]],
    );
}

#[test]
fn a_livelock_shows_its_end_with_what_is_done_again_and_again_told_once() {
    let mut script = Script::new(2).lock(0, "l", 1);
    for _ in 0..40 {
        script = script.call(1, "flock", "l", "exclusive, try").error("EWOULDBLOCK");
        script = script.call(1, "flock", "l", "exclusive, try").error("EWOULDBLOCK").read(0, "f", "x");
    }
    let script = script.ending(Ending::Cut(Cut::Steps));
    let found = finding(script.execution(), &both_leave(2, ""), &Tree::new());
    check(
        &report(Verdict::Anomaly, &["a", "b"], vec![found]),
        &expect![[r#"
            anomaly: livelock

            no end after 121 steps: A and B go on

            step  A: a                                 B: b
                  ⋮ 31 steps on f and l
                                                       ⋮ 60 steps on l
             92                                        try to lock l: refused, 2 times
             94   read f: 1 byte
             95                                        try to lock l: refused, 2 times
             97   read f: 1 byte
             98                                        try to lock l: refused, 2 times
            100   read f: 1 byte
            101                                        try to lock l: refused, 2 times
            103   read f: 1 byte
            104                                        try to lock l: refused, 2 times
            106   read f: 1 byte
            107                                        try to lock l: refused, 2 times
            109   read f: 1 byte
            110                                        try to lock l: refused, 2 times
            112   read f: 1 byte
            113                                        try to lock l: refused, 2 times
            115   read f: 1 byte
            116                                        try to lock l: refused, 2 times
            118   read f: 1 byte
            119                                        try to lock l: refused, 2 times
            121   read f: 1 byte

            A goes on with read f (1 bytes at 0): 21 times in the last 61 steps
            B goes on with flock l (exclusive, try): 40 times in the last 61 steps
            (execution 7 of 34, 2 context switches, replayed 3 times)

            34 executions stand for all interleavings (dpor, exhaustive): 30 complete, 4
              blocked in a deadlock. 3 distinct outcomes; the 2 serial runs give 2. 612
              steps in 0.41 s.
            replay: cooks replay 'out/lost update-1.json'
        "#]],
    );
}

#[test]
fn without_steps_there_is_still_a_report() {
    let found = Finding {
        anomaly: Anomaly {
            kind: Kind::CheckFailed,
            summary: "the check fails (exit 1)".into(),
            files: Vec::new(),
            keys: Vec::new(),
            processes: Vec::new(),
            steps: Vec::new(),
            explanation: vec!["the check `false` ends with exit 1".into()],
        },
        critical: Vec::new(),
        shown: Script::new(2).execution(),
        execution: 1,
        context_switches: 0,
        witness: None,
        replayed: 0,
        hits: None,
        stderr: Default::default(),
    };
    check(
        &report(Verdict::Anomaly, &["true", "true"], vec![found]),
        &expect![[r#"
        anomaly: check-failed

        the check fails (exit 1)

        step  A: true                              B: true
              (no steps)

        the check `false` ends with exit 1
        (execution 1 of 34, 0 context switches)

        34 executions stand for all interleavings (dpor, exhaustive): 30 complete, 4
          blocked in a deadlock. 3 distinct outcomes; the 2 serial runs give 2. 612
          steps in 0.41 s.
    "#]],
    );
}
