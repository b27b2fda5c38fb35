//! `cooks`: explore every interleaving of real processes that share files.

mod args;
mod diagnose;
mod doctor;
mod explore;
mod failure;
mod input;
mod keeping;
mod merge;
mod new;
mod output;
mod processes;
mod progress;
mod replay;
mod run;
mod say;
mod show;
mod stress;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use clap::Parser;
use clap::error::ErrorKind;

use crate::args::{Cli, Command};
use crate::failure::{Failure, USAGE};

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            let asked = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
            return ExitCode::from(if asked { 0 } else { USAGE });
        }
    };
    let stop = match stop_on_signals() {
        Ok(stop) => stop,
        Err(error) => return Failure::internal(format!("cannot wait for signals: {error}")).tell(),
    };
    let result = match cli.command {
        Command::Explore(args) => explore::explore(&args, &stop),
        Command::Run(args) => run::run(&args, &stop),
        Command::Replay(args) => replay::replay(&args, &stop),
        Command::Show(args) => show::show(&args),
        Command::Merge(args) => merge::merge(&args),
        Command::New(args) => new::new(&args),
        Command::List => run::list(),
        Command::Doctor(args) => doctor::doctor(&args, &stop),
        Command::Stress(args) => stress::stress(&args, &stop),
        Command::Diagnose(args) => diagnose::diagnose(&args, &stop),
    };
    match result {
        Ok(code) => ExitCode::from(code),
        Err(failure) => failure.tell(),
    }
}

/// The first Ctrl-C (or request to end) lets the work that is going on stop in order; a second one ends the program at once: what
/// it had started dies with it.
fn stop_on_signals() -> std::io::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM, signal_hook::consts::SIGHUP] {
        signal_hook::flag::register_conditional_shutdown(
            signal,
            failure::INTERRUPTED.into(),
            Arc::clone(&stop),
        )?;
        signal_hook::flag::register(signal, Arc::clone(&stop))?;
    }
    Ok(stop)
}
