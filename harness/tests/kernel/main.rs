//! The relation of conflicts, and the search as a whole, held against the kernel.

#![cfg(target_os = "linux")]
#![allow(clippy::disallowed_macros, reason = "a test prints its seed, and what it counts")]

use std::io::Write as _;
use std::time::Instant;

mod actions;
#[path = "../self_checks/blind.rs"]
#[allow(dead_code, reason = "some is for the self-checks alone")]
mod blind;
#[path = "../self_checks/classes.rs"]
mod classes;
mod drops;
mod further;
mod generator;
mod held;
mod known;
mod lost;
mod needed;
mod pairs;
mod program;
mod reference;
mod searches;
mod tried;
mod waits;
mod worlds;

/// Says how long a part took, and its budget, even if the output of tests is captured.
fn took(what: &str, begun: Instant, budget: u64) {
    let seconds = begun.elapsed().as_secs_f64();
    let _ = writeln!(std::io::stderr(), "{what}: {seconds:.1} s, of {budget} s that are meant for it");
}
