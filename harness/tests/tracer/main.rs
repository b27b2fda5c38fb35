//! Real processes under the tracer: forked closures, shells, Python.

#![cfg(target_os = "linux")]

mod calls;
mod determinism;
mod directories;
mod locks;
mod refused;
mod polling;
mod replay;
mod schedules;
mod support;
mod time;
mod transparent;
mod units;
mod timers;
mod workspace;
