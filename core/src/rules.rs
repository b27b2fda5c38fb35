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
    /// A lock is given back by hand, not by closing, which a forked child's copy would put off.
    UnlockedByHand,
    /// A forked child does not give its parent's lock back.
    ChildrenOnlyClose,
    /// Who waits lets all go first who came before.
    TurnsAreKept,
    /// Who comes lets those go first who wait.
    NobodyPasses,
    /// Readers wait in the queue as writers do.
    ReadersQueue,
    /// The request of a process that is dead, or has given up, is not looked at.
    #[cfg(test)]
    RequestsOfTheLiving,
    /// A request is answered once it is durable.
    AnsweredWhenDurable,
    /// A request is merged with what is on disk.
    RequestsAreMerged,
    /// The new content is flushed before it gets the file's name.
    FlushedBeforeRenamed,
    /// The directory is flushed before anybody is told.
    DirectoryFlushed,
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
