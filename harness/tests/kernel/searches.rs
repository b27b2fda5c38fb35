//! Whole programs on both sides: what the kernel comes to in every interleaving, and what the searches of `cooks` say.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use cooks_harness::backend::{Backend, Chooser, Detail};
use cooks_harness::explore::{Counts, Strategy, explore};
use cooks_harness::model::gap::sentence;
use cooks_harness::model::{
    Access, Choice, Cut, Ending, Entry, Execution, GapKind, ProcessId, Root, Tree, View,
};
use cooks_harness::tracer::{Faults, Program, Tracer};

use crate::blind::{Glasses, Seen};
use crate::classes::class;
use crate::known::FOUND_OUT;
use crate::program::{Reference, Scripts, compiled, script_file};

/// No program here has an execution with more steps.
const MAX_STEPS: usize = 500;

/// What a program comes to, in words that both sides share.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Outcomes {
    /// Of all interleavings.
    pub all: BTreeSet<String>,
    /// Of those in which the processes come one after another, and each to its end.
    pub serial: BTreeSet<String>,
}

/// What the kernel comes to, and in how many interleavings.
pub fn on_the_kernel(reference: &mut Reference, scripts: &Scripts) -> (Outcomes, u64) {
    let (mut outcomes, mut interleavings) = (Outcomes::default(), 0);
    for line in reference.ask("all", scripts) {
        match line.split_at(2) {
            ("o ", outcome) => outcomes.all.insert(outcome.to_owned()),
            ("s ", outcome) => outcomes.serial.insert(outcome.to_owned()),
            (_, count) => {
                interleavings = count.parse().expect("a number");
                true
            }
        };
    }
    (outcomes, interleavings)
}

fn escaped(into: &mut String, bytes: &[u8]) {
    let mut rest = bytes;
    while let Some(first) = rest.first() {
        let run = rest.iter().take_while(|byte| *byte == first).count();
        let is_plain = (b'!'..127).contains(first) && *first != b'\\';
        let byte = if is_plain { char::from(*first).to_string() } else { format!("\\{first:02x}") };
        if run > 4 {
            let _ = write!(into, "{byte}{{{run}}}");
            rest = &rest[run..];
        } else {
            into.push_str(&byte);
            rest = &rest[1..];
        }
    }
}

/// The outcome of an execution, with the processes in the order that the scripts have: `order` says which each one is.
fn outcome(execution: &Execution, order: &[usize]) -> String {
    let mut said = vec![String::new(); order.len()];
    for (place, &which) in order.iter().enumerate() {
        let letter = ["A", "B", "C"][which];
        let own = match execution.outcome.exits[place] {
            None => "waits".into(),
            Some(exit) if exit.is_success() => String::from_utf8_lossy(&execution.outcome.stdout[place]),
            Some(exit) => format!("{exit:?}").into(),
        };
        said[which] = format!("{letter} {own}|");
    }
    let mut text: String = said.concat();
    for (path, entry) in &execution.outcome.tree {
        // As the C program prints it: by each of its names, a file looks the same.
        let tree = &execution.outcome.tree;
        let entry = tree.get(tree.first_name(path)).unwrap_or(entry);
        let _ = match entry {
            Entry::File { mode, content } => {
                let _ = write!(text, " {path}:{mode:o}:");
                escaped(&mut text, content);
                Ok(())
            }
            Entry::Dir { mode } => write!(text, " {path}/{mode:o}"),
            Entry::Link { target } => write!(text, " {path}->{target}"),
            Entry::Other { kind, mode } => write!(text, " {path}?{kind}:{mode:o}"),
            Entry::HardLink { to } => write!(text, " {path}={to}"),
        };
    }
    text
}

/// Lets processes come one after another.
struct Serially;

impl Chooser for Serially {
    fn choose(&mut self, view: View<'_>) -> Result<Choice, Cut> {
        let is_over = |process: &usize| view.processes[*process].exit().is_some();
        let first = (0..view.processes.len()).find(|process| !is_over(process));
        let first = first.filter(|process| view.processes[*process].is_enabled());
        first.map(|process| Choice::Process(ProcessId(process))).ok_or(Cut::Steps)
    }
}

/// A program under `cooks`, its processes in some order.
pub struct Traced {
    seen: Seen<Tracer>,
    order: Vec<usize>,
    files: Vec<PathBuf>,
}

impl Drop for Traced {
    fn drop(&mut self) {
        for file in &self.files {
            let _ = std::fs::remove_file(file);
        }
    }
}

/// What a search said.
pub struct Said {
    pub counts: Counts,
    pub all: BTreeSet<String>,
    /// What forbids to call it clean.
    pub gaps: String,
    /// How many executions were of a trace class of which another one had been run.
    pub twice: u64,
    /// The calls that touched something else than what their process was held at.
    pub unforeseen: BTreeSet<String>,
}

