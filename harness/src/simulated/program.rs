use std::cmp::Ordering;
use std::ops::{Add, Mul, Rem};

use crate::model::LockMode;

/// The number of a register; each process has [`REGISTERS`] of them, zero at first.
pub type Register = u8;

/// How many registers a process has.
pub const REGISTERS: usize = 8;

/// A number that a process computes from its registers, without touching anything shared.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Expr {
    /// This number.
    Value(i64),
    /// What a register holds.
    Register(Register),
    /// The sum of two.
    Sum(Box<(Expr, Expr)>),
    /// The product of two.
    Product(Box<(Expr, Expr)>),
    /// What is left when the first is divided by the second, never negative.
    Remainder(Box<(Expr, Expr)>),
}

impl Expr {
    /// Its value where the registers hold this.
    #[must_use]
    pub fn value(&self, registers: &[i64; REGISTERS]) -> i64 {
        match self {
            Self::Value(value) => *value,
            Self::Register(register) => registers[usize::from(*register)],
            Self::Sum(of) => of.0.value(registers).wrapping_add(of.1.value(registers)),
            Self::Product(of) => of.0.value(registers).wrapping_mul(of.1.value(registers)),
            Self::Remainder(of) => of.0.value(registers).rem_euclid(of.1.value(registers)),
        }
    }
}

impl From<i64> for Expr {
    fn from(value: i64) -> Self {
        Self::Value(value)
    }
}

impl<T: Into<Expr>> Add<T> for Expr {
    type Output = Self;

    fn add(self, other: T) -> Self {
        Self::Sum(Box::new((self, other.into())))
    }
}

impl<T: Into<Expr>> Mul<T> for Expr {
    type Output = Self;

    fn mul(self, other: T) -> Self {
        Self::Product(Box::new((self, other.into())))
    }
}

impl<T: Into<Expr>> Rem<T> for Expr {
    type Output = Self;

    fn rem(self, other: T) -> Self {
        Self::Remainder(Box::new((self, other.into())))
    }
}

/// What a register holds.
#[must_use]
pub fn reg(register: Register) -> Expr {
    Expr::Register(register)
}

/// A name in the workspace's one directory: a stem, and a computed number after it where there is one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Name {
    /// The fixed part.
    pub stem: String,
    /// The computed part.
    pub number: Option<Expr>,
}

impl From<&str> for Name {
    fn from(stem: &str) -> Self {
        Self { stem: stem.to_owned(), number: None }
    }
}

impl Name {
    /// A stem with a computed number after it.
    #[must_use]
    pub fn numbered(stem: &str, number: impl Into<Expr>) -> Self {
        Self { stem: stem.to_owned(), number: Some(number.into()) }
    }

    /// The name where the registers hold this.
    #[must_use]
    pub fn text(&self, registers: &[i64; REGISTERS]) -> String {
        match &self.number {
            Some(number) => format!("{}{}", self.stem, number.value(registers)),
            None => self.stem.clone(),
        }
    }
}

/// One instruction of a scripted process. All but [`Set`](Self::Set) and [`Jump`](Self::Jump) are operations: one step each, and
/// [`Await`](Self::Await) two.
///
/// A *descriptor* is a number: `0..n` are the initial objects, open in every process from the start (0 is the directory itself);
/// an open gives the next free one. A file holds one number. `into` receives the result: what was read, 1 for done, -1 for
/// an error.
#[derive(Clone, PartialEq, Eq, Debug)]
#[allow(missing_docs, reason = "the fields are what the variant's line says")]
pub enum Instruction {
    /// Computes.
    Set { into: Register, value: Expr },
    /// Goes on at instruction `to` if `left` compares so to `right`; past the end is the end of the process.
    Jump { left: Expr, is: Ordering, right: Expr, to: usize },
    /// Reads a file by descriptor.
    Load { file: Expr, into: Register },
    /// Reads files by descriptor, all at once (the result is the sum), and then waits until another process has changed one of them.
    Await { files: Vec<Expr>, into: Register },
    /// Writes a file by descriptor.
    Store { file: Expr, value: Expr },
    /// Adds 1 to what a file holds, indivisibly.
    Increment { file: Expr },
    /// Takes the lock of a file, waiting for it.
    Lock { file: Expr, mode: LockMode },
    /// Takes the lock of a file if it can be had now.
    TryLock { file: Expr, mode: LockMode, into: Register },
    /// Takes the record lock of a file, waiting for it, unless that closes a cycle of processes that wait for record locks: then the result
    /// is -1. If the process holds the lock already, its mode is changed.
    RecordLock { file: Expr, mode: LockMode, into: Register },
    /// Gives the locks of a file back.
    Unlock { file: Expr },
    /// Opens the end of a file that sends through it, or closes it.
    SendingEnd { file: Expr, opens: bool },
    /// Sends a number through a file whose end it has open.
    Send { file: Expr, value: Expr },
    /// Takes up to so many of the numbers sent through a file, and gives their sum; where there are none it waits for one, or until
    /// nobody has the sending end open: then 0.
    Receive { file: Expr, most: usize, into: Register },
    /// Waits until something can be received from a file, or nobody has the sending end open, and takes nothing.
    Poll { file: Expr, into: Register },
    /// `open(O_CREAT|O_EXCL)`.
    Create { name: Name, into: Register },
    /// Opens a file for its descriptor: -1 where there is none; `create` makes it then; `truncate` leaves 0 in it.
    Open { name: Name, create: bool, truncate: bool, into: Register },
    /// Opens a file and reads it, as one step: -1 where there is none.
    ReadName { name: Name, into: Register },
    /// `open(O_CREAT|O_TRUNC)` and write, as one step.
    WriteName { name: Name, value: Expr },
    /// Removes a name.
    Unlink { name: Name, into: Register },
    /// Renames, over what is there.
    Rename { from: Name, to: Name, into: Register },
    /// Whether a name is there.
    Stat { name: Name, into: Register },
    /// A number that stands for the set of names.
    List { into: Register },
    /// Sends a signal to the process in a place; -1 where that is over. It is taken in a step of the other one's own, before anything
    /// else that it does: the process ends, or goes on with its last register set to 1.
    Signal { to: usize, kills: bool, into: Register },
    /// Whether the process in a place is over.
    IsOver { process: usize, into: Register },
    /// Ends the process in a step of its own that gives its locks back.
    Exit,
}

/// The script of a process. It ends with its last operation, in the same step; locks that it still holds then stay held.
pub type Program = Vec<Instruction>;
