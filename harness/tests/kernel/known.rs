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

pub const MISSING: &[Missing] = &[
    Missing {
        parts: ["rename 'none 'f/x", "rename"],
        seen: ("full", "rename 'none 'f/x", "unlink 'f"),
        why: "a rename finds the directory of its target before it misses its source",
    },
];

/// Whether it is known that a conflict of this pair may be missing.
pub fn is_known(pair: &Pair) -> bool {
    MISSING.iter().any(|Missing { parts: [one, other], .. }| {
        let has = |a: &str, b: &str| a.contains(one) && b.contains(other);
        has(pair.a, pair.b) || has(pair.b, pair.a)
    })
}

/// Kinds of calls that random programs do not make, with the reason: a part of what is written of the call.
const LEFT_OUT: &[(&str, &str)] = &[
    ("FS_IOC_SETFLAGS", "what is made immutable cannot be put back: no execution follows"),
    ("F_SETLEASE", "a gap: leases are not supported"),
    ("user.", "extended attributes of the beginning are lost"),
];

/// Whether no random program makes this call.
pub fn is_left_out(action: &str) -> bool {
    LEFT_OUT.iter().any(|(part, _)| action.contains(part))
}
