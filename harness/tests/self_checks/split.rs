//! A search that is split, held against the whole: the parts have the classes of the whole between them, each in one part alone.

use cooks_harness::backend::Backend;
use cooks_harness::backend::Detail;
use cooks_harness::explore::{Dpor, Split, Steering};
use cooks_harness::simulated::Simulation;

use crate::PROGRAMS;
use crate::compare::{Seen, see};
use crate::programs::{Theme, simulation};

/// The split of a program by so many questions.
fn split(simulation: &mut Simulation, questions: usize) -> Split {
    let mut first = Dpor::new();
    assert!(cooks_harness::explore::Strategy::begin(&mut first));
    let mut steering = Steering { strategy: &mut first, max_steps: 200 };
    let execution = simulation.execute(&mut steering, Detail::Search).expect("a simulation runs");
    Split::of(&execution, questions)
}

/// What the parts come to together, one after another; or what is wrong. Also how many executions were redundant.
fn together(
    simulation: &mut Simulation,
    parts: impl Iterator<Item = u32>,
    split: &Split,
) -> Result<(Seen, u64), String> {
    let (mut all, mut redundant) = (Seen::default(), 0);
    for number in parts {
        let seen = see(&mut Dpor::within(split.part(number)), simulation)?;
        let before = all.classes.len() + seen.classes.len();
        all.classes.extend(seen.classes);
        if all.classes.len() < before {
            return Err(format!("part {number} has a class of a part before it"));
        }
        all.outcomes.extend(seen.outcomes);
        all.counts.complete += seen.counts.complete;
        all.counts.blocked += seen.counts.blocked;
        redundant += seen.counts.redundant;
    }
    Ok((all, redundant))
}

/// Holds all parts together against the search that is not split. The number of parts, and of redundant executions.
fn compare_split(
    mut simulation: Simulation,
    questions: usize,
    without: Option<u32>,
) -> Result<(u64, u64), String> {
    let whole = see(&mut Dpor::new(), &mut simulation)?;
    let split = split(&mut simulation, questions);
    let parts = (0..split.parts()).filter(|part| Some(*part) != without);
    let (all, redundant) = together(&mut simulation, parts, &split)?;
    if all.classes != whole.classes || all.outcomes != whole.outcomes {
        return Err(format!("{} classes instead of {}", all.classes.len(), whole.classes.len()));
    }
    if (all.counts.complete, all.counts.blocked) != (whole.counts.complete, whole.counts.blocked) {
        return Err(format!("{:?} instead of {:?}", all.counts, whole.counts));
    }
    Ok((u64::from(split.parts()), redundant))
}

fn sums(theme: Theme, questions: usize) -> (u64, u64) {
    let mut sums = (0, 0);
    for seed in 0..PROGRAMS {
        match compare_split(simulation(seed, theme), questions, None) {
            Ok((parts, redundant)) => sums = (sums.0 + parts, sums.1 + redundant),
            Err(difference) => panic!("{difference}: theme {theme:?}, seed {seed}, {questions} questions"),
        }
    }
    sums
}

#[test]
fn the_parts_of_a_search_have_its_classes_between_them() {
    for theme in [Theme::Data, Theme::Locks, Theme::Names, Theme::Mixed] {
        for questions in [1, 2, 4] {
            let sums = sums(theme, questions);
            eprintln!("{theme:?} {questions}: {sums:?}");
        }
    }
}
