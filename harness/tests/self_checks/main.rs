//! The search held against all schedules, on thousands of random small programs; and faults planted in it, which that must find.

mod ahead;
mod blind;
mod bounded;
mod canaries;
mod chance;
mod classes;
mod compare;
mod depth;
mod driver;
mod larger;
#[path = "../machine/mod.rs"]
mod machine;
mod merging;
mod programs;
mod real;
mod shrink;
mod split;

use std::fmt::Debug;

use cooks_harness::backend::Backend;
use cooks_harness::explore::Dpor;
use cooks_harness::model::{Access, AccessKind, Location};
use cooks_harness::simulated::Simulation;

use crate::blind::{Glasses, Seen, each, looking_at_the_end};
use crate::compare::compare;
use crate::programs::{Theme, simulation};

/// Programs of each theme: those of the seeds below this.
const PROGRAMS: u64 = 5_000;

/// The trace classes of the first programs of a theme, as `seen`. That the sum is known says that the programs stay what they are and
/// that there is something to find in them.
fn classes_of<B: Backend + Debug>(theme: Theme, programs: u64, seen: impl Fn(Simulation) -> B) -> u64 {
    let held = |seed| {
        let mut program = seen(simulation(seed, theme));
        match compare(&mut Dpor::new(), &mut program) {
            Ok(classes) => classes,
            Err(difference) => {
                panic!("{difference}: the program of theme {theme:?}, seed {seed}: {program:#?}")
            }
        }
    };
    (0..programs).map(held).sum()
}

#[test]
fn one_execution_for_each_class_of_programs_about_data() {
    assert_eq!(classes_of(Theme::Data, PROGRAMS, |program| program), 31_784);
}

#[test]
fn one_execution_for_each_class_of_programs_about_locks() {
    assert_eq!(classes_of(Theme::Locks, PROGRAMS, |program| program), 12_181);
}

#[test]
fn one_execution_for_each_class_of_programs_about_names() {
    assert_eq!(classes_of(Theme::Names, PROGRAMS, |program| program), 46_999);
}

#[test]
fn one_execution_for_each_class_of_programs_about_all_of_it() {
    assert_eq!(classes_of(Theme::Mixed, PROGRAMS, |program| program), 12_474);
}

/// Processes that wait for a change, some for ever, beside others that take locks.
#[test]
fn one_execution_for_each_class_of_programs_that_wait() {
    assert_eq!(classes_of(Theme::Waits, PROGRAMS, |program| program), 22_753);
}

/// Processes that send each other signals, and look who lives.
#[test]
fn one_execution_for_each_class_of_programs_that_send_signals() {
    assert_eq!(classes_of(Theme::Signals, PROGRAMS, |program| program), 67_922);
}

/// Processes that wait for what others send, or until nobody will. Fewer, as each has many schedules.
#[test]
fn one_execution_for_each_class_of_programs_that_send_and_receive() {
    assert_eq!(classes_of(Theme::Streams, PROGRAMS / 5, |program| program), 2_055);
}

/// Processes that wait for record locks. A wait that would close a cycle is refused.
#[test]
fn one_execution_for_each_class_of_programs_whose_waits_are_refused() {
    assert_eq!(classes_of(Theme::Records, PROGRAMS, |program| program), 10_794);
}

/// Of who receives packets, the end of the other side may be seen before what is there: then that is looked at in any case.
#[test]
fn one_execution_for_each_class_of_programs_that_look_at_the_end_with_each_receiving() {
    let looks: Glasses = |operation| looking_at_the_end(operation, true);
    assert_eq!(classes_of(Theme::Streams, PROGRAMS / 10, |backend| Seen { backend, glasses: looks }), 1_092);
}

/// A backend that knows no better may say that giving back a shared lock changes it: more classes, and still one execution each.
#[test]
fn one_execution_for_each_class_where_every_release_is_a_change() {
    let change: Glasses = |operation| {
        each(operation, |access| {
            let is_release = matches!(access.location, Location::Lock(_)) && operation.acquires.is_none();
            let is_change = is_release && access.kind == AccessKind::Join;
            Some(if is_change { Access::write(access.location.clone()) } else { access.clone() })
        })
    };
    assert_eq!(classes_of(Theme::Locks, PROGRAMS / 10, |backend| Seen { backend, glasses: change }), 1_310);
}
