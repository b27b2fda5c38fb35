//! One operation: held, chosen, let go and recorded; and the bare system call.

use std::fs::File;
use std::os::unix::fs::FileExt;

use cooks_benches::InTurns;
use cooks_harness::backend::{Backend, Detail};
use cooks_harness::model::{Entry, Tree};
use cooks_harness::tracer::{Program, Tracer};
use criterion::{Criterion, Throughput};

/// Operations in one execution: enough that starting and ending its process hardly counts.
const OPERATIONS: u64 = 2_000;

pub fn measure(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("operation");
    group.throughput(Throughput::Elements(OPERATIONS));
    group.bench_function("free", |bencher| {
        let dir = tempfile::tempdir_in("/dev/shm").expect("there is a tmpfs");
        let path = dir.path().join("byte");
        std::fs::write(&path, b"x").expect("the file can be written");
        let file = File::open(path).expect("the file is there");
        bencher.iter(|| read_many(&file));
    });
    group.bench_function("controlled", |bencher| {
        let file = Entry::File { mode: 0o644, content: b"x".to_vec() };
        let tree = Tree::from([("byte".to_owned(), file)]);
        let reader = Program::closure("reader", || match File::open("byte") {
            Ok(file) => i32::from(!read_many(&file)),
            Err(_) => 1,
        });
        let mut tracer =
            Tracer::new(&[reader], &[], tree, Default::default()).expect("this machine can trace");
        bencher.iter(|| {
            let execution = tracer.execute(&mut InTurns, Detail::Search).expect("the execution runs");
            assert!(execution.trace.len() as u64 >= OPERATIONS);
        });
    });
    group.finish();
}

fn read_many(file: &File) -> bool {
    let mut byte = [0];
    (0..OPERATIONS).all(|_| file.read_exact_at(&mut byte, 0).is_ok())
}
