//! The protocol under model checkers: the bodies that they run. See the README in this folder.

mod loom;
mod shuttle;
mod single;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};

use crate::host::{Host, MemHost, Mode, Monitor, Observed, Threading};
use crate::rules::Rule;
use crate::{Agent, Error, METADATA_FILE, METADATA_LOCK, Metadata, Snapshot, Store};

const DIR: &str = "/d";

/// What a checker brings: its primitives, and its threads.
pub(crate) trait Checker: Threading {
    /// Runs each of these in a thread of its own, all at the same time.
    fn run(processes: Vec<Box<dyn FnOnce() + Send>>);
}

/// Implements [`Monitor`] and [`Threading`] for a checker's look-alikes of std's types.
macro_rules! checker {
    ($name:ident, $monitor:ident, $file_lock:ty, $lib:ident) => {
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
            type FileLock = $file_lock;
            type ThreadId = ::$lib::thread::ThreadId;

            fn current() -> Self::ThreadId {
                ::$lib::thread::current().id()
            }

            fn usable() -> bool {
                !std::thread::panicking()
            }
        }
    };
}
use checker;

/// Runs `work` once for each process, all at the same time; whoever is the last to finish does `check` with the results.
///
/// What is shared here is in a std mutex and no part of the model: no process can see it, and `check` comes after the
/// last step of all of them and takes none itself.
fn in_processes<C: Checker, R: Send + 'static>(
    count: usize,
    rules: &'static [Rule],
    disk: &MemHost<C>,
    work: impl Fn(Store<MemHost<C>>, String) -> R + Clone + Send + 'static,
    check: impl FnOnce(Vec<R>) + Send + 'static,
) {
    let results = Arc::new(Mutex::new((Vec::new(), Some(check))));
    let start = |process: usize| -> Box<dyn FnOnce() + Send> {
        let (host, work, results) = (disk.as_process(process as u32), work.clone(), Arc::clone(&results));
        Box::new(move || {
            let store = Store::open_clean(&host, Path::new(DIR)).expect("opens").breaking(rules);
            let result = work(store, format!("agent-{process}"));
            let done = {
                let (done, check) = &mut *results.lock().unwrap_or_else(PoisonError::into_inner);
                done.push(result);
                if done.len() == count {
                    check.take().map(|check| (check, std::mem::take(done)))
                } else {
                    None
                }
            };
            if let Some((check, done)) = done {
                check(done);
            }
        })
    };
    C::run((1..=count).map(start).collect());
}

/// What is in the file in the end, read past the protocol.
fn final_state<C: Threading>(disk: &MemHost<C>) -> Metadata {
    let bytes = disk.peek(&Path::new(DIR).join(METADATA_FILE)).expect("lost update: no file");
    serde_json::from_slice(&bytes).expect("lost update: no object")
}

/// A disk with an empty object in the file, and with the metadata lock's file, which nobody may take away: fewer steps.
fn fresh<C: Checker>() -> MemHost<C> {
    let disk = MemHost::with_threading();
    disk.put(&Path::new(DIR).join(METADATA_FILE), b"{}\n");
    disk.put_lasting_lock(&Path::new(DIR).join(METADATA_LOCK));
    disk
}

fn count_up(metadata: &mut Metadata, key: &str) {
    let count = metadata.get(key).and_then(Value::as_u64).unwrap_or(0);
    metadata.insert(key.to_owned(), json!(count + 1));
}

/// Each agent counts up its own part by `update`.
fn updates<C: Checker>(processes: usize, rules: &'static [Rule]) {
    updates_on(fresh::<C>(), processes, rules);
}

fn updates_on<C: Checker>(disk: MemHost<C>, processes: usize, rules: &'static [Rule]) {
    let work = |store: Store<_>, id: String| store.agent(&id)?.update(|metadata| count_up(metadata, &id));
    in_processes(processes, rules, &disk.clone(), work, move |done| assert_all_done(&disk, done));
}

/// Each agent loads, changes its own part of what it loaded, and saves it.
fn saves<C: Checker>(processes: usize, rules: &'static [Rule]) {
    saves_on(fresh::<C>(), processes, rules);
}

