//! Polling: a process that looks at the same things again and again, in vain, with or without a sleep in between. Pure.

use crate::model::{Access, AccessKind, Call, CallResult, Event, Location, Operation, ProcessId};

/// So many looks in vain, within one step, and a process is taken to look for ever.
pub const MOST_ROUNDS: u64 = 10_000;
/// What a round costs for each task that is made in it, in rounds: a shell starts a program to look.
pub const TASK_COST: u64 = 10;
/// So many looks in a row, the same again and again and without a sleep, are polling.
const SPINS: usize = 64;
/// The most looks in a round that is repeated without a sleep.
const LONGEST_SPIN: usize = 8;
/// So many looks are remembered.
const REMEMBERED: usize = 1024;

/// An operation that changed nothing that anybody waits for.
#[derive(Clone, Debug)]
struct Look {
    call: Call,
    result: CallResult,
    accesses: Vec<Access>,
    /// Whether another process has changed since what it looked at.
    changed: bool,
}

impl Look {
    fn is_like(&self, other: &Self) -> bool {
        (&self.call, &self.result) == (&other.call, &other.result)
    }
}

/// What comes between two rounds of looks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pause {
    /// A sleep, of so many nanoseconds.
    Sleep(u64),
    /// Nothing.
    None,
}

/// What a process that polls is held at: the end of its pause.
#[derive(Clone, Debug)]
pub struct Wait {
    /// The operation: it reads what the process looks at.
    pub operation: Operation,
    /// What it pauses with.
    pub pause: Pause,
    /// The looks that it repeats.
    round: Vec<Call>,
}

impl Wait {
    /// Whether `call`, which comes after `looks` others since the pause, is the look at this place in the rounds before. Any other call is
    /// what the process does when it has given up.
    #[must_use]
    pub fn goes_on(&self, looks: usize, call: &Call) -> bool {
        let at = if self.pause == Pause::None { looks % self.round.len().max(1) } else { looks };
        self.round.get(at) == Some(call)
    }
}

/// What a process has looked at since it last changed something.
#[derive(Debug, Default)]
pub struct Polling {
    /// Since its last sleep.
    round: Vec<Look>,
    /// Between the two sleeps before.
    before: Vec<Look>,
    /// Where it is held.
    pub wait: Option<Wait>,
    /// Whether it was let go, and has not looked or slept since.
    pub let_go: bool,
    /// The round that it is known to do for ever.
    endless: Vec<Look>,
}

/// Whether an access leaves everything as it was, but for times.
fn only_looks(access: &Access) -> bool {
    access.kind == AccessKind::Read
        || (access.kind == AccessKind::Join && matches!(access.location, Location::Status(_)))
}

impl Polling {
    /// Takes note of an operation of the process's own.
    pub fn note(&mut self, event: &Event) {
        self.let_go = false;
        let Event { operation, result, .. } = event;
        let looks = operation.acquires.is_none()
            && operation.refused.is_none()
            && operation.accesses.iter().all(only_looks);
        if !looks {
            (self.round, self.before) = Default::default();
            return;
        }
        if self.round.len() == REMEMBERED {
            self.round.drain(..REMEMBERED / 2);
        }
        let Operation { call, accesses, .. } = operation.clone();
        self.round.push(Look { call, result: result.clone(), accesses, changed: false });
    }

    /// Takes note of an operation of another process.
    pub fn disturb(&mut self, process: ProcessId, by: &Operation) {
        for look in self.round.iter_mut().filter(|look| !look.changed) {
            look.changed = by.changes(process, &look.accesses);
        }
    }

    /// Takes note of a sleep. One without a look before it is part of the sleep before.
    pub fn sleeps(&mut self) {
        self.let_go = false;
        self.wait = None;
        if !self.round.is_empty() {
            self.before = std::mem::take(&mut self.round);
        }
    }

    /// Whether the process, about to sleep, has done the same as between the two sleeps before.
    #[must_use]
    pub fn is_in_vain(&self) -> bool {
        let offset = self.before.len().checked_sub(self.round.len());
        let repeats = offset.is_some_and(|offset| {
            self.before[offset..].iter().zip(&self.round).all(|(before, look)| before.is_like(look))
        });
        repeats && self.round.iter().any(|look| !look.accesses.is_empty())
    }

