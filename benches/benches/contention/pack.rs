//! Several processes that want the same thing at the same time, and what each of them got.

use std::io::{PipeReader, PipeWriter, Read, Write, pipe};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::exit;
use std::time::{Duration, Instant};

use fork::{Fork, fork, waitpid};

/// What a process does over and over. Returns how long it waited.
pub type Work = Box<dyn FnMut() -> Duration>;

/// Work all of which is waiting.
pub fn timed(mut work: impl FnMut() + 'static) -> Work {
    Box::new(move || {
        let asked = Instant::now();
        work();
        asked.elapsed()
    })
}

/// What one process got.
pub struct Tally {
    /// How often it came to its turn in time.
    pub served: u64,
    /// The waits of all its turns, in nanoseconds; the last may have come after the time was up.
    pub waits: Vec<u64>,
}

/// Forks the processes, lets each make itself ready, releases them together, and collects what they got.
pub fn run(count: usize, time: Duration, ready: impl Fn(usize) -> Work) -> Vec<Tally> {
    let (gate, release) = pipe().expect("a pipe");
    let mut release = Some(release);
    let mut children = Vec::new();
    for number in 0..count {
        let (report, writer) = pipe().expect("a pipe");
        match fork().expect("fork") {
            Fork::Parent(child) => children.push((child, report)),
            Fork::Child => {
                // As long as anybody has this end, the gate is shut.
                drop(release.take());
                let work = || take_part(&gate, writer, time, || ready(number));
                exit(catch_unwind(AssertUnwindSafe(work)).map_or(1, |()| 0));
            }
        }
    }
    for (child, report) in &mut children {
        report.read_exact(&mut [0]).unwrap_or_else(|_| panic!("process {child} did not become ready"));
    }
    drop(release);
    children.into_iter().map(|(child, report)| collect(child, report)).collect()
}

fn take_part(mut gate: &PipeReader, mut report: PipeWriter, time: Duration, ready: impl FnOnce() -> Work) {
    let mut work = ready();
    report.write_all(b"r").expect("reported");
    let shut = gate.read(&mut [0]).expect("the gate opens");
    assert_eq!(shut, 0, "the gate opens by being closed");
    let begun = Instant::now();
    let mut served: u64 = 0;
    let mut waits = Vec::new();
    loop {
        let asked = begun.elapsed();
        if asked >= time {
            break;
        }
        let wait = work();
        served += u64::from(asked + wait <= time);
        waits.push(u64::try_from(wait.as_nanos()).expect("no wait is that long"));
    }
    serde_json::to_writer(report, &(served, waits)).expect("reported");
}

fn collect(child: i32, report: PipeReader) -> Tally {
    let told = serde_json::from_reader(report);
    waitpid(child).expect("waitpid");
    let (served, waits) = told.unwrap_or_else(|_| panic!("process {child} failed"));
    Tally { served, waits }
}
