//! A `--canon` that fails.

use cooks_harness::limits::Limits;
use cooks_harness::model::Verdict;
use cooks_harness::scenario::Scenario;
use cooks_harness::session::SessionError;

use crate::support::{alone, counts, explored, job, process};

fn scenario(canon: &str) -> Scenario {
    Scenario { canon: Some(canon.into()), all: true, ..Scenario::default() }
}

#[test]
fn a_canon_that_fails_only_if_the_processes_race_is_told_with_what_it_says() {
    let _alone = alone();
    let canon = "sh -c 'read n < n; test $n = 2 || { echo the number is $n >&2; exit 7; }; echo 2'";
    let explored = explored(&job(vec![process(counts), process(counts)], scenario(canon)), Limits::default());
    let explored = explored.expect("it can be explored");
    assert_eq!(explored.report.verdict(), Verdict::Anomaly);
    let anomaly = &explored.report.anomalies[0].anomaly;
    let told = |line: &String| line == "--canon fails (exit 7): the number is 1";
    assert!(anomaly.explanation.iter().any(told), "{:?}", anomaly.explanation);
    assert!(explored.witnesses[0].recording.outcome.canon_failed.is_some());
}

#[test]
fn a_canon_that_fails_in_every_serial_order_is_an_error() {
    let _alone = alone();
    let job = job(vec![process(counts), process(counts)], scenario("sh -c 'echo no such thing >&2; exit 3'"));
    let ended = explored(&job, Limits::default());
    let Err(SessionError::Command { option: "--canon", output, .. }) = &ended else { panic!("{ended:?}") };
    assert!(output.contains("no such thing"), "{output}");
}

/// A canonical form that fails in one serial order and not in the other is an outcome as any other.
#[test]
fn a_canon_may_fail_in_some_serial_orders() {
    let _alone = alone();
    let put = |text: &'static str| {
        process(move || {
            std::fs::write("n", text).expect("it can be written");
            0
        })
    };
    let canon = "sh -c 'read n < n; test $n = a'";
    let explored = explored(&job(vec![put("a\n"), put("b\n")], scenario(canon)), Limits::default());
    let explored = explored.expect("it can be explored");
    assert!(explored.report.anomalies.iter().all(|it| !it.anomaly.summary.contains("--canon")));
    assert_eq!(explored.report.serial_outcomes, 2);
}
