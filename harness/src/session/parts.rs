//! A search in parts: those of one shard, one after another or side by side.
//!
//! A part is explored in the same way whoever does it and whenever, so that what comes out does not depend on how many do it. Where
//! the search ends at the first anomaly, the report is that of the parts up to the first one, by number, that has any.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;

use super::search::{Searched, Watch};
use super::{Explored, Job, Progress, Session, SessionError, identity};
use crate::backend::Detail;
use crate::explore::{Counts, Dpor, Split, Steering, Strategy};
use crate::model::{Cut, Ending, Outcome};
use crate::oracle::SerialOutcomes;
use crate::report::{End, Finding};
use crate::tracer;
use crate::witness::Witness;

/// Parts for each shard, and for each of its jobs, at the least: parts are not equally large.
const EACH: usize = 2;

/// What is to be explored of a job, and by how many at a time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Share {
    /// Which shard, from 1.
    pub number: u32,
    /// Of how many.
    pub of: u32,
    /// How many parts are explored side by side, each on a core of its own.
    pub jobs: usize,
}

impl Default for Share {
    fn default() -> Self {
        Self { number: 1, of: 1, jobs: 1 }
    }
}

impl Share {
    /// Whether the search is not to be split.
    pub(super) fn is_whole(self) -> bool {
        self.of == 1 && self.jobs == 1
    }

    /// How many questions decide on the shard, and how many there are in all.
    fn questions(self) -> (usize, usize) {
        let bits =
            |count: usize| if count > 1 { (EACH * count).next_power_of_two().ilog2() as usize } else { 0 };
        let shards = bits(self.of as usize);
        (shards, shards + bits(self.jobs))
    }
}

/// What a part came to.
#[derive(Debug)]
struct Found {
    end: End,
    counts: Counts,
    outcomes: BTreeSet<Outcome>,
    findings: Vec<Finding>,
    witnesses: Vec<Witness>,
}

/// What one of several at work leaves: the parts by their place, and what it learned beside.
struct Left {
    parts: Vec<(usize, Found)>,
    serial: SerialOutcomes,
    not_covered: Vec<String>,
}

/// The parts of a shard, and how far those at work on them are.
struct Work<'a> {
    job: &'a Job,
    split: Split,
    /// The parts, in the order in which they are begun.
    numbers: Vec<u32>,
    next: AtomicUsize,
    watch: Arc<Watch>,
}

impl Work<'_> {
    /// Explores parts until there is none left that matters.
    fn explore(
        &self,
        session: &mut Session<'_>,
        progress: &mut dyn FnMut(usize, Progress),
    ) -> Result<Vec<(usize, Found)>, SessionError> {
        let mut parts = Vec::new();
        loop {
            let place = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(number) = self.numbers.get(place) else { return Ok(parts) };
            if !self.watch.wants(place) {
                return Ok(parts);
            }
            session.place = place;
            let mut dpor = Dpor::within(self.split.part(*number)).explaining(self.job.explain);
            let end = session.run(&mut dpor, &mut |seen| progress(place, seen))?;
            let found = session.take(end);
            if matches!(found.end, End::Anomaly | End::TimeLimit | End::MaxExecutions) {
                self.watch.ends_with(place);
            }
            parts.push((place, found));
        }
    }

    /// What one of several does, on its own core with its own tracer.
    fn alongside(
        &self,
        core: Option<usize>,
        serial: SerialOutcomes,
        stop: &Arc<AtomicBool>,
        progress: &mut dyn FnMut(usize, Progress),
    ) -> Result<Left, SessionError> {
        if let Some(core) = core {
            tracer::move_to(core);
        }
        let mut session = Session::begin(self.job, stop)?;
        session.serial = serial;
        session.watch = Arc::clone(&self.watch);
        let parts = self.explore(&mut session, progress)?;
        Ok(Left { parts, not_covered: session.not_covered(), serial: session.serial })
    }

    /// Several at work side by side. The first error ends them all.
    fn side_by_side(
        &self,
        cores: &[usize],
        serial: &SerialOutcomes,
        stop: &Arc<AtomicBool>,
        progress: &mut dyn FnMut(usize, Progress),
    ) -> Result<Vec<Left>, SessionError> {
        let (tell, told) = mpsc::channel();
        std::thread::scope(|scope| {
            let begin = |number: usize| {
                let core = (!cores.is_empty()).then(|| cores[number % cores.len()]);
                let (serial, tell) = (serial.clone(), tell.clone());
                scope.spawn(move || {
                    // Whoever listens no longer has ended with an error.
                    let mut progress = |place, seen| drop(tell.send((place, seen)));
                    let left = self.alongside(core, serial, stop, &mut progress);
                    if left.is_err() {
                        self.watch.ends_with_nothing();
                    }
                    left
                })
            };
            let at_work: Vec<_> = (0..self.job.share.jobs.min(self.numbers.len())).map(begin).collect();
            drop(tell);
            for (place, seen) in told {
                progress(place, seen);
            }
            let ended = at_work.into_iter().map(std::thread::ScopedJoinHandle::join);
            ended.map(|left| left.unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
        })
    }
}

