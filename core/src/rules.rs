//! The rules that keep the protocol right, so that the model tests can take one away and see what it was for.

/// A rule of the protocol. Outside of this package's own tests all are always kept, and the questions cost nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    /// A writer holds the metadata lock exclusively.
    WriterLocks,
    /// A save merges with the file as it is now, not as it was loaded.
    SaveReloads,
    /// A reader holds the metadata lock shared.
    ReaderLocks,
    /// The file is replaced as a whole, never written in place.
    ReplaceWhole,
    /// Whoever has a lock makes sure that the file it locked is still the lock file.
    LockFileChecked,
    /// A thread takes locks in one order only.
    LockOrder,
}

/// Which rules are kept.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rules {
    #[cfg(test)]
    broken: &'static [Rule],
}

impl Rules {
    #[cfg(test)]
    pub(crate) fn without(broken: &'static [Rule]) -> Self {
        Self { broken }
    }

    #[cfg(test)]
    pub(crate) fn keep(self, rule: Rule) -> bool {
        !self.broken.contains(&rule)
    }

    #[cfg(not(test))]
    #[expect(clippy::unused_self, reason = "the same signature as in the tests")]
    pub(crate) const fn keep(self, _rule: Rule) -> bool {
        true
    }
}
