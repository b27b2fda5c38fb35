//! Random programs: what the searches say is held against every interleaving on the kernel.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Mutex;
use std::time::Instant;

use cooks_harness::explore::{Dfs, Dpor, Fault, Observed};
use cooks_harness::model::{AccessKind, Location, Operation, Root};
use cooks_harness::tracer::Faults;

use crate::blind::only;
use crate::generator::Generated;
use crate::known::{ONCE_DIFFERENT, ONCE_REDUNDANT};
use crate::program::Reference;
use crate::searches::{Outcomes, Said, Traced, on_the_kernel};
use crate::took;

/// What is found of a program.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Found {
    Agrees,
    /// Something forbids to call it clean.
    Gap(String),
    /// dpor has run something twice, or a call has touched something else than what its process was held at.
    Redundant(String),
    Differs(String),
}

/// A search, and which orders of the processes it is made in.
#[derive(Clone, Copy)]
pub struct Search {
    name: &'static str,
    run: fn(&mut Traced) -> Result<Said, String>,
    /// Whether for the order at this place of so many, of a program with so many interleavings.
    wanted: fn(usize, usize, u64) -> bool,
    root: Root,
}

/// Every schedule is explored where there are at most so many interleavings.
const MOST_SCHEDULES: u64 = 30;

const SOUND: &[Search] = &[
    Search {
        name: "dpor",
        run: |traced| traced.search(&mut Dpor::new(), Clone::clone),
        wanted: |place, orders, _| place == 0 || place + 1 == orders,
        root: Root::Host,
    },
    Search {
        name: "observed",
        run: |traced| traced.search(&mut Observed::new(), Clone::clone),
        wanted: |place, _, _| place == 0,
        root: Root::Host,
    },
    Search {
        name: "dfs",
        run: |traced| traced.search(&mut Dfs::new(), Clone::clone),
        wanted: |place, _, interleavings| place == 1 && interleavings <= MOST_SCHEDULES,
        root: Root::Host,
    },
    Search {
        name: "dpor on the overlay",
        run: |traced| traced.search(&mut Dpor::new(), Clone::clone),
        wanted: |place, _, interleavings| place == 1 && interleavings % 4 == 0,
        root: Root::Overlay,
    },
];

/// The same, each in every order of the processes.
pub const EVERY_SEARCH: &[Search] = &[
    Search { wanted: |_, _, _| true, ..SOUND[0] },
    Search { wanted: |_, _, _| true, ..SOUND[1] },
    Search { wanted: |_, _, _| true, ..SOUND[2] },
];

/// What the one has and the other has not.
fn difference(what: &str, kernel: &BTreeSet<String>, cooks: &BTreeSet<String>) -> String {
    let list = |of: &BTreeSet<String>, less: &BTreeSet<String>| {
        of.difference(less).map(|outcome| format!("\n        {outcome}")).collect::<String>()
    };
    let (missed, wrong) = (list(kernel, cooks), list(cooks, kernel));
    format!("    {what}\n    missed:{missed}\n    never on the kernel:{wrong}")
}

/// All orders of so many processes.
fn orders(count: usize) -> Vec<Vec<usize>> {
    match count {
        2 => vec![vec![0, 1], vec![1, 0]],
        _ => [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]].map(Vec::from).to_vec(),
    }
}

/// Holds one search to what the kernel comes to.
fn hold(search: &Search, order: &[usize], traced: &mut Traced, kernel: &Outcomes) -> Result<(), Found> {
    let said = (search.run)(traced).map_err(Found::Gap)?;
    if !said.gaps.is_empty() {
        return Err(Found::Gap(said.gaps));
    }
    let what = format!("{}, processes in the order {order:?}", search.name);
    if said.all != kernel.all {
        return Err(Found::Differs(difference(&what, &kernel.all, &said.all)));
    }
    let (redundant, executions) = (said.counts.redundant + said.twice, said.counts.executions);
    if search.name.starts_with("dpor") && redundant != 0 {
        let what = format!("    {what}: {redundant} of {executions} executions are redundant");
        return Err(Found::Redundant(what));
    }
    match said.unforeseen.first() {
        Some(unforeseen) => Err(Found::Redundant(format!("    {what}: {unforeseen}"))),
        None => Ok(()),
    }
}

