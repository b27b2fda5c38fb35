//! An execution that was run ahead, with what was shown to its strategy at each step.

use crate::backend::Chooser;
use crate::explore::{Steering, Strategy};
use crate::model::{Choice, Cut, Ending, Execution, Status, View};

/// What a strategy said at a step.
pub(super) type Answer = Result<Choice, Cut>;

/// An execution that was run ahead.
#[derive(Debug)]
pub(super) struct Record<T> {
    /// As it came out, whomever it belongs to.
    pub(super) execution: Execution,
    /// Whether its strategy was to count it: else it was not finished.
    pub(super) owned: bool,
    /// What came of it beside.
    pub(super) beside: T,
    pub(super) views: Views,
}

/// Where the processes stood at each step: of each, who stands otherwise than at the step before.
#[derive(Debug, Default)]
pub(super) struct Views {
    changes: Vec<Vec<(usize, Status)>>,
    now: Vec<Status>,
}

impl Views {
    fn push(&mut self, processes: &[Status]) {
        let differs = |(index, status): &(usize, &Status)| self.now.get(*index) != Some(*status);
        let changes: Vec<(usize, Status)> = processes
            .iter()
            .enumerate()
            .filter(differs)
            .map(|(index, status)| (index, status.clone()))
            .collect();
        for change in &changes {
            apply(&mut self.now, change);
        }
        self.changes.push(changes);
    }
}

fn apply(processes: &mut Vec<Status>, (index, status): &(usize, Status)) {
    match processes.get_mut(*index) {
        Some(at) => *at = status.clone(),
        None => processes.push(status.clone()),
    }
}

/// Lets another choose, and keeps what it was shown.
pub(super) struct Keeping<'c> {
    pub(super) chooser: &'c mut dyn Chooser,
    pub(super) views: Views,
}

impl Chooser for Keeping<'_> {
    fn choose(&mut self, view: View<'_>) -> Answer {
        self.views.push(view.processes);
        self.chooser.choose(view)
    }
}

/// Gives the answers that were given already, then lets a strategy choose.
pub(super) struct GoingOn<'s> {
    pub(super) answers: std::vec::IntoIter<Answer>,
    pub(super) steering: Steering<'s, dyn Strategy + 's>,
}

impl Chooser for GoingOn<'_> {
    fn choose(&mut self, view: View<'_>) -> Answer {
        self.answers.next().unwrap_or_else(|| self.steering.choose(view))
    }
}

impl<T> Record<T> {
    /// What was chosen at a step.
    fn chosen(&self, step: usize) -> Option<Answer> {
        match (self.execution.schedule.get(step), &self.execution.ending) {
            (Some(choice), _) => Some(Ok(*choice)),
            (None, Ending::Cut(cut)) => Some(Err(*cut)),
            (None, _) => None,
        }
    }

    /// Lets a strategy choose on what is recorded, step by step.
    ///
    /// # Errors
    /// What it answered, where its last answer is not what is recorded: this is not the execution that it wants.
    pub(super) fn play(
        &self,
        steering: &mut Steering<'_, dyn Strategy + '_>,
        strict: bool,
    ) -> Result<(), Vec<Answer>> {
        let mut processes = Vec::new();
        let mut answers = Vec::new();
        for (step, changes) in self.views.changes.iter().enumerate() {
            for change in changes {
                apply(&mut processes, change);
            }
            let answer =
                steering.choose(View { trace: &self.execution.trace[..step], processes: &processes });
            answers.push(answer);
            if strict && Some(answer) != self.chosen(step) {
                return Err(answers);
            }
        }
        Ok(())
    }
}
