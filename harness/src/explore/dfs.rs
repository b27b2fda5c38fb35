use super::Strategy;
use crate::model::{Choice, Cut, Execution, ProcessId, View};

/// Every schedule, in lexicographic order: the reference that the other strategies are held against.
#[derive(Clone, Debug, Default)]
pub struct Dfs {
    /// For each step of the execution: the processes that are still to be chosen there, the present one last.
    stack: Vec<Vec<ProcessId>>,
    begun: bool,
}

impl Dfs {
    /// An exploration from the start.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl Strategy for Dfs {
    fn begin(&mut self) -> bool {
        if !self.begun {
            self.begun = true;
            return true;
        }
        while let Some(left) = self.stack.last_mut() {
            left.pop();
            if !left.is_empty() {
                return true;
            }
            self.stack.pop();
        }
        false
    }

    fn choose(&mut self, view: View<'_>) -> Result<Choice, Cut> {
        let step = view.trace.len();
        if step == self.stack.len() {
            let mut left: Vec<ProcessId> = view.enabled().collect();
            left.reverse();
            self.stack.push(left);
        }
        let process = self.stack[step].last().copied().expect("a step on the stack has a choice left");
        Ok(Choice::Process(process))
    }

    fn end(&mut self, _execution: &Execution) {}

    fn is_exhaustive(&self) -> bool {
        true
    }
}
