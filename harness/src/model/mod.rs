//! The words of the project as types: operation, schedule, trace, happens-before, outcome.
//!
//! Pure: no operating system, no clock, no threads, no unordered maps. Everything here can be saved and compared, so that the
//! same schedule gives the same bytes.

mod access;
mod conflicts;
mod end;
mod entries;
mod execution;
pub mod footprint;
pub mod gap;
mod happens_before;
mod interned;
pub mod name;
mod operation;
mod outcome;
mod process;
mod root;
mod said;
mod strands;
mod tree;
mod unit;
mod verdict;

pub(crate) use access::Key;
pub use access::{Access, AccessKind, Location, ObjectId, Way};
pub use conflicts::{conflicts, written};
pub use end::End;
pub use entries::{Attribute, Details, Entry, Tree};
pub use execution::{
    CallResult, Choice, Cut, Does, Ending, Endless, Event, Execution, Status, View, Waiting,
};
pub use footprint::Footprint;
pub use gap::{Gap, GapKind, Reach, Sighting};
pub use happens_before::HappensBefore;
pub use interned::Interned;
pub use operation::{Acquisition, Call, Count, LockMode, Need, Operation, Payload, Refusal, Waiter};
pub use outcome::{Exit, Outcome, text_of_bytes};
pub use process::ProcessId;
pub use root::Root;
pub use said::Said;
pub use strands::Strands;
pub use tree::{BadTree, check_tree};
pub use unit::{Begins, Unit, Units};
pub use verdict::{Anomaly, CriticalStep, Kind, MarkedStep, Verdict};
