//! What those who run ahead and the search have in common.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::record::Record;
use crate::explore::Strategy;

/// The name of an execution: see [`Strategy::name`].
pub(super) type Name = Vec<usize>;

/// How many steps of executions that were run ahead are kept, at the most, so that memory is bounded.
const MOST_STEPS: usize = 40_000;

/// How long the search waits for somebody else at most before it looks whether it is to stop.
const LOOK: Duration = Duration::from_millis(20);

/// Executions to run ahead: those that have names that begin with this one.
pub(super) struct Offer {
    pub(super) name: Name,
    /// Who decides on them.
    pub(super) strategy: Box<dyn Strategy + Send>,
}

/// How the search comes by an execution.
pub(super) enum Found<T, E> {
    /// It was run.
    Run(Box<Result<Record<T>, E>>),
    /// Somebody runs it.
    Runs,
    /// Nobody has begun it: it is for the search to run it, and noted that it does.
    Nobody,
}

/// What is known of executions ahead.
struct State<T, E> {
    records: BTreeMap<Name, Result<Record<T>, E>>,
    /// The steps in the records.
    steps: usize,
    /// The executions that are run at the moment; whether the search has come to it, so that whoever runs it is to look for something else.
    running: BTreeMap<Name, bool>,
    /// What is to be run next, the most wanted first.
    offers: Vec<Offer>,
    /// The names of all that was offered and is not over for the search.
    taken: BTreeSet<Name>,
    over: bool,
    /// Why somebody who was to run ahead could not.
    failed: Option<E>,
}

/// What those who run ahead and the search have in common.
pub(super) struct Shared<T, E> {
    state: Mutex<State<T, E>>,
    changed: Condvar,
}

fn steps<T, E>(record: &Result<Record<T>, E>) -> usize {
    record.as_ref().map_or(1, |record| record.execution.trace.len() + 1)
}

impl<T, E> State<T, E> {
    /// Drops the records whose names begin with this one.
    fn drop_from(&mut self, name: &Name) {
        let mut after = self.records.split_off(name);
        let first_kept = after.keys().find(|other| !other.starts_with(name)).cloned();
        let mut kept = first_kept.map_or_else(BTreeMap::new, |first| after.split_off(&first));
        self.steps -= after.values().map(steps).sum::<usize>();
        self.records.append(&mut kept);
    }

    /// Forgets what the search has left behind. `planned` are the names that it will come to, `at` is where it is.
    fn forget(&mut self, planned: &[Name], at: &Name) {
        let is_left = |name: &Name| !planned.contains(name) && !at.starts_with(name);
        let left: Vec<Name> = self.taken.iter().filter(|name| is_left(name)).cloned().collect();
        for name in left {
            self.taken.remove(&name);
            self.drop_from(&name);
        }
        if self.steps >= MOST_STEPS {
            // What was guessed wrong, or is not known to be wanted yet.
            let names: Vec<Name> = self.records.keys().cloned().collect();
            for name in names.into_iter().filter(|name| !planned.iter().any(|at| name.starts_with(at))) {
                self.steps -= self.records.remove(&name).as_ref().map_or(0, steps);
            }
        }
        self.offers.retain(|offer| self.taken.contains(&offer.name));
        let place =
            |offer: &Offer| planned.iter().position(|name| *name == offer.name).map_or(0, |at| at + 1);
        self.offers.sort_by_cached_key(place);
    }
}

