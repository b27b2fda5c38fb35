//! Worlds, and the calls that are made in them.

/// A world: its name, and the calls that make it.
pub const WORLDS: &[(&str, &str)] = &[("plain", "1=open 'f O_RDWR|O_CREAT 0644
write $1 'hello 5
1=open 'g O_RDWR|O_CREAT 0644
write $1 'goodbye 7
link 'f 'h
mkdir 'd 0755
1=open 'd/x O_RDWR|O_CREAT 0644
write $1 'x 1
mkdir 'e 0755
symlink 'f 'l
symlink 'd 'ld
mknod 'p S_IFIFO|0644 0")];

/// What may be done: calls, of which the last is the one in question.
pub const ACTIONS: &[&str] = &[
    "stat 'f stat%",
    "truncate 'f 2",
    "unlink 'f",
    "unlink 'h",
    "1=open 'f O_RDWR
linkat $1 ' AT_FDCWD 'new AT_EMPTY_PATH",
    "1=open 'f O_RDWR
write $1 'AB 2",
    "1=open 'f O_RDWR
read $1 %10 10",
    "rename 'none 'f/x",
    "creat 'f 0600",
    "mkdir 'd/new 0755",
    "rmdir 'e",
    "rmdir 'd",
];
