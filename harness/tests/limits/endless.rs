//! Processes that compute or sleep without end.

use std::fs;
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use cooks_harness::limits::staged::Staged;
use cooks_harness::limits::{Clock, Limits, Machine};
use cooks_harness::model::{Kind, Verdict};
use cooks_harness::report::{End, Report};
use cooks_harness::scenario::Scenario;
use cooks_harness::session::{Job, SessionError, replay};
use cooks_harness::tracer::Program;
use cooks_harness::verdict::Because;

use crate::support::{alone, counts, explored, job, process};

/// Computes without end and without a call.
fn spins() -> i32 {
    loop {
        black_box(0);
    }
}

/// Sleeps without end.
fn sleeps() -> i32 {
    loop {
        std::thread::park_timeout(Duration::from_secs(30));
    }
}

/// A hundred times as fast: the 30 s that a task may compute are 0.3.
fn fast() -> Arc<Staged> {
    Arc::new(Staged::still().faster(100))
}

/// All that a report says of why it is no "clean".
fn said(report: &Report) -> Vec<String> {
    let because = report.conclusion.because().iter().map(Because::sentence);
    because.chain(report.basis.why.clone()).chain(report.basis.not_covered()).collect()
}

fn told(report: &Report, words: &str) -> bool {
    said(report).iter().any(|line| line.contains(words))
}

#[track_caller]
fn inconclusive(job: &Job, limits: impl Into<Limits>, end: End, words: &str) {
    let explored = explored(job, limits).expect("there is a report");
    let report = &explored.report;
    assert_eq!((report.verdict(), report.end), (Verdict::Inconclusive, end), "{:?}", said(report));
    assert!(told(report, words), "`{words}` is not in {:?}", said(report));
}

#[test]
fn who_computes_in_a_serial_order_ends_the_exploration_and_is_named_with_its_last_call() {
    let _alone = alone();
    let at_once = job(vec![process(counts), process(spins)], Scenario::default());
    inconclusive(&at_once, fast(), End::CpuLimit, "B computes without making a call");
    let later = process(|| counts() + spins());
    let later = job(vec![process(counts), later], Scenario::default());
    inconclusive(
        &later,
        fast(),
        End::CpuLimit,
        "B computes without making a call; its last call was close, after step",
    );
    let scenario = Scenario { check: Some("sh -c 'while :; do :; done'".into()), ..Scenario::default() };
    let check = job(vec![process(counts), process(counts)], scenario);
    inconclusive(&check, fast(), End::CpuLimit, "`--check` computes");
}

/// Spins if the other one has changed the number since it was read.
fn spins_if_overtaken() -> i32 {
    let before = fs::read_to_string("n").expect("a number");
    if fs::read_to_string("n").expect("a number") != before { spins() } else { counts() }
}

#[test]
fn who_computes_only_if_it_is_overtaken_is_in_a_livelock_and_the_replay_shows_it_again() {
    let _alone = alone();
    let job = job(
        vec![process(counts), process(spins_if_overtaken)],
        Scenario { all: true, ..Scenario::default() },
    );
    let explored = explored(&job, fast()).expect("it can be explored");
    let livelock = explored.report.anomalies.iter().position(|it| it.anomaly.kind == Kind::Livelock);
    let at = livelock.unwrap_or_else(|| panic!("{:?}", explored.report.anomalies));
    let finding = &explored.report.anomalies[at];
    assert!(
        finding.anomaly.summary.contains("B computes without making a call"),
        "{}",
        finding.anomaly.summary
    );
    assert_eq!((finding.replayed, finding.shown.trace.len()), (3, finding.shown.schedule.len()));
    assert!(!explored.report.exhaustive);
    let text = serde_json::to_string(&explored.witnesses[at]).expect("it can be written");
    let witness = serde_json::from_str(&text).expect("it can be read");
    let again = replay(&witness, &job.programs, false, fast()).expect("it can be replayed");
    assert_eq!(again.divergence, None);
    // Where it comes to its end, that is a divergence.
    let other: Vec<Program> = vec![process(counts), process(counts)];
    let other = replay(&witness, &other, false, fast()).expect("it can be replayed");
    assert!(other.divergence.is_some());
}

#[test]
fn who_sleeps_without_end_is_named_and_a_sleep_of_a_year_is_none() {
    let _alone = alone();
    for second in [counts, sleeps] {
        let job = job(vec![process(sleeps), process(second)], Scenario::default());
        inconclusive(&job, Limits::default(), End::MaxSteps, "A only sleeps: 10000 sleeps and no operation");
    }
    let shell = Program::parse("sh -c 'while :; do sleep 30; done'");
    inconclusive(
        &job(vec![process(counts), shell], Scenario::default()),
        Limits::default(),
        End::MaxSteps,
        "B only sleeps",
    );
    let year = process(|| {
        std::thread::park_timeout(Duration::from_secs(365 * 24 * 3600));
        0
    });
    let year = explored(&job(vec![year, process(counts)], Scenario::default()), Limits::default());
    assert_eq!(year.expect("it ends").report.verdict(), Verdict::Clean);
    for command in ["sleep infinity", "python3 -c 'import signal; signal.pause()'"] {
        let job = job(vec![Program::parse(command), process(counts)], Scenario::default());
        let ended = explored(&job, Limits::default());
        assert!(
            matches!(&ended, Err(SessionError::NoSerialOrder(why)) if why.contains("A waits")),
            "{command}: {ended:?}"
        );
    }
}

/// A clock by which an hour has passed as soon as the processor time of a task was read: while it computes.
#[derive(Debug, Default)]
struct Later(AtomicU64);

impl Clock for Later {
    fn now(&self) -> Duration {
        Duration::from_secs(3600 * self.0.load(Ordering::Relaxed))
    }

    fn processor_time(&self, task: i32) -> Option<Duration> {
        self.0.store(1, Ordering::Relaxed);
        Machine.processor_time(task)
    }
}

#[test]
fn the_time_limit_ends_who_computes_in_the_midst_of_that() {
    let _alone = alone();
    let scenario = Scenario { time_limit: Some(60.0), ..Scenario::default() };
    let job = job(vec![process(spins), process(counts)], scenario);
    let limits = Limits::with_clock(Arc::default(), Arc::new(Later::default()));
    inconclusive(
        &job,
        limits,
        End::TimeLimit,
        "the first serial order did not finish: the time limit was reached",
    );
}
