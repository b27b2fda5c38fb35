//! What the processes under test touch outside the workspace: recorded at each call, kept over all executions.

pub mod calls;
mod effects;
mod hooks;
mod walk;

pub use self::hooks::note;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::io;
use std::rc::Rc;

use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use nix::unistd::Pid;

use self::effects::{Effect, Life};
use self::walk::{End, Follower, View, Walked};
use super::paths::Departed;
use super::proc::Proc;
use crate::model::footprint::{Footprint, Inode, Thing, Touch, meetings};
use crate::model::{GapKind, ProcessId, Reach, Root, Sighting};

/// A path outside the workspace that a process has looked up, and what it found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Lookup {
    /// The path: absolute, links in it as the process gave them.
    pub path: String,
    /// Whether something was there.
    pub found: bool,
    /// The size of a file that was there, in bytes.
    pub size: Option<u64>,
}

/// Where a path has led, and which processes are known to have looked at it.
#[derive(Debug)]
struct Known {
    walked: Rc<Walked>,
    by: HashSet<usize>,
}

/// What a call is about to change.
#[derive(Debug)]
struct Pending {
    process: usize,
    effects: Vec<Effect>,
    /// Whether the call is held: it is made later, or never.
    is_held: bool,
}

/// What the execution at hand has done so far.
#[derive(Debug, Default)]
struct Now {
    /// Each name that was changed, with whether it was there before, and is now.
    lives: BTreeMap<Thing, Life>,
    /// The name that each file which was made has now.
    names: HashMap<String, Thing>,
    /// The changes.
    changes: BTreeMap<(usize, Thing), String>,
    /// What a process has replaced: what it reads there is its own work, not that of an earlier execution.
    own: BTreeSet<(usize, Thing)>,
    /// The processes that have opened something outside for writing.
    writers: BTreeSet<usize>,
}

/// Records what processes touch outside the workspace.
#[derive(Debug)]
pub struct Recorder {
    view: View,
    footprints: Vec<Footprint>,
    /// Paths that were followed, by their text and how. Forgotten when a name on the way changes.
    known: HashMap<String, Known>,
    /// The texts among them, by the names on their way.
    by_name: HashMap<String, Vec<String>>,
    /// What was changed in any execution. A look at it is never left out.
    ever_changed: HashSet<Thing>,
    pending: HashMap<Pid, Pending>,
    now: Now,
    lookups: Option<Vec<Vec<Lookup>>>,
    sightings: BTreeSet<Sighting>,
    /// Whether a footprint has grown since it was last looked where they meet.
    has_grown: bool,
    has_met: bool,
}

