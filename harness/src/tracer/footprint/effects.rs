//! What calls change outside the workspace, once it is known that they have done so.

use nix::unistd::Pid;

use super::walk::{Found, Spot};
use super::{Now, Pending, Recorder};
use crate::model::footprint::{Inode, Thing};

/// A change that a call makes if it succeeds.
#[derive(Clone, Debug)]
pub enum Effect {
    /// A file, or something else, comes to be at a place.
    Make(Spot),
    /// A place gets what had another name; what was there is replaced.
    Name(Spot, Inode),
    /// A name is removed. `moved`: what it led to gets another one.
    Remove {
        /// Where.
        spot: Spot,
        /// Whether it gets another name.
        moved: bool,
    },
    /// Two names lead to what the other one led to.
    Exchange(Spot, Spot),
    /// The process has something open for writing.
    OpenForWriting,
    /// Something is there now, whether it was or not.
    BeThere(Thing),
    /// A file is changed. `whole`: nothing is left of what it was.
    Change {
        /// Which one.
        inode: Inode,
        /// The path by which it is shown.
        path: String,
        /// Whether all of its content is replaced.
        whole: bool,
    },
}

/// What becomes of a name in one execution.
#[derive(Clone, Debug)]
pub struct Life {
    /// Its absolute path.
    pub path: String,
    /// Whether there was something before the first change.
    before: bool,
    /// Whether there is something now.
    now: bool,
}

impl Now {
    /// Whether a change of this is undone again by now: a name that was not there is not there again.
    pub fn is_for_now(&self, thing: &Thing) -> bool {
        match thing {
            Thing::Name { .. } => self.lives.get(thing).is_some_and(|life| !life.before && !life.now),
            Thing::Inode(inode) => self.is_gone(inode),
            Thing::Listing(directory) => {
                let of_it =
                    |name: &Thing| matches!(name, Thing::Name { directory: of, .. } if of == directory);
                let mut names = self.lives.iter().filter(|(name, _)| of_it(name));
                self.is_gone(directory) || names.all(|(_, life)| life.before == life.now)
            }
        }
    }

    /// Whether something was made in this execution, and is no more.
    fn is_gone(&self, inode: &Inode) -> bool {
        let Inode::Made(path) = inode else { return false };
        self.names.get(path).is_some_and(|name| self.is_for_now(name))
    }
}

impl Recorder {
    /// The call that a task was making has ended, with this result.
    pub fn settle(&mut self, task: Pid, result: i64) {
        if let Some(Pending { process, effects, .. }) = self.pending.remove(&task)
            && result >= 0
        {
            effects.into_iter().for_each(|effect| self.take_place(process, effect));
        }
    }

    /// A task is gone. What it was in the middle of is taken to have happened.
    pub fn gone(&mut self, task: Pid) {
        let is_held = self.pending.get(&task).is_some_and(|pending| pending.is_held);
        self.settle(task, if is_held { -1 } else { 0 });
    }

    /// Keeps what a task is about to change until the result of its call is known.
    pub fn await_result(&mut self, task: Pid, process: usize, effects: Vec<Effect>, is_held: bool) {
        self.pending.insert(task, Pending { process, effects, is_held });
    }

    fn take_place(&mut self, process: usize, effect: Effect) {
        match effect {
            Effect::OpenForWriting => {
                self.now.writers.insert(process);
            }
            Effect::BeThere(name) => {
                self.now.own.insert((process, name));
            }
            Effect::Make(spot) => {
                let Some(name) = self.change_name(process, &spot, Some(true)) else { return };
                if let Ok(status) = self.view.status(&spot.path) {
                    self.view.made.insert((status.st_dev, status.st_ino), spot.path.clone());
                }
                let inode = Inode::Made(spot.path.clone());
                self.now.names.insert(spot.path.clone(), name);
                for thing in [Thing::Inode(inode.clone()), Thing::Listing(inode.clone())] {
                    self.now.own.insert((process, thing));
                }
                self.change(process, Thing::Inode(inode), &spot.path);
            }
            Effect::Name(spot, inode) => {
                if let Some(replaced) = &spot.found {
                    self.lose_name(process, replaced, &spot.path);
                }
                let Some(name) = self.change_name(process, &spot, Some(true)) else { return };
                if let Inode::Made(made) = &inode {
                    self.now.names.insert(made.clone(), name);
                }
                self.change(process, Thing::Inode(inode), &spot.path);
            }
            Effect::Remove { spot, moved } => {
                self.change_name(process, &spot, Some(false));
                if let (Some(found), false) = (&spot.found, moved) {
                    self.lose_name(process, found, &spot.path);
                }
            }
            Effect::Exchange(one, other) => {
                for spot in [one, other] {
                    self.change_name(process, &spot, None);
                    if let Some(found) = &spot.found {
                        self.change(process, Thing::Inode(found.inode.clone()), &spot.path);
                    }
                }
            }
            Effect::Change { inode, path, whole } => {
                let thing = Thing::Inode(inode);
                if whole {
                    self.now.own.insert((process, thing.clone()));
                }
                self.change(process, thing, &path);
            }
        }
    }

    /// A name comes, goes, or leads to something else. Gives it as a thing.
    fn change_name(&mut self, process: usize, spot: &Spot, now: Option<bool>) -> Option<Thing> {
        let (directory, name) = spot.name.clone()?;
        let thing = Thing::Name { directory: directory.clone(), name };
        let before = spot.found.is_some();
        let life = Life { path: spot.path.clone(), before, now: before };
        let life = self.now.lives.entry(thing.clone()).or_insert(life);
        life.now = now.unwrap_or(life.now);
        let above = spot.path.rsplit_once('/').map_or("", |(above, _)| above);
        let above = if above.is_empty() { "/" } else { above };
        self.change(process, Thing::Listing(directory), above);
        self.change(process, thing.clone(), &spot.path);
        self.now.own.insert((process, thing.clone()));
        self.forget(&spot.path);
        Some(thing)
    }

    /// A file has one name less; without any, its number may be that of another one.
    fn lose_name(&mut self, process: usize, found: &Found, path: &str) {
        self.change(process, Thing::Inode(found.inode.clone()), path);
        if found.links <= 1 || found.kind == libc::S_IFDIR {
            self.view.made.remove(&found.numbers);
        }
    }

    fn change(&mut self, process: usize, thing: Thing, path: &str) {
        self.ever_changed.insert(thing.clone());
        self.now.changes.entry((process, thing)).or_insert_with(|| path.to_owned());
    }
}
