//! Several explorations side by side, each on a core of its own.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::ahead::Places;
use super::{Explored, Job, Progress, Session, SessionError};
use crate::tracer::{self, TraceError};

/// Explores several jobs, so many at once, each by one search on a core of its own. The cores that find no further job run executions ahead of
/// the searches that still go on. What each job comes to is what it comes to alone, whatever its own number of jobs; what `finish` makes of it, in
/// the thread that explored it, is given in the order of the jobs. `progress` is told of each execution, with the number of its job. When `stop`
/// becomes true, those that are not over end with an error.
pub fn explore_together<R: Send>(
    jobs: &[Job],
    at_once: usize,
    stop: &Arc<AtomicBool>,
    progress: &(dyn Fn(usize, Progress) + Sync),
    finish: &(dyn Fn(usize, Result<Explored, SessionError>) -> R + Sync),
) -> Vec<R> {
    let cores = tracer::cores();
    let core = |number: usize| (!cores.is_empty()).then(|| cores[number % cores.len()]);
    let (places, next) = (Places::default(), AtomicUsize::new(0));
    let results: Mutex<Vec<(usize, R)>> = Mutex::new(Vec::with_capacity(jobs.len()));
    let explore = |number: usize, job: &Job| {
        if stop.load(Ordering::Relaxed) {
            return Err(TraceError::Interrupted.into());
        }
        Session::begin(job, stop)?.conclude(&places, &mut |made| progress(number, made))
    };
    let work = |core: Option<usize>| {
        if let Some(core) = core {
            tracer::move_to(&[core]);
        }
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(job) = jobs.get(number) else { break };
            let result = finish(number, explore(number, job));
            results.lock().unwrap_or_else(PoisonError::into_inner).push((number, result));
        }
        places.give(core);
    };
    let work = &work;
    std::thread::scope(|scope| {
        for number in 0..at_once {
            scope.spawn(move || work(core(number)));
        }
    });
    let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    results.sort_by_key(|(number, _)| *number);
    results.into_iter().map(|(_, result)| result).collect()
}
