//! Calls in plain words: `read agent_metadata.json: 27 bytes`, `rename x.tmp → agent_metadata.json`.
//!
//! The details are those that the tracer writes; what is not known is shown as it is.

use crate::model::{Call, CallResult, Event};

/// A step: its call, what came of it, and whether the process ended with it.
#[must_use]
pub fn event(event: &Event) -> String {
    let call = executed(&event.operation.call, &event.result);
    let task = if event.task.is_empty() { String::new() } else { format!("[{}] ", event.task) };
    match event.exit {
        Some(exit) if call == "exit" => format!("{task}{exit}"),
        Some(exit) => format!("{task}{call}; {exit}"),
        None => format!("{task}{call}"),
    }
}

/// A call that was executed, with what it gave back.
#[must_use]
pub fn executed(call: &Call, result: &CallResult) -> String {
    match result {
        CallResult::Error(error) => format!("{}: {}", call_words(call, false), self::error(error, call)),
        CallResult::Value(value) => match call.name.as_str() {
            "read" | "pread64" | "readv" | "preadv" | "preadv2" => transfer("read", call, Some(*value)),
            "write" | "pwrite64" | "writev" | "pwritev" | "pwritev2" => transfer("write", call, Some(*value)),
            _ => call_words(call, true),
        },
    }
}

/// A call that is still to be executed.
#[must_use]
pub fn pending(call: &Call) -> String {
    call_words(call, true)
}

/// The call. What a call does besides opening (making, emptying) is said only of one that succeeds.
fn call_words(call: &Call, succeeds: bool) -> String {
    let path = call.path.as_deref().unwrap_or("");
    let plain = |verb: &str| with_detail(&format!("{verb} {path}"), &call.detail);
    match call.name.as_str() {
        "open" | "openat" | "openat2" | "creat" => open(path, &call.detail, succeeds),
        "read" | "pread64" | "readv" | "preadv" | "preadv2" => transfer("read", call, None),
        "write" | "pwrite64" | "writev" | "pwritev" | "pwritev2" => transfer("write", call, None),
        "flock" | "fcntl" => lock(call, path),
        "rename" | "renameat" | "renameat2" => two_paths("rename", call),
        "link" | "linkat" => two_paths("link", call),
        "symlink" | "symlinkat" => two_paths("symbolic link", call),
        "unlink" => plain("remove"),
        "unlinkat" if call.detail == "directory" => format!("remove directory {path}"),
        "unlinkat" => plain("remove"),
        "mkdir" | "mkdirat" => plain("make directory"),
        "rmdir" => plain("remove directory"),
        "stat" | "lstat" | "fstat" | "newfstatat" | "statx" | "stat64" => plain("look at"),
        "access" | "faccessat" | "faccessat2" => plain("check access to"),
        "readlink" | "readlinkat" => plain("read the link"),
        "getdents" | "getdents64" => plain("list"),
        "truncate" | "ftruncate" => cut(path, &call.detail),
        "chmod" | "fchmod" | "fchmodat" | "fchmodat2" => plain("change the mode of"),
        "fsync" | "fdatasync" => plain("flush to disk"),
        "execve" | "execveat" => plain("run"),
        "close" => plain("close"),
        "exit" | "exit_group" => "exit".into(),
        _ => unknown(call),
    }
}

fn with_detail(words: &str, detail: &str) -> String {
    if detail.is_empty() { words.trim_end().to_owned() } else { format!("{} ({detail})", words.trim_end()) }
}

fn unknown(call: &Call) -> String {
    let paths = [&call.path, &call.target].into_iter().flatten();
    let words = paths.fold(call.name.clone(), |words, path| format!("{words} {path}"));
    with_detail(&words, &call.detail)
}

fn two_paths(verb: &str, call: &Call) -> String {
    let path = |path: &Option<String>| path.clone().unwrap_or_else(|| "?".into());
    with_detail(&format!("{verb} {} → {}", path(&call.path), path(&call.target)), &call.detail)
}

