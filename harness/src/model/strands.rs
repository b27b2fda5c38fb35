use super::access::{Access, Location};
use super::execution::{Choice, Ending, Event, Execution, Waiting};
use super::process::ProcessId;

/// What is scheduled by itself: each process as a whole, or each of its tasks (threads and children).
///
/// A search knows nothing of tasks. Where their order is explored, each is a *strand*, and to the search a process like others; all
/// operations of the strands of one process change its [`Location::Tasks`], because nobody sees what tasks do to each other in
/// memory. So the order of two of them is never taken for irrelevant. Strand number 0 of a process has its number, so that
/// nothing is different where each process is one strand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Strands {
    processes: usize,
    each: usize,
}

/// How many strands a process has whose tasks are explored: one for each of its tasks, in the order in which they are made (the last
/// of these for all that are more), and one for what it does as a whole.
const EACH: usize = 16;

impl Strands {
    /// Each process is one.
    #[must_use]
    pub fn whole(processes: usize) -> Self {
        Self { processes, each: 1 }
    }

    /// Each task is one.
    #[must_use]
    pub fn of_tasks(processes: usize) -> Self {
        Self { processes, each: EACH }
    }

    /// Whether tasks are strands.
    #[must_use]
    pub fn are_tasks(self) -> bool {
        self.each > 1
    }

    /// How many there are.
    #[must_use]
    pub fn count(self) -> usize {
        self.processes * self.each
    }

    /// How many each process has.
    #[must_use]
    pub fn each(self) -> usize {
        self.each
    }

    /// How many tasks of a process have a strand of their own.
    #[must_use]
    pub fn most_tasks(self) -> usize {
        self.each.saturating_sub(2)
    }

    /// The strand with this number, of this process.
    #[must_use]
    pub fn of(self, process: usize, number: usize) -> ProcessId {
        ProcessId(process + self.processes * number)
    }

    /// That of the task which was made as this one of its process, from 0.
    #[must_use]
    pub fn of_task(self, process: usize, task: usize) -> ProcessId {
        self.of(process, task.min(self.most_tasks()))
    }

    /// That of what a process does as a whole, where it has more than one task.
    #[must_use]
    pub fn of_whole(self, process: usize) -> ProcessId {
        self.of(process, self.each - 1)
    }

    /// The process that a strand is of.
    #[must_use]
    pub fn process(self, strand: ProcessId) -> ProcessId {
        ProcessId(strand.0 % self.processes.max(1))
    }

    /// Which of the strands of its process a strand is.
    #[must_use]
    pub fn number(self, strand: ProcessId) -> usize {
        strand.0 / self.processes.max(1)
    }

    /// What people and recordings call a strand: `A`, and of the others of its process `A.1`, `A.2`, …
    #[must_use]
    pub fn name(self, strand: ProcessId) -> String {
        match self.number(strand) {
            0 => strand.to_string(),
            number => format!("{}.{number}", self.process(strand)),
        }
    }

    /// The strand that is called so.
    ///
    /// # Errors
    /// What is wrong with the name.
    pub fn named(self, name: &str) -> Result<ProcessId, String> {
        let (process, number) = name.split_once('.').unwrap_or((name, "0"));
        let process: ProcessId = process.parse()?;
        match number.parse() {
            Ok(number) if process.0 < self.processes && number < self.each => Ok(self.of(process.0, number)),
            _ => Err(format!("`{name}` names no process or task of this scenario")),
        }
    }

    /// What each operation of a strand changes besides what it says.
    #[must_use]
    pub fn touch(self, process: usize) -> Option<Access> {
        self.are_tasks().then(|| Access::write(Location::Tasks(ProcessId(process))))
    }

    /// An execution of strands as one of processes: as people and oracles see it.
    #[must_use]
    pub fn execution(self, execution: &Execution) -> Execution {
        let schedule = execution.schedule.iter().map(|choice| {
            let Choice::Process(strand) = choice;
            Choice::Process(self.process(*strand))
        });
        let trace = execution.trace.iter().map(|event| self.event(event.clone()));
        let ending = match &execution.ending {
            Ending::Blocked(waiting) => Ending::Blocked(self.waiting(waiting)),
            ending => ending.clone(),
        };
        let outcome = execution.outcome.clone();
        Execution { schedule: schedule.collect(), trace: trace.collect(), ending, outcome }
    }

    fn event(self, mut event: Event) -> Event {
        event.process = self.process(event.process);
        event.operation.accesses.retain(|access| !matches!(access.location, Location::Tasks(_)));
        event
    }

    /// Of each process one that waits: for others, if there is such a one.
    fn waiting(self, waiting: &[Waiting]) -> Vec<Waiting> {
        let mut of_processes: Vec<Waiting> = Vec::new();
        let mut all: Vec<Waiting> = waiting.to_vec();
        all.sort_by_key(|waiting| (self.process(waiting.process), waiting.is_stuck(), waiting.process));
        for mut waiting in all {
            waiting.process = self.process(waiting.process);
            waiting.operation.accesses.retain(|access| !matches!(access.location, Location::Tasks(_)));
            if of_processes.last().is_none_or(|last| last.process != waiting.process) {
                of_processes.push(waiting);
            }
        }
        of_processes
    }
}

#[cfg(test)]
mod tests {
    use super::Strands;
    use crate::model::ProcessId;

    #[test]
    fn strands_lead_back_to_their_processes() {
        let strands = Strands::of_tasks(3);
        for process in 0..3 {
            assert_eq!(strands.of_task(process, 0), ProcessId(process));
            for task in [0, 1, 13, 14, 15, 99] {
                assert_eq!(strands.process(strands.of_task(process, task)), ProcessId(process));
            }
            assert_eq!(strands.number(strands.of_task(process, 99)), 14);
            assert_eq!(strands.number(strands.of_whole(process)), 15);
        }
        assert_eq!(strands.count(), 48);
        for strand in (0..48).map(ProcessId) {
            assert_eq!(strands.named(&strands.name(strand)), Ok(strand));
        }
        assert_eq!((strands.name(ProcessId(1)), strands.name(ProcessId(4))), ("B".into(), "B.1".into()));
        for bad in ["D", "A.16", "A.x", "A.", "a"] {
            assert!(strands.named(bad).is_err(), "{bad}");
        }
        assert_eq!(Strands::whole(3).process(ProcessId(2)), ProcessId(2));
    }
}
