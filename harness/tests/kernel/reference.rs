//! Random programs: what the searches say is held against every interleaving on the kernel.

use cooks_harness::explore::{Dfs, Dpor, Observed, Strategy};

use crate::generator::Generated;
use crate::program::Reference;
use crate::searches::{Outcomes, Traced, on_the_kernel};

/// Every schedule is explored where there are at most so many interleavings.
const MOST_SCHEDULES: u64 = 24;

/// What is found of a program.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Found {
    Agrees,
    /// Something forbids to call it clean.
    Gap(String),
    Differs(String),
}

fn difference(what: &str, kernel: &std::collections::BTreeSet<String>, cooks: &std::collections::BTreeSet<String>) -> String {
    let list = |outcomes: Vec<&String>| outcomes.iter().map(|outcome| format!("\n        {outcome}")).collect::<String>();
    let missed = list(kernel.difference(cooks).collect());
    let wrong = list(cooks.difference(kernel).collect());
    format!("{what}:\n    missed:{missed}\n    never on the kernel:{wrong}")
}

fn orders(count: usize) -> Vec<Vec<usize>> {
    match count {
        2 => vec![vec![0, 1], vec![1, 0]],
        _ => vec![vec![0, 1, 2], vec![0, 2, 1], vec![1, 0, 2], vec![1, 2, 0], vec![2, 0, 1], vec![2, 1, 0]],
    }
}

/// Holds one search to what the kernel comes to.
fn hold(name: &str, traced: &mut Traced, strategy: &mut dyn Strategy, kernel: &Outcomes) -> Result<(), Found> {
    let said = traced.search(strategy).map_err(Found::Gap)?;
    if !said.gaps.is_empty() {
        return Err(Found::Gap(said.gaps));
    }
    if said.all != kernel.all {
        return Err(Found::Differs(difference(name, &kernel.all, &said.all)));
    }
    if name.starts_with("dpor") && said.counts.redundant != 0 {
        return Err(Found::Differs(format!("{name}: {} of {} executions are redundant", said.counts.redundant, said.counts.executions)));
    }
    Ok(())
}

fn held(reference: &mut Reference, program: &Generated) -> Result<(), Found> {
    let scripts = program.scripts();
    let (kernel, interleavings) = on_the_kernel(reference, &scripts);
    let mut serial = std::collections::BTreeSet::new();
    let orders = orders(program.0.len());
    for (place, order) in orders.iter().enumerate() {
        let mut traced = Traced::new(&scripts, order).map_err(Found::Gap)?;
        if place == 0 || place + 1 == orders.len() {
            hold(&format!("dpor, processes in order {order:?}"), &mut traced, &mut Dpor::new(), &kernel)?;
        }
        if place == 0 {
            hold("observed", &mut traced, &mut Observed::new(), &kernel)?;
        }
        if place == 1 && interleavings <= MOST_SCHEDULES {
            hold("dfs", &mut traced, &mut Dfs::new(), &kernel)?;
        }
        serial.extend(traced.serially().map_err(Found::Gap)?);
    }
    if serial != kernel.serial {
        return Err(Found::Differs(difference("serial", &kernel.serial, &serial)));
    }
    Ok(())
}

pub fn find(reference: &mut Reference, program: &Generated) -> Found {
    held(reference, program).err().unwrap_or(Found::Agrees)
}

/// A failing program with as few calls as still fail.
fn shrunk(reference: &mut Reference, program: Generated, found: Found) -> (Generated, Found) {
    for less in program.smaller() {
        let found = find(reference, &less);
        if matches!(found, Found::Differs(_)) {
            return shrunk(reference, less, found);
        }
    }
    (program, found)
}

#[test]
fn programs() {
    let (first, count) = (
        std::env::var("FIRST").map_or(0, |n| n.parse().unwrap()),
        std::env::var("COUNT").map_or(20, |n| n.parse().unwrap()),
    );
    let mut reference = Reference::start();
    let begun = std::time::Instant::now();
    let mut counts = [0; 3];
    for seed in first..first + count {
        let program = Generated::new(seed);
        match find(&mut reference, &program) {
            Found::Agrees => counts[0] += 1,
            Found::Gap(gap) => {
                counts[1] += 1;
                println!("GAP {seed}: {program}: {gap}");
            }
            found @ Found::Differs(_) => {
                counts[2] += 1;
                let (program, found) = shrunk(&mut reference, program, found);
                let Found::Differs(what) = found else { unreachable!() };
                println!("DIFFERS {seed}: {program}\n    {what}");
            }
        }
    }
    println!("{counts:?} agree, gaps, differ, in {:?}", begun.elapsed());
}
