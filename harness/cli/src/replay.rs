//! `cooks replay`

use std::iter;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use cooks_harness::model::{self, Ending, Execution, ProcessId, Said, Verdict};
use cooks_harness::report::{Basis, End, Finding, Report};
use cooks_harness::session;
use cooks_harness::verdict::Conclusion;
use cooks_harness::witness::{self, Witness};

use crate::args::{self, Replay};
use crate::failure::{ANOMALY, CLEAN, Failure};
use crate::{input, output, say};

/// Runs the schedule of a witness again.
pub fn replay(args: &Replay, stop: &Arc<AtomicBool>) -> Result<u8, Failure> {
    if args.html.is_some() {
        return Err(Failure::not_built("--html"));
    }
    let witness = witness::read(&args.witness)?;
    let programs = input::programs(&witness.scenario, &witness.initial)?;
    let isolated = is_isolated(args, &witness)?;
    if !args.output.quiet {
        tell_whose(args, &witness, isolated);
    }
    let begun = Instant::now();
    let replayed = session::replay(&witness, &programs, isolated, stop)?;
    if let Some(divergence) = replayed.divergence {
        return Err(Failure::diverged(&divergence));
    }
    let commands = programs.iter().map(ToString::to_string).collect();
    let report = report(args, witness, (replayed.execution, replayed.stderr), commands, begun.elapsed());
    output::print(&report, &args.output)?;
    Ok(if report.verdict() == Verdict::Anomaly { ANOMALY } else { CLEAN })
}

/// Whether the processes have an overlay as their root, whatever the recording had.
fn is_isolated(args: &Replay, witness: &Witness) -> Result<bool, Failure> {
    match (args.root, witness.scenario.root) {
        (Some(args::Root::Host), model::Root::Overlay) => Err(Failure::usage(
            "--root host: this was recorded on an overlay, and would not be the same on the machine itself",
        )),
        (None | Some(args::Root::Host), model::Root::Host) => Ok(false),
        (_, _) => Ok(true),
    }
}

/// Says whose commands are about to be run: a witness may come from anybody.
fn tell_whose(args: &Replay, witness: &Witness, isolated: bool) {
    let Witness { format, cooks, scenario, .. } = witness;
    let file = args.witness.display();
    say::a_line(
        "",
        &format!(
            "cooks: {file} was recorded by cooks {cooks} (format {format}). A replay runs its commands:"
        ),
    );
    for (number, process) in scenario.processes.iter().enumerate() {
        let commands = iter::once(process.program.text()).chain(process.then.iter().map(String::as_str));
        for command in commands {
            say::a_line("  ", &format!("{}: {command}", ProcessId(number)));
        }
    }
    for (what, command) in [("final", &scenario.last), ("canon", &scenario.canon), ("check", &scenario.check)]
    {
        if let Some(command) = command {
            say::a_line("  ", &format!("{what}: {command}"));
        }
    }
    say::a_line(
        "",
        if isolated {
            "They run with your rights, on an overlay: they can read your files, and change none of them."
        } else {
            "They run with your rights. With --root overlay they cannot change your files."
        },
    );
}

/// The report of a search that made this one execution.
fn report(
    args: &Replay,
    witness: Witness,
    (execution, stderr): (Execution, Said),
    commands: Vec<String>,
    elapsed: Duration,
) -> Report {
    let (complete, blocked) = match execution.ending {
        Ending::Complete => (1, 0),
        Ending::Blocked(_) => (0, 1),
        Ending::Cut(_) | Ending::Endless(_) => (0, 0),
    };
    let critical = witness.critical;
    let steps = execution.trace.len() as u64;
    let finding = witness.anomaly.map(|anomaly| Finding {
        anomaly,
        critical,
        context_switches: execution.context_switches(),
        shown: execution,
        execution: 1,
        witness: Some(args.witness.display().to_string()),
        replayed: 1,
        hits: None,
        stderr,
    });
    Report {
        scenario: witness.scenario.name,
        conclusion: Conclusion::of_a_part(witness.verdict == Verdict::Anomaly),
        exhaustive: false,
        end: End::Anomaly,
        covered: None,
        basis: Basis::default(),
        strategy: "replay".into(),
        equivalence: witness.scenario.equivalence,
        seed: witness.scenario.seed.unwrap_or(0),
        commands,
        executions: 1,
        complete,
        blocked,
        redundant: 0,
        elsewhere: 0,
        serial_runs: 0,
        distinct_outcomes: 1,
        serial_outcomes: 0,
        steps,
        elapsed_s: elapsed.as_secs_f64(),
        anomalies: finding.into_iter().collect(),
        expected: None,
        outcomes: Default::default(),
        subject: String::new(),
        shard: None,
        chance: None,
        verified: None,
    }
}
