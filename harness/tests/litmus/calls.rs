//! From steps of the model to steps of one system call each.

use cooks_harness::simulated::{Instruction, Program, Register, reg, set};

/// Where the descriptor is kept of a file that is opened for one access.
const OPENED: Register = 7;

/// The same program in instructions that are one call each. It ends by an exit of its own where it takes a lock: that gives it back.
pub fn calls(program: &Program) -> Program {
    let parts: Vec<Program> = program.iter().map(parts).collect();
    let begins_at = |at: usize| parts[..at.min(parts.len())].iter().map(Vec::len).sum();
    let mut all: Program = parts.concat();
    for instruction in &mut all {
        if let Instruction::Jump { to, .. } = instruction {
            *to = begins_at(*to);
        }
    }
    if all.iter().any(|it| matches!(it, Instruction::Lock { .. } | Instruction::TryLock { .. })) {
        all.push(Instruction::Exit);
    }
    all
}

/// A file's number is replaced as a whole by one write: to set it, the file is not truncated.
fn parts(instruction: &Instruction) -> Program {
    use Instruction as I;
    match instruction.clone() {
        I::ReadName { name, into } => vec![
            set(into, -1),
            I::Open { name, create: false, truncate: false, into: OPENED },
            I::Load { file: reg(OPENED), into },
        ],
        I::WriteName { name, value } => vec![
            I::Open { name, create: true, truncate: false, into: OPENED },
            I::Store { file: reg(OPENED), value },
        ],
        other => vec![other],
    }
}
