use super::{event, executed, pending, several};
use crate::model::{Access, Call, CallResult, Exit, Location, ObjectId};
use crate::oracle::testing::Script;

fn call(name: &str, path: &str, target: &str, detail: &str) -> Call {
    let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    Call { name: name.into(), path: some(path), target: some(target), detail: detail.into() }
}

#[test]
fn calls_that_succeed() {
    for (name, path, target, detail, value, words) in [
        ("openat", "f", "", "read", 3, "open f to read"),
        ("openat", "f", "", "write, create, truncate", 3, "open and empty f"),
        ("openat", "f", "", "write, create", 3, "open f to write, made if missing"),
        ("openat", "f", "", "read+write, create, exclusive", 3, "create new f"),
        ("openat", "f", "", "append, create", 3, "open f to append, made if missing"),
        ("openat", "d", "", "read, directory", 3, "open directory d"),
        ("read", "f", "", "4096 bytes at 0", 27, "read f: 27 bytes"),
        ("read", "f", "", "4096 bytes at 27", 0, "read f: end of file"),
        ("read", "f", "", "4096 bytes at 0", 0, "read f: empty"),
        ("pread64", "f", "", "10 bytes at 5", 1, "read f at 5: 1 byte"),
        ("write", "f", "", "12 bytes at 0", 12, "write f: 12 bytes"),
        ("pwrite64", "f", "", "12 bytes at 7", 12, "write f at 7: 12 bytes"),
        ("write", "f", "", "12 bytes", 12, "write f (12 bytes): 12 bytes"),
        ("flock", ".metadata.lock", "", "exclusive", 0, "lock .metadata.lock"),
        ("flock", "l", "", "shared, try", 0, "try to lock l shared"),
        ("flock", "l", "", "unlock", 0, "unlock l"),
        ("fcntl", "l", "", "posix exclusive 0..end", 0, "lock l (posix)"),
        ("fcntl", "l", "", "ofd shared 3..9, try", 0, "try to lock l shared (ofd, bytes 3..9)"),
        ("fcntl", "l", "", "posix unlock 0..end", 0, "unlock l (posix)"),
        ("rename", "x.tmp", "agent_metadata.json", "", 0, "rename x.tmp → agent_metadata.json"),
        ("linkat", "a", "b", "", 0, "link a → b"),
        ("unlinkat", "d", "", "directory", 0, "remove directory d"),
        ("statx", "f", "", "", 0, "look at f"),
        ("getdents64", ".", "", "", 96, "list ."),
        ("ftruncate", "f", "", "to 0 bytes", 0, "empty f"),
        ("ftruncate", "f", "", "to 9 bytes", 0, "set the length of f (to 9 bytes)"),
        ("write", "f", "", "12 bytes at the end", 12, "append to f: 12 bytes"),
        ("fcntl", "l", "", "posix asks 0..", 0, "ask who locks l (posix)"),
        (
            "flock",
            "l",
            "",
            "exclusive, gives up the other mode first",
            0,
            "lock l (gives up the other mode first)",
        ),
        ("close", "l", "", "releases the lock", 0, "unlock l (close)"),
        ("dup2", "l", "", "releases the lock", 0, "unlock l (close)"),
        ("dup2", "l", "", "closes its end", 0, "close l"),
        ("read", "p", "", "16 bytes at once", 1, "read p: 1 byte"),
        ("read", "p", "", "16 bytes at once", 0, "read p: end of file"),
        ("write", "p", "", "2 bytes at once", 2, "write p: 2 bytes"),
        ("poll", "p", "", "one of 2", 1, "wait for p (one of 2)"),
        ("execve", "", "", "closes what exec closes", 0, "run another program (closes files)"),
        ("lseek", "f", "", "to the end", 9, "find the end of f"),
        ("mmap", "f", "", "", 0, "map f into memory"),
        ("fchmodat", "f", "", "", 0, "change the mode of f"),
        ("utimensat", "f", "", "", 0, "change the times of f"),
        ("mkdir", "d", "", "", 0, "make directory d"),
        ("rmdir", "d", "", "directory", 0, "remove directory d"),
        ("fsync", "f", "", "", 0, "flush f to disk"),
        ("exit_group", "", "", "", 0, "exit"),
        ("copy_file_range", "a", "b", "9 bytes", 9, "copy a → b (9 bytes)"),
    ] {
        assert_eq!(executed(&call(name, path, target, detail), &CallResult::Value(value)), words);
    }
}

#[test]
fn calls_that_fail_and_calls_to_come() {
    for (name, detail, error, words) in [
        ("openat", "write, create, truncate", "EACCES", "open f to write: not allowed"),
        ("openat", "read", "ENOENT", "open f to read: no such file"),
        ("openat", "write, create, exclusive", "EEXIST", "create new f: already exists"),
        ("flock", "exclusive, try", "EWOULDBLOCK", "try to lock f: refused"),
        ("frobnicate", "hard", "EFROB", "frobnicate f (hard): EFROB"),
    ] {
        assert_eq!(executed(&call(name, "f", "", detail), &CallResult::Error(error.into())), words);
    }
    assert_eq!(pending(&call("read", "f", "", "4096 bytes at 0")), "read f");
    assert_eq!(pending(&call("write", "f", "", "12 bytes at 0")), "write f: 12 bytes");
}

#[test]
fn steps_tell_what_was_made_whose_child_it_was_and_how_the_process_ended() {
    let mut step = Script::new(1).open(0, "f", "write, create, truncate").execution().trace.remove(0);
    assert_eq!(event(&step), "open and empty f");
    let dir = ObjectId::Initial(0);
    step.operation.accesses = vec![Access::write(Location::Name { dir, name: "f".into() })];
    step.exit = Some(Exit::Signal(9));
    step.task = "1.2".into();
    assert_eq!(event(&step), "create f (child 1.2); killed by signal 9");
    step.operation.accesses = vec![Access::read(Location::Status(dir))];
    step.operation.call.detail = "append, create".into();
    step.exit = Some(Exit::Status(0));
    assert_eq!(event(&step), "open f to append (child 1.2); exit 0");
    step.operation.call.name = "exit_group".into();
    assert_eq!(event(&step), "exit 0");
}

#[test]
fn steps_that_do_the_same_are_told_together() {
    let trace = Script::new(1).read(0, "f", "ab").read(0, "f", "c").execution().trace;
    assert_eq!(several(&[&trace[0], &trace[1]]), "read f: 3 bytes, 2 calls");
    let tried = Script::new(1).call(0, "flock", "l", "exclusive, try").error("EWOULDBLOCK").execution().trace;
    assert_eq!(several(&[&tried[0], &tried[0]]), "try to lock l: refused, 2 times");
}
