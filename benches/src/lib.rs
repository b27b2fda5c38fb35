//! What the benchmarks have in common: the pair of agents that they run, locks of several makes, a file of many agents.

pub mod crowd;
pub mod locks;
pub mod ours;

use std::process::Command;

use cooks_harness::backend::Chooser;
use cooks_harness::model::{Choice, Cut, Tree, View};
use cooks_harness::tracer::Program;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

/// The agents of the scenario `agent-ab-native`, as programs, and the tree that they begin with.
///
/// # Panics
/// Where the catalogue has no such scenario.
#[must_use]
pub fn agents() -> (Vec<Program>, Tree) {
    agents_of("agent-ab-native")
}

/// The agents of a scenario, closures or commands of plain words.
///
/// # Panics
/// Where the catalogue has no such scenario.
#[must_use]
pub fn agents_of(scenario: &str) -> (Vec<Program>, Tree) {
    let (scenario, tree) = cooks_scenarios::find(scenario)
        .expect("the catalogue has the scenario")
        .expect("the scenario can be read");
    let program = |text: &str| {
        let command = || Program::Command(text.split(' ').map(interpreter).collect());
        cooks_scenarios::closure(text).unwrap_or_else(command)
    };
    (scenario.processes.iter().map(|process| program(process.program.text())).collect(), tree)
}

/// A word of a command; for `python3` the interpreter itself, not a script that looks for it.
///
/// # Panics
/// Where there is no Python.
#[must_use]
pub fn interpreter(word: &str) -> String {
    if word != "python3" {
        return word.to_owned();
    }
    let mut ask = Command::new(word);
    let asked = ask.args(["-c", "import sys; print(sys.executable)"]).output().expect("python3 starts");
    String::from_utf8(asked.stdout).expect("a path").trim_end().to_owned()
}

/// Does something on one core, with all processes that it starts: what is controlled never has more.
///
/// # Panics
/// Where the kernel lets nobody choose a core.
pub fn on_one_core<T>(body: impl FnOnce() -> T) -> T {
    let here = sched_getaffinity(Pid::from_raw(0)).expect("the set of cores");
    let first = (0..CpuSet::count()).find(|core| here.is_set(*core) == Ok(true)).expect("a core");
    let mut one = CpuSet::new();
    one.set(first).expect("a core's number");
    sched_setaffinity(Pid::from_raw(0), &one).expect("kept on one core");
    let result = body();
    sched_setaffinity(Pid::from_raw(0), &here).expect("let go again");
    result
}

/// Lets the processes take turns, an operation each: a schedule that is the same in every execution and switches at every step.
#[derive(Debug)]
pub struct InTurns;

impl Chooser for InTurns {
    fn choose(&mut self, view: View<'_>) -> Result<Choice, Cut> {
        let count = view.processes.len();
        let after = |step: usize| (0..count).map(move |offset| (step + offset) % count);
        let mut order = after(view.trace.len());
        let next = order.find(|&number| view.processes[number].is_enabled());
        next.map(|number| Choice::Process(cooks_harness::model::ProcessId(number))).ok_or(Cut::Steps)
    }
}
