//! At random: shuttle runs more processes than can be explored in full, in orders drawn from a printed seed.

use ::shuttle::rand::Rng;
use ::shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler};
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
    by_priorities_with(PCT_DEPTH, executions, body);
}

fn by_priorities_with(depth: usize, executions: usize, body: fn()) {
    explore(PctScheduler::new_from_seed(seed(), depth, executions), body);
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

/// The number of schedules that the group commit is held to: the largest part of what runs here.
const MANY: usize = 100_000;

#[test]
fn eight_agents_that_wait_with_requests_lose_no_change() {
    at_random(MANY, || changes::<Shuttle>(8, &[]));
}

#[test]
fn eight_agents_beside_another_program_keep_what_it_wrote() {
    at_random(3000, || changes_beside_others::<Shuttle>(8, &[]));
    assert_both_find(|| changes_beside_others::<Shuttle>(3, &[Rule::RequestsAreMerged]), "lost update");
}

#[test]
fn whoever_of_eight_is_killed_wherever_the_others_lose_nothing() {
    at_random(6000, || killed::<Shuttle>(8, ::shuttle::rand::thread_rng().gen_range(0..48), &[]));
    let broken =
        || killed::<Shuttle>(3, ::shuttle::rand::thread_rng().gen_range(0..48), &[Rule::AnsweredWhenDurable]);
    assert_both_find(broken, "lost update");
}

#[test]
fn a_dead_mans_request_is_not_done() {
    at_random(6000, || dead_mans_request::<Shuttle>(::shuttle::rand::thread_rng().gen_range(0..48), &[]));
}

#[test]
fn nobody_passes_who_waits() {
    at_random(3000, || turns::<Shuttle>(5, 3, &[]));
    assert_both_find(|| turns::<Shuttle>(8, 0, &[Rule::TurnsAreKept]), "passed");
    // One must come between the moment that the lock is free and the moment that the next has it: more is to be stopped.
    assert_found(|| uniformly(3000, || turns::<Shuttle>(8, 0, &[Rule::NobodyPasses])), "passed");
    assert_found(
        || by_priorities_with(5, 30_000, || turns::<Shuttle>(4, 0, &[Rule::NobodyPasses])),
        "passed",
    );
    assert_both_find(|| turns::<Shuttle>(4, 4, &[Rule::ReadersQueue]), "passed");
}

#[test]
fn what_dead_writers_left_is_put_right_beside_others() {
    at_random(3000, || openings::<Shuttle>(8, Some(::shuttle::rand::thread_rng().gen_range(0..48)), &[]));
}

/// Two processes, one of them killed anywhere, and then the power lost: what was told to be done is there.
#[test]
fn what_was_told_to_be_done_outlives_the_power() {
    at_random(3000, || outlives_power::<Shuttle>(4, &[]));
    assert_both_find(|| outlives_power::<Shuttle>(2, &[Rule::DirectoryFlushed]), "lost update");
    assert_both_find(|| outlives_power::<Shuttle>(2, &[Rule::FlushedBeforeRenamed]), "lost update");
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