    /// How many looks a round has, where the process does the same again and again without a sleep.
    fn spins(&self) -> Option<usize> {
        let last = &self.round[self.round.len().checked_sub(SPINS + LONGEST_SPIN)?..];
        let repeats =
            |period: &usize| (LONGEST_SPIN..last.len()).all(|at| last[at].is_like(&last[at - period]));
        (1..=LONGEST_SPIN).find(repeats)
    }

    /// Whether the process is held before its pause ends. What is held stays so until it is let go.
    pub fn holds(&mut self, pause: Pause) -> bool {
        if self.let_go {
            return false;
        }
        let looks = match pause {
            Pause::Sleep(_) => self.is_in_vain().then_some(self.round.len()),
            Pause::None => self.spins(),
        };
        let Some(looks) = looks else { return false };
        if self.wait.is_none() {
            let looks = &self.round[self.round.len() - looks..];
            let operation = waiting(looks, pause);
            if operation.accesses.is_empty() {
                return false;
            }
            let round = looks.iter().map(|look| look.call.clone()).collect();
            self.wait = Some(Wait { operation, pause, round });
        }
        true
    }

    /// How many looks there were since the last sleep.
    #[must_use]
    pub fn looks(&self) -> usize {
        self.round.len()
    }

    /// Whether another process has changed what the last round looked at.
    #[must_use]
    pub fn is_changed(&self) -> bool {
        let looks = match self.wait.as_ref().map(|wait| wait.pause) {
            Some(Pause::None) => self.spins().unwrap_or(0),
            _ => self.round.len(),
        };
        self.round.iter().rev().take(looks).any(|look| look.changed)
    }

    /// Says that the process does what it is held at for ever.
    pub fn is_endless(&mut self) {
        self.endless.clone_from(&self.round);
        if let Some(wait) = &mut self.wait {
            wait.operation.awaits = true;
        }
    }

    /// Whether the process is known to do what it does now for ever.
    #[must_use]
    pub fn is_known_to_be_endless(&self) -> bool {
        let same = |(a, b): (&Look, &Look)| a.is_like(b);
        !self.round.is_empty()
            && self.endless.iter().rev().zip(self.round.iter().rev()).all(same)
            && !self.endless.is_empty()
    }
}

/// Whether an operation only looks at what `wait` looks at.
#[must_use]
pub fn is_look_of(operation: &Operation, wait: &Operation) -> bool {
    let is_declared = |access: &Access| {
        only_looks(access)
            && wait.accesses.iter().any(|declared| {
                let at_most = access.kind == AccessKind::Read || access.kind == declared.kind;
                at_most && declared.location.contains(&access.location)
            })
    };
    operation.acquires.is_none() && operation.accesses.iter().all(is_declared)
}

/// The end of the pause behind these looks.
fn waiting(looks: &[Look], pause: Pause) -> Operation {
    let mut accesses: Vec<Access> = Vec::new();
    for access in looks.iter().flat_map(|look| &look.accesses) {
        if !accesses.contains(access) {
            accesses.push(access.clone());
        }
    }
    let mut paths: Vec<&str> = looks.iter().filter_map(|look| look.call.path.as_deref()).collect();
    paths.dedup();
    // What it came to last is what it did not get.
    let path = paths.last().map(|path| (*path).to_owned());
    let detail = match pause {
        Pause::Sleep(time) => format!("{} at a time", seconds(time)),
        Pause::None => "without a pause".to_owned(),
    };
    let call = Call { name: "sleep".into(), path, target: None, detail };
    Operation { call, accesses, ..Operation::default() }
}

/// A time in seconds, to the millisecond.
#[must_use]
pub fn seconds(nanoseconds: u64) -> String {
    let milliseconds = (nanoseconds + 500_000) / 1_000_000;
    let (whole, rest) = (milliseconds / 1000, milliseconds % 1000);
    let text = format!("{whole}.{rest:03}");
    format!("{} s", text.trim_end_matches('0').trim_end_matches('.'))
}
