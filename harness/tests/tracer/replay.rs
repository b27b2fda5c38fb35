//! The same schedule gives the same execution, byte for byte; the same programs give the same search.

use std::fs;

use cooks_harness::backend::{Chooser, Detail};
use cooks_harness::model::{Choice, Cut, Execution, Tree, View};
use cooks_harness::tracer::Program;
use nix::fcntl::{Flock, FlockArg};

use crate::support::{
    Follow, InTurn, classes, content, execution, files, open, process, python, shell, tracer,
};

fn workspace() -> Tree {
    files(&[("counts.json", "{}\n"), ("lock", "")])
}

/// Reads the whole file, adds a line with its name, writes the whole file.
fn agent(name: &'static str) -> Program {
    process(move || {
        let text = fs::read_to_string("counts.json").expect("the file is there");
        fs::write("counts.json", text + name).expect("the file can be written");
        fs::metadata("counts.json").map_or(1, |status| i32::from(!status.is_file()))
    })
}

fn locked_agent(name: &'static str) -> Program {
    process(move || {
        let lock = Flock::lock(open("lock"), FlockArg::LockExclusive).expect("a lock");
        let text = fs::read_to_string("counts.json").expect("the file is there");
        fs::write("counts.json", text + name).expect("the file can be written");
        drop(lock);
        0
    })
}

fn recorded(execution: &Execution) -> String {
    serde_json::to_string(execution).expect("an execution can be saved")
}

/// The schedule of the first execution in which one process's update is gone.
fn losing(programs: &[Program]) -> Vec<Choice> {
    let mut tracer = tracer(programs, workspace());
    let mut found = None;
    let mut strategy = cooks_harness::explore::Dpor::new();
    let result = cooks_harness::explore::explore(&mut strategy, &mut tracer, 1_000, &mut |execution| {
        let text = content(&execution.outcome.tree, "counts.json");
        if text == "{}\nA" || text == "{}\nB" {
            found = Some(execution.schedule.clone());
            return std::ops::ControlFlow::Break(());
        }
        std::ops::ControlFlow::Continue(())
    });
    result.expect("every execution can be run");
    found.expect("a lost update")
}

#[test]
fn a_schedule_that_loses_an_update_loses_it_a_hundred_times() {
    let programs = [agent("A"), agent("B")];
    let schedule = losing(&programs);
    let mut tracer = tracer(&programs, workspace());
    let first = recorded(&execution(&mut tracer, &mut Follow(&schedule)));
    for round in 1..100 {
        assert_eq!(recorded(&execution(&mut tracer, &mut Follow(&schedule))), first, "round {round}");
    }
}

/// Whatever was run before, and in whichever tracer.
#[test]
fn an_execution_does_not_depend_on_those_before_it() {
    let programs = [agent("A"), agent("B")];
    let schedule = losing(&programs);
    let alone = recorded(&execution(&mut tracer(&programs, workspace()), &mut Follow(&schedule)));
    let mut other = tracer(&programs, workspace());
    for _ in 0..3 {
        execution(&mut other, &mut InTurn);
        execution(&mut other, &mut Follow(&schedule[..schedule.len() / 2]));
    }
    assert_eq!(recorded(&execution(&mut other, &mut Follow(&schedule))), alone);
}

#[test]
fn a_recording_can_be_read_back() {
    let execution = execution(&mut tracer(&[agent("A"), agent("B")], workspace()), &mut InTurn);
    let back: Execution = serde_json::from_str(&recorded(&execution)).expect("it was saved so");
    assert_eq!(back, execution);
}

/// Two searches make the same executions in the same order.
#[test]
fn a_search_repeats() {
    for programs in [
        vec![agent("A"), agent("B")],
        vec![locked_agent("A"), locked_agent("B"), locked_agent("C")],
        vec![shell("read x < counts.json; echo $x a > counts.json"), agent("B")],
    ] {
        let (one, other) = (classes(&programs, &workspace()), classes(&programs, &workspace()));
        assert_eq!(one.schedules, other.schedules);
        assert_eq!(one.counts, other.counts);
        assert_eq!(one.outcomes, other.outcomes);
    }
}

/// The order of the processes changes nothing but who is A.
#[test]
fn a_search_does_not_depend_on_the_order_of_the_processes() {
    let script = "import json\ndata = json.load(open('counts.json'))\ndata['p'] = 1\njson.dump(data, open('counts.json', 'w'))";
    for [one, other] in [
        [agent("A"), agent("B")],
        [agent("A"), locked_agent("B")],
        [shell("read x < counts.json; echo $x a > counts.json"), agent("B")],
        [python(script), agent("B")],
    ] {
        let forth = classes(&[one.clone(), other.clone()], &workspace());
        let back = classes(&[other, one], &workspace());
        assert_eq!(forth.counts.complete, back.counts.complete);
        assert_eq!((forth.counts.blocked, forth.counts.redundant), (0, 0));
        assert_eq!((back.counts.blocked, back.counts.redundant), (0, 0));
        let mirrored: std::collections::BTreeSet<_> = back
            .outcomes
            .into_iter()
            .map(|mut outcome| {
                outcome.exits.reverse();
                outcome.stdout.reverse();
                outcome
            })
            .collect();
        assert_eq!(forth.outcomes, mirrored);
    }
}

/// Breaks an execution off after some steps.
struct Until(usize);

impl Chooser for Until {
    fn choose(&mut self, view: View<'_>) -> Result<Choice, Cut> {
        if view.trace.len() == self.0 { Err(Cut::Steps) } else { InTurn.choose(view) }
    }
}

/// However an execution ends, the next one begins from the same state.
#[test]
fn nothing_is_left_of_an_execution_that_is_cut() {
    let programs =
        [agent("A"), locked_agent("B"), shell("cat counts.json | tr a b > made; mkdir d; touch d/e")];
    let mut tracer = tracer(&programs, workspace());
    let whole = recorded(&execution(&mut tracer, &mut InTurn));
    for steps in 0..20 {
        let cut = execution(&mut tracer, &mut Until(steps));
        assert_eq!((cut.trace.len(), cut.outcome.tree.len()), (steps, 0));
        assert_eq!(recorded(&execution(&mut tracer, &mut InTurn)), whole, "after {steps} steps");
    }
}

/// The evidence is that of the same execution.
#[test]
fn evidence_changes_nothing() {
    let mut tracer = tracer(&[agent("A"), shell("cat counts.json; echo b >> counts.json")], workspace());
    let bare = execution(&mut tracer, &mut InTurn);
    let with_evidence = cooks_harness::backend::Backend::execute(&mut tracer, &mut InTurn, Detail::Evidence)
        .expect("an execution can be run");
    assert_eq!(recorded(&bare), recorded(&with_evidence));
    let moved: Vec<_> = with_evidence.trace.iter().filter_map(|event| event.payload.as_ref()).collect();
    assert!(moved.iter().any(|payload| payload.written && payload.bytes == b"b\n"));
    assert!(bare.trace.iter().all(|event| event.payload.is_none()));
}
