mod needs;
mod refusals;

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::Fault;
use super::wakeup::{Known, Step};
use crate::model::{
    Access, AccessKind, Acquisition, Event, Execution, HappensBefore, Location, LockMode, Need, Operation,
    ProcessId,
};

/// The end of a race: an event, what a process is held at when the execution ends, or was held at before it was sent a signal.
#[derive(Clone, Debug)]
struct Later<'a> {
    /// Its number; `None` where its process is held at it.
    number: Option<usize>,
    /// The event that sends the signal.
    signal: Option<usize>,
    process: ProcessId,
    operation: Cow<'a, Operation>,
    /// The event before it in its process.
    before: Option<usize>,
    /// The events before it that conflict with it, latest first.
    conflicting: Vec<usize>,
    /// Where it has to wait, what for: one of these.
    needs: Vec<&'a Need>,
    /// If it is the refusal of a wait: the events that brought the other processes of the cycle to their waits.
    brought: Vec<usize>,
}

impl<'a> Later<'a> {
    /// The operation as the one that comes next.
    fn new(
        order: &HappensBefore,
        number: Option<usize>,
        process: ProcessId,
        operation: &'a Operation,
    ) -> Self {
        let (before, conflicting) = (order.last_of(process), order.conflicting(process, operation));
        let needs = operation.needs.iter().collect();
        Self {
            number,
            signal: None,
            process,
            operation: Cow::Borrowed(operation),
            before,
            conflicting,
            needs,
            brought: Vec::new(),
        }
    }

    /// What a process is held at when the event that comes next takes that away: sends it a signal, or ends the task.
    fn without_signal(
        order: &HappensBefore,
        signal: usize,
        process: ProcessId,
        operation: Operation,
    ) -> Self {
        let earlier = order.conflicting(process, &operation);
        let conflicting = std::iter::once(signal).chain(earlier).collect();
        let (before, operation) = (order.last_of(process), Cow::Owned(operation));
        Self {
            number: None,
            signal: Some(signal),
            process,
            operation,
            before,
            conflicting,
            needs: Vec::new(),
            brought: Vec::new(),
        }
    }
}

/// The acquisition that an operation is, if it waits for it.
fn waits_for(operation: &Operation) -> Option<&Acquisition> {
    operation.acquires.as_ref().filter(|acquisition| acquisition.blocking)
}

/// Whether an operation's access gives the lock back: it changes who holds it, and does not take it.
fn releases(operation: &Operation, access: &Access, waited: &Acquisition) -> bool {
    let takes = operation.acquires.as_ref().is_some_and(|taken| taken.lock.overlaps(&waited.lock));
    access.location.overlaps(&waited.lock) && access.kind != AccessKind::Read && !takes
}

/// Whether an operation makes this access even if it fails. A join is made only if the operation succeeds, and reads nothing; but the join
/// of a lock reads whether the lock can be had.
fn is_looked_at(access: &Access) -> bool {
    access.kind != AccessKind::Join
        || matches!(access.location, Location::Lock(_) | Location::RecordLock { .. })
}

/// Takes a lock, or bytes of one, from what is held.
fn give_back(held: &mut Vec<(usize, Location)>, lock: &Location) {
    *held = held.iter().flat_map(|(event, of)| of.without(lock).into_iter().map(|of| (*event, of))).collect();
}

/// Whether an event sends a signal to a process.
fn is_signal(event: &Event, process: ProcessId) -> bool {
    event.operation.changes(event.process, &[Access::by(process)])
}

/// What is to be run from before event [`earlier`](Race::earlier) to see the race the other way round.
#[derive(Clone, Debug)]
pub(in crate::explore) struct Race<'a> {
    trace: &'a [Event],
    earlier: usize,
    /// The events after the earlier one that go on without it, in their order.
    independent: Vec<usize>,
    /// Those that do not, and come before what overtakes; where that waits until a need of it is met.
    left_out: Vec<usize>,
    /// Whether some of these do not come of the earlier event, or it is not sure that the later operation can come first.
    leaves_out: bool,
    /// The need that is met then.
    met: Option<&'a Need>,
    later: Option<usize>,
    process: ProcessId,
    operation: Cow<'a, Operation>,
    /// Whether the process has no event from the earlier one on: then it is held at the operation there already.
    held: bool,
    /// Whether it does the same when it comes first, whatever it touches.
    same: bool,
    /// Whether its process was sent a signal where it was held at it.
    signalled: bool,
    fault: Option<Fault>,
}

impl<'a> Race<'a> {
    /// The event to be overtaken.
    pub(in crate::explore) fn earlier(&self) -> usize {
        self.earlier
    }

