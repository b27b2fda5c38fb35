//! At random: shuttle runs more processes than can be explored in full, in orders drawn from a printed seed; and
//! depth first, every order of every step, where there are few.

use ::shuttle::scheduler::{DfsScheduler, PctScheduler, RandomScheduler, Scheduler};
use ::shuttle::{Config, FailurePersistence, Runner};

use super::*;
use crate::host::MonitorLock;

checker!(Shuttle, ShuttleMonitor, MonitorLock<Self>, shuttle);

impl Checker for Shuttle {
    fn run(processes: Vec<Box<dyn FnOnce() + Send>>) {
        let threads: Vec<_> = processes.into_iter().map(::shuttle::thread::spawn).collect();
        for thread in threads {
            thread.join().expect("a thread of the model panicked");
        }
    }
}

/// The seed of all the random runs here. shuttle takes another from SHUTTLE_RANDOM_SEED.
const SEED: u64 = 0x5eed_c00c;

/// How many of the orders in which PCT runs the processes have this many places where one is stopped.
const PCT_DEPTH: usize = 3;

fn explore(scheduler: impl Scheduler + 'static, body: impl Fn() + Send + Sync + 'static) {
    let mut config = Config::new();
    // The failures that are expected here are found again by the seed.
    config.failure_persistence = FailurePersistence::None;
    let executions = Runner::new(scheduler, config).run(body);
    println!("{executions} executions");
}

/// Runs `body` so many times in random orders, and as many times in those of PCT.
fn at_random(executions: usize, body: fn()) {
    uniformly(executions, body);
    by_priorities(executions, body);
}

fn uniformly(executions: usize, body: fn()) {
    explore(RandomScheduler::new_from_seed(seed(), executions), body);
}

fn by_priorities(executions: usize, body: fn()) {
    explore(PctScheduler::new_from_seed(seed(), PCT_DEPTH, executions), body);
}

fn in_full(body: fn()) {
    explore(DfsScheduler::new(None, false), body);
}

fn seed() -> u64 {
    let seed = std::env::var("SHUTTLE_RANDOM_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(SEED);
    println!("SHUTTLE_RANDOM_SEED={seed}");
    seed
}

/// Each of the random schedulers must find the planted bug by itself.
fn assert_both_find(body: fn(), expected: &str) {
    assert_found(|| uniformly(3000, body), expected);
    assert_found(|| by_priorities(3000, body), expected);
}

#[test]
fn eight_agents_lose_no_update() {
    at_random(3000, || updates::<Shuttle>(8, &[]));
}

#[test]
fn eight_agents_that_load_and_save_lose_nothing() {
    at_random(3000, || saves::<Shuttle>(8, &[]));
}

#[test]
fn eight_processes_with_one_agent_lose_no_update() {
    at_random(3000, || same_agent::<Shuttle>(8, &[]));
}

#[test]
fn seven_readers_see_the_state_before_or_after() {
    at_random(3000, || readers::<Shuttle>(8, 3, &[]));
}

#[test]
fn eight_agents_are_never_inside_together() {
    at_random(3000, || exclusion::<Shuttle>(8, &[]));
}

#[test]
fn every_order_of_two_processes_at_the_bare_lock() {
    in_full(|| bare_lock::<Shuttle>(2, false, &[]));
}

#[test]
fn finds_a_save_without_the_lock() {
    assert_both_find(|| saves::<Shuttle>(2, &[Rule::WriterLocks]), "lost update");
    assert_both_find(|| updates::<Shuttle>(2, &[Rule::WriterLocks]), "lost update");
    assert_both_find(|| exclusion::<Shuttle>(2, &[Rule::WriterLocks]), "two inside");
}

#[test]
fn finds_a_save_without_the_reload() {
    assert_both_find(|| saves::<Shuttle>(2, &[Rule::SaveReloads]), "lost update");
}

#[test]
fn finds_a_reader_without_the_lock_beside_a_writer_in_place() {
    assert_both_find(|| readers::<Shuttle>(2, 10, &[Rule::ReaderLocks, Rule::ReplaceWhole]), "torn read");
}

#[test]
fn finds_the_deadlock_of_locks_without_an_order() {
    assert_both_find(|| opposite_orders::<Shuttle>(0, &[Rule::LockOrder]), "deadlock");
}

#[test]
fn a_lock_file_that_is_removed_while_others_wait_makes_no_second_holder() {
    at_random(3000, || bare_lock::<Shuttle>(8, true, &[]));
    assert_both_find(|| bare_lock::<Shuttle>(3, true, &[Rule::LockFileChecked]), "two inside");
}
