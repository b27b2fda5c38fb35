//! Exhaustive: loom runs every order of dependent steps. No test here has a bound on preemptions, on time, or on
//! anything else.
//!
//! Two things keep that short, and neither leaves out an order that matters. What processes share is many small
//! objects (names, contents, locks), so that loom sees which steps are independent; and what waits is known to loom
//! as waiting ([`LoomFileLock`], [`Loom::run`]). For the largest models there is a third: a lock file that lasts,
//! which opening and checking need not be ordered with anything (`host/mem/name.rs`); their names say so.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};

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
    let executions = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&executions);
    let mut builder = ::loom::model::Builder::new();
    // loom takes bounds from the environment.
    (builder.preemption_bound, builder.max_permutations, builder.max_duration) = (None, None, None);
    builder.check(move || {
        counter.fetch_add(1, Ordering::Relaxed);
        body();
    });
    println!("{} executions", executions.load(Ordering::Relaxed));
}

/// All the different results of `work` that come up in some execution, each sorted by agent.
fn outcomes<R: Ord + Send + 'static>(
    processes: usize,
    work: impl Fn(Store<MemHost<Loom>>, String) -> R + Clone + Send + Sync + 'static,
) -> usize {
    let outcomes = Arc::new(Mutex::new(BTreeSet::new()));
    let all = Arc::clone(&outcomes);
    explore(move || {
        let (all, work) = (Arc::clone(&all), work.clone());
        let work = move |store, id: String| (id.clone(), work(store, id));
        in_processes(processes, &[], &fresh(), work, move |mut done| {
            done.sort();
            all.lock().expect("no panic").insert(done);
        });
    });
    outcomes.lock().expect("no panic").len()
}

#[test]
fn two_agents_lose_no_update() {
    explore(|| updates::<Loom>(2, &[]));
}

#[test]
fn two_agents_lose_no_save() {
    explore(|| saves_of_one_base::<Loom>(2, &[]));
}

#[test]
fn two_agents_that_load_and_save_lose_nothing() {
    explore(|| saves::<Loom>(2, &[]));
}

#[test]
fn three_agents_lose_no_update() {
    explore(|| updates::<Loom>(3, &[]));
}

#[test]
fn three_agents_lose_no_save() {
    explore(|| saves_of_one_base::<Loom>(3, &[]));
}

#[test]
fn two_readers_see_the_state_before_or_after() {
    explore(|| readers::<Loom>(3, 1, &[]));
}

#[test]
fn three_agents_that_load_and_save_lose_nothing_where_the_lock_file_lasts() {
    explore(|| saves_on(with_lasting_lock::<Loom>(), 3, &[]));
}

#[test]
fn four_agents_lose_no_update_where_the_lock_file_lasts() {
    explore(|| updates_on(with_lasting_lock::<Loom>(), 4, &[]));
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
fn three_processes_with_one_agent_lose_no_update() {
    explore(|| same_agent::<Loom>(3, &[]));
}

#[test]
fn two_processes_with_one_agent_lose_no_update() {
    explore(|| same_agent::<Loom>(2, &[]));
}

#[test]
fn a_reader_sees_the_state_before_or_after() {
    explore(|| readers::<Loom>(2, 1, &[]));
}

#[test]
fn two_agents_are_never_inside_together() {
    explore(|| exclusion::<Loom>(2, &[]));
}

#[test]
fn three_agents_are_never_inside_together() {
    explore(|| exclusion::<Loom>(3, &[]));
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
    assert_found(|| explore(|| saves_of_one_base::<Loom>(2, &[Rule::SaveReloads])), "lost update");
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
    assert_found(|| explore(|| opposite_orders::<Loom>(0, &[Rule::LockOrder])), "deadlock");
}

#[test]
fn a_lock_file_that_is_removed_while_others_wait_makes_no_second_holder() {
    explore(|| bare_lock::<Loom>(3, true, &[]));
    assert_found(|| explore(|| bare_lock::<Loom>(3, true, &[Rule::LockFileChecked])), "two inside");
}
