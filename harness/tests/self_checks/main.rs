//! The search held against all schedules, on thousands of random small programs; and faults planted in it, which that must find.

mod classes;
mod compare;
mod programs;

use cooks_harness::explore::Dpor;

use crate::compare::compare;
use crate::programs::{THEMES, simulation};

/// Programs of each theme.
const PROGRAMS: u64 = 600;

#[test]
fn optimal_on_random_programs() {
    for theme in THEMES {
        let mut schedules = 0;
        let mut bad = 0;
        for seed in 0..PROGRAMS {
            let mut program = simulation(seed, theme);
            match compare(
                &mut (if std::env::var_os("STAY").is_some() {
                    Dpor::with_fault(cooks_harness::explore::Fault::AccessesStay)
                } else {
                    Dpor::new()
                }),
                &mut program,
            ) {
                Ok(seen) => schedules += seen.counts.executions,
                Err(reason) => {
                    bad += 1;
                    if bad < 5 {
                        println!("{theme:?}, seed {seed}: {reason}\n{program:?}")
                    }
                }
            }
        }
        println!("{theme:?}: {schedules} schedules, {bad} bad");
    }
}

#[test]
fn minimize() {
    use cooks_harness::simulated::{Initial, Simulation};
    let (mut n, mut total) = (0, 0);
    let from: u64 = std::env::var("FROM").unwrap().parse().unwrap();
    let to: u64 = std::env::var("TO").unwrap().parse().unwrap();
    for seed in from..to {
        for theme in THEMES {
            n += 1;
            let programs = programs::programs(seed, theme);
            let make = |p: &Vec<Vec<cooks_harness::simulated::Instruction>>| {
                Simulation::new(Initial::files(2).named("a", 7), p.clone())
            };
            let fails = |p: &Vec<_>| compare(&mut Dpor::new(), &mut make(p)).is_err();
            match compare(&mut Dpor::new(), &mut make(&programs)) {
                Ok(seen) => {
                    total += seen.counts.executions;
                    continue;
                }
                Err(_) => {}
            }
            let mut best = programs;
            'again: loop {
                for p in 0..best.len() {
                    for i in 0..best[p].len() {
                        let mut smaller = best.clone();
                        smaller[p].remove(i);
                        if fails(&smaller) {
                            best = smaller;
                            continue 'again;
                        }
                    }
                }
                break;
            }
            let size: usize = best.iter().map(Vec::len).sum();
            println!("SEED {seed} size {size}: {:?}", compare(&mut Dpor::new(), &mut make(&best)).err());
            for p in &best {
                println!("   {p:?}");
            }
        }
    }
    println!("SEEDS {n} schedules {total}");
}
