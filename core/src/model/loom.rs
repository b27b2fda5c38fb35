//! Every order of dependent steps, by loom: in full ([`explore`]) where that ends in seconds, else all with so many
//! preemptions as the call says ([`explore_within`]). Nothing else is bounded.
//!
//! Three things keep that short, and none leaves out an order that matters. What processes share is many small
//! objects (names, contents, locks), so that loom sees which steps are independent; what waits is known to loom
//! as waiting ([`LoomFileLock`], [`Loom::run`]); and the metadata lock's file lasts, so that opening and checking it need
//! not be ordered with anything (`host/mem/name.rs`). Where it does not last is explored with the bare lock.

use std::collections::BTreeSet;
use std::sync::atomic::AtomicUsize;

use ::loom::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::*;
use crate::host::FileLock;

checker!(Loom, LoomMonitor, LoomFileLock, loom);

impl Checker for Loom {
    /// Nobody waits for the threads here. loom does, and would take a wait of ours for one more step, to be tried in
    /// every order with the last step of each thread.
    fn run(mut processes: Vec<Box<dyn FnOnce() + Send>>) {
        let here = processes.pop();
        for process in processes {
            ::loom::thread::spawn(process);
        }
        if let Some(process) = here {
            process();
        }
    }
}

/// A file lock that is one of loom's own: loom knows that a thread that waits for it cannot go on, and does not try
/// the orders in which it would only look again. All ways to take one lock are dependent for loom, shared or not, so it
/// tries them in every order.
///
/// Freeing a lock is no step for loom. A try that does not wait can tell a lock that is about to be freed from one that
/// was freed, so whoever frees the lock does something before that loom sees to depend on a try: who has it alone
/// tries to read; who has it with others writes to a flag that each try to have it alone reads. (To try to read as well
/// would count as one more reader, and to try to write would wait for ourselves.)
///
/// It is leaked, since loom's guards borrow their lock and outlive the call that takes it here; owning both in one
/// place needs unsafe code. That is some hundred bytes in each execution.
pub(crate) struct LoomFileLock {
    lock: &'static RwLock<()>,
    left: ::loom::sync::atomic::AtomicBool,
}

/// Holds a [`LoomFileLock`].
#[expect(dead_code, reason = "held to be dropped")]
pub(crate) enum LoomHeld {
    Shared(RwLockReadGuard<'static, ()>),
    Exclusive(RwLockWriteGuard<'static, ()>),
}

impl FileLock for LoomFileLock {
    type Held = LoomHeld;

    fn new() -> Self {
        let lock = Box::leak(Box::new(RwLock::new(())));
        Self { lock, left: ::loom::sync::atomic::AtomicBool::new(false) }
    }

    fn take(&self, mode: Mode) -> LoomHeld {
        match mode {
            Mode::Shared => LoomHeld::Shared(self.lock.read().unwrap_or_else(PoisonError::into_inner)),
            Mode::Exclusive => LoomHeld::Exclusive(self.lock.write().unwrap_or_else(PoisonError::into_inner)),
        }
    }

    fn try_take(&self, mode: Mode) -> Option<LoomHeld> {
        Some(match mode {
            Mode::Shared => LoomHeld::Shared(self.lock.try_read().ok()?),
            Mode::Exclusive => {
                self.left.load(Ordering::SeqCst);
                LoomHeld::Exclusive(self.lock.try_write().ok()?)
            }
        })
    }

    fn about_to_free(&self, held: &LoomHeld) {
        match held {
            LoomHeld::Shared(_) => self.left.store(true, Ordering::SeqCst),
            LoomHeld::Exclusive(_) => drop(self.lock.try_read()),
        }
    }
}

/// Explores `body` in full, and prints how many executions that took.
fn explore(body: impl Fn() + Send + Sync + 'static) {
    explore_within(None, body);
}

/// Explores all executions of `body` in which at most so many times a process is stopped that could go on.
fn explore_within(preemptions: impl Into<Option<usize>>, body: impl Fn() + Send + Sync + 'static) {
    let executions = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&executions);
    let mut builder = ::loom::model::Builder::new();
    // loom takes bounds from the environment.
    (builder.preemption_bound, builder.max_permutations, builder.max_duration) =
        (preemptions.into(), None, None);
    builder.max_branches = 10_000;
    builder.check(move || {
        counter.fetch_add(1, Ordering::Relaxed);
        body();
    });
    println!("{} executions", executions.load(Ordering::Relaxed));
}

/// All the different results of `work` that come up in some execution with two preemptions, each sorted by agent.
fn outcomes<R: Ord + Send + 'static>(
    processes: usize,
    work: impl Fn(Store<MemHost<Loom>>, String) -> R + Clone + Send + Sync + 'static,
) -> usize {
    let outcomes = Arc::new(Mutex::new(BTreeSet::new()));
    let all = Arc::clone(&outcomes);
    explore_within(2, move || {
        let (all, work) = (Arc::clone(&all), work.clone());
        let work = move |store, id: String| (id.clone(), work(store, id));
        in_processes(processes, &[], &fresh(), work, move |mut done| {
            done.sort();
            all.lock().expect("no panic").insert(done);
        });
    });
    outcomes.lock().expect("no panic").len()
}

