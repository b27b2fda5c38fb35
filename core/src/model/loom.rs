//! Exhaustive: loom runs every order of dependent steps.
//!
//! Where that takes too long, the test's name says how many preemptions it allows: how often a process may be stopped
//! that could have gone on.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

checker!(Loom, LoomMonitor, loom);

/// Explores `body` in full, or with at most so many preemptions, and prints how many executions that took.
fn explore(preemptions: Option<usize>, body: impl Fn() + Send + Sync + 'static) {
    let executions = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&executions);
    let mut builder = ::loom::model::Builder::new();
    builder.preemption_bound = preemptions;
    builder.check(move || {
        counter.fetch_add(1, Ordering::Relaxed);
        body();
    });
    println!("{} executions", executions.load(Ordering::Relaxed));
}

#[test]
fn two_agents_lose_no_update() {
    explore(None, || updates::<Loom>(2, &[]));
}

#[test]
fn two_agents_lose_no_save() {
    explore(None, || saves_of_one_base::<Loom>(2, &[]));
}

#[test]
fn two_agents_that_load_and_save_lose_nothing_with_5_preemptions() {
    explore(Some(5), || saves::<Loom>(2, &[]));
}

#[test]
fn three_agents_lose_no_update_with_4_preemptions() {
    explore(Some(4), || updates::<Loom>(3, &[]));
}

#[test]
fn three_agents_lose_no_save_with_3_preemptions() {
    explore(Some(3), || saves_of_one_base::<Loom>(3, &[]));
}

#[test]
fn two_readers_see_the_state_before_or_after_with_3_preemptions() {
    explore(Some(3), || readers::<Loom>(3, 1, &[]));
}

#[test]
fn two_processes_with_one_agent_lose_no_update() {
    explore(None, || same_agent::<Loom>(2, &[]));
}

#[test]
fn a_reader_sees_the_state_before_or_after() {
    explore(None, || readers::<Loom>(2, 1, &[]));
}

#[test]
fn two_agents_are_never_inside_together() {
    explore(None, || exclusion::<Loom>(2, &[]));
}

#[test]
fn opposite_orders_are_refused() {
    explore(None, || {
        assert_eq!(opposite_orders::<Loom>(&[]), 1, "the process that takes b first is refused");
    });
}

#[test]
fn finds_a_save_without_the_lock() {
    assert_found(|| explore(None, || saves_of_one_base::<Loom>(2, &[Rule::WriterLocks])), "lost update");
    assert_found(|| explore(None, || updates::<Loom>(2, &[Rule::WriterLocks])), "lost update");
    assert_found(|| explore(None, || exclusion::<Loom>(2, &[Rule::WriterLocks])), "two inside");
}

#[test]
fn finds_a_save_without_the_reload() {
    assert_found(|| explore(None, || saves_of_one_base::<Loom>(2, &[Rule::SaveReloads])), "lost update");
}

#[test]
fn finds_a_reader_without_the_lock_beside_a_writer_in_place() {
    let rules = &[Rule::ReaderLocks, Rule::ReplaceWhole];
    assert_found(|| explore(None, || readers::<Loom>(2, 1, rules)), "torn read");
}

#[test]
fn either_rule_alone_keeps_a_reader_from_half_a_file() {
    explore(None, || readers::<Loom>(2, 1, &[Rule::ReaderLocks]));
    explore(None, || readers::<Loom>(2, 1, &[Rule::ReplaceWhole]));
}

#[test]
fn finds_the_deadlock_of_locks_without_an_order() {
    assert_found(|| explore(None, || _ = opposite_orders::<Loom>(&[Rule::LockOrder])), "deadlock");
}

#[test]
fn a_lock_file_that_is_removed_while_others_wait_makes_no_second_holder_with_3_preemptions() {
    explore(Some(3), || bare_lock::<Loom>(3, true, &[]));
    assert_found(|| explore(Some(3), || bare_lock::<Loom>(3, true, &[Rule::LockFileChecked])), "two inside");
}
