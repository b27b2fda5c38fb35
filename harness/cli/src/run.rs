//! `cooks run` and `cooks list`

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use cooks_harness::model::Tree;
use cooks_harness::report::{Broken, Report, Shard, Suite};
use cooks_harness::scenario::{Scenario, folders_below};
use cooks_harness::session::Job;

use crate::args::Run;
use crate::explore::{cpu_limit, equivalence, root, strategy, threads, time_limit};
use crate::failure::{CLEAN, Failure, INTERRUPTED};
use crate::{input, output};

/// A scenario that is to be run.
struct Chosen {
    scenario: Scenario,
    tree: Tree,
}

/// What was asked for: scenarios, and those that cannot be run, in their order.
type Asked = Vec<Result<Chosen, Broken>>;

/// Runs scenarios and holds them to their expected verdicts; a shard of one to nothing, that is for `merge`.
pub fn run(args: &Run, stop: &Arc<AtomicBool>) -> Result<u8, Failure> {
    if let Some(option) = args.later.refused() {
        return Err(Failure::not_built(&option));
    }
    let (asked, by_name) = asked(args)?;
    let names: Vec<String> = asked.iter().map(name_of).collect();
    // A scenario that is whole in one of several shards is told as one of a run, so that it is joined by its name.
    let can_be_split = asked.iter().flatten().all(|chosen| input::can_be_split(&chosen.scenario));
    let is_one = args.shard.is_none_or(|shard| shard.of > 1 && can_be_split);
    let planned = planned(asked, args)?;
    if let ([Ok(job)], [_], true) = (planned.as_slice(), names.as_slice(), is_one) {
        let report = output::explored(job, &args.output, stop)?;
        output::print(&report, &args.output)?;
        return Ok(Suite { results: vec![Ok(report)], ..Suite::default() }.code());
    }
    if let ([Err(broken)], [_], true) = (planned.as_slice(), names.as_slice(), is_one) {
        return Err(Failure::broken(broken));
    }
    let begun = Instant::now();
    let results = results(planned, args, stop)?;
    let interrupted =
        |result: &Result<Report, Broken>| matches!(result, Err(broken) if broken.code == INTERRUPTED);
    if !results.is_empty() && results.iter().all(interrupted) {
        return Err(Failure::interrupted());
    }
    let suite = Suite { results, shard: args.shard, names, elapsed_s: Some(begun.elapsed().as_secs_f64()) };
    output::print_suite(&suite, by_name, &args.output)?;
    Ok(suite.code())
}

/// Runs what can be run, and gives a result for each, in their order.
fn results(
    planned: Vec<Result<Job, Broken>>,
    args: &Run,
    stop: &Arc<AtomicBool>,
) -> Result<Vec<Result<Report, Broken>>, Failure> {
    let jobs: Vec<Job> = planned.iter().filter_map(|job| job.as_ref().ok().cloned()).collect();
    let mut ran = output::explored_together(&jobs, args.share.jobs, &args.output, stop).into_iter();
    let mut results = Vec::new();
    for job in planned {
        let result = match job {
            Err(broken) => Err(broken),
            Ok(job) => match ran.next() {
                Some(Ok(report)) => Ok(report),
                Some(Err(failure)) if failure.ends_all() => return Err(failure),
                Some(Err(failure)) => Err(failure.breaks(&job.scenario.name)),
                None => continue,
            },
        };
        results.push(result);
    }
    Ok(results)
}

fn name_of(asked: &Result<Chosen, Broken>) -> String {
    match asked {
        Ok(chosen) => chosen.scenario.name.clone(),
        Err(broken) => broken.scenario.clone(),
    }
}

/// The scenarios that were asked for, and whether each was asked for by name. A mistake in one costs that one.
fn asked(args: &Run) -> Result<(Asked, bool), Failure> {
    let read = |name: &str| from_name(name, args).map_err(|failure| failure.breaks(name));
    if args.all {
        return Ok((cooks_scenarios::names().map(read).collect(), false));
    }
    if args.scenarios.is_empty() {
        return Err(Failure::usage(
            "no scenario: give names or folders, or --all; `cooks list` shows the catalogue",
        ));
    }
    let (mut all, mut by_name) = (Asked::new(), true);
    for name in &args.scenarios {
        is_there(name)?;
        let below = suite_in(name)?;
        if below.is_empty() {
            all.push(read(name));
        } else {
            by_name = false;
            all.extend(below.iter().map(|folder| read(&folder.display().to_string())));
        }
    }
    if !by_name {
        // Where all are clean it is to be seen that what is wrong would be found.
        let canary = from_name(cooks_scenarios::CANARY, args)?;
        let is_canary = |chosen: &Chosen| {
            let of = |chosen: &Chosen| (chosen.scenario.name.clone(), chosen.scenario.processes.clone());
            of(chosen) == of(&canary) && chosen.tree == canary.tree
        };
        if !all.iter().flatten().any(is_canary) {
            all.push(Ok(canary));
        }
    }
    let mut names: Vec<String> = all.iter().map(name_of).collect();
    names.sort();
    if let Some(two) = names.windows(2).find(|two| two[0] == two[1]) {
        return Err(Failure::usage(format!(
            "two scenarios are called `{}`: give one of them another `name` in its scenario.toml",
            two[0]
        )));
    }
    Ok((all, by_name))
}

