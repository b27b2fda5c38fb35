//! Calls in plain words: `read agent_metadata.json: 27 bytes`, `rename x.tmp → agent_metadata.json`.
//!
//! The details are those that the tracer writes; what is not known is shown as it is.

use crate::model::{Access, AccessKind, Begins, Call, CallResult, Event, Exit, Location};

/// A step: its call, what came of it, and whether the process ended with it.
#[must_use]
pub fn event(event: &Event) -> String {
    let call = with_task(in_trace(event), &event.task);
    let name = event.operation.call.name.as_str();
    match event.exit {
        Some(exit) if matches!(name, "exit" | "exit_group") => ended(exit),
        Some(exit) => format!("{call}; {}", ended(exit)),
        None => call,
    }
}

/// Steps of one process that do the same to one file, one after another: the bytes together, or how often it was done.
#[must_use]
pub fn several(events: &[&Event]) -> String {
    let Some(first) = events.first() else { return String::new() };
    let moved: Option<Vec<i64>> = events.iter().map(|event| moved(event)).collect();
    let words = match moved {
        Some(moved) => {
            let verb = if writes(&first.operation.call.name) { "write" } else { "read" };
            let path = first.operation.call.path.as_deref().unwrap_or("");
            format!("{verb} {path}: {}, {} calls", bytes(moved.iter().sum()), events.len())
        }
        None => format!("{}, {} times", in_trace(first), events.len()),
    };
    with_task(words, &first.task)
}

/// How a process ended: `exit 1`, `killed by signal 9`.
#[must_use]
pub fn ended(exit: Exit) -> String {
    match exit {
        Exit::Status(_) => exit.to_string(),
        Exit::Signal(signal) => format!("killed by signal {signal}"),
    }
}

/// A call that was executed, with what it gave back.
#[must_use]
pub fn executed(call: &Call, result: &CallResult) -> String {
    told(call, result, None)
}

/// A call that is still to be executed.
#[must_use]
pub fn pending(call: &Call) -> String {
    call_words(call, true, None)
}

/// Whether a call of this name moves bytes out of a file.
pub(super) fn reads(name: &str) -> bool {
    matches!(name, "read" | "pread64" | "readv" | "preadv" | "preadv2")
}

/// Whether a call of this name moves bytes into a file.
pub(super) fn writes(name: &str) -> bool {
    matches!(name, "write" | "pwrite64" | "writev" | "pwritev" | "pwritev2")
}

/// Whether a call of this name sends a signal.
fn sends(name: &str) -> bool {
    matches!(
        name,
        "kill" | "tkill" | "tgkill" | "rt_sigqueueinfo" | "rt_tgsigqueueinfo" | "pidfd_send_signal"
    )
}

/// The bytes that a step moved, if that is what it did.
pub(super) fn moved(event: &Event) -> Option<i64> {
    let name = event.operation.call.name.as_str();
    match event.result {
        CallResult::Value(moved) if reads(name) || writes(name) => Some(moved),
        _ => None,
    }
}

/// Whether a step made a name in a directory; nothing where the accesses were not recorded.
pub(super) fn made(event: &Event) -> Option<bool> {
    let accesses = &event.operation.accesses;
    let names = |access: &Access| {
        access.kind == AccessKind::Write && matches!(access.location, Location::Name { .. })
    };
    (!accesses.is_empty()).then(|| accesses.iter().any(names))
}

fn in_trace(event: &Event) -> String {
    told(&event.operation.call, &event.result, made(event))
}

/// Of a process's children and threads, which one.
fn with_task(words: String, task: &str) -> String {
    if task.is_empty() { words } else { format!("{words} (child {task})") }
}

fn told(call: &Call, result: &CallResult, made: Option<bool>) -> String {
    match result {
        CallResult::Error(error) => {
            format!("{}: {}", call_words(call, false, None), self::error(error, call))
        }
        CallResult::Value(looks) if call.name == "sleep" => polled(call, *looks),
        CallResult::Value(value) if reads(&call.name) => transfer("read", call, Some(*value)),
        CallResult::Value(value) if writes(&call.name) => transfer("write", call, Some(*value)),
        CallResult::Value(_) => call_words(call, true, made),
    }
}

