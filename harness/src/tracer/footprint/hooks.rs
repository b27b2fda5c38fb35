//! What a call at its entry does outside the workspace: what it reads is recorded, what it may change awaits its result.

use super::calls::{Opening, Renaming, Role, Use, descriptor_use, role};
use super::effects::Effect;
use super::walk::{End, Follower, Found, Spot, Walked};
use super::{Lookup, Recorder};
use crate::model::GapKind;
use crate::model::footprint::Thing;
use nix::unistd::Pid;

use crate::tracer::decode::table::row;
use crate::tracer::decode::{Action, Caller, Decision, World};
use crate::tracer::execution::Running;
use crate::tracer::paths::{Departed, inside, proc_link};
use crate::tracer::task::Name;
use crate::tracer::tracee::Registers;

/// A call at its entry.
#[derive(Clone, Copy, Debug)]
struct Entry {
    name: &'static str,
    arguments: [u64; 6],
    /// The flags with which it opens, if it does.
    open_flags: i32,
}

impl Entry {
    fn of(caller: &Caller<'_>, registers: &Registers) -> Option<Self> {
        let (name, arguments) = (row(registers.call())?.name, registers.arguments());
        let open_flags = match name {
            "open" => arguments[1],
            "openat" => arguments[2],
            "openat2" => *caller.tracee.read_numbers(arguments[2], 1).ok()?.first()?,
            _ => 0,
        };
        Some(Self { name, arguments, open_flags: open_flags as i32 })
    }
}

/// The ends of a call's paths that may be changed.
#[derive(Default)]
struct Ends {
    from: Option<Spot>,
    to: Option<(Spot, Role)>,
    effects: Vec<Effect>,
}

/// Records what a call touches outside the workspace. Gives the decision about it, by which its result is seen if that counts; and whether
/// it may change something.
pub fn note(
    world: &mut World,
    caller: &Caller<'_>,
    registers: &Registers,
    decision: Decision,
) -> (Decision, bool) {
    let departed = world.paths.take_departed();
    let Some(recorder) = &world.footprint else { return (decision, false) };
    let Some(entry) = Entry::of(caller, registers) else { return (decision, false) };
    let mut recorder = recorder.borrow_mut();
    // A call that was taken up again, or means something else now.
    recorder.gone(caller.tracee.id());
    let follower = Follower { task: caller.tracee.id(), process: caller.process };
    let mut ends = Ends::default();
    for path in &departed {
        recorder.note_path(path, follower, entry, &mut ends);
    }
    if let Some((number, what)) = descriptor_use(entry.name, entry.arguments) {
        let is_scheduled = || caller.descriptors.borrow().get(number).is_some();
        // Only a process that writes a file without reading it learns something new by looking at its status.
        if (what != Use::Looks || recorder.writes(caller.process)) && !is_scheduled() {
            recorder.note_descriptor(number, what, follower, &mut ends);
        }
    }
    let sightings = recorder.take_sightings();
    let effects = ends.into_effects();
    let changes = !effects.is_empty() && !matches!(decision, Decision::Answer { .. });
    let decision = match decision {
        Decision::Pass if changes => Decision::Watch(Action::None),
        decision => decision,
    };
    if changes {
        let is_held = matches!(decision, Decision::Hold(_));
        recorder.await_result(follower.task, follower.process, effects, is_held);
    }
    drop(recorder);
    world.not_covered.extend(sightings);
    (decision, changes)
}

impl World {
    /// A task is gone: what it was about to change outside the workspace is taken to have happened, unless it was still held.
    pub fn forget_footprint(&self, task: Pid) {
        if let Some(recorder) = &self.footprint {
            recorder.borrow_mut().gone(task);
        }
    }
}

impl Ends {
    /// What the call changes, of calls with two paths from both.
    fn into_effects(self) -> Vec<Effect> {
        let Self { from, to, mut effects } = self;
        match (from, to) {
            (Some(from), Some((to, Role::Renames(Renaming::Exchanges)))) => {
                if from.found.is_some() && to.found.is_some() {
                    effects.push(Effect::Exchange(from, to));
                }
            }
            (Some(Spot { found: None, .. }), _) => {}
            (Some(from), Some((to, role))) => effects.extend(Self::renamed(from, to, role)),
            // The other end is in the workspace.
            (Some(from), None) => effects.push(Effect::Remove { spot: from, moved: false }),
            (None, Some((to, Role::Renames(_) | Role::MakesLink))) => effects.push(Effect::Make(to)),
            (None, _) => {}
        }
        effects
    }

    fn renamed(from: Spot, to: Spot, role: Role) -> Vec<Effect> {
        let Some(Found { inode, numbers, .. }) = from.found.clone() else { return Vec::new() };
        let fails = to.found.is_some() && matches!(role, Role::MakesLink | Role::Renames(Renaming::Keeps));
        // Two names of one file stay.
        if fails || to.found.as_ref().is_some_and(|found| found.numbers == numbers) {
            return Vec::new();
        }
        let named = Effect::Name(to, inode.clone());
        if role == Role::MakesLink {
            return vec![Effect::Change { inode, path: from.path, whole: false }, named];
        }
        vec![Effect::Remove { spot: from, moved: true }, named]
    }
}