    /// The event that overtakes; `None` where its process is held at it in the end.
    pub(in crate::explore) fn later(&self) -> Option<usize> {
        self.later
    }

    /// What overtakes, as it was.
    pub(in crate::explore) fn overtakes(&self) -> &Operation {
        &self.operation
    }

    /// The events after the earlier one that go before what overtakes it.
    pub(in crate::explore) fn independent(&self) -> &[usize] {
        &self.independent
    }

    /// The events before what overtakes, when it has.
    pub(super) fn before(&self) -> impl Iterator<Item = &'a Event> + Clone {
        let independent = self.independent.iter().map(|&event| &self.trace[event]);
        self.trace[..self.earlier].iter().chain(independent)
    }

    /// The process that overtakes.
    pub(in crate::explore) fn process(&self) -> ProcessId {
        self.process
    }

    /// What is known of the operation that overtakes, where its process is held at `pending` before the earlier event.
    ///
    /// It need not do what it did after the earlier event. If it is held already, and nothing that goes before it conflicts with
    /// what it would do now, it does that. If nothing that the earlier event changed is among what it touched, it does what it
    /// did; neither does an acquisition that waits ever touch anything else. Else it looks where it looked, up to the first thing
    /// that the earlier event changed, and from there on it may take any other way.
    /// A signal changes all that its process does next: without it, that does what it is held at.
    pub(super) fn operation(&self, pending: Option<&Operation>) -> (Cow<'_, Operation>, Known) {
        if let (true, Some(pending)) = (self.held && !self.same, pending)
            && !self.independent.iter().any(|&event| {
                let Event { process, operation, .. } = &self.trace[event];
                operation.disturbs(*process, pending, self.process)
            })
        {
            return (Cow::Owned(pending.clone()), Known::All);
        }
        let accesses = &self.operation.accesses;
        let changed = |access: &Access| {
            self.changed(access).is_some() || (self.signalled && self.is_changed_before(access))
        };
        match accesses.iter().position(changed) {
            Some(first) if !self.same => {
                let certain = accesses[..=first].iter().filter(|access| is_looked_at(access));
                let looks = certain.map(|access| Access::read(access.location.clone()));
                let looks = Operation { accesses: self.as_needed(looks.collect()), ..Operation::default() };
                (Cow::Owned(looks), self.known_of(first))
            }
            _ => (Cow::Borrowed(&*self.operation), Known::All),
        }
    }

    /// Whether what goes before it now changes what this access is on.
    fn is_changed_before(&self, access: &Access) -> bool {
        let changes = |event: &Event| event.operation.changes(event.process, std::slice::from_ref(access));
        self.independent.iter().any(|&event| changes(&self.trace[event]))
    }

    /// How the earlier event changed what this access is on.
    fn changed(&self, access: &Access) -> Option<AccessKind> {
        let events = std::iter::once(&self.earlier).chain(&self.left_out);
        let mut changes = events.flat_map(|&event| &self.trace[event].operation.accesses);
        let change = changes.find(|change| change.kind != AccessKind::Read && change.conflicts(access));
        change.map(|change| change.kind)
    }

    /// What its accesses up to this one tell, the first that the earlier event changed. A try may take the lock shared when it
    /// comes first, unless a shared acquisition made the difference to it: then it is one for the exclusive lock.
    fn known_of(&self, access: usize) -> Known {
        let on = &self.operation.accesses[access];
        let is_lock = matches!(on.location, Location::Lock(_) | Location::RecordLock { .. });
        if self.fault == Some(Fault::NothingUndecided) {
            Known::All
        } else if is_lock && access == 0 && self.changed(on) == Some(AccessKind::Write) {
            Known::Try
        } else {
            Known::Beginning
        }
    }

    /// The sequence: what is independent of the earlier event, then the operation.
    pub(super) fn sequence<'s>(&'s self, operation: &'s Operation, known: Known) -> Vec<Step<'s>> {
        let step = |&event: &usize| {
            let Event { process, operation, .. } = &self.trace[event];
            Step { process: *process, operation, known: Known::All }
        };
        let last = Step { process: self.process, operation, known };
        self.independent.iter().map(step).chain([last]).collect()
    }
}

/// What a process was held at before an event, if it was, and could go on in some order. `None` where nothing is known of that.
pub(in crate::explore) type HeldAt<'a> = Option<&'a dyn Fn(usize, ProcessId) -> Option<Operation>>;

/// An event, and what it takes away from a task of its process that was held at it.
pub(in crate::explore) type TakenAway = (usize, ProcessId, Operation);

/// The reversible races of an execution.
pub(in crate::explore) struct Races<'a, 'h> {
    trace: &'a [Event],
    order: HappensBefore,
    held_at: HeldAt<'h>,
    fault: Option<Fault>,
}

