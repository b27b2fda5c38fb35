//! Real processes under the tracer: forked closures, shells, Python.

#![cfg(target_os = "linux")]

mod calls;
mod determinism;
mod directories;
mod litmus;
mod locks;
mod refused;
mod replay;
mod support;
mod time;
mod transparent;
mod units;
mod workspace;