fn held(reference: &mut Reference, program: &Generated, searches: &[Search]) -> Result<(), Found> {
    let scripts = program.scripts();
    let (kernel, interleavings) = on_the_kernel(reference, &scripts);
    let (mut serial, orders) = (BTreeSet::new(), orders(program.0.len()));
    for (place, order) in orders.iter().enumerate() {
        let mut traced = Traced::new(&scripts, order, Root::Host).map_err(Found::Gap)?;
        let is_wanted = |search: &&Search| {
            (search.wanted)(place, orders.len(), interleavings)
                && (search.root == Root::Host || !program.catches())
        };
        for search in searches.iter().filter(is_wanted) {
            if search.root == Root::Host {
                hold(search, order, &mut traced, &kernel)?;
            } else {
                let mut traced = Traced::new(&scripts, order, search.root).map_err(Found::Gap)?;
                hold(search, order, &mut traced, &kernel)?;
            }
        }
        serial.extend(traced.serially().map_err(Found::Gap)?);
    }
    if serial != kernel.serial {
        let what = difference("processes one after another", &kernel.serial, &serial);
        return Err(Found::Differs(what));
    }
    Ok(())
}

pub fn find(reference: &mut Reference, program: &Generated, searches: &[Search]) -> Found {
    held(reference, program, searches).err().unwrap_or(Found::Agrees)
}

/// A failing program with as few calls as still fail, and how it does.
fn shrunk(reference: &mut Reference, program: Generated, found: Found) -> (Generated, Found) {
    for less in program.smaller() {
        let found = find(reference, &less, SOUND);
        if matches!(found, Found::Differs(_)) {
            return shrunk(reference, less, found);
        }
    }
    (program, found)
}

/// How many programs are run: `REFERENCE`.
const PROGRAMS: u64 = 200;
/// The seed of the first: `REFERENCE_SEED`. The next has the next.
const SEED: u64 = 1;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// What is found of the programs of these seeds.
fn find_all(seeds: Range<u64>, searches: &[Search]) -> BTreeMap<u64, Found> {
    let workers = std::thread::available_parallelism().map_or(1, usize::from).min(4);
    let (next, found) = (Mutex::new(seeds), Mutex::new(BTreeMap::new()));
    std::thread::scope(|scope| {
        for _ in 0..workers {
            let (next, found) = (&next, &found);
            scope.spawn(move || {
                let mut reference = Reference::start();
                loop {
                    let Some(seed) = next.lock().expect("no worker has failed").next() else { return };
                    let one = find(&mut reference, &Generated::new(seed), searches);
                    found.lock().expect("no worker has failed").insert(seed, one);
                }
            });
        }
    });
    found.into_inner().expect("no worker has failed")
}

#[test]
fn random_programs_come_to_what_they_come_to_on_the_kernel() {
    let begun = Instant::now();
    let first = number("REFERENCE_SEED").unwrap_or(SEED);
    let seeds = first..first + number("REFERENCE").unwrap_or(PROGRAMS);
    println!("programs of the seeds {seeds:?} (REFERENCE, REFERENCE_SEED)");
    let found = find_all(seeds, SOUND);
    let (mut reference, mut differ) = (Reference::start(), Vec::new());
    let (mut gaps, mut redundant) = (0, 0);
    for (seed, found) in &found {
        match found {
            Found::Agrees => (),
            Found::Gap(gap) => {
                gaps += 1;
                println!("a gap, seed {seed}: {}: {gap}", Generated::new(*seed));
            }
            Found::Redundant(what) => {
                redundant += 1;
                println!("redundant, seed {seed}: {}\n{what}", Generated::new(*seed));
            }
            Found::Differs(_) => {
                let (program, found) = shrunk(&mut reference, Generated::new(*seed), found.clone());
                let Found::Differs(what) = found else { unreachable!("what is shrunk differs") };
                differ.push(format!("seed {seed}: {program}\n{what}"));
            }
        }
    }
    println!(
        "{} programs in {:?}: {gaps} are gaps, {redundant} have redundant executions, {} differ",
        found.len(),
        begun.elapsed(),
        differ.len()
    );
    if number("REFERENCE").is_none() {
        took("reference", begun, 120);
    }
    assert!(differ.is_empty(), "programs come to something else on the kernel:\n{}", differ.join("\n"));
    assert_eq!(redundant, 0, "executions are redundant");
}

