//! `cargo bench -p cooks-benches`

mod executions;
mod load;
mod locks;
mod operations;
mod ratios;
mod search;
mod store;

use std::time::{Duration, SystemTime};

use criterion::Criterion;
use tempfile::TempDir;

fn main() {
    let begun = SystemTime::now();
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(3))
        .sample_size(20)
        .configure_from_args();
    executions::measure(&mut criterion);
    operations::measure(&mut criterion);
    search::measure(&mut criterion);
    store::measure(&mut criterion);
    locks::one(&mut criterion);
    locks::two_levels(&mut criterion);
    load::measure(&mut criterion);
    criterion.final_summary();
    ratios::print(begun);
}

/// A directory where the build is: on a disk, as a rule.
fn disk() -> TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("cargo made a directory")
}
