//! Optimal dynamic partial-order reduction: `mod.rs` walks the tree of executions, `races.rs` finds what to reverse in an
//! execution, `wakeup.rs` keeps what is to be run, `node.rs` is one point of the present execution with its sleep set.

mod node;
mod races;
mod wakeup;

use self::node::Node;
pub(super) use self::races::Races;
use self::races::{Race, TakenAway};
use self::wakeup::{Known, Tree};
use super::Strategy;
use super::split::Part;
use crate::model::{Call, Choice, Cut, Ending, Event, Execution, Operation, ProcessId, Status, View};

/// Optimal dynamic partial-order reduction: one execution for each trace class, none redundant.
///
/// The algorithm is that of Parosh Abdulla, Stavros Aronis, Bengt Jonsson and Konstantinos Sagonas, *Optimal Dynamic Partial Order
/// Reduction* (POPL 2014) and *Source Sets: A Foundation for Optimal Dynamic Partial Order Reduction* (JACM 64, 2017):
///
/// 1. An execution is run to its end, with free choices where nothing is planned.
/// 2. Its *reversible races* are found: pairs of events of two processes that conflict, with nothing between them in the
///    happens-before order, of which the later one could come first.
/// 3. For each, the *reversal* is planned at the node before the earlier event *e*: the sequence of all the events after *e* that
///    do not come after it in the happens-before order, then the later event. It is put into the node's *wakeup tree*, unless
///    something equivalent was run from there (its first process is in the node's *sleep set*) or is planned already.
/// 4. The search goes back to the deepest node with a branch left, puts the process it had chosen there to sleep, and follows the
///    branch to its end. A process sleeps on until something is done that conflicts with what it is held at.
///
/// When a planned sequence has been run, nothing sleeps any more: so no execution ends up where all that is enabled is asleep.
/// In memory are the nodes of one execution and their wakeup trees, nothing for each execution.
///
/// **Locks.** An acquisition that waits cannot come before the release that it waited for, but before the acquisition that this
/// release ends. So of the events that conflict with it, those that it cannot be reversed with (the lock being held at that
/// point) are no races and do not stand in the way of those before them; and a reversal leaves out acquisitions that would leave
/// the lock held against it, with what comes of them. What processes are held at when an execution ends (all wait for each other,
/// or it had too many steps) races as if it came last: of two processes that take two locks in opposite orders, that finds the
/// third class.
///
/// **Waiting for a change.** An operation that waits for a change (`Operation::awaits`) is enabled by any one of those that come behind
/// the operation before it of its own process. That one touches all that is waited for: so which changes come behind it is a matter
/// of the happens-before order, and all linearisations of a trace class agree on who is enabled. Nothing takes away again what was
/// waited for; so what a reversal keeps of an execution (all but the earlier event and what comes of it) can still be run, and
/// whoever waits can come before a change exactly where another one is left that is behind its process's operation before. Where
/// none is, the two cannot be reversed, and the class without it, if there is one, is that of another race: of the change with the
/// look before it. This is what blocking asks for in the papers on await loops as well (Bengt Jonsson, Magnus Lång, Konstantinos
/// Sagonas, *Awaiting for Godot: Stateless Model Checking that Avoids Executions where Nothing Happens*, FMCAD 2022).
///
/// **Signals.** Each operation of a process touches the process as such, besides its accesses; a signal to it changes that. The
/// process takes the signal in a step of its own, which comes in the place of what it was held at, and of all that would have
/// followed; so what it was held at races as well, as if it came where the signal was sent: it is no event of this execution, and of
/// the others that differ in it no event may be left to tell. What takes the signal has no other races before the sending.
///
/// **Tasks.** Where the order of the tasks of one process is explored ([`crate::model::Strands`]), all their operations conflict. A
/// task that is not held at anything cannot come before the event of its process that brings it there: the two are no race, and that event
/// stands in the way of those before it. What a task was held at when another one ended their process races as well, as if it
/// came there.
///
/// **Waiting for what others send.** An operation with [`Operation::needs`] is enabled while one of them is met, which follows from what
/// the events before it have added and taken, in any order. So it can overtake an event where a need is met by the events before that
/// and those that are independent of it, less those that take away what is needed, with what comes of them. It takes what is next in
/// the place where it comes to stand then, and is no race with what it does not touch there.
///
/// **Waits that are refused.** A wait for a record lock fails if it closes a cycle of such waits. Each process of the cycle can be the one
/// that closes it, so all of them are enabled ([`Operation::refused`]). What one of them does next takes the refusal away from the others.
/// So the refusal that each was held at races as if it came there. `races/refusals.rs` has the rest.
///
/// **Operations that do something else when they come first.** The paper takes a step's accesses for known; here a call that is
/// to come earlier may find a file there, or a lock free, and touch other things. So the last step of a plan is known in part
/// only (`Race::operation`): all of it where it cannot change or its process is held at it already; else what it looks at, up to
/// the first thing that the overtaken event changed. What is known is certain, so a plan is added only where it is sure not to be
/// equivalent to what was run or is planned: nothing is redundant. It is put aside
///
/// - on the strength of a branch that is known in full, though the rest of what the plan's last step touches might conflict with
///   that: then it is the branch's run from which the race between these two is found, or that of another such branch. Of
///   several, the last step has looked at all the others in the run of the one that it looks at last.
/// - on the strength of a branch that is known in part never, if more of it might conflict with the plan: then it is kept
///   *undecided* at that node of the wakeup tree, until the run comes there and shows what each process is held at.
#[derive(Clone, Debug, Default)]
pub struct Dpor {
    /// The nodes of the present execution, from the start.
    stack: Vec<Node>,
    /// What is to be run below the last of them.
    below: Tree,
    begun: bool,
    /// What of the search this is to explore.
    part: Part,
    /// Whether what the present execution was planned for has turned out to be that of another part.
    strayed: bool,
    /// What the processes are held at where the present execution was cut, because all that could go on sleeps or waits for its part.
    waiting: Vec<(ProcessId, Operation)>,
    /// How many nodes from the start are not to be gone back to: of a copy that makes what follows from one branch.
    fixed: usize,
    fault: Option<Fault>,
    /// The races of the last execution that were planned to be reversed, where these are asked for.
    reversals: Option<Vec<Reversal>>,
}

