//! The worlds in which calls are tried.

use crate::actions::{ALL, CHANGES, CONNECTED, FURTHER, MARKED, REMOVED};

/// Who makes the calls of A and B.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Users {
    /// Both are root, or whoever runs the test.
    Same,
    /// A is, B is an ordinary user.
    Ordinary,
}

/// What there is before both processes begin.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct World {
    pub name: &'static str,
    pub users: Users,
    /// The calls that make it, which all work.
    pub calls: &'static str,
    /// The actions that are tried in it, each against each.
    pub actions: &'static [&'static [&'static str]],
}

/// The calls that make an ordinary user of a process.
pub const ORDINARY: &str = "setgroups 0 NULL; setresgid 1000 1000 1000; setresuid 1000 1000 1000";

/// Files with one and with two names, with a hole, with an attribute; directories that are full, empty, sticky, and have their group
/// inherited; links, a FIFO, a socket that nobody listens at.
const FULL: &str = "1=open 'f O_RDWR|O_CREAT 0644; write $1 'hello 5; link 'f 'h; setxattr 'f 'user.a 'v 1 0; \
    2=open 'g O_RDWR|O_CREAT 0644; write $2 'goodbye 7; \
    3=open 'z O_RDWR|O_CREAT 0644; pwrite64 $3 'there 5 4096; ftruncate $3 12288; \
    mkdir 'd 0755; 4=open 'd/x O_RDWR|O_CREAT 0644; write $4 'x 1; mkdir 'e 0755; \
    mkdir 't 0; chmod 't 01777; mknod 't/root S_IFREG|0666 0; mknod 't/mine S_IFREG|0644 0; chown 't/mine 1000 1000; \
    mkdir 'sg 0755; chown 'sg 0 50; chmod 'sg 02777; \
    symlink 'f 'l; symlink 'd 'ld; mknod 'p S_IFIFO|0666 0; \
    5=socket AF_UNIX SOCK_STREAM 0; bind $5 un:s 110";

/// Names lead to other things: what works in the first fails here.
const OTHER: &str = "mkdir 'f 0755; 1=open 'd O_RDWR|O_CREAT 0644; write $1 'hello 5; link 'd 'e; symlink 'new 'l; symlink 'none 'ld; \
    mkdir 'new 0755; 2=open 'new/x O_RDWR|O_CREAT 0644; symlink 'f 'g; mkdir 't 0755; mkdir 'sg 0755; \
    3=open 'p O_RDWR|O_CREAT 0600; write $3 'hello 5; link 'p 'h";

/// Everything is open to everybody; what a mode or owner can take away.
const OPEN: &str = "chmod '. 0777; 1=open 'f O_RDWR|O_CREAT 0644; write $1 'hello 5; chmod 'f 0666; link 'f 'h; \
    setxattr 'f 'user.a 'v 1 0; 2=open 'g O_RDWR|O_CREAT 0644; write $2 'goodbye 7; chown 'g 1000 1000; \
    mkdir 'd 0755; chmod 'd 0777; 4=open 'd/x O_RDWR|O_CREAT 0644; write $4 'x 1; chmod 'd/x 0666; mkdir 'e 0755; chown 'e 1000 1000; \
    3=open 'z O_RDWR|O_CREAT 0644; pwrite64 $3 'there 5 4096; chmod 'z 0666; \
    mkdir 't 0; chmod 't 01777; mknod 't/root S_IFREG|0666 0; mknod 't/mine S_IFREG|0644 0; chown 't/mine 1000 1000; \
    mkdir 'sg 0755; chown 'sg 0 50; chmod 'sg 02777; \
    symlink 'f 'l; symlink 'd 'ld; mknod 'p S_IFIFO|0666 0; chmod 'p 0666";

/// Modes and owners stand in an ordinary user's way.
const CLOSED: &str = "1=open 'f O_RDWR|O_CREAT 0600; write $1 'hello 5; link 'f 'h; 2=open 'g O_RDWR|O_CREAT 0644; write $2 'goodbye 7; \
    chown 'g 1000 1000; chmod 'g 04755; mkdir 'd 0700; 4=open 'd/x O_RDWR|O_CREAT 0666; write $4 'x 1; \
    mkdir 'e 0700; chown 'e 1000 1000; mkdir 't 0; chmod 't 01777; mknod 't/root S_IFREG|0666 0; mknod 't/mine S_IFREG|0644 0; \
    chown 't/mine 1000 1000; mkdir 'sg 0755; symlink 'f 'l; symlink 'd 'ld; mknod 'p S_IFIFO|0600 0";

/// What everybody may write: programs, with the bits of set-user-ID and set-group-ID, and without; made immutable, or to be appended to only.
const BITS: &str = "chmod '. 0777; 1=open 'f O_RDWR|O_CREAT 0644; write $1 'hello 5; chown 'f 1000 1000; chmod 'f 06777; link 'f 'h; \
    2=open 'g O_RDWR|O_CREAT 0644; write $2 'goodbye 7; chown 'g 1000 1000; chmod 'g 0777; setxattr 'g 'user.a 'v 1 0; \
    3=open 'i O_RDWR|O_CREAT 0644; write $3 'kept 4; chown 'i 1000 1000; chmod 'i 0666; ioctl $3 FS_IOC_SETFLAGS int:FS_IMMUTABLE_FL; \
    4=open 'a O_RDWR|O_CREAT 0644; write $4 'more 4; chown 'a 1000 1000; chmod 'a 0666; ioctl $4 FS_IOC_SETFLAGS int:FS_APPEND_FL; \
    mkdir 'd 0755; chown 'd 1000 1000; 5=open 'd/x O_RDWR|O_CREAT 0644; write $5 'x 1; chown 'd/x 1000 1000";

pub const WORLDS: &[World] = &[
    World { name: "full", users: Users::Same, calls: FULL, actions: ALL },
    World { name: "open", users: Users::Ordinary, calls: OPEN, actions: ALL },
    World { name: "other", users: Users::Same, calls: OTHER, actions: ALL },
    World { name: "closed", users: Users::Ordinary, calls: CLOSED, actions: ALL },
    World { name: "calls", users: Users::Same, calls: FULL, actions: &[FURTHER, REMOVED, CHANGES] },
    World { name: "users", users: Users::Ordinary, calls: OPEN, actions: &[FURTHER, CHANGES] },
    World { name: "bits", users: Users::Ordinary, calls: BITS, actions: &[MARKED] },
    World { name: "connected", users: Users::Same, calls: "umask 0", actions: &[CONNECTED] },
];
