//! The core where nobody else wants the lock: against a bare lock, and against the same work by hand.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::Path;

use cooks_core::{METADATA_FILE, METADATA_LOCK, Metadata, Store};
use criterion::Criterion;
use nix::fcntl::{Flock, FlockArg};
use serde_json::json;

pub fn measure(criterion: &mut Criterion) {
    let dir = tempfile::tempdir_in("/dev/shm").expect("there is a tmpfs");
    let store = Store::open(&dir).expect("the store opens");
    let agent = store.agent("chef").expect("the agent is free");
    agent.update(|metadata| put(metadata, 0)).expect("an update");

    let mut group = criterion.benchmark_group("store");
    group.bench_function("lock and unlock", |bencher| {
        bencher.iter(|| drop(lock(dir.path(), FlockArg::LockShared)));
    });
    group.bench_function("load by hand", |bencher| {
        bencher.iter(|| {
            let _lock = lock(dir.path(), FlockArg::LockShared);
            read(dir.path())
        });
    });
    group.bench_function("load", |bencher| bencher.iter(|| store.load().expect("a load")));
    let mut dishes = 0;
    group.bench_function("update by hand", |bencher| {
        bencher.iter(|| {
            dishes += 1;
            let _lock = lock(dir.path(), FlockArg::LockExclusive);
            let mut metadata = read(dir.path());
            put(&mut metadata, dishes);
            replace(dir.path(), &metadata);
        });
    });
    group.bench_function("update", |bencher| {
        bencher.iter(|| {
            dishes += 1;
            agent.update(|metadata| put(metadata, dishes)).expect("an update");
        });
    });
    group.finish();
}

fn put(metadata: &mut Metadata, dishes: u64) {
    metadata.insert("chef".into(), json!({ "dishes": dishes }));
}

/// Opens and takes the metadata lock.
fn lock(dir: &Path, how: FlockArg) -> Flock<File> {
    let file =
        OpenOptions::new().read(true).write(true).open(dir.join(METADATA_LOCK)).expect("the lock file");
    Flock::lock(file, how).expect("the lock")
}

fn read(dir: &Path) -> Metadata {
    let mut bytes = Vec::new();
    let mut file = File::open(dir.join(METADATA_FILE)).expect("the file");
    file.read_to_end(&mut bytes).expect("its content");
    serde_json::from_slice(&bytes).expect("JSON")
}

/// Puts a flushed file in the place of the old one, and flushes the directory.
fn replace(dir: &Path, metadata: &Metadata) {
    let temporary = dir.join("temporary");
    let mut file = File::create(&temporary).expect("a new file");
    file.write_all(&serde_json::to_vec_pretty(metadata).expect("JSON")).expect("written");
    file.sync_all().expect("flushed");
    std::fs::rename(&temporary, dir.join(METADATA_FILE)).expect("renamed");
    File::open(dir).and_then(|dir| dir.sync_all()).expect("flushed");
}
