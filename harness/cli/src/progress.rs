//! The progress line on a terminal, and what `--explain` tells.

use std::cell::Cell;
use std::io::{self, IsTerminal};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use cooks_harness::session::{Progress, Stressed};

use crate::say;

/// How often the progress line is written anew.
const REFRESH: Duration = Duration::from_millis(200);
/// Takes away the line that the cursor is in.
const WIPE: &str = "\r\x1b[K";
/// Columns of it.
const WIDTH: usize = 79;

/// How far explorations have come, in one line that is written again and again.
pub struct Board<'a> {
    names: &'a [String],
    shown: bool,
    state: Mutex<State>,
}

struct State {
    written: Instant,
    over: usize,
    /// What goes on, by its number.
    going_on: Vec<(usize, Progress)>,
}

impl<'a> Board<'a> {
    /// Of explorations of these names. Without a terminal, or where it is to be quiet, nothing is shown.
    pub fn new(names: &'a [String], quiet: bool) -> Self {
        let state = State { written: Instant::now(), over: 0, going_on: Vec::new() };
        Self { names, shown: io::stderr().is_terminal() && !quiet, state: Mutex::new(state) }
    }

    fn wipe(&self) -> &'static str {
        if self.shown { WIPE } else { "" }
    }

    /// One of them has made an execution.
    pub fn tell(&self, number: usize, progress: &Progress) {
        if !self.shown && progress.reversals.is_empty() {
            return;
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let whose = if self.names.len() > 1 { format!("{}: ", self.names[number]) } else { String::new() };
        for reversal in &progress.reversals {
            let text = format!("{whose}execution {}: {reversal}", progress.counts.executions);
            say::a_line(self.wipe(), &text);
        }
        state.going_on.retain(|(other, _)| *other != number);
        state.going_on.push((number, progress.clone()));
        state.going_on.sort_by_key(|(number, _)| *number);
        if self.shown && state.written.elapsed() >= REFRESH {
            state.written = Instant::now();
            let text = match state.going_on.as_slice() {
                [(_, progress)] if self.names.len() == 1 => line(progress),
                going_on => line_of_many(self.names, state.over, going_on),
            };
            say::progress(self.wipe(), &text);
        }
    }

    /// One of them is over.
    pub fn is_over(&self, number: usize) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.over += 1;
        state.going_on.retain(|(other, _)| *other != number);
    }

    /// Takes the line away.
    pub fn clear(&self) {
        say::progress(self.wipe(), "");
    }
}

/// How many runs were made of processes that run free.
pub struct Runs {
    shown: bool,
    written: Cell<Instant>,
}

impl Runs {
    /// Without a terminal, or where it is to be quiet, nothing is shown.
    pub fn new(quiet: bool) -> Self {
        Self { shown: io::stderr().is_terminal() && !quiet, written: Cell::new(Instant::now()) }
    }

    /// One more is over.
    pub fn tell(&self, stressed: Stressed, of: u64) {
        if self.shown && self.written.get().elapsed() >= REFRESH {
            self.written.set(Instant::now());
            let text = format!("{} of {of} runs, {} with an anomaly", stressed.runs, stressed.hits);
            say::progress(WIPE, &text);
        }
    }

    /// Takes the line away.
    pub fn clear(&self) {
        if self.shown {
            say::progress(WIPE, "");
        }
    }
}

/// The progress in a line that fits 80 columns: `1234 executions, 1230 classes, depth 41, 310/s, about 40% done (estimate)`.
fn line(progress: &Progress) -> String {
    let counts = &progress.counts;
    let rate = counts.executions as f64 / progress.elapsed.as_secs_f64().max(0.001);
    let mut parts = vec![
        format!("{} executions", counts.executions),
        format!("{} classes", counts.complete + counts.blocked),
        format!("depth {}", progress.depth),
        format!("{rate:.0}/s"),
    ];
    if let Some(done) = progress.done {
        // Never all of it: what is not known yet is not counted.
        parts.push(format!("about {:.0}% (estimate)", (done * 100.0).min(99.0)));
    }
    if progress.anomalies > 0 {
        parts.insert(0, format!("{} found", progress.anomalies));
    }
    parts.join(", ").chars().take(WIDTH).collect()
}

/// That of several: `12 of 27 over; agent-ab 31 executions, agent-abc 1234 executions`.
fn line_of_many(names: &[String], over: usize, going_on: &[(usize, Progress)]) -> String {
    let each = |(number, progress): &(usize, Progress)| {
        format!("{} {} executions", names[*number], progress.counts.executions)
    };
    let each: Vec<String> = going_on.iter().map(each).collect();
    format!("{over} of {} over; {}", names.len(), each.join(", ")).chars().take(WIDTH).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use cooks_harness::explore::Counts;
    use cooks_harness::session::Progress;

    use super::{line, line_of_many};

    #[test]
    fn the_progress_is_a_line_that_fits() {
        let counts = Counts { executions: 1_234, complete: 1_200, blocked: 30, ..Counts::default() };
        let elapsed = Duration::from_secs(4);
        let mut progress = Progress { counts, elapsed, depth: 41, done: Some(0.403), ..Progress::default() };
        assert_eq!(line(&progress), "1234 executions, 1230 classes, depth 41, 308/s, about 40% (estimate)");
        progress = Progress { anomalies: 2, done: None, ..progress };
        assert_eq!(line(&progress), "2 found, 1234 executions, 1230 classes, depth 41, 308/s");
        progress.counts.executions = u64::MAX;
        progress.counts.complete = u64::MAX / 2;
        progress.done = Some(1.0);
        assert!(line(&progress).len() < 80, "{}", line(&progress));
    }

    #[test]
    fn that_of_several_names_those_that_go_on() {
        let names = ["one", "two", "three"].map(str::to_owned);
        let counts = Counts { executions: 7, ..Counts::default() };
        let progress = Progress { counts, ..Progress::default() };
        let going_on = [(1, progress.clone()), (2, progress)];
        let line = line_of_many(&names, 1, &going_on);
        assert_eq!(line, "1 of 3 over; two 7 executions, three 7 executions");
        let names = ["x".repeat(60), "y".repeat(60), "z".repeat(60)];
        assert_eq!(line_of_many(&names, 0, &going_on).len(), 79);
    }
}
