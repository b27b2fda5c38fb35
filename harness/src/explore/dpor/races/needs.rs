//! Operations that wait until something is sent, or nobody is left to send it.

use std::borrow::Cow;

use super::super::Fault;
use super::{Later, Race, Races};
use crate::model::{Access, Count, Event, HappensBefore, Location, Need, Operation, ProcessId};

impl<'a> Later<'a> {
    /// The same where it comes to go on because of a need that counts what it did not touch, having gone on because of another one:
    /// with the events that change that.
    pub(super) fn for_other_needs(&self, order: &HappensBefore) -> Vec<Self> {
        let Cow::Borrowed(operation) = self.operation else { return Vec::new() };
        let touched = |of: &Location| operation.accesses.iter().any(|access| access.location.overlaps(of));
        let other = |need: &'a Need| {
            let counted = need.0.iter().filter(|count| !touched(&count.of));
            let accesses: Vec<Access> = counted.map(|count| Access::read(count.of.clone())).collect();
            let mut conflicting = order.conflicting_by_themselves(&accesses);
            conflicting.retain(|event| !self.conflicting.contains(event));
            (!conflicting.is_empty()).then(|| Self { conflicting, needs: vec![need], ..self.clone() })
        };
        operation.needs.iter().filter_map(other).collect()
    }
}

impl Race<'_> {
    /// What it looks at because of the need that is met now, in the place of what it looked at because of another one.
    pub(super) fn as_needed(&self, mut looks: Vec<Access>) -> Vec<Access> {
        let Some(met) = self.met else { return looks };
        let counted = |need: &Need, of: &Location| need.0.iter().any(|count| count.of.overlaps(of));
        let for_another =
            |of: &Location| !counted(met, of) && self.operation.needs.iter().any(|need| counted(need, of));
        looks.retain(|look| !for_another(&look.location));
        look_at_counts(&mut looks, met);
        looks
    }
}

