//! Deterministic exploration of real processes that share files.
//!
//! The way of the data: a scenario gives a [`backend::Backend`]; a [`explore::Strategy`] picks, step by step, which process
//! runs next; what comes out is an [`model::Execution`]; the oracles judge it.

pub mod backend;
pub mod explore;
pub mod model;
pub mod oracle;
pub mod report;
pub mod scenario;
pub mod witness;