impl<'a, 'h> Races<'a, 'h> {
    /// All of them, also those of the operations that processes are `held` at in the end, as if they came then, and of those that
    /// were `taken_away` from tasks, as if they came there.
    ///
    /// Those between events that an earlier execution had as well are included: the steps that are independent of the earlier
    /// event may lie anywhere up to the end, and that is new. (With only the races of new events, lastzero(10) comes to 3312
    /// classes instead of 3328 in some orders of its processes.) Those that are not `possible` cannot be reversed.
    pub(in crate::explore) fn of(
        execution: &'a Execution,
        held: &'a [(ProcessId, Operation)],
        (held_at, taken_away): (HeldAt<'h>, &[TakenAway]),
        fault: Option<Fault>,
        possible: &dyn Fn(&Race<'a>) -> bool,
    ) -> Vec<Race<'a>> {
        let mut order = HappensBefore::default();
        let held_at = held_at.filter(|_| fault != Some(Fault::SignalledForgotten));
        let mut later = Vec::new();
        for (number, event) in execution.trace.iter().enumerate() {
            let first = later.len();
            later.push(Later::new(&order, Some(number), event.process, &event.operation));
            later.extend(later[later.len() - 1].for_other_needs(&order));
            for process in event.operation.signalled().filter(|process| *process != event.process) {
                let held = held_at.and_then(|held_at| held_at(number, process));
                later.extend(held.map(|held| Later::without_signal(&order, number, process, held)));
            }
            for (_, strand, held) in taken_away.iter().filter(|(event, ..)| *event == number) {
                later.push(Later::without_signal(&order, number, *strand, held.clone()));
            }
            Later::add_refusals(&mut later, first, &order, &execution.trace);
            order.push(event.process, &event.operation);
        }
        let first = later.len();
        for (process, operation) in held {
            later.push(Later::new(&order, None, *process, operation));
            later.extend(later[later.len() - 1].for_other_needs(&order));
        }
        Later::add_refusals(&mut later, first, &order, &execution.trace);
        let races = Self { trace: &execution.trace, order, held_at, fault };
        later.iter().flat_map(|later| races.up_to(later, possible)).collect()
    }

    /// The races that end in this one: with the events that conflict with it, except where there is another between the two that
    /// it must first be reversed with. One that it cannot be reversed with is not in the way: where it waits for a lock, that is
    /// the release before it, and what else its holder does with the lock.
    fn up_to(&self, later: &Later<'a>, possible: &dyn Fn(&Race<'a>) -> bool) -> Vec<Race<'a>> {
        let mut between: Vec<usize> = later.before.into_iter().chain(self.brought_by(later)).collect();
        let mut races = Vec::new();
        for &event in &later.conflicting {
            let is_behind = between.iter().any(|&other| self.order.leads_to(event, other));
            if self.trace[event].process == later.process || is_behind {
                continue;
            }
            if self.held_at.is_some()
                && later.signal != Some(event)
                && is_signal(&self.trace[event], later.process)
            {
                // What its process was held at then is another end of races.
                between.push(event);
                continue;
            }
            let brings = self.brings(event, later);
            let found = if brings { Vec::new() } else { self.between(event, later) };
            let found: Vec<Race<'a>> = found.into_iter().filter(possible).collect();
            // What is left out besides may come all the same, once something before this is overtaken as well.
            let is_race = found.iter().any(|race| !race.leaves_out);
            // Before the one that brought its task to where it is held nothing of its process lets it be.
            if is_race || brings || self.fault == Some(Fault::HeldLocksShadow) {
                between.push(event);
            }
            races.extend(found);
            if !races.is_empty() && self.fault == Some(Fault::LastRaceOnly) {
                break;
            }
        }
        races
    }

    /// Whether the task whose operation the later one is was held at none before this event, of another task of its process.
    fn brings(&self, earlier: usize, later: &Later<'a>) -> bool {
        let is_held = |held_at: &dyn Fn(usize, ProcessId) -> Option<Operation>| {
            held_at(earlier, later.process).is_some()
        };
        let process = self.trace[earlier].operation.of_task_of();
        process.is_some()
            && process == later.operation.of_task_of()
            && self.fault != Some(Fault::TasksWakeThemselves)
            && !self.held_at.is_none_or(is_held)
    }

    /// The event that brought the task whose operation the later one is to where it is held.
    fn brought_by(&self, later: &Later<'a>) -> Option<usize> {
        later.operation.of_task_of()?;
        let end = later.number.unwrap_or(self.trace.len());
        (0..end).rev().find(|event| self.brings(*event, later))
    }

    /// The race between the two, where the later one can come first, whatever it needs.
    fn race(&self, earlier: usize, later: &Later<'a>) -> Option<Race<'a>> {
        let after = earlier + 1..self.trace.len();
        let mut independent: Vec<usize> =
            after.filter(|&event| !self.order.leads_to(earlier, event)).collect();
        if let Some(number) = later.number {
            // As another need would have it, it may be independent of the earlier one.
            independent.retain(|&event| !self.order.leads_to(number, event));
        }
        if let Some(signal) = later.signal {
            independent.retain(|&event| !self.order.leads_to(signal, event));
        }
        let operation = &*later.operation;
        if !later.is_refused_before(earlier, &independent) {
            return None;
        }
        if operation.awaits && !self.is_awaited(earlier, &independent, later.before, operation) {
            return None;
        }
        let waited = waits_for(operation);
        if let Some(waited) = waited
            && self.fault != Some(Fault::HeldLocksStay)
        {
            independent = self.with_lock_free(earlier, independent, later.process, waited)?;
            let is_reached = |before: usize| before < earlier || independent.contains(&before);
            if !later.before.is_none_or(is_reached) {
                return None;
            }
        }
        if self.fault == Some(Fault::ReversalAlone) {
            independent.retain(|&event| self.trace[event].process == later.process);
        }
        Some(Race {
            trace: self.trace,
            earlier,
            independent,
            left_out: Vec::new(),
            leaves_out: later.may_not_be_refused_before(earlier),
            met: None,
            later: later.number,
            process: later.process,
            operation: later.operation.clone(),
            held: later.before.is_none_or(|before| before < earlier),
            same: (waited.is_some() && operation.accesses.len() == 1)
                || operation.awaits
                || self.fault == Some(Fault::AccessesStay),
            signalled: later.signal.is_some(),
            fault: self.fault,
        })
    }

    /// Whether what an operation waits for comes all the same when it comes before event `earlier`: a change, after the event
    /// `before` it in its process.
    fn is_awaited(
        &self,
        earlier: usize,
        independent: &[usize],
        before: Option<usize>,
        operation: &Operation,
    ) -> bool {
        if let Some(fault @ (Fault::NothingAwaited | Fault::AwaitedStay)) = self.fault {
            return fault == Fault::NothingAwaited;
        }
        let first = before.map_or(0, |before| before + 1);
        let others = independent.iter().copied().filter(|event| *event >= first);
        (first..earlier).chain(others).any(|event| {
            let Event { process, operation: done, .. } = &self.trace[event];
            done.changes(*process, &operation.accesses)
        })
    }

    /// Those of the events (all after `start`) that leave the lock free for this acquisition: without the acquisitions that are
    /// not given back among them, and what comes of these. `None` where it is held from before.
    fn with_lock_free(
        &self,
        start: usize,
        mut events: Vec<usize>,
        process: ProcessId,
        waited: &Acquisition,
    ) -> Option<Vec<usize>> {
        loop {
            let holders = self.holders((0..start).chain(events.iter().copied()), process, waited);
            let Some(&taken) = holders.values().next() else { return Some(events) };
            if taken < start {
                return None;
            }
            events.retain(|&event| !self.order.leads_to(taken, event));
        }
    }

    /// Who holds the lock against this acquisition of `waiting` after these events, with the events that took it. What the process
    /// holds of it itself is converted, and keeps nobody out.
    fn holders(
        &self,
        events: impl Iterator<Item = usize>,
        waiting: ProcessId,
        waited: &Acquisition,
    ) -> BTreeMap<ProcessId, usize> {
        let mut held: BTreeMap<ProcessId, Vec<(usize, Location)>> = BTreeMap::new();
        for event in events.filter(|&event| self.trace[event].process != waiting) {
            let Event { process, operation, .. } = &self.trace[event];
            let taken = operation.acquires.as_ref().filter(|taken| taken.lock.overlaps(&waited.lock));
            let of = held.entry(*process).or_default();
            if let Some(taken) = taken {
                // A lock that is taken in another mode takes the place of the one before.
                give_back(of, &taken.lock);
                if [taken.mode, waited.mode].contains(&LockMode::Exclusive) {
                    of.push((event, taken.lock.clone()));
                }
            }
            for access in operation.accesses.iter().filter(|access| releases(operation, access, waited)) {
                give_back(of, &access.location);
            }
        }
        let excludes = |(_, lock): &&(usize, Location)| lock.overlaps(&waited.lock);
        let first = |of: Vec<(usize, Location)>| of.iter().find(excludes).map(|(event, _)| *event);
        held.into_iter().filter_map(|(process, of)| Some((process, first(of)?))).collect()
    }
}
