//! Real processes under ptrace and seccomp, one system call at a time.
//!
//! One process runs at a time, on the controller's core; all others are held at the entry of their next operation. A granted
//! call runs to its exit, its result is recorded, and the process goes on to its next operation. Calls that do not touch the
//! workspace never stop, or are let go at once.

mod alarms;
mod alone;
mod apply;
mod arch;
mod beginning;
mod chance;
mod checkpoint;
mod copies;
mod cores;
mod cycles;
mod decode;
mod endings;
mod error;
mod exec;
mod execution;
mod executions;
mod faults;
mod fifos;
mod files;
mod filter;
mod footprint;
mod free;
mod ids;
mod input;
mod known;
mod lacking;
mod laid;
mod leaving;
mod listing;
mod locks;
mod mappings;
mod meanings;
mod messages;
mod needs;
mod objects;
mod output;
mod outside;
mod paths;
mod polling;
mod proc;
mod program;
mod releases;
mod results;
mod rights;
mod room;
mod root;
mod sandbox;
mod signals;
mod sleep;
mod sockets;
mod standing;
mod start;
mod stops;
mod strands;
mod streams;
mod sys;
mod task;
mod timers;
mod times;
mod told;
mod tracee;
mod tries;
mod units;
mod vdso;
mod waits;
mod zygote;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::rc::Rc;
use std::sync::Arc;

use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;

pub use self::alone::{Alone, RunsAlone};
pub use self::chance::EPOCH;
use self::checkpoint::Beginning;
use self::cores::bind_to_one_core;
pub use self::cores::{cores, move_to};
use self::decode::World;
pub use self::error::TraceError;
use self::execution::Running;
pub use self::faults::Faults;
pub use self::footprint::Lookup;
use self::footprint::Recorder;
pub use self::free::{Free, Start};
use self::known::Known;
use self::lacking::Lacking;
use self::laid::{Changes, Laid, Survey, lay_anew};
use self::locks::Locks;
use self::mappings::Mappings;
use self::messages::{most_bytes, most_datagrams};
pub use self::needs::{Need, State, needs};
use self::objects::Objects;
use self::outside::Outside;
use self::paths::Paths;
use self::proc::Proc;
pub use self::program::{Closure, Program};
use self::rights::Rights;
use self::sandbox::Sandbox;
pub use self::sandbox::{SandboxError, WORKSPACE};
use self::streams::Streams;
use self::timers::Timers;
use self::times::Times;
pub use self::times::{Delay, Overtaking, delays_of};
pub use self::units::unit;
use crate::backend::Detail;
use crate::limits::Limits;
use crate::model::{Footprint, ProcessId, Root, Sighting, Status, Strands, Tree, check_tree};
use crate::workspace;

/// The backend of real processes.
///
/// While it lives, the calling thread is bound to one core.
#[derive(Debug)]
pub struct Tracer {
    /// Before the sandbox: what is kept lives in it.
    beginnings: Vec<Beginning>,
    known: Known,
    sandbox: Sandbox,
    outside: Option<Rc<Outside>>,
    /// What is touched outside the workspace.
    footprint: Rc<RefCell<Recorder>>,
    proc: Rc<Proc>,
    processes: usize,
    /// What they are asked, those that are.
    requests: Vec<Option<Arc<[String]>>>,
    /// What is scheduled by itself.
    strands: Strands,
    initial: Tree,
    /// What is known of the workspace as it is, once it has been laid out.
    laid: Option<Laid>,
    /// What processes have left in it since.
    left: Option<Left>,
    /// What could not be laid out as it is.
    lacking: Rc<Lacking>,
    not_covered: BTreeSet<Sighting>,
    /// Whether nothing has ever been in there.
    all_covered: bool,
    limits: Limits,
    cores: Option<CpuSet>,
    faults: Faults,
    times: Times,
    /// The changes that could have come later than others in the last execution, as far as a process could tell.
    overtakings: BTreeSet<Overtaking>,
}

