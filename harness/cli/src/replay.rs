//! `cooks replay`

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use cooks_harness::report;
use cooks_harness::session;
use cooks_harness::witness;

use crate::args::{Format, Replay};
use crate::failure::{ANOMALY, CLEAN, DIVERGENCE, Failure};
use crate::{input, output};

/// Runs the schedule of a witness again.
pub fn replay(args: &Replay, stop: &Arc<AtomicBool>) -> Result<u8, Failure> {
    output::check_format(&args.output)?;
    if args.html.is_some() {
        return Err(Failure::not_built("--html"));
    }
    let witness = witness::read(&args.witness)?;
    let programs = input::programs(&witness.scenario, &witness.initial)?;
    let replayed = session::replay(&witness, &programs, stop)?;
    let mut out = io::stdout().lock();
    let commands: Vec<String> = programs.iter().map(ToString::to_string).collect();
    let shown = report::Replay {
        witness: args.witness.display().to_string(),
        commands,
        anomaly: witness.anomaly.clone(),
        execution: replayed.execution,
        divergence: replayed.divergence.as_ref().map(ToString::to_string),
    };
    match args.output.format {
        Format::Json => report::replay_json(&shown, &mut out)?,
        _ => report::replay_human(&shown, &output::style(), args.output.quiet, &mut out)?,
    }
    out.flush()?;
    Ok(match (&replayed.divergence, &witness.anomaly) {
        (Some(_), _) => DIVERGENCE,
        (None, Some(_)) => ANOMALY,
        (None, None) => CLEAN,
    })
}
