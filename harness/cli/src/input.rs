//! From what the user says to what can be run: programs, trees.

use std::path::Path;

use cooks_harness::model::{Entry, ProcessId, Tree};
use cooks_harness::report::Shard;
use cooks_harness::scenario::{self, Equivalence, Process, Scenario, StrategyName, Threads};
use cooks_harness::session::Job;
use cooks_harness::tracer::{EPOCH, Program};
use cooks_harness::workspace;

use crate::args;
use crate::failure::Failure;

/// What a scenario's processes run. `tree` is the workspace that they begin in, so far as it is known.
pub fn programs(scenario: &Scenario, tree: &Tree) -> Result<Vec<Program>, Failure> {
    let mut programs = Vec::new();
    for (number, process) in scenario.processes.iter().enumerate() {
        let id = ProcessId(number);
        programs.push(program(process, id, tree, scenario.setup.is_some())?);
    }
    Ok(programs)
}

fn program(process: &Process, id: ProcessId, tree: &Tree, made_later: bool) -> Result<Program, Failure> {
    let command = |command: &str, made_later: bool| {
        let program = Program::parse(command);
        let found = look_for(&program, tree, made_later);
        let say = |problem| Failure::usage(format!("process {id} cannot be run: `{command}`: {problem}"));
        found.map(|()| program).map_err(say)
    };
    let mut program = match &process.program {
        scenario::Program::Command(text) => command(text, made_later)?,
        scenario::Program::Closure(words) => cooks_scenarios::closure(words).ok_or_else(|| {
            let known = cooks_scenarios::closure_names().join(", ");
            Failure::usage(format!("process {id}: there is no closure `{words}`; there are: {known}"))
        })?,
    };
    for text in &process.then {
        program = program.then(command(text, true)?);
    }
    let asked = !process.requests.is_empty();
    Ok(if asked { program.asked(process.requests.iter().cloned()) } else { program })
}

/// The job that a scenario is, with its workspace.
pub fn job(scenario: Scenario, tree: Tree) -> Result<Job, Failure> {
    scenario.validate().map_err(|(_, message)| Failure::usage(message))?;
    let programs = programs(&scenario, &tree)?;
    look_for_others(&scenario, &tree)?;
    Ok(Job::new(scenario, programs, tree))
}

/// Whether the commands are there that run alone. What a command makes may be run by those after it.
fn look_for_others(scenario: &Scenario, tree: &Tree) -> Result<(), Failure> {
    let others = [
        ("--setup", &scenario.setup, false),
        ("--final", &scenario.last, true),
        ("--canon", &scenario.canon, true),
        ("--check", &scenario.check, true),
    ];
    for (option, command, made_later) in others {
        let Some(command) = command else { continue };
        look_for(&Program::parse(command), tree, made_later)
            .map_err(|problem| Failure::usage(format!("{option} cannot be run: `{command}`: {problem}")))?;
    }
    Ok(())
}

/// Whether a program is there to be run, before anything is.
fn look_for(program: &Program, tree: &Tree, made_later: bool) -> Result<(), String> {
    let Program::Command(words) = program else { return Ok(()) };
    let Some(name) = words.first() else { return Err("there is nothing to run".into()) };
    if !name.contains('/') {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let found = std::env::split_paths(&path).any(|folder| folder.join(name).is_file());
        return if found { Ok(()) } else { Err(format!("`{name}` is not found along PATH")) };
    }
    if name.starts_with('/') {
        return if Path::new(name).is_file() { Ok(()) } else { Err(format!("there is no file {name}")) };
    }
    let inside = name.trim_start_matches("./");
    match tree.get(tree.first_name(inside)) {
        Some(Entry::File { mode, .. }) if mode & 0o111 == 0 => {
            Err(format!("{name} in the workspace is not executable: chmod +x {name}"))
        }
        None if !made_later && !inside.contains("..") => {
            Err(format!("there is no {name} in the workspace (processes start in it: see --dir)"))
        }
        _ => Ok(()),
    }
}

/// What a folder holds. If something in it is newer than the beginning of the clock, all times move back together.
pub fn tree(folder: &Path) -> Result<Tree, Failure> {
    let say =
        |problem: String| Failure::usage(format!("the workspace folder {}: {problem}", folder.display()));
    match std::fs::metadata(folder) {
        Err(error) => return Err(say(error.to_string())),
        Ok(status) if !status.is_dir() => return Err(say("is not a folder".into())),
        Ok(_) => {}
    }
    let mut tree = workspace::capture(folder).map_err(|error| say(format!("cannot be read: {error}")))?;
    // The clocks of the processes begin at a fixed date. A file that is newer would be in their future.
    tree.end_by(EPOCH);
    Ok(tree)
}

/// Whether a search can be made in shards: only one that reduces, by traces, without a bound.
pub fn can_be_split(scenario: &Scenario) -> bool {
    let Scenario { strategy, preemptions, equivalence, threads, .. } = scenario;
    let by_traces = *equivalence == Equivalence::Trace && *threads == Threads::Fixed;
    *strategy == StrategyName::Dpor && preemptions.is_none() && by_traces
}

/// Which part of a job's search is to be made, and by how many at a time.
pub fn share(job: &mut Job, shard: Option<Shard>, args: &args::Share) -> Result<(), Failure> {
    let name = job.scenario.strategy.name();
    let shard = shard.filter(|shard| shard.of > 1);
    if shard.is_some() && !can_be_split(&job.scenario) {
        return Err(Failure::usage(
            "--shard splits the search of dpor by traces, with fixed threads and without a bound of preemptions, and no other",
        ));
    }
    let Scenario { strategy, preemptions, equivalence, .. } = &job.scenario;
    let goes_back = *strategy == StrategyName::Dpor && preemptions.is_none();
    if args.explain && !(goes_back && *equivalence == Equivalence::Trace) {
        return Err(Failure::usage(format!(
            "--explain: {name} goes back to no races; dpor by traces without a bound does"
        )));
    }
    (job.shard, job.jobs, job.explain) = (shard, args.jobs as usize, args.explain);
    Ok(())
}
