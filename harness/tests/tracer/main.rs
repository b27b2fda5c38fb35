//! Real processes under the tracer: forked closures, shells, Python.

#![cfg(target_os = "linux")]

mod determinism;
mod directories;
mod litmus;
mod locks;
mod polling;
mod replay;
mod support;
mod time;
mod timers;
mod workspace;
