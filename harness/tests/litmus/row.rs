//! What a litmus program is: the processes, what they start from, and what exploring them must come to.

use cooks_harness::model::{Entry, Tree};
use cooks_harness::simulated::{Initial, Program};

use crate::calls::calls;
use crate::machine::bytes;

/// What an exploration must come to, redundant executions being none.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Expected {
    pub complete: u64,
    pub blocked: u64,
}

pub fn complete(complete: u64) -> Expected {
    Expected { complete, blocked: 0 }
}

impl Expected {
    pub fn blocked(self, blocked: u64) -> Self {
        Self { blocked, ..self }
    }

    pub fn executions(self) -> u64 {
        self.complete + self.blocked
    }
}

/// A program: files without a name, numbered from 1, that hold 0; a file `data` that holds 1, where it is asked for; and processes.
#[derive(Clone, Debug)]
pub struct Row {
    pub name: String,
    files: usize,
    data: bool,
    /// The processes in steps of the model, where opening and reading are one.
    pub steps: Vec<Program>,
    /// The trace classes of these.
    pub expected: Expected,
    /// How many schedules they have, where these can be counted one by one.
    pub schedules: Option<u64>,
    /// How many of the classes leave a tree that no order of the processes leaves, where that is known.
    pub not_serial: Option<usize>,
    /// The processes in steps of one system call each.
    pub calls: Vec<Program>,
    /// The trace classes of these.
    pub expected_of_calls: Expected,
}

impl Row {
    pub fn new(name: impl Into<String>, files: usize, steps: Vec<Program>, expected: Expected) -> Self {
        Self {
            name: name.into(),
            files,
            data: false,
            calls: steps.iter().map(calls).collect(),
            steps,
            expected,
            schedules: None,
            not_serial: None,
            expected_of_calls: expected,
        }
    }

    pub fn with_data(self) -> Self {
        Self { data: true, ..self }
    }

    pub fn schedules(self, schedules: u64) -> Self {
        Self { schedules: Some(schedules), ..self }
    }

    pub fn not_serial(self, trees: usize) -> Self {
        Self { not_serial: Some(trees), ..self }
    }

    /// Where a step of the model is more than one call, and more can come between.
    pub fn in_calls(self, expected_of_calls: Expected) -> Self {
        Self { expected_of_calls, ..self }
    }

    /// Where real processes cannot do quite the same.
    pub fn with_processes(self, processes: &[Program], expected: Expected) -> Self {
        Self { calls: processes.iter().map(calls).collect(), expected_of_calls: expected, ..self }
    }

    pub fn initial(&self) -> Initial {
        let initial = Initial::files(self.files);
        if self.data { initial.named("data", 1) } else { initial }
    }

    /// How many descriptors each process has from the start, that of the directory included.
    pub fn objects(&self) -> usize {
        1 + self.files + usize::from(self.data)
    }

    /// The same as a workspace of files.
    pub fn workspace(&self) -> Tree {
        let file = |value| Entry::File { mode: 0o644, content: bytes(value).into() };
        let numbered = (1..=self.files).map(|number| (format!("#{number}"), file(0)));
        numbered.chain(self.data.then(|| ("data".to_owned(), file(1)))).collect()
    }
}
