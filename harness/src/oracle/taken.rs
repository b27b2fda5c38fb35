//! Processes that give up because they find a lock taken: a lock file that is there already, a lock that another holds.

use super::evidence::{Marks, shown, sorted};
use crate::model::{Anomaly, Call, CallResult, Event, Kind, ProcessId};

/// A failure of a process (`what`) whose last try for a lock found it taken by another, and which did not get it after that.
/// `advice` goes into the explanation.
pub(super) fn find(what: &str, advice: &str, process: ProcessId, trace: &[Event]) -> Option<Anomaly> {
    let (tried, path) = trace.iter().enumerate().rev().find_map(|(step, event)| {
        let path = named(&event.operation.call)?;
        (event.process == process && finds_taken(event)).then_some((step, path))
    })?;
    let got_it = |event: &Event| event.process == process && takes(event, path);
    if trace[tried..].iter().any(got_it) {
        return None;
    }
    let by_another = |event: &Event| event.process != process && takes(event, path);
    let taken = trace[..tried].iter().rposition(by_another)?;
    let by = trace[taken].process;
    // What somebody makes and leaves where it is, is no lock.
    let lets_go = |event: &Event| event.process == by && releases(event, path);
    trace[taken..].iter().any(lets_go).then(|| {
        let mut marks = Marks::default();
        marks.add(taken, "takes it");
        marks.add(tried, format!("finds it taken by {by}"));
        let steps = (shown(tried), shown(taken));
        Anomaly {
            kind: Kind::ProcessFailure,
            summary: format!(
                "{what}: it finds {path} taken (step {}), by {by} since step {}",
                steps.0, steps.1
            ),
            files: vec![path.clone()],
            keys: Vec::new(),
            processes: sorted([process, by]),
            steps: marks.finish(),
            explanation: vec![advice.to_owned()],
        }
    })
}

/// Whether a call makes what must not have been there.
fn is_exclusive(call: &Call) -> bool {
    match call.name.as_str() {
        "open" | "openat" | "openat2" => call.detail.split(", ").any(|word| word == "exclusive"),
        "mkdir" | "mkdirat" => true,
        _ => false,
    }
}

/// Whether a call makes a further name of a file, its target.
fn is_link(call: &Call) -> bool {
    matches!(call.name.as_str(), "link" | "linkat" | "symlink" | "symlinkat")
}

/// The path by which a lock is known that a call tries to take.
fn named(call: &Call) -> Option<&String> {
    if is_link(call) { call.target.as_ref() } else { call.path.as_ref() }
}

fn is_lock(call: &Call) -> bool {
    let unlocks = call.detail.split([',', ' ']).any(|word| word == "unlock" || word == "asks");
    matches!(call.name.as_str(), "flock" | "fcntl") && !unlocks
}

fn finds_taken(event: &Event) -> bool {
    let call = &event.operation.call;
    let CallResult::Error(error) = &event.result else { return false };
    match error.as_str() {
        "EEXIST" => is_exclusive(call) || is_link(call),
        "EAGAIN" | "EWOULDBLOCK" | "EACCES" => is_lock(call),
        _ => false,
    }
}

/// Whether an event takes the lock that is known by a path.
fn takes(event: &Event, path: &String) -> bool {
    let call = &event.operation.call;
    let takes = is_exclusive(call) || is_link(call) || is_lock(call);
    takes && named(call) == Some(path) && !matches!(event.result, CallResult::Error(_))
}

/// Whether an event lets go of it: takes the name away, unlocks, closes the descriptor, ends.
fn releases(event: &Event, path: &String) -> bool {
    let call = &event.operation.call;
    let removes =
        matches!(call.name.as_str(), "unlink" | "unlinkat" | "rmdir" | "rename" | "renameat" | "renameat2");
    let unlocks = !is_lock(call) && matches!(call.name.as_str(), "flock" | "fcntl" | "close" | "exit");
    (removes || unlocks) && call.path.as_ref() == Some(path) || unlocks && event.exit.is_some()
}

#[cfg(test)]
mod tests {
    use super::find;
    use crate::model::ProcessId;
    use crate::oracle::testing::Script;

    fn summary(script: &Script) -> Option<String> {
        let execution = script.clone().execution();
        find("B fails", "advice", ProcessId(1), &execution.trace).map(|anomaly| anomaly.summary)
    }

    #[test]
    fn a_lock_file_that_is_there_is_named() {
        let held = Script::new(2).open(0, "x.lock", "create, exclusive");
        let tried = held.open(1, "x.lock", "create, exclusive").error("EEXIST");
        let released = tried.clone().rename(0, "x.lock", "x");
        let said = "B fails: it finds x.lock taken (step 2), by A since step 1";
        assert_eq!(summary(&released).as_deref(), Some(said));
        // Got at the second try.
        assert_eq!(summary(&released.clone().open(1, "x.lock", "create, exclusive")), None);
        // A file, not a lock: it stays.
        assert_eq!(summary(&tried), None);
    }

    #[test]
    fn a_directory_and_a_lock_that_is_refused_are_named() {
        let made = Script::new(2).call(0, "mkdir", "d", "").call(1, "mkdir", "d", "").error("EEXIST");
        let said = summary(&made.call(0, "rmdir", "d", ""));
        assert_eq!(said.as_deref(), Some("B fails: it finds d taken (step 2), by A since step 1"));
        let locked = Script::new(2)
            .call(0, "flock", "l", "exclusive")
            .call(1, "flock", "l", "exclusive, try")
            .error("EAGAIN")
            .call(0, "flock", "l", "unlock");
        let said = summary(&locked);
        assert_eq!(said.as_deref(), Some("B fails: it finds l taken (step 2), by A since step 1"));
        // Its own lock.
        let own = Script::new(2).call(1, "flock", "l", "exclusive").call(1, "flock", "l", "exclusive, try");
        assert_eq!(summary(&own.error("EAGAIN")), None);
    }
}
