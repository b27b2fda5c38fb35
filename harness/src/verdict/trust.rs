//! The README's tables: the kinds of coverage gaps, and what "clean" trusts.

use std::fmt::Write as _;

use crate::model::GapKind;

/// Something that the verdict "clean" rests on.
#[derive(Clone, Copy, Debug)]
pub struct Trusted {
    /// What is trusted.
    pub what: &'static str,
    /// How it is checked, in every exploration or by the tests.
    pub check: &'static str,
    /// The planted fault that shows that the check works.
    pub canary: &'static str,
}

/// All that "clean" rests on.
pub const TRUSTED: &[Trusted] = &[
    Trusted {
        what: "The processes do the same when the same happens to them.",
        check: "The first serial order is run three times: at the beginning, after the serial runs and at the end; the whole traces must be equal, look-ups outside the workspace included. `--verify N` does the same to each Nth execution.",
        canary: "`gate`: a process that reads a file that the first run made",
    },
    Trusted {
        what: "They share nothing but what is scheduled.",
        check: "For each process cooks records what it looks up, reads and changes outside the workspace. A change that meets another process's use is a gap.",
        canary: "`gate`: two processes that write one file in /tmp",
    },
    Trusted {
        what: "Every call is understood.",
        check: "A call that is not in the table, and an argument that cannot be read, is a gap.",
        canary: "`undecided`: an argument that the kernel reads and cooks does not",
    },
    Trusted {
        what: "The commands work.",
        check: "A process that succeeds in no serial order makes the verdict inconclusive, unless it may fail.",
        canary: "`gate`: a command that is misspelt",
    },
    Trusted {
        what: "Two calls that do not conflict commute.",
        check: "Pairs of calls are made in both orders by the kernel: where what they leave differs, they must conflict (`kernel`). Random programs are explored with reduction and without, and must leave the same outcomes (`self_checks`). In every exploration, a call must have the same accesses when it is made as when its task was held at it; and an exhaustive search must have found each serial outcome, unless there is a gap that can hide a race.",
        canary: "`kernel`: each access that some pair shows, forgotten in turn; `self_checks`: a conflict that is forgotten; `gate`: writes that are forgotten, a meaning that is stale",
    },
    Trusted {
        what: "The search leaves no class of executions out.",
        check: "Programs with known numbers of classes (`litmus`), all schedules of random programs (`self_checks`), and random programs that are run in every interleaving without cooks (`kernel`).",
        canary: "`self_checks`: a race that is forgotten; `kernel`: names, data, status and sleep that are forgotten",
    },
    Trusted {
        what: "What is kept of earlier executions stands for what would be done again.",
        check: "In every exploration, cooks runs some executions again without checkpoints, known endings and known polls: at least one, and one in 20 as long as that takes at most a twentieth of the work. Each must come out the same, unless there is a gap that can hide a race.",
        canary: "`gate`: an end that is taken to be known whatever happened before",
    },
    Trusted {
        what: "The gate itself.",
        check: "One function says \"clean\"; no other code can.",
        canary: "`gate`: each of its conditions is taken away in turn",
    },
];

/// The kinds of gaps as a table in Markdown.
#[must_use]
pub fn table_of_gaps() -> String {
    let mut table = String::from("| kind | what it can hide | what to do |\n|---|---|---|\n");
    for kind in GapKind::ALL {
        let _ = writeln!(table, "| `{kind}` | {} | {} |", kind.hides(), kind.remedy());
    }
    table
}

/// What "clean" trusts as a table in Markdown.
#[must_use]
pub fn table_of_trust() -> String {
    let mut table = String::from("| \"clean\" trusts | how it is checked | canary |\n|---|---|---|\n");
    for Trusted { what, check, canary } in TRUSTED {
        let _ = writeln!(table, "| {what} | {check} | {canary} |");
    }
    table
}
