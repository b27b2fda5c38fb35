//! The loop around the strategies, and those that are not exhaustive.

use std::ops::ControlFlow;

use cooks_harness::explore::{Counts, Dfs, Dpor, Exploration, Strategy, explore};
use cooks_harness::model::{Cut, Ending};
use cooks_harness::simulated::{Initial, Program, Simulation, jump_if, load, reg, store};

use crate::compare::see;

/// Waits for the other by looking again and again.
fn spinning() -> Simulation {
    let programs: Vec<Program> = vec![vec![load(1, 0), jump_if(reg(0), 0, 0)], vec![store(1, 1)]];
    Simulation::new(Initial::files(1), programs)
}

#[test]
fn an_execution_without_an_end_is_cut() {
    let strategies: [(&mut dyn Strategy, u64); 2] = [(&mut Dfs::new(), 11), (&mut Dpor::new(), 11)];
    for (strategy, executions) in strategies {
        let mut longest = 0;
        let exploration = explore(strategy, &mut spinning(), 10, &mut |execution| {
            longest = longest.max(execution.trace.len());
            assert_eq!(
                execution.ending == Ending::Cut(Cut::Steps),
                !execution.outcome.exits.iter().any(Option::is_some)
            );
            ControlFlow::Continue(())
        });
        let Exploration { counts, exhaustive } = exploration.expect("a simulation runs");
        assert_eq!((counts.executions, longest, exhaustive), (executions, 10, false), "{counts:?}");
    }
}

#[test]
fn an_exploration_ends_when_it_is_told_to() {
    let mut left = 3;
    let exploration = explore(&mut Dpor::new(), &mut spinning(), 10, &mut |_| {
        left -= 1;
        if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    let Exploration { counts, exhaustive } = exploration.expect("a simulation runs");
    assert_eq!((counts.executions, exhaustive), (3, false));
}

#[test]
fn what_is_counted() {
    let seen = see(
        &mut Dfs::new(),
        &mut Simulation::new(Initial::files(1), vec![vec![store(1, 1)], vec![load(1, 0)]]),
    );
    let counts = seen.expect("a simulation runs").counts;
    assert_eq!(counts, Counts { executions: 2, complete: 2, steps: 4, ..Counts::default() });
}
