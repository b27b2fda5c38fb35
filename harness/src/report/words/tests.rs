use super::{event, executed, pending, several};
use crate::model::{Call, CallResult};

fn call(name: &str, path: &str, target: &str, detail: &str) -> Call {
    let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    Call { name: name.into(), path: some(path), target: some(target), detail: detail.into() }
}

#[test]
fn calls_that_succeed() {
    for (name, path, target, detail, value, words) in [
        ("openat", "f", "", "read", 3, "open f to read"),
        ("openat", "f", "", "write, create, truncate", 3, "open f for writing, emptied"),
        ("openat", "f", "", "write, create", 3, "open f for writing, made if missing"),
        ("openat", "f", "", "read+write, create, exclusive", 3, "open f to read and write, new"),
        ("openat", "f", "", "append, create", 3, "open f to append, made if missing"),
        ("openat", "d", "", "read, directory", 3, "open d to read, directory"),
        ("read", "f", "", "4096 bytes at 0", 27, "read f: 27 bytes"),
        ("read", "f", "", "4096 bytes at 27", 0, "read f: end of file"),
        ("read", "f", "", "4096 bytes at 0", 0, "read f: empty"),
        ("pread64", "f", "", "10 bytes at 5", 1, "read f at 5: 1 byte"),
        ("write", "f", "", "12 bytes at 0", 12, "write f: 12 bytes"),
        ("pwrite64", "f", "", "12 bytes at 7", 12, "write f at 7: 12 bytes"),
        ("write", "f", "", "12 bytes", 12, "write f (12 bytes): 12 bytes"),
        ("flock", ".metadata.lock", "", "exclusive", 0, "lock .metadata.lock exclusively"),
        ("flock", "l", "", "shared, try", 0, "try to lock l shared"),
        ("flock", "l", "", "unlock", 0, "unlock l"),
        ("fcntl", "l", "", "posix exclusive 0..end", 0, "lock l exclusively (posix 0..end)"),
        ("fcntl", "l", "", "ofd shared 3..9, try", 0, "try to lock l shared (ofd 3..9)"),
        ("fcntl", "l", "", "posix unlock 0..end", 0, "unlock l (posix 0..end)"),
        ("rename", "x.tmp", "agent_metadata.json", "", 0, "rename x.tmp → agent_metadata.json"),
        ("linkat", "a", "b", "", 0, "link a → b"),
        ("unlinkat", "d", "", "directory", 0, "remove directory d"),
        ("statx", "f", "", "", 0, "look at f"),
        ("getdents64", ".", "", "", 96, "list ."),
        ("ftruncate", "f", "", "to 0 bytes", 0, "empty f"),
        ("ftruncate", "f", "", "to 9 bytes", 0, "set the length of f (to 9 bytes)"),
        ("fsync", "f", "", "", 0, "flush to disk f"),
        ("exit_group", "", "", "", 0, "exit"),
        ("copy_file_range", "a", "b", "9 bytes", 9, "copy_file_range a b (9 bytes)"),
    ] {
        assert_eq!(executed(&call(name, path, target, detail), &CallResult::Value(value)), words);
    }
}

#[test]
fn calls_that_fail_and_calls_to_come() {
    for (name, detail, error, words) in [
        ("openat", "write, create, truncate", "EACCES", "open f for writing: not allowed"),
        ("openat", "read", "ENOENT", "open f to read: no such file"),
        ("openat", "write, create, exclusive", "EEXIST", "open f for writing, new: already exists"),
        ("flock", "exclusive, try", "EWOULDBLOCK", "try to lock f exclusively: refused"),
        ("frobnicate", "hard", "EFROB", "frobnicate f (hard): EFROB"),
    ] {
        assert_eq!(executed(&call(name, "f", "", detail), &CallResult::Error(error.into())), words);
    }
    assert_eq!(pending(&call("read", "f", "", "4096 bytes at 0")), "read f");
    assert_eq!(pending(&call("write", "f", "", "12 bytes at 0")), "write f: 12 bytes");
}
