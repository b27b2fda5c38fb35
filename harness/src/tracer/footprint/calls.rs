//! What system calls do to the files that their paths and descriptors lead to, as far as footprints tell it apart. Pure.

/// What a call does with a path.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// It only looks at what is there, or reads it.
    Looks,
    /// It opens what is there in a way that changes it, or makes it.
    Opens(Opening),
    /// It makes something new.
    Makes,
    /// It makes a further name of something.
    MakesLink,
    /// It gives what is there a further name.
    IsLinked,
    /// It removes the name; `directory`: of a directory.
    Removes {
        /// Whether a directory.
        directory: bool,
    },
    /// It renames what is there.
    IsRenamed,
    /// It gives the name to something else.
    Renames(Renaming),
    /// It changes something about what is there.
    Alters,
}

/// How `open` changes what is there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Opening {
    /// It makes a file if there is none.
    pub creates: bool,
    /// It fails if there is one.
    pub exclusive: bool,
    /// It empties it.
    pub empties: bool,
    /// It lets it be written.
    pub writes: bool,
    /// It lets it be read.
    pub reads: bool,
}

/// How `rename` treats what is at the new name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Renaming {
    /// It is replaced.
    Replaces,
    /// It is left alone: the call fails.
    Keeps,
    /// It gets the old name.
    Exchanges,
}

/// What a call does with a descriptor.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Use {
    /// It reads something about the file that a process which only writes it would not see.
    Looks,
    /// It changes the file.
    Alters,
    /// It reads the names in a directory.
    Lists,
}

/// Calls that follow a path and change something about what is there.
const ALTERING: [&str; 18] = [
    "chmod",
    "fchmodat",
    "fchmodat2",
    "chown",
    "lchown",
    "fchownat",
    "file_setattr",
    "setxattr",
    "lsetxattr",
    "setxattrat",
    "removexattr",
    "lremovexattr",
    "removexattrat",
    "utime",
    "utimes",
    "futimesat",
    "utimensat",
    "truncate",
];

impl Opening {
    /// From the flags of `open`; `None` if it only reads what is there.
    #[must_use]
    pub fn of(flags: i32) -> Option<Self> {
        let has = |flag| flags & flag == flag;
        let mode = flags & libc::O_ACCMODE;
        let (creates, empties, writes) = (has(libc::O_CREAT), has(libc::O_TRUNC), mode != libc::O_RDONLY);
        // Without a name nothing is made that another process could find.
        if has(libc::O_PATH) || has(libc::O_TMPFILE) || !(creates || empties || writes) {
            return None;
        }
        let exclusive = creates && has(libc::O_EXCL);
        Some(Self { creates, exclusive, empties, writes, reads: mode != libc::O_WRONLY })
    }
}

/// What a call does with the path that it follows as number `number`, from 0. `open_flags`: those of the calls that open, wherever they
/// have them.
#[must_use]
pub fn role(name: &str, number: usize, arguments: [u64; 6], open_flags: i32) -> Role {
    let open = |flags| Opening::of(flags).map_or(Role::Looks, Role::Opens);
    match name {
        "open" | "openat" | "openat2" => open(open_flags),
        "creat" => open(libc::O_CREAT | libc::O_WRONLY | libc::O_TRUNC),
        "mkdir" | "mkdirat" | "mknod" | "mknodat" | "symlink" | "symlinkat" | "bind" => Role::Makes,
        "link" | "linkat" if number == 0 => Role::IsLinked,
        "link" | "linkat" => Role::MakesLink,
        "unlink" => Role::Removes { directory: false },
        "rmdir" => Role::Removes { directory: true },
        "unlinkat" => Role::Removes { directory: arguments[2] as i32 & libc::AT_REMOVEDIR != 0 },
        "rename" | "renameat" | "renameat2" if number == 0 => Role::IsRenamed,
        "rename" | "renameat" => Role::Renames(Renaming::Replaces),
        "renameat2" => Role::Renames(match arguments[4] as u32 {
            flags if flags & libc::RENAME_EXCHANGE != 0 => Renaming::Exchanges,
            flags if flags & libc::RENAME_NOREPLACE != 0 => Renaming::Keeps,
            _ => Renaming::Replaces,
        }),
        name if ALTERING.contains(&name) => Role::Alters,
        _ => Role::Looks,
    }
}

