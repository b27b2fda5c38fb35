//! One execution of two agents: under control, and without.

use std::path::Path;
use std::process::{Command, Stdio};

use cooks_benches::{InTurns, agents, agents_of};
use cooks_harness::backend::{Backend, Detail};
use cooks_harness::model::{Ending, Tree};
use cooks_harness::tracer::{Program, Tracer};
use cooks_harness::workspace;
use criterion::{Criterion, Throughput};
use fork::{Fork, fork, waitpid};

pub fn measure(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("execution");
    group.throughput(Throughput::Elements(1));
    group.bench_function("free", |bencher| {
        let (programs, tree) = agents();
        let dir = tempfile::tempdir_in("/dev/shm").expect("there is a tmpfs");
        let home = std::env::current_dir().expect("there is a current directory");
        std::env::set_current_dir(&dir).expect("the new directory is there");
        bencher.iter(|| run_free(&programs, &tree));
        std::env::set_current_dir(home).expect("the old directory is there");
    });
    group.bench_function("controlled", |bencher| {
        let (programs, tree) = agents();
        let mut tracer =
            Tracer::new(&programs, &[], tree, Default::default()).expect("this machine can trace");
        bencher.iter(|| {
            let execution = tracer.execute(&mut InTurns, Detail::Search).expect("the execution runs");
            assert_eq!(execution.ending, Ending::Complete);
            execution
        });
    });
    group.bench_function("free, Python", |bencher| {
        let (programs, tree) = agents_of("agent-ab");
        let dir = tempfile::tempdir_in("/dev/shm").expect("there is a tmpfs");
        bencher.iter(|| start_free(&programs, &tree, dir.path()));
    });
    group.bench_function("controlled, Python", |bencher| {
        let (programs, tree) = agents_of("agent-ab");
        let mut tracer =
            Tracer::new(&programs, &[], tree, Default::default()).expect("this machine can trace");
        bencher.iter(|| tracer.execute(&mut InTurns, Detail::Search).expect("the execution runs"));
    });
    group.finish();
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
