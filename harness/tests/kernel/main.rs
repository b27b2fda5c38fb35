//! The relation of conflicts, and the search as a whole, held against the kernel.

#![cfg(target_os = "linux")]
#![allow(clippy::disallowed_macros, reason = "a test prints its seed, and what it counts")]

mod actions;
#[path = "../self_checks/blind.rs"]
#[allow(dead_code, reason = "some is for the self-checks alone")]
mod blind;
#[path = "../self_checks/classes.rs"]
mod classes;
mod generator;
mod held;
mod known;
mod lost;
mod pairs;
mod program;
mod reference;
mod searches;
mod tried;
mod waits;
mod worlds;