impl<T, E> Shared<T, E> {
    pub(super) fn new() -> Self {
        let state = State {
            records: BTreeMap::new(),
            steps: 0,
            running: BTreeMap::new(),
            offers: Vec::new(),
            taken: BTreeSet::new(),
            over: false,
            failed: None,
        };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    /// A panic of somebody who holds it is told when he is waited for; what he leaves here is whole.
    fn state(&self) -> MutexGuard<'_, State<T, E>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nothing is wanted any more.
    pub(super) fn end(&self) {
        self.state().over = true;
        self.changed.notify_all();
    }

    /// Somebody who was to run ahead could not.
    pub(super) fn fail(&self, error: E) {
        self.state().failed = Some(error);
        self.changed.notify_all();
    }

    /// Why somebody could not.
    pub(super) fn failure(&self) -> Option<E> {
        self.state().failed.take()
    }

    /// Offers what a search will want that is at `at`, up to so many at a time, the most wanted first.
    pub(super) fn offer(&self, strategy: &dyn Strategy, at: &Name, most: usize) {
        let mut planned: Vec<Name> = Vec::new();
        strategy.ahead(&mut |name| {
            planned.push(name.to_vec());
            false
        });
        let mut state = self.state();
        state.forget(&planned, at);
        let place = |name: &Name| planned.iter().position(|planned| planned == name);
        let is_new = |name: &&Name| !state.taken.contains(*name);
        let mut wanted: Vec<&Name> = planned.iter().filter(is_new).take(most).collect();
        // Not more than so many that are to be begun, those that wait already included.
        let mut waiting: Vec<Option<usize>> = state.offers.iter().map(|offer| place(&offer.name)).collect();
        waiting.sort_unstable();
        let is_soon = |(at, name): &(usize, &Name)| {
            waiting.iter().filter(|other| **other < place(name)).count() + at < most
        };
        wanted = wanted.into_iter().enumerate().filter(is_soon).map(|(_, name)| name).collect();
        drop(state);
        let copy = |name: &Name| {
            let strategy = strategy.ahead(&mut |other| other == name.as_slice())?;
            Some(Offer { strategy, name: name.clone() })
        };
        let offers: Vec<Offer> = wanted.into_iter().filter_map(copy).collect();
        if offers.is_empty() {
            return;
        }
        let mut state = self.state();
        for offer in offers {
            state.taken.insert(offer.name.clone());
            state.offers.push(offer);
        }
        state.forget(&planned, at);
        self.changed.notify_all();
    }

    /// How the search comes by the execution of this name.
    pub(super) fn find(&self, name: &Name) -> Found<T, E> {
        let mut state = self.state();
        if let Some(record) = state.records.remove(name) {
            state.steps -= steps(&record);
            self.changed.notify_all();
            return Found::Run(Box::new(record));
        }
        if let Some(found) = state.running.get_mut(name) {
            *found = true;
            return Found::Runs;
        }
        state.running.insert(name.clone(), true);
        // Who goes ahead of the search here has been overtaken.
        state.offers.retain(|offer| !name.starts_with(&offer.name));
        Found::Nobody
    }

    /// Waits until an execution is not run by anybody any more, but not for ever.
    pub(super) fn wait_for(&self, name: &Name) {
        let state = self.state();
        if state.running.contains_key(name) && state.failed.is_none() {
            drop(self.changed.wait_timeout(state, LOOK));
        }
    }

    /// What is to be run next; none where there is nothing at the moment, or room for no more.
    pub(super) fn claim(&self) -> Option<Offer> {
        let mut state = self.state();
        (!state.offers.is_empty() && state.steps < MOST_STEPS).then(|| state.offers.remove(0))
    }

    /// What is to be run next, as soon as there is something; none where nothing is wanted any more.
    pub(super) fn claim_or_wait(&self) -> Option<Offer> {
        let mut state = self.state();
        loop {
            if state.over {
                return None;
            }
            if !state.offers.is_empty() && state.steps < MOST_STEPS {
                return Some(state.offers.remove(0));
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Notes that an execution of an offer is run, unless it is run already, or the search is past it.
    pub(super) fn begin<'s>(&'s self, offer: &Offer, name: Name) -> Option<Begun<'s, T, E>> {
        let mut state = self.state();
        let known = state.running.contains_key(&name) || state.records.contains_key(&name);
        if state.over || known || !state.taken.contains(&offer.name) {
            return None;
        }
        state.running.insert(name.clone(), false);
        Some(Begun { shared: self, name })
    }

    /// Takes back an offer that goes on.
    pub(super) fn give_back(&self, offer: Offer) {
        let mut state = self.state();
        if state.taken.contains(&offer.name) {
            state.offers.insert(0, offer);
            self.changed.notify_all();
        }
    }

    /// The search has run the execution itself.
    pub(super) fn is_done(&self, name: &Name) {
        self.state().running.remove(name);
    }
}

/// An execution that somebody runs ahead.
pub(super) struct Begun<'s, T, E> {
    shared: &'s Shared<T, E>,
    name: Name,
}

impl<T, E> Begun<'_, T, E> {
    /// Keeps what came of it. Whether to go on with what follows from it: not where the search has caught up.
    pub(super) fn keep(self, offer: &Offer, record: Result<Record<T>, E>) -> bool {
        let mut state = self.shared.state();
        let caught_up = state.running.get(&self.name).copied().unwrap_or(true);
        let is_wanted = caught_up || state.taken.contains(&offer.name);
        let good = record.is_ok();
        if is_wanted {
            state.steps += steps(&record);
            state.records.insert(self.name.clone(), record);
        }
        good && is_wanted && !caught_up
    }
}

impl<T, E> Drop for Begun<'_, T, E> {
    fn drop(&mut self) {
        self.shared.state().running.remove(&self.name);
        self.shared.changed.notify_all();
    }
}
