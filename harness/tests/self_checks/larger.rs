//! Programs with too many schedules to run them all: the order in which the processes are given must not matter.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use cooks_harness::explore::{Counts, Dpor, Exploration, explore};
use cooks_harness::simulated::Program;

use crate::classes::class;
use crate::programs::{Theme, programs, start};

/// Programs with more classes are left out.
const MOST: u64 = 1_000;

/// How many programs of each theme.
const PROGRAMS: u64 = 120;

/// The number of classes, each run once; `None` where there are too many.
fn classes(programs: Vec<Program>) -> Option<u64> {
    let mut seen = BTreeSet::new();
    let mut left = MOST;
    let exploration = explore(&mut Dpor::new(), &mut start(programs), 200, &mut |execution| {
        seen.insert(class(execution));
        left -= 1;
        if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    let Exploration { counts, exhaustive } = exploration.expect("strategies choose enabled processes");
    let Counts { executions, complete, blocked, .. } = counts;
    assert_eq!((executions, executions), (complete + blocked, seen.len() as u64), "{counts:?}");
    exhaustive.then_some(executions)
}

fn sum_of_classes(theme: Theme) -> u64 {
    let counted = |seed| {
        let mut programs = programs(seed, theme, [8, 6, 4]);
        let in_given_order = classes(programs.clone())?;
        for turn in 1..programs.len() {
            programs.rotate_left(1);
            let found = classes(programs.clone());
            assert_eq!(
                found,
                Some(in_given_order),
                "{theme:?}, seed {seed}, turned by {turn}: {programs:#?}"
            );
        }
        programs.reverse();
        assert_eq!(classes(programs), Some(in_given_order), "{theme:?}, seed {seed}, the other way round");
        Some(in_given_order)
    };
    (0..PROGRAMS).filter_map(counted).sum()
}

#[test]
fn the_order_of_the_processes_does_not_matter() {
    let sums = [Theme::Data, Theme::Locks, Theme::Names, Theme::Mixed].map(sum_of_classes);
    assert_eq!(sums, [6_746, 652, 4_928, 947]);
}