impl Recorder {
    /// For processes that see the machine's files as `init` does, and this at `/proc`.
    ///
    /// # Errors
    /// If `init` is gone.
    pub fn new(init: Pid, proc: Rc<Proc>, root: Root, processes: usize) -> io::Result<Self> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let directory = nix::fcntl::open(format!("/proc/{init}/root").as_str(), flags, Mode::empty())?;
        Ok(Self {
            view: View { root: directory, proc, overlay: root == Root::Overlay, made: HashMap::new() },
            footprints: (0..processes).map(|process| Footprint::new(ProcessId(process))).collect(),
            known: HashMap::new(),
            by_name: HashMap::new(),
            ever_changed: HashSet::new(),
            pending: HashMap::new(),
            now: Now::default(),
            lookups: None,
            sightings: BTreeSet::new(),
            has_grown: false,
            has_met: false,
        })
    }

    /// What each process has touched in all executions so far.
    #[must_use]
    pub fn footprints(&self) -> &[Footprint] {
        &self.footprints
    }

    /// Records from now on which paths are looked up in an execution, or no longer.
    pub fn record_lookups(&mut self, on: bool) {
        self.lookups = on.then(|| vec![Vec::new(); self.footprints.len()]);
    }

    /// The paths that each process has looked up in the last execution, in order; nothing unless that is recorded.
    #[must_use]
    pub fn lookups(&self) -> Vec<Vec<Lookup>> {
        self.lookups.clone().unwrap_or_default()
    }

    /// Begins an execution. What is undone between executions is gone.
    pub fn begin(&mut self) {
        // The last one may have come to no end.
        self.end();
        let overlay = self.view.overlay;
        let undone = |path: &str| overlay || path.starts_with("/dev/shm/");
        let gone: Vec<String> =
            self.now.lives.values().map(|life| life.path.clone()).filter(|path| undone(path)).collect();
        self.view.made.retain(|_, path| !undone(path));
        for path in gone {
            self.forget(&path);
        }
        self.now = Now::default();
        self.pending.clear();
        if self.lookups.is_some() {
            self.record_lookups(true);
        }
    }

    /// Ends an execution: what it has changed is added to the footprints.
    pub fn end(&mut self) {
        let left: Vec<Pid> = self.pending.keys().copied().collect();
        for task in left {
            self.gone(task);
        }
        for ((process, thing), path) in std::mem::take(&mut self.now.changes) {
            let for_now = self.now.is_for_now(&thing);
            let touch = Touch { path, changes: !for_now, changes_for_now: for_now, ..Touch::default() };
            self.touch(process, &thing, &touch);
        }
        if std::mem::take(&mut self.has_grown) && !self.has_met {
            self.has_met = !meetings(&self.footprints).is_empty();
        }
    }

    /// Whether two processes have met outside, in any execution that has ended.
    #[must_use]
    pub fn has_met(&self) -> bool {
        self.has_met
    }

    /// Whether a process has opened something outside for writing in this execution.
    #[must_use]
    pub fn writes(&self, process: usize) -> bool {
        self.now.writers.contains(&process)
    }

    /// What was seen since this was last asked that is a gap by itself.
    pub fn take_sightings(&mut self) -> BTreeSet<Sighting> {
        std::mem::take(&mut self.sightings)
    }

    fn touch(&mut self, process: usize, thing: &Thing, touch: &Touch) {
        if let Some(footprint) = self.footprints.get_mut(process) {
            self.has_grown |= footprint.add(thing, touch);
        }
    }

    /// `sees`: the result of the call depends on it.
    fn read(&mut self, process: usize, thing: &Thing, path: &str, sees: bool) {
        let sees_earlier = sees && !self.now.own.contains(&(process, thing.clone()));
        let touch = Touch { path: path.to_owned(), reads: true, sees_earlier, ..Touch::default() };
        self.touch(process, thing, &touch);
    }

    fn see(&mut self, kind: GapKind, process: usize, path: Option<String>, detail: &str) {
        let (process, detail) = (ProcessId(process), detail.to_owned());
        self.sightings.insert(Sighting { kind, process, path, detail, reach: Reach::Always });
    }

    /// Where a path leads. What is known is not followed again, unless lookups are recorded.
    fn follow(&mut self, departed: &Departed, follower: Follower) -> (String, Rc<Walked>) {
        let key = key(departed);
        if self.lookups.is_none()
            && let Some(known) = self.known.get(&key)
        {
            return (key, Rc::clone(&known.walked));
        }
        let walked = Rc::new(self.view.walk(&departed.way(), follower));
        if !walked.is_own {
            for (_, path) in &walked.names {
                let keys = self.by_name.entry(path.clone()).or_default();
                if keys.last() != Some(&key) {
                    keys.push(key.clone());
                }
            }
            self.known.insert(key.clone(), Known { walked: Rc::clone(&walked), by: HashSet::new() });
        }
        (key, walked)
    }

    /// Whether it is known that a process has looked at what this path leads to.
    fn is_known(&self, departed: &Departed, process: usize) -> bool {
        self.lookups.is_none()
            && self.known.get(&key(departed)).is_some_and(|known| known.by.contains(&process))
    }

    /// Remembers that a process has looked there, unless looks at it are never left out.
    fn remember(&mut self, key: &str, process: usize) {
        let Some(known) = self.known.get_mut(key) else { return };
        let changed = &self.ever_changed;
        let mut things = known.walked.names.iter().map(|(thing, _)| thing);
        let inode = match &known.walked.end {
            End::Place(spot) => spot.found.as_ref().map(|found| found.inode.clone()),
            _ => None,
        };
        let is_changed = |inode: Inode| changed.contains(&Thing::Inode(inode));
        if !things.any(|thing| changed.contains(thing)) && !inode.is_some_and(is_changed) {
            known.by.insert(process);
        }
    }

    /// Forgets where paths lead that this name is on the way of.
    fn forget(&mut self, path: &str) {
        for key in self.by_name.remove(path).unwrap_or_default() {
            self.known.remove(&key);
        }
    }
}

/// By what a path is known that was followed.
fn key(departed: &Departed) -> String {
    let Departed { base, path, follow_last, within, .. } = departed;
    let base = if path.starts_with('/') && !within { "" } else { base };
    format!("{base}\0{path}\0{}{}", u8::from(*follow_last), u8::from(*within))
}
