use super::evidence::{Marks, list, shown, sorted};
use super::{Case, Oracle};
use crate::model::{Anomaly, Call, CallResult, Ending, Event, Kind, Location, ProcessId, Waiting, Way};

/// Finds executions that end with processes that wait for each other, and tells who holds what and waits for what.
#[derive(Clone, Copy, Debug)]
pub struct Deadlock;

impl Oracle for Deadlock {
    fn judge(&self, case: &Case<'_>) -> Option<Anomaly> {
        let Ending::Blocked(waiting) = &case.execution.ending else { return None };
        let trace = &case.execution.trace;
        let cycle = cycle(waiting);
        let shown_ones = cycle.clone().unwrap_or_else(|| waiting.iter().collect());
        let mut marks = Marks::default();
        let mut explanation = Vec::new();
        for waiter in &shown_ones {
            let lock = lock_of(waiter);
            let mut held = Vec::new();
            for holder in &waiter.holders {
                let taken = lock.and_then(|lock| taken_at(trace, *holder, lock));
                held.push(taken.map_or_else(
                    || holder.to_string(),
                    |step| format!("{holder} (since step {})", shown(step)),
                ));
                if let Some(step) = taken {
                    marks.add(step, format!("{} comes to wait for it", waiter.process));
                }
            }
            // Of a ring the summary says it, and the timeline from when on.
            if cycle.is_none() && waiter.operation.acquires.is_some() {
                let holders = if held.is_empty() { "nobody that can be seen".into() } else { list(&held, 4) };
                explanation.push(format!("{} waits for {}, held by {holders}", waiter.process, name(waiter)));
            }
        }
        let others =
            waiting.iter().filter(|waiter| !shown_ones.iter().any(|shown| shown.process == waiter.process));
        explanation
            .extend(others.map(|waiter| format!("{} waits for {} as well", waiter.process, name(waiter))));
        let mut files: Vec<String> = shown_ones.iter().map(|waiter| name(waiter)).collect();
        files.sort();
        files.dedup();
        Some(Anomaly {
            kind: Kind::Deadlock,
            summary: summary(&shown_ones, cycle.is_some()),
            files,
            keys: Vec::new(),
            processes: sorted(shown_ones.iter().map(|waiter| waiter.process)),
            steps: marks.finish(),
            explanation,
        })
    }
}

fn summary(waiting: &[&Waiting], is_cycle: bool) -> String {
    let first = waiting[0];
    let takes_a_lock = |waiter: &&Waiting| waiter.operation.acquires.is_some();
    if !is_cycle && waiting.iter().all(takes_a_lock) {
        let who: Vec<_> =
            waiting.iter().map(|waiter| format!("{} for {}", waiter.process, name(waiter))).collect();
        return format!("a lock is never released: {} wait for ever", list(&who, 4));
    }
    if !is_cycle && waiting.iter().all(|waiter| !takes_a_lock(waiter) && at_stream(waiter).is_none()) {
        let who: Vec<_> = waiting.iter().map(|waiter| waiter.process).collect();
        let wait = if who.len() == 1 { "waits" } else { "wait" };
        let call = &first.operation.call;
        let detail = if call.detail.is_empty() { String::new() } else { format!(" {}", call.detail) };
        return format!("{} {wait} for ever ({}{detail})", list(&who, 4), call.name);
    }
    if !is_cycle {
        return waiting.iter().map(|waiter| sentence(waiter)).collect::<Vec<_>>().join("; ");
    }
    if waiting.len() == 1 {
        return format!("{} waits for {}, which it holds itself", first.process, name(first));
    }
    let edge = |(at, waiter): (usize, &&Waiting)| {
        let (who, next) = (waiter.process, waiting[(at + 1) % waiting.len()].process);
        match at_stream(waiter) {
            Some((does, _)) => format!("{who} waits to {does}, which {next} has open"),
            None => format!("{who} waits for {} held by {next}", name(waiter)),
        }
    };
    waiting.iter().enumerate().map(edge).collect::<Vec<_>>().join(", ")
}