/// The folders of the scenarios in a folder that is none itself.
fn suite_in(name: &str) -> Result<Vec<PathBuf>, Failure> {
    let folder = Path::new(name);
    if cooks_scenarios::find(name).is_some() || !folder.is_dir() || folder.join("scenario.toml").exists() {
        return Ok(Vec::new());
    }
    let below = folders_below(folder)
        .map_err(|error| Failure::usage(format!("the folder {name} cannot be read: {error}")))?;
    if below.is_empty() {
        return Err(Failure::usage(format!(
            "the folder {name} has no scenario.toml, and no folder below it has one: `cooks new` makes one"
        )));
    }
    Ok(below)
}

/// Refuses a name that is neither in the catalogue nor a folder, before anything runs.
fn is_there(name: &str) -> Result<(), Failure> {
    if cooks_scenarios::find(name).is_some() || Path::new(name).is_dir() {
        return Ok(());
    }
    let known = cooks_scenarios::names().collect::<Vec<_>>().join(", ");
    Err(Failure::usage(format!(
        "there is no scenario `{name}`, neither in the catalogue ({known}) nor as a folder"
    )))
}

/// The scenario that a name of the catalogue or a folder stands for.
pub fn find(name: &str) -> Result<(Scenario, Tree), Failure> {
    is_there(name)?;
    match cooks_scenarios::find(name) {
        Some(found) => Ok(found?),
        None => from_folder(Path::new(name)),
    }
}

/// The same, with what is to be otherwise.
fn from_name(name: &str, args: &Run) -> Result<Chosen, Failure> {
    let (mut scenario, tree) = find(name)?;
    let search = &args.search;
    if let Some(name) = search.root {
        scenario.root = root(name);
    }
    if let Some(name) = search.strategy {
        scenario.strategy = strategy(name);
    }
    if let Some(name) = search.equivalence {
        scenario.equivalence = equivalence(name);
    }
    if let Some(name) = search.threads {
        scenario.threads = threads(name);
    }
    scenario.seed = search.seed.or(scenario.seed);
    scenario.depth = search.depth.or(scenario.depth);
    scenario.preemptions = search.preemptions.or(scenario.preemptions);
    scenario.max_executions = search.max_executions.or(scenario.max_executions);
    scenario.time_limit = time_limit(search.time_limit)?.or(scenario.time_limit);
    scenario.cpu_limit = cpu_limit(search.cpu_limit)?.or(scenario.cpu_limit);
    scenario.max_steps = search.max_steps.or(scenario.max_steps);
    scenario.verify = search.verify.or(scenario.verify);
    Ok(Chosen { scenario, tree })
}

/// The jobs that scenarios are: of a shard, its part of each that can be split, and some of the others as a whole, dealt out in turn.
fn planned(asked: Asked, args: &Run) -> Result<Vec<Result<Job, Broken>>, Failure> {
    let (mut planned, mut whole) = (Vec::new(), 0);
    for chosen in asked {
        let Chosen { scenario, tree } = match chosen {
            Ok(chosen) => chosen,
            Err(broken) => {
                planned.push(Err(broken));
                continue;
            }
        };
        let name = scenario.name.clone();
        let mut shard = args.shard;
        let mut is_here = true;
        if let Some(Shard { number, of }) = shard.filter(|_| !input::can_be_split(&scenario)) {
            (is_here, shard) = (whole % of + 1 == number, None);
            whole += 1;
        }
        let job = match input::job(scenario, tree) {
            Ok(mut job) => {
                input::share(&mut job, shard, &args.share)
                    .map_err(|failure| failure.of(&format!("scenario {name}")))?;
                Ok(job)
            }
            Err(failure) => Err(failure.breaks(&name)),
        };
        if is_here {
            planned.push(job);
        }
    }
    Ok(planned)
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
