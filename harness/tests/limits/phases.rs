//! A signal, or the end of the time, at the n-th event of each phase.

use std::sync::Arc;
use std::time::Duration;

use cooks_harness::limits::staged::{Staged, Then};
use cooks_harness::limits::{Limits, PHASES, Phase};
use cooks_harness::report::End;
use cooks_harness::scenario::Scenario;
use cooks_harness::session::{Job, SessionError, Stress, explore_together, replay, stress};
use cooks_harness::tracer::TraceError;

use crate::support::{Kept, alone, children, counts, explored, job, process};

const HOUR: Duration = Duration::from_secs(3600);

fn whole() -> Job {
    let scenario = Scenario {
        setup: Some("test -s n".into()),
        last: Some("cat n".into()),
        canon: Some("cat n".into()),
        check: Some("test -s n".into()),
        time_limit: Some(60.0),
        ..Scenario::default()
    };
    job(vec![process(counts), process(counts)], scenario)
}

/// Which phases there are events of, with how many, if nothing ends the work.
fn undisturbed(job: &Job) -> Vec<(Phase, usize)> {
    let clock = Arc::new(Staged::still());
    let all = explored(job, Arc::clone(&clock)).expect("it can be explored");
    assert_eq!((all.report.end, all.report.anomalies[0].replayed), (End::Anomaly, 3));
    PHASES.map(|phase| (phase, clock.count(phase))).to_vec()
}

#[test]
fn whatever_ends_it_and_when_there_is_a_report_and_what_was_found_is_in_it() {
    let _alone = alone();
    let job = whole();
    for (phase, count) in undisturbed(&job) {
        assert!(count >= 2, "{phase:?} has {count} events");
        for number in [1, 3, count as u64] {
            for then in [Then::Stop, Then::Pass(HOUR)] {
                let what = format!("{then:?} at event {number} of {phase:?}");
                let clock = Arc::new(Staged::at(phase, number, then));
                let explored =
                    explored(&job, Arc::clone(&clock)).unwrap_or_else(|error| panic!("{what}: {error}"));
                let Some(after) = clock.after() else {
                    assert!(number > count as u64, "{what} did not happen");
                    continue;
                };
                let end = if then == Then::Stop { End::Interrupted } else { End::TimeLimit };
                assert_eq!(explored.report.end, end, "{what}");
                let replayed: Vec<u32> =
                    explored.report.anomalies.iter().map(|finding| finding.replayed).collect();
                let was_found = matches!(phase, Phase::Shrink | Phase::Replay | Phase::Writing);
                assert!(!was_found || !replayed.is_empty(), "{what}: an anomaly was lost");
                // Only an anomaly that was not replayed yet gets more time.
                let extended = then != Then::Stop && replayed.last() == Some(&1);
                assert!(after == 0 || extended, "{what}: {after} more events, {replayed:?}");
            }
        }
    }
}

#[test]
fn an_anomaly_that_was_not_replayed_yet_gets_one_replay_and_after_a_signal_none() {
    let _alone = alone();
    let job = whole();
    let replayed = |then| {
        let clock = Arc::new(Staged::at(Phase::Replay, 1, then));
        let explored = explored(&job, clock).expect("there is a report");
        (explored.report.anomalies[0].replayed, explored)
    };
    let (times, confirmed) = replayed(Then::Pass(HOUR));
    assert_eq!(times, 1);
    let (times, unconfirmed) = replayed(Then::Stop);
    assert_eq!(times, 0);
    for witness in confirmed.witnesses.iter().chain(&unconfirmed.witnesses) {
        let replayed = replay(witness, &job.programs, false, Limits::default()).expect("it can be replayed");
        assert_eq!(replayed.divergence, None);
    }
}

#[test]
fn a_replay_and_a_stress_obey_the_limits() {
    let _alone = alone();
    let job = whole();
    let found = explored(&job, Limits::default()).expect("it can be explored");
    for number in [1, 2, 5] {
        let clock = Arc::new(Staged::at(Phase::Replay, number, Then::Stop));
        let ended = replay(&found.witnesses[0], &job.programs, false, Arc::clone(&clock));
        assert!(matches!(ended, Err(SessionError::Trace(TraceError::Interrupted))), "{ended:?}");
        assert_eq!((clock.after(), children()), (Some(0), 0));
    }
    let how = Stress {
        runs: 1_000_000,
        at_once: 1,
        jitter: Duration::ZERO,
        seed: 0,
        patience: Duration::from_secs(10),
    };
    for (then, end) in [(Then::Stop, End::Interrupted), (Then::Pass(HOUR), End::TimeLimit)] {
        for phase in [Phase::Setup, Phase::Serial, Phase::Search] {
            let clock = Arc::new(Staged::at(phase, 4, then));
            let report = stress(&job, &how, clock, &mut |_| {}).expect("there is a report");
            assert_eq!((report.end, children()), (end, 0), "{then:?} in {phase:?}");
        }
    }
}

#[test]
fn of_several_explorations_each_that_had_begun_has_a_report() {
    let _alone = alone();
    let jobs = [whole(), whole(), whole()];
    let counts = undisturbed(&jobs[0]);
    let serial =
        counts.iter().find(|(phase, _)| *phase == Phase::Serial).map_or(0, |(_, count)| *count as u64);
    let clock = Arc::new(Staged::at(Phase::Serial, serial + 1, Then::Stop));
    let keep = |_| -> Box<dyn cooks_harness::session::Keep> { Box::new(Kept::default()) };
    let results = explore_together(&jobs, 1, clock, &keep, &|_, _| {}, &|_, result| result);
    let ends: Vec<Option<End>> = results.iter().map(|it| it.as_ref().ok().map(|it| it.report.end)).collect();
    assert_eq!(ends, [Some(End::Anomaly), Some(End::Interrupted), None]);
    assert_eq!(children(), 0);
}
