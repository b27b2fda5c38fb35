//! Executions run ahead of a search: it comes to what it comes to alone, execution by execution, whoever runs them and whatever is
//! guessed.

use std::ops::ControlFlow;
use std::sync::atomic::AtomicBool;

use cooks_harness::backend::{Backend, Chooser, Detail};
use cooks_harness::explore::{
    Bounded, Dfs, Dpor, Fault, Observed, Pct, Pos, RandomWalk, Sharded, SplitMix64, Strategy, explore,
};
use cooks_harness::limits::Limits;
use cooks_harness::model::Execution;
use cooks_harness::session::ahead::{Ahead, AheadFault, Bench, Beside, Place, Places};
use cooks_harness::simulated::{Error, Simulation};

use crate::PROGRAMS;
use crate::programs::{Theme, simulation};

const THEMES: [Theme; 5] = [Theme::Data, Theme::Locks, Theme::Names, Theme::Mixed, Theme::Waits];

const MAX_STEPS: usize = 200;

/// No search here is made further than this: some have thousands of executions.
const MOST: usize = 150;

type Make = fn() -> Box<dyn Strategy>;

const STRATEGIES: [(&str, Make); 10] = [
    ("dpor", || Box::new(Dpor::new())),
    ("dpor, those before it awake in a guess", || Box::new(Dpor::with_fault(Fault::AheadAwake))),
    ("dfs", || Box::new(Dfs::new())),
    ("dfs, 1 preemption", || Box::new(Dfs::bounded(1))),
    ("1 preemption", || Box::new(Bounded::new(1))),
    ("observed", || Box::new(Observed::new())),
    ("random", || Box::new(RandomWalk::new(7, 40))),
    ("pct", || Box::new(Pct::new(7, 40, 3))),
    ("pos", || Box::new(Pos::new(7, 40))),
    ("shard 2/3", || Box::new(Sharded::new(2, 3, false))),
];

struct Simulated(Simulation);

impl Bench for Simulated {
    type Beside = usize;
    type Error = Error;

    fn execute(&mut self, chooser: &mut dyn Chooser, detail: Detail) -> Result<Execution, Error> {
        self.0.execute(chooser, detail)
    }

    fn finish(&mut self, execution: &mut Execution) -> Result<usize, Error> {
        Ok(execution.trace.len())
    }
}

/// The executions of a search that is alone.
fn alone(strategy: &mut dyn Strategy, simulation: &mut Simulation) -> Vec<Execution> {
    let mut seen = Vec::new();
    let explored = explore(strategy, simulation, MAX_STEPS, &mut |execution| {
        seen.push(execution.clone());
        if seen.len() == MOST { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    explored.expect("strategies choose enabled processes");
    seen
}

/// The executions of a search that has others beside it, of which `between` lets some go on before each.
fn with_others(
    strategy: &mut dyn Strategy,
    ahead: &mut Ahead<'_, usize, Error>,
    simulation: &Simulation,
    between: &mut dyn FnMut(&Ahead<'_, usize, Error>),
) -> Result<Vec<Execution>, Error> {
    let mut bench = Simulated(simulation.clone());
    let mut seen = Vec::new();
    while seen.len() < MOST && strategy.begin() {
        between(ahead);
        let (execution, steps) = ahead.next(strategy, &mut bench)?;
        assert_eq!(steps, execution.trace.len(), "what comes of it beside is not its own");
        seen.push(execution);
    }
    Ok(seen)
}

/// A search with others that are simulated, who are as fast as the seed has it.
fn guessed(
    strategy: &mut dyn Strategy,
    simulation: &Simulation,
    seed: u64,
    fault: Option<AheadFault>,
) -> (Result<Vec<Execution>, Error>, [u64; 2]) {
    let limits = Limits::default();
    let beside = Beside {
        places: &Places::anywhere(0),
        max_steps: MAX_STEPS,
        limits: &limits,
        over: &AtomicBool::new(false),
    };
    let nobody = |_: &Place<'_>| -> Result<Simulated, Error> {
        unreachable!("nobody runs ahead in a thread of its own")
    };
    beside.search(nobody, |ahead| {
        let mut random = SplitMix64::new(seed);
        let mut other = Simulated(simulation.clone());
        ahead.simulate(1 + random.below(3), fault);
        let executions = with_others(strategy, ahead, simulation, &mut |ahead| {
            for _ in 0..random.below(4) {
                ahead.help(&mut other);
            }
        });
        (executions, ahead.used())
    })
}

/// Of each strategy: how many executions were run ahead and used, and how many were not what was wanted.
#[test]
fn a_search_comes_to_the_same_whatever_is_run_ahead() {
    let mut sums = STRATEGIES.map(|(name, _)| (name, [0, 0]));
    for ((name, make), (_, sum)) in STRATEGIES.into_iter().zip(&mut sums) {
        for theme in THEMES {
            for seed in 0..PROGRAMS / 10 {
                let mut program = simulation(seed, theme);
                let wanted = alone(make().as_mut(), &mut program);
                let (executions, used) = guessed(make().as_mut(), &program, seed, None);
                let executions = executions.expect("a simulation runs");
                assert!(executions == wanted, "{name}, {theme:?}, seed {seed}");
                sum.iter_mut().zip(used).for_each(|(sum, used)| *sum += used);
            }
        }
    }
    let wanted = [
        [6_700, 12],
        // A guess at what was run already is wrong, and does no harm.
        [6_069, 76],
        [141_232, 0],
        [76_461, 0],
        [23_713, 6_940],
        // It does not tell what it will want.
        [0, 0],
        [72_592, 1_738],
        [71_188, 3_142],
        [72_600, 1_730],
        [2_509, 1],
    ];
    assert_eq!(sums.map(|(_, sum)| sum), wanted, "{sums:?}");
}

/// The same with threads, which are as fast as they happen to be.
#[test]
fn a_search_comes_to_the_same_whoever_is_faster() {
    let limits = Limits::default();
    for (name, make) in STRATEGIES {
        for seed in 0..PROGRAMS / 100 {
            let mut program = simulation(seed, Theme::Mixed);
            let wanted = alone(make().as_mut(), &mut program);
            // One is there from the beginning, another comes later.
            let (places, mut made) = (Places::anywhere(1), 0);
            let over = AtomicBool::new(false);
            let beside = Beside { places: &places, max_steps: MAX_STEPS, limits: &limits, over: &over };
            let mut come = |_: &Ahead<'_, usize, Error>| {
                made += 1;
                if made == 4 {
                    places.give(None);
                }
            };
            let executions = beside.search(
                |_| Ok(Simulated(program.clone())),
                |ahead| with_others(make().as_mut(), ahead, &program, &mut come),
            );
            assert!(executions.expect("a simulation runs") == wanted, "{name}, seed {seed}");
        }
    }
}

#[test]
fn faults_of_those_who_run_ahead_are_found() {
    for fault in [AheadFault::MismatchIgnored, AheadFault::AskedAgain] {
        let by_chance = STRATEGIES.into_iter().filter(|(name, _)| ["random", "pct", "pos"].contains(name));
        let found = by_chance.into_iter().any(|(_, make)| {
            (0..PROGRAMS / 10).any(|seed| {
                let mut program = simulation(seed, Theme::Names);
                let wanted = alone(make().as_mut(), &mut program);
                let (executions, _) = guessed(make().as_mut(), &program, seed, Some(fault));
                executions.ok() != Some(wanted)
            })
        });
        assert!(found, "{fault:?}");
    }
}
