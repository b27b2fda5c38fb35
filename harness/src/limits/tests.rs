use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::staged::{Staged, Then};
use super::{Limits, Machine, PHASES, Phase, Reached};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_phase_has_the_number_of_its_place() {
    for (place, phase) in PHASES.into_iter().enumerate() {
        assert_eq!(phase as usize, place);
    }
}

#[test]
fn work_ends_at_the_event_at_which_its_time_is_over_and_goes_on_for_a_tenth_if_it_is_extended() {
    let clock = Arc::new(Staged::at(Phase::Search, 3, Then::Pass(10 * SECOND)));
    let limits = Limits::from(Arc::clone(&clock)).begin(Some(10 * SECOND), None, None);
    let _search = limits.during(Phase::Search);
    assert_eq!([limits.event(), limits.event(), limits.event()], [Ok(()), Ok(()), Err(Reached::TimeLimit)]);
    assert_eq!((limits.check(), clock.after()), (Err(Reached::TimeLimit), Some(0)));
    limits.extend();
    assert_eq!(limits.event(), Ok(()));
}

#[test]
fn only_events_of_its_phase_count_and_phases_nest() {
    let clock = Arc::new(Staged::at(Phase::Canon, 1, Then::Stop));
    let limits = Limits::from(Arc::clone(&clock)).begin(None, None, None);
    assert_eq!(limits.event(), Ok(()));
    let serial = limits.during(Phase::Serial);
    let check = limits.during(Phase::Check);
    assert_eq!((limits.event(), limits.phase()), (Ok(()), Phase::Check));
    drop(check);
    assert_eq!(limits.phase(), Phase::Serial);
    drop(serial);
    let _canon = limits.during(Phase::Canon);
    assert_eq!(limits.event(), Err(Reached::Interrupted));
    let counts = [Phase::Setup, Phase::Serial, Phase::Check, Phase::Canon].map(|phase| clock.count(phase));
    assert_eq!(counts, [1, 0, 1, 1]);
}

#[test]
fn those_beside_stop_with_the_rest_and_by_themselves() {
    let (stop, over) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let limits = Limits::from(&stop);
    let beside = limits.beside(&over);
    over.store(true, Ordering::Relaxed);
    assert_eq!((limits.check(), beside.check()), (Ok(()), Err(Reached::Interrupted)));
    over.store(false, Ordering::Relaxed);
    stop.store(true, Ordering::Relaxed);
    assert_eq!((limits.check(), beside.check()), (Err(Reached::Interrupted), Err(Reached::Interrupted)));
}

#[test]
fn processor_time_is_limited_more_tightly_for_a_while() {
    let limits = Limits::with_clock(Arc::default(), Arc::new(Machine)).begin(None, Some(10 * SECOND), None);
    assert_eq!(limits.processor(), 10 * SECOND);
    limits.tighten(true);
    assert_eq!(limits.processor(), SECOND);
    limits.note_stretch(SECOND / 2);
    assert!(limits.are_far());
    limits.note_stretch(SECOND);
    limits.note_stretch(SECOND / 2);
    assert!(!limits.are_far());
}
