//! What is known to be wrong: it is left out, or expected, until it is mended.

use crate::tried::Pair;

/// Conflicts that are missing: those of pairs of which one action has the one part in it, and the other the other.
#[derive(Clone, Copy, Debug)]
pub struct Missing {
    parts: [&'static str; 2],
    /// A world in which it is seen, and the two actions.
    seen: (&'static str, &'static str, &'static str),
    /// Why it is so.
    #[allow(dead_code, reason = "it is for who reads, and shown where the example is no longer missing")]
    why: &'static str,
}

impl Missing {
    /// The pair in which it is seen.
    pub fn example(&self) -> Pair {
        let (world, a, b) = self.seen;
        Pair::in_world(world, a, b)
    }
}

const fn missing(
    parts: [&'static str; 2],
    seen: (&'static str, &'static str, &'static str),
    why: &'static str,
) -> Missing {
    Missing { parts, seen, why }
}

/// All that is known.
pub const MISSING: &[Missing] = &[missing(
    ["'p O_RDWR; fstat", "'p"],
    ("full", "1=open 'p O_RDWR; fstat $1 stat%", "1=open 'p O_RDWR; write $1 'xy 2"),
    "writing into a FIFO changes its times",
)];

/// Whether it is known that a conflict of this pair may be missing.
pub fn is_known(pair: &Pair) -> bool {
    let is_like = |Missing { parts: [one, other], .. }: &Missing| {
        let has = |a: &str, b: &str| a.contains(one) && b.contains(other);
        has(pair.a, pair.b) || has(pair.b, pair.a)
    };
    MISSING.iter().any(is_like)
}

/// Kinds of calls that random programs do not make, with the reason: a part of what is written of the call.
const LEFT_OUT: &[(&str, &str)] = &[
    ("FS_IOC_SETFLAGS", "what is made immutable cannot be put back: no execution follows"),
    ("F_SETLEASE", "leases are a gap"),
    ("user.", "extended attributes of the beginning are lost"),
    ("'p ", "FIFOs: an end that empties it, redundant executions, and executions without end"),
];

/// Whether no random program makes this call.
pub fn is_left_out(action: &str) -> bool {
    LEFT_OUT.iter().any(|(part, _)| action.contains(part))
}

/// A program of which an execution is redundant, as of others, and why: while there is one, redundant executions are counted only.
pub const REDUNDANT: Option<(&[&[&str]], &str)> = Some((
    &[
        &["chmod 'e 0555", "rename 'd/x 'e/x"],
        &["rename 'e 'd", "1=open 'e O_RDONLY|O_DIRECTORY"],
        &["stat 'e stat%"],
    ],
    "a call that is taken for a change when it is held, and fails when it is made",
));
