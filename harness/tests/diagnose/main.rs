//! Diagnoses of staged situations with real processes. Nothing sleeps: who waits for a state looks at `/proc` until it is there.

#![cfg(target_os = "linux")]

mod crowd;
mod files;
mod locks;
mod machine;
mod stage;