/// The call. What a call does besides opening (making, emptying) is said only of one that succeeds; `made` tells whether it made
/// a name, where that is known.
fn call_words(call: &Call, succeeds: bool, made: Option<bool>) -> String {
    let path = call.path.as_deref().unwrap_or("");
    let plain = |verb: &str| with_detail(&format!("{verb} {path}"), &call.detail);
    match call.name.as_str() {
        name if reads(name) => transfer("read", call, None),
        name if writes(name) => transfer("write", call, None),
        "open" | "openat" | "openat2" | "creat" => open(path, &call.detail, succeeds, made),
        "flock" | "fcntl" => lock(call, path),
        "close" | "close_range" | "dup" | "dup2" | "dup3" if call.detail == "releases the lock" => {
            format!("unlock {path} (close)")
        }
        "execve" | "execveat" if path.is_empty() => "run another program (closes files)".into(),
        "execve" | "execveat" => plain("run"),
        "rename" | "renameat" | "renameat2" => two_paths("rename", call),
        "link" | "linkat" => two_paths("link", call),
        "symlink" | "symlinkat" => two_paths("symbolic link", call),
        "unlink" => plain("remove"),
        "unlinkat" if call.detail == "directory" => format!("remove directory {path}"),
        "unlinkat" => plain("remove"),
        "mkdir" | "mkdirat" => plain("make directory"),
        "mknod" | "mknodat" => plain("make"),
        "rmdir" => format!("remove directory {path}"),
        "stat" | "lstat" | "fstat" | "newfstatat" | "statx" | "stat64" => plain("look at"),
        "access" | "faccessat" | "faccessat2" => plain("check access to"),
        "chdir" | "fchdir" => plain("go to"),
        "readlink" | "readlinkat" => plain("read the link"),
        "getdents" | "getdents64" => plain("list"),
        "lseek" if call.detail == "to the end" => format!("find the end of {path}"),
        "mmap" => format!("map {path} into memory"),
        "truncate" | "ftruncate" => cut(path, &call.detail),
        "fallocate" => plain("reserve room in"),
        "chmod" | "fchmod" | "fchmodat" | "fchmodat2" => plain("change the mode of"),
        "chown" | "lchown" | "fchown" | "fchownat" => plain("change the owner of"),
        "utime" | "utimes" | "futimesat" | "utimensat" => plain("change the times of"),
        "fsync" | "fdatasync" | "sync_file_range" => format!("flush {path} to disk"),
        "sendfile" | "copy_file_range" | "splice" => two_paths("copy", call),
        "close" | "close_range" | "dup" | "dup2" | "dup3" if call.detail == "closes its end" => {
            format!("close {path}")
        }
        "close" => plain("close"),
        "poll" | "ppoll" | "select" | "pselect6" | "epoll_wait" | "epoll_pwait" | "epoll_pwait2" => {
            plain("wait for")
        }
        "sleep" => format!("look again at {path}"),
        "exit" | "exit_group" => "exit".into(),
        name if sends(name) => match call.detail.strip_prefix("nothing to ") {
            Some(whom) => format!("look whether {whom} lives"),
            None => format!("send {}", call.detail),
        },
        "signal" => format!("take {}", call.detail),
        "stop" => format!("stopped {}", call.detail),
        _ if call.begins() == Some(Begins::Mark) => "the next unit begins".into(),
        name if call.begins().is_some() => format!("{name} {}", call.detail).trim_end().to_owned(),
        _ => unknown(call),
    }
}

/// What a process did that polls: it was in time, or looked on in vain.
fn polled(call: &Call, looks: i64) -> String {
    let path = call.path.as_deref().unwrap_or("");
    let words = match looks {
        0 => format!("poll {path}: it has changed"),
        1 => format!("poll {path} in vain, once more"),
        _ => format!("poll {path} in vain, {looks} times more"),
    };
    with_detail(&words, &call.detail)
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
    let path = |path: &Option<String>| path.clone().unwrap_or_else(|| "what is outside".into());
    with_detail(&format!("{verb} {} → {}", path(&call.path), path(&call.target)), &call.detail)
}

fn open(path: &str, detail: &str, succeeds: bool, made: Option<bool>) -> String {
    let words: Vec<&str> = detail.split(", ").filter(|word| !word.is_empty()).collect();
    let has = |word: &str| words.contains(&word);
    let known = ["read", "write", "read+write", "append", "create", "truncate", "exclusive", "directory"];
    let purpose = match () {
        () if has("append") => " to append",
        () if has("read+write") => " to read and write",
        () if has("write") || has("truncate") => " to write",
        () if has("read") => " to read",
        () => "",
    };
    let mut text = match () {
        () if has("directory") => format!("open directory {path}"),
        () if has("exclusive") => format!("create new {path}"),
        () if succeeds && made == Some(true) => format!("create {path}"),
        () if succeeds && has("truncate") => format!("open and empty {path}"),
        () if succeeds && has("create") && made.is_none() => format!("open {path}{purpose}, made if missing"),
        () => format!("open {path}{purpose}"),
    };
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
    if offset == "the end" {
        let size = moved.or_else(|| asked.parse().ok());
        return size.map_or_else(
            || format!("append to {path}"),
            |size| format!("append to {path}: {}", bytes(size)),
        );
    }
    let start = format!("{verb} {path}");
    let at =
        if matches!(offset, "0" | "end" | "once") { start.clone() } else { format!("{start} at {offset}") };
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

/// `exclusive, try`, `posix shared 0..10`: who may hold what. That a lock is exclusive is not said, that it is shared is.
fn lock(call: &Call, path: &str) -> String {
    let mut parts = call.detail.split(", ");
    let first = parts.next().unwrap_or_default();
    let more: Vec<&str> = parts.collect();
    let (family, mode) = match first.split_once(' ') {
        Some((family @ ("posix" | "ofd"), mode)) => (Some(family), mode),
        _ => (None, first),
    };
    let (mode, range) = mode.split_once(' ').unwrap_or((mode, ""));
    let verb = if more.contains(&"try") { "try to lock" } else { "lock" };
    let words = match mode {
        "exclusive" => format!("{verb} {path}"),
        "shared" => format!("{verb} {path} shared"),
        "unlock" => format!("unlock {path}"),
        "asks" => format!("ask who locks {path}"),
        _ => return unknown(call),
    };
    let whole = matches!(range, "" | "0.." | "0..end");
    let range = (!whole).then(|| format!("bytes {range}"));
    let others = more.iter().filter(|word| **word != "try").map(|word| (*word).to_owned());
    let details: Vec<String> = family.map(str::to_owned).into_iter().chain(range).chain(others).collect();
    with_detail(&words, &details.join(", "))
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
        "EBADF" => "not open for that",
        "ESRCH" => "no such process",
        name => name,
    }
    .to_owned()
}

#[cfg(test)]
mod tests;
