//! The self-checks of every search: each finds a fault that is planted, and then "clean" is not said.

use cooks_harness::limits::Limits;
use cooks_harness::model::{Location, Operation, Verdict};
use cooks_harness::scenario::Scenario;
use cooks_harness::session::{Job, SessionError, explore};
use cooks_harness::tracer::{Faults, TraceError};

use crate::{job, report};

/// What the self-checks say, with this fault and without.
fn found(mut job: Job, faults: Faults) -> String {
    let whole = report(&job, Limits::default());
    assert_eq!((whole.basis.self_check.as_deref(), whole.exhaustive), (None, true));
    job.faults = faults;
    let report = report(&job, Limits::default());
    assert_ne!(report.verdict(), Verdict::Clean);
    assert_eq!(report.code(), 6);
    report.basis.self_check.expect("the fault is found")
}

fn without_data(operation: &mut Operation) {
    let forgotten = |at: &Location| !matches!(at, Location::Data { .. } | Location::Status(_));
    operation.accesses.retain(|access| forgotten(&access.location));
}

#[test]
fn an_access_that_is_forgotten() {
    let job = job(&["echo one > f", "echo two > f"], Scenario { all: true, ..Scenario::default() });
    let said = found(job, Faults { forget: Some(without_data), ..Faults::default() });
    assert!(said.starts_with("the search was exhaustive and did not meet what the serial order"), "{said}");
}

#[test]
fn an_end_that_is_taken_to_be_known() {
    let reads = "read x < f; echo $x";
    let job = job(&["echo one > f", reads], Scenario { all: true, ..Scenario::default() });
    let mut job = job;
    job.scenario.processes[1].may_fail = true;
    let said = found(job, Faults { blind: true, ..Faults::default() });
    assert!(said.contains("comes out otherwise if nothing is kept of others"), "{said}");
    assert!(said.contains("its schedule is"), "{said}");
}

#[test]
fn a_decoding_that_is_stale() {
    let mut job = job(&["rm -f f", "echo one > f"], Scenario { all: true, ..Scenario::default() });
    job.faults = Faults { stale: true, ..Faults::default() };
    let error = explore(&job, Limits::default(), &mut (), &mut |_| {}).expect_err("it is found");
    assert!(matches!(error, SessionError::Trace(TraceError::StaleDecoding { .. })), "{error}");
}
