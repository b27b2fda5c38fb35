//! Short constructors of instructions, for tests that read like the programs they stand for.

use std::cmp::Ordering;

use super::program::{Expr, Instruction, Name, Register};
use crate::model::LockMode;

/// Computes.
#[must_use]
pub fn set(into: Register, value: impl Into<Expr>) -> Instruction {
    Instruction::Set { into, value: value.into() }
}

/// Goes on at instruction `to` if the two are equal.
#[must_use]
pub fn jump_if(left: impl Into<Expr>, right: impl Into<Expr>, to: usize) -> Instruction {
    Instruction::Jump { left: left.into(), is: Ordering::Equal, right: right.into(), to }
}

/// Goes on at instruction `to` if the first is less.
#[must_use]
pub fn jump_if_less(left: impl Into<Expr>, right: impl Into<Expr>, to: usize) -> Instruction {
    Instruction::Jump { left: left.into(), is: Ordering::Less, right: right.into(), to }
}

/// Reads by descriptor.
#[must_use]
pub fn load(file: impl Into<Expr>, into: Register) -> Instruction {
    Instruction::Load { file: file.into(), into }
}

/// Reads by descriptor, and waits for a change of any of these.
#[must_use]
pub fn await_change(files: &[Expr], into: Register) -> Instruction {
    Instruction::Await { files: files.to_vec(), into }
}

/// Writes by descriptor.
#[must_use]
pub fn store(file: impl Into<Expr>, value: impl Into<Expr>) -> Instruction {
    Instruction::Store { file: file.into(), value: value.into() }
}

/// Adds 1, indivisibly.
#[must_use]
pub fn increment(file: impl Into<Expr>) -> Instruction {
    Instruction::Increment { file: file.into() }
}

/// Takes a lock exclusively, waiting for it.
#[must_use]
pub fn lock(file: impl Into<Expr>) -> Instruction {
    Instruction::Lock { file: file.into(), mode: LockMode::Exclusive }
}

/// Takes a lock shared, waiting for it.
#[must_use]
pub fn lock_shared(file: impl Into<Expr>) -> Instruction {
    Instruction::Lock { file: file.into(), mode: LockMode::Shared }
}

/// Takes a lock exclusively if it can be had now.
#[must_use]
pub fn try_lock(file: impl Into<Expr>, into: Register) -> Instruction {
    Instruction::TryLock { file: file.into(), mode: LockMode::Exclusive, into }
}

/// Takes a lock shared if it can be had now.
#[must_use]
pub fn try_lock_shared(file: impl Into<Expr>, into: Register) -> Instruction {
    Instruction::TryLock { file: file.into(), mode: LockMode::Shared, into }
}

/// Takes a record lock, waiting for it, unless that closes a cycle.
#[must_use]
pub fn record_lock(file: impl Into<Expr>, mode: LockMode, into: Register) -> Instruction {
    Instruction::RecordLock { file: file.into(), mode, into }
}

/// Gives a lock back.
#[must_use]
pub fn unlock(file: impl Into<Expr>) -> Instruction {
    Instruction::Unlock { file: file.into() }
}

/// Opens the end of a file that sends through it.
#[must_use]
pub fn open_end(file: impl Into<Expr>) -> Instruction {
    Instruction::SendingEnd { file: file.into(), opens: true }
}

/// Closes it.
#[must_use]
pub fn close_end(file: impl Into<Expr>) -> Instruction {
    Instruction::SendingEnd { file: file.into(), opens: false }
}

/// Sends a number through a file.
#[must_use]
pub fn send(file: impl Into<Expr>, value: impl Into<Expr>) -> Instruction {
    Instruction::Send { file: file.into(), value: value.into() }
}

/// Takes up to so many numbers that were sent through a file.
#[must_use]
pub fn receive(file: impl Into<Expr>, most: usize, into: Register) -> Instruction {
    Instruction::Receive { file: file.into(), most, into }
}

/// Waits until something can be received from a file.
#[must_use]
pub fn poll(file: impl Into<Expr>, into: Register) -> Instruction {
    Instruction::Poll { file: file.into(), into }
}

/// `open(O_CREAT|O_EXCL)`.
#[must_use]
pub fn create(name: impl Into<Name>, into: Register) -> Instruction {
    Instruction::Create { name: name.into(), into }
}

/// Opens what is there.
#[must_use]
pub fn open(name: impl Into<Name>, into: Register) -> Instruction {
    Instruction::Open { name: name.into(), create: false, truncate: false, into }
}

/// `open(O_CREAT|O_TRUNC)`.
#[must_use]
pub fn open_truncate(name: impl Into<Name>, into: Register) -> Instruction {
    Instruction::Open { name: name.into(), create: true, truncate: true, into }
}

/// Opens and reads, as one step.
#[must_use]
pub fn read_name(name: impl Into<Name>, into: Register) -> Instruction {
    Instruction::ReadName { name: name.into(), into }
}

/// `open(O_CREAT|O_TRUNC)` and write, as one step.
#[must_use]
pub fn write_name(name: impl Into<Name>, value: impl Into<Expr>) -> Instruction {
    Instruction::WriteName { name: name.into(), value: value.into() }
}

/// Sends a signal.
#[must_use]
pub fn signal(to: usize, kills: bool, into: Register) -> Instruction {
    Instruction::Signal { to, kills, into }
}

/// Whether a process is over.
#[must_use]
pub fn is_over(process: usize, into: Register) -> Instruction {
    Instruction::IsOver { process, into }
}

/// Removes a name.
#[must_use]
pub fn unlink(name: impl Into<Name>, into: Register) -> Instruction {
    Instruction::Unlink { name: name.into(), into }
}

/// Renames, over what is there.
#[must_use]
pub fn rename(from: impl Into<Name>, to: impl Into<Name>, into: Register) -> Instruction {
    Instruction::Rename { from: from.into(), to: to.into(), into }
}

/// Whether a name is there.
#[must_use]
pub fn stat(name: impl Into<Name>, into: Register) -> Instruction {
    Instruction::Stat { name: name.into(), into }
}

/// A number that stands for the set of names.
#[must_use]
pub fn list(into: Register) -> Instruction {
    Instruction::List { into }
}
