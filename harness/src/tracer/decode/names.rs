//! Calls on names: open, look, make, remove, rename, exec.

use nix::sys::stat::FileStat;

use super::undecided::{Early, Meant};
use super::{Action, Decision, Decoder};
use crate::model::{Access, GapKind, Location, ObjectId};
use crate::tracer::outside::is_no_file;
use crate::tracer::paths::{Found, Place, Resolved, Spot, proc_link};

/// All bytes of a file, wherever it ends.
pub(super) fn whole(object: ObjectId) -> Location {
    Location::Data { object, start: 0, end: u64::MAX }
}

/// What making, removing or replacing a name does to its directory. Whether the kernel lets it, and the group of what is made, follow from
/// the directory's mode; whether something there may be removed or replaced, from its own too.
pub(super) fn name_changes(spot: &Spot) -> Vec<Access> {
    let Some((dir, _)) = &spot.name else { return Vec::new() };
    let found = spot.found.as_ref().map(|found| Access::read(Location::Mode(found.object)));
    let name = spot.name_location().map(Access::write);
    [Access::read(Location::Mode(*dir))]
        .into_iter()
        .chain(found)
        .chain(name)
        .chain([Access::join(Location::Listing(*dir)), Access::join(Location::Status(*dir))])
        .collect()
}

/// What the end of a directory is: what it was asked by a descriptor, or from within, it is no longer.
fn end_of_directory(found: &Found) -> Option<Access> {
    (found.kind() == libc::S_IFDIR).then(|| Access::write(Location::Mode(found.object)))
}

/// What emptying a file does.
pub(super) fn emptied(found: &Found) -> Vec<Access> {
    let data = whole(found.object);
    // Emptying an empty file changes nothing in it, but would have, had somebody written before.
    let data = if found.size() > 0 { Access::write(data) } else { Access::read(data) };
    vec![data, Access::join(Location::Status(found.object))]
}

/// Whether a file can be executed by somebody.
pub fn is_program(status: &FileStat) -> bool {
    status.st_mode & libc::S_IFMT == libc::S_IFREG && status.st_mode & 0o111 != 0
}

/// The flags of `open` that count with `O_PATH`.
const PATH_FLAGS: i32 = libc::O_PATH | libc::O_DIRECTORY | libc::O_NOFOLLOW | libc::O_CLOEXEC;
/// The ways of `openat2` to resolve a path: all that Linux 6.18 has, and the one that takes a directory for the root.
const KNOWN_RESOLVE: u64 = 0x3f;
const IN_ROOT: u64 = libc::RESOLVE_IN_ROOT;

