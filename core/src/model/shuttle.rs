//! At random: shuttle runs more processes than can be explored in full, in orders drawn from a printed seed.

use ::shuttle::scheduler::{DfsScheduler, PctScheduler, RandomScheduler, Scheduler};
use ::shuttle::{Config, Runner};

use super::*;

checker!(Shuttle, ShuttleMonitor, shuttle);

fn explore(scheduler: impl Scheduler + 'static, body: impl Fn() + Send + Sync + 'static) {
    let executions = Runner::new(scheduler, Config::new()).run(body);
    println!("{executions} executions");
}

#[test]
fn x() {
    explore(DfsScheduler::new(None, false), || _ = opposite_orders::<Shuttle>(&[]));
    explore(RandomScheduler::new_from_seed(1, 100), || saves::<Shuttle>(8, &[]));
    explore(PctScheduler::new_from_seed(1, 3, 100), || saves::<Shuttle>(8, &[]));
}