/// The progress of all parts together, from that of each.
#[derive(Default)]
struct Together(BTreeMap<usize, Progress>);

impl Together {
    fn with(&mut self, place: usize, progress: Progress, parts: usize) -> Progress {
        let elapsed = progress.elapsed;
        let depth = progress.depth;
        let reversals = progress.reversals.clone();
        self.0.insert(place, Progress { reversals: Vec::new(), ..progress });
        let mut all = Progress { elapsed, depth, reversals, ..Progress::default() };
        let mut done = 0.0;
        for progress in self.0.values() {
            all.counts.join(&progress.counts);
            all.anomalies += progress.anomalies;
            done += progress.done.unwrap_or(0.0);
        }
        all.done = Some(done / parts as f64);
        all
    }
}

impl Session<'_> {
    /// Explores this job's share in parts.
    pub(super) fn explore_in_parts(
        mut self,
        stop: &Arc<AtomicBool>,
        cores: &[usize],
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Explored, SessionError> {
        let share = self.job.share;
        let (first, all) = share.questions();
        let scout = self.scout()?;
        let split = Split::of(&scout, all);
        let numbers = split.of_shard(first, share.number, share.of);
        let parts = numbers.len();
        let watch = Arc::clone(&self.watch);
        let work = Work { job: self.job, split, numbers, next: AtomicUsize::new(0), watch };
        let mut together = Together::default();
        let mut progress = |place, seen| progress(together.with(place, seen, parts));
        let found = if share.jobs == 1 {
            work.explore(&mut self, &mut progress)?
        } else {
            let left = work.side_by_side(cores, &self.serial, stop, &mut progress)?;
            left.into_iter().flat_map(|left| self.learn(left)).collect()
        };
        self.counts.add(&scout);
        let end = self.join(found);
        Ok(self.report(Searched { end, covered: None }))
    }

    /// The execution that a search begins with: what to split by is read off it. It is run again in the part that it belongs to.
    fn scout(&mut self) -> Result<crate::model::Execution, SessionError> {
        let mut dpor = Dpor::new();
        dpor.begin();
        let mut steering = Steering { strategy: &mut dpor, max_steps: self.most_steps() };
        let mut execution =
            crate::backend::Backend::execute(&mut self.tracer, &mut steering, Detail::Search)?;
        execution.ending = Ending::Cut(Cut::Redundant);
        Ok(execution)
    }

    /// Takes what was found since the last time out of the session.
    fn take(&mut self, end: End) -> Found {
        self.judged.clear();
        self.known.clear();
        Found {
            end,
            counts: std::mem::take(&mut self.counts),
            outcomes: std::mem::take(&mut self.outcomes),
            findings: std::mem::take(&mut self.findings),
            witnesses: std::mem::take(&mut self.witnesses),
        }
    }

    /// Learns what another session saw beside the parts.
    fn learn(&mut self, left: Left) -> Vec<(usize, Found)> {
        for run in left.serial.runs() {
            if !self.serial.has_run(&run.order) {
                self.serial.push(run.clone());
            }
        }
        self.seen_by_others.extend(left.not_covered);
        left.parts
    }

    /// Joins the parts in their order, up to the one that ended the search.
    fn join(&mut self, mut parts: Vec<(usize, Found)>) -> End {
        parts.sort_by_key(|(place, _)| *place);
        let mut end = End::Everything;
        for (_, found) in parts {
            let before = self.counts.executions;
            self.counts.join(&found.counts);
            self.outcomes.extend(found.outcomes);
            for (mut finding, witness) in found.findings.into_iter().zip(found.witnesses) {
                finding.execution += before;
                if self.known.insert(identity(&finding.anomaly)) {
                    self.findings.push(finding);
                    self.witnesses.push(witness);
                }
            }
            match found.end {
                End::Everything => {}
                End::MaxSteps => end = End::MaxSteps,
                ended => return ended,
            }
        }
        end
    }
}