fn saves_on<C: Checker>(disk: MemHost<C>, processes: usize, rules: &'static [Rule]) {
    let work = |store: Store<_>, id: String| {
        let agent = store.agent(&id)?;
        let base = store.load()?;
        save_one_more(&agent, &base, &id)
    };
    in_processes(processes, rules, &disk.clone(), work, move |done| assert_all_done(&disk, done));
}

/// The same, all from one base that was loaded before: half as many steps, and no less stale.
fn saves_of_one_base<C: Checker>(processes: usize, rules: &'static [Rule]) {
    let disk = fresh::<C>();
    let work = |store: Store<_>, id: String| save_one_more(&store.agent(&id)?, &Metadata::new(), &id);
    in_processes(processes, rules, &disk.clone(), work, move |done| assert_all_done(&disk, done));
}

fn save_one_more<C: Checker>(agent: &Agent<MemHost<C>>, base: &Metadata, id: &str) -> Result<(), Error> {
    let mut mine = base.clone();
    count_up(&mut mine, id);
    agent.save(base, &mine).map(drop)
}

fn assert_all_done<C: Checker>(disk: &MemHost<C>, done: Vec<Result<(), Error>>) {
    let expected = (1..=done.len()).map(|process| (format!("agent-{process}"), json!(1))).collect();
    assert_no_error(done);
    assert_eq!(final_state(disk), expected, "lost update");
}

fn assert_no_error(done: Vec<Result<(), Error>>) {
    for result in done {
        result.expect("the call succeeds");
    }
}

/// Each agent counts up its own part by `change`, as one that has written before: who waits leaves a request.
fn changes<C: Checker>(processes: usize, rules: &'static [Rule]) {
    let disk = fresh::<C>();
    let work = |store: Store<_>, id: String| change_once(&store.agent(&id)?);
    in_processes(processes, rules, &disk.clone(), work, move |done| assert_all_done(&disk, done));
}

fn change_once<C: Checker>(agent: &Agent<MemHost<C>>) -> Result<(), Error> {
    agent.assume(None);
    agent.change(|part| {
        let count = part.as_ref().and_then(Value::as_u64).unwrap_or(0);
        *part = Some(json!(count + 1));
    })
}

/// The same, and the first process is killed after so many calls. What the others were told is there; what it was
/// doing is there or not, and if it was told so, it is.
fn killed<C: Checker>(processes: usize, calls: u32, rules: &'static [Rule]) {
    let disk = fresh::<C>();
    disk.kill_after(1, calls);
    let work = |store: Store<_>, id: String| {
        let done = store.agent(&id).and_then(|agent| change_once(&agent));
        assert!(id == "agent-1" || done.is_ok(), "{id}: {done:?}");
        (id, done.is_ok())
    };
    in_processes(processes, rules, &disk.clone(), work, move |done| {
        let state = final_state(&disk);
        for (id, told) in done {
            assert!(!told || state.get(&id) == Some(&json!(1)), "lost update of {id}: {state:?}");
        }
    });
}

/// The power is lost once all have ended.
fn outlives_power<C: Checker>(processes: usize, rules: &'static [Rule]) {
    let disk = fresh::<C>();
    let work = |store: Store<_>, id: String| change_once(&store.agent(&id)?);
    in_processes(processes, rules, &disk.clone(), work, move |done| {
        disk.lose_power();
        assert_all_done(&disk, done);
    });
}