/// What a call does with a descriptor of its own, and with which. `None` if that is nothing that counts: what was opened for reading was
/// read, and what was opened for writing changed, when it was opened.
#[must_use]
pub fn descriptor_use(name: &str, arguments: [u64; 6]) -> Option<(i32, Use)> {
    let number = arguments[0] as u32 as i32;
    // By an empty path, or none: on the descriptor itself.
    let itself = |flags: usize| arguments[flags] as i32 & libc::AT_EMPTY_PATH != 0;
    let what = match name {
        "getdents" | "getdents64" => Use::Lists,
        "fchmod" | "fchown" | "fsetxattr" | "fremovexattr" | "ftruncate" | "fallocate" | "flock" => {
            Use::Alters
        }
        "fchownat" | "file_setattr" if itself(4) => Use::Alters,
        "fchmodat2" if itself(3) => Use::Alters,
        "setxattrat" | "removexattrat" if itself(2) => Use::Alters,
        "utimensat" if arguments[1] == 0 || itself(3) => Use::Alters,
        "futimesat" if arguments[1] == 0 => Use::Alters,
        "fcntl" => match arguments[1] as i32 {
            libc::F_SETLK | libc::F_SETLKW | libc::F_OFD_SETLK | libc::F_OFD_SETLKW => Use::Alters,
            libc::F_GETLK | libc::F_OFD_GETLK => Use::Looks,
            _ => return None,
        },
        "fstat" | "fgetxattr" | "flistxattr" => Use::Looks,
        "newfstatat" if itself(3) => Use::Looks,
        "statx" | "getxattrat" | "listxattrat" if itself(2) => Use::Looks,
        // Behind a write to the end, the position tells the size.
        "lseek" if arguments[2] as i32 != libc::SEEK_SET => Use::Looks,
        "ioctl" => device_use(arguments[1] as u32)?,
        _ => return None,
    };
    Some((number, what))
}

/// What a command of `ioctl` does with a file or directory. `None` if it is about the descriptor, or about a terminal. One that is not
/// known is taken to change the file: a command can do that by a descriptor that is open for reading alone.
fn device_use(command: u32) -> Option<Use> {
    // Those that the C library does not name: FIBMAP, FIGETBSZ, FS_IOC_FSGETXATTR, FS_IOC_FIEMAP.
    const MAP: u32 = 1;
    const BLOCK_SIZE: u32 = 2;
    const GET_ATTRIBUTES: u32 = 0x801c_581f;
    const EXTENTS: u32 = 0xc020_660b;
    const GET_FLAGS: u32 = libc::FS_IOC_GETFLAGS as u32;
    const GET_VERSION: u32 = libc::FS_IOC_GETVERSION as u32;
    const BYTES_LEFT: u32 = libc::FIONREAD as u32;
    const SIZE: u32 = libc::FIOQSIZE as u32;
    match command {
        MAP | GET_ATTRIBUTES | EXTENTS | GET_FLAGS | GET_VERSION | BYTES_LEFT | SIZE => Some(Use::Looks),
        BLOCK_SIZE => None,
        // The letter of the commands of terminals, and of those about descriptors.
        _ if command >> 8 == u32::from(b'T') => None,
        _ => Some(Use::Alters),
    }
}

#[cfg(test)]
mod tests {
    use super::{ALTERING, Opening, Role, Use, descriptor_use, role};
    use crate::tracer::decode::table::{END, Treatment, row};

    /// Calls that follow paths and only look at what is there.
    const LOOKING: [&str; 25] = [
        "access",
        "faccessat",
        "faccessat2",
        "readlink",
        "readlinkat",
        "chdir",
        "getcwd",
        "execve",
        "execveat",
        "stat",
        "lstat",
        "newfstatat",
        "statx",
        "statfs",
        "file_getattr",
        "getxattr",
        "lgetxattr",
        "getxattrat",
        "listxattr",
        "llistxattr",
        "listxattrat",
        "connect",
        "sendto",
        "sendmsg",
        "sendmmsg",
    ];

    /// Decoded calls that follow no path, and on a descriptor do nothing but what was counted when it was opened.
    const WITHOUT_PATHS: [&str; 113] = [
        "fchdir",
        "fstatfs",
        "fsync",
        "fdatasync",
        "sync_file_range",
        "syncfs",
        "sync",
        "read",
        "write",
        "pread64",
        "pwrite64",
        "readv",
        "writev",
        "preadv",
        "pwritev",
        "preadv2",
        "pwritev2",
        "mmap",
        "sendfile",
        "copy_file_range",
        "splice",
        "tee",
        "vmsplice",
        "poll",
        "ppoll",
        "select",
        "pselect6",
        "epoll_create",
        "epoll_create1",
        "epoll_ctl",
        "epoll_wait",
        "epoll_pwait",
        "epoll_pwait2",
        "close",
        "close_range",
        "dup",
        "dup2",
        "dup3",
        "socket",
        "listen",
        "accept",
        "accept4",
        "shutdown",
        "setsockopt",
        "getsockopt",
        "recvfrom",
        "recvmsg",
        "recvmmsg",
        "clone",
        "clone3",
        "fork",
        "vfork",
        "unshare",
        "exit_group",
        "kill",
        "tkill",
        "tgkill",
        "rt_sigqueueinfo",
        "rt_tgsigqueueinfo",
        "pidfd_send_signal",
        "pidfd_open",
        "clock_gettime",
        "gettimeofday",
        "time",
        "nanosleep",
        "clock_nanosleep",
        "getrandom",
        "alarm",
        "getitimer",
        "setitimer",
        "timer_create",
        "timer_settime",
        "timer_gettime",
        "timer_getoverrun",
        "timer_delete",
        "timerfd_create",
        "timerfd_settime",
        "timerfd_gettime",
        "times",
        "getrusage",
        "sysinfo",
        "setuid",
        "setgid",
        "setreuid",
        "setregid",
        "setgroups",
        "setresuid",
        "setresgid",
        "setfsuid",
        "setfsgid",
        "capset",
        "prctl",
        "getpgid",
        "getsid",
        "sched_getparam",
        "sched_getscheduler",
        "sched_rr_get_interval",
        "sched_getaffinity",
        "sched_getattr",
        "get_robust_list",
        "getpriority",
        "ioprio_get",
        "kcmp",
        "prlimit64",
        "sched_setparam",
        "sched_setscheduler",
        "sched_setaffinity",
        "sched_setattr",
        "setpgid",
        "migrate_pages",
        "move_pages",
        "setpriority",
        "ioprio_set",
    ];

