//! A [`Backend`] without an operating system: scripted processes over a small shared state.
//!
//! It is what the strategies are tested on: an execution takes microseconds, and it says exactly what each operation would touch
//! in the present state. See the README beside this file.

mod plan;
mod process;
mod program;
mod words;
mod world;

use self::plan::{Plan, Planner};
use self::process::Process;
pub use self::program::{Expr, Instruction, Name, Program, REGISTERS, Register, reg};
pub use self::words::*;
pub use self::world::Initial;
use self::world::{Effect, World};
use crate::backend::{Backend, Chooser, Detail};
use crate::model::{Choice, Ending, Event, Execution, Exit, Outcome, ProcessId, Status, View, Waiting};

/// Scripted processes and the state that they start from.
///
/// The outcome's tree has each named file under its name and each initial object without regard to names as `#` and its number;
/// a process's standard output is its registers.
#[derive(Clone, Debug)]
pub struct Simulation {
    initial: Initial,
    programs: Vec<Program>,
}

/// Why a simulated execution could not be run.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Error {
    /// The chooser broke its contract.
    #[error("process {0} was chosen, but it cannot go on")]
    NotEnabled(ProcessId),
}

impl Simulation {
    /// These processes, from this state.
    #[must_use]
    pub fn new(initial: Initial, programs: Vec<Program>) -> Self {
        Self { initial, programs }
    }
}

impl Backend for Simulation {
    type Error = Error;

    fn processes(&self) -> usize {
        self.programs.len()
    }

    fn execute(&mut self, chooser: &mut dyn Chooser, detail: Detail) -> Result<Execution, Error> {
        Run::new(self, detail).run(chooser)
    }
}

/// One execution under way.
struct Run<'p> {
    world: World,
    processes: Vec<Process<'p>>,
    schedule: Vec<Choice>,
    trace: Vec<Event>,
    detail: Detail,
}

impl<'p> Run<'p> {
    fn new(simulation: &'p Simulation, detail: Detail) -> Self {
        let objects = simulation.initial.objects();
        Self {
            world: World::new(&simulation.initial),
            processes: simulation.programs.iter().map(|program| Process::new(program, objects)).collect(),
            schedule: Vec::new(),
            trace: Vec::new(),
            detail,
        }
    }

    fn run(mut self, chooser: &mut dyn Chooser) -> Result<Execution, Error> {
        loop {
            let statuses: Vec<Status> =
                (0..self.processes.len()).map(|index| self.status(ProcessId(index))).collect();
            if !statuses.iter().any(Status::is_enabled) {
                return Ok(self.at_rest(&statuses));
            }
            match chooser.choose(View { trace: &self.trace, processes: &statuses }) {
                Ok(choice @ Choice::Process(process)) => {
                    if !statuses.get(process.0).is_some_and(Status::is_enabled) {
                        return Err(Error::NotEnabled(process));
                    }
                    self.schedule.push(choice);
                    self.step(process);
                }
                Err(cut) => return Ok(self.ended(Ending::Cut(cut), Outcome::default())),
            }
        }
    }

    fn plan(&self, id: ProcessId) -> Option<Plan> {
        let process = &self.processes[id.0];
        let planner = Planner { world: &self.world, processes: &self.processes, id, process };
        process.instruction().map(|instruction| match process.signal() {
            Some(kills) => planner.taken(kills),
            None => planner.plan(instruction),
        })
    }

    fn status(&self, process: ProcessId) -> Status {
        match self.plan(process) {
            None => Status::Finished(Exit::Status(0)),
            Some(Plan { operation, holders, .. })
                if holders.is_empty() && operation.has_come(process, &self.trace) =>
            {
                Status::Enabled(operation)
            }
            Some(Plan { operation, holders, .. }) => Status::Blocked { operation, holders },
        }
    }

    fn step(&mut self, id: ProcessId) {
        let plan = self.plan(id).expect("an enabled process has an operation");
        for effect in plan.effects {
            if let Effect::Signal(to, kills) = effect {
                self.processes[to].give_signal(kills);
            }
            self.world.apply(effect);
        }
        if plan.operation.call.name == "signal" {
            self.processes[id.0].take_signal();
        } else {
            self.processes[id.0].complete(plan.value, plan.into, plan.opened);
        }
        let over = self.processes[id.0].instruction().is_none();
        self.trace.push(Event {
            process: id,
            task: String::new(),
            operation: plan.operation,
            result: plan.result,
            exit: over.then_some(Exit::Status(0)),
            payload: plan.moved.filter(|_| self.detail == Detail::Evidence),
        });
    }

    /// The execution, where nothing can go on.
    fn at_rest(self, statuses: &[Status]) -> Execution {
        let waiting: Vec<Waiting> = statuses
            .iter()
            .enumerate()
            .filter_map(|(index, status)| match status {
                Status::Blocked { operation, holders } => Some(Waiting {
                    process: ProcessId(index),
                    operation: operation.clone(),
                    holders: holders.clone(),
                }),
                _ => None,
            })
            .collect();
        let outcome = self.outcome();
        self.ended(if waiting.is_empty() { Ending::Complete } else { Ending::Blocked(waiting) }, outcome)
    }

    fn ended(self, ending: Ending, outcome: Outcome) -> Execution {
        Execution { schedule: self.schedule, trace: self.trace, ending, outcome }
    }

    fn outcome(&self) -> Outcome {
        let exit = |process: &Process<'_>| process.instruction().is_none().then_some(Exit::Status(0));
        let registers = |process: &Process<'_>| format!("{:?}", process.registers()).into_bytes();
        Outcome {
            tree: self.world.tree(),
            exits: self.processes.iter().map(exit).collect(),
            stdout: self.processes.iter().map(registers).collect(),
            ..Outcome::default()
        }
    }
}
