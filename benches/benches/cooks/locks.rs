//! A lock that nobody else wants: bare, by the crates that offer it, and by ours.

use std::path::Path;

use cooks_benches::{locks, ours};
use cooks_core::host::Mode;
use criterion::Criterion;
use rustix::fs::{FlockOperation, flock};

use crate::disk;

const LOCKS: &[(&str, locks::Open)] = &[
    ("flock", locks::bare),
    ("flock and fstat", locks::checked),
    #[cfg(feature = "peers")]
    ("std", locks::std),
    #[cfg(feature = "peers")]
    ("fd-lock", locks::fd_lock),
    #[cfg(feature = "peers")]
    ("fs4", locks::fs4),
    (ours::LOCK, ours::lock),
];

/// One lock, exclusively, on a file that is open already.
pub fn one(criterion: &mut Criterion) {
    let dir = disk();
    let mut group = criterion.benchmark_group("lock");
    for (name, open) in LOCKS {
        let mut locked = open(dir.path(), Mode::Exclusive);
        group.bench_function(*name, |bencher| bencher.iter(|| locked(&mut || ())));
    }
    group.finish();
}

/// The agent's lock, then that of the metadata, then both back.
pub fn two_levels(criterion: &mut Criterion) {
    let dir = disk();
    let mut group = criterion.benchmark_group("two levels");
    let (agent, metadata) = (locks::open(dir.path(), "a.lock"), locks::open(dir.path(), "b.lock"));
    group.bench_function("flock", |bencher| {
        bencher.iter(|| {
            for file in [&agent, &metadata] {
                flock(file, FlockOperation::LockExclusive).expect("the lock");
            }
            for file in [&metadata, &agent] {
                flock(file, FlockOperation::Unlock).expect("unlocked");
            }
        });
    });
    group.bench_function("open, flock, close", |bencher| bencher.iter(|| opened(dir.path())));
    let store = ours::open(dir.path());
    let mut metadata = ours::lock(dir.path(), Mode::Exclusive);
    group.bench_function(ours::LOCK, |bencher| {
        bencher.iter(|| {
            let _agent = store.agent("chef").expect("the agent is free");
            metadata(&mut || ());
        });
    });
    group.finish();
}

/// As who does not keep the files open.
fn opened(dir: &Path) {
    let files = ["a.lock", "b.lock"].map(|name| {
        let file = locks::open(dir, name);
        flock(&file, FlockOperation::LockExclusive).expect("the lock");
        file
    });
    files.iter().rev().for_each(|file| flock(file, FlockOperation::Unlock).expect("unlocked"));
}