/// A race that a search will go back to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reversal {
    /// The step that is to be overtaken, from 0.
    pub step: usize,
    /// Whose it is, and what it did.
    pub earlier: (ProcessId, Call),
    /// Who overtakes, and what it did.
    pub later: (ProcessId, Call),
    /// In which step, from 0; none where the process was held at it in the end.
    pub at: Option<usize>,
}

/// A fault to plant, so that the self-checks can be seen to find it. Not part of the interface.
#[doc(hidden)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// Processes sleep on whatever is done.
    NeverWake,
    /// Nothing sleeps beyond the node where it was chosen.
    NothingSleepsOn,
    /// An operation races with the last that conflicts with it, and with none before.
    LastRaceOnly,
    /// Those that wait at a deadlock do not race.
    WaitersForgotten,
    /// A reversal does not take along what is independent of it.
    ReversalAlone,
    /// Acquisitions that wait race as other operations do: with the release before them, and the lock being held.
    HeldLocksStay,
    /// A race that cannot be reversed stands in the way of those behind it.
    HeldLocksShadow,
    /// A reversed operation is taken to touch what it touched before.
    AccessesStay,
    /// What is known of a reversed operation is taken to be all of it.
    NothingUndecided,
    /// Who waits for a change races with every change, as if it could do without.
    NothingAwaited,
    /// Who waits for a change races with none.
    AwaitedStay,
    /// Who waits for what others send is taken not to have to.
    NeedsForgotten,
    /// What a process was held at when it was sent a signal does not race.
    SignalledForgotten,
    /// A task is taken to have been held at an operation before the event that brought it there.
    TasksWakeThemselves,
    /// What a task was held at when its process ended does not race.
    TakenAwayForgotten,
    /// The refusal of a wait that an event takes away does not race.
    RefusalsForgotten,
    /// An execution that was cut because it waits for its part has no races.
    CutForgotten,
    /// In a copy that goes ahead, what is run before its branch does not sleep.
    AheadAwake,
}

impl Dpor {
    /// An exploration from the start.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An exploration of a part alone: each trace class of it once, and none redundant but those that wait for what does not come.
    #[must_use]
    pub fn within(part: Part) -> Self {
        Self { part, ..Self::default() }
    }

    /// Holds a search whose first execution has not been told to it yet to the part that this execution belongs to.
    pub(super) fn hold_to(&mut self, part: Part) {
        self.part = part;
    }

    /// One with a fault.
    #[doc(hidden)]
    #[must_use]
    pub fn with_fault(fault: Fault) -> Self {
        Self { fault: Some(fault), ..Self::default() }
    }

