//! `cooks show`: what a witness holds, without running anything.

use std::io::{self, Write};

use cooks_harness::witness;

use crate::args::{DiagnoseFormat, Show};
use crate::failure::{CLEAN, Failure};
use crate::output::style;

/// Prints a witness.
pub fn show(args: &Show) -> Result<u8, Failure> {
    let witness = witness::read(&args.witness)?;
    let file = args.witness.display().to_string();
    let mut out = io::stdout().lock();
    match args.format {
        DiagnoseFormat::Human => witness::show(&witness, &file, &style(), &mut out)?,
        DiagnoseFormat::Json => witness::show_json(&witness, &file, &mut out)?,
    }
    out.flush()?;
    Ok(CLEAN)
}
