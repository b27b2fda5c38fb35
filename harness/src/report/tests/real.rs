//! What people read, of executions of real Python programs: `traces/` has them, a step on each line, tabs between process, task,
//! call, path, target, detail, result, whether it made a name, and the status that the process ended with.

use expect_test::expect;

use super::{check, report};
use crate::model::{
    Access, Anomaly, Call, CallResult, Choice, Ending, Event, Execution, Exit, Location, ObjectId, Operation,
    Outcome, Verdict,
};
use crate::report::Finding;

/// What a trace file begins with.
#[derive(serde::Deserialize)]
struct Head {
    anomaly: Anomaly,
    ending: Ending,
    execution: u64,
    context_switches: u64,
}

fn read(trace: &str) -> Finding {
    let (head, steps) = trace.split_once('\n').unwrap();
    let head: Head = serde_json::from_str(head).unwrap();
    let trace: Vec<Event> = steps.lines().map(event).collect();
    let schedule = trace.iter().map(|event| Choice::Process(event.process)).collect();
    Finding {
        anomaly: head.anomaly,
        critical: Vec::new(),
        shown: Execution { schedule, trace, ending: head.ending, outcome: Outcome::default() },
        execution: head.execution,
        context_switches: head.context_switches,
        witness: Some("cooks-output/agents-1-lost-update.json".into()),
        replayed: 3,
        hits: None,
        stderr: Default::default(),
    }
}

fn event(line: &str) -> Event {
    let mut fields = line.split('\t');
    let mut field = || fields.next().unwrap_or_default().to_owned();
    let some = |text: String| Some(text).filter(|text| !text.is_empty());
    let (process, task) = (field().parse().unwrap(), field());
    let call = Call { name: field(), path: some(field()), target: some(field()), detail: field() };
    let result = field();
    let result = result.parse().map_or(CallResult::Error(result), CallResult::Value);
    let dir = ObjectId::Initial(0);
    let access = match field().as_str() {
        "made" => Access::write(Location::Name { dir, name: String::new() }),
        _ => Access::read(Location::Status(dir)),
    };
    let exit = some(field()).map(|status| Exit::Status(status.parse().unwrap()));
    let operation = Operation { call, accesses: vec![access], ..Operation::default() };
    Event { process, task, operation, result, exit, payload: None }
}

#[test]
fn a_lost_update_between_two_python_programs() {
    let found = read(include_str!("traces/lost-update.trace"));
    let commands = ["python3 agent.py agent-a", "python3 agent.py agent-b"];
    check(
        &report(Verdict::Anomaly, &commands, vec![found]),
        &expect![[r#"
            anomaly: lost-update

            agent_metadata.json: A's "agent-a" (written at step 251) is gone: B overwrote it
              at step 255 with what it had read at step 247

            step  A: python3 agent.py agent-a          B: python3 agent.py agent-b
                  ⋮ 118 steps on agent.py, …
            119   lock agent-a.lock
            123   read agent_metadata.json: 3 bytes
                                                       ⋮ 118 steps on agent.py, …
            243                                        lock agent-b.lock
            247 ►                                      read agent_metadata.json: 3 bytes
                                                       └ reads it before A changes it
            248   open and empty agent_metadata.json
            251 ► write agent_metadata.json: 45 bytes
                  └ A's change
            252   unlock agent-a.lock (close); exit 0
            253                                        open and empty agent_metadata.json
            255 ►                                      write agent_metadata.json: 45 bytes
                                                       └ overwrites A's change
            256                                        unlock agent-b.lock (close); exit 0
                  (not shown: 10 steps that only open or look, or are on other files)

            agent_metadata.json, key "agent-a":
              every serial order  {"status":"active"}
              here                not there
            (execution 11 of 34, 5 context switches, replayed 3 times)

            34 executions stand for all interleavings (dpor, exhaustive): 30 complete, 4
              blocked in a deadlock. 3 distinct outcomes; the 2 serial runs give 2. 612
              steps in 0.41 s.
            replay: cooks replay cooks-output/agents-1-lost-update.json
        "#]],
    );
}

#[test]
fn a_deadlock_of_two_python_programs() {
    let found = read(include_str!("traces/deadlock.trace"));
    let commands = ["python3 swap.py 1 2", "python3 swap.py 2 1"];
    check(
        &report(Verdict::Anomaly, &commands, vec![found]),
        &expect![[r#"
            anomaly: deadlock

            A waits for 2.lock held by B, B waits for 1.lock held by A

            step  A: python3 swap.py 1 2               B: python3 swap.py 2 1
                  ⋮ 116 steps on a.py, …
            117 ► lock 1.lock
                  └ B comes to wait for it
                                                       ⋮ 116 steps on a.py, …
            236 ►                                      lock 2.lock
                                                       └ A comes to wait for it
                ► waits to lock 2.lock, held by B
                ►                                      waits to lock 1.lock, held by A
                  (not shown: 4 steps that only open or look, or are on other files)

            (execution 2 of 34, 1 context switch, replayed 3 times)

            34 executions stand for all interleavings (dpor, exhaustive): 30 complete, 4
              blocked in a deadlock. 3 distinct outcomes; the 2 serial runs give 2. 612
              steps in 0.41 s.
            replay: cooks replay cooks-output/agents-1-lost-update.json
        "#]],
    );
}
