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

/// Conflicts that were missing once, each with what it is about: a world, and two actions.
pub const MENDED: &[(&str, &str, &str, &str)] = &[
    ("full", "truncate 'f 5", "truncate 'f 2", "to truncate to the size that a file has reads that size"),
    (
        "full",
        "1=open 'f O_RDWR; pwrite64 $1 'Q 1 6",
        "1=open 'f O_RDWR|O_APPEND; write $1 'AB 2",
        "to append reads the size, which every write changes that goes beyond it, wherever its bytes are",
    ),
    (
        "full",
        "1=open 'f O_RDWR; fcntl $1 F_SETLK lock:F_WRLCK,SEEK_END,-2,2",
        "open 'f O_WRONLY|O_TRUNC",
        "a record lock that counts from the end reads the size",
    ),
    (
        "full",
        "1=open 'f O_RDWR; fcntl $1 F_GETLK lock:F_WRLCK,SEEK_SET,2,1",
        "1=open 'f O_RDWR; fcntl $1 F_SETLK lock:F_WRLCK,SEEK_SET,0,9; fcntl $1 F_SETLK lock:F_UNLCK,SEEK_SET,3,3",
        "F_GETLK tells of the whole lock, also of what is outside of the range asked for",
    ),
    (
        "full",
        "1=open 'f O_RDWR; fcntl $1 F_SETLK lock:F_WRLCK,SEEK_SET,0,9; fcntl $1 F_SETLK lock:F_RDLCK,SEEK_SET,0,9",
        "1=open 'f O_RDWR; fcntl $1 F_SETLK lock:F_RDLCK,SEEK_SET,2,3",
        "a record lock that becomes a shared one is taken to be joined only",
    ),
    (
        "full",
        "1=open 'f O_RDWR; fallocate $1 FALLOC_FL_KEEP_SIZE 0 9000",
        "open 'f O_WRONLY|O_TRUNC",
        "what is allocated beyond the end is given back by a truncation",
    ),
    (
        "full",
        "1=open 'e O_RDONLY|O_DIRECTORY; getdents64 $1 dents64% 4096",
        "rmdir 'e",
        "a directory that is removed lists nothing",
    ),
    (
        "full",
        "1=open 'g O_RDWR; linkat $1 ' AT_FDCWD 'new AT_EMPTY_PATH",
        "unlink 'g",
        "a descriptor can be linked as long as its file has a name",
    ),
    (
        "full",
        "rename 'none 'f/x",
        "unlink 'f",
        "a rename finds the directory of its target before it misses its source",
    ),
    (
        "full",
        "chmod 'sg 0755",
        "mkdir 'sg/new 0755",
        "what is made takes the group of its directory, or not, by the mode of that",
    ),
    (
        "open",
        "chmod 'd 0",
        "stat 'd/x stat%",
        "the modes of directories on the way, of parents and of files are not read",
    ),
    ("open", "chown 'f 1000 1000", "utimensat AT_FDCWD 'f times:1000000200 0", "nor are owners"),
    (
        "open",
        "chmod 'f 0600",
        "1=socket AF_UNIX SOCK_STREAM 0; connect $1 un:f 110",
        "to connect to what is no socket reads its mode",
    ),
    (
        "closed",
        "1=open 'f O_RDWR; fchown $1 1000 1000",
        "getxattr 'f 'user.b %20 20",
        "to read an attribute reads the mode and the owner",
    ),
    (
        "full",
        "1=open 'f O_RDWR; fcntl $1 F_SETLK lock:F_WRLCK,SEEK_END,-2,2",
        "truncate 'f 0",
        "a region that would begin before the file is refused",
    ),
];

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
    ("user.", "extended attributes are held against the kernel in pairs only"),
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
