//! What was wrong once and is mended, and what is left out because it is not.

/// Conflicts that were missing once, each with what it is about: a world, and two actions.
pub const MENDED: &[(&str, &str, &str, &str)] = &[
    ("open", "chmod 'd 0", "open 'd/../f O_RDONLY", "`..` is looked up in a directory, too"),
    ("open", "chmod 'd 0", "stat 'd/. stat%", "and so is `.`"),
    (
        "open",
        "chmod 'd 0",
        "1=open 'd O_RDONLY|O_DIRECTORY; fchdir $1",
        "a mode may forbid `fchdir` to a directory that is open",
    ),
    (
        "open",
        "chmod 'e 0555",
        "open 'e O_RDWR|O_TMPFILE 0644",
        "making a file without a name reads the mode of its directory",
    ),
    ("full", "truncate 'f 5", "truncate 'f 2", "truncating a file to the size that it has reads that size"),
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
    (
        "bits",
        "chmod 'g 06777",
        "1=open 'g O_RDWR; write $1 'AB 2",
        "a write by an ordinary user clears the bits of set-user-ID and set-group-ID",
    ),
    ("bits", "chmod 'g 04777", "truncate 'g 2", "so does a change of size"),
    (
        "bits",
        "1=open 'g O_RDONLY; ioctl $1 FS_IOC_SETFLAGS int:FS_IMMUTABLE_FL",
        "1=open 'g O_RDWR; utimensat $1 NULL times:1000000100 0",
        "who has an immutable file open cannot set its times",
    ),
    (
        "bits",
        "1=open 'g O_RDONLY; ioctl $1 FS_IOC_SETFLAGS int:FS_IMMUTABLE_FL",
        "1=open 'g O_RDWR; fsetxattr $1 'user.a 'w 1 0",
        "nor its attributes",
    ),
    (
        "bits",
        "1=open 'g O_RDONLY; ioctl $1 FS_IOC_SETFLAGS int:FS_APPEND_FL",
        "1=open 'g O_WRONLY|O_APPEND; fcntl $1 F_SETFL 0",
        "a file that is appended to only is appended to",
    ),
    (
        "full",
        "1=open 'f O_RDWR; fcntl $1 F_SETFL O_APPEND",
        "1=open 'f O_RDWR; ioctl $1 FS_IOC_SETFLAGS int:FS_APPEND_FL",
        "and how it is written stays as it is",
    ),
    (
        "open",
        "1=open 'f O_RDONLY; ioctl $1 FS_IOC_SETFLAGS int:FS_IMMUTABLE_FL",
        "rmdir 'f",
        "permissions are looked at before the kind of what is removed",
    ),
    (
        "open",
        "chmod 'f 0644",
        "1=open 'f O_RDWR; fsetxattr $1 'user.a 'w 1 0",
        "setting an attribute reads the mode, even by a descriptor",
    ),
    (
        "full",
        "truncate 'f 2",
        "1=open 'f O_RDWR; pwrite64 $1 'Q 1 6",
        "where a write beyond the end begins follows from the size",
    ),
];

/// Kinds of calls that random programs do not make, with the reason: a part of what is written of the call.
const LEFT_OUT: &[(&str, &str)] = &[
    ("F_SETLEASE", "leases are a gap"),
    (
        "FS_IOC_SETFLAGS",
        "what the kernel refuses because of flags is held as a change: an execution can be redundant",
    ),
];

/// Whether no random program makes this call.
pub fn is_left_out(action: &str) -> bool {
    LEFT_OUT.iter().any(|(part, _)| action.contains(part))
}

/// Programs of which executions were redundant once, each with what it is about.
pub const ONCE_REDUNDANT: &[(&[&str], &str)] = &[
    (
        &["chmod 'e 0555; rename 'd/x 'e/x", "rename 'e 'd; 1=open 'e O_RDONLY|O_DIRECTORY", "stat 'e stat%"],
        "a call that the kernel will refuse only looks, also when it is held",
    ),
    (
        &["utime 'd/x utime:1000000100", "1=open 'd/x O_RDWR; write $1 'AB 2", "rename 'd/x 'e/x"],
        "a change that commutes with its like is no look",
    ),
    (
        &[
            "1=socket AF_UNIX SOCK_STREAM 0; connect $1 un:new 110; write $1 'abc 3",
            "1=socket AF_UNIX SOCK_STREAM 0; bind $1 un:new 110; listen $1 1; close $1",
        ],
        "what is written where nobody reads is refused",
    ),
    (
        &["setxattr 'g 'user.a 'v 1 XATTR_REPLACE", "removexattr 'g 'user.a"],
        "an attribute is changed or removed only if it is there",
    ),
    (
        &["1=open 'p O_RDONLY|O_NONBLOCK; 2=open 'p O_WRONLY; write $2 'q 1", "open 'p O_WRONLY"],
        "what closing a FIFO touches does not depend on whether there are bytes in it",
    ),
];

/// Programs that came to something else on the kernel once, each with what it is about.
pub const ONCE_DIFFERENT: &[(&[&str], &str)] = &[
    (
        &["1=open 'p O_RDWR; read $1 %10 10", "1=open 'p O_RDWR; write $1 'abc 3"],
        "the process that closes a FIFO last drops the bytes in it, which a later one does not find",
    ),
    (
        &["kill @B 0; kill @B 0", "umask 022", "umask 022"],
        "a copy of a process does not stand behind what the process has asked of another one",
    ),
    (
        &["kill @B SIGTERM", "kill @C 0", "umask 022"],
        "a process that is killed would have asked for another one",
    ),
];

/// Calls that touch more when they are made than when they are held.
pub const FOUND_OUT: &[(&str, &str)] = &[
    ("bind", "the ends of what it makes"),
    ("connect", "the ends of what it makes"),
    ("accept", "the ends of what it makes"),
];
