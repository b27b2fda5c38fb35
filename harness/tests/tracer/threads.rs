//! The order of threads and children as a choice of the strategy: one execution for each class, held against every schedule.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::thread;

use cooks_harness::explore::{Counts, Dfs, Dpor, Fault, Strategy, explore};
use cooks_harness::model::{Execution, HappensBefore, Outcome, ProcessId, Tree};
use cooks_harness::tracer::Program;
use nix::fcntl::{Flock, FlockArg};

use crate::support::{
    Follow, MAX_STEPS, execution, files, load, open, process, python, shell, store, tracer,
};

/// Of each event, which it is among those of its strand, and its clock: the same in all executions of a class, and in no others.
type Class = BTreeMap<(ProcessId, u32), Vec<u32>>;

#[derive(PartialEq, Eq, Debug)]
struct Found {
    counts: Counts,
    classes: BTreeSet<Class>,
    outcomes: BTreeSet<Outcome>,
}

fn class(execution: &Execution) -> Class {
    let order = HappensBefore::of(&execution.trace);
    let clock = |number: usize| {
        let mut clock = order.clock(number).to_vec();
        clock.resize(64, 0);
        clock
    };
    let events = execution.trace.iter().enumerate();
    events.map(|(number, event)| ((event.process, order.ordinal(number)), clock(number))).collect()
}

/// No program here has as many executions.
const MOST: u64 = 1_000;