impl<'a> Races<'a, '_> {
    /// The races between the two, where the later one can come first: one for each way to meet what it needs.
    pub(super) fn between(&self, earlier: usize, later: &Later<'a>) -> Vec<Race<'a>> {
        let Some(race) = self.race(earlier, later) else { return Vec::new() };
        if later.needs.is_empty() || self.fault == Some(Fault::NeedsForgotten) {
            return vec![race];
        }
        // Where it goes on because of another need, the two commute.
        let touches =
            |need: &&'a Need| self.conflict_with_need(earlier, (later.process, &later.operation), need);
        let concerned = later.needs.iter().copied().filter(touches);
        let concerned: Vec<&'a Need> = concerned.collect();
        let ways = self.with_needs_met(earlier, &race.independent, &concerned);
        let is_reached =
            |way: &Vec<usize>| later.before.is_none_or(|before| before < earlier || way.contains(&before));
        let end = later.number.unwrap_or(self.trace.len());
        let ways = ways.into_iter().filter(is_reached).filter_map(|independent| {
            let before = self.operations((0..earlier).chain(independent.iter().copied()));
            let met = concerned.iter().copied().find(|need| need.is_met(before.iter().copied()))?;
            // What it does not touch where it comes to stand now, it need not overtake.
            let moved = moved(&before, &self.operations(0..end), &later.operation);
            if !self.conflict_with_need(earlier, (later.process, &moved), met) {
                return None;
            }
            let left_out = (earlier + 1..end).filter(|event| !independent.contains(event)).collect();
            let leaves_out = independent.len() < race.independent.len();
            Some(Race { independent, left_out, leaves_out, met: Some(met), ..race.clone() })
        });
        ways.collect()
    }

    /// Whether an operation that goes on because this need of it is met conflicts with an event: it does not touch what would have
    /// been counted for another need, had this one not been met.
    fn conflict_with_need(&self, event: usize, (by, later): (ProcessId, &Operation), need: &Need) -> bool {
        let Event { process, operation, .. } = &self.trace[event];
        let counts = |need: &Need, of: &Location| need.0.iter().any(|count| count.of.overlaps(of));
        let needs = || later.needs.iter();
        let is_instead = |of: &Location| {
            !counts(need, of)
                && needs()
                    .any(|other| counts(other, of) && other.0.iter().any(|count| counts(need, &count.of)))
        };
        // Where nothing is there, nothing is taken.
        let takes = need.0.iter().any(|count| count.some);
        let as_needed = |access: &Access| {
            if takes { access.clone() } else { Access::read(access.location.clone()) }
        };
        let touched = later.accesses.iter().filter(|access| !is_instead(&access.location));
        let mut accesses: Vec<Access> = touched.map(as_needed).collect();
        look_at_counts(&mut accesses, need);
        let without = Operation { accesses, ..Operation::default() };
        operation.disturbs(*process, &without, by)
    }

    fn operations(&self, events: impl Iterator<Item = usize>) -> Vec<&'a Operation> {
        events.map(|event| &self.trace[event].operation).collect()
    }

    /// Those of the events (all after `start`) behind which this operation need not wait: all of them, or without those that take
    /// away what it needs, and what comes of these; in each way that there is.
    fn with_needs_met(&self, start: usize, events: &[usize], needs: &[&Need]) -> Vec<Vec<usize>> {
        let done = |events: &[usize]| self.operations((0..start).chain(events.iter().copied())).into_iter();
        if needs.iter().any(|need| need.is_met(done(events))) {
            return vec![events.to_vec()];
        }
        let without_takers = |need: &&Need| {
            let mut left = events.to_vec();
            loop {
                let missed = need.0.iter().find(|count| !count.is_so(done(&left)));
                let Some(missed) = missed else { return Some(left) };
                let by = |event: usize| {
                    let adds = self.trace[event].operation.adds.iter();
                    adds.filter(|(of, _)| *of == missed.of).map(|(_, by)| by).sum::<i64>()
                };
                // Whoever has undone it since is not in the way.
                let stays = |process: ProcessId| {
                    let own = left.iter().filter(|event| self.trace[**event].process == process);
                    own.map(|event| by(*event)).sum::<i64>() > 0
                };
                let takes = |event: &&usize| match by(**event) {
                    by if missed.some => by < 0,
                    by => by > 0 && stays(self.trace[**event].process),
                };
                let taker = *left.iter().rev().find(takes)?;
                left.retain(|&event| !self.order.leads_to(taker, event));
            }
        };
        let mut ways: Vec<Vec<usize>> = needs.iter().filter_map(without_takers).collect();
        ways.dedup();
        ways
    }
}

/// An operation that came behind `then` as it is behind `now`: it touches the places of a stream next to those that were taken.
fn moved(now: &[&Operation], then: &[&Operation], operation: &Operation) -> Operation {
    let mut moved = operation.clone();
    let counts = operation.needs.iter().flat_map(|need| &need.0);
    for access in &mut moved.accesses {
        let Some(count) = counts.clone().find(|count| count.of.overlaps(&access.location)) else { continue };
        let taken = |done: &[&Operation]| -> u64 {
            let adds = done.iter().flat_map(|operation| &operation.adds);
            adds.filter(|(of, by)| *of == count.of && *by < 0).map(|(_, by)| by.unsigned_abs()).sum()
        };
        if let Location::Stream { start, end, .. } = &mut access.location
            && *start > 0
        {
            let place = |place: u64| if place == u64::MAX { place } else { place + taken(now) - taken(then) };
            (*start, *end) = (place(*start), place(*end));
        }
    }
    moved
}

/// Adds what a need counts, where nothing of it is among these.
fn look_at_counts(accesses: &mut Vec<Access>, need: &Need) {
    for Count { of, .. } in &need.0 {
        if !accesses.iter().any(|access| access.location.overlaps(of)) {
            accesses.push(Access::read(of.clone()));
        }
    }
}
