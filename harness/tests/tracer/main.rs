//! Real processes under the tracer: forked closures, shells, Python.

#![cfg(target_os = "linux")]

mod beginnings;
mod calls;
mod cycles;
mod datagrams;
mod determinism;
mod directories;
mod fifos;
mod full;
mod locks;
mod marks;
mod outside_files;
mod polling;
mod proc;
mod programs;
mod refused;
mod replay;
mod schedules;
mod signals;
mod sockets;
mod support;
mod threads;
mod time;
mod timers;
mod transparent;
mod trees;
mod undecided;
mod units;
mod workspace;
