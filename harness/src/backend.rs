//! What runs one execution: real processes under ptrace, or scripted operations without processes.

use crate::model::{Choice, Execution, Sighting, View};

/// Picks what happens next in one execution.
pub trait Chooser {
    /// The next choice: a process that `view` shows as enabled; or why to end the execution here.
    ///
    /// # Errors
    /// The reason to cut the execution short. It is not a failure.
    fn choose(&mut self, view: View<'_>) -> Result<Choice, crate::model::Cut>;
}

/// How much of each event to record.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub enum Detail {
    /// What the search needs.
    #[default]
    Search,
    /// The bytes that calls moved, as well: for the explanation of an anomaly.
    Evidence,
}

/// Runs executions, one at a time.
///
/// Contract:
/// 1. Each call starts from the same initial state, with every process held before its first operation.
/// 2. The chooser is asked whenever every process is held, waits or is over, and at least one is enabled. What it chooses is done,
///    with the local computation that follows, before it is asked again.
/// 3. The same choices give the same execution, byte for byte.
/// 4. Nothing of the execution is left when the call returns, on success or error.
///
/// It does not judge, and it does not know which execution of a search this is.
pub trait Backend {
    /// Why an execution could not be run. A failure of the processes under test is not one: that is an outcome.
    type Error: std::error::Error + 'static;

    /// How many processes there are.
    fn processes(&self) -> usize;

    /// Runs one execution.
    ///
    /// # Errors
    /// Where the machinery fails or the search is interrupted.
    fn execute(&mut self, chooser: &mut dyn Chooser, detail: Detail) -> Result<Execution, Self::Error>;

    /// What the executions so far did that was not scheduled, or could not be decided: sorted, each once.
    fn not_covered(&self) -> Vec<Sighting> {
        Vec::new()
    }
}
