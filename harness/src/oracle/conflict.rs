//! The conflict graph of the units: P → Q where an operation of P comes before one of Q that it does not commute with.

use std::collections::{BTreeMap, BTreeSet};

use super::Order;
use crate::model::{Ending, Event, Execution, HappensBefore, Location, ProcessId, Units};

/// Two operations of different processes that do not commute, in the order in which they came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Conflict {
    /// The earlier step.
    pub first: usize,
    /// The later step.
    pub second: usize,
}

/// Whether an execution is equivalent to a serial one: complete, and the conflict graph of its units has no cycle.
///
/// Then its outcome is a serial outcome by construction, and need not be looked up. The converse does not hold: conflicting
/// operations may cancel out. Rests on the invariant of [`crate::model::Operation`].
#[must_use]
pub fn conflict_serializable(execution: &Execution) -> bool {
    let units = Units::of(&execution.trace);
    execution.ending == Ending::Complete
        && topological(&successors(&execution.trace, &units), &units).is_some()
}

/// Serial orders that an execution suggests, the likeliest first, each once: what to run first where there are too many orders
/// to run all (more than five processes make more than a hundred). They are: the topological order of the conflict graph of the units
/// where it has no cycle, the orders of first operations, of last operations, of lock acquisitions (first and last).
#[must_use]
pub fn candidate_orders(execution: &Execution) -> Vec<Order> {
    let trace = &execution.trace;
    let units = Units::of(trace);
    let locks: Vec<usize> =
        (0..trace.len()).filter(|step| trace[*step].operation.acquires.is_some()).collect();
    let all: Vec<usize> = (0..trace.len()).collect();
    let order = |steps: &[usize]| by_appearance(steps.iter().map(|step| units.place(*step)), &units);
    let last = |steps: &[usize]| by_last_appearance(steps, &units);
    let mut found: Vec<Vec<usize>> = Vec::new();
    found.extend(topological(&successors(trace, &units), &units));
    found.push(order(&all));
    found.push(last(&all));
    if !locks.is_empty() {
        found.push(order(&locks));
        found.push(last(&locks));
    }
    let processes =
        execution.outcome.exits.len().max(1 + trace.iter().map(|event| event.process.0).max().unwrap_or(0));
    let mut seen = BTreeSet::new();
    let orders = found.into_iter().map(|order| {
        let of_units = order.into_iter().map(|unit| units.all()[unit].process);
        let mut order: Vec<ProcessId> = of_units.collect();
        let idle = (0..processes).map(ProcessId).filter(|process| !order.contains(process));
        order.extend(idle.collect::<Vec<_>>());
        order
    });
    let orders = orders.filter(|order| seen.insert(order.clone()));
    orders.map(|processes| Order { processes, left_out: Vec::new() }).collect()
}

/// The units in the order of their first appearance; those that do not appear come last, by processes.
fn by_appearance(appearances: impl IntoIterator<Item = usize>, units: &Units) -> Vec<usize> {
    let mut rest: Vec<usize> = (0..units.all().len()).collect();
    rest.sort_by_key(|unit| units.all()[*unit].process);
    let mut order: Vec<usize> = Vec::new();
    for unit in appearances.into_iter().chain(rest) {
        if !order.contains(&unit) {
            order.push(unit);
        }
    }
    order
}

/// The units in the order of their last appearance; those that do not appear come last.
fn by_last_appearance(steps: &[usize], units: &Units) -> Vec<usize> {
    let mut reversed: Vec<usize> = Vec::new();
    for step in steps.iter().rev() {
        let unit = units.place(*step);
        if !reversed.contains(&unit) {
            reversed.push(unit);
        }
    }
    by_appearance(reversed.into_iter().rev(), units)
}

/// Of each unit, those that must come after it. Read off the clocks: what a unit's last event has seen of a process, and with it of
/// all units of that process up to there.
fn successors(trace: &[Event], units: &Units) -> Vec<BTreeSet<usize>> {
    let order = HappensBefore::of(trace);
    let mut after = vec![BTreeSet::new(); units.all().len()];
    let mut steps: BTreeMap<ProcessId, Vec<usize>> = BTreeMap::new();
    for (step, event) in trace.iter().enumerate() {
        steps.entry(event.process).or_default().push(step);
    }
    for later in 0..units.all().len() {
        let Some(last) = (0..trace.len()).rev().find(|step| units.place(*step) == later) else { continue };
        for (process, &seen) in order.clock(last).iter().enumerate() {
            let Some(own) = steps.get(&ProcessId(process)) else { continue };
            for step in own.iter().take(seen as usize) {
                let earlier = units.place(*step);
                if earlier != later {
                    after[earlier].insert(later);
                }
            }
        }
    }
    after
}

/// The nodes in an order that every edge agrees with, the first by process and number where there is a choice; `None` where there is
/// a cycle.
fn topological(after: &[BTreeSet<usize>], units: &Units) -> Option<Vec<usize>> {
    let mut order = Vec::new();
    let mut left: BTreeSet<usize> = (0..after.len()).collect();
    while !left.is_empty() {
        let free = left.iter().filter(|node| left.iter().all(|other| !after[*other].contains(node)));
        let next = *free.min_by_key(|node| (units.all()[**node].process, **node))?;
        left.remove(&next);
        order.push(next);
    }
    Some(order)
}

/// A shortest cycle of the conflict graph, as one conflict for each edge: why the processes can be put in no order. Of several
/// conflicts for an edge, those on data and names are preferred to those on locks, these to those on directories and on what
/// files look like, and then the first.
pub(super) fn cycle(trace: &[Event]) -> Option<Vec<Conflict>> {
    let processes = trace.iter().map(|event| event.process.0 + 1).max().unwrap_or(0);
    let edge = edges(trace, processes);
    let shortest = (0..processes).filter_map(|start| cycle_through(start, &edge)).min_by_key(Vec::len)?;
    Some(shortest)
}

