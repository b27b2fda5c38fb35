//! The strategies: which execution to run next, step by step. Pure: sees only [`crate::model`], and the two seams.

mod bounded;
mod chance;
mod dfs;
mod dpor;
mod drive;
mod merges;
mod observed;
mod patience;
mod points;
mod random;
mod shrink;
mod split;

#[doc(hidden)]
pub use self::bounded::BoundFault;
pub use self::bounded::Bounded;
#[doc(hidden)]
pub use self::chance::ChanceFault;
pub use self::chance::{Pct, Pos, RandomWalk};
pub use self::dfs::Dfs;
pub use self::dpor::Dpor;
#[doc(hidden)]
pub use self::dpor::Fault;
pub use self::dpor::Reversal;
pub use self::drive::{Counts, Exploration, Steering, explore, run};
pub use self::merges::{Merge, Picked, Serial, count_of_merges, next_merge};
pub use self::observed::Observed;
#[doc(hidden)]
pub use self::observed::ObservedFault;
pub use self::random::SplitMix64;
#[doc(hidden)]
pub use self::shrink::ShrinkFault;
pub use self::shrink::{Budget, Critical, Measure, Shows, Shrinker, Suspects, Trial};
#[doc(hidden)]
pub use self::split::PartFault;
pub use self::split::{Part, Split};

use crate::backend::Detail;
use crate::model::{Choice, Cut, Execution, View};

/// Decides an exploration: a sequence of executions.
///
/// Contract:
/// 1. [`begin`](Strategy::begin) is called before each execution; `false` ends the exploration.
/// 2. [`choose`](Strategy::choose) is then called for each step, with a process enabled at each; it names an enabled process, or
///    cuts the execution.
/// 3. [`end`](Strategy::end) is called with what came of it, cut or not. An execution that fails for a reason of the machine is
///    not ended: the exploration is over.
///
/// A strategy draws on nothing but what it is shown and its seed, so that an exploration can be repeated.
pub trait Strategy {
    /// Prepares the next execution; `false` where there is none.
    fn begin(&mut self) -> bool;

    /// The choice at this step.
    ///
    /// # Errors
    /// The reason to cut the execution short: what follows is redundant.
    fn choose(&mut self, view: View<'_>) -> Result<Choice, Cut>;

    /// Learns what came of the execution.
    fn end(&mut self, execution: &Execution);

    /// How much of each event it needs to learn.
    fn detail(&self) -> Detail {
        Detail::Search
    }

    /// Whether an execution that came to an end is one that this search is to count. One that is not belongs to another part of a
    /// search that was split, and counts as redundant here.
    fn owns(&self, _execution: &Execution) -> bool {
        true
    }

    /// Whether an exploration that ends by [`begin`](Strategy::begin) has covered every interleaving.
    fn is_exhaustive(&self) -> bool;

    /// How much of the search is done, between 0 and 1, going by what is known of it by now, where that can be told: an estimate.
    fn done(&self) -> Option<f64> {
        None
    }

    /// The races of the last execution that the search will go back to, where it was asked to tell them.
    fn reversals(&mut self) -> Vec<Reversal> {
        Vec::new()
    }

    /// What the executions so far stand for, where it is more than themselves and less than everything: a clause that follows
    /// their number in a report. `processes` is how many there are.
    fn covered(&self, _processes: usize) -> Option<String> {
        None
    }
}
