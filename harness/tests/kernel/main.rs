//! The relation of conflicts, and the search as a whole, held against the kernel.

#![cfg(target_os = "linux")]

mod actions;
mod held;
mod pairs;
mod program;
mod tried;
mod worlds;
