//! The loop that ties the parts together: serial runs, the search, the judging of each execution, the evidence for what is
//! found; and replay.

pub mod ahead;
mod basis;
mod bench;
mod checks;
mod ending;
mod evidence;
mod finish;
mod record;
mod search;
mod serial;
mod simpler;
mod stress;
mod times;
mod together;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use self::ahead::Places;
use self::bench::Footprints;
use self::ending::{Unfinished, limits_of};
pub use self::evidence::{Replayed, replay};
use self::finish::Afterwards;
pub use self::record::Keep;
use self::search::Searched;
use self::serial::How;
pub use self::stress::{Stress, Stressed, stress};
pub use self::together::explore_together;
use crate::explore::{Counts, Serial};
use crate::limits::Limits;
use crate::model::{
    Anomaly, Cut, Does, End, Ending, Execution, Kind, Outcome, ProcessId, Root, Sighting, Tree, Units,
};
use crate::oracle::{BadGlob, CheckRun, Normalize, SerialOutcomes, candidate_orders, conflict_serializable};
use crate::report::{Basis, Finding, Report, Shard, fingerprint};
use crate::scenario::{Equivalence, Scenario};
use crate::tracer::{self, Faults, Program, TraceError, Tracer};
use crate::verdict::{Facts, GateFault, conclude_with};
use crate::witness::{Divergence, Witness};

/// How many steps one execution may have, unless the scenario says otherwise.
const MOST_STEPS: u64 = 10_000;
/// Up to this number of processes every serial order is run.
const ALL_ORDERS: usize = 5;

/// Why an exploration or a replay came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The machine, or an interruption.
    #[error(transparent)]
    Trace(#[from] TraceError),
    /// A glob that is none.
    #[error(transparent)]
    Glob(#[from] BadGlob),
    /// A command that prepares or looks at the workspace fails.
    #[error("`{option}` fails ({exit}): {command}{output}")]
    Command {
        /// The option.
        option: &'static str,
        /// The command.
        command: String,
        /// How it ended.
        exit: crate::model::Exit,
        /// What it printed, on lines of its own.
        output: String,
    },
    /// A command that prepares or looks at the workspace does not end.
    #[error("`{option}` {}: {command}", match does {
        Does::Computes => "computes without making a call, for longer than --cpu-limit".to_owned(),
        Does::Sleeps(times) => format!("only sleeps: {times} times"),
    })]
    EndlessCommand {
        /// The option.
        option: &'static str,
        /// The command.
        command: String,
        /// What it does.
        does: Does,
    },
    /// No order of the processes, one after another, comes to an end: there is nothing to hold outcomes against.
    #[error("no serial order of the processes comes to an end: {0}")]
    NoSerialOrder(String),
    /// A command that is not there to be run.
    #[error("process {process} cannot be run: `{command}`: {said}")]
    NotFound {
        /// Whose.
        process: ProcessId,
        /// The command.
        command: String,
        /// What was said of it.
        said: String,
    },
    /// What the processes leave one after another is not the same each time.
    #[error(
        "what the processes leave is not the same each time that they run free, one after another ({0}): nothing can be held against it; leave out by --ignore what varies, or put it into a canonical form by --canon"
    )]
    Varies(String),
    /// A schedule did not give the same execution again.
    #[error(
        "the execution does not repeat: {0}; leave out by --ignore what depends on more than the schedule, or put it into a canonical form by --canon"
    )]
    Divergence(Box<Divergence>),
    /// It matters which of these files was changed last: the exploration begins again, with their changes in conflict.
    #[doc(hidden)]
    #[error("it matters which of these files was changed last: {}", .0.iter().cloned().collect::<Vec<_>>().join(", "))]
    TimesMatter(BTreeSet<String>),
}

/// What to explore.
#[derive(Clone, Debug)]
pub struct Job {
    /// The scenario.
    pub scenario: Scenario,
    /// What its processes run, in their order.
    pub programs: Vec<Program>,
    /// What its workspace holds, before `setup`.
    pub tree: Tree,
    /// Which part of the search is to be made, where it is not all of it.
    pub shard: Option<Shard>,
    /// How many run executions side by side, each on a core of its own: 1 where it is the search alone.
    pub jobs: usize,
    /// Whether to tell of each race that the search goes back to.
    pub explain: bool,
    /// A condition of the gate that a test takes away. Not part of the interface.
    #[doc(hidden)]
    pub gate_fault: Option<GateFault>,
    /// What a test makes wrong in the tracer. Not part of the interface.
    #[doc(hidden)]
    pub faults: Faults,
}

