//! `cooks diagnose`: what is going on in a live directory.

use std::io::{self, Write};
use std::sync::atomic::AtomicBool;

use cooks_harness::diagnose::{self as library, Options};

use crate::args::{Diagnose, DiagnoseFormat};
use crate::failure::{ANOMALY, CLEAN, Failure};
use crate::output::style;

/// Looks at the directory and tells; 1 if anything is found, whatever its severity.
pub fn diagnose(args: &Diagnose, stop: &AtomicBool) -> Result<u8, Failure> {
    let options = Options { watch: args.watch, long_wait: args.long_wait.as_secs_f64() };
    let diagnosis = library::diagnose(&args.dir, &options, stop)?;
    let mut out = io::stdout().lock();
    match args.format {
        DiagnoseFormat::Json => library::json(&diagnosis, &mut out)?,
        DiagnoseFormat::Human => library::human(&diagnosis, args.quiet, &style(), &mut out)?,
    }
    out.flush()?;
    Ok(if diagnosis.findings.is_empty() { CLEAN } else { ANOMALY })
}
