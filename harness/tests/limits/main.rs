//! What ends work that is under way, with real processes: whatever ends it, and in whatever phase, there is a report, nothing that was found
//! is lost, and nothing stays behind. No real time is waited for: the clock is staged.

#![cfg(target_os = "linux")]

mod endless;
mod outcome;
mod phases;
mod support;