/// What a process waits for at a FIFO or socket: what it is to do, and what does not come.
fn at_stream(waiter: &Waiting) -> Option<(String, &'static str)> {
    let (operation, path) = (&waiter.operation, name(waiter));
    let is_socket = operation.call.detail.ends_with(Call::THROUGH_SOCKET);
    if is_socket && operation.awaits {
        return Some((format!("write into the connection through the socket {path}"), "reads from it"));
    }
    let is_at_socket = operation.call.detail.ends_with(Call::AT_SOCKET);
    if is_at_socket && operation.awaits {
        return Some((format!("send to the socket {path}"), "receives at it"));
    }
    if is_at_socket && !operation.needs.is_empty() {
        return Some((format!("receive at the socket {path}"), "sends to it"));
    }
    if operation.call.name.starts_with("accept") {
        return Some((format!("be connected to at the socket {path}"), "connects to it"));
    }
    if !operation.needs.is_empty() && is_socket {
        return Some((format!("read from the connection through the socket {path}"), "writes into it"));
    }
    if !operation.needs.is_empty() {
        return Some((format!("read from the FIFO {path}"), "writes into it"));
    }
    if !operation.awaits {
        return None;
    }
    let waits_to_write = operation.call.detail == Call::WAITS_FOR_ROOM;
    if operation.accesses.iter().any(|access| matches!(access.location, Location::Stream { .. })) {
        let does = if waits_to_write { "write into the FIFO" } else { "find a change at" };
        return Some((format!("{does} {path}"), if waits_to_write { "reads from it" } else { "uses it" }));
    }
    let way = operation.accesses.iter().find_map(|access| match access.location {
        Location::Ends { way, .. } => Some(way),
        _ => None,
    })?;
    let (own, other) = match way {
        Way::There => ("reading", "opens it for writing"),
        Way::Back => ("writing", "opens it for reading"),
    };
    Some((format!("open the FIFO {path} for {own}"), other))
}

fn sentence(waiter: &Waiting) -> String {
    let (who, holders) = (waiter.process, list(&waiter.holders, 4));
    match at_stream(waiter) {
        Some((does, comes)) if holders.is_empty() => format!("{who} waits to {does}; nobody {comes}"),
        Some((does, _)) => format!("{who} waits to {does}, which {holders} has open"),
        None if waiter.operation.acquires.is_some() => format!("{who} waits for {}", name(waiter)),
        None => format!("{who} waits ({})", waiter.operation.call.name),
    }
}

/// A shortest ring of waiters, each waiting for the next, beginning with the first process in one.
fn cycle(waiting: &[Waiting]) -> Option<Vec<&Waiting>> {
    waiting.iter().find_map(|start| {
        let mut ways = vec![vec![start]];
        // No way is longer than there are waiters, and none goes through a waiter twice.
        while !ways.is_empty() {
            let mut longer = Vec::new();
            for way in ways {
                let last = way[way.len() - 1];
                if last.holders.contains(&start.process) {
                    return Some(way);
                }
                let next = waiting.iter().filter(|next| last.holders.contains(&next.process));
                let fresh = next.filter(|next| way.iter().all(|passed| passed.process != next.process));
                longer.extend(fresh.map(|next| [way.as_slice(), &[next]].concat()));
            }
            ways = longer;
        }
        None
    })
}

fn lock_of(waiter: &Waiting) -> Option<&Location> {
    waiter.operation.acquires.as_ref().map(|acquisition| &acquisition.lock)
}

/// The step in which a process last took a lock.
fn taken_at(trace: &[Event], holder: ProcessId, lock: &Location) -> Option<usize> {
    let took = |event: &Event| {
        let acquired = event.operation.acquires.as_ref().is_some_and(|taken| taken.lock.overlaps(lock));
        event.process == holder && acquired && matches!(event.result, CallResult::Value(_))
    };
    trace.iter().rposition(took)
}

fn name(waiter: &Waiting) -> String {
    waiter.operation.call.path.clone().unwrap_or_else(|| "a lock".into())
}