/// A process that waits with a request is killed after so many calls. The next one of the same agent writes its part and
/// deletes it again; nobody brings it back.
fn dead_mans_request<C: Checker>(calls: u32, rules: &'static [Rule]) {
    let disk = fresh::<C>();
    disk.kill_after(1, calls);
    // No part of the model: it only tells whether the second came to the agent's lock after the first.
    let first_has_come = Arc::new(AtomicBool::new(false));
    let work = move |store: Store<_>, id: String| -> Result<bool, Error> {
        match id.as_str() {
            "agent-1" => {
                let Ok(agent) = store.agent("one") else { return Ok(false) };
                first_has_come.store(true, Ordering::Relaxed);
                drop(change_once(&agent));
            }
            "agent-2" if first_has_come.load(Ordering::Relaxed) => {
                let agent = store.agent("one")?;
                agent.update(|metadata| metadata.insert("one".into(), json!("second")))?;
                agent.update(|metadata| metadata.remove("one"))?;
                return Ok(true);
            }
            "agent-2" => {}
            _ => change_once(&store.agent(&id)?)?,
        }
        Ok(false)
    };
    let end = disk.clone();
    in_processes(3, rules, &disk, work, move |done| {
        let done: Vec<bool> = done.into_iter().map(|done| done.expect("the call succeeds")).collect();
        let second_came_last = done.contains(&true);
        assert!(!second_came_last || !final_state(&end).contains_key("one"), "a dead man's request was done");
    });
}

/// Another program has changed the parts of the agents since they wrote them: that is kept.
fn changes_beside_others<C: Checker>(processes: usize, rules: &'static [Rule]) {
    let disk = fresh::<C>();
    let parts: Metadata =
        (1..=processes).map(|process| (format!("agent-{process}"), json!({ "other": 1 }))).collect();
    disk.put(&Path::new(DIR).join(METADATA_FILE), Value::from(parts).to_string().as_bytes());
    let work = |store: Store<_>, id: String| {
        let agent = store.agent(&id)?;
        agent.assume(Some(json!({})));
        agent.change(|part| part.as_mut().expect("a part")["own"] = json!(1))
    };
    in_processes(processes, rules, &disk.clone(), work, move |done| {
        assert_no_error(done);
        let whole = json!({ "other": 1, "own": 1 });
        assert!(final_state(&disk).values().all(|part| *part == whole), "lost update");
    });
}

/// Writers, and from the third process on readers, take the bare lock once each: who has been seen to wait is not passed
/// by who comes later, except that readers go together.
fn turns<C: Checker>(writers: usize, readers: usize, rules: &'static [Rule]) {
    let disk = fresh::<C>();
    let work = move |store: Store<_>, id: String| {
        let number: usize = id.trim_start_matches("agent-").parse().expect("a number");
        if number <= writers { store.exclusive().map(drop) } else { store.shared().map(drop) }
    };
    in_processes(writers + readers, rules, &disk.clone(), work, move |done| {
        assert_no_error(done);
        assert_nobody_passed(&disk.observed());
    });
}

fn assert_nobody_passed(log: &[(u32, Observed)]) {
    let find = |process: u32, wanted: fn(&Observed) -> bool| {
        log.iter().position(|(by, what)| *by == process && wanted(what))
    };
    let has = |process| find(process, |what| matches!(what, Observed::Has(_))).expect("everybody gets it");
    let reads = |process: u32| log.contains(&(process, Observed::Has(Mode::Shared)));
    let processes = 1..=log.iter().map(|(process, _)| *process).max().unwrap_or(0);
    for process in processes.clone() {
        let Some(queued) = find(process, |what| *what == Observed::Queued) else { continue };
        for later in processes.clone() {
            let came = find(later, |what| *what == Observed::Tried);
            if came.is_some_and(|came| came > queued) && !(reads(process) && reads(later)) {
                assert!(has(process) < has(later), "passed: {log:?}");
            }
        }
    }
}

/// Each opens the store, which puts right what dead writers have left, and counts up its part.
fn openings<C: Checker>(processes: usize, calls: Option<u32>, rules: &'static [Rule]) {
    let disk = fresh::<C>();
    let leftover = format!(".{METADATA_FILE}.{:032x}.7.0.tmp", 1);
    disk.put(&Path::new(DIR).join(leftover), b"{ torn");
    if let Some(calls) = calls {
        disk.kill_after(1, calls);
    }
    let host = disk.clone();
    let work = move |_: Store<_>, id: String| {
        let process = id.trim_start_matches("agent-").parse().expect("a number");
        let store = Store::on(host.as_process(process), DIR)?.breaking(rules);
        store.agent(&id)?.update(|metadata| count_up(metadata, &id))
    };
    in_processes(processes, rules, &disk.clone(), work, move |done| {
        let lives = done.into_iter().filter(Result::is_ok).count();
        assert!(lives >= processes - usize::from(calls.is_some()), "only {lives} have done it");
        assert!(final_state(&disk).len() >= lives, "lost update");
    });
}

