//! What the tests share: processes with a lost update, what keeps the anomalies, and what is left of an exploration.

use std::fs;
use std::sync::{Mutex, MutexGuard, PoisonError};

use cooks_harness::limits::Limits;
use cooks_harness::model::{Entry, Tree};
use cooks_harness::report::Finding;
use cooks_harness::scenario::{Process, Program as Given, Scenario};
use cooks_harness::session::{Explored, Job, Keep, SessionError, explore};
use cooks_harness::tracer::Program;
use cooks_harness::witness::Witness;

/// Held by each test: the children of this process are those of one test.
static ALONE: Mutex<()> = Mutex::new(());

/// Waits until no other test has children.
pub fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How many children this process has, of whatever thread.
pub fn children() -> usize {
    let tasks = fs::read_dir("/proc/self/task").expect("a /proc");
    let of = |task: fs::DirEntry| fs::read_to_string(task.path().join("children")).unwrap_or_default();
    tasks.map(|task| of(task.expect("an entry")).split_whitespace().count()).sum()
}

/// A process that is a closure.
pub fn process(body: impl Fn() -> i32 + Send + Sync + 'static) -> Program {
    Program::closure("closure", body)
}

/// Adds 1 to the number in `n`, without a lock.
pub fn counts() -> i32 {
    let number: u32 = fs::read_to_string("n").expect("a number").trim().parse().expect("a number");
    fs::write("n", format!("{}\n", number + 1)).expect("it can be written");
    0
}

/// A job of these programs, with a number in `n`.
pub fn job(programs: Vec<Program>, scenario: Scenario) -> Job {
    let processes: Vec<Process> = programs.iter().map(|_| Given::Closure("closure".into()).into()).collect();
    let tree = Tree::from([("n".into(), Entry::File { mode: 0o644, content: b"0\n".to_vec() })]);
    let scenario = Scenario { processes, ..scenario };
    Job::new(scenario, programs, tree)
}

/// Keeps what it is given: of each anomaly how often it was replayed.
#[derive(Default)]
pub struct Kept(pub Vec<u32>);

impl Keep for Kept {
    fn found(&mut self, number: usize, finding: &mut Finding, witness: &Witness) {
        assert!(number == self.0.len() || number == self.0.len() + 1, "number {number} of {:?}", self.0);
        assert_eq!(witness.anomaly.as_ref(), Some(&finding.anomaly));
        self.0.truncate(number - 1);
        self.0.push(finding.replayed);
    }

    fn withdrawn(&mut self, number: usize) {
        assert_eq!(number, self.0.len());
        self.0.pop();
    }
}

/// Explores, and holds what is kept to what is reported; nothing may be left.
#[track_caller]
pub fn explored(job: &Job, limits: impl Into<Limits>) -> Result<Explored, SessionError> {
    let mut kept = Kept::default();
    let result = explore(job, limits, &mut kept, &mut |_| {});
    assert_eq!(children(), 0, "something is left");
    if let Ok(Explored { report, witnesses, .. }) = &result {
        let reported: Vec<u32> = report.anomalies.iter().map(|finding| finding.replayed).collect();
        assert_eq!(kept.0, reported, "what was kept is not what is reported");
        assert_eq!(witnesses.len(), reported.len());
    }
    result
}
