//! What `cooks` takes a pair of calls to touch: as each is held at it, and as each has made it.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use cooks_harness::backend::{Chooser, Detail};
use cooks_harness::model::gap::sentence;
use cooks_harness::model::{Choice, Cut, GapKind, Operation, ProcessId, Status, Tree, View};
use cooks_harness::tracer::{Program, Tracer};

use crate::program::{Scripts, compiled, script_file};

/// The process that makes the world; A and B are the next two.
const WORLD: ProcessId = ProcessId(0);

/// Names that are not there: looking at the one says that a process comes to its call, looking at the other that it is behind.
/// They begin with the path of the workspace: a process may be in a directory that was removed.
const BEFORE: &str = "/dev/shm/workspace/#before";
const BEHIND: &str = "/dev/shm/workspace/#behind";

/// What the two calls of a pair touch in one order.
#[derive(Clone, Debug, Default)]
pub struct Order {
    /// Of A and B: what each is held at before either call. None where the call is no operation.
    pub held: [Option<Operation>; 2],
    /// Of A and B: what each has done. Where a call has to wait, what it is held at.
    pub done: [Vec<Operation>; 2],
    /// Whether the first has to wait from the beginning.
    pub waits: bool,
}

/// What came of a pair.
pub enum Tried {
    /// What was touched where A came first, and where B did.
    Orders(Box<[Order; 2]>),
    /// What forbids to call it clean.
    Gap(String),
    /// A process does not come to its call, though it does on the kernel.
    Unlike(String),
}

struct Steer {
    first: usize,
    order: Order,
    /// How many steps there were when both were at their calls.
    from: Option<usize>,
    let_go: [bool; 2],
}

fn is_at(status: &Status, path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    status.operation().is_some_and(|held| held.call.path.as_deref().is_some_and(|path| path.ends_with(name)))
}

impl Steer {
    /// Whose turn it is before both calls; none where both are at them.
    fn before(&mut self, view: View<'_>) -> Result<Option<ProcessId>, Cut> {
        if view.processes[WORLD.0].exit().is_none() {
            return Ok(Some(WORLD));
        }
        // A process may have to wait for the other one on the way to its call.
        let is_ahead =
            |process: &usize| !self.let_go.contains(&true) && !is_at(&view.processes[*process], BEFORE);
        let ahead: Vec<usize> = [1, 2].into_iter().filter(is_ahead).collect();
        if !ahead.is_empty() {
            let enabled = ahead.iter().find(|process| view.processes[**process].is_enabled());
            return enabled.map(|process| Some(ProcessId(*process))).ok_or(Cut::Steps);
        }
        let waiting = [1, 2].into_iter().find(|process| !self.let_go[process - 1]);
        Ok(waiting.map(|process| {
            self.let_go[process - 1] = true;
            ProcessId(process)
        }))
    }
}

impl Chooser for Steer {
    fn choose(&mut self, view: View<'_>) -> Result<Choice, Cut> {
        if self.from.is_none() {
            if let Some(process) = self.before(view)? {
                return Ok(Choice::Process(process));
            }
            self.from = Some(view.trace.len());
            let held = |process: usize| {
                let status = &view.processes[process];
                status.operation().filter(|_| !is_at(status, BEHIND)).cloned()
            };
            self.order.held = [held(1), held(2)];
            let status = &view.processes[self.first + 1];
            self.order.waits = !status.is_enabled() && !is_at(status, BEHIND);
        }
        for which in [self.first, 1 - self.first] {
            let status = &view.processes[which + 1];
            if status.is_enabled() && !is_at(status, BEHIND) {
                return Ok(Choice::Process(ProcessId(which + 1)));
            }
        }
        for which in [0, 1] {
            let own = view.trace[self.from.unwrap_or(0)..].iter();
            let own = own.filter(|event| event.process == ProcessId(which + 1));
            self.order.done[which] = own.map(|event| event.operation.clone()).collect();
            let status = &view.processes[which + 1];
            if self.order.done[which].is_empty() && !is_at(status, BEHIND) {
                self.order.done[which].extend(status.operation().cloned());
            }
        }
        Err(Cut::Steps)
    }
}

/// Tries pairs, in turn: its processes read what they are to do from files outside of the workspace.
pub struct Tracing {
    files: Vec<PathBuf>,
    tracer: Tracer,
}

impl Drop for Tracing {
    fn drop(&mut self) {
        for file in &self.files {
            let _ = std::fs::remove_file(file);
        }
    }
}

impl Tracing {
    pub fn start() -> Self {
        let files: Vec<PathBuf> = (0..3).map(|_| script_file()).collect();
        let tracer = Self::tracer(&files);
        Self { files, tracer }
    }

    fn tracer(files: &[PathBuf]) -> Tracer {
        let program = |file: &PathBuf| {
            let path = file.to_str().expect("a path of text").to_owned();
            Program::Command(vec![compiled().to_owned(), "run".into(), path])
        };
        let programs: Vec<Program> = files.iter().map(program).collect();
        let stop = Arc::new(AtomicBool::new(false));
        Tracer::new(&programs, &[], Tree::new(), stop).expect("this machine can trace")
    }

    fn write(&self, process: usize, script: &str) {
        std::fs::write(&self.files[process], script).expect("a script can be written");
    }

    /// What becomes of the pair of these scripts.
    pub fn try_pair(&mut self, scripts: &Scripts) -> Tried {
        self.write(0, &scripts.world);
        for (which, script) in scripts.processes.iter().enumerate() {
            let (before, call) = script.split_once("--\n").expect("a pair has its calls behind a line");
            let marked = format!("{before}access '{BEFORE} F_OK\n{call}\naccess '{BEHIND} F_OK\n");
            self.write(which + 1, &marked);
        }
        let (mut orders, mut gaps) = ([Order::default(), Order::default()], Vec::new());
        for (first, order) in orders.iter_mut().enumerate() {
            let steer = Steer { first, order: Order::default(), from: None, let_go: [false; 2] };
            match self.run(steer) {
                Ok(done) => *order = done,
                Err(other) => return other,
            }
            let seen = self.tracer.take_not_covered().into_iter();
            gaps.extend(seen.filter(|seen| seen.kind != GapKind::ThreadOrder).map(|seen| sentence(&seen)));
        }
        if gaps.is_empty() { Tried::Orders(Box::new(orders)) } else { Tried::Gap(gaps.join("; ")) }
    }

    fn run(&mut self, mut steer: Steer) -> Result<Order, Tried> {
        match self.tracer.execute_afresh(&mut steer, Detail::Search) {
            Ok(_) if steer.from.is_some() => Ok(steer.order),
            Ok(execution) => {
                Err(Tried::Unlike(format!("the calls are not reached: {:?}", execution.trace.last())))
            }
            Err(error) => {
                self.tracer = Self::tracer(&self.files);
                Err(Tried::Gap(error.to_string()))
            }
        }
    }
}