/// The conflict to show for each pair of processes.
fn edges(trace: &[Event], processes: usize) -> Vec<Vec<Option<Conflict>>> {
    let mut edge: Vec<Vec<Option<(u8, Conflict)>>> = vec![vec![None; processes]; processes];
    for second in 0..trace.len() {
        for first in 0..second {
            let (a, b) = (&trace[first], &trace[second]);
            let known = edge[a.process.0][b.process.0];
            if a.process == b.process || matches!(known, Some((0, _))) {
                continue;
            }
            let Some(rank) = rank(a, b) else { continue };
            if known.is_none_or(|(known, _)| rank < known) {
                edge[a.process.0][b.process.0] = Some((rank, Conflict { first, second }));
            }
        }
    }
    let conflicts = |row: Vec<Option<(u8, Conflict)>>| {
        row.into_iter().map(|found| found.map(|(_, conflict)| conflict)).collect()
    };
    edge.into_iter().map(conflicts).collect()
}

/// How little the conflict of two events tells; `None` where they commute.
fn rank(a: &Event, b: &Event) -> Option<u8> {
    let clashes = a
        .operation
        .accesses
        .iter()
        .filter(|access| b.operation.accesses.iter().any(|other| access.conflicts(other)));
    let ranks = clashes.map(|access| match access.location {
        Location::Data { .. } | Location::Name { .. } | Location::Stream { .. } => 0,
        Location::Lock(_)
        | Location::RecordLock { .. }
        | Location::Writers(_)
        | Location::Runners(_)
        | Location::Left(_)
        | Location::Ends { .. }
        | Location::Process(_)
        | Location::Tasks(_) => 1,
        Location::Listing(_)
        | Location::Mode(_)
        | Location::Attributes(_)
        | Location::Status(_)
        | Location::Times => 2,
    });
    let signals = a.operation.disturbs(a.process, &b.operation, b.process);
    ranks.min().or(signals.then_some(1))
}

/// A shortest way from a process back to itself, by breadth.
fn cycle_through(start: usize, edge: &[Vec<Option<Conflict>>]) -> Option<Vec<Conflict>> {
    let mut ways: Vec<(usize, Vec<Conflict>)> = vec![(start, Vec::new())];
    let mut seen = BTreeSet::new();
    while !ways.is_empty() {
        let mut longer = Vec::new();
        for (at, way) in ways {
            for (next, conflict) in edge[at].iter().enumerate() {
                let Some(conflict) = conflict else { continue };
                let way: Vec<Conflict> = way.iter().copied().chain([*conflict]).collect();
                if next == start {
                    return Some(way);
                }
                if seen.insert(next) {
                    longer.push((next, way));
                }
            }
        }
        ways = longer;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::{Conflict, candidate_orders, conflict_serializable, cycle};
    use crate::model::{Cut, Ending, Location, ObjectId};
    use crate::oracle::testing::{Script, shown_orders};

    #[test]
    fn reads_and_writes_apart_are_serializable_and_crossed_are_not() {
        let apart = Script::new(2).touch(0, "r1").touch(0, "w1").touch(1, "r1").touch(1, "w1").execution();
        assert!(conflict_serializable(&apart));
        assert_eq!(cycle(&apart.trace), None);
        let crossed = Script::new(2).touch(0, "r1").touch(1, "r1").touch(0, "w1").touch(1, "w1").execution();
        assert!(!conflict_serializable(&crossed));
        let conflicts = [Conflict { first: 0, second: 3 }, Conflict { first: 1, second: 2 }];
        assert_eq!(cycle(&crossed.trace).as_deref(), Some(&conflicts[..]));
    }

    #[test]
    fn cycles_over_three_processes_are_found() {
        let script = Script::new(3).touch(0, "w1").touch(1, "w2").touch(2, "w3");
        let ring = script.touch(1, "w1").touch(2, "w2").touch(0, "w3").execution();
        assert!(!conflict_serializable(&ring));
        assert_eq!(cycle(&ring.trace).unwrap().len(), 3);
    }

    #[test]
    fn conflicts_on_data_are_told_rather_than_those_on_what_a_directory_looks_like() {
        let mut execution = Script::new(2)
            .touch(0, "w9")
            .touch(1, "r9")
            .touch(0, "r1")
            .touch(1, "w1")
            .touch(1, "w2")
            .touch(0, "w2")
            .execution();
        for event in &mut execution.trace[..2] {
            event.operation.accesses[0].location = Location::Status(ObjectId::Initial(0));
        }
        let told: Vec<_> =
            cycle(&execution.trace).unwrap().iter().map(|found| (found.first, found.second)).collect();
        assert_eq!(told, [(2, 3), (4, 5)]);
    }

    #[test]
    fn an_execution_that_is_not_complete_is_never_serializable() {
        let mut execution = Script::new(1).touch(0, "w1").execution();
        execution.ending = Ending::Cut(Cut::Steps);
        assert!(!conflict_serializable(&execution));
    }

    #[test]
    fn candidates_come_from_the_execution_each_once() {
        let script = Script::new(4).touch(2, "r1").touch(0, "w2").touch(1, "w1").touch(2, "r3");
        assert_eq!(shown_orders(&candidate_orders(&script.execution())), ["ACBD", "CABD", "ABCD"]);
        let crossed = Script::new(2).touch(1, "r1").touch(0, "r1").touch(0, "w1").touch(1, "w1").execution();
        assert_eq!(shown_orders(&candidate_orders(&crossed)), ["BA", "AB"]);
    }
}
