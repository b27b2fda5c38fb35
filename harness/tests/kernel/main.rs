//! The relation of conflicts, and the search as a whole, held against the kernel.

#![cfg(target_os = "linux")]

mod actions;
mod generator;
mod held;
mod known;
mod pairs;
mod program;
mod reference;
mod searches;
mod tried;
mod worlds;