fn of(program: &[&str]) -> Generated {
    let calls = |process: &&str| process.split("; ").map(str::to_owned).collect();
    Generated(program.iter().map(calls).collect())
}

#[test]
fn what_was_wrong_once_is_mended() {
    let mut reference = Reference::start();
    for (program, why) in ONCE_REDUNDANT.iter().chain(ONCE_DIFFERENT) {
        assert_eq!(find(&mut reference, &of(program), SOUND), Found::Agrees, "{why}: {program:?}");
    }
}

/// A fault planted in the search, or in what it is told of dependence: dpor alone, with the processes in their first order.
const fn planted(name: &'static str, run: fn(&mut Traced) -> Result<Said, String>) -> Search {
    Search { name, run, wanted: |place, _, _| place == 0, root: Root::Host }
}

const FAULTS: &[Search] = &[
    planted("processes sleep on whatever is done", |traced| {
        traced.search(&mut Dpor::with_fault(Fault::NeverWake), Clone::clone)
    }),
    planted("names are forgotten", |traced| {
        traced.search(&mut Dpor::new(), |seen| only(seen, |at| !matches!(at.location, Location::Name { .. })))
    }),
    planted("data is forgotten", |traced| {
        traced.search(&mut Dpor::new(), |seen| only(seen, |at| !matches!(at.location, Location::Data { .. })))
    }),
    planted("the status of files is forgotten", |traced| {
        traced.search(&mut Dpor::new(), |seen| only(seen, |at| !matches!(at.location, Location::Status(_))))
    }),
];

#[test]
fn planted_faults_are_found() {
    let mut reference = Reference::start();
    for fault in FAULTS {
        let shows = |seed: u64, reference: &mut Reference| {
            let program = Generated::new(seed);
            let differs = matches!(find(reference, &program, &[*fault]), Found::Differs(_));
            differs && find(reference, &program, SOUND) == Found::Agrees
        };
        let found = (SEED..SEED + 5 * PROGRAMS).find(|seed| shows(*seed, &mut reference));
        println!("{}: found by seed {found:?}", fault.name);
        assert!(found.is_some(), "{}: not found", fault.name);
    }
}

/// Takes each rename for a change, even if it will fail.
fn renames_change(held: &mut Operation) {
    let is_name = |at: &Location| matches!(at, Location::Name { .. });
    if held.call.name == "rename" {
        held.accesses
            .iter_mut()
            .filter(|at| is_name(&at.location))
            .for_each(|at| at.kind = AccessKind::Write);
    }
}

/// Faults that make executions redundant.
const REDUNDANT: &[Search] = &[
    planted("dpor, nothing sleeps on", |traced| {
        traced.search(&mut Dpor::with_fault(Fault::NothingSleepsOn), Clone::clone)
    }),
    planted("dpor, renames that fail are held as changes", |traced| {
        traced.plant(Faults { forget: Some(renames_change), ..Faults::default() });
        traced.search(&mut Dpor::new(), Clone::clone)
    }),
];

#[test]
fn planted_redundancy_is_found() {
    let mut reference = Reference::start();
    let program = of(&["rename 'e 'd; stat 'd stat%", "stat 'e stat%; unlink 'd/x", "chmod 'e 0555"]);
    assert_eq!(find(&mut reference, &program, SOUND), Found::Agrees);
    for fault in REDUNDANT {
        let found = find(&mut reference, &program, &[*fault]);
        assert!(matches!(found, Found::Redundant(_)), "{}: {found:?}", fault.name);
    }
}
