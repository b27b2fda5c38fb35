//! Golden reports: `UPDATE_EXPECT=1 cargo test` rewrites the expected texts.

use expect_test::{Expect, expect};

use super::{Finding, Report, Style, github, human, json, json_of_many, junit, overview};
use crate::model::{Execution, Kind, Tree, Verdict};
use crate::oracle::testing::{Script, serial_of_two, tree};
use crate::oracle::{Case, SerialOutcomes, judge};
use crate::scenario;

const FILE: &str = "agent_metadata.json";
const TRUNCATE: &str = "write, create, truncate";

fn finding(execution: Execution, serial: &SerialOutcomes, initial: &Tree) -> Finding {
    let case = Case { execution: &execution, serial, initial, commands: &[], check: None };
    let anomaly = judge(&case).unwrap();
    let witness = Some("out/lost update-1.json".to_owned());
    Finding { anomaly, shown: execution, execution: 7, context_switches: 2, witness, replayed: 3 }
}

fn both_leave(processes: usize, content: &str) -> SerialOutcomes {
    let outcome = Script::new(processes).leaves(FILE, content).outcome();
    serial_of_two(outcome.clone(), outcome)
}

fn report(verdict: Verdict, commands: &[&str], anomalies: Vec<Finding>) -> Report {
    Report {
        scenario: "two-agents".into(),
        verdict,
        exhaustive: verdict != Verdict::Inconclusive,
        not_covered: Vec::new(),
        strategy: "dpor".into(),
        seed: 0,
        commands: commands.iter().map(|command| (*command).to_owned()).collect(),
        executions: 34,
        complete: 30,
        blocked: 4,
        redundant: 0,
        serial_runs: 2,
        distinct_outcomes: 3,
        serial_outcomes: 2,
        steps: 612,
        elapsed_s: 0.412,
        anomalies,
        expected: None,
    }
}

fn lost_update() -> Report {
    let script = Script::new(2)
        .lock(0, "a.lock", 9)
        .open(0, FILE, "read")
        .read(0, FILE, "{}")
        .lock(1, "b.lock", 8)
        .open(1, FILE, "read")
        .read(1, FILE, "{}")
        .open(1, FILE, TRUNCATE)
        .write(1, FILE, "{\"agent-b\": 1}")
        .call(1, "fsync", FILE, "")
        .open(0, FILE, TRUNCATE)
        .write(0, FILE, "{\"agent-a\": 1}")
        .leaves(FILE, "{\"agent-a\": 1}");
    let serial = both_leave(2, "{\"agent-b\": 1, \"agent-a\": 1}");
    let found = finding(script.execution(), &serial, &tree(&[(FILE, "{}")]));
    report(Verdict::Anomaly, &["python3 agent.py a", "python3 agent.py b"], vec![found])
}