/// Agents of one id in several processes, so that the agent's lock is contended as well.
fn same_agent<C: Checker>(processes: usize, rules: &'static [Rule]) {
    let disk = fresh::<C>();
    let work = |store: Store<_>, _| store.agent("one")?.update(|metadata| count_up(metadata, "one"));
    in_processes(processes, rules, &disk.clone(), work, move |done| {
        assert_no_error(done);
        assert_eq!(final_state(&disk).get("one"), Some(&json!(processes)), "lost update");
    });
}

/// The first process updates, the others load so many times: what they see is the state before or after.
fn readers<C: Checker>(processes: usize, loads: usize, rules: &'static [Rule]) {
    let disk = fresh::<C>();
    disk.put(&Path::new(DIR).join(METADATA_FILE), br#"{ "other": 1 }"#);
    let work = move |store: Store<_>, id: String| {
        if id != "agent-1" {
            return (0..loads).map(|_| store.load()).collect();
        }
        store.agent(&id)?.update(|metadata| count_up(metadata, &id)).map(|()| Vec::new())
    };
    in_processes(processes, rules, &disk, work, |seen| {
        for states in seen {
            let states: Vec<Snapshot> = states.unwrap_or_else(|error| panic!("torn read: {error}"));
            assert!(states.iter().all(|state| state.get("other") == Some(&json!(1))), "torn read");
        }
    });
}

/// Nobody is inside the metadata lock's critical section with another, nor with a reader of the same file.
fn exclusion<C: Checker>(processes: usize, rules: &'static [Rule]) {
    let disk = fresh::<C>();
    let inside = Arc::new(C::Monitor::new(0_u32));
    let work = move |store: Store<_>, id: String| store.agent(&id)?.update(|_| enter_and_leave::<C>(&inside));
    in_processes(processes, rules, &disk, work, assert_alone);
}

/// How many others are inside.
fn enter_and_leave<C: Checker>(inside: &C::Monitor<u32>) -> u32 {
    let others = inside.with(|inside| std::mem::replace(inside, *inside + 1));
    inside.with(|inside| *inside -= 1);
    others
}

fn assert_alone(others: Vec<Result<u32, Error>>) {
    for others in others {
        assert_eq!(others.expect("the call succeeds"), 0, "two inside");
    }
}

/// Processes take two agent locks in opposite orders; so many are refused.
fn opposite_orders<C: Checker>(refused: usize, rules: &'static [Rule]) {
    let disk = fresh::<C>();
    let work = |store: Store<_>, id| -> Result<(), Error> {
        let (first, second) = if id == "agent-1" { ("a", "b") } else { ("b", "a") };
        let _first = store.agent(first)?;
        store.agent(second).map(drop)
    };
    in_processes(2, rules, &disk, work, move |done| {
        let of_order = done.into_iter().filter(|result| matches!(result, Err(Error::Order { .. }))).count();
        assert_eq!(of_order, refused, "who takes b first is refused");
    });
}

/// Processes take the bare metadata lock: never two. With `unlink`, each removes the lock file before it lets go, as
/// a clean-up by another program would.
fn bare_lock<C: Checker>(processes: usize, unlink: bool, rules: &'static [Rule]) {
    let disk = MemHost::<C>::with_threading();
    let inside = Arc::new(C::Monitor::new(0_u32));
    let host = disk.clone();
    let work = move |store: Store<_>, _| {
        let _lock = store.exclusive()?;
        let others = enter_and_leave::<C>(&inside);
        if unlink {
            // When a rule is broken, another may have removed it.
            drop(host.remove(&Path::new(DIR).join(METADATA_LOCK)));
        }
        Ok(others)
    };
    in_processes(processes, rules, &disk, work, assert_alone);
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
