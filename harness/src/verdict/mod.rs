//! What an exploration may conclude, and why it may not say "clean".

mod accept;
mod coverage;
mod gate;
pub mod trust;

pub use accept::{Accept, BadAccept};
pub use coverage::{Coverage, joined, sentence};
pub use gate::{Because, Conclusion, Facts, GateFault, NAMED, SerialFailure, conclude, conclude_with};
