//! What people read, of hand-made traces.

use expect_test::expect;

use super::{FILE, TRUNCATE, both_leave, check, finding, lost_update, report, text};
use crate::model::{CriticalStep, Exit, Kind, ProcessId, Tree, Verdict};
use crate::oracle::testing::{Script, tree};
use crate::report::{End, Report, Style};
use crate::verdict::conclude;

#[test]
fn an_anomaly_of_two_processes() {
    check(
        &lost_update(),
        &expect![[r#"
            anomaly: lost-update

            agent_metadata.json: B's "agent-b" (written at step 8) is gone: A overwrote it
              at step 11 with what it had read at step 3

            step  A: python3 agent.py a                B: python3 agent.py b
              1   lock a.lock
              3 ► read agent_metadata.json: 2 bytes
                  └ reads it before B changes it
              4                                        lock b.lock
              6                                        read agent_metadata.json: 2 bytes
              7                                        open and empty agent_metadata.json
              8 ►                                      write agent_metadata.json: 14 bytes
                                                       └ B's change
             10   open and empty agent_metadata.json
             11 ► write agent_metadata.json: 14 bytes
                  └ overwrites B's change
                  (not shown: 3 steps that only open or look, or are on other files)

            agent_metadata.json, key "agent-b":
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
fn of_several_anomalies_the_most_telling_is_shown_in_full() {
    let mut report = lost_update();
    let mut more = |kind: Kind, summary: &str, switches: u64| {
        let mut found = report.anomalies[0].clone();
        let path = format!("out/two-agents-{}-{kind}.json", report.anomalies.len() + 1);
        (found.context_switches, found.witness) = (switches, Some(path));
        (found.anomaly.kind, found.anomaly.summary) = (kind, summary.into());
        if kind != Kind::LostUpdate {
            found.anomaly.keys.clear();
        }
        report.anomalies.push(found);
    };
    more(
        Kind::TornFile,
        "agent_metadata.json is no longer JSON (trailing characters at line 1 column 8): A and B wrote it at the same time (steps 1 to 4)",
        1,
    );
    more(
        Kind::LostUpdate,
        "agent_metadata.json: A's \"agent-a\" (written at step 10) is gone: B overwrote it at step 13 with what it had read",
        1,
    );
    report.anomalies.rotate_left(1);
    check(
        &report,
        &expect![[r#"
        anomaly: lost-update, torn-file

        lost-update: agent_metadata.json: A's "agent-a" (written at step 10) is gone: B
          overwrote it at step 13 with what it had read

        step  A: python3 agent.py a                B: python3 agent.py b
          1   lock a.lock
          3 ► read agent_metadata.json: 2 bytes
              └ reads it before B changes it
          4                                        lock b.lock
          6                                        read agent_metadata.json: 2 bytes
          7                                        open and empty agent_metadata.json
          8 ►                                      write agent_metadata.json: 14 bytes
                                                   └ B's change
         10   open and empty agent_metadata.json
         11 ► write agent_metadata.json: 14 bytes
              └ overwrites B's change
              (not shown: 3 steps that only open or look, or are on other files)

        agent_metadata.json, key "agent-b":
          every serial order  1
          here                not there
        (execution 7 of 34, 1 context switch, replayed 3 times)

        2 more:
          lost-update: agent_metadata.json: B's "agent-b" is gone
            cooks replay 'out/lost update-1.json'
          torn-file: agent_metadata.json is no longer JSON
            cooks replay out/two-agents-2-torn-file.json

        34 executions stand for all interleavings (dpor, exhaustive): 30 complete, 4
          blocked in a deadlock. 3 distinct outcomes; the 2 serial runs give 2. 612
          steps in 0.41 s.
        replay: cooks replay out/two-agents-3-lost-update.json
    "#]],
    );
}

#[test]
fn a_deadlock_with_those_who_wait() {
    let script = Script::new(3).lock(0, "a.lock", 1).lock(1, "b.lock", 2).waits(0, "b.lock", 2, &[1]).waits(
        1,
        "a.lock",
        1,
        &[0],
    );
    let script = script.waits(2, "a.lock", 1, &[0]);
    let found = finding(script.execution(), &both_leave(3, ""), &Tree::new());
    check(
        &report(Verdict::Anomaly, &["a", "b", "c"], vec![found]),
        &expect![[r#"
            anomaly: deadlock

            A waits for b.lock held by B, B waits for a.lock held by A

            step  A: a                                 B: b
              1 ► lock a.lock
                  └ B comes to wait for it
              2 ►                                      lock b.lock
                                                       └ A comes to wait for it
                ► waits to lock b.lock, held by B
                ►                                      waits to lock a.lock, held by A

            C waits for a.lock as well
            (execution 7 of 34, 2 context switches, replayed 3 times)

            34 executions stand for all interleavings (dpor, exhaustive): 30 complete, 4
              blocked in a deadlock. 3 distinct outcomes; the 2 serial runs give 2. 612
              steps in 0.41 s.
            replay: cooks replay 'out/lost update-1.json'
        "#]],
    );
}

#[test]
fn a_process_that_fails_shows_where_and_by_whom() {
    let script = Script::new(2)
        .read(0, FILE, "{}")
        .open(0, FILE, TRUNCATE)
        .read(1, FILE, "")
        .write(0, FILE, "{\"a\": 1}")
        .read(1, "agent.py", "import json")
        .exits(1, Exit::Status(1))
        .leaves(FILE, "{\"a\": 1}");
    let found = finding(script.execution(), &both_leave(2, "{\"a\": 1}"), &tree(&[(FILE, "{}")]));
    check(
        &report(Verdict::Anomaly, &["agent a", "agent b"], vec![found]),
        &expect![[r#"
        anomaly: process-failure

        B fails (exit 1), which no serial order lets it: it read agent_metadata.json at
          step 3 while A was writing it and got 0 bytes

        step  A: agent a                           B: agent b
          1   read agent_metadata.json: 2 bytes
          2   open and empty agent_metadata.json
          3 ►                                      read agent_metadata.json: empty
                                                   └ reads it while A is writing it
          4   write agent_metadata.json: 8 bytes
          5 ►                                      exit 1
                                                   └ ends so in no serial order

        how B ends:
          every serial order  exit 0
          here                exit 1
        (execution 7 of 34, 2 context switches, replayed 3 times)

        34 executions stand for all interleavings (dpor, exhaustive): 30 complete, 4
          blocked in a deadlock. 3 distinct outcomes; the 2 serial runs give 2. 612
          steps in 0.41 s.
        replay: cooks replay 'out/lost update-1.json'
    "#]],
    );
}

#[test]
fn what_is_done_to_the_file_of_a_lock_is_shown_by_whomever() {
    let lock = "x.lock";
    let script = Script::new(3)
        .open(1, lock, "write, create")
        .lock(0, lock, 1)
        .call(0, "unlink", lock, "")
        .open(2, lock, "write, create")
        .lock(2, lock, 2)
        .read(2, FILE, "{}")
        .lock(1, lock, 1)
        .read(1, FILE, "{}")
        .write(1, FILE, "{\"b\": 1}")
        .write(2, FILE, "{\"c\": 1}")
        .leaves(FILE, "{\"c\": 1}");
    let found = finding(script.execution(), &both_leave(3, "{\"b\": 1, \"c\": 1}"), &tree(&[(FILE, "{}")]));
    check(
        &report(Verdict::Anomaly, &["agent a", "agent b", "agent c"], vec![found]),
        &expect![[r#"
        anomaly: lost-update

        agent_metadata.json: B's "b" (written at step 9) is gone: C overwrote it at step
          10 with what it had read at step 6

        step  A: agent a         B: agent b         C: agent c
          1                      open x.lock to write, made if
                                   missing
          2   lock x.lock
          3   remove x.lock
          5                                         lock x.lock
          6 ►                                       read agent_metadata.json: 2 bytes
                                                    └ reads it before B changes it
          7                      lock x.lock
          8                      read agent_metadata.json: 2 bytes
          9 ►                    write agent_metadata.json: 8 bytes
                                 └ B's change
         10 ►                                       write agent_metadata.json: 8 bytes
                                                    └ overwrites B's change
              (not shown: 1 step that only open or look, or are on other files)

        agent_metadata.json, key "b":
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
fn an_open_is_shown_where_another_file_took_the_place_before_it_was_used() {
    let script = Script::new(2)
        .open(0, FILE, "read")
        .read(0, FILE, "{}")
        .open(0, "a.tmp", TRUNCATE)
        .write(0, "a.tmp", "{\"a\"")
        .write_at(0, "a.tmp", 4, ": 1}")
        .call(0, "fsync", "a.tmp", "")
        .open(1, FILE, "read")
        .rename(0, "a.tmp", FILE)
        .read(1, FILE, "{}")
        .open(1, "b.tmp", TRUNCATE)
        .write(1, "b.tmp", "{\"b\": 1}")
        .rename(1, "b.tmp", FILE)
        .leaves(FILE, "{\"b\": 1}");
    let found = finding(script.execution(), &both_leave(2, "{\"a\": 1, \"b\": 1}"), &tree(&[(FILE, "{}")]));
    check(
        &report(Verdict::Anomaly, &["agent a", "agent b"], vec![found]),
        &expect![[r#"
        anomaly: lost-update

        agent_metadata.json: A's "a" (written at step 8) is gone: B overwrote it at step
          12

        step  A: agent a                           B: agent b
          2   read agent_metadata.json: 2 bytes
          4   write a.tmp: 8 bytes, 2 calls
          7                                        open agent_metadata.json to read
          8 ► rename a.tmp → agent_metadata.json
              └ A's change
          9                                        read agent_metadata.json: 2 bytes
         11                                        write b.tmp: 8 bytes
         12 ►                                      rename b.tmp → agent_metadata.json
                                                   └ overwrites A's change
              (not shown: 4 steps that only open or look, or are on other files)

        agent_metadata.json, key "a":
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
fn a_replay_is_told_as_one() {
    let mut report = lost_update();
    (report.strategy, report.executions, report.steps) = ("replay".into(), 1, 11);
    check(
        &report,
        &expect![[r#"
        anomaly: lost-update

        agent_metadata.json: B's "agent-b" (written at step 8) is gone: A overwrote it
          at step 11 with what it had read at step 3

        step  A: python3 agent.py a                B: python3 agent.py b
          1   lock a.lock
          3 ► read agent_metadata.json: 2 bytes
              └ reads it before B changes it
          4                                        lock b.lock
          6                                        read agent_metadata.json: 2 bytes
          7                                        open and empty agent_metadata.json
          8 ►                                      write agent_metadata.json: 14 bytes
                                                   └ B's change
         10   open and empty agent_metadata.json
         11 ► write agent_metadata.json: 14 bytes
              └ overwrites B's change
              (not shown: 3 steps that only open or look, or are on other files)

        agent_metadata.json, key "agent-b":
          every serial order  1
          here                not there

        replayed: 11 steps, each as recorded, and the outcome too; 0.41 s
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
            clean: every interleaving of A and B gives a result that running them one after
              another can give

            2 executions stand for all interleavings (dpor, exhaustive): 2 complete. 3
              distinct outcomes; the 2 serial runs give 2. 612 steps in 0.41 s.
        "#]],
    );
    let mut open = report(Verdict::Inconclusive, &["a", "b", "c", "d"], Vec::new());
    (open.strategy, open.seed) = ("random".into(), 42);
    open.basis.remarks = vec!["the search was ended after 34 executions".into()];
    check(
        &open,
        &expect![[r#"
            inconclusive: no anomaly found, but the search stopped at --time-limit
              Raise --time-limit, or explore in shards (--shard).

            34 executions, ended by the time limit (random, seed 42): 30 complete, 4 blocked
              in a deadlock. 3 distinct outcomes; the 2 serial runs give 2. 612 steps in
              0.41 s.
            note: the search was ended after 34 executions
        "#]],
    );
}

/// What ended a search, and what it covered, in the two lines that say it.
fn ended(verdict: Verdict, strategy: &str, end: End, covered: Option<&str>) -> String {
    let mut report = report(verdict, &["a", "b"], Vec::new());
    (report.strategy, report.seed, report.exhaustive) = (strategy.into(), 42, end == End::Everything);
    (report.end, report.covered) = (end, covered.map(str::to_owned));
    report.conclusion = conclude(&report.basis.facts(end, verdict == Verdict::Anomaly));
    let wide = Style { width: 300, ..Style::default() };
    text(&report, wide).lines().filter(|line| !line.is_empty()).map(|line| format!("{line}\n")).collect()
}

#[test]
fn what_ended_a_search_is_told() {
    let bound = Some("all schedules with at most 2 preemptions");
    let chance = Some("each shows a given bug of depth 3 with a chance of at least 1 in 432");
    let open = Verdict::Inconclusive;
    let told = [
        ended(open, "dpor", End::Preemptions, bound),
        ended(Verdict::Anomaly, "dpor", End::Anomaly, None),
        ended(open, "dfs", End::MaxExecutions, None),
        ended(open, "dpor", End::TimeLimit, None),
        ended(open, "pct", End::MaxExecutions, chance),
        ended(open, "dpor", End::MaxSteps, None),
    ];
    expect![[r#"
        inconclusive: no anomaly found, but of all interleavings only all schedules with at most 2 preemptions were tried
          Raise --preemptions, or leave it out.
        34 executions stand for all schedules with at most 2 preemptions (dpor): 30 complete, 4 blocked in a deadlock. 3 distinct outcomes; the 2 serial runs give 2. 612 steps in 0.41 s.

        anomaly:
        34 executions, ended by what was found (dpor): 30 complete, 4 blocked in a deadlock. 3 distinct outcomes; the 2 serial runs give 2. 612 steps in 0.41 s.

        inconclusive: no anomaly found, but the search stopped at --max-executions
          Raise --max-executions, or leave it out.
        34 executions, ended by their number (dfs): 30 complete, 4 blocked in a deadlock. 3 distinct outcomes; the 2 serial runs give 2. 612 steps in 0.41 s.

        inconclusive: no anomaly found, but the search stopped at --time-limit
          Raise --time-limit, or explore in shards (--shard).
        34 executions, ended by the time limit (dpor): 30 complete, 4 blocked in a deadlock. 3 distinct outcomes; the 2 serial runs give 2. 612 steps in 0.41 s.

        inconclusive: no anomaly found, but the search stopped at --max-executions
          Raise --max-executions, or leave it out.
        34 executions by chance (pct, seed 42): 30 complete, 4 blocked in a deadlock; each shows a given bug of depth 3 with a chance of at least 1 in 432. 3 distinct outcomes; the 2 serial runs give 2. 612 steps in 0.41 s.

        inconclusive: no anomaly found, but some executions were cut at --max-steps
          Raise --max-steps if the program ends by itself.
        34 executions, not exhaustive (dpor): 30 complete, 4 blocked in a deadlock. 3 distinct outcomes; the 2 serial runs give 2. 612 steps in 0.41 s.
    "#]].assert_eq(&told.join("\n"));
}

#[test]
fn what_it_hangs_on_is_told() {
    let mut report = lost_update();
    let on = |process, step, operation: &str| CriticalStep {
        process: ProcessId(process),
        step,
        operation: operation.into(),
    };
    report.anomalies[0].critical = vec![
        on(0, Some(2), "read agent_metadata.json: 2 bytes"),
        on(1, Some(7), "write agent_metadata.json: 14 bytes"),
    ];
    let told = |report: &Report| {
        let text = text(report, Style { width: 300, ..Style::default() });
        text.lines().find(|line| line.starts_with("It hangs on")).map(str::to_owned).unwrap_or_default()
    };
    expect!["It hangs on step 3 (A: read agent_metadata.json: 2 bytes) before step 8 (B: write agent_metadata.json: 14 bytes): the other way round it goes."].assert_eq(&told(&report));
    report.anomalies[0].critical[1] = on(1, None, "waits to lock a.lock");
    expect!["It hangs on step 3 (A: read agent_metadata.json: 2 bytes) before what B waits for (waits to lock a.lock): the other way round it goes."].assert_eq(&told(&report));
    let mut out = Vec::new();
    crate::report::json(&report, &mut out).unwrap();
    let object: serde_json::Value = serde_json::from_slice(&out).unwrap();
    expect![[r#"[{"operation":"read agent_metadata.json: 2 bytes","process":"A","step":3},{"operation":"waits to lock a.lock","process":"B","step":null}]"#]].assert_eq(&object["anomalies"][0]["critical"].to_string());
}
