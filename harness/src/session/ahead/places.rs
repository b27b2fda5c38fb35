//! Where there is room for one who runs ahead.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Places for those who run ahead of searches. Several searches may have them in common: whoever comes first takes one, and gives it
/// back when its search is over.
#[derive(Debug, Default)]
pub struct Places(Mutex<VecDeque<Option<usize>>>);

/// A place that is taken: a core, or any.
#[derive(Debug)]
pub struct Place<'p> {
    of: &'p Places,
    core: Option<usize>,
}

impl Places {
    /// So many, on any core.
    #[must_use]
    pub fn anywhere(count: usize) -> Self {
        Self(Mutex::new(vec![None; count].into()))
    }

    /// So many beside a search that is on its own core: on the others first, in turns.
    #[must_use]
    pub fn beside(all: &[usize], own: &[usize], count: usize) -> Self {
        let (own, mut cores): (Vec<usize>, Vec<usize>) = all.iter().partition(|core| own.contains(core));
        cores.extend(own);
        let on = |number: usize| (!cores.is_empty()).then(|| cores[number % cores.len()]);
        Self(Mutex::new((0..count).map(on).collect()))
    }

    /// One more.
    pub fn give(&self, core: Option<usize>) {
        self.free().push_back(core);
    }

    /// Takes one, where there is one.
    pub fn take(&self) -> Option<Place<'_>> {
        let core = self.free().pop_front()?;
        Some(Place { of: self, core })
    }

    /// Nothing that is done with it can fail half-way.
    fn free(&self) -> MutexGuard<'_, VecDeque<Option<usize>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place<'_> {
    /// Which core it is, where it is not any.
    #[must_use]
    pub fn core(&self) -> Option<usize> {
        self.core
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.of.give(self.core);
    }
}

#[cfg(test)]
mod tests {
    use super::{Place, Places};

    #[test]
    fn a_place_is_for_one_at_a_time() {
        let places = Places::beside(&[0, 1, 2], &[1], 4);
        let taken: Vec<_> = std::iter::from_fn(|| places.take()).collect();
        let cores: Vec<_> = taken.iter().map(Place::core).collect();
        assert_eq!(cores, [Some(0), Some(2), Some(1), Some(0)], "the search's own core comes last");
        drop(taken);
        places.give(Some(7));
        let again: Vec<_> = std::iter::from_fn(|| places.take()).collect();
        assert_eq!(again.len(), 5);
        assert!(Places::beside(&[], &[], 1).take().is_some_and(|place| place.core().is_none()));
    }
}