impl Job {
    /// A whole search by one job.
    #[must_use]
    pub fn new(scenario: Scenario, programs: Vec<Program>, tree: Tree) -> Self {
        Self {
            scenario,
            programs,
            tree,
            shard: None,
            jobs: 1,
            explain: false,
            gate_fault: None,
            faults: Faults::default(),
        }
    }
}

/// How far an exploration has come.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    /// The executions so far.
    pub counts: Counts,
    /// The anomalies so far.
    pub anomalies: usize,
    /// How long it has taken.
    pub elapsed: Duration,
    /// The steps of the last execution.
    pub depth: usize,
    /// How much of the search is done, estimated from what is known of it by now, where that can be.
    pub done: Option<f64>,
    /// The races of the last execution that the search will go back to, in words, where these were asked for.
    pub reversals: Vec<String>,
}

/// An exploration that is going on.
struct Session<'a> {
    job: &'a Job,
    tracer: Tracer,
    afterwards: Afterwards,
    serial: SerialOutcomes,
    /// The canonical outcomes of the search so far.
    outcomes: BTreeSet<Outcome>,
    /// Those of them that are judged, with every check passed or the anomaly recorded.
    judged: BTreeSet<(Outcome, bool)>,
    /// The anomalies found, as they were before their schedules were made simpler.
    known: BTreeSet<Identity>,
    counts: Counts,
    /// How many executions there were since one was run twice, where some are.
    unverified: u64,
    /// How many were run again, and came out the same.
    verified: u64,
    findings: Vec<Finding>,
    witnesses: Vec<Witness>,
    begun: Instant,
    /// What was not covered in the executions of the search.
    not_covered: BTreeSet<Sighting>,
    /// What processes touched outside the workspace where executions were run ahead.
    ahead: Footprints,
    /// What is known of the serial runs and of the first execution.
    known_serial: basis::Known,
    /// The orders of tasks, of each process, in which the serial orders were run.
    by_task: BTreeSet<Vec<Vec<usize>>>,
    /// How many took part in an execution of the search, at most: processes, or their tasks.
    strands: usize,
    /// Which process could not go on in the last serial run, and where, if one could not.
    waits: Option<String>,
    /// Who could not go on in the first serial run that came to no end, and where.
    stuck: Option<String>,
    /// The first serial run that came to its end, where the strategy is to be shown one.
    first: Option<Execution>,
    /// Whether, in the serial runs, others go on while a process waits.
    helped: bool,
    limits: Limits,
    /// Keeps what is found.
    keep: &'a mut dyn Keep,
    /// The serial orders that did not come to their end.
    unfinished: Vec<Unfinished>,
    /// Whether in the serial runs no task came near to the limit of its processor time.
    serial_were_far: bool,
    checks: checks::Checks,
    times: times::Times,
    /// The first process that came to no further operation, in words, if that is no anomaly.
    why: Option<String>,
}

/// What makes an anomaly another one: kind, files, keys, processes.
type Identity = (Kind, Vec<String>, Vec<String>, Vec<ProcessId>);

fn identity(anomaly: &Anomaly) -> Identity {
    (anomaly.kind, anomaly.files.clone(), anomaly.keys.clone(), anomaly.processes.clone())
}

/// What an exploration came to.
#[derive(Debug)]
pub struct Explored {
    /// The report. Its findings name no witness files yet.
    pub report: Report,
    /// For each of its findings what replays it.
    pub witnesses: Vec<Witness>,
    /// The error that ended it, if one did after anomalies had been found.
    pub error: Option<SessionError>,
}

/// Explores the interleavings of a job's processes. `keep` is called with each anomaly as soon as it is found, `progress` after each
/// execution.
/// A limit (a signal, the scenario's time limit) ends the exploration, and there is a report of what was done until then.
///
/// # Errors
/// If nothing has been found, and the machine does not let processes be traced, a command of the scenario's own fails, nothing serial comes to an
/// end, or an execution does not repeat; and if a limit is reached before anything could be run.
pub fn explore(
    job: &Job,
    limits: impl Into<Limits>,
    keep: &mut dyn Keep,
    progress: &mut dyn FnMut(Progress),
) -> Result<Explored, SessionError> {
    let all = tracer::cores();
    let (limits, mut ordered) = (limits_of(&limits.into(), &job.scenario), BTreeSet::new());
    let mut places = None;
    conclude(job, &limits, (&mut ordered, keep), &mut |session| {
        let beside = || Places::beside(&all, &tracer::cores(), job.jobs.saturating_sub(1));
        session.conclude(places.get_or_insert_with(beside), progress)
    })
}

