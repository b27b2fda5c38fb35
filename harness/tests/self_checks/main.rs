//! The search held against all schedules, on thousands of random small programs; and faults planted in it, which that must find.

mod blind;
mod canaries;
mod classes;
mod compare;
mod driver;
mod programs;

use cooks_harness::explore::Dpor;

use crate::compare::compare;
use crate::programs::{Theme, simulation};

/// Programs of each theme: those of the seeds below this.
const PROGRAMS: u64 = 1_000;

/// The trace classes of all programs of a theme. The numbers say that the programs stay what they are, and that the search did work.
fn classes_of(theme: Theme) -> u64 {
    let held = |seed| {
        let mut program = simulation(seed, theme);
        match compare(&mut Dpor::new(), &mut program) {
            Ok(classes) => classes,
            Err(difference) => {
                panic!("{difference}: the program of theme {theme:?}, seed {seed}: {program:#?}")
            }
        }
    };
    (0..PROGRAMS).map(held).sum()
}

#[test]
fn one_execution_for_each_class_of_programs_about_data() {
    assert_eq!(classes_of(Theme::Data), 0);
}

#[test]
fn one_execution_for_each_class_of_programs_about_locks() {
    assert_eq!(classes_of(Theme::Locks), 0);
}

#[test]
fn one_execution_for_each_class_of_programs_about_names() {
    assert_eq!(classes_of(Theme::Names), 0);
}

#[test]
fn one_execution_for_each_class_of_programs_about_all_of_it() {
    assert_eq!(classes_of(Theme::Mixed), 0);
}