impl Tracer {
    /// The same as [`Tracer::with_root`], on the machine's own files.
    ///
    /// # Errors
    /// Those of [`Tracer::with_root`].
    pub fn new(
        programs: &[Program],
        others: &[Program],
        initial: Tree,
        limits: impl Into<Limits>,
    ) -> Result<Self, TraceError> {
        Self::with_root(Root::Host, programs, others, initial, limits)
    }

    /// Prepares to run `programs` against each other, and `others` alone, each in a workspace that begins as `initial`; absolute paths
    /// in that are laid on the overlay, where the root is one.
    /// When a limit is reached, what is under way ends with that: [`TraceError::Interrupted`], [`TraceError::TimeLimit`], or, of a command that
    /// runs alone, [`TraceError::Endless`].
    ///
    /// # Errors
    /// Where the machine does not let processes be set apart.
    pub fn with_root(
        root: Root,
        programs: &[Program],
        others: &[Program],
        initial: Tree,
        limits: impl Into<Limits>,
    ) -> Result<Self, TraceError> {
        // The caller has checked the tree: this is the last door before it is written.
        check_tree(&initial, root)?;
        outside::check_places(&initial)?;
        let (cores, limits) = (bind_to_one_core(), limits.into());
        let sandbox = Sandbox::start(&[programs, others].concat(), root, &limits)?;
        let beginnings = programs.iter().map(|_| Beginning::default()).collect();
        let outside_tree = initial.only(|path| path.starts_with('/'));
        let initial = initial.only(|path| !path.starts_with('/'));
        let outside = match root {
            Root::Host => None,
            Root::Overlay => {
                let outside = Outside::of(sandbox.init(), sandbox.hidden())?;
                outside.begin_with(&outside_tree)?;
                Some(Rc::new(outside))
            }
        };
        let proc = Rc::new(Proc::of(sandbox.init())?);
        let footprint = Recorder::new(sandbox.init(), Rc::clone(&proc), root, programs.len())?;
        Ok(Self {
            proc,
            outside,
            footprint: Rc::new(RefCell::new(footprint)),
            beginnings,
            known: Known::default(),
            sandbox,
            processes: programs.len(),
            requests: programs.iter().map(|program| program.requests().cloned()).collect(),
            strands: Strands::whole(programs.len()),
            initial,
            laid: None,
            left: None,
            lacking: Rc::default(),
            not_covered: BTreeSet::new(),
            all_covered: true,
            limits,
            cores,
            faults: Faults::default(),
            times: Times::default(),
            overtakings: BTreeSet::new(),
        })
    }

    /// What the processes do outside of the workspace is not watched from now on, whatever the root is: operations on it are local, as on
    /// the machine itself, and what is written there goes with the tracer.
    pub fn leave_outside_alone(&mut self) {
        self.outside = None;
    }

    /// Has the chooser choose among the tasks of processes from now on. Executions are those of strands then: see [`Strands`].
    pub fn explore_tasks(&mut self) {
        self.strands = Strands::of_tasks(self.processes);
    }

    /// Makes something wrong from now on, as a test wants it. Not part of the interface.
    #[doc(hidden)]
    pub fn plant(&mut self, faults: Faults) {
        self.faults = faults;
    }

    /// What ends what is under way.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// What is scheduled by itself.
    #[must_use]
    pub fn strands(&self) -> Strands {
        self.strands
    }

    /// Lets every execution from now on begin with what the workspace holds now.
    ///
    /// # Errors
    /// Where the workspace cannot be read.
    pub fn begin_from_here(&mut self) -> Result<&Tree, TraceError> {
        let left = self.left.take().unwrap_or_default();
        let directory = self.sandbox.workspace();
        let time = |status: &Metadata| left.objects.time_left(status.ino()).unwrap_or(EPOCH);
        self.initial = workspace::capture_beginning(&directory, &time, left.clock)?;
        self.initial.usual_at(EPOCH);
        if let Some(outside) = &self.outside {
            outside.begin_from_here(&|path| left.objects.time_left_outside(path))?;
        }
        self.beginnings.fill_with(Beginning::default);
        (self.known, self.laid) = (Known::default(), None);
        Ok(&self.initial)
    }

