//! Real processes under the tracer: forked closures, shells, Python.

#![cfg(target_os = "linux")]

mod determinism;
mod directories;
mod locks;
mod replay;
mod schedules;
mod support;
mod time;
mod workspace;
