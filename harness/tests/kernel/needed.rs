//! Accesses that no pair of calls in these worlds shows to be needed, each with why it is there.

/// What is touched and how; by which calls; why no pair shows it.
pub type Needed = (&'static str, &'static [&'static str], &'static str);

/// All of them.
pub const NEEDED: &[Needed] = &[
    (
        "ends there",
        &["open", "openat", "openat2"],
        "who has an end of a FIFO open: to close it conflicts with to open it by what is left in it, too",
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
        "times of directories, which only those see who have waited for time to pass",
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
        "who may go through a directory: another call of the kind shows it, by another name of the same decoding",
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
        "the same of files, of which an ordinary user is refused something",
    ),
    (
        "mode",
        &["flistxattr", "listxattr", "llistxattr"],
        "access control lists, which are attributes and a part of the mode",
    ),
    (
        "mode",
        &["copy_file_range", "open", "truncate", "utimensat"],
        "bits that a write clears, where a third user asks for them; that the times of a directory are set",
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
        "programs that run: no script here is one, so another test does",
    ),
    (
        "ends",
        &["bind", "connect", "creat", "ioctl", "pselect6", "select"],
        "ends that only one process can have yet; and what this look tells of them only where a FIFO is full",
    ),
    (
        "left",
        &["close", "close_range", "creat", "dup2", "dup3", "open", "openat", "openat2"],
        "bytes that are lost with the last descriptor: where they are, both orders are decoded again",
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
        "of a socket, who takes next: two processes cannot have the same end; else one of two accesses that cover each other",
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
