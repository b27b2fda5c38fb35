//! Deterministic exploration of real processes that share files.
//!
//! The way of the data: a [`scenario::Scenario`] is explored in a [`session`]: a [`explore::Strategy`] picks, step by step, which
//! process runs next; a [`backend::Backend`] runs it, the [`tracer`] real processes; what comes out is an [`model::Execution`];
//! the [`oracle`]s judge it; a [`report`] tells, and a [`witness`] replays.

pub mod backend;
pub mod bounded;
#[cfg(target_os = "linux")]
pub mod diagnose;
pub mod explore;
pub mod limits;
pub mod model;
#[cfg(target_os = "linux")]
mod mounts;
pub mod oracle;
pub mod report;
pub mod scenario;
#[cfg(target_os = "linux")]
pub mod session;
pub mod simulated;
#[cfg(target_os = "linux")]
pub mod tracer;
pub mod verdict;
pub mod witness;
#[cfg(target_os = "linux")]
pub mod workspace;

#[cfg(target_os = "linux")]
pub use tracer::unit;