/// Makes an exploration. If it finds files of which it matters which was changed last, adds them to `ordered` and begins again.
fn conclude<R>(
    job: &Job,
    limits: &Limits,
    (ordered, keep): (&mut BTreeSet<String>, &mut dyn Keep),
    make: &mut dyn FnMut(Session<'_>) -> Result<R, SessionError>,
) -> Result<R, SessionError> {
    let begun = Instant::now();
    loop {
        let mut session = Session::begin(job, limits, keep)?;
        session.begun = begun;
        session.tracer.order_times(ordered, job.scenario.equivalence == Equivalence::Observed);
        session.times.ordered.clone_from(ordered);
        match make(session) {
            Err(SessionError::TimesMatter(files)) => ordered.extend(files),
            made => return made,
        }
    }
}

/// A tracer for the processes of a scenario, and other programs.
fn tracer_of(
    scenario: &Scenario,
    programs: &[Program],
    others: &[Program],
    tree: &Tree,
    limits: &Limits,
) -> Result<Tracer, SessionError> {
    let mut tracer = Tracer::with_root(scenario.root, programs, others, tree.clone(), limits)?;
    if scenario.strands().are_tasks() {
        tracer.explore_tasks();
    }
    Ok(tracer)
}

impl<'a> Session<'a> {
    fn begin(job: &'a Job, limits: &Limits, keep: &'a mut dyn Keep) -> Result<Self, SessionError> {
        let begun = Instant::now();
        let scenario = &job.scenario;
        let rules = Normalize::new(&scenario.ignore, &scenario.unordered)?;
        let (afterwards, others) = Afterwards::of(scenario);
        let limits = limits.clone();
        let mut tracer = tracer_of(scenario, &job.programs, &others, &job.tree, &limits)?;
        tracer.plant(job.faults);
        Ok(Self {
            job,
            tracer,
            afterwards,
            serial: SerialOutcomes::new(scenario.aborts, rules),
            outcomes: BTreeSet::new(),
            judged: BTreeSet::new(),
            known: BTreeSet::new(),
            counts: Counts::default(),
            unverified: 0,
            verified: 0,
            findings: Vec::new(),
            witnesses: Vec::new(),
            begun,
            not_covered: BTreeSet::new(),
            ahead: Footprints::default(),
            known_serial: basis::Known::default(),
            by_task: BTreeSet::new(),
            strands: job.programs.len(),
            waits: None,
            stuck: None,
            first: None,
            helped: false,
            limits,
            keep,
            unfinished: Vec::new(),
            serial_were_far: true,
            checks: checks::Checks::default(),
            times: times::Times::default(),
            why: None,
        })
    }

    /// Runs the serial orders, then the search, with others ahead of it as long as there are places for them.
    fn conclude(
        mut self,
        places: &Places,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Explored, SessionError> {
        let prepared = self.prepare();
        let searched = prepared.and_then(|()| self.search(places, progress));
        let searched = searched.and_then(|searched| {
            // What a limit ended ends now.
            if !matches!(searched.end, End::TimeLimit | End::CpuLimit | End::Interrupted) {
                self.repeat_first_serial_order()?;
                self.check_at_the_end(&searched)?;
            }
            Ok(searched)
        });
        if let Err(SessionError::TimesMatter(files)) = searched {
            for number in (1..=self.findings.len()).rev() {
                self.keep.withdrawn(number);
            }
            return Err(SessionError::TimesMatter(files));
        }
        let (searched, error) = self.ended(searched)?;
        Ok(Explored { error, ..self.report(searched) })
    }

    /// Sets the workspace up, and runs the serial orders.
    fn prepare(&mut self) -> Result<(), SessionError> {
        self.afterwards.set_up(&mut self.tracer)?;
        if self.job.scenario.root == Root::Overlay {
            // What the first execution changes lies in another layer from then on, and the kernel lets programs see that (`listxattr`): so
            // one is made for nothing else.
            self.run_as(Serial::Units(&[]), &[], &[], How::AsKept)?;
        }
        self.tracer.record_lookups(true);
        self.run_serial_orders()?;
        self.repeat_first_serial_order()
    }

    fn most_steps(&self) -> usize {
        usize::try_from(self.job.scenario.max_steps.unwrap_or(MOST_STEPS)).unwrap_or(usize::MAX)
    }

    /// Holds an execution against the serial ones; records what is wrong with it, once for each outcome.
    fn judge(&mut self, execution: &Execution, check: Option<&CheckRun>) -> Result<(), SessionError> {
        if matches!(execution.ending, Ending::Cut(Cut::Redundant | Cut::Elsewhere)) {
            return Ok(());
        }
        if let Ending::Endless(endless) = &execution.ending
            && !self.is_livelock(endless)
        {
            return self.note_endless(execution);
        }
        if execution.is_complete() {
            let normal = self.serial.rules().outcome(&execution.outcome);
            self.outcomes.insert(normal.clone());
            let failed = check.is_some_and(|check| !check.exit.is_success());
            if !self.judged.insert((normal, failed)) {
                return Ok(());
            }
            if !failed && self.is_fine(execution)? {
                return Ok(());
            }
        }
        self.record(execution, check)
    }

    /// Whether nothing can be wrong with this outcome: some serial order gives it, and it is not one that only merges of units give.
    fn is_fine(&mut self, execution: &Execution) -> Result<bool, SessionError> {
        let seen = self.seen(execution);
        if !self.is_serial(&seen)? && !self.is_serial_by_task(execution)? {
            return Ok(false);
        }
        let execution = &*seen;
        let several = self.serial.whole && Units::of(&execution.trace).are_several();
        if !several || self.serial.contains_whole(&execution.outcome) {
            return Ok(true);
        }
        if !self.serial.contains(&execution.outcome) {
            // It is known to be serial without having been seen.
            for order in candidate_orders(execution).iter().take(1) {
                self.run_order(order)?;
            }
        }
        Ok(!self.serial.contains(&execution.outcome))
    }

    /// Whether some serial order gives this outcome. Where too many orders could, those that the execution suggests are tried.
    fn is_serial(&mut self, execution: &Execution) -> Result<bool, SessionError> {
        self.run_orders_without_the_aborted(&execution.outcome)?;
        if self.serial.contains(&execution.outcome) {
            return Ok(true);
        }
        if self.serial.complete {
            return Ok(false);
        }
        if conflict_serializable(execution) {
            return Ok(true);
        }
        for order in candidate_orders(execution) {
            self.run_order(&order)?;
            if self.serial.contains(&execution.outcome) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn commands(&self) -> Vec<String> {
        self.job.programs.iter().map(ToString::to_string).collect()
    }

    /// What is explored, as a fingerprint: the same for all shards of one exploration.
    fn subject(&self) -> String {
        fingerprint(&(&self.job.scenario, self.tracer.initial().with_ages_in_days()))
    }

    fn report(self, searched: Searched) -> Explored {
        let exhaustive = searched.end == End::Everything;
        let basis = Basis { why: searched.why, ..self.basis() };
        let confirmed = self.findings.iter().any(|finding| finding.replayed > 0);
        let unconfirmed = !confirmed && !self.findings.is_empty();
        let facts = Facts { unconfirmed, ..basis.facts(searched.end, confirmed) };
        let conclusion = conclude_with(&facts, self.job.gate_fault);
        let scenario = &self.job.scenario;
        let subject = self.subject();
        let report = Report {
            scenario: scenario.name.clone(),
            conclusion,
            exhaustive,
            end: searched.end,
            covered: searched.covered,
            basis,
            strategy: scenario.strategy.name().into(),
            equivalence: scenario.equivalence,
            seed: scenario.seed.unwrap_or(0),
            commands: self.commands(),
            executions: self.counts.executions,
            complete: self.counts.complete,
            blocked: self.counts.blocked,
            redundant: self.counts.redundant,
            elsewhere: self.counts.elsewhere,
            serial_runs: self.serial.runs().len() as u64,
            distinct_outcomes: self.outcomes.len() as u64,
            serial_outcomes: self.serial.distinct() as u64,
            steps: self.counts.steps,
            elapsed_s: self.begun.elapsed().as_secs_f64(),
            anomalies: self.findings,
            outcomes: self.outcomes.iter().map(fingerprint).collect(),
            subject,
            shard: self.job.shard,
            expected: scenario.expect.clone(),
            chance: None,
            verified: scenario.verify.map(|_| self.verified),
        };
        Explored { report, witnesses: self.witnesses, error: None }
    }
}