impl Recorder {
    fn note_path(&mut self, departed: &Departed, follower: Follower, entry: Entry, ends: &mut Ends) {
        let process = follower.process;
        let role = role(entry.name, departed.number, entry.arguments, entry.open_flags);
        if role == Role::Looks && self.is_known(departed, process) {
            return;
        }
        let (key, walked) = self.follow(departed, follower);
        self.note_lookup(departed, &walked, process);
        // Whether there is something at the last name makes no difference to calls that make or replace it.
        let blind = matches!(role, Role::Opens(Opening { creates: true, exclusive: false, .. }))
            || role == Role::Renames(Renaming::Replaces);
        let at_place = matches!(&walked.end, End::Place(Spot { name: Some(_), .. }));
        let last = walked.names.len().saturating_sub(1);
        for (number, (thing, path)) in walked.names.iter().enumerate() {
            self.read(process, thing, path, !(blind && at_place && number == last));
        }
        match &walked.end {
            End::Place(spot) => self.note_spot(spot, role, process, ends),
            End::Processes => self.see_processes(process, &departed.path),
            End::Scheduled { in_workspace: true } if departed.ends_outside => {
                let path = Some(departed.path.clone());
                let what = format!("a path outside that leads into the workspace: {}", departed.path);
                self.see(GapKind::UnresolvedIdentity, process, path, &what);
            }
            End::Scheduled { .. } | End::NoState | End::Nowhere => {}
        }
        if role == Role::Looks {
            self.remember(&key, process);
        }
    }

    fn see_processes(&mut self, process: usize, path: &str) {
        let what = "what /proc says of other processes";
        self.see(GapKind::OtherProcess, process, Some(path.to_owned()), what);
    }

    fn note_lookup(&mut self, departed: &Departed, walked: &Walked, process: usize) {
        let Some(lookups) = self.lookups.as_mut().and_then(|of| of.get_mut(process)) else { return };
        let found = match &walked.end {
            End::Place(spot) => spot.found.as_ref(),
            _ => None,
        };
        let Departed { base, path, .. } = departed;
        let path = if path.starts_with('/') { path.clone() } else { format!("{base}/{path}") };
        let size = found.filter(|found| found.kind == libc::S_IFREG).map(|found| found.size);
        let found = found.is_some() || !matches!(walked.end, End::Place(_) | End::Nowhere);
        lookups.push(Lookup { path, found, size });
    }

    /// What a call does with what is at the end of its path.
    fn note_spot(&mut self, spot: &Spot, role: Role, process: usize, ends: &mut Ends) {
        let found = spot.found.as_ref();
        let alters = |whole| {
            let change =
                |of: &Found| Effect::Change { inode: of.inode.clone(), path: spot.path.clone(), whole };
            found.map(change)
        };
        match role {
            Role::Looks => self.read_found(spot, process, true),
            Role::Alters => ends.effects.extend(alters(false)),
            Role::Opens(opening) => {
                if opening.writes {
                    ends.effects.push(Effect::OpenForWriting);
                }
                match found {
                    None if opening.creates => ends.effects.push(Effect::Make(spot.clone())),
                    None => {}
                    Some(_) if opening.exclusive => {}
                    Some(found) => {
                        if let (true, Some((directory, name))) = (opening.creates, spot.name.clone()) {
                            ends.effects.push(Effect::BeThere(Thing::Name { directory, name }));
                        }
                        if opening.reads && !opening.empties {
                            self.read_found(spot, process, true);
                        }
                        let changes = opening.writes || opening.empties || found.kind == libc::S_IFIFO;
                        ends.effects.extend(alters(opening.empties).filter(|_| changes));
                    }
                }
            }
            Role::Makes => {
                if found.is_none() {
                    ends.effects.push(Effect::Make(spot.clone()));
                }
            }
            Role::Removes { directory } => {
                if let (true, Some(found)) = (directory, found) {
                    self.read(process, &Thing::Listing(found.inode.clone()), &spot.path, true);
                }
                if found.is_some() {
                    ends.effects.push(Effect::Remove { spot: spot.clone(), moved: false });
                }
            }
            Role::IsRenamed | Role::IsLinked => ends.from = Some(spot.clone()),
            Role::Renames(_) | Role::MakesLink => ends.to = Some((spot.clone(), role)),
        }
    }

    fn read_found(&mut self, spot: &Spot, process: usize, sees: bool) {
        if let Some(found) = &spot.found {
            self.read(process, &Thing::Inode(found.inode.clone()), &spot.path, sees);
        }
    }

    /// A call on a descriptor of something outside.
    fn note_descriptor(&mut self, number: i32, what: Use, follower: Follower, ends: &mut Ends) {
        let link = format!("/proc/{}/fd/{number}", follower.task);
        let Ok(path) = proc_link(&link) else { return };
        let no_file = !path.starts_with('/') || path.starts_with("/memfd:");
        let not_shared = no_file || inside(&path).is_some() || path.starts_with("/sys/");
        if path == "/proc" && what == Use::Lists {
            return self.see_processes(follower.process, &path);
        }
        if not_shared || path.starts_with("/proc/") {
            return;
        }
        let Ok(status) = nix::sys::stat::stat(link.as_str()) else { return };
        let found = self.view.found(&status);
        if !matches!(found.kind, libc::S_IFREG | libc::S_IFDIR) {
            return;
        }
        match what {
            Use::Lists => self.read(follower.process, &Thing::Listing(found.inode), &path, true),
            Use::Looks => self.read(follower.process, &Thing::Inode(found.inode), &path, true),
            Use::Alters => ends.effects.push(Effect::Change { inode: found.inode, path, whole: false }),
        }
    }
}

impl Running<'_> {
    /// Whether a process has something outside open for writing, or had in this execution.
    pub(in crate::tracer) fn writes_outside(&self, process: usize) -> bool {
        self.world.footprint.as_ref().is_some_and(|recorder| recorder.borrow().writes(process))
    }

    /// The call of a task has ended with this result.
    pub(in crate::tracer) fn settle_footprint(&self, name: &Name, result: i64) {
        if let (Some(recorder), Some(task)) = (&self.world.footprint, self.tasks.get(name)) {
            recorder.borrow_mut().settle(task.tracee.id(), result);
        }
    }
}
