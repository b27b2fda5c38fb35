//! Random programs as real processes: what they come to under the search is what all schedules of the simulation come to.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use cooks_harness::backend::Backend;
use cooks_harness::explore::{Counts, Dfs, Dpor, Observed, Strategy, explore};
use cooks_harness::model::{Entry, Execution, Tree};
use cooks_harness::simulated::{Expr, Instruction, Program};
use cooks_harness::tracer::{Program as Process, Tracer};

use crate::machine::{Machine, bytes, number};
use crate::programs::{Theme, programs, start};

/// Programs of each theme.
const PROGRAMS: u64 = 125;

/// Descriptors 0 to 2 are files that nobody renames or removes; they have these names in the real workspace.
const FIXED: [&str; 3] = ["#0", "#1", "#2"];

/// With the one that has a name.
const OBJECTS: usize = 4;

/// A program of steps that are one system call each, and that ends by an exit that gives its locks back where it takes any. Jumps
/// lead where they led.
fn of_single_calls(program: Program) -> Program {
    let length = program.len();
    let mut single: Program =
        program.into_iter().map(|instruction| single_call(instruction, length)).collect();
    if single.iter().any(|it| matches!(it, Instruction::Lock { .. } | Instruction::TryLock { .. })) {
        single.push(Instruction::Exit);
    }
    single
}

fn single_call(instruction: Instruction, length: usize) -> Instruction {
    use Instruction as I;
    // The initial file with a name is reached by its name alone.
    let by_name = |file: Expr| if file == Expr::Value(3) { Expr::Value(1) } else { file };
    match instruction {
        I::Jump { left, is, right, to } => I::Jump { left, is, right, to: to.min(length) },
        I::Increment { file } => I::Load { file: by_name(file), into: 0 },
        I::Load { file, into } => I::Load { file: by_name(file), into },
        I::Store { file, value } => I::Store { file: by_name(file), value },
        I::ReadName { name, .. } => I::Open { name, create: false, truncate: false, into: 1 },
        I::WriteName { name, .. } => I::Open { name, create: true, truncate: true, into: 1 },
        other => other,
    }
}

/// What both worlds show of an execution's end: what files hold, and the registers of those that came to their end.
type End = (BTreeMap<String, i64>, Vec<Option<Vec<u8>>>);

fn end(execution: &Execution, number: fn(&[u8]) -> i64) -> End {
    let outcome = &execution.outcome;
    let mut files: BTreeMap<String, i64> = BTreeMap::from([(FIXED[0].to_owned(), 0)]);
    for (path, entry) in outcome.tree.iter().filter(|(path, _)| *path != "#3") {
        let Entry::File { content, .. } = entry else { panic!("{path} is no file") };
        files.insert(path.clone(), number(content));
    }
    let said = outcome.exits.iter().zip(&outcome.stdout).map(|(exit, said)| exit.map(|_| said.clone()));
    (files, said.collect())
}

fn simulated(content: &[u8]) -> i64 {
    std::str::from_utf8(content).expect("digits").parse().expect("a number")
}

fn ends<B: Backend>(
    strategy: &mut dyn Strategy,
    backend: &mut B,
    number: fn(&[u8]) -> i64,
) -> (Counts, BTreeSet<End>) {
    let mut ends = BTreeSet::new();
    let explored = explore(strategy, backend, 500, &mut |execution| {
        ends.insert(end(execution, number));
        ControlFlow::Continue(())
    });
    let explored = explored.expect("every execution can be run");
    assert!(explored.exhaustive);
    (explored.counts, ends)
}

fn workspace() -> Tree {
    let file = |value: i64| Entry::File { mode: 0o644, content: bytes(value).into() };
    FIXED.iter().map(|name| ((*name).to_owned(), file(0))).chain([("a".to_owned(), file(7))]).collect()
}

/// Holds the programs of a theme to the simulation, and gives the number of their classes there and here, and of the executions
/// that are left when those are merged that nobody can tell apart.
fn held(theme: Theme) -> [u64; 3] {
    let most = if matches!(theme, Theme::Data | Theme::Names) { [5, 3, 2] } else { [4, 2, 1] };
    let mut classes = [0; 3];
    for seed in 0..PROGRAMS {
        let programs: Vec<Program> = programs(seed, theme, most).into_iter().map(of_single_calls).collect();
        let mut simulation = start(programs.clone());
        let all = ends(&mut Dfs::new(), &mut simulation, simulated).1;
        classes[0] += ends(&mut Dpor::new(), &mut simulation, simulated).0.executions;
        let process = |program: Program| Process::closure("random", move || Machine::run(&program, OBJECTS));
        let processes: Vec<Process> = programs.iter().cloned().map(process).collect();
        let stop = Arc::new(AtomicBool::new(false));
        let mut tracer = Tracer::new(&processes, &[], workspace(), stop).expect("this machine can trace");
        let (counts, found) = ends(&mut Dpor::new(), &mut tracer, number);
        assert_eq!(found, all, "theme {theme:?}, seed {seed}: {programs:#?}");
        assert_eq!((counts.redundant, counts.executions), (0, counts.complete + counts.blocked));
        classes[1] += counts.executions;
        let mut merging = Observed::new();
        let (run, found) = ends(&mut merging, &mut tracer, number);
        assert_eq!(found, all, "merging: theme {theme:?}, seed {seed}: {programs:#?}");
        assert_eq!(run.executions + merging.merged(), counts.executions);
        classes[2] += run.executions;
    }
    classes
}

#[test]
fn data_of_real_processes() {
    assert_eq!(held(Theme::Data), [1_069, 1_069, 760]);
}

#[test]
fn locks_of_real_processes() {
    assert_eq!(held(Theme::Locks), [338, 338, 336]);
}

#[test]
fn names_of_real_processes() {
    assert_eq!(held(Theme::Names), [975, 924, 924]);
}

#[test]
fn all_of_it_in_real_processes() {
    assert_eq!(held(Theme::Mixed), [229, 229, 228]);
}
