//! Faults planted in the search and in what it is told of dependence: the comparison must find each of them.

use cooks_harness::explore::{Dfs, Dpor, Fault, Observed, ObservedFault};
use cooks_harness::model::{Access, AccessKind, Acquisition, Location, LockMode, Operation};

use crate::PROGRAMS;
use crate::blind::{Glasses, Seen, each, looking_at_the_end, only};
use crate::compare::{compare, merged, see};
use crate::programs::{Theme, simulation};

/// Whether one of the random programs of a theme shows the fault, which without it is as it should be.
fn is_found(theme: Theme, mut shows: impl FnMut(u64) -> bool) -> bool {
    let is_sound = |seed| compare(&mut Dpor::new(), &mut simulation(seed, theme)).is_ok();
    (0..PROGRAMS).any(|seed| shows(seed) && is_sound(seed))
}

#[test]
fn faults_of_the_search_are_found() {
    let faults = [
        (Fault::NeverWake, Theme::Data),
        (Fault::NothingSleepsOn, Theme::Data),
        (Fault::LastRaceOnly, Theme::Data),
        (Fault::WaitersForgotten, Theme::Locks),
        (Fault::ReversalAlone, Theme::Data),
        (Fault::HeldLocksStay, Theme::Locks),
        (Fault::HeldLocksShadow, Theme::Locks),
        (Fault::AccessesStay, Theme::Names),
        (Fault::NothingUndecided, Theme::Names),
        (Fault::NothingAwaited, Theme::Waits),
        (Fault::AwaitedStay, Theme::Waits),
        (Fault::SignalledForgotten, Theme::Signals),
        (Fault::NeedsForgotten, Theme::Streams),
        (Fault::RefusalsForgotten, Theme::Records),
    ];
    for (fault, theme) in faults {
        let shows = |seed| compare(&mut Dpor::with_fault(fault), &mut simulation(seed, theme)).is_err();
        assert!(is_found(theme, shows), "{fault:?} is not found");
    }
}

/// Faults of dependence, each with the programs that show it.
const DEPENDENCE: [(&str, Theme, Glasses); 21] = [
    ("without data", Theme::Data, |seen| only(seen, |access| !is_data(access))),
    ("without names", Theme::Names, |seen| only(seen, |access| !is_name(access))),
    ("without listings", Theme::Names, |seen| {
        only(seen, |access| !matches!(access.location, Location::Listing(_)))
    }),
    ("without locks", Theme::Locks, |seen| only(seen, |access| !is_lock(access))),
    ("without reads", Theme::Data, |seen| only(seen, |access| access.kind != AccessKind::Read)),
    ("where all changes commute", Theme::Data, |seen| {
        each(seen, |access| Some(Access::join(access.location.clone())))
    }),
    ("where a release is an acquisition", Theme::Locks, |seen| match seen.accesses.first() {
        Some(on) if seen.call.detail == "unlock" => {
            let (lock, mode) = (on.location.clone(), LockMode::Exclusive);
            Operation { acquires: Some(Acquisition { lock, mode, blocking: true }), ..seen.clone() }
        }
        _ => seen.clone(),
    }),
    ("where nobody is known to take a lock", Theme::Locks, |seen| Operation {
        acquires: None,
        ..seen.clone()
    }),
    ("where a shared lock is but looked at", Theme::Locks, |seen| {
        each(seen, |access| {
            let looks = is_lock(access) && access.kind == AccessKind::Join;
            Some(if looks { Access::read(access.location.clone()) } else { access.clone() })
        })
    }),
    ("where a try that is refused looks at nothing", Theme::Locks, |seen| {
        only(seen, |access| !is_lock(access) || access.kind != AccessKind::Read)
    }),
    ("where an exit gives nothing back", Theme::Locks, |seen| only(seen, |_| seen.call.name != "exit_group")),
    ("without the names that renames take away", Theme::Names, |seen| {
        let from = seen.accesses.first();
        only(seen, |access| seen.call.target.is_none() || Some(access) != from)
    }),
    ("without the names that renames give", Theme::Names, |seen| {
        let to = seen.accesses.get(1);
        only(seen, |access| seen.call.target.is_none() || Some(access) != to)
    }),
    ("where a call that fails looks at nothing", Theme::Names, |seen| {
        let changes = ["unlink", "rename"].contains(&seen.call.name.as_str());
        let is_look = |access: &Access| access.kind == AccessKind::Read;
        only(seen, |_| !(changes && seen.accesses.iter().all(is_look)))
    }),
    ("without what is sent", Theme::Streams, |seen| only(seen, |access| !is_stream(access))),
    ("without who has an end open", Theme::Streams, |seen| {
        only(seen, |access| !matches!(access.location, Location::Ends { .. }))
    }),
    ("where nobody waits for what is sent", Theme::Streams, |seen| Operation {
        needs: Vec::new(),
        ..seen.clone()
    }),
    ("where the end that is looked at in any case is not waited for", Theme::Streams, |seen| {
        looking_at_the_end(seen, false)
    }),
    ("where a signal concerns nobody", Theme::Signals, |seen| only(seen, |_| seen.call.name != "kill")),
    ("where who waits has not looked before", Theme::Waits, |seen| {
        only(seen, |_| seen.call.name != "preadv")
    }),
    ("where truncation touches no data", Theme::Names, |seen| {
        only(seen, |access| !(is_data(access) && seen.call.detail.contains("truncate")))
    }),
];

#[test]
fn faults_of_dependence_are_found() {
    for (what, theme, glasses) in DEPENDENCE {
        let shows = |seed| {
            compare(&mut Dpor::new(), &mut Seen { backend: simulation(seed, theme), glasses }).is_err()
        };
        assert!(is_found(theme, shows), "dependence {what} is not found");
    }
}

#[test]
fn faults_of_merging_are_found() {
    for (fault, theme) in [
        (ObservedFault::ReadsForgotten, Theme::Data),
        (ObservedFault::NeedsForgotten, Theme::Data),
        (ObservedFault::WorldForgotten, Theme::Data),
        (ObservedFault::HistoriesForgotten, Theme::Data),
        (ObservedFault::NamesForgotten, Theme::Names),
        (ObservedFault::WhoForgotten, Theme::Names),
    ] {
        let shows = |seed| {
            let mut program = simulation(seed, theme);
            let all = see(&mut Dfs::new(), &mut program).expect("a simulation runs");
            merged(&mut Observed::with_fault(fault), &mut program, &all).is_err()
        };
        assert!(is_found(theme, shows), "{fault:?} is not found");
    }
}

fn is_data(access: &Access) -> bool {
    matches!(access.location, Location::Data { .. })
}

fn is_stream(access: &Access) -> bool {
    matches!(access.location, Location::Stream { .. })
}

fn is_name(access: &Access) -> bool {
    matches!(access.location, Location::Name { .. })
}

fn is_lock(access: &Access) -> bool {
    matches!(access.location, Location::Lock(_))
}
