//! One execution of two agents: under control, and without.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use cooks_benches::{InTurns, agents, agents_of, interpreter, on_one_core};
use cooks_harness::backend::{Backend, Detail};
use cooks_harness::model::{Ending, Entry, Tree};
use cooks_harness::tracer::{Program, Tracer};
use cooks_harness::workspace;
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput};
use fork::{Fork, fork, waitpid};

type Group<'a> = BenchmarkGroup<'a, WallTime>;

pub fn measure(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("execution");
    group.throughput(Throughput::Elements(1));
    let (programs, tree) = agents();
    let home = std::env::current_dir().expect("there is a current directory");
    let dir = tempfile::tempdir_in("/dev/shm").expect("there is a tmpfs");
    // The closures expect to be in the workspace, and criterion to be at home.
    let there = || std::env::set_current_dir(&dir).expect("the new directory is there");
    let back = || std::env::set_current_dir(&home).expect("the old directory is there");
    group.bench_function("free, one core", |bencher| {
        there();
        on_one_core(|| bencher.iter(|| run_free(&programs, &tree)));
        back();
    });
    group.bench_function("free, all cores", |bencher| {
        there();
        bencher.iter(|| run_free(&programs, &tree));
        back();
    });
    controlled(&mut group, &programs, &tree);
    group.finish();
    let compiled = tempfile::tempdir().expect("there is a temporary directory");
    let nothing = ["python3", "-I", "-c", "pass"].map(interpreter).to_vec();
    let nothing = (vec![Program::Command(nothing)], Tree::new());
    commands(criterion.benchmark_group("execution, Python"), &agents_of("agent-ab"));
    commands(criterion.benchmark_group("execution, static"), &static_pair(compiled.path()));
    commands(criterion.benchmark_group("execution, nothing shared"), &nothing);
    reset(criterion);
}

/// Commands: started freely; under control, started for each execution; and with what is kept from one execution for the next.
fn commands(mut group: Group<'_>, (programs, tree): &(Vec<Program>, Tree)) {
    group.throughput(Throughput::Elements(1));
    let dir = tempfile::tempdir_in("/dev/shm").expect("there is a tmpfs");
    group.bench_function("free, one core", |bencher| {
        on_one_core(|| bencher.iter(|| start_free(programs, tree, dir.path())));
    });
    group.bench_function("free, all cores", |bencher| {
        bencher.iter(|| start_free(programs, tree, dir.path()));
    });
    let mut fresh = tracer(programs, tree);
    group.bench_function("controlled, afresh", |bencher| {
        bencher.iter(|| fresh.execute_afresh(&mut InTurns, Detail::Search).expect("the execution runs"));
    });
    drop(fresh);
    controlled(&mut group, programs, tree);
    group.finish();
}

/// One tracer for all samples: what it keeps is made in the first executions.
fn controlled(group: &mut Group<'_>, programs: &[Program], tree: &Tree) {
    let mut tracer = tracer(programs, tree);
    group.bench_function("controlled", |bencher| {
        bencher.iter(|| {
            let execution = tracer.execute(&mut InTurns, Detail::Search).expect("the execution runs");
            assert_eq!(execution.ending, Ending::Complete);
            execution
        });
    });
}

fn tracer(programs: &[Program], tree: &Tree) -> Tracer {
    Tracer::new(programs, &[], tree.clone(), cooks_harness::limits::Limits::default())
        .expect("this machine can trace")
}

/// A workspace of 1,000 files, two of which were changed: written anew as a whole, and as it is done between executions.
fn reset(criterion: &mut Criterion) {
    let file = || Entry::File { mode: 0o644, content: b"x".to_vec() };
    let tree: Tree = (0..1_000).map(|number| (format!("file-{number}"), file())).collect();
    let mut group = criterion.benchmark_group("reset");
    group.bench_function("as a whole", |bencher| {
        let dir = tempfile::tempdir_in("/dev/shm").expect("there is a tmpfs");
        bencher.iter(|| workspace::lay(dir.path(), &tree).expect("the workspace can be written"));
    });
    let writer = Program::closure("writer", || {
        let changed = std::fs::write("file-1", "y").and_then(|()| std::fs::rename("file-2", "file-3"));
        i32::from(changed.is_err())
    });
    let mut tracer = tracer(&[writer], &tree);
    group.bench_function("what has changed", |bencher| {
        bencher.iter_custom(|times| {
            (0..times)
                .map(|_| {
                    tracer.execute(&mut InTurns, Detail::Search).expect("the execution runs");
                    let begun = Instant::now();
                    tracer.reset().expect("the workspace can be written");
                    begun.elapsed()
                })
                .sum()
        });
    });
    group.finish();
}

/// Two agents that read a file and write it, compiled with the C library within.
fn static_pair(dir: &Path) -> (Vec<Program>, Tree) {
    let (source, program) = (dir.join("agent.rs"), dir.join("agent"));
    let text = "fn main() { let text = std::fs::read_to_string(\"data\").unwrap(); std::fs::write(\"data\", text).unwrap(); }";
    std::fs::write(&source, text).expect("the source can be written");
    let mut compiler = Command::new("rustc");
    compiler.args(["-O", "-C", "target-feature=+crt-static", "-o"]).arg(&program).arg(&source);
    assert!(compiler.status().expect("there is a compiler").success(), "a static program can be made");
    let program = Program::Command(vec![program.to_string_lossy().into_owned()]);
    let data = Entry::File { mode: 0o644, content: b"text".to_vec() };
    (vec![program.clone(), program], Tree::from([("data".to_owned(), data)]))
}

/// The same two commands, started, and waited for.
fn start_free(programs: &[Program], tree: &Tree, dir: &Path) {
    workspace::lay(dir, tree).expect("the workspace can be written");
    let start = |program: &Program| {
        let Program::Command(words) = program else { panic!("{program} is not a command") };
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).current_dir(dir).stderr(Stdio::null());
        command.spawn().expect("it starts")
    };
    let children: Vec<_> = programs.iter().map(start).collect();
    for mut child in children {
        child.wait().expect("it ends");
    }
    workspace::capture(dir).expect("the workspace can be read");
}

/// The same work as in an execution: the workspace laid out, two processes forked, run and reaped, the tree read.
fn run_free(programs: &[Program], tree: &Tree) -> Tree {
    let here = ".".as_ref();
    workspace::lay(here, tree).expect("the workspace can be written");
    let children: Vec<i32> = programs
        .iter()
        .map(|program| {
            let Program::Closure { body, .. } = program else { panic!("{program} is not a closure") };
            match fork().expect("fork") {
                Fork::Parent(child) => child,
                Fork::Child => std::process::exit(body()),
            }
        })
        .collect();
    for child in children {
        waitpid(child).expect("waitpid");
    }
    workspace::capture(here).expect("the workspace can be read")
}
