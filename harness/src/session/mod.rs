//! The loop that ties the parts together: serial runs, the search, the judging of each execution, the evidence for what is
//! found; and replay.

pub mod ahead;
mod bench;
mod evidence;
mod finish;
mod search;
mod serial;
mod simpler;
mod stress;
mod together;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use self::ahead::Places;
pub use self::evidence::{Replayed, replay};
use self::finish::Afterwards;
use self::search::Searched;
pub use self::stress::{Stress, Stressed, stress};
pub use self::together::explore_together;
use crate::backend::Backend;
use crate::explore::Counts;
use crate::model::gap::sentence;
use crate::model::{
    Anomaly, Cut, Ending, Execution, Kind, Outcome, ProcessId, Sighting, Tree, Units, Verdict,
};
use crate::oracle::{
    BadGlob, Case, CheckRun, Normalize, SerialOutcomes, candidate_orders, conflict_serializable, judge,
};
use crate::report::{End, Finding, Report, Shard, fingerprint};
use crate::scenario::Scenario;
use crate::tracer::{self, Program, TraceError, Tracer};
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
    /// The last line of what each process said in the first serial run, where it failed there.
    last_words: BTreeMap<ProcessId, String>,
    /// The orders of tasks, of each process, in which the serial orders were run.
    by_task: BTreeSet<Vec<Vec<usize>>>,
    /// How many took part in an execution of the search, at most: processes, or their tasks.
    strands: usize,
    /// Who could not go on in the first serial run that came to no end, and where.
    stuck: Option<String>,
    /// The first serial run that came to its end, where the strategy is to be shown one.
    first: Option<Execution>,
    /// Whether, in the serial runs, others go on while a process waits.
    helped: bool,
    stop: Arc<AtomicBool>,
}

/// What makes an anomaly another one: kind, files, keys, processes.
type Identity = (Kind, Vec<String>, Vec<String>, Vec<ProcessId>);

fn identity(anomaly: &Anomaly) -> Identity {
    (anomaly.kind, anomaly.files.clone(), anomaly.keys.clone(), anomaly.processes.clone())
}

/// What an exploration came to.
#[derive(Clone, Debug)]
pub struct Explored {
    /// The report. Its findings name no witness files yet.
    pub report: Report,
    /// For each of its findings what replays it.
    pub witnesses: Vec<Witness>,
}

/// Explores the interleavings of a job's processes. `progress` is told of each execution. When `stop` becomes true the exploration
/// ends with an error.
///
/// # Errors
/// Where the machine does not let processes be traced, a command of the scenario's own fails, nothing serial comes to an end, an
/// execution does not repeat, or the exploration is stopped.
pub fn explore(
    job: &Job,
    stop: &Arc<AtomicBool>,
    progress: &mut dyn FnMut(Progress),
) -> Result<Explored, SessionError> {
    let all = tracer::cores();
    let session = Session::begin(job, stop)?;
    let places = Places::beside(&all, &tracer::cores(), job.jobs.saturating_sub(1));
    session.conclude(&places, progress)
}

/// A tracer for the processes of a scenario, and other programs.
fn tracer_of(
    scenario: &Scenario,
    programs: &[Program],
    others: &[Program],
    tree: &Tree,
    stop: &Arc<AtomicBool>,
) -> Result<Tracer, SessionError> {
    let mut tracer = Tracer::with_root(scenario.root, programs, others, tree.clone(), Arc::clone(stop))?;
    if scenario.strands().are_tasks() {
        tracer.explore_tasks();
    }
    Ok(tracer)
}

