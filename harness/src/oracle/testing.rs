//! Hand-made executions, for the tests of this folder and of the reports.

use crate::model::{
    Access, Acquisition, Call, CallResult, Choice, Ending, Entry, Event, Execution, Exit, Location, LockMode,
    ObjectId, Operation, Outcome, Payload, ProcessId, Tree, Waiting,
};
use crate::oracle::{Aborts, Normalize, Order, SerialOutcomes, SerialRun, orders};

/// An execution in the making. Steps that name files carry what the tracer would record under `Detail::Evidence`.
#[derive(Clone)]
pub struct Script {
    trace: Vec<Event>,
    outcome: Outcome,
    ending: Ending,
}

impl Script {
    pub fn new(processes: usize) -> Self {
        let outcome = Outcome {
            exits: vec![Some(Exit::Status(0)); processes],
            stdout: vec![Vec::new(); processes],
            ..Outcome::default()
        };
        Self { trace: Vec::new(), outcome, ending: Ending::Complete }
    }

    fn push(mut self, process: usize, call: Call, result: CallResult) -> Self {
        let operation = Operation { call, ..Operation::default() };
        let process = ProcessId(process);
        self.trace.push(Event { process, task: String::new(), operation, result, exit: None, payload: None });
        self
    }

    fn last(&mut self) -> &mut Event {
        self.trace.last_mut().unwrap()
    }

    /// An access to one byte of file N, for the conflict graph: `r1`, `w2`.
    pub fn touch(self, process: usize, what: &str) -> Self {
        let object = ObjectId::Initial(what[1..].parse().unwrap());
        let data = Location::Data { object, start: 0, end: 1 };
        let access = if what.starts_with('r') { Access::read(data) } else { Access::write(data) };
        let mut script = self.call(process, "read", what, "");
        script.last().operation.accesses.push(access);
        script
    }

    pub fn call(self, process: usize, name: &str, path: &str, detail: &str) -> Self {
        let call = Call { name: name.into(), path: Some(path.into()), target: None, detail: detail.into() };
        self.push(process, call, CallResult::Value(0))
    }

    /// The last call failed.
    pub fn error(mut self, name: &str) -> Self {
        self.last().result = CallResult::Error(name.into());
        self
    }

    pub fn open(self, process: usize, path: &str, detail: &str) -> Self {
        self.call(process, "openat", path, detail)
    }

    pub fn read(self, process: usize, path: &str, bytes: &str) -> Self {
        self.moved(process, "read", path, 0, bytes)
    }

    pub fn write_at(self, process: usize, path: &str, offset: u64, bytes: &str) -> Self {
        self.moved(process, "write", path, offset, bytes)
    }

    pub fn write(self, process: usize, path: &str, bytes: &str) -> Self {
        self.write_at(process, path, 0, bytes)
    }

    fn moved(self, process: usize, name: &str, path: &str, offset: u64, bytes: &str) -> Self {
        let mut script = self.call(process, name, path, &format!("{} bytes at {offset}", bytes.len()));
        let event = script.last();
        event.result = CallResult::Value(i64::try_from(bytes.len()).unwrap());
        let bytes = bytes.as_bytes().to_vec();
        event.payload = Some(Payload { path: path.into(), written: name == "write", offset, bytes });
        script
    }

    pub fn rename(self, process: usize, from: &str, to: &str) -> Self {
        let mut script = self.call(process, "rename", from, "");
        script.last().operation.call.target = Some(to.into());
        script
    }

    /// Takes an exclusive `flock` on a file; locks are told apart by their number.
    pub fn lock(self, process: usize, path: &str, number: u32) -> Self {
        let mut script = self.call(process, "flock", path, "exclusive");
        script.last().operation.acquires = Some(acquisition(number));
        script.last().operation.accesses.push(Access::write(Location::Lock(ObjectId::Initial(number))));
        script
    }

    /// Waits, at the end, for a lock that another holds.
    pub fn waits(self, process: usize, path: &str, number: u32, holders: &[usize]) -> Self {
        let call = Call { name: "flock".into(), detail: "exclusive".into(), ..Call::default() };
        let operation = Operation { call, acquires: Some(acquisition(number)), ..Operation::default() };
        self.waits_at(process, path, operation, holders)
    }

    /// Waits, at the end, for what this path is of.
    pub fn waits_at(
        mut self,
        process: usize,
        path: &str,
        mut operation: Operation,
        holders: &[usize],
    ) -> Self {
        operation.call.path = Some(path.into());
        let holders = holders.iter().copied().map(ProcessId).collect();
        let waiting = Waiting { process: ProcessId(process), operation, holders };
        self.outcome.exits[process] = None;
        match &mut self.ending {
            Ending::Blocked(all) => all.push(waiting),
            ending => *ending = Ending::Blocked(vec![waiting]),
        }
        self
    }

    pub fn ending(mut self, ending: Ending) -> Self {
        self.ending = ending;
        self
    }

    pub fn exit(mut self, process: usize, exit: Exit) -> Self {
        self.outcome.exits[process] = Some(exit);
        self
    }

    /// The last step was the process's last.
    pub fn exits(mut self, process: usize, exit: Exit) -> Self {
        self.last().exit = Some(exit);
        self.exit(process, exit)
    }

    pub fn prints(mut self, process: usize, text: &str) -> Self {
        self.outcome.stdout[process] = text.as_bytes().to_vec();
        self
    }

    pub fn leaves(mut self, path: &str, content: &str) -> Self {
        self.outcome.tree.insert(path.into(), file(content));
        self
    }

    pub fn outcome(&self) -> Outcome {
        self.outcome.clone()
    }

    pub fn execution(&self) -> Execution {
        let schedule = self.trace.iter().map(|event| Choice::Process(event.process)).collect();
        let (trace, ending, outcome) = (self.trace.clone(), self.ending.clone(), self.outcome.clone());
        Execution { schedule, trace, ending, outcome }
    }
}

fn acquisition(number: u32) -> Acquisition {
    Acquisition { lock: Location::Lock(ObjectId::Initial(number)), mode: LockMode::Exclusive, blocking: true }
}

pub fn file(content: &str) -> Entry {
    Entry::File { mode: 0o644, content: content.as_bytes().to_vec() }
}

pub fn tree(files: &[(&str, &str)]) -> Tree {
    files.iter().map(|(path, content)| ((*path).to_owned(), file(content))).collect()
}

/// Serial outcomes of two processes: those of A B and of B A.
pub fn serial_of_two(ab: Outcome, ba: Outcome) -> SerialOutcomes {
    let mut serial = SerialOutcomes::new(Aborts::Fail, Normalize::default());
    for (order, outcome) in orders(2).into_iter().zip([ab, ba]) {
        serial.push(SerialRun { order, outcome });
    }
    serial.complete = true;
    serial
}

pub fn shown_orders(orders: &[Order]) -> Vec<String> {
    orders.iter().map(|order| order.processes.iter().map(ToString::to_string).collect()).collect()
}