/// Wraps a strategy, and checks that each call touches what its process was held at.
struct Watching<'s> {
    strategy: &'s mut dyn Strategy,
    held: Vec<Vec<Option<Vec<Access>>>>,
    unforeseen: BTreeSet<String>,
}

impl Strategy for Watching<'_> {
    fn begin(&mut self) -> bool {
        self.held.clear();
        self.strategy.begin()
    }

    fn choose(&mut self, view: View<'_>) -> Result<Choice, Cut> {
        let held = view.processes.iter().map(|status| Some(status.operation()?.accesses.clone()));
        self.held.push(held.collect());
        self.strategy.choose(view)
    }

    fn end(&mut self, execution: &Execution) {
        for (event, held) in execution.trace.iter().zip(&self.held) {
            let done = &event.operation;
            let is_found_out = FOUND_OUT.iter().any(|(name, _)| done.call.name.starts_with(name));
            if let Some(held) =
                held[event.process.0].as_ref().filter(|held| **held != done.accesses && !is_found_out)
            {
                let what =
                    format!("{:?} {:?}: held {held:?}, done {:?}", done.call, event.result, done.accesses);
                self.unforeseen.insert(what);
            }
        }
        self.strategy.end(execution);
    }

    fn detail(&self) -> Detail {
        self.strategy.detail()
    }

    fn is_exhaustive(&self) -> bool {
        self.strategy.is_exhaustive()
    }
}

impl Traced {
    /// # Errors
    /// Where it cannot be run.
    pub fn new(scripts: &Scripts, order: &[usize], root: Root) -> Result<Self, String> {
        let write = |script: &String| {
            let file = script_file();
            std::fs::write(&file, script).expect("a script can be written");
            file
        };
        let ordered = order.iter().map(|&which| &scripts.processes[which]);
        let files: Vec<PathBuf> = ordered.chain([&scripts.world]).map(write).collect();
        // The ids of the processes, in the order of their letters. The place of a process decides its id.
        let place = |which: usize| order.iter().position(|other| *other == which);
        let ids = (0..order.len()).filter_map(place).map(|place| (1000 + 100 * place).to_string());
        let ids: Vec<String> = ids.collect();
        let program = |file: &PathBuf| {
            let path = file.to_str().expect("a path of text").to_owned();
            Program::Command([vec![compiled().to_owned(), "run".into(), path], ids.clone()].concat())
        };
        let programs: Vec<Program> = files.iter().map(program).collect();
        let (processes, world) = programs.split_at(order.len());
        let stop = Arc::new(AtomicBool::new(false));
        let tracer = Tracer::with_root(root, processes, world, Tree::new(), stop);
        let backend = tracer.map_err(|error| error.to_string())?;
        let mut traced = Self { seen: Seen { backend, glasses: Clone::clone }, order: order.to_vec(), files };
        let tracer = &mut traced.seen.backend;
        let made = tracer.reset().and_then(|()| tracer.run_alone(0));
        made.and_then(|_| tracer.begin_from_here().map(|_| ())).map_err(|error| error.to_string())?;
        Ok(traced)
    }

    /// Makes something wrong from now on.
    pub fn plant(&mut self, faults: Faults) {
        self.seen.backend.plant(faults);
    }

    /// Explores to the end.
    ///
    /// # Errors
    /// Where an execution cannot be run.
    pub fn search(&mut self, strategy: &mut dyn Strategy, glasses: Glasses) -> Result<Said, String> {
        let (mut all, mut classes, mut twice, order) = (BTreeSet::new(), BTreeSet::new(), 0, &self.order);
        self.seen.glasses = glasses;
        let mut watching = Watching { strategy, held: Vec::new(), unforeseen: BTreeSet::new() };
        let explored = explore(&mut watching, &mut self.seen, MAX_STEPS, &mut |execution| {
            if !matches!(execution.ending, Ending::Cut(_)) {
                all.insert(outcome(execution, order));
                twice += u64::from(!classes.insert(class(execution)));
            }
            ControlFlow::Continue(())
        });
        let unforeseen = watching.unforeseen;
        let explored = explored.map_err(|error| error.to_string())?;
        let seen = self.seen.backend.take_not_covered().into_iter();
        let mut gaps: Vec<String> =
            seen.filter(|seen| seen.kind != GapKind::ThreadOrder).map(|seen| sentence(&seen)).collect();
        if !explored.exhaustive {
            gaps.push("not exhaustive".into());
        }
        Ok(Said { counts: explored.counts, all, gaps: gaps.join("; "), twice, unforeseen })
    }

    /// What comes out where the processes come one after another, in their order; none where one of them has to wait.
    ///
    /// # Errors
    /// Where it cannot be run.
    pub fn serially(&mut self) -> Result<Option<String>, String> {
        let execution =
            self.seen.backend.execute(&mut Serially, Detail::Search).map_err(|error| error.to_string())?;
        Ok(execution.is_complete().then(|| outcome(&execution, &self.order)))
    }
}
