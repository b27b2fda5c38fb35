//! The processes of a job run free and side by side, again and again: how often mere chance shows an anomaly.
//!
//! What they leave is held against the serial outcomes of the same processes: those of the tracer, all merges of their units, and
//! those of the processes free, one after another. No trace is recorded, so what is wrong is told by what is left alone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use super::ending::limits_of;
use super::finish::Afterwards;
use super::search::Searched;
use super::{ALL_ORDERS, Identity, Job, Session, SessionError, conclude, identity};
use crate::explore::SplitMix64;
use crate::limits::{Limits, Phase};
use crate::model::{Anomaly, Ending, Execution, Outcome, ProcessId, Tree};
use crate::oracle::{Case, CheckRun, Order, SerialRun, judge_untraced, orders};
use crate::report::{Basis, Chance, End, Finding, Report};
use crate::tracer::{self, Free, Start};
use crate::verdict::Conclusion;

/// Up to this number of processes it is looked what each selection of them leaves.
const ALL_SELECTIONS: usize = 4;

/// How to stress.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Stress {
    /// How many runs to make.
    pub runs: u64,
    /// How many of them at a time, at least 1. Each has all cores, as the others have.
    pub at_once: usize,
    /// Each process begins up to so much later than the first.
    pub jitter: Duration,
    /// What decides how much later.
    pub seed: u64,
    /// How long a run may take before it is ended.
    pub patience: Duration,
}

/// How far it has come.
#[derive(Clone, Copy, Debug)]
pub struct Stressed {
    /// Runs that are over.
    pub runs: u64,
    /// Of them, those with an anomaly.
    pub hits: u64,
}

/// What a run came to; `None` where it was not over in time.
type Ended = Option<(Outcome, Option<CheckRun>)>;

/// Runs the processes of a job free and side by side.
///
/// # Errors
/// Where the machine does not let it, a command of the scenario's own fails, nothing serial comes to an end, or the commands do not
/// leave the same each time that they run one after another. A limit ends it, and there is a report of the runs until then.
pub fn stress(
    job: &Job,
    how: &Stress,
    limits: impl Into<Limits>,
    progress: &mut dyn FnMut(Stressed),
) -> Result<Report, SessionError> {
    // Who traces stays on one core; who runs free has all of them.
    let cores = tracer::cores();
    let mut nothing = ();
    let limits = limits_of(&limits.into(), &job.scenario);
    conclude(job, &limits, (&mut BTreeSet::new(), &mut nothing), &mut |mut session| {
        let mut tally = Tally::default();
        let end = session.prepare().and_then(|()| run_free(&mut session, how, &cores, &mut tally, progress));
        if let Err(SessionError::TimesMatter(files)) = end {
            return Err(SessionError::TimesMatter(files));
        }
        let searched = end.map(|end| Searched { end, covered: None, why: None });
        let (searched, _) = session.ended(searched)?;
        Ok(session.report_of(tally, how, searched))
    })
}