    /// One of a part, with a fault.
    #[doc(hidden)]
    #[must_use]
    pub fn within_with_fault(part: Part, fault: Fault) -> Self {
        Self { part, fault: Some(fault), ..Self::default() }
    }

    /// The same, which tells of each race that it will go back to, or not.
    #[must_use]
    pub fn explaining(self, explain: bool) -> Self {
        Self { reversals: explain.then(Vec::new), ..self }
    }

    /// See [`Strategy::ahead`].
    pub(super) fn ahead_of(&self, wanted: &mut dyn FnMut(&[usize]) -> bool) -> Option<Self> {
        let mut name = self.name();
        for depth in (0..self.stack.len()).rev() {
            for (place, process) in self.stack[depth].planned().enumerate() {
                name.truncate(depth);
                name.push(process.0);
                if wanted(&name) {
                    return Some(self.at(depth, place));
                }
            }
        }
        None
    }

    /// A copy as it will be when it comes to the branch at this place, of those planned at the node at this depth; for that branch alone.
    fn at(&self, depth: usize, place: usize) -> Self {
        let mut copy = Self {
            stack: self.stack[..=depth].to_vec(),
            part: self.part.clone(),
            fixed: depth + 1,
            fault: self.fault,
            ..Self::default()
        };
        for _ in 0..=place {
            copy.below = copy.stack[depth].advance().unwrap_or_default();
        }
        if self.fault == Some(Fault::AheadAwake) {
            copy.stack[depth].wake();
        }
        copy
    }

    /// The sleep set of the node that `view` shows.
    fn sleep(&self, view: View<'_>) -> Vec<ProcessId> {
        match (self.stack.last(), view.trace.last()) {
            _ if self.fault == Some(Fault::NothingSleepsOn) => Vec::new(),
            (Some(node), Some(_)) if self.fault == Some(Fault::NeverWake) => {
                node.sleep_after(ProcessId(usize::MAX), &Operation::default())
            }
            (Some(node), Some(event)) => node.sleep_after(event.process, &event.operation),
            _ => Vec::new(),
        }
    }

    /// Whether what overtakes in a race may do so in this part: if it does not have to wait there, as far as it is known.
    fn can_be_reversed(&self, race: &Race<'_>) -> bool {
        let (operation, _) = race.operation(self.stack[race.earlier()].pending(race.process()));
        !self.part.bars(race.process(), &operation, race.before())
    }

    /// What tasks are held at that an event of another task of their process takes away from them, as by the end of the process.
    fn taken_away(&self, execution: &Execution, held: &[(ProcessId, Operation)]) -> Vec<TakenAway> {
        let is_cut = matches!(execution.ending, Ending::Cut(_) | Ending::Endless(_));
        let is_held_after = |event: usize, strand: ProcessId| match self.stack.get(event + 1) {
            Some(node) => node.may_do(strand).is_some(),
            None => is_cut || held.iter().any(|(other, _)| *other == strand),
        };
        let mut taken_away = Vec::new();
        for (event, done) in execution.trace.iter().enumerate() {
            let Some(process) = done.operation.of_task_of() else { continue };
            let others = self.stack[event].others().into_iter();
            let lost = others.filter(|(strand, operation)| {
                operation.of_task_of() == Some(process) && !is_held_after(event, *strand)
            });
            taken_away.extend(lost.map(|(strand, operation)| (event, strand, operation)));
        }
        taken_away.retain(|_| self.fault != Some(Fault::TakenAwayForgotten));
        if self.fault != Some(Fault::RefusalsForgotten) {
            taken_away.extend(self.refusals_taken_away(execution));
        }
        taken_away
    }

    /// The refusals that an event of another process takes away, since it changes what they read: before that event, the wait would have
    /// been refused.
    fn refusals_taken_away(&self, execution: &Execution) -> Vec<TakenAway> {
        let lost = |(event, done): (usize, &Event)| {
            let others = self.stack[event].others().into_iter();
            let lost = others.filter(|(process, held)| {
                held.refused.is_some() && held.disturbs(*process, &done.operation, done.process)
            });
            lost.map(move |(process, held)| (event, process, held)).collect::<Vec<_>>()
        };
        execution.trace.iter().enumerate().flat_map(lost).collect()
    }