fn search(strategy: &mut dyn Strategy, programs: &[Program], initial: &Tree) -> Found {
    let (mut classes, mut outcomes) = (BTreeSet::new(), BTreeSet::new());
    let mut tracer = tracer(programs, initial.clone());
    tracer.explore_tasks();
    let mut executions = 0;
    let result = explore(strategy, &mut tracer, MAX_STEPS, &mut |execution| {
        if execution.is_complete() {
            classes.insert(class(execution));
            outcomes.insert(execution.outcome.clone());
        }
        executions += 1;
        if executions < MOST { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    let result = result.expect("every execution can be run");
    Found { counts: Counts { steps: 0, ..result.counts }, classes, outcomes }
}

/// Holds one execution of each class to all schedules: the same classes, each once; so many.
#[track_caller]
fn check(what: &str, programs: &[Program], initial: &Tree, complete: u64, schedules: u64) {
    let all = search(&mut Dfs::new(), programs, initial);
    assert_eq!(all.counts.complete, schedules, "{what}: schedules");
    let found = search(&mut Dpor::new(), programs, initial);
    let counts = Counts { executions: complete, complete, ..Counts::default() };
    assert_eq!(found.counts, counts, "{what}");
    assert_eq!((&found.classes, &found.outcomes), (&all.classes, &all.outcomes), "{what}");
    assert_eq!(found.classes.len() as u64, complete, "{what}");
}

/// Runs these threads, with the two variables open, and waits for them.
fn threads(bodies: &'static [fn(&File, &File)]) -> Program {
    process(|| {
        let variables = Arc::new((open("x"), open("y")));
        let start = |body: &'static fn(&File, &File)| {
            let variables = Arc::clone(&variables);
            thread::spawn(move || body(&variables.0, &variables.1))
        };
        let all: Vec<_> = bodies.iter().map(start).collect();
        i32::from(!all.into_iter().all(|thread| thread.join().is_ok()))
    })
}

fn variables() -> Tree {
    files(&[("x", "\0"), ("y", "\0"), ("lock", "")])
}

fn idle() -> Program {
    process(|| 0)
}

#[test]
fn threads_of_one_process_come_in_every_order() {
    let writers = threads(&[|x, _| store(x, 1), |x, _| store(x, 2), |x, _| store(x, 3)]);
    check("three threads", &[writers, idle()], &variables(), 6, 6);
    let twice: &[fn(&File, &File)] = &[
        |x, y| {
            store(x, 1);
            store(y, 1);
        },
        |x, y| {
            store(x, 2);
            store(y, 2);
        },
    ];
    // What threads do to each other in memory is not seen: so all 4! / (2! 2!) orders are different.
    check("two threads, two operations each", &[threads(twice), idle()], &variables(), 6, 6);
}

#[test]
fn threads_and_another_process() {
    let writers = threads(&[|x, _| store(x, 1), |_, y| store(y, 1)]);
    let reader = process(|| {
        let (x, y) = (open("x"), open("y"));
        i32::from(2 * load(&y) + load(&x))
    });
    // With y written first: each look of the reader comes before or after what it looks at. With x written first: not before that of
    // x and after that of y, which it looks at before. Schedules: two opens and two accesses each, 8! / (4! 4!), in two orders.
    check("two writing threads and a reader", &[writers, reader], &variables(), 7, 140);
}

#[test]
fn threads_wait_for_locks() {
    let locks: &[fn(&File, &File)] = &[
        |x, _| {
            let lock = Flock::lock(open("lock"), FlockArg::LockExclusive).expect("a lock");
            store(x, load(x) + 1);
            drop(lock);
        },
        |x, _| {
            let lock = Flock::lock(open("lock"), FlockArg::LockExclusive).expect("a lock");
            store(x, load(x) + 1);
            drop(lock);
        },
    ];
    let found = search(&mut Dpor::new(), &[threads(locks), idle()], &variables());
    let all = search(&mut Dfs::new(), &[threads(locks), idle()], &variables());
    assert_eq!((&found.classes, &found.outcomes), (&all.classes, &all.outcomes));
    assert_eq!((found.counts.redundant, found.counts.complete), (0, all.classes.len() as u64));
    assert_eq!(found.outcomes.len(), 1, "both add one");
}

/// The second thread is not there before the first has done something; the third is killed by the end of its process, perhaps.
fn late_and_cut_off() -> Program {
    process(|| {
        let variables = Arc::new((open("x"), open("y")));
        let of_thread = Arc::clone(&variables);
        thread::spawn(move || {
            store(&of_thread.0, 1);
            let of_thread = Arc::clone(&of_thread);
            thread::spawn(move || store(&of_thread.1, 1));
        });
        i32::from(load(&variables.0))
    })
}

#[test]
fn threads_that_begin_late_and_those_that_are_cut_off() {
    let all = search(&mut Dfs::new(), &[late_and_cut_off(), idle()], &variables());
    let found = search(&mut Dpor::new(), &[late_and_cut_off(), idle()], &variables());
    assert_eq!((&found.classes, &found.outcomes), (&all.classes, &all.outcomes));
    assert_eq!(found.counts, all.counts, "all operations of one process conflict");
    // The main thread looks first, and ends both; or after the first store; or after both.
    assert_eq!((found.counts.complete, found.outcomes.len()), (3, 3));
}

#[test]
fn planted_faults_are_found() {
    let all = search(&mut Dfs::new(), &[late_and_cut_off(), idle()], &variables());
    for fault in [Fault::TasksWakeThemselves, Fault::TakenAwayForgotten] {
        let found = search(&mut Dpor::with_fault(fault), &[late_and_cut_off(), idle()], &variables());
        assert_ne!(found, all, "{fault:?}");
    }
}

#[test]
fn children_are_tasks_too() {
    let script = "(echo a >>log)& (echo b >>log)& wait";
    let found = search(&mut Dpor::new(), &[shell(script), idle()], &files(&[("log", "")]));
    // Each opens the log and writes to it; what the shell sees of their ends is no operation.
    assert_eq!((found.counts.complete, found.counts.redundant), (6, 0));
    assert_eq!(found.outcomes.len(), 2);
}

#[test]
fn a_schedule_of_threads_replays() {
    let script = "import os, threading\n\
        def put(name):\n    os.write(os.open('log', os.O_WRONLY | os.O_APPEND), name)\n\
        all = [threading.Thread(target=put, args=(name,)) for name in (b'1', b'2')]\n\
        for one in all: one.start()\nfor one in all: one.join()\n";
    let programs = [python(script), python(script)];
    let mut tracer = tracer(&programs, files(&[("log", "")]));
    tracer.explore_tasks();
    let mut walk = cooks_harness::explore::RandomWalk::new(7, 3);
    let mut schedules = Vec::new();
    let result = explore(&mut walk, &mut tracer, MAX_STEPS, &mut |execution| {
        schedules.push(execution.clone());
        ControlFlow::Continue(())
    });
    result.expect("every execution can be run");
    for recorded in schedules {
        let again = execution(&mut tracer, &mut Follow(&recorded.schedule));
        assert_eq!((again.trace, again.outcome), (recorded.trace, recorded.outcome));
    }
}
