//! The search that does not run what it knows: `mod.rs` goes through executions in thought, `known.rs` keeps what processes were
//! seen to do, `world.rs` what they share, as fingerprints (`mark.rs`).

mod known;
mod mark;
mod world;

#[doc(hidden)]
pub use self::known::ObservedFault;
use self::known::{Known, Point};
use super::{Dpor, Strategy};
use crate::backend::Detail;
use crate::model::{
    Choice, Cut, Ending, Event, Execution, Location, Operation, Outcome, ProcessId, Status, View, Waiting,
};

/// One execution of each trace class, less those of which nobody could tell that they were run.
///
/// The search is that of [`Dpor`]: the same executions, planned for the same reasons. But before one is run, it is gone through in
/// thought, step by step, on what was seen in earlier ones. What a process does at a step is decided by all that it has seen (its
/// *history*: the results of its calls, the bytes it read, else what stood at the places that its calls looked at) and by what
/// stands at the places that the call looks at. So a step that was seen after this history, with this at these places, is known.
/// When every step to the end is known, and an execution that was run ended with the same histories and the same at every place,
/// then it would leave the same outcome: it is *merged*, which is to say, not run. It is searched for races all the same.
///
/// So executions are merged that differ in the order of writes of which all but the last are overwritten unread, of writes of the
/// same bytes, of a write that changes nothing and a read; more generally, all that end alike by known steps.
///
/// **Why the outcomes are the same.** The search plans one execution of each class, so all outcomes are among theirs (JACM 2017). By
/// the invariant of [`Operation`](crate::model::Operation) its accesses name all that a call's effect and result depend on; so a
/// step that is taken for known does what it did, by induction from the start every execution gone through in thought is the one that
/// would be run, and it ends in a state in which one that was run has ended. That the state of a process is decided by what it has
/// seen is what replay rests on as well. The idea to identify executions by what reads return is that of Pratyush Agarwal, Krishnendu
/// Chatterjee, Shreya Pathak, Andreas Pavlogiannis and Viktor Toman, *Stateless Model Checking Under a Reads-Value-From Equivalence*
/// (CAV 2021); here it decides only what is run, not what is searched. Nor is anything left out that a state-space search with
/// reduction must take care not to leave out (Yu Yang, Xiaofang Chen, Ganesh Gopalakrishnan, Robert Kirby, *Efficient Stateful
/// Dynamic Partial Order Reduction*, SPIN 2008): the races of merged executions are reversed too.
///
/// What is run is compared with what was expected of it; should a step come out otherwise, nothing is merged from then on, and the
/// search does not count as exhaustive.
///
/// Where processes send signals or ask whether others live, nothing is merged once a process ends: whether its end can be chosen depends
/// on what all processes are held at.
///
/// What it takes for invisible: the virtual clock, which counts who came before. Time is spent in thought on every class. In memory is
/// each step of each process after each history: unlike [`Dpor`]'s, this grows with what there is to see.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    search: Dpor,
    known: Known,
    /// The beginning of the present execution that was gone through in thought.
    thought: Vec<Event>,
    /// Whether the search cut it there.
    cut: Option<Cut>,
    /// Where the present execution stands, as far as it was seen.
    at: Point,
    seen: usize,
    processes: usize,
    merged: u64,
    surprised: bool,
    /// Whether a process asks for another one as such.
    asks: bool,
    /// Whether ends are operations that touch nothing.
    ends: bool,
}

/// How far an execution can be gone through in thought.
enum Thought {
    /// Up to something that is not known, or an end that is new.
    Unknown,
    /// To an end that is known.
    Known(Ending),
}

impl Observed {
    /// An exploration from the start.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// One with a fault.
    #[doc(hidden)]
    #[must_use]
    pub fn with_fault(fault: ObservedFault) -> Self {
        let mut search = Self::default();
        search.known.fault = Some(fault);
        search
    }

    /// How many executions were not run, because they could not have been told from one that was.
    #[must_use]
    pub fn merged(&self) -> u64 {
        self.merged
    }

    /// Goes through the execution that the search wants next, as far as it is known.
    fn think(&mut self) -> Thought {
        let mut at = Point::default();
        self.thought.clear();
        self.cut = None;
        while let Some(processes) = self.statuses(&at) {
            if !processes.iter().any(Status::is_enabled) {
                let known = self.known.is_end(&at);
                return if known { Thought::Known(ending(&processes)) } else { Thought::Unknown };
            }
            let choice = self.search.choose(View { trace: &self.thought, processes: &processes });
            let Choice::Process(process) = match choice {
                Ok(choice) => choice,
                Err(cut) => {
                    self.cut = Some(cut);
                    return Thought::Unknown;
                }
            };
            let Some(event) = self.known.step(&at, process).cloned() else {
                self.thought.push(unknown(process));
                return Thought::Unknown;
            };
            at.push(&event, self.known.fault);
            self.thought.push(event);
        }
        Thought::Unknown
    }

