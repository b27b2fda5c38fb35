//! What the result of a call says of what it touched: a call that failed changed nothing, one that moved less changed less.

use nix::errno::Errno;

use super::decode::Action;
use crate::model::{AccessKind, CallResult, Location, Operation};

/// Reduces an operation, which was to do all that its call asked for, to what the call did, by its result.
pub fn settle(operation: &mut Operation, action: &Action, result: i64) {
    match u64::try_from(result) {
        Err(_) => {
            if !matches!(action, Action::Lock { .. }) {
                only_looked(operation);
            }
            operation.adds.clear();
        }
        Ok(moved) => {
            // A clone reports nothing of what it copied.
            if let Some(start) = written_from(action).filter(|_| operation.call.name != "ioctl") {
                only_wrote(operation, start, moved);
            }
        }
    }
}

/// A call that failed and changed nothing has only looked. That a name would have come into a directory, or a link to a file, is
/// nothing that it looked at.
pub fn only_looked(operation: &mut Operation) {
    operation.accesses.retain(|access| {
        let is_count = matches!(access.location, Location::Listing(_) | Location::Status(_));
        (access.kind != AccessKind::Join || !is_count) && access.location != Location::Times
    });
    for access in &mut operation.accesses {
        access.kind = AccessKind::Read;
    }
}

/// Where a call begins to write into a file, if it writes.
fn written_from(action: &Action) -> Option<u64> {
    match action {
        Action::Transfer { at, written: true, .. } | Action::Moved { seen: (_, at, true), .. } => Some(*at),
        _ => None,
    }
}

/// A write of so many bytes. One that appends depends on where the file ends, so it keeps all positions from there on.
fn only_wrote(operation: &mut Operation, start: u64, moved: u64) {
    let wrote = |location: &Location| {
        matches!(location, Location::Data { .. } | Location::Status(_) | Location::Times)
    };
    if moved == 0 {
        operation.accesses.retain(|access| access.kind == AccessKind::Read || !wrote(&access.location));
    }
    for access in &mut operation.accesses {
        if let (AccessKind::Write, Location::Data { end, .. }) = (access.kind, &mut access.location)
            && *end != u64::MAX
        {
            *end = start.saturating_add(moved).min(*end);
        }
    }
}

/// The result as it is recorded: what is the same in every run of the schedule.
pub fn shown(operation: &Operation, result: i64) -> CallResult {
    match i32::try_from(-result) {
        Ok(error) if (1..4096).contains(&error) => CallResult::Error(format!("{:?}", Errno::from_raw(error))),
        // Where a mapping is says nothing.
        _ if operation.call.name == "mmap" => CallResult::Value(0),
        _ => CallResult::Value(result),
    }
}
