//! Several explorations side by side, each on a core of its own.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use super::ahead::Places;
use super::ending::limits_of;
use super::{Explored, Job, Keep, Progress, SessionError, conclude};
use crate::limits::Limits;
use crate::tracer;

/// Explores several jobs, so many at once, each by one search on a core of its own. The cores that find no further job run executions ahead of
/// the searches that still go on. What each job comes to is what it comes to alone, whatever its own number of jobs; what `finish` makes of it, in
/// the thread that explored it, is given in the order of the jobs. `progress` is called after each execution, with the number of its job; `keep`
/// makes what keeps the anomalies of a job. When a signal comes, those that are under way end with what they have come to, and those that have not
/// begun with an error.
pub fn explore_together<R: Send>(
    jobs: &[Job],
    at_once: usize,
    limits: impl Into<Limits>,
    keep: &(dyn Fn(usize) -> Box<dyn Keep> + Sync),
    progress: &(dyn Fn(usize, Progress) + Sync),
    finish: &(dyn Fn(usize, Result<Explored, SessionError>) -> R + Sync),
) -> Vec<R> {
    let (cores, limits) = (tracer::cores(), limits.into());
    let core = |number: usize| (!cores.is_empty()).then(|| cores[number % cores.len()]);
    let (places, next) = (Places::default(), AtomicUsize::new(0));
    let results: Mutex<Vec<(usize, R)>> = Mutex::new(Vec::with_capacity(jobs.len()));
    let explore = |number: usize, job: &Job| {
        limits.check()?;
        let mut keep = keep(number);
        let (limits, mut ordered) = (limits_of(&limits, &job.scenario), BTreeSet::new());
        conclude(job, &limits, (&mut ordered, keep.as_mut()), &mut |session| {
            session.conclude(&places, &mut |made| progress(number, made))
        })
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
