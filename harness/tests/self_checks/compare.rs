//! One exploration held against all schedules.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use cooks_harness::backend::Backend;
use cooks_harness::explore::{Counts, Dfs, Observed, Strategy, explore};
use cooks_harness::model::{Ending, Outcome};

use crate::classes::{Class, class};

/// What an exploration has seen.
#[derive(Debug, Default)]
pub struct Seen {
    pub counts: Counts,
    pub outcomes: BTreeSet<Outcome>,
    pub classes: BTreeSet<Class>,
}

pub fn see<B: Backend>(strategy: &mut dyn Strategy, backend: &mut B) -> Result<Seen, String> {
    let mut seen = Seen::default();
    let result = explore(strategy, backend, 200, &mut |execution| {
        if !matches!(execution.ending, Ending::Cut(_)) {
            seen.outcomes.insert(execution.outcome.clone());
            seen.classes.insert(class(execution));
        }
        ControlFlow::Continue(())
    });
    seen.counts = result.map_err(|error| error.to_string())?.counts;
    Ok(seen)
}

/// Holds a strategy against all schedules: the same outcomes, the same classes, each once, and none redundant. The number of
/// classes; or what is different.
pub fn compare<B: Backend>(strategy: &mut dyn Strategy, backend: &mut B) -> Result<u64, String> {
    let all = see(&mut Dfs::new(), backend)?;
    let found = see(strategy, backend)?;
    if found.outcomes != all.outcomes {
        return Err(format!("{} outcomes instead of {}", found.outcomes.len(), all.outcomes.len()));
    }
    if found.classes != all.classes {
        return Err(format!("{} classes instead of {}", found.classes.len(), all.classes.len()));
    }
    let Counts { complete, blocked, redundant, executions, .. } = found.counts;
    if complete + blocked != all.classes.len() as u64 || redundant != 0 || executions != complete + blocked {
        return Err(format!("{} classes, but {:?}", all.classes.len(), found.counts));
    }
    merged(&mut Observed::new(), backend, &all)?;
    Ok(complete + blocked)
}

/// Holds the search that merges to the outcomes of all schedules, each execution that it leaves out being counted. How many it
/// runs; or what is different.
pub fn merged<B: Backend>(strategy: &mut Observed, backend: &mut B, all: &Seen) -> Result<u64, String> {
    let found = see(strategy, backend)?;
    if found.outcomes != all.outcomes {
        return Err(format!("{} outcomes instead of {}", found.outcomes.len(), all.outcomes.len()));
    }
    let (executions, classes) = (found.counts.executions, all.classes.len() as u64);
    if executions + strategy.merged() != classes || executions != found.classes.len() as u64 {
        return Err(format!("{executions} run and {} merged of {classes} classes", strategy.merged()));
    }
    if !strategy.is_exhaustive() {
        return Err("a step was not what it was expected to be".to_owned());
    }
    Ok(executions)
}
