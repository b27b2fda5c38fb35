//! The protocol under model checkers: the bodies that they run. See the README in this folder.

mod loom;
mod shuttle;

use std::path::Path;
use std::sync::{Arc, PoisonError};

use serde_json::{Value, json};

use crate::host::{Host, MemHost, Mode, Monitor, Threading};
use crate::rules::Rule;
use crate::{Agent, Error, METADATA_FILE, METADATA_LOCK, Metadata, Store};

const DIR: &str = "/d";

/// What a checker brings: its primitives, and its threads.
pub(crate) trait Checker: Threading {
    /// Runs `work` in a thread; the result waits for it.
    fn spawn<R: Send + 'static>(work: impl FnOnce() -> R + Send + 'static) -> impl FnOnce() -> R;
}

/// Implements [`Monitor`] and [`Threading`] for a checker's look-alikes of std's types.
macro_rules! checker {
    ($name:ident, $monitor:ident, $lib:ident) => {
        /// The threads of this checker.
        pub(crate) enum $name {}

        pub(crate) struct $monitor<T> {
            value: ::$lib::sync::Mutex<T>,
            changed: ::$lib::sync::Condvar,
        }

        impl<T: Send> Monitor<T> for $monitor<T> {
            fn new(value: T) -> Self {
                Self { value: ::$lib::sync::Mutex::new(value), changed: ::$lib::sync::Condvar::new() }
            }

            fn with<R>(&self, work: impl FnOnce(&mut T) -> R) -> R {
                work(&mut self.value.lock().unwrap_or_else(PoisonError::into_inner))
            }

            fn wait<R>(&self, mut work: impl FnMut(&mut T) -> Option<R>) -> R {
                let mut guard = self.value.lock().unwrap_or_else(PoisonError::into_inner);
                loop {
                    if let Some(result) = work(&mut guard) {
                        return result;
                    }
                    guard = self.changed.wait(guard).unwrap_or_else(PoisonError::into_inner);
                }
            }

            fn notify(&self) {
                self.changed.notify_all();
            }
        }

        impl Threading for $name {
            type Monitor<T: Send + 'static> = $monitor<T>;
            type ThreadId = ::$lib::thread::ThreadId;

            fn current() -> Self::ThreadId {
                ::$lib::thread::current().id()
            }

            fn usable() -> bool {
                !std::thread::panicking()
            }
        }

        impl Checker for $name {
            fn spawn<R: Send + 'static>(work: impl FnOnce() -> R + Send + 'static) -> impl FnOnce() -> R {
                let thread = ::$lib::thread::spawn(work);
                move || thread.join().expect("a thread of the model panicked")
            }
        }
    };
}
use checker;

/// Runs `work` once for each process, all at the same time, and gives their results.
fn in_processes<C: Checker, R: Send + 'static>(
    count: u32,
    rules: &'static [Rule],
    disk: &MemHost<C>,
    work: impl Fn(Store<MemHost<C>>, String) -> R + Clone + Send + 'static,
) -> Vec<R> {
    let start = |process: u32| {
        let (host, work) = (disk.as_process(process), work.clone());
        C::spawn(move || {
            let store = Store::on(host, DIR).expect("opens").breaking(rules);
            work(store, format!("agent-{process}"))
        })
    };
    let running: Vec<_> = (1..=count).map(start).collect();
    running.into_iter().map(|join| join()).collect()
}

fn final_state<C: Checker>(disk: &MemHost<C>) -> Metadata {
    Store::on(disk.clone(), DIR).and_then(|store| store.load()).expect("the final state can be loaded")
}

fn count_up(metadata: &mut Metadata, key: &str) {
    let count = metadata.get(key).and_then(Value::as_u64).unwrap_or(0);
    metadata.insert(key.to_owned(), json!(count + 1));
}

fn assert_nothing_lost<C: Checker>(disk: &MemHost<C>, processes: u32) {
    let expected = (1..=processes).map(|process| (format!("agent-{process}"), json!(1))).collect();
    assert_eq!(final_state(disk), expected, "lost update");
}

/// Each agent counts up its own part by `update`.
fn updates<C: Checker>(processes: u32, rules: &'static [Rule]) {
    let disk = MemHost::<C>::with_threading();
    let done = in_processes(processes, rules, &disk, |store, id| {
        store.agent(&id)?.update(|metadata| count_up(metadata, &id))
    });
    for result in done {
        result.expect("the update succeeds");
    }
    assert_nothing_lost(&disk, processes);
}

/// Each agent loads, changes its own part of what it loaded, and saves it.
fn saves<C: Checker>(processes: u32, rules: &'static [Rule]) {
    let disk = MemHost::<C>::with_threading();
    let done = in_processes(processes, rules, &disk, |store, id| {
        let agent = store.agent(&id)?;
        save_one_more(&agent, &store.load()?, &id)
    });
    assert_all_saved(&disk, done);
}