    /// What processes are held at when the execution has ended: those that wait, or have been cut off.
    fn held(&self, ending: &Ending) -> Vec<(ProcessId, Operation)> {
        match ending {
            Ending::Blocked(_) if self.fault == Some(Fault::WaitersForgotten) => Vec::new(),
            Ending::Blocked(waiting) => waiting
                .iter()
                .filter(|at| !at.is_stuck())
                .map(|at| (at.process, at.operation.clone()))
                .collect(),
            Ending::Cut(Cut::Redundant | Cut::Elsewhere) => self.waiting.clone(),
            Ending::Cut(Cut::Steps) | Ending::Endless(_) => {
                self.stack.last().map_or_else(Vec::new, Node::others)
            }
            Ending::Complete => Vec::new(),
        }
    }
}

impl Strategy for Dpor {
    fn begin(&mut self) -> bool {
        self.strayed = false;
        if !self.begun {
            self.begun = true;
            return true;
        }
        while self.stack.len() > self.fixed {
            let Some(node) = self.stack.last_mut() else { break };
            if let Some(below) = node.advance() {
                self.below = below;
                return true;
            }
            self.stack.pop();
        }
        false
    }

    fn choose(&mut self, view: View<'_>) -> Result<Choice, Cut> {
        let step = view.trace.len();
        if step == self.stack.len() {
            let sleep = self.sleep(view);
            // Who is awake and still cannot be chosen waits for its part: what could be new here is that of another one.
            let somebody_waits = view.enabled().any(|process| !sleep.contains(&process));
            let tree = std::mem::take(&mut self.below);
            // Of what was known in part when it was planned, only here it may show that it has to wait.
            self.strayed |= tree.branches.iter().any(|branch| {
                let held = view.processes[branch.process.0].operation();
                branch.known != Known::All
                    && held.is_some_and(|held| self.part.bars(branch.process, held, view.trace.iter()))
            });
            let Some((node, below)) = Node::new(view, &self.part, sleep, tree) else {
                let held = |(index, status): (usize, &Status)| {
                    let process = ProcessId(index);
                    Some((process, status.operation().filter(|_| !status.is_stuck(process))?.clone()))
                };
                self.waiting = view.processes.iter().enumerate().filter_map(held).collect();
                return Err(if somebody_waits || self.strayed { Cut::Elsewhere } else { Cut::Redundant });
            };
            self.stack.push(node);
            self.below = below;
        }
        Ok(Choice::Process(self.stack[step].chosen()))
    }

    fn end(&mut self, execution: &Execution) {
        if self.fault == Some(Fault::CutForgotten) && execution.ending == Ending::Cut(Cut::Elsewhere) {
            return;
        }
        let held = self.held(&execution.ending);
        let held_at = |event: usize, process| self.stack[event].may_do(process).cloned();
        let taken_away = self.taken_away(execution, &held);
        let before = (Some(&held_at as _), taken_away.as_slice());
        let races = Races::of(execution, &held, before, self.fault, &|race| self.can_be_reversed(race));
        for race in races.into_iter().filter(|race| race.earlier() >= self.fixed) {
            let node = &mut self.stack[race.earlier()];
            let (operation, known) = race.operation(node.pending(race.process()));
            if node.plan(race.sequence(&operation, known))
                && let Some(reversals) = &mut self.reversals
            {
                let Event { process, operation, .. } = &execution.trace[race.earlier()];
                reversals.push(Reversal {
                    step: race.earlier(),
                    earlier: (*process, operation.call.clone()),
                    later: (race.process(), race.overtakes().call.clone()),
                    at: race.later(),
                });
            }
        }
    }

    fn owns(&self, execution: &Execution) -> bool {
        matches!(execution.ending, Ending::Cut(_) | Ending::Endless(_)) || self.part.has(execution)
    }

    fn name(&self) -> Vec<usize> {
        self.stack.iter().map(|node| node.chosen().0).collect()
    }

    fn ahead(&self, wanted: &mut dyn FnMut(&[usize]) -> bool) -> Option<Box<dyn Strategy + Send>> {
        Some(Box::new(self.ahead_of(wanted)?))
    }

    /// As if each branch known were as large as the others beside it.
    fn done(&self) -> Option<f64> {
        let (mut done, mut size) = (0.0, 1.0);
        for node in &self.stack {
            let (tried, left) = node.branches();
            size /= (tried + left) as f64 + 1.0;
            done += size * tried as f64;
        }
        Some(done + size)
    }

    fn reversals(&mut self) -> Vec<Reversal> {
        self.reversals.as_mut().map(std::mem::take).unwrap_or_default()
    }

    fn is_exhaustive(&self) -> bool {
        true
    }
}
