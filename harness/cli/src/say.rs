//! The one way by which this command writes what it does not lay out itself: nothing of it steers the terminal, whatever is in it.

use std::io::{self, Write};

use cooks_harness::report::visible;

/// Writes lines to standard error. There is nobody to tell if that fails.
pub fn aloud(text: &str) {
    let _ = writeln!(io::stderr(), "{}", visible::lines(text));
}

/// Writes one line to standard error, in place of the progress line if `wipe` says how to take that away. Line ends in the text are
/// shown as what they are.
pub fn a_line(wipe: &str, text: &str) {
    let _ = writeln!(io::stderr(), "{wipe}{}", visible::line(text));
}

/// Writes the progress line, which has no end.
pub fn progress(wipe: &str, text: &str) {
    let _ = write!(io::stderr(), "{wipe}{}", visible::line(text));
}

/// Writes lines to standard output.
///
/// # Errors
/// Those of writing.
pub fn out(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{}", visible::lines(text))?;
    out.flush()
}
