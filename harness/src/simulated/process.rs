use super::program::{Expr, Instruction, Program, REGISTERS, Register};
use super::world::initial;
use crate::model::ObjectId;

/// Where a scripted process stands.
#[derive(Clone, Debug)]
pub(super) struct Process<'p> {
    program: &'p Program,
    at: usize,
    registers: [i64; REGISTERS],
    descriptors: Vec<ObjectId>,
    operations: u32,
    /// Whether it has looked at what it is about to wait for a change of.
    looked: bool,
    /// The signal that it has to take: whether it kills.
    signal: Option<bool>,
}

impl<'p> Process<'p> {
    /// A process that has come to its first operation, with descriptors of the first `objects` initial objects.
    pub(super) fn new(program: &'p Program, objects: usize) -> Self {
        let descriptors = (0..objects).map(initial).collect();
        let registers = [0; REGISTERS];
        let (operations, looked, signal) = (0, false, None);
        let mut process = Self { program, at: 0, registers, descriptors, operations, looked, signal };
        process.compute();
        process
    }

    /// The operation that it is held at; `None` where it is over.
    pub(super) fn instruction(&self) -> Option<&'p Instruction> {
        self.program.get(self.at)
    }

    /// Gives it a signal to take; one that kills comes before the others.
    pub(super) fn give_signal(&mut self, kills: bool) {
        self.signal = Some(kills || self.signal == Some(true));
    }

    /// Whether it has a signal to take, and whether that kills.
    pub(super) fn signal(&self) -> Option<bool> {
        self.signal
    }

    /// Takes the signal.
    pub(super) fn take_signal(&mut self) {
        self.operations += 1;
        // Where it waited, it looks again.
        self.looked = false;
        match self.signal.take() {
            Some(true) => self.at = usize::MAX,
            _ => self.registers[REGISTERS - 1] = 1,
        }
    }

    /// Whether it has looked at what it waits for a change of.
    pub(super) fn has_looked(&self) -> bool {
        self.looked
    }

    /// How many operations it has done.
    pub(super) fn operations(&self) -> u32 {
        self.operations
    }

    pub(super) fn registers(&self) -> &[i64; REGISTERS] {
        &self.registers
    }

    pub(super) fn value(&self, expr: &Expr) -> i64 {
        expr.value(&self.registers)
    }

    /// The object behind a descriptor; `None` for a number that is none, as after an open that failed.
    pub(super) fn object(&self, descriptor: &Expr) -> Option<ObjectId> {
        self.descriptors.get(usize::try_from(self.value(descriptor)).ok()?).copied()
    }

    /// The descriptor that the next open gives.
    pub(super) fn next_descriptor(&self) -> i64 {
        i64::try_from(self.descriptors.len()).expect("a handful of descriptors")
    }

    /// Keeps what its operation gave back, and goes on to the next one.
    pub(super) fn complete(&mut self, result: i64, into: Option<Register>, opened: Option<ObjectId>) {
        if let Some(register) = into {
            self.registers[usize::from(register)] = result;
        }
        self.descriptors.extend(opened);
        self.operations += 1;
        self.looked = !self.looked && matches!(self.instruction(), Some(Instruction::Await { .. }));
        self.at = match self.instruction() {
            Some(Instruction::Exit) => usize::MAX,
            _ if self.looked => self.at,
            _ => self.at + 1,
        };
        self.compute();
    }

    /// Does the local instructions up to the next operation.
    fn compute(&mut self) {
        loop {
            match self.instruction() {
                Some(Instruction::Set { into, value }) => {
                    self.registers[usize::from(*into)] = self.value(value);
                    self.at += 1;
                }
                Some(Instruction::Jump { left, is, right, to }) => {
                    let holds = self.value(left).cmp(&self.value(right)) == *is;
                    self.at = if holds { *to } else { self.at + 1 };
                }
                _ => break,
            }
        }
    }
}
