//! A search cut into parts that can be made without knowing of each other: by questions about a trace class that every class
//! answers one way or the other. `awaits.rs` is what holds a search to its part.

mod awaits;
mod shard;

use std::collections::{BTreeMap, BTreeSet};

use self::awaits::{Await, Touch};
pub use self::awaits::{Part, PartFault};
pub use self::shard::Sharded;
use crate::model::{AccessKind, Execution, Location, ProcessId};

/// The questions that a search is split by. Each is about a location and two processes: *does `other` touch the location before
/// `writer` first changes it?*
///
/// Every trace class answers it, whatever its schedule: the first touch of the one and the first change of the other conflict, so
/// their order is the same in all of its executions; where one of them is missing, it is missing in all of them. So the answers to
/// `n` questions cut the classes into 2ⁿ parts, of which each class is in exactly one, and nothing has to be known of a part
/// to explore another. Which questions they are is read off one execution, the first that a search makes, which is the same
/// wherever it is made. They decide how even the parts are, never what is found.
///
/// A part is explored by [`Dpor::within`](super::Dpor::within): *no* lets `other` touch the location only when `writer` has
/// changed it, *yes* lets `writer` change it only when `other` has touched it. Both wait for something that they conflict with, so
/// no two operations depend on each other that did not before; and what is waited for stays done. To the search these are processes
/// that wait, as for a lock: each class of the part is run once. An execution in which all who have something new to do wait to its
/// end is cut, and counted as one of elsewhere: what it was begun for, and what it begins, are classes of other parts. So is one whose plan
/// turns out to be that of another part when it is run.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Split {
    questions: Vec<Question>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Question {
    location: Location,
    writer: ProcessId,
    other: ProcessId,
}

/// Who touches a location in an execution, and who changes it.
#[derive(Clone, Debug, Default)]
struct Users {
    all: BTreeSet<ProcessId>,
    writers: BTreeSet<ProcessId>,
    touches: usize,
}

impl Split {
    /// More would be more parts than anybody has cores for.
    const MOST: usize = 12;

    /// At most so many questions about what the processes do in this execution: about what most of them use first, and each time about
    /// the two that were asked about least.
    #[must_use]
    pub fn of(execution: &Execution, most: usize) -> Self {
        let mut candidates = candidates(execution);
        let mut asked: BTreeMap<(ProcessId, ProcessId), usize> = BTreeMap::new();
        let mut questions: Vec<Question> = Vec::new();
        while questions.len() < most.min(Self::MOST) {
            let least = |(_, question): &(usize, &Question)| asked.get(&pair(question)).copied().unwrap_or(0);
            let Some((at, _)) = candidates.iter().enumerate().min_by_key(least) else { break };
            let question = candidates.remove(at);
            *asked.entry(pair(&question)).or_default() += 1;
            questions.push(question);
        }
        Self { questions }
    }

    /// How many parts there are.
    #[must_use]
    pub fn parts(&self) -> u32 {
        1 << self.questions.len()
    }

    /// One of the parts, by its number from 0. Numbers that differ in their lowest bits only differ in the last questions: the first
    /// `n` questions alone have the parts `number >> (questions - n)`.
    #[must_use]
    pub fn part(&self, number: u32) -> Part {
        let mut part = Part::default();
        for (place, question) in self.questions.iter().rev().enumerate() {
            let (touch, change) = (question.touch(), question.change());
            if number >> place & 1 == 0 {
                part.awaits.push(Await { held: touch, until: change });
            } else {
                part.awaits.push(Await { held: change, until: touch.clone() });
                part.needs.push(touch);
            }
        }
        part
    }

    /// The number of the part that an execution belongs to.
    #[must_use]
    pub fn of_execution(&self, execution: &Execution) -> u32 {
        let answers = self.questions.iter().map(|question| u32::from(question.is_answered_yes(execution)));
        answers.fold(0, |number, answer| number << 1 | answer)
    }

    /// The numbers of the parts that fall to number `of` (from 1) of `all` shards, where the first `first` questions decide on it.
    #[must_use]
    pub fn of_shard(&self, first: usize, number: u32, all: u32) -> Vec<u32> {
        let shift = self.questions.len().saturating_sub(first);
        (0..self.parts()).filter(|part| (part >> shift) % all == number - 1).collect()
    }
}

impl Question {
    fn touch(&self) -> Touch {
        Touch { process: self.other, location: self.location.clone(), changes: false }
    }

    fn change(&self) -> Touch {
        Touch { process: self.writer, location: self.location.clone(), changes: true }
    }

    fn is_answered_yes(&self, execution: &Execution) -> bool {
        let first = |wanted: Touch| execution.trace.iter().position(|event| wanted.is_in(event));
        match (first(self.touch()), first(self.change())) {
            (Some(touch), Some(change)) => touch < change,
            (touch, _) => touch.is_some(),
        }
    }
}

/// The two processes, whoever writes.
fn pair(question: &Question) -> (ProcessId, ProcessId) {
    (question.writer.min(question.other), question.writer.max(question.other))
}

/// The questions that this execution suggests, the most telling first, one for each location and pair of processes.
fn candidates(execution: &Execution) -> Vec<Question> {
    let mut users: BTreeMap<&Location, Users> = BTreeMap::new();
    for event in &execution.trace {
        for access in &event.operation.accesses {
            let users = users.entry(&access.location).or_default();
            users.all.insert(event.process);
            users.touches += 1;
            if access.kind == AccessKind::Write {
                users.writers.insert(event.process);
            }
        }
    }
    let mut ranked: Vec<(&Location, Users)> = users.into_iter().collect();
    ranked.sort_by_key(|(_, users)| {
        std::cmp::Reverse((users.writers.len().min(2), users.all.len(), users.writers.len(), users.touches))
    });
    let mut questions: Vec<Question> = Vec::new();
    for (location, users) in &ranked {
        for &writer in &users.writers {
            for &other in users.all.iter().filter(|other| **other != writer) {
                let question = Question { location: (*location).clone(), writer, other };
                let same = |asked: &Question| asked.location == **location && pair(asked) == pair(&question);
                if !questions.iter().any(same) {
                    questions.push(question);
                }
            }
        }
    }
    questions
}