fn text(report: &Report, style: Style) -> String {
    let mut out = Vec::new();
    human(report, &style, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn check(report: &Report, expected: &Expect) {
    let text = text(report, Style::default());
    assert_eq!(text.lines().filter(|line| line.chars().count() > 80).count(), 0, "{text}");
    expected.assert_eq(&text);
}

#[test]
fn an_anomaly_of_two_processes() {
    check(
        &lost_update(),
        &expect![[r#"
            anomaly: lost-update

            agent_metadata.json: B's "agent-b" (written at step 8) is gone: A overwrote it
              at step 11 with what it had read at step 3

            step   A: python3 agent.py a               B: python3 agent.py b
               1   lock a.lock exclusively
               2   open agent_metadata.json to read
               3 ► read agent_metadata.json: 2 bytes
                   └ reads the file before B changes
                     it
               4                                       lock b.lock exclusively
               5                                       open agent_metadata.json to read
               6                                       read agent_metadata.json: 2 bytes
               7                                       open agent_metadata.json for
                                                         writing, emptied
               8 ►                                     write agent_metadata.json: 14
                                                         bytes
                                                       └ B's change
               9                                       flush to disk agent_metadata.json
              10   open agent_metadata.json for
                     writing, emptied
              11 ► write agent_metadata.json: 14
                     bytes
                   └ overwrites B's change

            every serial order gives: agent_metadata.json "agent-b": 1
            this one gives: agent_metadata.json "agent-b": nothing
            (found in execution 7, 2 context switches, replayed 3 times)

            34 executions (30 complete, 4 blocked), 2 serial runs, 3 distinct outcomes (2
              serial), 612 steps, 0.41 s, dpor, exhaustive
            replay: cooks replay 'out/lost update-1.json'
        "#]],
    );
}

#[test]
fn a_deadlock_with_those_who_wait() {
    let script = Script::new(2).lock(0, "a.lock", 1).lock(1, "b.lock", 2).waits(0, "b.lock", 2, &[1]).waits(
        1,
        "a.lock",
        1,
        &[0],
    );
    let found = finding(script.execution(), &both_leave(2, ""), &Tree::new());
    check(
        &report(Verdict::Anomaly, &["a", "b"], vec![found]),
        &expect![[r#"
        anomaly: deadlock

        A waits for b.lock held by B, B waits for a.lock held by A

        step   A: a                                B: b
           1 ► lock a.lock exclusively
               └ takes a.lock, which B comes to
                 wait for
           2 ►                                     lock b.lock exclusively
                                                   └ takes b.lock, which A comes to
                                                     wait for
               waits: lock b.lock exclusively
                                                   waits: lock a.lock exclusively

        A waits for b.lock, held by B (since step 2)
        B waits for a.lock, held by A (since step 1)
        (found in execution 7, 2 context switches, replayed 3 times)

        34 executions (30 complete, 4 blocked), 2 serial runs, 3 distinct outcomes (2
          serial), 612 steps, 0.41 s, dpor, exhaustive
        replay: cooks replay 'out/lost update-1.json'
    "#]],
    );
}

#[test]
fn three_processes_have_narrow_columns_and_a_long_trace_is_cut() {
    let mut script = Script::new(3);
    for process in (0..30).map(|step| step % 3) {
        script = script.read(process, FILE, "{}").open(process, ".metadata.lock", "read+write, create");
    }
    let script = script.write(1, FILE, "{\"b\": 1}").write(2, FILE, "{\"c\": 1}").leaves(FILE, "{\"c\": 1}");
    let found = finding(script.execution(), &both_leave(3, "{\"b\":1,\"c\":1}"), &tree(&[(FILE, "{}")]));
    let mut report = report(Verdict::Anomaly, &["agent a", "agent b", "agent c"], vec![found]);
    report.not_covered.push("a process wrote outside the workspace: /tmp/log".into());
    check(
        &report,
        &expect![[r#"
            anomaly: lost-update

            agent_metadata.json: B's "b" (written at step 61) is gone: C overwrote it at
              step 62 with what it had read at step 59

            step   A: agent a              B: agent b              C: agent c
               1   read
                     agent_metadata.json:
                     2 bytes
               2   open .metadata.lock to
                     read and write, made
                     if missing
               3                           read
                                             agent_metadata.json:
                                             2 bytes
                   ⋮ 52 more
              56   open .metadata.lock to
                     read and write, made
                     if missing
              57                           read
                                             agent_metadata.json:
                                             2 bytes
              58                           open .metadata.lock to
                                             read and write, made
                                             if missing
              59 ►                                                 read
                                                                     agent_metadata.json:
                                                                     2 bytes
                                                                   └ reads the file
                                                                     before B changes it
              60                                                   open .metadata.lock to
                                                                     read and write, made
                                                                     if missing
              61 ►                         write
                                             agent_metadata.json:
                                             8 bytes
                                           └ B's change
              62 ►                                                 write
                                                                     agent_metadata.json:
                                                                     8 bytes
                                                                   └ overwrites B's
                                                                     change

            every serial order gives: agent_metadata.json "b": 1
            this one gives: agent_metadata.json "b": nothing
            (found in execution 7, 2 context switches, replayed 3 times)

            34 executions (30 complete, 4 blocked), 2 serial runs, 3 distinct outcomes (2
              serial), 612 steps, 0.41 s, dpor, exhaustive
            not covered: a process wrote outside the workspace: /tmp/log
            replay: cooks replay 'out/lost update-1.json'
        "#]],
    );
}

#[test]
fn many_processes_show_those_concerned() {
    let script = Script::new(5).read(0, FILE, "{}").read(4, FILE, "{}").read(2, FILE, "{}");
    let script = script.write(4, FILE, "{\"e\":1}").write(0, FILE, "{\"a\":1}").leaves(FILE, "{\"a\":1}");
    let found = finding(script.execution(), &both_leave(5, "{\"a\":1,\"e\":1}"), &tree(&[(FILE, "{}")]));
    let mut report =
        report(Verdict::Anomaly, &["agent a", "agent b", "agent c", "agent d", "agent e"], vec![found]);
    check(
        &report,
        &expect![[r#"
            anomaly: lost-update

            agent_metadata.json: E's "e" (written at step 4) is gone: A overwrote it at step
              5 with what it had read at step 1

            step   A: agent a                          E: agent e
               1 ► read agent_metadata.json: 2 bytes
                   └ reads the file before E changes
                     it
               2                                       read agent_metadata.json: 2 bytes
               4 ►                                     write agent_metadata.json: 7 bytes
                                                       └ E's change
               5 ► write agent_metadata.json: 7 bytes
                   └ overwrites E's change
                   (the steps of B, C, D are left out)

            every serial order gives: agent_metadata.json "e": 1
            this one gives: agent_metadata.json "e": nothing
            (found in execution 7, 2 context switches, replayed 3 times)

            34 executions (30 complete, 4 blocked), 2 serial runs, 3 distinct outcomes (2
              serial), 612 steps, 0.41 s, dpor, exhaustive
            replay: cooks replay 'out/lost update-1.json'
        "#]],
    );
    // All of them concerned: no columns any more.
    report.anomalies[0].anomaly.processes = (0..5).map(crate::model::ProcessId).collect();
    check(
        &report,
        &expect![[r#"
            anomaly: lost-update

            agent_metadata.json: E's "e" (written at step 4) is gone: A overwrote it at step
              5 with what it had read at step 1

            step
               1 ► A read agent_metadata.json: 2 bytes
                   └ reads the file before E changes it
               2   E read agent_metadata.json: 2 bytes
               3   C read agent_metadata.json: 2 bytes
               4 ► E write agent_metadata.json: 7 bytes
                   └ E's change
               5 ► A write agent_metadata.json: 7 bytes
                   └ overwrites E's change

            every serial order gives: agent_metadata.json "e": 1
            this one gives: agent_metadata.json "e": nothing
            (found in execution 7, 2 context switches, replayed 3 times)

            34 executions (30 complete, 4 blocked), 2 serial runs, 3 distinct outcomes (2
              serial), 612 steps, 0.41 s, dpor, exhaustive
            replay: cooks replay 'out/lost update-1.json'
        "#]],
    );
}

#[test]
fn clean_and_inconclusive() {
    let mut clean = report(Verdict::Clean, &["a", "b"], Vec::new());
    (clean.executions, clean.complete, clean.blocked) = (2, 2, 0);
    check(
        &clean,
        &expect![[r#"
        clean: every interleaving of A and B was tried (2 complete executions,
          exhaustive), and each outcome is one that a serial order gives

        2 executions (2 complete), 2 serial runs, 3 distinct outcomes (2 serial), 612
          steps, 0.41 s, dpor, exhaustive
    "#]],
    );
    let mut open = report(Verdict::Inconclusive, &["a", "b", "c", "d"], Vec::new());
    (open.strategy, open.seed) = ("random".into(), 42);
    open.not_covered = vec!["the search was ended after 34 executions".into()];
    check(
        &open,
        &expect![[r#"
        inconclusive: nothing found in 34 executions, but not every interleaving of A to
          D was tried

        34 executions (30 complete, 4 blocked), 2 serial runs, 3 distinct outcomes (2
          serial), 612 steps, 0.41 s, random with seed 42
        not covered: the search was ended after 34 executions
    "#]],
    );
}

#[test]
fn colour_only_where_it_is_asked_for() {
    let report = lost_update();
    assert!(!text(&report, Style::default()).contains('\x1b'));
    let colored = text(&report, Style { color: true, ..Style::default() });
    assert!(colored.starts_with("\x1b[1;31manomaly: lost-update\x1b[0m\n"), "{colored}");
    let mut plain = colored;
    for code in ["\x1b[1;31m", "\x1b[1;33m", "\x1b[2m", "\x1b[0m"] {
        plain = plain.replace(code, "");
    }
    assert_eq!(plain, text(&report, Style::default()));
}

fn expected(verdict: Verdict, kinds: &[Kind], complete: Option<u64>) -> Option<scenario::Expect> {
    Some(scenario::Expect { verdict, kinds: kinds.to_vec(), complete, blocked: None })
}

#[test]
fn the_object_for_programs() {
    let mut out = Vec::new();
    json(&lost_update(), &mut out).unwrap();
    expect![[r#"
        {
          "format": 1,
          "scenario": "two-agents",
          "verdict": "anomaly",
          "exhaustive": true,
          "not_covered": [],
          "strategy": "dpor",
          "seed": 0,
          "processes": 2,
          "executions": 34,
          "complete": 30,
          "blocked": 4,
          "redundant": 0,
          "serial_runs": 2,
          "distinct_outcomes": 3,
          "serial_outcomes": 2,
          "steps": 612,
          "elapsed_s": 0.412,
          "anomalies": [
            {
              "kind": "lost-update",
              "summary": "agent_metadata.json: B's \"agent-b\" (written at step 8) is gone: A overwrote it at step 11 with what it had read at step 3",
              "files": [
                "agent_metadata.json"
              ],
              "keys": [
                "agent-b"
              ],
              "processes": [
                "A",
                "B"
              ],
              "execution": 7,
              "context_switches": 2,
              "witness": "out/lost update-1.json",
              "replayed": 3
            }
          ]
        }
    "#]].assert_eq(&String::from_utf8(out).unwrap());
}

#[test]
fn several_scenarios_are_held_to_what_is_expected() {
    let mut reports = [lost_update(), lost_update(), report(Verdict::Inconclusive, &["a"], Vec::new())];
    reports[0].expected = expected(Verdict::Anomaly, &[Kind::LostUpdate], Some(30));
    reports[1].expected = expected(Verdict::Clean, &[Kind::TornFile], Some(29));
    reports[2].expected = expected(Verdict::Inconclusive, &[], Some(30));
    reports[2].scenario = "x".into();
    let mut out = Vec::new();
    overview(&reports, &Style::default(), &mut out).unwrap();
    expect![[r#"
        ok   two-agents  anomaly (lost-update), 34 executions
        FAIL two-agents  anomaly (lost-update), 34 executions
               the verdict is anomaly, expected clean
               no torn-file was found
               lost-update was found, which is not expected
               30 complete executions, expected 29
        FAIL x           inconclusive, 34 executions
               30 complete executions are expected of an exhaustive search, and this one was not
        3 scenarios, 2 not as expected
    "#]]
    .assert_eq(&String::from_utf8(out).unwrap());
    let mut out = Vec::new();
    json_of_many(&reports, &mut out).unwrap();
    let object: serde_json::Value = serde_json::from_slice(&out).unwrap();
    let verdicts: Vec<_> =
        object["scenarios"].as_array().unwrap().iter().map(|s| &s["as_expected"]).collect();
    assert_eq!(verdicts, [true, false, false]);
    assert_eq!(object["scenarios"][0]["expected"]["kinds"][0], "lost-update");
    let as_expected = text(&reports[1], Style::default());
    assert!(
        as_expected.contains("\nnot as expected: the verdict is anomaly, expected clean\n"),
        "{as_expected}"
    );
}

#[test]
fn reports_for_continuous_integration() {
    let mut reports = [
        lost_update(),
        lost_update(),
        report(Verdict::Clean, &["a", "b"], Vec::new()),
        report(Verdict::Inconclusive, &["a", "b"], Vec::new()),
    ];
    reports[1].expected = expected(Verdict::Anomaly, &[Kind::LostUpdate], None);
    let shown = |write: &dyn Fn(&mut Vec<u8>)| {
        let mut out = Vec::new();
        write(&mut out);
        let text = String::from_utf8(out).unwrap();
        // The reports for people in them have tests of their own.
        let line = |line: &str| line.chars().take(150).collect::<String>() + "\n";
        text.lines().filter(|line| line.contains("<") || line.starts_with("::")).map(line).collect::<String>()
    };
    expect![[r#"
        <?xml version="1.0" encoding="UTF-8"?>
        <testsuite name="cooks" tests="4" failures="1" skipped="1" time="1.648">
          <testcase classname="cooks" name="two-agents" time="0.412">
            <failure type="anomaly" message="lost-update: agent_metadata.json: B's &quot;agent-b&quot; (written at step 8) is gone: A overwrote it at step 11 
        </failure>
          </testcase>
          <testcase classname="cooks" name="two-agents" time="0.412"/>
          <testcase classname="cooks" name="two-agents" time="0.412"/>
          <testcase classname="cooks" name="two-agents" time="0.412">
            <skipped message="inconclusive"/>
          </testcase>
        </testsuite>
    "#]].assert_eq(&shown(&|out| junit(&reports, out).unwrap()));
    expect![[r#"
        ::error title=cooks%3A two-agents%3A anomaly::anomaly: lost-update%0A%0Aagent_metadata.json: B's "agent-b" (written at step 8) is gone: A overwrote it
        ::notice title=cooks%3A two-agents%3A as it should be::anomaly: lost-update%0A%0Aagent_metadata.json: B's "agent-b" (written at step 8) is gone: A ove
        ::notice title=cooks%3A two-agents%3A as it should be::clean: every interleaving of A and B was tried (30 complete executions,%0A  exhaustive), and ea
        ::warning title=cooks%3A two-agents%3A inconclusive::inconclusive: nothing found in 34 executions, but not every interleaving of A%0A  and B was tried
    "#]].assert_eq(&shown(&|out| github(&reports, out).unwrap()));
}
