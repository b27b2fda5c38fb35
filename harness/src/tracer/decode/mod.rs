//! What a system call means: whether it is an operation, what it touches, what to do when it is done.
//!
//! One file for each kind of call; `table` says which call is of which kind. One that is not in it ends the exploration.

mod action;
mod data;
mod descriptors;
mod failing;
mod locks;
mod messages;
mod names;
mod netlink;
mod network;
mod reported;
mod rights;
mod sockets;
mod status;
mod streams;
pub mod table;
mod tasks;
mod time;
mod timers;
mod undecided;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

pub use self::action::Action;
pub use self::descriptors::released_words;
pub use self::names::is_program;
use self::table::Treatment;
use self::undecided::Early;
pub use self::undecided::Undecided;
use super::faults::Faults;
use super::files::Descriptors;
use super::footprint::Recorder;
use super::input::Feed;
use super::lacking::Lacking;
use super::laid::Changes;
use super::locks::Locks;
use super::mappings::Mappings;
use super::objects::Objects;
use super::paths::{Found, Paths, Place, Resolved, Spot, Way, inside, names, proc_link};
use super::proc::Proc;
use super::rights::Rights;
use super::sandbox::WORKSPACE;
use super::streams::Streams;
use super::timers::Timers;
use super::times::Times;
use super::tracee::{Registers, Tracee};
use super::units::MARK;
use crate::model::{Access, Begins, Call, GapKind, Location, ObjectId, Operation, ProcessId, Sighting};
use nix::unistd::Pid;

/// What the kernel puts behind the path of what was removed.
const REMOVED: &str = " (deleted)";

/// What to do at the entry of a call.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "one is made for each call, and taken apart at once")]
pub enum Decision {
    /// It is nobody's business: let it go on.
    Pass,
    /// It is local, but what it gives matters: let it run to its exit, then apply the action.
    Watch(Action),
    /// It closes descriptors, which releases nothing that is shared.
    Close(Vec<i32>),
    /// It is not made: these bytes are put into the task's memory, and this is its result.
    Answer {
        /// The result, an error as its negative number.
        result: i64,
        /// Addresses and bytes.
        memory: Vec<(u64, Vec<u8>)>,
    },
    /// Random bytes are put into the task's memory; the call gives how many.
    Random {
        /// Where.
        address: u64,
        /// How many.
        length: usize,
    },
    /// The clock moves on by this many nanoseconds; the call gives 0.
    Sleep(u64),
    /// It ends the thread group, with this status.
    End(i32),
    /// It makes a task: that gets the next of its process's ids.
    Fork,
    /// It is an operation.
    Hold(Held),
}

/// An operation at its entry.
#[derive(Debug)]
pub struct Held {
    /// What it would do in the present state.
    pub operation: Operation,
    /// What to do when it is done.
    pub action: Action,
}

/// What a task is, as far as the meaning of its calls goes.
#[derive(Debug)]
pub struct Caller<'a> {
    /// The task.
    pub tracee: &'a Tracee,
    /// The place of its process.
    pub process: usize,
    /// The id of the first task of its thread group.
    pub group: Pid,
    /// Its descriptors.
    pub descriptors: &'a Rc<RefCell<Descriptors>>,
    /// The program that it runs, if that is a file of the workspace.
    pub runs: Option<ObjectId>,
    /// The virtual time that it sees, in nanoseconds since the execution began.
    pub now: u64,
    /// Whether its process has waited for time to pass.
    pub has_slept: bool,
    /// How much of that its process was busy.
    pub busy: u64,
}

/// What is known of the workspace.
#[derive(Debug)]
pub struct World {
    /// Its names.
    pub paths: Paths,
    /// Its objects.
    pub objects: Objects,
    /// The virtual time at which processes begin, in nanoseconds since the beginning.
    pub begins: u64,
    /// What could not be laid out as it is.
    pub lacking: Rc<Lacking>,
    /// How the times come about that programs are told of its objects.
    pub times: Times,
    /// Its locks.
    pub locks: Locks,
    /// What goes through its FIFOs and Unix sockets.
    pub streams: Streams,
    /// What was changed of what was there at the beginning.
    pub changes: Changes,
    /// Its timers.
    pub timers: Timers,
    /// Descriptions of timers that are readable no longer, or not yet.
    pub unready: Vec<u32>,
    /// What processes did that was not scheduled, or could not be decided.
    pub not_covered: BTreeSet<Sighting>,
    /// Which files are mapped, and which processes use them.
    pub mappings: Mappings,
    /// Whose file permissions are checked.
    pub rights: Rights,
    /// Whether a signal was sent that may take a task out of its wait for a lock, since this was last asked.
    pub interrupts: bool,
    /// Whether the order of tasks is for the strategy to choose.
    pub by_task: bool,
    /// Faults that a test plants.
    pub faults: Faults,
    /// How many processes there are.
    pub processes: usize,
    /// Those of them that are over.
    pub over: BTreeSet<usize>,
    /// Whether a signal that kills was sent within a process since this was last asked.
    pub signalled: bool,
    /// Whether a signal that continues was sent within a process since this was last asked.
    pub continued: bool,
    /// What the processes are asked, by their places.
    pub inputs: BTreeMap<usize, Feed>,
    /// What is touched outside the workspace; of commands that run alone, that is not recorded.
    pub footprint: Option<Rc<RefCell<Recorder>>>,
    /// What the processes see at `/proc`.
    pub proc: Rc<Proc>,
}

