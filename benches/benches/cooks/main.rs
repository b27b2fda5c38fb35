//! `cargo bench -p cooks-benches`

mod executions;
mod operations;
mod search;
mod store;

use std::time::Duration;

use criterion::Criterion;

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(3))
        .sample_size(20)
        .configure_from_args();
    executions::measure(&mut criterion);
    operations::measure(&mut criterion);
    search::measure(&mut criterion);
    store::measure(&mut criterion);
    criterion.final_summary();
}
