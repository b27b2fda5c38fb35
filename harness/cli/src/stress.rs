//! `cooks stress`

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use cooks_harness::model::Root;
use cooks_harness::report::End;
use cooks_harness::session;

use crate::args::{Output, Stress};
use crate::explore::{are_several, drawn, of_setting, time_limit, tree};
use crate::failure::Failure;
use crate::progress::Runs;
use crate::run::find;
use crate::{input, output};

/// Runs the processes free and side by side, and counts what chance shows.
pub fn stress(args: &Stress, stop: &Arc<AtomicBool>) -> Result<u8, Failure> {
    let (mut scenario, tree) = match &args.scenario {
        Some(name) => find(name)?,
        None => {
            are_several(&args.processes)?;
            (of_setting(&args.setting, &args.processes)?, tree(&args.setting)?)
        }
    };
    if scenario.root == Root::Overlay {
        return Err(Failure::usage(
            "--root overlay: nobody watches processes that run free, so what they write outside of the workspace could not be undone; `cooks explore` does that",
        ));
    }
    // Of a scenario these say how far it is searched.
    (scenario.time_limit, scenario.expect) = (time_limit(args.time_limit)?, None);
    let job = input::job(scenario, tree)?;
    let how = session::Stress {
        runs: args.runs,
        at_once: args.jobs as usize,
        jitter: Duration::from_micros(args.jitter.into()),
        seed: args.seed.unwrap_or_else(drawn),
        patience: args.patience,
    };
    let line = Runs::new(args.quiet);
    let report = session::stress(&job, &how, stop, &mut |stressed| line.tell(stressed, how.runs));
    line.clear();
    let report = report?;
    if report.end == End::Interrupted && report.executions == 0 {
        return Err(Failure::interrupted());
    }
    let output = Output { format: args.format, output: PathBuf::new(), quiet: args.quiet };
    output::print(&report, &output)?;
    Ok(report.code())
}
