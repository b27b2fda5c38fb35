//! Golden reports: `UPDATE_EXPECT=1 cargo test` rewrites the expected texts.

mod people;
mod real;
mod shapes;

use std::io::{self, Write};

use expect_test::{Expect, expect};

use super::{
    Basis, Broken, End, Finding, Ran, Report, Style, Suite, github, human, json, json_of_suite, junit, table,
    verdict,
};
use crate::model::{Execution, Kind, Tree, Verdict};
use crate::oracle::testing::{Script, serial_of_two, tree};
use crate::oracle::{Case, SerialOutcomes, judge};
use crate::scenario;
use crate::verdict::conclude;

const FILE: &str = "agent_metadata.json";
const TRUNCATE: &str = "write, create, truncate";

fn finding(execution: Execution, serial: &SerialOutcomes, initial: &Tree) -> Finding {
    let case = Case { execution: &execution, serial, initial, commands: &[], check: None };
    let anomaly = judge(&case).unwrap();
    let witness = Some("out/lost update-1.json".to_owned());
    Finding {
        anomaly,
        critical: Vec::new(),
        shown: execution,
        execution: 7,
        context_switches: 2,
        witness,
        replayed: 3,
        hits: None,
        stderr: Default::default(),
    }
}

fn both_leave(processes: usize, content: &str) -> SerialOutcomes {
    let outcome = Script::new(processes).leaves(FILE, content).outcome();
    serial_of_two(outcome.clone(), outcome)
}

