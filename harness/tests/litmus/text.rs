//! A program as the words that `program.c` takes: one argument for each instruction, numbers in prefix notation.

use std::cmp::Ordering;

use cooks_harness::model::LockMode;
use cooks_harness::simulated::{Expr, Instruction, Name, Program};

/// The arguments of a process that runs this program in a workspace of so many initial objects.
pub fn arguments(program: &Program, objects: usize) -> Vec<String> {
    [objects.to_string()].into_iter().chain(program.iter().map(instruction)).collect()
}

fn instruction(instruction: &Instruction) -> String {
    use Instruction as I;
    match instruction {
        I::Set { into, value } => format!("set {into} {}", number(value)),
        I::Jump { left, is, right, to } => {
            let is = match is {
                Ordering::Less => "less",
                Ordering::Equal => "equal",
                Ordering::Greater => "greater",
            };
            format!("{is} {} {} {to}", number(left), number(right))
        }
        I::Load { file, into } => format!("load {} {into}", number(file)),
        I::Store { file, value } => format!("store {} {}", number(file), number(value)),
        I::Increment { file } => format!("append {}", number(file)),
        I::Lock { file, mode } => format!("{} {}", lock(*mode), number(file)),
        I::TryLock { file, mode, into } => format!("try_{} {} {into}", lock(*mode), number(file)),
        I::Unlock { file } => format!("unlock {}", number(file)),
        I::Create { name: of, into } => format!("create {} {into}", name(of)),
        I::Open { name: of, create, truncate, into } => {
            format!("open {} {} {} {into}", name(of), u8::from(*create), u8::from(*truncate))
        }
        I::Unlink { name: of, into } => format!("unlink {} {into}", name(of)),
        I::Rename { from, to, into } => format!("rename {} {} {into}", name(from), name(to)),
        I::Stat { name: of, into } => format!("stat {} {into}", name(of)),
        I::Exit => "exit".into(),
        other => unreachable!("{other:?} is not one call of a litmus program"),
    }
}

fn lock(mode: LockMode) -> &'static str {
    match mode {
        LockMode::Shared => "lock_shared",
        LockMode::Exclusive => "lock",
    }
}

/// The fixed part, then the computed one or a dot.
fn name(of: &Name) -> String {
    let computed = of.number.as_ref().map_or(".".into(), number);
    format!("{} {computed}", of.stem)
}

fn number(of: &Expr) -> String {
    match of {
        Expr::Value(value) => value.to_string(),
        Expr::Register(register) => format!("r {register}"),
        Expr::Sum(of) => format!("+ {} {}", number(&of.0), number(&of.1)),
        Expr::Product(of) => format!("* {} {}", number(&of.0), number(&of.1)),
        Expr::Remainder(of) => format!("% {} {}", number(&of.0), number(&of.1)),
    }
}