fn open(path: &str, detail: &str, succeeds: bool) -> String {
    let words: Vec<&str> = detail.split(", ").filter(|word| !word.is_empty()).collect();
    let has = |word: &str| words.contains(&word);
    let purpose = match () {
        () if has("append") => " to append",
        () if has("read+write") => " to read and write",
        () if has("write") || has("truncate") => " for writing",
        () if has("read") => " to read",
        () => "",
    };
    let known = ["read", "write", "read+write", "append", "create", "truncate", "exclusive"];
    let mut text = format!("open {path}{purpose}");
    if has("exclusive") {
        text += ", new";
    } else if has("truncate") && succeeds {
        text += ", emptied";
    } else if has("create") && succeeds {
        text += ", made if missing";
    }
    for word in words.iter().filter(|word| !known.contains(word)) {
        text = format!("{text}, {word}");
    }
    text
}

/// `read f: 27 bytes`, with the offset where it is not the beginning.
fn transfer(verb: &str, call: &Call, moved: Option<i64>) -> String {
    let path = call.path.as_deref().unwrap_or("");
    let Some((asked, offset)) = call.detail.split_once(" bytes at ") else {
        let words = with_detail(&format!("{verb} {path}"), &call.detail);
        return moved.map_or(words.clone(), |moved| format!("{words}: {}", bytes(moved)));
    };
    let start = format!("{verb} {path}");
    let at = if offset == "0" || offset == "end" { start.clone() } else { format!("{start} at {offset}") };
    match moved {
        Some(0) if verb == "read" && offset == "0" => format!("{start}: empty"),
        Some(0) if verb == "read" => format!("{start}: end of file"),
        Some(moved) => format!("{at}: {}", bytes(moved)),
        None if verb == "read" => at,
        None => asked.parse().map_or(at.clone(), |asked| format!("{at}: {}", bytes(asked))),
    }
}

fn bytes(count: i64) -> String {
    if count == 1 { "1 byte".into() } else { format!("{count} bytes") }
}

/// `exclusive, try`, `posix shared 0..10`: who may hold what.
fn lock(call: &Call, path: &str) -> String {
    let (detail, try_) = match call.detail.strip_suffix(", try") {
        Some(detail) => (detail, true),
        None => (call.detail.as_str(), false),
    };
    let (family, mode) = match detail.split_once(' ') {
        Some((family @ ("posix" | "ofd"), mode)) => (Some(family), mode),
        _ => (None, detail),
    };
    let (mode, range) = mode.split_once(' ').unwrap_or((mode, ""));
    let words = match (mode, try_) {
        ("exclusive", false) => format!("lock {path} exclusively"),
        ("shared", false) => format!("lock {path} shared"),
        ("exclusive", true) => format!("try to lock {path} exclusively"),
        ("shared", true) => format!("try to lock {path} shared"),
        ("unlock", _) => format!("unlock {path}"),
        _ => return unknown(call),
    };
    let more: Vec<&str> = family.into_iter().chain(Some(range).filter(|range| !range.is_empty())).collect();
    with_detail(&words, &more.join(" "))
}

fn cut(path: &str, detail: &str) -> String {
    let size = detail.trim_start_matches("to ").trim_end_matches(" bytes");
    if size == "0" {
        format!("empty {path}")
    } else {
        with_detail(&format!("set the length of {path}"), detail)
    }
}

/// An error in words; one that is not known by its name.
fn error(name: &str, call: &Call) -> String {
    let lock = matches!(call.name.as_str(), "flock" | "fcntl");
    match name {
        "ENOENT" => "no such file",
        "EEXIST" => "already exists",
        "EWOULDBLOCK" | "EAGAIN" | "EACCES" if lock => "refused",
        "EACCES" | "EPERM" => "not allowed",
        "EAGAIN" | "EWOULDBLOCK" => "would have to wait",
        "EISDIR" => "is a directory",
        "ENOTDIR" => "not a directory",
        "ENOTEMPTY" => "not empty",
        "EINTR" => "interrupted",
        "EDEADLK" => "would be a deadlock",
        "ENOSPC" => "no space left",
        "EROFS" => "read-only",
        "ELOOP" => "too many links",
        "EBADF" => "no such descriptor",
        name => name,
    }
    .to_owned()
}

#[cfg(test)]
mod tests {
    use super::{executed, pending};
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
}
