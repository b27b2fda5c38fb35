//! Which system calls stop for the tracer: a seccomp program, made from the table of calls. Pure.

use super::arch::{AUDIT, FOREIGN_NUMBERS};
use super::decode::table::{END, Treatment, row};

/// One instruction of classic BPF.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// Operation code.
    pub code: u16,
    /// Instructions to skip when a comparison holds.
    pub if_true: u8,
    /// Instructions to skip when it does not.
    pub if_false: u8,
    /// Operand.
    pub operand: u32,
}

const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
const SKIP: u16 = (libc::BPF_JMP | libc::BPF_JA) as u16;
const JUMP_IF_EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
const JUMP_IF_AT_LEAST: u16 = (libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K) as u16;
const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;

/// Offsets in `struct seccomp_data`.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
const ARGUMENTS: u32 = 16;

const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;
const TRACE: u32 = libc::SECCOMP_RET_TRACE;

const fn refuse(error: i32) -> u32 {
    libc::SECCOMP_RET_ERRNO | error as u32
}

/// What comes of a call, by its number.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// What the kernel is told.
    Plain(u32),
    /// It passes where an argument has one of these values, and stops otherwise.
    PassWith(u32, &'static [u32]),
}

fn verdict(number: u32) -> Verdict {
    let Some(row) = row(number.into()) else { return Verdict::Plain(TRACE) };
    if let Some((argument, values)) = row.local_with {
        return Verdict::PassWith(argument, values);
    }
    Verdict::Plain(match row.treatment {
        Treatment::Local => ALLOW,
        Treatment::Decoded(_) | Treatment::Reported(_) => TRACE,
        Treatment::Refused(error) => refuse(error),
    })
}

fn one(code: u16, operand: u32) -> Instruction {
    Instruction { code, if_true: 0, if_false: 0, operand }
}

/// The filter: foreign architectures are refused; the rest is as the table says; what is not in it stops.
#[must_use]
pub fn program() -> Vec<Instruction> {
    let mut program = vec![
        one(LOAD, ARCHITECTURE),
        Instruction { code: JUMP_IF_EQUAL, if_true: 1, if_false: 0, operand: AUDIT },
        one(RETURN, refuse(libc::ENOSYS)),
        one(LOAD, NUMBER),
        Instruction { code: JUMP_IF_AT_LEAST, if_true: 0, if_false: 1, operand: FOREIGN_NUMBERS },
        one(RETURN, refuse(libc::ENOSYS)),
    ];
    let mut runs: Vec<(u32, Verdict)> = Vec::new();
    for number in 0..=END {
        let verdict = verdict(number);
        if runs.last().is_none_or(|(_, last)| *last != verdict) {
            runs.push((number, verdict));
        }
    }
    program.extend(search(&runs));
    program
}

/// Looks by halves for the run of numbers that a call is in: each run begins with a number, and ends where the next one begins.
fn search(runs: &[(u32, Verdict)]) -> Vec<Instruction> {
    if let [(_, verdict)] = runs {
        return outcome(*verdict);
    }
    let (low, high) = runs.split_at(runs.len() / 2);
    let (middle, low, high) = (high[0].0, search(low), search(high));
    // A conditional jump is too short for the whole table.
    let past_low = one(SKIP, low.len() as u32);
    let at_least = Instruction { code: JUMP_IF_AT_LEAST, if_true: 0, if_false: 1, operand: middle };
    [vec![at_least, past_low], low, high].concat()
}

fn outcome(verdict: Verdict) -> Vec<Instruction> {
    match verdict {
        Verdict::Plain(value) => vec![one(RETURN, value)],
        Verdict::PassWith(argument, values) => {
            let mut part = vec![one(LOAD, ARGUMENTS + 8 * argument)];
            for value in values {
                let equal = Instruction { code: JUMP_IF_EQUAL, if_true: 0, if_false: 1, operand: *value };
                part.extend([equal, one(RETURN, ALLOW)]);
            }
            part.push(one(RETURN, TRACE));
            part
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs the program as the kernel would, of a call with one argument that matters.
    fn decide(architecture: u32, number: u32, argument: u32) -> u32 {
        let program = program();
        let (mut at, mut register) = (0, 0);
        loop {
            let Instruction { code, if_true, if_false, operand } = program[at];
            at += 1;
            match code {
                LOAD => {
                    register = match operand {
                        NUMBER => number,
                        ARCHITECTURE => architecture,
                        _ => argument,
                    }
                }
                SKIP => at += operand as usize,
                JUMP_IF_EQUAL => at += usize::from(if register == operand { if_true } else { if_false }),
                JUMP_IF_AT_LEAST => at += usize::from(if register >= operand { if_true } else { if_false }),
                RETURN => return operand,
                _ => panic!("unknown instruction {code}"),
            }
        }
    }

    #[test]
    fn every_number_is_treated_as_the_table_says() {
        for number in 0..END + 100 {
            let wanted = match row(number.into()).map(|row| row.treatment) {
                Some(Treatment::Local) => ALLOW,
                Some(Treatment::Refused(error)) => refuse(error),
                Some(Treatment::Decoded(_) | Treatment::Reported(_)) | None => TRACE,
            };
            assert_eq!(decide(AUDIT, number, 12345), wanted, "system call {number}");
        }
    }

    #[test]
    fn mappings_of_no_file_pass() {
        let mmap = libc::SYS_mmap as u32;
        assert_eq!(decide(AUDIT, mmap, u32::MAX), ALLOW);
        assert_eq!(decide(AUDIT, mmap, 3), TRACE);
    }

    #[test]
    fn other_interfaces_are_refused() {
        assert_eq!(decide(0x4000_0003, 3, 0), refuse(libc::ENOSYS));
        assert_eq!(decide(AUDIT, FOREIGN_NUMBERS + 2, 0), refuse(libc::ENOSYS));
    }
}