impl World {
    /// Takes note of what a process did that was not scheduled.
    pub fn sight(&mut self, what: Sighting) {
        self.not_covered.insert(what);
    }

    /// Whether nothing was met in this execution that can hide a race.
    pub fn is_all_covered(&self) -> bool {
        !self.not_covered.iter().any(Sighting::may_hide)
    }
}

/// The decoder of one call.
#[derive(Debug)]
pub struct Decoder<'a> {
    world: &'a mut World,
    caller: &'a Caller<'a>,
    name: &'static str,
    arguments: [u64; 6],
}

/// What the call at whose entry the task stands means in the present state.
pub fn decode(world: &mut World, caller: &Caller<'_>, registers: &Registers) -> Decision {
    let number = registers.call();
    let Some(row) = table::row(number) else {
        return Decision::Watch(Action::Unknown(format!("system call {number}")));
    };
    let arguments = registers.arguments();
    let mut decoder = Decoder { world, caller, name: row.name, arguments };
    if let Some(marks) = decoder.mark() {
        return marks;
    }
    match row.treatment {
        Treatment::Local => Decision::Pass,
        Treatment::Decoded(meaning) => {
            meaning(&mut decoder, arguments).unwrap_or_else(|early| early.decision(row.name))
        }
        Treatment::Refused(error) => Decision::Answer { result: -i64::from(error), memory: Vec::new() },
        Treatment::Reported(report) => match decoder.reported(&report) {
            Ok(seen) => {
                decoder.world.sight(seen);
                Decision::Pass
            }
            Err(early) => early.decision(row.name),
        },
    }
}

/// The descriptor number that an argument holds.
fn descriptor(argument: u64) -> i32 {
    argument as u32 as i32
}

/// How many links of `/proc` are followed in one path.
const MOST_LINKS: u32 = 40;

/// The rest of a path in `/proc` that leads below the caller's own directory. `is_own` knows the caller's ids.
fn below_own(path: &str, is_own: impl Fn(i32) -> bool) -> Option<&str> {
    let (first, rest) = path.strip_prefix("/proc/")?.split_once('/')?;
    let is_named = |name: &str| name.parse().is_ok_and(&is_own);
    match first {
        "thread-self" => return Some(rest),
        "self" => {}
        number if is_named(number) => {}
        _ => return None,
    }
    let Some(task) = rest.strip_prefix("task/") else { return Some(rest) };
    task.split_once('/').filter(|(task, _)| is_named(task)).map(|(_, rest)| rest)
}

/// A path to one of the caller's own descriptors, or to its current directory: which one, and the rest of the path.
fn own_link(path: &str, is_own: impl Fn(i32) -> bool) -> Option<(i32, &str)> {
    let standard = [("/dev/stdin", 0), ("/dev/stdout", 1), ("/dev/stderr", 2)];
    if let Some((_, number)) = standard.iter().find(|(name, _)| *name == path) {
        return Some((*number, ""));
    }
    let rest = match path.strip_prefix("/dev/fd/") {
        Some(rest) => rest,
        None => {
            let own = below_own(path, is_own)?;
            match own.strip_prefix("cwd") {
                Some("") => return Some((libc::AT_FDCWD, "")),
                Some(rest) => return Some((libc::AT_FDCWD, rest.strip_prefix('/')?)),
                None => own.strip_prefix("fd/")?,
            }
        }
    };
    let (number, rest) = rest.split_once('/').unwrap_or((rest, ""));
    Some((number.parse().ok()?, rest))
}

/// Whether these flags leave a last link to be followed.
fn follows(flags: u64) -> bool {
    flags as i32 & libc::AT_SYMLINK_NOFOLLOW == 0
}