/// Runs the processes free until there were as many runs as wanted.
fn run_free(
    session: &mut Session<'_>,
    how: &Stress,
    cores: &[usize],
    tally: &mut Tally,
    progress: &mut dyn FnMut(Stressed),
) -> Result<End, SessionError> {
    let (job, limits) = (session.job, session.limits.clone());
    let _search = limits.during(Phase::Search);
    let initial = session.tracer.initial().clone();
    let over = Arc::new(AtomicBool::new(false));
    let theirs = limits.beside(&over);
    let make = |limits: &Limits| {
        tracer::move_to(cores);
        Bench { job, how, initial: &initial, limits: limits.clone(), made: None }
    };
    let apart = |work: &(dyn Fn(&mut Bench<'_>) -> Result<Vec<SerialRun>, SessionError> + Sync)| {
        std::thread::scope(|scope| {
            let worker = scope.spawn(|| work(&mut make(&limits)));
            worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    };
    for run in apart(&|bench: &mut Bench<'_>| bench.serial_runs(&session.serial))? {
        session.serial.push(run);
    }
    let mut selections: Option<Vec<SerialRun>> = None;
    std::thread::scope(|scope| -> Result<End, SessionError> {
        let _over = Over(&over);
        let (tell, told) = sync_channel::<(u64, Result<Ended, SessionError>)>(how.at_once);
        let next = AtomicU64::new(1);
        let (next, make, theirs) = (Arc::new(next), &make, &theirs);
        for _ in 0..how.at_once.max(1) {
            let (tell, next) = (tell.clone(), Arc::clone(&next));
            scope.spawn(move || {
                let mut bench = make(theirs);
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number > how.runs || tell.send((number, bench.run(number))).is_err() {
                        break;
                    }
                }
            });
        }
        drop(tell);
        loop {
            limits.check()?;
            let (number, ended) = match told.recv_timeout(Duration::from_millis(20)) {
                Ok(told) => told,
                Err(std::sync::mpsc::RecvTimeoutError::Timeout) => continue,
                Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => return Ok(End::MaxExecutions),
            };
            tally.runs += 1;
            match ended? {
                None => tally.unfinished += 1,
                Some((outcome, check)) => {
                    let normal = session.serial.rules().outcome(&outcome);
                    let failed = check.as_ref().is_some_and(|check| !check.exit.is_success());
                    let key = (normal, failed);
                    if !tally.known.contains_key(&key) {
                        let judged = session.judge_free(&outcome, check.as_ref(), &mut || {
                            if selections.is_none() {
                                selections = Some(apart(&|bench: &mut Bench<'_>| bench.selections())?);
                            }
                            Ok(selections.clone().unwrap_or_default())
                        })?;
                        tally.known.insert(key.clone(), judged);
                    }
                    if let Some(Some(anomaly)) = tally.known.get(&key) {
                        let hit =
                            tally.found.entry(identity(anomaly)).or_insert((anomaly.clone(), number, 0));
                        (hit.1, hit.2) = (hit.1.min(number), hit.2 + 1);
                    }
                }
            }
            progress(Stressed { runs: tally.runs, hits: tally.hits() });
        }
    })
}

/// Ends what runs free when the stress is over, however it is.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// What was seen.
#[derive(Default)]
struct Tally {
    runs: u64,
    unfinished: u64,
    /// What is made of each canonical outcome, and whether the check failed.
    known: BTreeMap<(Outcome, bool), Option<Anomaly>>,
    /// Each anomaly, with the run that showed it first, and how many did.
    found: BTreeMap<Identity, (Anomaly, u64, u64)>,
}

impl Tally {
    fn hits(&self) -> u64 {
        self.found.values().map(|(.., hits)| hits).sum()
    }
}

/// A place to run free in, made when it is needed and anew after a run that was ended.
struct Bench<'a> {
    job: &'a Job,
    how: &'a Stress,
    initial: &'a Tree,
    limits: Limits,
    made: Option<(Free, Afterwards)>,
}

impl Bench<'_> {
    /// Runs these programs together, after one another or side by side, in a fresh workspace, and what looks at it then.
    fn in_turn(&mut self, turns: &[Vec<Start>]) -> Result<Ended, SessionError> {
        if self.made.is_none() {
            let (afterwards, others) = Afterwards::of(&self.job.scenario);
            let free = Free::new(&self.job.programs, &others, self.how.patience, &self.limits)?;
            self.made = Some((free, afterwards));
        }
        let Some((free, afterwards)) = &mut self.made else { return Ok(None) };
        free.reset(self.initial)?;
        let mut exits: Vec<Vec<_>> = Vec::new();
        for starts in turns {
            let Some(ended) = free.run(starts)? else {
                self.made = None;
                return Ok(None);
            };
            exits.resize(ended.len(), Vec::new());
            exits.iter_mut().zip(ended).for_each(|(all, some)| all.extend(some));
        }
        exits.resize(exits.len().max(self.job.programs.len()), Vec::new());
        let outcome = free.outcome(exits)?;
        let (schedule, trace) = (Vec::new(), Vec::new());
        let mut execution = Execution { schedule, trace, ending: Ending::Complete, outcome };
        let check = afterwards.finish(free, &mut execution)?;
        Ok(Some((execution.outcome, check)))
    }

    /// A run of all of them side by side.
    fn run(&mut self, number: u64) -> Result<Ended, SessionError> {
        let processes = self.job.programs.len() as u64;
        let most = self.how.jitter.as_micros() as u64;
        let delay = |program: u64| {
            // By its place: whoever makes the run, and when, it is the same.
            let place = SplitMix64::new(number * processes + program).next_u64();
            Duration::from_micros(SplitMix64::new(self.how.seed ^ place).next_u64() % (most + 1))
        };
        let start = |program: u64| Start { program: program as usize, delay: delay(program) };
        self.in_turn(&[(0..processes).map(start).collect()])
    }

    /// One after another, in this order; `None` where one waits for ever.
    fn serial_run(&mut self, processes: &[ProcessId]) -> Result<Option<SerialRun>, SessionError> {
        let turn = |process: &ProcessId| vec![Start { program: process.0, delay: Duration::ZERO }];
        let turns: Vec<Vec<Start>> = processes.iter().map(turn).collect();
        let all = (0..self.job.programs.len()).map(ProcessId);
        let left_out = all.filter(|process| !processes.contains(process)).collect();
        let order = Order { processes: processes.to_vec(), left_out };
        Ok(self.in_turn(&turns)?.map(|(outcome, _)| SerialRun { order, outcome }))
    }

    /// What the processes leave free one after another: where that is what they leave when they are traced, forward and backward;
    /// else in every order of not too many.
    fn serial_runs(&mut self, known: &crate::oracle::SerialOutcomes) -> Result<Vec<SerialRun>, SessionError> {
        let count = self.job.programs.len();
        let forward: Vec<ProcessId> = (0..count).map(ProcessId).collect();
        let backward: Vec<ProcessId> = forward.iter().rev().copied().collect();
        let Some(first) = self.serial_run(&forward)? else { return Ok(Vec::new()) };
        let mut others = vec![backward];
        if !known.contains(&first.outcome) {
            let again = self.serial_run(&forward)?;
            let normal = |run: &SerialRun| known.rules().outcome(&run.outcome);
            if let Some(again) = again.filter(|again| normal(again) != normal(&first)) {
                return Err(SessionError::Varies(what_varies(&normal(&first), &normal(&again))));
            }
            if count <= ALL_ORDERS {
                others = orders(count).into_iter().skip(1).map(|order| order.processes).collect();
            }
        }
        let mut runs = vec![first];
        for order in others {
            runs.extend(self.serial_run(&order)?);
        }
        Ok(runs)
    }

    /// What some of the processes leave without the others: of few every selection, else each without one, and each alone.
    fn selections(&mut self) -> Result<Vec<SerialRun>, SessionError> {
        let count = self.job.programs.len();
        let all: Vec<ProcessId> = (0..count).map(ProcessId).collect();
        let sets: Vec<Vec<ProcessId>> = if count <= ALL_SELECTIONS {
            let of =
                |mask: u32| all.iter().copied().filter(move |process| mask >> process.0 & 1 == 1).collect();
            (1..(1 << count) - 1).map(of).collect()
        } else {
            let without = |left: &ProcessId| all.iter().copied().filter(|process| process != left).collect();
            all.iter().map(without).chain(all.iter().map(|process| vec![*process])).collect()
        };
        let mut runs = Vec::new();
        for set in sets {
            runs.extend(self.serial_run(&set)?);
        }
        Ok(runs)
    }
}

/// In what two outcomes of the same order differ, in words.
fn what_varies(one: &Outcome, other: &Outcome) -> String {
    let paths = one.tree.keys().chain(other.tree.keys());
    let mut differing = paths.filter(|path| one.tree.get(*path) != other.tree.get(*path));
    differing.next().map_or_else(|| "what they print or how they end".to_owned(), Clone::clone)
}

impl Session<'_> {
    /// What is wrong with what a free run left. `selections` gives what some of the processes leave without the others.
    fn judge_free(
        &mut self,
        outcome: &Outcome,
        check: Option<&CheckRun>,
        selections: &mut dyn FnMut() -> Result<Vec<SerialRun>, SessionError>,
    ) -> Result<Option<Anomaly>, SessionError> {
        self.run_orders_without_the_aborted(outcome)?;
        let failed = check.is_some_and(|check| !check.exit.is_success());
        let is_serial = self.serial.contains(outcome);
        if is_serial && !failed {
            return Ok(None);
        }
        let without = if is_serial { Vec::new() } else { selections()? };
        let execution = Execution {
            schedule: Vec::new(),
            trace: Vec::new(),
            ending: Ending::Complete,
            outcome: outcome.clone(),
        };
        let commands = self.commands();
        let initial = self.tracer.initial();
        let case = Case { execution: &execution, serial: &self.serial, initial, commands: &commands, check };
        Ok(judge_untraced(&case, &without))
    }

    fn report_of(self, tally: Tally, how: &Stress, searched: Searched) -> Report {
        let scenario = &self.job.scenario;
        let conclusion = Conclusion::of_a_part(!tally.found.is_empty());
        let mut chance = Chance {
            hits: tally.hits(),
            unfinished: tally.unfinished,
            at_once: how.at_once,
            jitter_us: u64::try_from(how.jitter.as_micros()).unwrap_or(u64::MAX),
            patience_s: how.patience.as_secs_f64(),
            kinds: BTreeMap::new(),
        };
        let mut basis = Basis { why: searched.why, ..self.basis() };
        if !self.serial.complete {
            basis
                .remarks
                .push("what only a serial order leaves that was not run would count as a hit".into());
        }
        let commands = self.commands();
        let subject = self.subject();
        let distinct_outcomes = tally.known.len() as u64;
        let mut found: Vec<(Anomaly, u64, u64)> = tally.found.into_values().collect();
        found.sort_by_key(|(_, first, _)| *first);
        let finding = |(anomaly, first, hits): (Anomaly, u64, u64)| {
            *chance.kinds.entry(anomaly.kind).or_default() += hits;
            Finding::by_chance(anomaly, first, hits)
        };
        let anomalies = found.into_iter().map(finding).collect();
        Report {
            scenario: scenario.name.clone(),
            conclusion,
            exhaustive: false,
            end: searched.end,
            covered: None,
            basis,
            strategy: crate::report::STRESS.into(),
            equivalence: scenario.equivalence,
            seed: how.seed,
            commands,
            executions: tally.runs,
            complete: tally.runs - tally.unfinished,
            blocked: 0,
            redundant: 0,
            elsewhere: 0,
            serial_runs: self.serial.runs().len() as u64,
            distinct_outcomes,
            serial_outcomes: self.serial.distinct() as u64,
            steps: 0,
            elapsed_s: self.begun.elapsed().as_secs_f64(),
            anomalies,
            expected: None,
            outcomes: Default::default(),
            subject,
            shard: None,
            chance: Some(chance),
            verified: None,
        }
    }
}