    /// Where the processes stand, if that is known of all.
    fn statuses(&self, at: &Point) -> Option<Vec<Status>> {
        if self.surprised || self.processes == 0 || (self.asks && self.ends) {
            return None;
        }
        let status = |process| self.known.status(at, &self.thought, ProcessId(process));
        let statuses: Vec<Status> = (0..self.processes).map(status).collect::<Option<_>>()?;
        // Whether a wait is refused depends on what other processes are held at, which its accesses do not tell.
        let is_refused = |status: &Status| status.operation().is_some_and(|held| held.refused.is_some());
        let is_known = !statuses.iter().any(is_refused) && !waits_in_a_ring(&statuses);
        is_known.then_some(statuses)
    }

    /// Takes note of whether processes ask for each other or send signals, and of whether their ends are operations. Whether such an
    /// end can be chosen depends on what all processes are held at, which is not in what a point of an execution is known by.
    fn look_for_ends(&mut self, view: View<'_>) {
        for status in view.processes {
            let Some(held) = status.operation() else { continue };
            self.asks |= held.accesses.iter().any(|access| matches!(access.location, Location::Process(_)));
            self.ends |= held.is_end() && held.accesses.is_empty();
        }
    }

    /// Takes note of the steps since the last time.
    fn note(&mut self, trace: &[Event]) {
        for event in &trace[self.seen.min(trace.len())..] {
            if let Some(expected) = self.thought.get(self.seen)
                && !expected.operation.call.name.is_empty()
                && (expected.operation != event.operation || expected.result != event.result)
            {
                self.surprised = true;
            }
            self.known.learn_step(&self.at, event);
            self.at.push(event, self.known.fault);
            self.seen += 1;
        }
    }
}

/// Whether processes wait for each other's record locks in a cycle.
fn waits_in_a_ring(statuses: &[Status]) -> bool {
    let next = |process: &ProcessId| match &statuses[process.0] {
        Status::Blocked { operation: Operation { acquires: Some(acquires), .. }, holders }
            if matches!(acquires.lock, Location::RecordLock { .. }) =>
        {
            holders.clone()
        }
        _ => Vec::new(),
    };
    let reaches_itself = |start: ProcessId| {
        let mut reached = next(&start);
        let mut at = 0;
        while let Some(process) = reached.get(at) {
            let more = next(process);
            more.into_iter().for_each(|process| {
                if !reached.contains(&process) {
                    reached.push(process);
                }
            });
            at += 1;
        }
        reached.contains(&start)
    };
    (0..statuses.len()).map(ProcessId).any(reaches_itself)
}

/// A step that is chosen, of which it is not known what it does.
fn unknown(process: ProcessId) -> Event {
    let result = crate::model::CallResult::Value(0);
    let operation = Operation::default();
    Event { process, task: String::new(), operation, result, exit: None, payload: None }
}

/// How an execution ends in which nobody can go on.
fn ending(processes: &[Status]) -> Ending {
    let waiting: Vec<Waiting> = processes
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
    if waiting.is_empty() { Ending::Complete } else { Ending::Blocked(waiting) }
}

impl Strategy for Observed {
    fn begin(&mut self) -> bool {
        (self.at, self.seen) = (Point::default(), 0);
        while self.search.begin() {
            let Thought::Known(ending) = self.think() else { return true };
            let trace = std::mem::take(&mut self.thought);
            let schedule = trace.iter().map(|event| Choice::Process(event.process)).collect();
            self.search.end(&Execution { schedule, trace, ending, outcome: Outcome::default() });
            self.merged += 1;
        }
        false
    }

    fn choose(&mut self, view: View<'_>) -> Result<Choice, Cut> {
        self.processes = view.processes.len();
        self.look_for_ends(view);
        self.note(view.trace);
        self.known.learn(&self.at, view);
        match (self.thought.get(view.trace.len()), self.cut) {
            (Some(event), _) => Ok(Choice::Process(event.process)),
            (None, Some(cut)) => Err(cut),
            (None, None) => self.search.choose(view),
        }
    }

    fn end(&mut self, execution: &Execution) {
        self.note(&execution.trace);
        if let Ending::Blocked(waiting) = &execution.ending {
            for Waiting { process, operation, holders } in waiting {
                let status = Status::Blocked { operation: operation.clone(), holders: holders.clone() };
                self.known.learn_held(&self.at, *process, &status);
            }
        }
        if !matches!(execution.ending, Ending::Cut(_) | Ending::Endless(_)) {
            self.known.learn_end(&self.at);
        }
        self.search.end(execution);
    }

    fn is_exhaustive(&self) -> bool {
        !self.surprised
    }

    fn detail(&self) -> Detail {
        Detail::Evidence
    }
}
