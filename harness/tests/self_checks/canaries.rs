//! Faults planted in the search and in what it is told of dependence: the comparison must find each of them.

use cooks_harness::explore::{Dpor, Fault};
use cooks_harness::model::{Access, AccessKind, Location};

use crate::PROGRAMS;
use crate::blind::{Glasses, Seen};
use crate::compare::compare;
use crate::programs::{Theme, simulation};

/// Whether one of the random programs shows the fault.
fn is_found(shows: impl FnMut(u64) -> bool) -> bool {
    (0..PROGRAMS).any(shows)
}

#[test]
fn faults_of_the_search_are_found() {
    let faults = [
        (Fault::NeverWake, Theme::Data),
        (Fault::WaitersForgotten, Theme::Locks),
        (Fault::ReversalAlone, Theme::Data),
        (Fault::HeldLocksStay, Theme::Locks),
        (Fault::HeldLocksShadow, Theme::Locks),
        (Fault::AccessesStay, Theme::Names),
        (Fault::NothingUndecided, Theme::Names),
    ];
    for (fault, theme) in faults {
        let shows = |seed| compare(&mut Dpor::with_fault(fault), &mut simulation(seed, theme)).is_err();
        assert!(is_found(shows), "{fault:?} is not found");
    }
}

#[test]
fn faults_of_dependence_are_found() {
    let faults: [(&str, Theme, Glasses); 6] = [
        ("without data", Theme::Data, |_, access| {
            keep(access, !matches!(access.location, Location::Data { .. }))
        }),
        ("without names", Theme::Names, |_, access| {
            keep(access, !matches!(access.location, Location::Name { .. }))
        }),
        ("without listings", Theme::Names, |_, access| {
            keep(access, !matches!(access.location, Location::Listing(_)))
        }),
        ("without locks", Theme::Locks, |_, access| {
            keep(access, !matches!(access.location, Location::Lock(_)))
        }),
        ("without reads", Theme::Data, |_, access| keep(access, access.kind != AccessKind::Read)),
        ("of changes that commute", Theme::Data, |_, access| Some(Access::join(access.location.clone()))),
    ];
    for (what, theme, glasses) in faults {
        let shows = |seed| {
            compare(&mut Dpor::new(), &mut Seen { backend: simulation(seed, theme), glasses }).is_err()
        };
        assert!(is_found(shows), "dependence {what} is not found");
    }
}

fn keep(access: &Access, kept: bool) -> Option<Access> {
    kept.then(|| access.clone())
}
