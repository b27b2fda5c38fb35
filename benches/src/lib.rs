//! What the benchmarks have in common: the pair of agents that they run, locks of several makes, a file of many agents.

pub mod crowd;
pub mod locks;
pub mod ours;

use cooks_harness::backend::Chooser;
use cooks_harness::model::{Choice, Cut, Tree, View};
use cooks_harness::tracer::Program;

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
        let command = || Program::Command(text.split(' ').map(str::to_owned).collect());
        cooks_scenarios::closure(text).unwrap_or_else(command)
    };
    (scenario.processes.iter().map(|process| program(process.program.text())).collect(), tree)
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