fn report(verdict: Verdict, commands: &[&str], anomalies: Vec<Finding>) -> Report {
    let end = if verdict == Verdict::Inconclusive { End::TimeLimit } else { End::Everything };
    let basis = Basis { conflicts: Some(9), ..Basis::default() };
    Report {
        conclusion: conclude(&basis.facts(end, verdict == Verdict::Anomaly)),
        basis,
        scenario: "two-agents".into(),
        exhaustive: verdict != Verdict::Inconclusive,
        end,
        covered: None,
        strategy: "dpor".into(),
        equivalence: scenario::Equivalence::Trace,
        seed: 0,
        commands: commands.iter().map(|command| (*command).to_owned()).collect(),
        executions: 34,
        complete: 30,
        blocked: 4,
        redundant: 0,
        elsewhere: 0,
        serial_runs: 2,
        distinct_outcomes: 3,
        serial_outcomes: 2,
        steps: 612,
        elapsed_s: 0.412,
        anomalies,
        expected: None,
        outcomes: (["0a", "0b", "0c"].map(String::from)).into(),
        subject: "5eed".into(),
        shard: None,
        chance: None,
        verified: None,
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
    let kinds = kinds.to_vec();
    Some(scenario::Expect { verdict, kinds, timeline: Vec::new(), complete, blocked: None })
}

#[test]
fn the_object_for_programs() {
    let mut out = Vec::new();
    json(&lost_update(), &mut out).unwrap();
    expect![[r#"
        {
          "format": 1,
          "cooks": "0.1.0",
          "scenario": "two-agents",
          "subject": "5eed",
          "verdict": "anomaly",
          "reason": null,
          "exhaustive": true,
          "ended_by": "everything",
          "covered": "every interleaving: 34 executions",
          "not_covered": [],
          "conflicts": 9,
          "coverage": {
            "complete": true,
            "gaps": []
          },
          "serial_failures": [],
          "strategy": "dpor",
          "equivalence": "trace",
          "seed": 0,
          "processes": 2,
          "commands": [
            "python3 agent.py a",
            "python3 agent.py b"
          ],
          "executions": 34,
          "complete": 30,
          "blocked": 4,
          "redundant": 0,
          "elsewhere": 0,
          "serial_runs": 2,
          "distinct_outcomes": 3,
          "serial_outcomes": 2,
          "steps": 612,
          "elapsed_s": 0.412,
          "outcomes": [
            "0a",
            "0b",
            "0c"
          ],
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
              "critical": [],
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
    let steps = |steps: &[&str]| steps.iter().map(ToString::to_string).collect();
    let [first, second, _] = reports.each_mut().map(|report| &mut report.expected);
    first.as_mut().unwrap().timeline =
        steps(&["A: read agent", "B: write agent_metadata.json: 14 bytes", "A: write agent_metadata.json"]);
    second.as_mut().unwrap().timeline = steps(&["B: write agent", "A: read agent"]);
    reports[2].expected = expected(Verdict::Inconclusive, &[], Some(30));
    reports[2].scenario = "x".into();
    let broken = Broken {
        scenario: "gone".into(),
        error: "`--setup` fails (exit 1): false\n  it says nothing".into(),
        code: 2,
    };
    let mut found = lost_update();
    found.scenario = "a-scenario-with-a-name-that-does-not-fit".into();
    let results = [&reports[0], &reports[1], &reports[2], &found].map(|report| Ok(report.clone()));
    let suite = Suite {
        results: results.into_iter().chain([Err(broken)]).collect(),
        elapsed_s: Some(2.5),
        ..Suite::default()
    };
    let mut out = Vec::new();
    table(&suite, &Style::default(), &mut out).unwrap();
    let shown = String::from_utf8(out).unwrap();
    assert_eq!(shown.lines().filter(|line| line.chars().count() > 80).count(), 0, "{shown}");
    expect![[r#"
             scenario                  verdict       expected       executions      time
        ok   two-agents                anomaly       lost-update            34    0.41 s
        FAIL two-agents                anomaly       clean                  34    0.41 s
               the verdict is anomaly, expected clean
               no torn-file was found
               lost-update was found, which is not expected
               the timeline has no `A: read agent` after `B: write agent`
               30 complete executions, expected 29
        FAIL x                         inconclusive  30 complete            34    0.41 s
               30 complete executions are expected of an exhaustive search, and this one
                 was not
        FAIL a-scenario-…does-not-fit  anomaly       nothing to be…         34    0.41 s
               an anomaly was found, and no `[expect]` says that there is one
        FAIL gone                      error
               `--setup` fails (exit 1): false
                 it says nothing
        5 scenarios, 4 not as expected: two-agents, x,
          a-scenario-with-a-name-that-does-not-fit, gone (2.50 s)
    "#]]
    .assert_eq(&shown);
    let mut out = Vec::new();
    json_of_suite(&suite, &mut out).unwrap();
    let object: serde_json::Value = serde_json::from_slice(&out).unwrap();
    let verdicts: Vec<_> =
        object["scenarios"].as_array().unwrap().iter().map(|s| &s["as_expected"]).collect();
    assert_eq!(verdicts, [true, false, false, false, false]);
    assert_eq!(object["scenarios"][4]["scenario"], "gone");
    assert!(object["shard"].is_null() && object["names"].is_null());
    assert_eq!(object["scenarios"][0]["expected"]["kinds"][0], "lost-update");
    let as_expected = text(&reports[1], Style::default());
    assert!(
        as_expected.contains("\nnot as expected: the verdict is anomaly, expected clean\n"),
        "{as_expected}"
    );
}

#[test]
fn a_self_check_that_failed_is_our_fault_whatever_is_expected() {
    let mut checked = report(Verdict::Inconclusive, &["a", "b"], Vec::new());
    checked.basis.self_check = Some("a serial outcome is missing".into());
    checked.conclusion = conclude(&checked.basis.facts(checked.end, false));
    checked.expected = expected(Verdict::Inconclusive, &[], None);
    assert_eq!(checked.code(), 6);
    let broken = Broken { scenario: "gone".into(), error: "it is not there".into(), code: 2 };
    let code = |results: Vec<Result<Report, Broken>>| Suite { results, ..Suite::default() }.code();
    assert_eq!(code(vec![Err(broken.clone()), Ok(checked)]), 6);
    let bounded = report(Verdict::Inconclusive, &["a", "b"], Vec::new());
    assert_eq!(
        (bounded.code(), code(vec![Ok(bounded.clone())]), code(vec![Ok(bounded), Err(broken)])),
        (3, 0, 2)
    );
}

/// A disk with room for so many bytes.
struct Disk(usize);

impl Write for Disk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = bytes.len().min(self.0);
        self.0 -= written;
        if written == 0 && !bytes.is_empty() { Err(io::ErrorKind::StorageFull.into()) } else { Ok(written) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_disk_that_is_full_at_any_byte_of_a_report_is_an_error_in_each_format() {
    let found = lost_update();
    let broken = Broken { scenario: "gone".into(), error: "`--setup` fails".into(), code: 2 };
    let suite = Suite { results: vec![Ok(found.clone()), Err(broken)], ..Suite::default() };
    let style = Style::default();
    type Format<'a> = (&'a str, &'a dyn Fn(&mut dyn Write) -> io::Result<()>);
    let formats: [Format<'_>; 7] = [
        ("human", &|out| human(&found, &style, out)),
        ("verdict", &|out| verdict(&found, &style, out)),
        ("json", &|out| json(&found, out)),
        ("json of a suite", &|out| json_of_suite(&suite, out)),
        ("junit", &|out| junit(&suite.ran(), out)),
        ("github", &|out| github(&suite.ran(), out)),
        ("table", &|out| table(&suite, &style, out)),
    ];
    for (name, write) in formats {
        let mut whole = Vec::new();
        write(&mut whole).expect("memory has room");
        assert!(!whole.is_empty(), "{name}");
        for room in 0..whole.len() {
            let error = write(&mut Disk(room)).map_err(|error| error.kind());
            assert_eq!(error, Err(io::ErrorKind::StorageFull), "{name}, with room for {room} bytes");
        }
        write(&mut Disk(whole.len())).expect("there is room for all");
    }
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
    let broken = Broken { scenario: "gone".into(), error: "`--setup` fails".into(), code: 2 };
    let ran: Vec<Ran<'_>> = reports.iter().map(Ok).chain([Err(&broken)]).collect();
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
        <testsuite name="cooks" tests="5" failures="1" errors="1" skipped="1" time="1.648">
          <testcase classname="cooks" name="two-agents" time="0.412">
            <failure type="anomaly" message="lost-update: agent_metadata.json: B's &quot;agent-b&quot; (written at step 8) is gone: A overwrote it at step 11 
        </failure>
          </testcase>
          <testcase classname="cooks" name="two-agents" time="0.412"/>
          <testcase classname="cooks" name="two-agents" time="0.412"/>
          <testcase classname="cooks" name="two-agents" time="0.412">
            <skipped message="inconclusive: no anomaly found, but the search stopped at --time-limit; 34 executions of a search that was not finished"/>
          </testcase>
          <testcase classname="cooks" name="gone" time="0.000">
            <error message="`--setup` fails"/>
          </testcase>
        </testsuite>
    "#]].assert_eq(&shown(&|out| junit(&ran, out).unwrap()));
    expect![[r#"
        ::error title=cooks%3A two-agents%3A anomaly::anomaly: lost-update%0A%0Aagent_metadata.json: B's "agent-b" (written at step 8) is gone: A overwrote it
        ::notice title=cooks%3A two-agents%3A as it should be::anomaly: lost-update (as expected)%0A%0Aagent_metadata.json: B's "agent-b" (written at step 8) 
        ::notice title=cooks%3A two-agents%3A as it should be::clean: every interleaving of A and B gives a result that running them one after%0A  another can
        ::warning title=cooks%3A two-agents%3A inconclusive::inconclusive: no anomaly found, but the search stopped at --time-limit%0A  Raise --time-limit, or
        ::error title=cooks%3A gone%3A came to nothing::`--setup` fails
    "#]].assert_eq(&shown(&|out| github(&ran, out).unwrap()));
}
