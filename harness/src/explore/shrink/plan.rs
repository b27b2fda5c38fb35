//! Schedules in outline: who runs for how long. An outline can be followed where the processes do something else than before.

use crate::backend::Chooser;
use crate::explore::patience::Patience;
use crate::model::{Choice, Cut, Event, HappensBefore, ProcessId, View};

/// A process runs until it has done so many operations in all.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Run {
    pub(super) process: ProcessId,
    pub(super) until: usize,
}

/// The outline of a sequence of steps: of each the process.
pub(super) fn outline(steps: impl IntoIterator<Item = ProcessId>) -> Vec<Run> {
    let mut done: Vec<usize> = Vec::new();
    let mut runs: Vec<Run> = Vec::new();
    for process in steps {
        if done.len() <= process.0 {
            done.resize(process.0 + 1, 0);
        }
        done[process.0] += 1;
        match runs.last_mut().filter(|run| run.process == process) {
            Some(run) => run.until = done[process.0],
            None => runs.push(Run { process, until: done[process.0] }),
        }
    }
    runs
}

/// The runs without those that do nothing, and neighbours of one process made one.
pub(super) fn tidy(runs: &[Run]) -> Vec<Run> {
    let mut tidy: Vec<Run> = Vec::new();
    for run in runs {
        let before = tidy.iter().rfind(|earlier| earlier.process == run.process).map_or(0, |run| run.until);
        if run.until <= before {
            continue;
        }
        match tidy.last_mut().filter(|last| last.process == run.process) {
            Some(last) => last.until = run.until,
            None => tidy.push(*run),
        }
    }
    tidy
}

/// Follows an outline. A process that cannot go on, or looks in vain, does not run on; what it has left it does in its next run, or
/// in the end, when the others run one after another.
#[derive(Debug)]
pub(super) struct Following<'p> {
    runs: &'p [Run],
    at: usize,
    done: Vec<usize>,
    patience: Patience,
    most_steps: usize,
}

impl<'p> Following<'p> {
    pub(super) fn new(runs: &'p [Run], most_steps: usize) -> Self {
        Self { runs, at: 0, done: Vec::new(), patience: Patience::default(), most_steps }
    }

    /// Takes note of the last step.
    fn note(&mut self, view: View<'_>) {
        self.patience.note(view.trace);
        self.done.resize(view.processes.len(), 0);
        if let Some(event) = view.trace.last() {
            self.done[event.process.0] += 1;
        }
    }
}

impl Chooser for Following<'_> {
    fn choose(&mut self, view: View<'_>) -> Result<Choice, Cut> {
        if view.trace.len() >= self.most_steps {
            return Err(Cut::Steps);
        }
        self.note(view);
        while let Some(run) = self.runs.get(self.at) {
            let goes_on = view.processes[run.process.0].is_enabled();
            let in_vain = run.until == usize::MAX && self.patience.is_spent(run.process);
            if goes_on && self.done[run.process.0] < run.until && !in_vain {
                return Ok(Choice::Process(run.process));
            }
            self.at += 1;
        }
        let last = view.trace.last().map(|event| event.process);
        let last = last.filter(|last| view.processes[last.0].is_enabled() && !self.patience.is_spent(*last));
        let other = || view.enabled().find(|process| !self.patience.is_spent(*process));
        let process = last.or_else(other).or_else(|| turn_about(view));
        process.map(Choice::Process).ok_or(Cut::Steps)
    }
}

/// Of processes that all look in vain, the one after that which went on last.
fn turn_about(view: View<'_>) -> Option<ProcessId> {
    let last = view.trace.last().map(|event| event.process);
    let next = view.enabled().find(|process| last.is_none_or(|last| *process > last));
    next.or_else(|| view.enabled().next())
}

/// The steps of a trace in another order of the same class, with fewer context switches where one is found: each process runs on
/// as far as it can without what others do; then the one goes on that can go furthest, or whose turn it was in the trace. The best
/// of these with each process first.
pub(super) fn straightened(trace: &[Event]) -> Vec<Run> {
    let order = HappensBefore::of(trace);
    let processes = trace.iter().map(|event| event.process.0 + 1).max().unwrap_or(0);
    let mut of: Vec<Vec<usize>> = vec![Vec::new(); processes];
    for (number, event) in trace.iter().enumerate() {
        of[event.process.0].push(number);
    }
    let weave = Weave { order: &order, of: &of };
    let starts = (0..processes).flat_map(|first| [(first, true), (first, false)]);
    starts.filter_map(|(first, far)| weave.from(first, far)).min_by_key(Vec::len).unwrap_or_default()
}

struct Weave<'t> {
    order: &'t HappensBefore,
    /// The events of each process.
    of: &'t [Vec<usize>],
}

impl Weave<'_> {
    /// How far a process can go when so many events of each are done.
    fn reach(&self, process: usize, done: &[usize]) -> usize {
        let ready = |number: &&usize| {
            let clock = self.order.clock(**number);
            clock.iter().enumerate().all(|(other, seen)| other == process || *seen as usize <= done[other])
        };
        done[process] + self.of[process][done[process]..].iter().take_while(ready).count()
    }

    /// The runs, beginning with this process, if it can begin.
    fn from(&self, first: usize, furthest: bool) -> Option<Vec<Run>> {
        let mut done = vec![0; self.of.len()];
        let mut runs = Vec::new();
        let mut next = Some(first).filter(|first| self.reach(*first, &done) > 0);
        while let Some(process) = next {
            done[process] = self.reach(process, &done);
            runs.push(Run { process: ProcessId(process), until: done[process] });
            let can = (0..done.len()).filter(|other| self.reach(*other, &done) > done[*other]);
            next = if furthest {
                can.max_by_key(|other| (self.reach(*other, &done) - done[*other], usize::MAX - other))
            } else {
                can.min_by_key(|other| self.of[*other][done[*other]])
            };
        }
        let whole = done.iter().zip(self.of).all(|(done, of)| *done == of.len());
        whole.then_some(runs)
    }
}