/// The same, all from one base that was loaded before: half as many steps, and no less stale.
fn saves_of_one_base<C: Checker>(processes: u32, rules: &'static [Rule]) {
    let disk = MemHost::<C>::with_threading();
    let done = in_processes(processes, rules, &disk, |store, id| {
        save_one_more(&store.agent(&id)?, &Metadata::new(), &id)
    });
    assert_all_saved(&disk, done);
}

fn save_one_more<C: Checker>(agent: &Agent<MemHost<C>>, base: &Metadata, id: &str) -> Result<(), Error> {
    let mut mine = base.clone();
    count_up(&mut mine, id);
    agent.save(base, &mine).map(drop)
}

fn assert_all_saved<C: Checker>(disk: &MemHost<C>, done: Vec<Result<(), Error>>) {
    let processes = done.len() as u32;
    for result in done {
        result.expect("the save succeeds");
    }
    assert_nothing_lost(disk, processes);
}

/// Agents of one id in several processes, so that the agent's lock is contended as well.
fn same_agent<C: Checker>(processes: u32, rules: &'static [Rule]) {
    let disk = MemHost::<C>::with_threading();
    let done = in_processes(processes, rules, &disk, |store, _| {
        store.agent("one")?.update(|metadata| count_up(metadata, "one"))
    });
    for result in done {
        result.expect("the update succeeds");
    }
    assert_eq!(final_state(&disk).get("one"), Some(&json!(processes)), "lost update");
}

/// The first process updates, the others load so many times: what they see is the state before or after.
fn readers<C: Checker>(processes: u32, loads: usize, rules: &'static [Rule]) {
    let disk = MemHost::<C>::with_threading();
    disk.put(&Path::new(DIR).join(METADATA_FILE), br#"{ "other": 1 }"#);
    let seen = in_processes(processes, rules, &disk, move |store, id| {
        if id != "agent-1" {
            return (0..loads).map(|_| store.load()).collect();
        }
        store.agent(&id)?.update(|metadata| count_up(metadata, &id)).map(|()| Vec::new())
    });
    for states in seen {
        let states: Vec<Metadata> = states.unwrap_or_else(|error| panic!("torn read: {error}"));
        assert!(states.iter().all(|state| state.get("other") == Some(&json!(1))), "torn read");
    }
}

/// Nobody is inside the metadata lock's critical section with another, nor with a reader of the same file.
fn exclusion<C: Checker>(processes: u32, rules: &'static [Rule]) {
    let disk = MemHost::<C>::with_threading();
    let inside = Arc::new(C::Monitor::new(0_u32));
    let overlaps = in_processes(processes, rules, &disk, move |store, id| {
        store.agent(&id)?.update(|_| {
            let others = inside.with(|inside| std::mem::replace(inside, *inside + 1));
            inside.with(|inside| *inside -= 1);
            others
        })
    });
    for others in overlaps {
        assert_eq!(others.expect("the update succeeds"), 0, "two inside");
    }
}

/// Processes take two agent locks in opposite orders. Returns how many were refused.
fn opposite_orders<C: Checker>(rules: &'static [Rule]) -> usize {
    let disk = MemHost::<C>::with_threading();
    let done = in_processes(2, rules, &disk, |store, id| -> Result<(), Error> {
        let (first, second) = if id == "agent-1" { ("a", "b") } else { ("b", "a") };
        let _first = store.agent(first)?;
        store.agent(second).map(drop)
    });
    done.into_iter().filter(|result| matches!(result, Err(Error::Order { .. }))).count()
}

/// Processes take the bare metadata lock: never two. With `unlink`, each removes the lock file before it lets go, as
/// a clean-up by another program would.
fn bare_lock<C: Checker>(processes: u32, unlink: bool, rules: &'static [Rule]) {
    let disk = MemHost::<C>::with_threading();
    let inside = Arc::new(C::Monitor::new(0_u32));
    let host = disk.clone();
    let overlaps = in_processes(processes, rules, &disk, move |store, _| {
        let _lock = store.metadata_lock(Mode::Exclusive)?;
        let others = inside.with(|inside| std::mem::replace(inside, *inside + 1));
        inside.with(|inside| *inside -= 1);
        if unlink {
            // When a rule is broken, another may have removed it.
            drop(host.remove(&Path::new(DIR).join(METADATA_LOCK)));
        }
        Ok::<_, Error>(others)
    });
    for others in overlaps {
        assert_eq!(others.expect("takes the lock"), 0, "two inside");
    }
}

/// Runs a check that must fail, and gives the message with which it did.
fn failure(check: impl FnOnce() + std::panic::UnwindSafe) -> String {
    let payload = std::panic::catch_unwind(check).expect_err("the checker did not find the planted bug");
    let text = payload.downcast_ref::<String>().cloned();
    text.or_else(|| payload.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
}

fn assert_found(check: impl FnOnce() + std::panic::UnwindSafe, expected: &str) {
    let message = failure(check);
    assert!(message.contains(expected), "expected {expected:?}, but the checker said: {message}");
}