impl<'a> Session<'a> {
    fn begin(job: &'a Job, stop: &Arc<AtomicBool>) -> Result<Self, SessionError> {
        let begun = Instant::now();
        let scenario = &job.scenario;
        let rules = Normalize::new(&scenario.ignore, &scenario.unordered)?;
        let (afterwards, others) = Afterwards::of(scenario);
        let mut tracer = tracer_of(scenario, &job.programs, &others, &job.tree, stop)?;
        afterwards.set_up(&mut tracer)?;
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
            last_words: BTreeMap::new(),
            by_task: BTreeSet::new(),
            strands: job.programs.len(),
            stuck: None,
            first: None,
            helped: false,
            stop: Arc::clone(stop),
        })
    }

    /// Runs the serial orders, then the search, with others ahead of it as long as there are places for them.
    fn conclude(
        mut self,
        places: &Places,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Explored, SessionError> {
        self.run_serial_orders()?;
        let searched = self.search(places, progress)?;
        Ok(self.report(searched))
    }

    fn most_steps(&self) -> usize {
        usize::try_from(self.job.scenario.max_steps.unwrap_or(MOST_STEPS)).unwrap_or(usize::MAX)
    }

    /// Holds an execution against the serial ones; records what is wrong with it, once for each outcome.
    fn judge(&mut self, execution: &Execution, check: Option<&CheckRun>) -> Result<(), SessionError> {
        if matches!(execution.ending, Ending::Cut(Cut::Redundant | Cut::Elsewhere)) {
            return Ok(());
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
        self.record(execution)
    }

    /// An execution as one of processes, where the search chooses among their tasks.
    fn seen<'e>(&self, execution: &'e Execution) -> Cow<'e, Execution> {
        let strands = self.tracer.strands();
        if strands.are_tasks() { Cow::Owned(strands.execution(execution)) } else { Cow::Borrowed(execution) }
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

    /// What the oracles find in an execution that was recorded with the bytes that calls moved.
    fn judged(&self, execution: &Execution, check: Option<&CheckRun>) -> Option<Anomaly> {
        let (commands, execution) = (self.commands(), self.seen(execution));
        let case = Case {
            execution: &execution,
            serial: &self.serial,
            initial: &self.tracer.beginning(),
            commands: &commands,
            check,
        };
        judge(&case)
    }

    /// Records an anomaly unless the same has been found: runs it again for evidence, makes its schedule simpler, and runs that again
    /// three times.
    fn record(&mut self, execution: &Execution) -> Result<(), SessionError> {
        let evidence = self.gather_evidence(execution, 1)?;
        let Some(anomaly) = self.judged(&evidence.execution, evidence.check.as_ref()) else { return Ok(()) };
        if !self.known.insert(identity(&anomaly)) {
            return Ok(());
        }
        let simpler = self.simpler(evidence.execution, &anomaly)?;
        let evidence = self.gather_evidence(&simpler, evidence::REPLAYS)?;
        let Some(anomaly) = self.judged(&evidence.execution, evidence.check.as_ref()) else { return Ok(()) };
        if self.findings.iter().any(|finding| identity(&finding.anomaly) == identity(&anomaly)) {
            return Ok(());
        }
        let critical = self.critical(&evidence.execution, &anomaly)?;
        self.witnesses.push(self.witness(&evidence, &anomaly, &critical));
        self.findings.push(Finding {
            anomaly,
            critical,
            context_switches: evidence.execution.context_switches(),
            shown: self.seen(&evidence.execution).into_owned(),
            execution: self.counts.executions,
            witness: None,
            replayed: evidence::REPLAYS,
            hits: None,
        });
        Ok(())
    }

    fn commands(&self) -> Vec<String> {
        self.job.programs.iter().map(ToString::to_string).collect()
    }

    /// What this session could not see or control, and what a reader should know of how the verdict came about.
    fn not_covered(&self) -> Vec<String> {
        let seen = self.tracer.not_covered();
        let not_covered: BTreeSet<String> = seen.iter().chain(&self.not_covered).map(sentence).collect();
        not_covered.into_iter().chain(self.remarks()).collect()
    }

    /// What is explored, as a fingerprint: the same for all shards of one exploration.
    fn subject(&self) -> String {
        fingerprint(&(&self.job.scenario, self.tracer.initial()))
    }

    fn report(self, searched: Searched) -> Explored {
        let exhaustive = searched.end == End::Everything;
        let verdict = match (self.findings.is_empty(), exhaustive) {
            (false, _) => Verdict::Anomaly,
            (true, true) => Verdict::Clean,
            (true, false) => Verdict::Inconclusive,
        };
        let not_covered = self.not_covered();
        let scenario = &self.job.scenario;
        let subject = self.subject();
        let report = Report {
            scenario: scenario.name.clone(),
            verdict,
            exhaustive,
            end: searched.end,
            covered: searched.covered,
            not_covered,
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
        Explored { report, witnesses: self.witnesses }
    }
}
