//! Accesses that no pair of calls in these worlds shows to be needed, each with why it is there.

/// What is touched and how; by which calls; why no pair shows it.
pub type Needed = (&'static str, &'static [&'static str], &'static str);

/// All of them.
pub const NEEDED: &[Needed] = &[
    (
        "ends there",
        &["open", "openat", "openat2"],
        "whether an end of a FIFO is open: closing and opening it also conflict by the bytes that are left",
    ),
    (
        "status",
        &[
            "bind",
            "link",
            "linkat",
            "mkdir",
            "mkdirat",
            "mknod",
            "mknodat",
            "rename",
            "renameat",
            "renameat2",
            "rmdir",
            "symlink",
            "symlinkat",
            "unlink",
            "unlinkat",
            "fallocate",
        ],
        "times of directories, which a process sees only if it has waited for time to pass",
    ),
    (
        "mode of a directory",
        &[
            "bind",
            "chmod",
            "chown",
            "connect",
            "creat",
            "execve",
            "execveat",
            "faccessat2",
            "fchmodat",
            "getcwd",
            "getxattr",
            "lchown",
            "linkat",
            "lstat",
            "mkdirat",
            "newfstatat",
            "stat",
            "statx",
            "symlink",
        ],
        "who may go through a directory: another call with the same decoding shows it",
    ),
    (
        "mode",
        &[
            "access",
            "chdir",
            "creat",
            "fchmodat",
            "mkdir",
            "open",
            "readlink",
            "readlinkat",
            "renameat",
            "rmdir",
            "sendto",
            "unlinkat",
            "utime",
            "fgetxattr",
            "fsetxattr",
        ],
        "the same of files: an ordinary user is refused something",
    ),
    (
        "mode",
        &["flistxattr", "listxattr", "llistxattr"],
        "access control lists, which are attributes and a part of the mode",
    ),
    (
        "mode",
        &["copy_file_range", "open", "truncate", "utimensat"],
        "bits that a write clears, if a third user asks for them; that the times of a directory are set",
    ),
    (
        "name",
        &["chmod", "chown", "connect", "creat", "mkdirat", "mknodat", "sendto", "symlinkat"],
        "a name on the way, which other calls of the kind show",
    ),
    ("listing", &["renameat", "renameat2"], "a directory that is replaced, as by rename"),
    (
        "data",
        &["fallocate", "ftruncate", "splice", "truncate"],
        "a size that is read beside the bytes that are changed",
    ),
    (
        "writers",
        &["creat", "dup2", "open", "openat", "openat2"],
        "a call that is refused reads what it would have changed",
    ),
    (
        "runners",
        &["creat", "execve", "execveat", "open", "openat", "openat2", "truncate"],
        "programs that run: no action here runs one, so another test shows it (tests/tracer/programs.rs)",
    ),
    (
        "ends",
        &["bind", "connect", "creat", "ioctl", "pselect6", "select"],
        "ends that only one process can have as yet; and what this look tells of them only if a FIFO is full",
    ),
    (
        "left",
        &["close", "close_range", "creat", "dup2", "dup3", "open", "openat", "openat2"],
        "bytes that are lost with the last descriptor: if there are any, both orders are decoded again",
    ),
    (
        "stream",
        &[
            "accept",
            "accept4",
            "close",
            "getsockopt",
            "open",
            "openat",
            "openat2",
            "read",
            "readv",
            "recvfrom",
            "recvmsg",
            "sendmsg",
            "sendto",
            "write",
            "writev",
        ],
        "of a socket, which process takes next: two cannot have the same end; otherwise one of two accesses that cover each other",
    ),
    ("attributes", &["ioctl"], "flags, which forbid to change attributes by a descriptor"),
    (
        "read attributes",
        &["fsetxattr", "lsetxattr"],
        "a call that fails reads all that it would have changed, whatever made it fail",
    ),
    ("read status", &["chmod", "fchmod", "futimesat", "ioctl", "utime", "utimes"], "the same"),
];

/// Whether it is said why this access of this call is needed.
pub fn is_needed(call: &str, access: &str) -> bool {
    let is_of = |(what, calls, _): &&Needed| access.contains(what) && calls.contains(&call);
    NEEDED.iter().any(|needed| is_of(&needed))
}
