//! `cooks explore`

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use cooks_harness::model::{self, Tree};
use cooks_harness::oracle;
use cooks_harness::scenario::{self, Process, Program, Scenario, StrategyName};

use crate::args::{Aborts, Equivalence, Explore, Root, Setting, Strategy, Threads};
use crate::failure::Failure;
use crate::processes::{Given, Processes};
use crate::{input, output};

/// Explores the commands that were given.
pub fn explore(args: &Explore, stop: &Arc<AtomicBool>) -> Result<u8, Failure> {
    refuse_what_is_not_built(args)?;
    are_several(&args.processes)?;
    let tree = tree(&args.setting)?;
    let mut job = input::job(scenario(args)?, tree)?;
    input::share(&mut job, args.shard, &args.share)?;
    let report = output::explored(&job, &args.output, stop)?;
    output::print(&report, &args.output)?;
    Ok(report.code())
}

/// Refuses less than two processes.
pub fn are_several(processes: &Processes) -> Result<(), Failure> {
    match processes.0.len() {
        0 => Err(Failure::usage("nothing to explore: give two commands or more, each with -p CMD")),
        1 => Err(Failure::usage("one process cannot race: give a second command with -p CMD")),
        _ => Ok(()),
    }
}

/// What the workspace begins with.
pub fn tree(setting: &Setting) -> Result<Tree, Failure> {
    setting.dir.as_deref().map_or_else(|| Ok(Tree::new()), input::tree)
}

fn refuse_what_is_not_built(args: &Explore) -> Result<(), Failure> {
    if let Some(option) = args.later.refused() {
        return Err(Failure::not_built(&option));
    }
    Ok(())
}

/// The strategy by its name.
pub fn strategy(name: Strategy) -> StrategyName {
    match name {
        Strategy::Dpor => StrategyName::Dpor,
        Strategy::Dfs => StrategyName::Dfs,
        Strategy::Random => StrategyName::Random,
        Strategy::Pct => StrategyName::Pct,
        Strategy::Pos => StrategyName::Pos,
    }
}

/// The root by its name.
pub fn root(name: Root) -> model::Root {
    match name {
        Root::Host => model::Root::Host,
        Root::Overlay => model::Root::Overlay,
    }
}

/// The equivalence by its name.
pub fn equivalence(name: Equivalence) -> scenario::Equivalence {
    match name {
        Equivalence::Trace => scenario::Equivalence::Trace,
        Equivalence::Observed => scenario::Equivalence::Observed,
    }
}

/// Who decides the order of threads, by its name.
pub fn threads(name: Threads) -> scenario::Threads {
    match name {
        Threads::Fixed => scenario::Threads::Fixed,
        Threads::Explore => scenario::Threads::Explore,
    }
}

/// A time limit that can be one.
pub fn time_limit(seconds: Option<f64>) -> Result<Option<f64>, Failure> {
    match seconds {
        Some(seconds) if !(seconds.is_finite() && seconds >= 0.0) => {
            Err(Failure::usage(format!("--time-limit {seconds}: give a number of seconds")))
        }
        seconds => Ok(seconds),
    }
}

/// A limit of processor time that can be one.
pub fn cpu_limit(seconds: Option<f64>) -> Result<Option<f64>, Failure> {
    match seconds {
        Some(seconds) if !(seconds.is_finite() && seconds > 0.0) => {
            Err(Failure::usage(format!("--cpu-limit {seconds}: give a number of seconds greater than 0")))
        }
        seconds => Ok(seconds),
    }
}

fn scenario(args: &Explore) -> Result<Scenario, Failure> {
    let search = &args.search;
    let strategy = strategy(search.strategy);
    Ok(Scenario {
        strategy,
        seed: seed(strategy, search.seed),
        depth: search.depth,
        preemptions: search.preemptions,
        max_executions: search.max_executions,
        time_limit: time_limit(search.time_limit)?,
        cpu_limit: cpu_limit(search.cpu_limit)?,
        max_steps: search.max_steps,
        all: search.all,
        verify: search.verify,
        equivalence: equivalence(search.equivalence),
        threads: threads(search.threads),
        ..of_setting(&args.setting, &args.processes)?
    })
}

/// The scenario that processes in a setting are.
pub fn of_setting(setting: &Setting, processes: &Processes) -> Result<Scenario, Failure> {
    Ok(Scenario {
        name: setting.dir.as_deref().map_or_else(|| "explore".into(), output::name_of),
        dir: setting.dir.as_ref().map(|dir| dir.display().to_string()),
        root: root(setting.root),
        setup: setting.setup.clone(),
        canon: setting.canon.clone(),
        ignore: setting.ignore.clone(),
        unordered: setting.unordered.clone(),
        check: setting.check.clone(),
        last: setting.last.clone(),
        aborts: match setting.aborts {
            Aborts::Fail => oracle::Aborts::Fail,
            Aborts::Allow => oracle::Aborts::Allow,
        },
        accept: setting.accept.clone(),
        processes: processes.0.iter().map(process).collect::<Result<_, _>>()?,
        ..Scenario::default()
    })
}

/// A process, with what it is asked.
fn process(given: &Given) -> Result<Process, Failure> {
    let Given { command, then, input, may_fail } = given.clone();
    let asked = |file: PathBuf| {
        let bytes = std::fs::read(&file).map_err(|error| format!("cannot be read: {error}"));
        let say = |problem| Failure::usage(format!("--input {} {problem}", file.display()));
        bytes.and_then(|bytes| scenario::requests(&bytes)).map_err(say)
    };
    let requests = input.map(asked).transpose()?.unwrap_or_default();
    Ok(Process { then, requests, may_fail, ..Program::Command(command).into() })
}

/// The seed: as given; where chance plays a part and none was given, one that is drawn here, and printed in the report.
fn seed(strategy: StrategyName, given: Option<u64>) -> Option<u64> {
    given.or_else(|| strategy.is_by_chance().then(drawn))
}

/// A seed that is drawn.
pub fn drawn() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |time| u64::from(time.subsec_nanos()))
}
