//! `cooks run` and `cooks list`

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use cooks_harness::model::Tree;
use cooks_harness::report::{Report, differences};
use cooks_harness::scenario::Scenario;
use cooks_harness::session::Job;

use crate::args::Run;
use crate::explore::{equivalence, strategy, time_limit};
use crate::failure::{ANOMALY, CLEAN, Failure};
use crate::{input, output};

/// Runs scenarios and holds them to their expected verdicts; a shard of them to nothing, that is for `merge`.
pub fn run(args: &Run, stop: &Arc<AtomicBool>) -> Result<u8, Failure> {
    if let Some(option) = args.later.refused() {
        return Err(Failure::not_built(&option));
    }
    let names: Vec<String> =
        if args.all { cooks_scenarios::names().map(str::to_owned).collect() } else { args.scenarios.clone() };
    if names.is_empty() {
        return Err(Failure::usage(
            "no scenario: give names or folders, or --all; `cooks list` shows the catalogue",
        ));
    }
    // All of them are read before the first one runs: a mistake in the last is told at once.
    let jobs = names.iter().map(|name| job(name, args)).collect::<Result<Vec<Job>, Failure>>()?;
    let mut reports: Vec<Report> = Vec::new();
    for job in &jobs {
        let report = output::explored(job, &args.output, stop)?;
        let alone = jobs.len() == 1;
        if alone {
            output::print(&report, &args.output)?;
        }
        reports.push(report);
    }
    if jobs.len() > 1 {
        output::print_many(&reports, !args.all, &args.output)?;
    }
    Ok(as_expected(&reports))
}

/// The exit code of scenarios that were held to what is expected of them.
pub fn as_expected(reports: &[Report]) -> u8 {
    let as_expected = |report: &Report| {
        report.expectation().is_none_or(|expected| differences(expected, report).is_empty())
    };
    if reports.iter().all(as_expected) { CLEAN } else { ANOMALY }
}

/// The job that a name of the catalogue or a folder stands for.
fn job(name: &str, args: &Run) -> Result<Job, Failure> {
    let folder = Path::new(name);
    let (mut scenario, tree) = if let Some(found) = cooks_scenarios::find(name) {
        found?
    } else if folder.is_dir() {
        from_folder(folder)?
    } else {
        let known = cooks_scenarios::names().collect::<Vec<_>>().join(", ");
        return Err(Failure::usage(format!(
            "there is no scenario `{name}`, neither in the catalogue ({known}) nor as a folder"
        )));
    };
    let search = &args.search;
    if let Some(name) = search.strategy {
        scenario.strategy = strategy(name);
    }
    if let Some(name) = search.equivalence {
        scenario.equivalence = equivalence(name);
    }
    scenario.seed = search.seed.or(scenario.seed);
    scenario.depth = search.depth.or(scenario.depth);
    scenario.preemptions = search.preemptions.or(scenario.preemptions);
    scenario.max_executions = search.max_executions.or(scenario.max_executions);
    scenario.time_limit = time_limit(search.time_limit)?.or(scenario.time_limit);
    scenario.max_steps = search.max_steps.or(scenario.max_steps);
    scenario.verify = search.verify.or(scenario.verify);
    let mut job = input::job(scenario, tree)?;
    input::share(&mut job, args.shard, &args.share)
        .map_err(|failure| failure.of(&format!("scenario {name}")))?;
    Ok(job)
}

fn from_folder(folder: &Path) -> Result<(Scenario, Tree), Failure> {
    let mut scenario = Scenario::load(folder)?;
    if scenario.name.is_empty() {
        scenario.name = output::name_of(folder);
    }
    let tree = scenario.workspace_in(folder).map_or_else(|| Ok(Tree::new()), |dir| input::tree(&dir))?;
    Ok((scenario, tree))
}

/// Prints the catalogue.
pub fn list() -> Result<u8, Failure> {
    let mut out = io::stdout().lock();
    let widest = cooks_scenarios::names().map(str::len).max().unwrap_or(0);
    for name in cooks_scenarios::names() {
        let Some(found) = cooks_scenarios::find(name) else { continue };
        let (scenario, _) = found?;
        writeln!(out, "{name:widest$}  {}", scenario.summary)?;
    }
    out.flush()?;
    Ok(CLEAN)
}