    /// What every execution begins with: the workspace, and so far as it is known what is changed outside of it.
    #[must_use]
    pub fn beginning(&self) -> Tree {
        let mut tree = self.initial.clone();
        if let Some(outside) = &self.outside {
            outside.add_beginning_to(&mut tree);
        }
        tree
    }

    /// The workspace that every execution begins with.
    #[must_use]
    pub fn initial(&self) -> &Tree {
        &self.initial
    }

    /// Makes the workspace as it is at the beginning.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn reset(&mut self) -> Result<(), TraceError> {
        self.left = None;
        self.sandbox.clear_beside_workspace()?;
        if let Some(outside) = &self.outside {
            outside.reset()?;
        }
        let (directory, paths) = (self.sandbox.workspace(), self.paths()?);
        let restored = self.laid.as_mut().map(|laid| laid.restore(&directory, &paths, &self.initial));
        if !matches!(restored, Some(Ok(true))) {
            self.laid = None;
            let lacking = lay_anew(&directory, &self.initial)?;
            let survey = Survey::take(&directory, &paths, &self.initial)?;
            self.lacking = Rc::new(Lacking::of(lacking, &survey));
            self.laid = Some(Laid::new(survey, &self.initial));
        }
        Ok(())
    }

    /// What the workspace holds now, and what is changed outside of it, where that is watched.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn capture(&self) -> Result<Tree, TraceError> {
        let directory = self.sandbox.workspace();
        let mut tree = match &self.laid {
            Some(laid) => laid.capture(&directory)?,
            None => workspace::capture_own(&directory)?,
        };
        if let Some(outside) = &self.outside {
            outside.add_changes_to(&mut tree)?;
        }
        Ok(tree)
    }

    /// Runs number `other` of the other programs alone, in the workspace as it is.
    ///
    /// # Errors
    /// Where the machine fails, the exploration is to stop, or the program waits for ever.
    pub fn run_alone(&mut self, other: usize) -> Result<Alone, TraceError> {
        let program = self.processes + other;
        let (survey, laid) = (self.survey()?, self.laid.take());
        let (exit, learned) = {
            let world = World { footprint: None, ..self.world(&survey)? };
            let (programs, mut known) = (vec![program], Known::default());
            let known = (&mut [][..], &mut known, false);
            let mut running =
                Running::start(&self.sandbox, programs, known, world, Detail::Search, &self.limits)?;
            let exit = loop {
                match running.statuses().remove(0) {
                    Status::Enabled(_) => running.step(ProcessId(0))?,
                    Status::Ends { exit, .. } | Status::Finished(exit) => break exit,
                    Status::Blocked { .. } => {
                        return Err(TraceError::Lost("a command that runs alone waits for ever".into()));
                    }
                };
            };
            // It is none of the processes that are explored: the order of what it does is not in question.
            (exit, Learned { not_covered: BTreeSet::new(), ..Learned::of(&mut running) })
        };
        self.learn(&survey, laid, learned);
        let (stdout, stderr) = self.sandbox.output(program)?;
        Ok(Alone { exit, stdout, stderr })
    }

    /// What a process wrote to its standard error in the last execution.
    ///
    /// # Errors
    /// Those of reading a file in memory.
    pub fn stderr(&self, process: ProcessId) -> Result<Vec<u8>, TraceError> {
        Ok(self.sandbox.output(process.0)?.1)
    }

    /// What processes did since this was last taken that was not scheduled, or could not be decided.
    #[must_use]
    pub fn take_not_covered(&mut self) -> BTreeSet<Sighting> {
        std::mem::take(&mut self.not_covered)
    }

    /// Notes more of that.
    pub fn note_not_covered(&mut self, what: BTreeSet<Sighting>) {
        self.not_covered.extend(what);
    }

    /// What each process has touched outside the workspace, in all executions so far.
    #[must_use]
    pub fn footprints(&self) -> Vec<Footprint> {
        self.footprint.borrow().footprints().to_vec()
    }

    /// Records from now on which paths outside are looked up in an execution, or no longer. What is kept of earlier executions is not
    /// looked up again: for the whole list, use [`Tracer::execute_afresh`].
    pub fn record_lookups(&mut self, on: bool) {
        self.footprint.borrow_mut().record_lookups(on);
    }

    /// The paths that led outside the workspace in the last execution, of each process in the order in which it looked them up. Empty
    /// unless [`Tracer::record_lookups`] is on.
    #[must_use]
    pub fn last_lookups(&self) -> Vec<Vec<Lookup>> {
        self.footprint.borrow().lookups()
    }

    fn paths(&self) -> Result<Paths, TraceError> {
        Ok(Paths::new(self.sandbox.root()?, self.outside.clone()))
    }

    /// The objects of the workspace as it is now.
    fn survey(&self) -> Result<Survey, TraceError> {
        match self.laid.as_ref().and_then(Laid::survey) {
            Some(survey) => Ok(survey.clone()),
            None => Ok(Survey::take(&self.sandbox.workspace(), &self.paths()?, &self.initial)?),
        }
    }

    /// What is known of the workspace when processes begin.
    fn world(&self, survey: &Survey) -> Result<World, TraceError> {
        let (mut objects, locks) = (survey.objects(), Locks::default());
        if let Some(left) = &self.left {
            objects.take_times(&left.objects);
        }
        let changes = Changes::default();
        Ok(World {
            paths: self.paths()?,
            objects,
            begins: self.left.as_ref().map_or(self.initial.clock(), |left| left.clock),
            lacking: Rc::clone(&self.lacking),
            times: self.times.clone(),
            locks,
            streams: Streams::new(most_datagrams(), most_bytes()),
            changes,
            mappings: Mappings::default(),
            rights: Rights::default(),
            timers: Timers::default(),
            unready: Vec::new(),
            not_covered: BTreeSet::new(),
            processes: self.processes,
            over: BTreeSet::new(),
            interrupts: false,
            by_task: self.strands.are_tasks(),
            faults: self.faults,
            signalled: false,
            continued: false,
            inputs: BTreeMap::new(),
            footprint: Some(Rc::clone(&self.footprint)),
            proc: Rc::clone(&self.proc),
        })
    }

    /// Takes up what processes did in the workspace, which had this survey when they began.
    fn learn(&mut self, survey: &Survey, laid: Option<Laid>, learned: Learned) {
        self.footprint.borrow_mut().end();
        let has_met = self.footprint.borrow().has_met();
        self.all_covered &= !has_met && !learned.not_covered.iter().any(Sighting::may_hide);
        self.not_covered.extend(learned.not_covered);
        let known = self.all_covered && !learned.strangers;
        self.laid = laid;
        if let Some(laid) = &mut self.laid {
            laid.changed(survey, &learned.changes, known, &self.initial);
        }
        self.left = Some(learned.left);
    }
}

/// What is known when processes have run.
#[derive(Default)]
struct Learned {
    changes: Changes,
    strangers: bool,
    left: Left,
    not_covered: BTreeSet<Sighting>,
}

/// What processes leave beside the files of the workspace: the times of these, and the clock, in nanoseconds since the beginning.
#[derive(Debug, Default)]
struct Left {
    objects: Objects,
    clock: u64,
}

impl Learned {
    fn of(running: &mut Running<'_>) -> Self {
        let clock = running.latest();
        let world = &mut running.world;
        Self {
            changes: std::mem::take(&mut world.changes),
            strangers: world.objects.any_strangers(),
            left: Left { objects: std::mem::take(&mut world.objects), clock },
            not_covered: std::mem::take(&mut world.not_covered),
        }
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        if let Some(cores) = &self.cores {
            let _ = sched_setaffinity(Pid::from_raw(0), cores);
        }
    }
}