/// How many calls the longest way of a process has, and some more: beyond it, nobody is killed.
const CALLS: std::ops::Range<u32> = 0..48;

#[test]
fn two_agents_lose_no_update() {
    explore(|| updates::<Loom>(2, &[]));
}

#[test]
fn three_agents_lose_no_update() {
    explore_within(3, || updates::<Loom>(3, &[]));
}

#[test]
fn two_agents_that_wait_with_requests_lose_no_change() {
    explore_within(8, || changes::<Loom>(2, &[]));
}

#[test]
fn three_agents_that_wait_with_requests_lose_no_change() {
    explore_within(3, || changes::<Loom>(3, &[]));
}

#[test]
fn two_agents_lose_no_save() {
    explore_within(6, || saves_of_one_base::<Loom>(2, &[]));
    explore_within(4, || saves::<Loom>(2, &[]));
}

#[test]
fn three_agents_lose_no_save() {
    explore_within(3, || saves_of_one_base::<Loom>(3, &[]));
    explore_within(2, || saves::<Loom>(3, &[]));
}

#[test]
fn a_request_is_merged_with_what_others_wrote() {
    explore_within(4, || changes_beside_others::<Loom>(2, &[]));
    explore_within(2, || changes_beside_others::<Loom>(3, &[]));
    assert_found(
        || explore_within(2, || changes_beside_others::<Loom>(2, &[Rule::RequestsAreMerged])),
        "lost update",
    );
}

#[test]
fn whoever_is_killed_wherever_the_others_lose_nothing() {
    for calls in CALLS {
        explore_within(3, move || killed::<Loom>(2, calls, &[]));
        explore_within(1, move || killed::<Loom>(3, calls, &[]));
    }
}

#[test]
fn finds_an_answer_before_the_flush() {
    let rules = &[Rule::AnsweredWhenDurable];
    assert_found(
        || CALLS.for_each(|calls| explore_within(2, move || killed::<Loom>(2, calls, rules))),
        "lost update",
    );
}

#[test]
fn what_was_told_to_be_done_outlives_the_power() {
    explore_within(4, || outlives_power::<Loom>(2, &[]));
    for rules in [&[Rule::DirectoryFlushed], &[Rule::FlushedBeforeRenamed]] {
        assert_found(|| explore_within(2, || outlives_power::<Loom>(2, rules)), "lost update");
    }
}

#[test]
fn a_dead_mans_request_is_not_done() {
    for calls in CALLS {
        explore_within(1, move || dead_mans_request::<Loom>(calls, &[]));
    }
}

#[test]
fn nobody_passes_who_waits() {
    explore(|| turns::<Loom>(2, 0, &[]));
    explore_within(3, || turns::<Loom>(3, 0, &[]));
    explore_within(3, || turns::<Loom>(1, 2, &[]));
}

