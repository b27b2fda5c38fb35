//! One operation: held, chosen, let go and recorded; and the bare system call.

use std::fs::File;
use std::os::unix::fs::FileExt;

use cooks_benches::{InTurns, on_one_core};
use cooks_harness::backend::{Backend, Detail};
use cooks_harness::model::{Entry, Tree};
use cooks_harness::tracer::{Program, Tracer};
use criterion::{Criterion, Throughput};
use fork::{Fork, fork};
use nix::sys::ptrace;
use nix::sys::signal::{Signal, raise};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{Pid, getppid};

/// Operations in one execution: enough that starting and ending its process hardly counts.
const OPERATIONS: u64 = 2_000;

/// How many bytes are read in turn.
const BYTES: u64 = 32;

pub fn measure(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("operation");
    group.throughput(Throughput::Elements(OPERATIONS));
    group.bench_function("free", |bencher| {
        let dir = tempfile::tempdir_in("/dev/shm").expect("there is a tmpfs");
        let path = dir.path().join("bytes");
        std::fs::write(&path, content()).expect("the file can be written");
        let file = File::open(path).expect("the file is there");
        bencher.iter(|| read_many(&file));
    });
    group.bench_function("stopped twice", |bencher| bencher.iter(stop_at_each));
    let file = Entry::File { mode: 0o644, content: content() };
    let tree = Tree::from([("bytes".to_owned(), file)]);
    let reader = Program::closure("reader", || match File::open("bytes") {
        Ok(file) => i32::from(!read_many(&file)),
        Err(_) => 1,
    });
    let mut tracer = Tracer::new(&[reader], &[], tree, cooks_harness::limits::Limits::default())
        .expect("this machine can trace");
    group.bench_function("controlled", |bencher| {
        bencher.iter(|| {
            let execution = tracer.execute(&mut InTurns, Detail::Search).expect("the execution runs");
            assert!(execution.trace.len() as u64 >= OPERATIONS);
        });
    });
    group.finish();
}

/// A child's bare calls, each stopped at its entry and its exit, on one core: what control by ptrace costs at the least.
/// Its start and its end are within, as they are in a controlled execution.
fn stop_at_each() {
    on_one_core(|| match fork().expect("fork") {
        Fork::Child => {
            ptrace::traceme().expect("traced");
            raise(Signal::SIGSTOP).expect("stopped");
            (0..OPERATIONS).for_each(|_| {
                getppid();
            });
            std::process::exit(0);
        }
        Fork::Parent(child) => {
            let child = Pid::from_raw(child);
            while let Ok(WaitStatus::Stopped(..)) = waitpid(child, None) {
                ptrace::syscall(child, None).expect("goes on");
            }
        }
    });
}

/// Reads bytes in turn: few that are read again and again would be polled.
fn read_many(file: &File) -> bool {
    let mut byte = [0];
    (0..OPERATIONS).all(|at| file.read_exact_at(&mut byte, at % BYTES).is_ok())
}

fn content() -> Vec<u8> {
    b"x".repeat(BYTES as usize)
}
