//! The searches with a bound, held against all schedules, of which those within the bound are picked out one by one.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use cooks_harness::backend::Backend;
use cooks_harness::explore::{BoundFault, Bounded, Dfs, Strategy, explore};
use cooks_harness::model::{Choice, Cut, Ending, Execution, Outcome, View};
use cooks_harness::simulated::{Initial, Simulation, jump_if, load, reg, store};

use crate::classes::{Class, class};
use crate::compare::see;
use crate::programs::{Theme, simulation};

const THEMES: [Theme; 6] =
    [Theme::Data, Theme::Locks, Theme::Names, Theme::Mixed, Theme::Waits, Theme::Signals];

/// Programs of each theme.
const PROGRAMS: u64 = 1_000;

/// Another strategy, and how many preemptions the present execution has so far.
struct Counting<'c> {
    strategy: Dfs,
    preemptions: &'c Cell<u32>,
}

impl Strategy for Counting<'_> {
    fn begin(&mut self) -> bool {
        self.preemptions.set(0);
        self.strategy.begin()
    }

    fn choose(&mut self, view: View<'_>) -> Result<Choice, Cut> {
        let choice = self.strategy.choose(view)?;
        let last = view.trace.last().map(|event| event.process);
        if last.is_some_and(|last| view.processes[last.0].is_enabled() && choice != Choice::Process(last)) {
            self.preemptions.set(self.preemptions.get() + 1);
        }
        Ok(choice)
    }

    fn end(&mut self, execution: &Execution) {
        self.strategy.end(execution);
    }

    fn is_exhaustive(&self) -> bool {
        true
    }
}

/// The outcomes and classes of all schedules, with the fewest preemptions that each needs.
fn all(backend: &mut Simulation) -> Vec<(Class, Outcome, u32)> {
    let preemptions = Cell::new(0);
    let mut strategy = Counting { strategy: Dfs::new(), preemptions: &preemptions };
    let mut found: BTreeMap<(Class, Outcome), u32> = BTreeMap::new();
    let explored = explore(&mut strategy, backend, 200, &mut |execution| {
        assert!(!matches!(execution.ending, Ending::Cut(_)));
        let fewest = found.entry((class(execution), execution.outcome.clone())).or_insert(u32::MAX);
        *fewest = preemptions.get().min(*fewest);
        ControlFlow::Continue(())
    });
    assert!(explored.is_ok_and(|explored| explored.exhaustive));
    found.into_iter().map(|((class, outcome), fewest)| (class, outcome, fewest)).collect()
}

/// Holds a search to the classes and outcomes within a bound: none less, none more; and to what it says of itself.
fn held(
    strategy: &mut dyn Strategy,
    backend: &mut Simulation,
    all: &[(Class, Outcome, u32)],
    most: u32,
) -> Result<u64, String> {
    let seen = see(strategy, backend)?;
    let within = || all.iter().filter(|(_, _, fewest)| *fewest <= most);
    let classes: BTreeSet<Class> = within().map(|(class, ..)| class.clone()).collect();
    let outcomes: BTreeSet<Outcome> = within().map(|(_, outcome, _)| outcome.clone()).collect();
    if (&seen.classes, &seen.outcomes) != (&classes, &outcomes) {
        return Err(format!(
            "{} classes, {} outcomes instead of {}, {}",
            seen.classes.len(),
            seen.outcomes.len(),
            classes.len(),
            outcomes.len()
        ));
    }
    if strategy.is_exhaustive() && classes.len() < all.len() {
        return Err(format!("{} of {} classes are said to be all", classes.len(), all.len()));
    }
    Ok(seen.counts.executions)
}

/// The executions that the search within a bound makes of the programs of a theme, and those of all schedules within it; for each
/// bound.
fn sums(theme: Theme) -> [[u64; 2]; 3] {
    let mut sums = [[0; 2]; 3];
    for seed in 0..PROGRAMS {
        let mut program = simulation(seed, theme);
        let all = all(&mut program);
        for (sums, most) in sums.iter_mut().zip(0..) {
            let searches: [Box<dyn Strategy>; 2] =
                [Box::new(Bounded::new(most)), Box::new(Dfs::bounded(most))];
            for (sum, mut search) in sums.iter_mut().zip(searches) {
                *sum += held(search.as_mut(), &mut program, &all, most).unwrap_or_else(|difference| {
                    panic!("{difference}: bound {most}, theme {theme:?}, seed {seed}: {program:#?}")
                });
            }
        }
    }
    sums
}

#[test]
fn a_bound_gives_what_all_schedules_within_it_give() {
    // With the reduction, and without it.
    let known = [
        [[9_431, 10_654], [20_527, 39_839], [28_411, 89_864]],
        [[7_720, 8_822], [11_772, 27_103], [12_958, 50_951]],
        [[9_475, 10_654], [21_150, 38_954], [30_458, 85_419]],
        [[8_784, 10_323], [13_204, 37_054], [14_765, 79_852]],
        [[11_180, 13_823], [19_433, 49_291], [23_214, 101_955]],
        [[10_499, 11_915], [25_170, 43_883], [37_926, 102_529]],
    ];
    assert_eq!(THEMES.map(sums), known);
}

/// To leave a process that looks in vain is free: else one that waits for another by looking would never see it come.
#[test]
fn who_looks_in_vain_is_not_preempted() {
    let poll = vec![load(1, 0), jump_if(reg(0), 0, 0)];
    let mut program = Simulation::new(Initial::files(1), vec![poll, vec![store(1, 1)]]);
    let found = see(&mut Bounded::new(0), &mut program).expect("a simulation runs");
    let all = see(&mut Dfs::bounded(0), &mut program).expect("a simulation runs");
    assert_eq!((found.outcomes.len(), &found.classes), (1, &all.classes));
    // B first, or after 65 to 198 looks of A (64 in vain); after more, or never, the execution is cut at 200 steps.
    assert_eq!((found.counts.executions, found.counts.complete), (137, 1 + (198 - 64)));
}

/// A bound that nothing comes up to is none.
#[test]
fn a_search_that_its_bound_does_not_touch_is_exhaustive() {
    for theme in THEMES {
        for seed in 0..50 {
            let mut program = simulation(seed, theme);
            let mut search = Bounded::new(1_000);
            let all = all(&mut program);
            assert!(held(&mut search, &mut program, &all, 1_000).is_ok() && search.is_exhaustive());
            assert_eq!(
                search.covered(program.processes()).as_deref(),
                Some("all schedules with at most 1000 preemptions")
            );
        }
    }
}

#[test]
fn faults_are_found() {
    for fault in [
        BoundFault::JudgedAtOnce,
        BoundFault::LastForgotten,
        BoundFault::PriceForgotten,
        BoundFault::EverySwitchCounts,
        BoundFault::NothingCounts,
    ] {
        let shows = |theme, seed, most| {
            let mut program = simulation(seed, theme);
            let all = all(&mut program);
            held(&mut Bounded::with_fault(most, fault), &mut program, &all, most).is_err()
        };
        let found = (0..PROGRAMS)
            .find(|seed| THEMES.iter().any(|theme| (0..3).any(|most| shows(*theme, *seed, most))));
        assert!(found.is_some(), "{fault:?} is not found");
    }
}
