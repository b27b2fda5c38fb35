//! The command, as its users run it: real commands in real folders, exit codes, what is printed and what is left.

#![cfg(target_os = "linux")]

mod catalogue;
mod diagnose;
mod find;
mod hostile;
mod input;
mod lost;
mod machine;
mod oracles;
mod overlay;
mod search;
mod shards;
mod stopping;
mod strangers;
mod stress;
mod suite;
mod support;
mod threads;
mod times;
mod units;
mod verify;