#[test]
fn finds_who_does_not_keep_to_the_queue() {
    assert_found(|| explore_within(3, || turns::<Loom>(3, 0, &[Rule::TurnsAreKept])), "passed");
    assert_found(|| explore_within(3, || turns::<Loom>(3, 0, &[Rule::NobodyPasses])), "passed");
    assert_found(|| explore_within(3, || turns::<Loom>(1, 2, &[Rule::ReadersQueue])), "passed");
}

#[test]
fn what_dead_writers_left_is_put_right_beside_others() {
    explore_within(4, || openings::<Loom>(2, None, &[]));
    for calls in CALLS {
        explore_within(2, move || openings::<Loom>(2, Some(calls), &[]));
    }
}

/// The reduction leaves out no order of the critical sections.
#[test]
fn every_order_of_three_writers_comes_up() {
    let nth = |store: Store<_>, id: String| {
        let agent = store.agent(&id).expect("the agent");
        agent.update(|metadata| (metadata.len(), count_up(metadata, &id)).0).expect("updates")
    };
    assert_eq!(outcomes(3, nth), 6);
}

/// Each of two readers comes before the writer or after it, whatever the other does.
#[test]
fn every_order_of_a_writer_and_two_readers_comes_up() {
    let seen = |store: Store<_>, id: String| {
        if id == "agent-1" {
            let agent = store.agent(&id).expect("the agent");
            return agent.update(|metadata| count_up(metadata, &id)).is_ok();
        }
        store.load().expect("loads").contains_key("agent-1")
    };
    assert_eq!(outcomes(3, seen), 4);
}

#[test]
fn processes_with_one_agent_lose_no_update() {
    explore_within(5, || same_agent::<Loom>(2, &[]));
    explore_within(2, || same_agent::<Loom>(3, &[]));
}

#[test]
fn a_reader_sees_the_state_before_or_after() {
    explore(|| readers::<Loom>(2, 1, &[]));
    explore_within(3, || readers::<Loom>(3, 1, &[]));
}

#[test]
fn agents_are_never_inside_together() {
    explore(|| exclusion::<Loom>(2, &[]));
    explore_within(3, || exclusion::<Loom>(3, &[]));
}

#[test]
fn opposite_orders_are_refused() {
    explore(|| opposite_orders::<Loom>(1, &[]));
}

#[test]
fn finds_a_save_without_the_lock() {
    assert_found(|| explore(|| saves_of_one_base::<Loom>(2, &[Rule::WriterLocks])), "lost update");
    assert_found(|| explore(|| updates::<Loom>(2, &[Rule::WriterLocks])), "lost update");
    assert_found(|| explore(|| exclusion::<Loom>(2, &[Rule::WriterLocks])), "two inside");
}

#[test]
fn finds_a_save_without_the_reload() {
    let rules = &[Rule::SaveReloads];
    assert_found(|| explore_within(4, || saves_of_one_base::<Loom>(2, rules)), "lost update");
}

#[test]
fn finds_a_reader_without_the_lock_beside_a_writer_in_place() {
    let rules = &[Rule::ReaderLocks, Rule::ReplaceWhole];
    assert_found(|| explore(|| readers::<Loom>(2, 1, rules)), "torn read");
}

#[test]
fn either_rule_alone_keeps_a_reader_from_half_a_file() {
    explore(|| readers::<Loom>(2, 1, &[Rule::ReaderLocks]));
    explore(|| readers::<Loom>(2, 1, &[Rule::ReplaceWhole]));
}

#[test]
fn finds_the_deadlock_of_locks_without_an_order() {
    assert_found(|| explore_within(3, || opposite_orders::<Loom>(0, &[Rule::LockOrder])), "deadlock");
}

#[test]
fn a_lock_file_that_is_removed_while_others_wait_makes_no_second_holder() {
    explore_within(6, || bare_lock::<Loom>(2, true, &[]));
    explore_within(3, || bare_lock::<Loom>(3, true, &[]));
    assert_found(|| explore_within(3, || bare_lock::<Loom>(3, true, &[Rule::LockFileChecked])), "two inside");
}