    #[test]
    fn each_decoded_call_is_known_here() {
        for row in (0..u64::from(END)).filter_map(row) {
            if !matches!(row.treatment, Treatment::Decoded(_)) {
                continue;
            }
            let has_role = role(row.name, 0, [0; 6], libc::O_RDWR) != Role::Looks;
            let listed =
                [&LOOKING[..], &ALTERING, &WITHOUT_PATHS].iter().any(|list| list.contains(&row.name));
            let used = descriptor_use(row.name, [0; 6]).is_some() || ["fcntl", "lseek"].contains(&row.name);
            assert!(has_role || listed || used, "{} is not known", row.name);
        }
    }

    #[test]
    fn opening_changes_what_it_may_write_make_or_empty() {
        for (flags, changes) in [
            (libc::O_RDONLY, false),
            (libc::O_RDONLY | libc::O_DIRECTORY, false),
            (libc::O_RDONLY | libc::O_CREAT, true),
            (libc::O_RDONLY | libc::O_TRUNC, true),
            (libc::O_WRONLY | libc::O_APPEND, true),
            (libc::O_RDWR, true),
            (libc::O_RDWR | libc::O_TMPFILE, false),
            (libc::O_PATH | libc::O_CREAT, false),
        ] {
            assert_eq!(Opening::of(flags).is_some(), changes, "{flags:#o}");
        }
    }

    #[test]
    fn a_call_on_a_descriptor_itself_is_told_from_one_on_a_path() {
        let empty = libc::AT_EMPTY_PATH as u64;
        assert_eq!(descriptor_use("fchownat", [5, 1, 0, 0, empty, 0]), Some((5, Use::Alters)));
        assert_eq!(descriptor_use("fchownat", [5, 1, 0, 0, 0, 0]), None);
        assert_eq!(descriptor_use("utimensat", [5, 0, 0, 0, 0, 0]), Some((5, Use::Alters)));
        assert_eq!(descriptor_use("fcntl", [5, libc::F_SETLKW as u64, 0, 0, 0, 0]), Some((5, Use::Alters)));
        assert_eq!(descriptor_use("fcntl", [5, libc::F_GETFD as u64, 0, 0, 0, 0]), None);
    }

    #[test]
    fn a_command_of_ioctl_changes_a_file_unless_it_is_known_not_to() {
        let used = |command: u64| descriptor_use("ioctl", [5, command, 0, 0, 0, 0]).map(|(_, what)| what);
        // FS_IOC_SETFLAGS, FS_IOC_FSSETXATTR, FICLONE, FICLONERANGE, FS_IOC_SETFSLABEL, FS_IOC_ENABLE_VERITY.
        for command in
            [libc::FS_IOC_SETFLAGS, 0x401c_5820, libc::FICLONE, libc::FICLONERANGE, 0x4100_9432, 0x4080_6685]
        {
            assert_eq!(used(command), Some(Use::Alters), "{command:#x}");
        }
        for command in [libc::FS_IOC_GETFLAGS, 0x801c_581f, libc::FIONREAD] {
            assert_eq!(used(command), Some(Use::Looks), "{command:#x}");
        }
        for command in [libc::TCGETS, libc::TIOCGPGRP, libc::FIOCLEX, libc::FIONBIO] {
            assert_eq!(used(command), None, "{command:#x}");
        }
    }

    #[test]
    fn a_position_that_is_asked_for_tells_the_size() {
        for (whence, what) in [
            (libc::SEEK_SET, None),
            (libc::SEEK_CUR, Some((5, Use::Looks))),
            (libc::SEEK_END, Some((5, Use::Looks))),
        ] {
            assert_eq!(descriptor_use("lseek", [5, 0, whence as u64, 0, 0, 0]), what, "{whence}");
        }
    }
}
