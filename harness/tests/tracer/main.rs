//! Real processes under the tracer: forked closures, shells, Python.

#![cfg(target_os = "linux")]

mod litmus;
mod locks;
mod support;