impl Decoder<'_> {
    /// What [`crate::unit`] does.
    fn mark(&self) -> Option<Decision> {
        let path = match self.name {
            "readlink" => self.arguments[0],
            "readlinkat" => self.arguments[1],
            _ => return None,
        };
        let is_mark = self.caller.tracee.read_text(path).is_ok_and(|path| path == MARK.as_bytes());
        let call = Call::beginning(Begins::Mark, String::new());
        let operation = Operation { call, ..Operation::default() };
        is_mark.then_some(Decision::Hold(Held { operation, action: Action::Mark }))
    }

    /// What is not known here: where the kernel takes it, nobody can say what it did.
    fn unknown(&self, what: String) -> Decision {
        Decision::Watch(Action::Unknown(what))
    }

    /// Something that the caller does and that is not scheduled.
    fn sighting(&self, kind: GapKind, what: impl Into<String>) -> Sighting {
        Sighting::new(kind, ProcessId(self.caller.process), what)
    }

    /// Takes note of what the caller does that can hide a race.
    fn note(&mut self, kind: GapKind, what: impl Into<String>) {
        self.world.not_covered.insert(self.sighting(kind, what));
    }

    /// The same about a file.
    fn note_of(&mut self, kind: GapKind, path: &str, what: &str) {
        self.world.not_covered.insert(self.sighting(kind, what).about(path));
    }

    /// Whether a call is on what a descriptor is of, by an empty path.
    fn is_itself(&self, base: i32, address: u64, flags: u64) -> bool {
        flags as i32 & libc::AT_EMPTY_PATH != 0
            && base != libc::AT_FDCWD
            && (address == 0 || self.path(address).is_ok_and(|path| path.is_empty()))
    }

    /// Where the path at an address leads, from the directory that a descriptor is of, with the flags of the `…at` calls.
    fn resolve_at(&mut self, base: i32, address: u64, flags: u64) -> Result<Resolved, Early> {
        if self.is_itself(base, address, flags) {
            return self.itself(base);
        }
        let or_here = flags as i32 & libc::AT_EMPTY_PATH != 0;
        let path = if address == 0 && or_here { String::new() } else { self.path(address)? };
        match (path.is_empty(), or_here) {
            (false, _) => self.follow(base, &path, follows(flags), false),
            (true, true) => self.follow(base, ".", true, false),
            (true, false) => Err(Early::refused("a path that is empty")),
        }
    }

    /// The same where a last link is followed, or is not.
    fn resolve(&mut self, base: i32, address: u64, follow_last: bool) -> Result<Resolved, Early> {
        self.resolve_at(base, address, if follow_last { 0 } else { libc::AT_SYMLINK_NOFOLLOW as u64 })
    }

    /// As [`own_link`], of the caller.
    fn own_link<'p>(&self, path: &'p str) -> Option<(i32, &'p str)> {
        let (task, group) = (self.caller.tracee.id(), self.caller.group);
        own_link(path, |number| self.world.proc.is(number, task) || self.world.proc.is(number, group))
    }

    /// Follows a path from the directory that a descriptor is of; `within`: never out of that.
    fn follow(&mut self, base: i32, path: &str, follow_last: bool, within: bool) -> Result<Resolved, Early> {
        self.follow_links(base, path, follow_last, within, 0)
    }

    /// The same after this many links of `/proc`.
    fn follow_links(
        &mut self,
        base: i32,
        path: &str,
        follow_last: bool,
        within: bool,
        links: u32,
    ) -> Result<Resolved, Early> {
        if links > MOST_LINKS {
            return Err(Early::UNRESOLVED);
        }
        let absolute = path.starts_with('/') && !within;
        if absolute && let Some((number, rest)) = self.own_link(path) {
            if !rest.is_empty() {
                return self.follow_links(number, rest, follow_last, false, links + 1);
            }
            let there = if number == libc::AT_FDCWD {
                self.follow_links(number, ".", true, false, links + 1)
            } else {
                self.itself(number)
            };
            match there {
                // What is not of the workspace is looked at by its path.
                Err(Early::Local(_)) => {}
                there if follow_last => return there,
                _ => {}
            }
        }
        let base = match self.directory(base) {
            _ if absolute => String::new(),
            Some(path) => path,
            None => return self.follow_from_removed(base, path, follow_last),
        };
        let checked = self.world.rights.are_checked(self.caller.process);
        let way = Way { base: &base, path, follow_last, within, checked };
        let resolved = self.world.paths.resolve(&mut self.world.objects, &way);
        match &resolved.place {
            // The path has led there through a link, or from a directory in `/proc`.
            Place::Outside(led) if !within && led != path && self.own_link(led).is_some() => {
                self.world.paths.withdraw();
                let on = self.follow_links(libc::AT_FDCWD, led, follow_last, false, links + 1)?;
                Ok(Resolved { accesses: [resolved.accesses, on.accesses].concat(), ..on })
            }
            _ => Ok(resolved),
        }
    }

    /// What a descriptor of the workspace is of, as if a path had led there.
    fn itself(&mut self, number: i32) -> Result<Resolved, Early> {
        let (description, object) = self.description(number)?;
        let link = format!("/proc/{}/fd/{number}", self.caller.tracee.id());
        let status = nix::sys::stat::stat(link.as_str()).map_err(|_| Early::UNRESOLVED)?;
        let found = Some(Found { object, status });
        let place = Place::Inside(Spot { path: description.path().to_owned(), name: None, found });
        Ok(Resolved { accesses: Vec::new(), place })
    }

    /// The absolute path of a directory: the current one, or that of a descriptor. `None` if there is none, or no longer.
    fn directory(&self, base: i32) -> Option<String> {
        if base == libc::AT_FDCWD && !self.caller.descriptors.borrow().has_left {
            return Some(WORKSPACE.to_owned());
        }
        let link = self.link_of(base);
        let path = proc_link(&link).ok()?;
        let gone = || nix::sys::stat::stat(link.as_str()).is_ok_and(|status| status.st_nlink == 0);
        (!path.ends_with(REMOVED) || !gone()).then_some(path)
    }

    /// What leads to the current directory, or to what a descriptor is of, as the controller sees it.
    fn link_of(&self, base: i32) -> String {
        let task = self.caller.tracee.id();
        match base {
            libc::AT_FDCWD => format!("/proc/{task}/cwd"),
            number => format!("/proc/{task}/fd/{number}"),
        }
    }

    /// Follows a path from a directory of the workspace that was removed: it has no names but `..`, which leads on. If the directory above was
    /// removed or replaced too, its path does not lead to it, and where `..` leads is not known.
    fn follow_from_removed(&mut self, base: i32, path: &str, follow_last: bool) -> Result<Resolved, Early> {
        let link = self.link_of(base);
        let status = nix::sys::stat::stat(link.as_str()).map_err(|_| Early::UNRESOLVED)?;
        let was = proc_link(&link).map_err(|_| Early::UNRESOLVED)?;
        let was = was.strip_suffix(REMOVED).ok_or(Early::UNRESOLVED)?;
        let relative = inside(was).ok_or(Early::UNRESOLVED)?;
        let object = self.world.objects.of(relative, status.st_dev, status.st_ino);
        let accesses = vec![Access::read(Location::Mode(object))];
        let (path, names) = (relative.to_owned(), names(path));
        match names.split_first() {
            None => {
                let found = Some(Found { object, status });
                Ok(Resolved { accesses, place: Place::Inside(Spot { path, name: None, found }) })
            }
            Some((first, rest)) if first == ".." => {
                let above = was.rsplit_once('/').map_or("", |(above, _)| above);
                let identity = |status: nix::sys::stat::FileStat| (status.st_dev, status.st_ino);
                let leads_to = nix::sys::stat::stat(format!("{link}/..").as_str()).map(identity);
                let stands_there =
                    self.world.paths.status(inside(above).ok_or(Early::UNRESOLVED)?).map(identity);
                if leads_to.is_err() || leads_to != stands_there {
                    return Err(Early::UNRESOLVED);
                }
                let checked = self.world.rights.are_checked(self.caller.process);
                let way = Way { base: above, path: &rest.join("/"), follow_last, within: false, checked };
                let resolved = self.world.paths.resolve(&mut self.world.objects, &way);
                Ok(Resolved { accesses: [accesses, resolved.accesses].concat(), ..resolved })
            }
            Some(_) => Ok(Resolved { accesses, place: Place::Nowhere(Some(path)) }),
        }
    }

    /// An operation on the path where a lookup led; where the lookup saw nothing of the workspace, nobody's business.
    fn on_path(&mut self, resolved: Resolved, detail: &str, more: Vec<Access>, action: Action) -> Decision {
        self.note_hidden(&resolved.place);
        let path = match &resolved.place {
            Place::Inside(spot) => Some(spot.path.clone()),
            Place::Outside(_) if resolved.accesses.is_empty() => return Decision::Pass,
            Place::Outside(path) => Some(path.clone()),
            Place::Nowhere(path) => path.clone(),
        };
        let accesses = [resolved.accesses, more].concat();
        if accesses.is_empty() {
            return if matches!(action, Action::None) { Decision::Pass } else { Decision::Watch(action) };
        }
        self.hold(path, detail.to_owned(), accesses, action)
    }

    fn hold(&self, path: Option<String>, detail: String, accesses: Vec<Access>, action: Action) -> Decision {
        let call = Call { name: self.name.to_owned(), path, target: None, detail };
        let adds = Streams::closed(&accesses);
        Decision::Hold(Held { operation: Operation { call, accesses, adds, ..Operation::default() }, action })
    }
}
