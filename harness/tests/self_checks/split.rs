//! A search that is split, held against the whole: the parts have the classes of the whole between them, each in one part alone.

use cooks_harness::explore::{Dpor, Fault, Part, PartFault, Split, explore};
use cooks_harness::simulated::Simulation;

use crate::PROGRAMS;
use crate::compare::{Seen, see};
use crate::programs::{Theme, simulation};

const THEMES: [Theme; 5] = [Theme::Data, Theme::Locks, Theme::Names, Theme::Mixed, Theme::Waits];

/// The split of a program by so many questions.
fn split(simulation: &mut Simulation, questions: usize) -> Split {
    let mut split = Split::default();
    let seen = &mut |execution: &_| {
        split = Split::of(execution, questions);
        std::ops::ControlFlow::Break(())
    };
    explore(&mut Dpor::new(), simulation, 200, seen).expect("a simulation runs");
    split
}

/// What the parts come to together, one after another; or what is wrong.
fn together(
    simulation: &mut Simulation,
    parts: Vec<Part>,
    search: impl Fn(Part) -> Dpor,
) -> Result<Seen, String> {
    let mut all = Seen::default();
    for part in parts {
        let seen = see(&mut search(part), simulation)?;
        let classes = all.classes.len() + seen.classes.len();
        all.classes.extend(seen.classes);
        if all.classes.len() < classes {
            return Err("a class is in two parts".into());
        }
        all.outcomes.extend(seen.outcomes);
        all.counts.join(&seen.counts);
    }
    Ok(all)
}

/// Holds the parts that `kept` makes of all parts, each explored by `search`, against the search that is not split. The number of
/// parts, and of executions that belong elsewhere.
fn compare(
    mut simulation: Simulation,
    questions: usize,
    kept: impl Fn(u32, Part) -> Option<Part>,
    search: impl Fn(Part) -> Dpor,
) -> Result<(u64, u64), String> {
    let whole = see(&mut Dpor::new(), &mut simulation)?;
    let split = split(&mut simulation, questions);
    let parts: Vec<Part> = (0..split.parts()).filter_map(|number| kept(number, split.part(number))).collect();
    let all = together(&mut simulation, parts, search)?;
    if all.classes != whole.classes || all.outcomes != whole.outcomes {
        return Err(format!("{} classes instead of {}", all.classes.len(), whole.classes.len()));
    }
    if (all.counts.complete, all.counts.blocked) != (whole.counts.complete, whole.counts.blocked) {
        return Err(format!("{:?} instead of {:?}", all.counts, whole.counts));
    }
    if all.counts.redundant != 0 {
        return Err(format!("redundant executions: {:?}", all.counts));
    }
    Ok((u64::from(split.parts()), all.counts.elsewhere))
}

/// How many parts and executions that belong elsewhere the programs of a theme have, all together.
fn sums(theme: Theme, questions: usize) -> (u64, u64) {
    let of_one = |seed| {
        let held = compare(simulation(seed, theme), questions, |_, part| Some(part), Dpor::within);
        held.unwrap_or_else(|problem| panic!("{problem}: {theme:?}, seed {seed}, {questions} questions"))
    };
    (0..PROGRAMS).map(of_one).fold((0, 0), |sums, one| (sums.0 + one.0, sums.1 + one.1))
}

#[test]
fn the_parts_of_a_search_have_its_classes_between_them() {
    let wanted = [
        [(9_267, 238), (14_083, 620), (23_067, 4_343)],
        [(6_883, 428), (7_537, 660), (7_885, 882)],
        [(8_738, 1_368), (12_974, 2_973), (21_242, 10_158)],
        [(7_258, 216), (8_534, 520), (9_986, 1_470)],
        [(8_042, 225), (10_834, 514), (15_234, 2_301)],
    ];
    let found = THEMES.map(|theme| [1, 2, 4].map(|questions| sums(theme, questions)));
    assert_eq!(found, wanted);
}

/// Parts that share their first answers are those of one shard, however many questions follow.
#[test]
fn every_part_is_in_one_shard_and_stays_there_when_there_are_more_questions() {
    let split = |questions| split(&mut simulation(5, Theme::Data), questions);
    let (few, many) = (split(2), split(4));
    assert_eq!((few.parts(), many.parts()), (4, 16));
    for all in 1..=5 {
        let shards: Vec<Vec<u32>> = (1..=all).map(|number| many.of_shard(2, number, all)).collect();
        let mut parts = shards.concat();
        parts.sort_unstable();
        assert_eq!(parts, (0..16).collect::<Vec<u32>>());
        for (number, parts) in (1..).zip(&shards) {
            let of_few = few.of_shard(2, number, all);
            assert!(parts.iter().all(|part| of_few.contains(&(part >> 2))), "{all} shards");
        }
    }
}

/// Whether some program of some theme shows what is wrong.
fn is_found(kept: impl Fn(u32, Part) -> Option<Part> + Copy, search: impl Fn(Part) -> Dpor + Copy) -> bool {
    THEMES
        .into_iter()
        .any(|theme| (0..PROGRAMS).any(|seed| compare(simulation(seed, theme), 2, kept, search).is_err()))
}

#[test]
fn faults_of_the_split_are_found() {
    let all = |_, part| Some(part);
    assert!(!is_found(all, Dpor::within));
    assert!(is_found(|number, part| (number != 1).then_some(part), Dpor::within), "a part left out");
    for fault in [PartFault::NothingWaits, PartFault::NothingNeeded, PartFault::LooksCount] {
        assert!(is_found(|_, part: Part| Some(part.with_fault(fault)), Dpor::within), "{fault:?}");
    }
    for fault in [Fault::CutForgotten, Fault::WaitersForgotten, Fault::NeverWake] {
        assert!(is_found(all, |part| Dpor::within_with_fault(part, fault)), "{fault:?}");
    }
}
