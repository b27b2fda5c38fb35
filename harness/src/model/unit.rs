//! Units: what must look indivisible. By default a whole process; a process may be a sequence of them.

use std::fmt;

use super::{Call, Event, ProcessId};

/// What begins a unit of a process that is not its first. These are steps like others, but no system calls: they touch nothing that
/// is shared.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Begins {
    /// The next line of its standard input is given to it.
    Request,
    /// Its standard input ends.
    End,
    /// The next of its commands is started.
    Command,
    /// It has said that a unit ends here.
    Mark,
}

impl Begins {
    /// What stands in the place of a system call's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::End => "end of input",
            Self::Command => "command",
            Self::Mark => "unit",
        }
    }
}

impl Call {
    /// The step that begins a unit; `detail` is what it begins with.
    #[must_use]
    pub fn beginning(begins: Begins, detail: String) -> Self {
        Self { name: begins.name().to_owned(), detail, ..Self::default() }
    }

    /// Which unit it begins, if it is no system call but the beginning of one.
    #[must_use]
    pub fn begins(&self) -> Option<Begins> {
        [Begins::Request, Begins::End, Begins::Command, Begins::Mark]
            .into_iter()
            .find(|begins| begins.name() == self.name)
    }
}

/// A unit, as it shows in a trace.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Unit {
    /// Whose.
    pub process: ProcessId,
    /// Its place among those of its process, from 0.
    pub number: usize,
    /// What began it; nothing of what a process does first.
    pub begins: Option<Begins>,
    /// The place of the command that it belongs to among those of its process, from 0: what a process remembers, it remembers
    /// within one.
    pub command: usize,
    /// How many units of its kind its process has had, itself included.
    ordinal: usize,
    /// Of a process's first: what the others are, if there are any.
    others: Option<Begins>,
}

impl fmt::Display for Unit {
    /// `A, request 2`; `A` of a process that is one unit.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { process, ordinal, .. } = self;
        match (self.begins, self.others) {
            (None, None) => write!(f, "{process}"),
            (None, Some(Begins::Request | Begins::End)) => write!(f, "{process}, start-up"),
            (None, Some(Begins::Command)) => write!(f, "{process}, command 1"),
            (None, Some(Begins::Mark)) => write!(f, "{process}, unit 1"),
            (Some(Begins::Request), _) => write!(f, "{process}, request {ordinal}"),
            (Some(Begins::End), _) => write!(f, "{process}, end of input"),
            (Some(Begins::Command), _) => write!(f, "{process}, command {}", ordinal + 1),
            (Some(Begins::Mark), _) => write!(f, "{process}, unit {}", ordinal + 1),
        }
    }
}

/// The units of a trace.
#[derive(Clone, Debug)]
pub struct Units {
    units: Vec<Unit>,
    /// Of each step, the place of its unit.
    of: Vec<usize>,
}

impl Units {
    /// Those of a whole trace.
    #[must_use]
    pub fn of(trace: &[Event]) -> Self {
        let mut found = Self { units: Vec::new(), of: Vec::new() };
        for event in trace {
            let begins = event.operation.call.begins();
            let last = found.units.iter().rposition(|unit| unit.process == event.process);
            match (last, begins) {
                (Some(last), None) => found.of.push(last),
                _ => {
                    let unit = found.next(event.process, begins);
                    found.units.push(unit);
                    found.of.push(found.units.len() - 1);
                }
            }
        }
        found
    }

    fn next(&mut self, process: ProcessId, begins: Option<Begins>) -> Unit {
        if let Some(first) = self.units.iter_mut().find(|unit| unit.process == process) {
            first.others = first.others.or(begins);
        }
        let own: Vec<&Unit> = self.units.iter().filter(|unit| unit.process == process).collect();
        let commands = usize::from(begins == Some(Begins::Command));
        Unit {
            process,
            number: own.len(),
            begins,
            command: own.last().map_or(0, |unit| unit.command) + commands,
            ordinal: 1 + own.iter().filter(|unit| unit.begins == begins).count(),
            others: None,
        }
    }

    /// The unit that a step is of.
    ///
    /// # Panics
    /// Where the trace has no such step.
    #[must_use]
    pub fn at(&self, step: usize) -> &Unit {
        &self.units[self.of[step]]
    }

    /// The place of the unit that a step is of, among [`all`](Self::all).
    ///
    /// # Panics
    /// Where the trace has no such step.
    #[must_use]
    pub fn place(&self, step: usize) -> usize {
        self.of[step]
    }

    /// All units, in the order of their first steps.
    #[must_use]
    pub fn all(&self) -> &[Unit] {
        &self.units
    }

    /// Whether some process is more than one unit.
    #[must_use]
    pub fn are_several(&self) -> bool {
        self.units.iter().any(|unit| unit.number > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::{Begins, Units};
    use crate::model::{Call, CallResult, Event, Operation, ProcessId};

    fn event(process: usize, call: Call) -> Event {
        Event {
            process: ProcessId(process),
            task: String::new(),
            operation: Operation { call, ..Operation::default() },
            result: CallResult::Value(0),
            exit: None,
            payload: None,
        }
    }

    #[test]
    fn units_are_named_by_what_begins_them() {
        let plain = || Call { name: "read".into(), ..Call::default() };
        let begin = |begins| Call::beginning(begins, String::new());
        let trace: Vec<Event> = [
            (0, plain()),
            (1, begin(Begins::Request)),
            (0, begin(Begins::Request)),
            (1, plain()),
            (0, begin(Begins::Request)),
            (0, begin(Begins::End)),
            (2, plain()),
            (3, plain()),
            (3, begin(Begins::Command)),
            (3, begin(Begins::Mark)),
            (1, begin(Begins::End)),
        ]
        .into_iter()
        .map(|(process, call)| event(process, call))
        .collect();
        let units = Units::of(&trace);
        let names: Vec<String> = units.all().iter().map(ToString::to_string).collect();
        let wanted = [
            "A, start-up",
            "B, request 1",
            "A, request 1",
            "A, request 2",
            "A, end of input",
            "C",
            "D, command 1",
            "D, command 2",
            "D, unit 2",
            "B, end of input",
        ];
        assert_eq!(names, wanted);
        assert_eq!((units.place(3), units.at(9).command), (1, 1));
        assert!(units.are_several());
        assert!(!Units::of(&trace[..2]).are_several());
    }
}
