//! Reading the metadata of a hundred agents, 18.7 kB, which nobody changes: against what is the least for it.

use cooks_benches::{crowd, ours};
use cooks_core::Metadata;
use criterion::Criterion;

use crate::disk;

pub fn measure(criterion: &mut Criterion) {
    let dir = disk();
    crowd::write(dir.path());
    let store = ours::open(dir.path());
    let path = store.path();
    let read = || std::fs::read(&path).expect("the file can be read");

    let mut group = criterion.benchmark_group("load");
    group.bench_function("stat", |bencher| {
        bencher.iter(|| std::fs::metadata(&path).expect("the file is there"));
    });
    group.bench_function("read", |bencher| bencher.iter(read));
    group.bench_function("read and parse", |bencher| {
        bencher.iter(|| serde_json::from_slice::<Metadata>(&read()).expect("JSON"));
    });
    group.bench_function("ours, unchanged", |bencher| bencher.iter(|| store.load().expect("a load")));
    group.finish();
}