impl Decoder<'_> {
    /// `openat2`: its flags are in memory, with how to resolve the path.
    pub(super) fn open_how(&mut self, base: i32, address: u64, how: u64, size: u64) -> Meant {
        let numbers = self.numbers(how, 3)?;
        let (flags, resolve) = (numbers[0], numbers[2]);
        if size > 24 || resolve & !KNOWN_RESOLVE != 0 {
            return Ok(self.unknown(format!("openat2 with resolve flags {resolve:#x} and size {size}")));
        }
        self.open_within(base, address, flags as i32, resolve & IN_ROOT != 0)
    }

    pub(super) fn open(&mut self, base: i32, address: u64, flags: i32) -> Meant {
        self.open_within(base, address, flags, false)
    }

    fn open_within(&mut self, base: i32, address: u64, flags: i32, within: bool) -> Meant {
        // Of the flags of a descriptor that stands for a path alone, only these count.
        let flags = if flags & libc::O_PATH == 0 { flags } else { flags & PATH_FLAGS };
        let unnamed = flags & libc::O_TMPFILE == libc::O_TMPFILE;
        let (creates, exclusive) = (flags & libc::O_CREAT != 0, flags & libc::O_EXCL != 0);
        let follow = flags & libc::O_NOFOLLOW == 0 && !(creates && exclusive);
        let path = self.path(address)?;
        let resolved = self.follow(base, &path, follow, within)?;
        let resolved = self.used(resolved);
        if let (true, Place::Inside(spot)) = (unnamed, &resolved.place) {
            // Nobody else sees it before it gets a name. The mode of its directory may forbid making it.
            let checked = self.world.rights.are_checked(self.caller.process);
            let directory = spot.found.as_ref().filter(|_| checked);
            let more =
                directory.map(|found| Access::read(Location::Mode(found.object))).into_iter().collect();
            let path = format!("{}/(unnamed)", spot.path);
            let action = Action::Open { object: None, path, flags };
            return Ok(self.on_path(resolved, &open_words(flags), more, action));
        }
        // Also where it is opened to be read only.
        let empties = flags & libc::O_TRUNC != 0;
        let (more, object) = match &resolved.place {
            Place::Outside(path) => {
                return Ok(self.open_outside(path.clone(), flags, resolved.accesses.is_empty()));
            }
            Place::Nowhere(_) => (Vec::new(), None),
            Place::Inside(Spot { found: Some(found), .. }) => {
                let mut more = Vec::new();
                if !(creates && exclusive) {
                    if flags & libc::O_PATH == 0 {
                        more.push(Access::read(Location::Mode(found.object)));
                    }
                    if empties && found.kind() == libc::S_IFREG {
                        more.extend(emptied(found));
                        more.extend(self.clears_bits(found.object, &found.status));
                    }
                    if flags & libc::O_ACCMODE != libc::O_RDONLY && is_program(&found.status) {
                        more.push(Access::join(Location::Writers(found.object)));
                    }
                    if (flags & libc::O_ACCMODE != libc::O_RDONLY || empties) && is_program(&found.status) {
                        more.push(Access::read(Location::Runners(found.object)));
                    }
                }
                (more, Some(found.object))
            }
            Place::Inside(spot) if creates => (name_changes(spot), None),
            Place::Inside(_) => (Vec::new(), None),
        };
        if let (Place::Inside(Spot { path, found: Some(found), .. }), false) =
            (&resolved.place, creates && exclusive || flags & (libc::O_PATH | libc::O_DIRECTORY) != 0)
            && found.kind() == libc::S_IFIFO
        {
            let opened = (path.clone(), found.object, flags);
            return Ok(self.open_fifo(opened, [resolved.accesses, more].concat(), open_words(flags)));
        }
        let mut why_not = None;
        let action = match &resolved.place {
            Place::Inside(spot) => {
                why_not = self.why_not_opened(spot, &path, flags);
                Action::Open { object, path: spot.path.clone(), flags }
            }
            _ => Action::None,
        };
        let decision = self.on_path(resolved, &open_words(flags), more, action);
        Ok(self.refused(decision, why_not))
    }

    fn open_outside(&mut self, path: String, flags: i32, unseen: bool) -> Decision {
        if matches!(path.as_str(), "/dev/urandom" | "/dev/random") {
            return Decision::Watch(Action::OpenRandom { flags });
        }
        if flags & libc::O_ACCMODE != libc::O_RDONLY || flags & libc::O_TRUNC != 0 {
            self.note_outside(&path);
        }
        if unseen {
            Decision::Pass
        } else {
            self.hold(Some(path), open_words(flags), Vec::new(), Action::None)
        }
    }

    /// A change of what is not watched: it is undone between executions if it is on an overlay. Its order is not scheduled; whether that
    /// matters is seen from the footprints of the processes.
    pub(super) fn note_outside(&mut self, path: &str) {
        if let Some(outside) = self.world.paths.outside().filter(|_| !is_no_file(path)) {
            outside.remember(path);
        }
    }

    /// Where there can be no overlay of something, processes do not see what they see without one.
    pub(super) fn note_hidden(&mut self, place: &Place) {
        let (Place::Outside(path) | Place::Nowhere(Some(path)) | Place::Inside(Spot { path, .. })) = place
        else {
            return;
        };
        let hidden = self.world.paths.outside().and_then(|outside| outside.hidden(path)).cloned();
        if let Some(hidden) = hidden {
            self.note_of(GapKind::Overlay, &hidden, "there can be no overlay of this");
        }
    }

    /// What a lookup found, for a call that uses or changes what is there, not only looks at it.
    pub(super) fn used(&mut self, resolved: Resolved) -> Resolved {
        if let (Place::Inside(Spot { path: at, found: Some(found), .. }), Some(outside)) =
            (&resolved.place, self.world.paths.outside())
            && at.starts_with('/')
            && outside.copy_up(at, &found.status)
            && let Ok(status) = outside.status(at)
        {
            self.world.objects.made(at, &status, found.object);
        }
        resolved
    }

    /// A call that only looks at what a path leads to.
    pub(super) fn look(&mut self, base: i32, address: u64, follow: bool) -> Meant {
        self.look_at(base, address, if follow { 0 } else { libc::AT_SYMLINK_NOFOLLOW as u64 })
    }

    /// `readlink`: of a link to an own descriptor, or to the current directory, that is a path that follows the file wherever it goes.
    pub(super) fn read_link(&mut self, base: i32, address: u64, flags: u64) -> Meant {
        let path = self.path(address).unwrap_or_default();
        match self.own_link(&path) {
            Some((libc::AT_FDCWD, "")) => self.current_directory(),
            Some((number, "")) if self.description(number).is_ok() => self.path_of(number),
            _ => self.look_at(base, address, flags),
        }
    }

    /// The path of what a descriptor is of, as it is now: it depends on the names that lead there, and on whether the file has any.
    fn path_of(&mut self, number: i32) -> Meant {
        let (description, object) = self.description(number)?;
        let now = proc_link(&self.link_of(number)).map_err(|_| Early::UNRESOLVED)?;
        let resolved = self.follow(libc::AT_FDCWD, &now, false, false)?;
        let has_names = [Access::read(Location::Status(object)), Access::read(Location::Mode(object))];
        let accesses = resolved.accesses.into_iter().chain(has_names).collect();
        Ok(self.hold(Some(description.path().to_owned()), "its path".into(), accesses, Action::None))
    }

    /// `chdir`.
    pub(super) fn go_to(&mut self, address: u64) -> Meant {
        self.caller.descriptors.borrow_mut().has_left = true;
        self.look(libc::AT_FDCWD, address, true)
    }

    /// `fchdir`: from now on the kernel is asked what the current directory is. The mode of the directory may forbid it.
    pub(super) fn leave(&mut self, number: i32) -> Meant {
        self.caller.descriptors.borrow_mut().has_left = true;
        if !self.world.rights.are_checked(self.caller.process) {
            return Ok(Decision::Pass);
        }
        let (description, object) = self.description(number)?;
        let accesses = vec![Access::read(Location::Mode(object))];
        Ok(self.hold(Some(description.path().to_owned()), String::new(), accesses, Action::None))
    }

    /// A look at a path with flags.
    pub(super) fn look_at(&mut self, base: i32, address: u64, flags: u64) -> Meant {
        if self.is_itself(base, address, flags) {
            return self.look_of(base);
        }
        let resolved = self.resolve_at(base, address, flags)?;
        let more = match &resolved.place {
            Place::Inside(Spot { found: Some(found), name: Some(_), .. }) => {
                vec![Access::read(Location::Mode(found.object))]
            }
            _ => Vec::new(),
        };
        Ok(self.on_path(resolved, "", more, Action::None))
    }

    /// The same by a descriptor.
    fn look_of(&mut self, number: i32) -> Meant {
        let (description, object) = self.description(number)?;
        let accesses = vec![Access::read(Location::Mode(object))];
        Ok(self.hold(Some(description.path().to_owned()), String::new(), accesses, Action::None))
    }

    /// The path of the current directory: it depends on the names that lead there.
    pub(super) fn current_directory(&mut self) -> Meant {
        let resolved = self.follow(libc::AT_FDCWD, ".", true, false)?;
        Ok(self.on_path(resolved, "", Vec::new(), Action::None))
    }

    pub(super) fn exec(&mut self, base: i32, address: u64, flags: u64) -> Meant {
        let resolved = self.resolve_at(base, address, flags)?;
        let mut more = match &resolved.place {
            Place::Inside(Spot { found: Some(found), .. }) => {
                vec![
                    Access::read(Location::Mode(found.object)),
                    Access::read(Location::Writers(found.object)),
                    Access::read(whole(found.object)),
                    Access::join(Location::Runners(found.object)),
                ]
            }
            _ => Vec::new(),
        };
        let closed = self.caller.descriptors.borrow().closed_by_exec();
        let mut released = self.releases(&closed, false);
        released.extend(self.caller.runs.map(|program| Access::join(Location::Runners(program))));
        if matches!(resolved.place, Place::Outside(_)) && !released.is_empty() {
            let what = "closes what exec closes".into();
            return Ok(self.hold(None, what, released, Action::None));
        }
        more.extend(released);
        Ok(self.on_path(resolved, "", more, Action::None))
    }

    pub(super) fn remove(&mut self, base: i32, address: u64, directory: bool) -> Meant {
        let resolved = self.resolve(base, address, false)?;
        let (mut more, mut why_not) = (Vec::new(), None);
        match &resolved.place {
            Place::Outside(path) => self.note_outside(&path.clone()),
            Place::Inside(spot) => {
                why_not = self.why_not_removed(spot, address);
                if let Some(found) = &spot.found {
                    let is_directory = found.kind() == libc::S_IFDIR;
                    if directory && is_directory {
                        more.push(Access::read(Location::Listing(found.object)));
                    }
                    if directory == is_directory {
                        more.extend(name_changes(spot));
                        more.push(Access::join(Location::Status(found.object)));
                        more.extend(end_of_directory(found));
                    } else {
                        // The kernel checks permissions before it finds that the file is not of that kind.
                        let dir = spot.name.as_ref().map(|(dir, _)| Location::Mode(*dir));
                        let looks = dir.into_iter().chain([Location::Mode(found.object)]);
                        more.extend(looks.map(Access::read));
                    }
                }
            }
            Place::Nowhere(_) => {}
        }
        let decision = self.on_path(resolved, if directory { "directory" } else { "" }, more, Action::None);
        Ok(self.refused(decision, why_not))
    }

    pub(super) fn rename(&mut self, from: (i32, u64), to: (i32, u64), flags: u32) -> Meant {
        let known = libc::RENAME_NOREPLACE | libc::RENAME_EXCHANGE | libc::RENAME_WHITEOUT;
        if flags & !known != 0 {
            return Ok(self.unknown(format!("renameat2 with flags {flags:#x}")));
        }
        let (mut action, mut why_not) = (Action::None, None);
        let source = self.resolve(from.0, from.1, false)?;
        let source = self.used(source);
        let target = match self.resolve(to.0, to.1, false) {
            Ok(target) => target,
            Err(early) => return Ok(self.undecided_after(source, early)),
        };
        // In the order in which the kernel finds out: both lookups, then what changes.
        let mut more = looked_up_for(&source, &target);
        for place in [&source.place, &target.place] {
            if let Place::Outside(path) = place {
                self.note_outside(&path.clone());
            }
        }
        if let (Place::Inside(source), Place::Inside(target)) = (&source.place, &target.place) {
            let keeps = flags & libc::RENAME_NOREPLACE != 0 && target.found.is_some();
            let lacks = flags & libc::RENAME_EXCHANGE != 0 && target.found.is_none();
            let same = match (&source.found, &target.found) {
                (Some(source), Some(target)) => source.object == target.object,
                _ => false,
            };
            let is_below = |found: &Found| found.object.was_outside() && found.kind() == libc::S_IFDIR;
            if [&source.found, &target.found].into_iter().flatten().any(is_below) {
                action = Action::Refuse(libc::EXDEV);
            } else if let (Some(moved), false) = (&source.found, keeps || lacks || same) {
                let exchange = flags & libc::RENAME_EXCHANGE != 0;
                why_not = self.why_not_renamed((source, target), [from.1, to.1], exchange);
                if flags & libc::RENAME_WHITEOUT != 0 {
                    action = Action::Make { path: source.path.clone() };
                }
                more.extend(name_changes(source));
                more.extend(name_changes(target));
                more.push(Access::join(Location::Status(moved.object)));
                if let Some(replaced) = &target.found {
                    more.push(Access::join(Location::Status(replaced.object)));
                    if replaced.kind() == libc::S_IFDIR && !exchange {
                        more.push(Access::read(Location::Listing(replaced.object)));
                        more.extend(end_of_directory(replaced));
                    }
                }
            }
        }
        // Between what is watched and what is not.
        if let (Place::Inside(spot), Place::Outside(_)) | (Place::Outside(_), Place::Inside(spot)) =
            (&source.place, &target.place)
        {
            more.extend(name_changes(spot));
        }
        let target_path = match &target.place {
            Place::Inside(spot) => Some(spot.path.clone()),
            Place::Outside(path) => Some(path.clone()),
            Place::Nowhere(_) => None,
        };
        let words = match flags {
            libc::RENAME_EXCHANGE => "exchange",
            libc::RENAME_NOREPLACE => "do not replace",
            flags if flags & libc::RENAME_WHITEOUT != 0 => "leave a whiteout",
            _ => "",
        };
        let mut decision = self.on_path(source, words, more, action);
        if let Decision::Hold(held) = &mut decision {
            held.operation.call.target = target_path;
        }
        Ok(self.refused(decision, why_not))
    }

    pub(super) fn link(&mut self, from: (i32, u64), to: (i32, u64), flags: u64) -> Meant {
        let follow = flags as i32 & libc::AT_SYMLINK_FOLLOW != 0;
        let empty = flags & libc::AT_EMPTY_PATH as u64;
        let no_follow = if follow { 0 } else { libc::AT_SYMLINK_NOFOLLOW as u64 };
        let source = self.resolve_at(from.0, from.1, empty | no_follow).map_err(|early| match early {
            // The kernel does not link between file systems.
            Early::Local(_) => Early::refused("a link to what is outside of the workspace"),
            early => early,
        })?;
        let source = self.used(source);
        let target = match self.resolve(to.0, to.1, false) {
            Ok(target) => target,
            Err(early) => return Ok(self.undecided_after(source, early)),
        };
        let mut more = target.accesses;
        let (mut target_path, mut action, mut why_not) = (None, Action::None, None);
        match (&source.place, &target.place) {
            (Place::Inside(source), Place::Inside(target)) => {
                target_path = Some(target.path.clone());
                if let (Some(linked), None) = (&source.found, &target.found) {
                    why_not = self.why_not_linked(source, to.1);
                    // What was opened, and has no name any more, is not linked.
                    let by_itself = source.name.is_none();
                    more.extend(by_itself.then(|| Access::read(Location::Status(linked.object))));
                    more.push(Access::read(Location::Mode(linked.object)));
                    more.extend(name_changes(target));
                    more.push(Access::join(Location::Status(linked.object)));
                    action = Action::Link { object: linked.object, path: target.path.clone() };
                }
            }
            (_, Place::Outside(path)) => self.note_outside(&path.clone()),
            (_, Place::Inside(target)) => target_path = Some(target.path.clone()),
            _ => {}
        }
        let mut decision = self.on_path(source, "", more, action);
        if let Decision::Hold(held) = &mut decision {
            held.operation.call.target = target_path;
        }
        Ok(self.refused(decision, why_not))
    }

    /// A call on two paths of which only the first could be followed: it has looked that one up.
    fn undecided_after(&mut self, first: Resolved, early: Early) -> Decision {
        match early.decision(self.name) {
            Decision::Watch(action) => self.on_path(first, "", Vec::new(), action),
            decision => decision,
        }
    }

    /// A new directory, FIFO or symbolic link.
    pub(super) fn make(&mut self, base: i32, address: u64, target: Option<u64>) -> Meant {
        let resolved = self.resolve(base, address, false)?;
        let target = target.map(|target| self.path(target)).transpose()?;
        let mut why_not = None;
        let (more, action) = match &resolved.place {
            Place::Inside(spot) if spot.found.is_none() => {
                why_not = self.why_not_made(address, self.name.starts_with("mkdir"));
                (name_changes(spot), Action::Make { path: spot.path.clone() })
            }
            Place::Outside(path) => {
                self.note_outside(&path.clone());
                (Vec::new(), Action::None)
            }
            _ => (Vec::new(), Action::None),
        };
        let mut decision = self.on_path(resolved, "", more, action);
        if let Decision::Hold(held) = &mut decision {
            held.operation.call.target = target;
        }
        Ok(self.refused(decision, why_not))
    }
}

/// What a rename looks up for its target. The kernel follows both paths up to their last names, then looks up the source, then the target
/// (`do_renameat2`, fs/namei.c): it stops where one is missing.
fn looked_up_for(source: &Resolved, target: &Resolved) -> Vec<Access> {
    let mut accesses = target.accesses.clone();
    match (&source.place, &target.place) {
        (Place::Nowhere(_), _) => accesses.clear(),
        (Place::Inside(Spot { found: None, .. }), Place::Inside(Spot { name: Some(_), .. })) => {
            accesses.pop();
        }
        _ => {}
    }
    accesses
}

/// The flags of `open` in words.
fn open_words(flags: i32) -> String {
    let mut words = vec![match flags & libc::O_ACCMODE {
        libc::O_WRONLY => "write",
        libc::O_RDWR => "read+write",
        _ => "read",
    }];
    for (flag, word) in [
        (libc::O_CREAT, "create"),
        (libc::O_EXCL, "exclusive"),
        (libc::O_TRUNC, "truncate"),
        (libc::O_APPEND, "append"),
        (libc::O_DIRECTORY, "directory"),
    ] {
        if flags & flag != 0 {
            words.push(word);
        }
    }
    words.join(", ")
}
