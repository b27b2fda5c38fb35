//! Faults that tests plant, to see that they are caught. Not part of the interface.

use super::known::Past;
use crate::model::Operation;

/// What is made wrong on purpose.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    /// Accesses that are forgotten.
    pub forget: Option<fn(&mut Operation)>,
    /// How a process ended is taken to be known whatever happened before.
    pub blind: bool,
    /// What a task is held at is not decoded again if it changes.
    pub stale: bool,
}

impl Faults {
    /// The past of an event, as it is remembered.
    pub(super) fn past(self, past: Past) -> Past {
        if self.blind { Past::default() } else { past }
    }
}
