//! Holds a row to its numbers: the only place that knows how programs are run and explored.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, LazyLock};

use cooks_harness::backend::Backend;
use cooks_harness::explore::{Counts, Dfs, Dpor, explore};
use cooks_harness::simulated::{Program, Simulation};
use cooks_harness::tracer::{Program as Process, Tracer};

use crate::machine::Machine;
use crate::orders::orders;
use crate::row::{Expected, Row};
use crate::text::arguments;
use crate::ways::{Way, exhaust, search};

/// No program here has an execution with more steps.
pub const MAX_STEPS: usize = 10_000;

/// Real processes are run for programs of at most so many classes.
const MOST_CLASSES: u64 = 5_000;

/// What the processes of a row are run as.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum As {
    Simulated,
    /// Forked closures.
    Closures,
    /// A small compiled program, with a script for arguments.
    Programs,
}

/// Whether everything is to be run, which takes a while: all orders of real processes, in every way.
fn everything() -> bool {
    std::env::var_os("LITMUS").is_some_and(|value| value == "all")
}

/// Explores a row with the processes in every order (24 of them where there are more) and in every way: as one search, by two jobs,
/// as three shards. Of real processes, fewer where there are many classes, unless everything is asked for.
pub fn check(row: &Row, kind: As) {
    let (programs, expected) = match kind {
        As::Simulated => (&row.steps, row.expected),
        As::Closures | As::Programs => (&row.calls, row.expected_of_calls),
    };
    assert!(kind == As::Simulated || expected.executions() <= MOST_CLASSES, "{}: too many classes", row.name);
    for (place, order) in orders(programs).into_iter().enumerate() {
        let arranged: Vec<Program> = order.iter().map(|&at| programs[at].clone()).collect();
        let mut outcomes = None;
        for way in ways(kind, expected, place) {
            let what = format!("{} as {kind:?}, {way:?}, processes in order {order:?}", row.name);
            let seen = run(row, kind, &arranged, way);
            let Expected { complete, blocked } = expected;
            let wanted = Counts { executions: complete + blocked, complete, blocked, ..Counts::default() };
            assert_eq!(Counts { steps: 0, ..way.own(seen.counts) }, wanted, "{what}");
            let others = *outcomes.get_or_insert_with(|| seen.outcomes.clone()) != seen.outcomes;
            assert!(!others, "{what}: other outcomes than in one search");
        }
    }
}

/// In which ways to explore the order at this place. One search of each order on the simulation, and on real processes of as many as
/// take no longer than this in all; the other ways where that is cheap.
fn ways(kind: As, expected: Expected, place: usize) -> Vec<Way> {
    let executions = expected.executions();
    let so_far = executions * (place as u64 + 1);
    let (once, three_times) = match kind {
        As::Simulated => (true, place == 0 || executions < 500),
        As::Closures | As::Programs => (place == 0 || so_far <= 60, so_far <= 20),
    };
    let mut ways = Vec::new();
    if once || everything() {
        ways.push(Way::OneJob);
    }
    if three_times || everything() {
        ways.extend([Way::TwoJobs, Way::ThreeShards]);
    }
    ways
}

/// What an exploration saw.
#[derive(Debug, Default)]
pub struct Seen {
    pub counts: Counts,
    /// The fingerprints of all outcomes: the processes of a closure are copies of this one, so it is to hold little.
    pub outcomes: BTreeSet<u64>,
}

fn run(row: &Row, kind: As, programs: &[Program], way: Way) -> Seen {
    let objects = row.objects();
    let process = |program: &Program| match kind {
        As::Programs => {
            let path = COMPILED.to_str().expect("a path of text").to_owned();
            Process::Command([vec![path], arguments(program, objects)].concat())
        }
        _ => {
            let program = program.clone();
            Process::closure("litmus", move || Machine::run(&program, objects))
        }
    };
    match kind {
        As::Simulated => search(way, &|| Simulation::new(row.initial(), programs.to_vec())),
        As::Closures | As::Programs => {
            let processes: Vec<Process> = programs.iter().map(process).collect();
            search(way, &|| {
                let stop = Arc::new(AtomicBool::new(false));
                Tracer::new(&processes, &[], row.workspace(), stop).expect("this machine can trace")
            })
        }
    }
}

/// The number of schedules, where it is known, and of classes whose tree no order of the processes leaves.
pub fn check_schedules_and_trees(row: &Row) {
    let mut simulation = Simulation::new(row.initial(), row.steps.clone());
    if let Some(schedules) = row.schedules {
        let counts = exhaust(&mut Dfs::new(), &mut simulation).counts;
        assert_eq!(counts.executions, schedules, "{}: schedules", row.name);
    }
    if let Some(trees) = row.not_serial {
        assert_eq!(
            not_serial(&mut simulation),
            trees,
            "{}: classes with a tree that is not serial",
            row.name
        );
    }
}

fn not_serial(simulation: &mut Simulation) -> usize {
    let processes = simulation.processes() as u64;
    let mut serial = BTreeSet::new();
    let explored = explore(&mut Dfs::new(), simulation, MAX_STEPS, &mut |execution| {
        if execution.context_switches() + 1 == processes {
            serial.insert(execution.outcome.tree.clone());
        }
        ControlFlow::Continue(())
    });
    assert!(explored.is_ok_and(|explored| explored.exhaustive));
    let mut others = 0;
    let explored = explore(&mut Dpor::new(), simulation, MAX_STEPS, &mut |execution| {
        others += usize::from(!serial.contains(&execution.outcome.tree));
        ControlFlow::Continue(())
    });
    assert!(explored.is_ok_and(|explored| explored.exhaustive));
    others
}

/// `program.c`, compiled.
static COMPILED: LazyLock<PathBuf> = LazyLock::new(|| {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/litmus/program.c");
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join("litmus-program");
    let compiled = Command::new("cc").args(["-O1", "-o"]).arg(&program).arg(&source).output();
    let compiled = compiled.expect("this test needs a C compiler, cc");
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
    program
});
