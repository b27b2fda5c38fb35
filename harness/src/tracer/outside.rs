//! The files outside of the workspace, where the processes have them on an overlay: which are watched, what executions change of
//! them, and how that is undone.
//!
//! The overlay is mounted once. A file that somebody uses is copied to the upper layer before, so that who has it open for reading
//! sees what others write, as on one file system. What an execution is about to change is remembered as it is, and put back through
//! the overlay before the next one: the layers below are never written.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{DirEntryExt, MetadataExt, OpenOptionsExt, PermissionsExt, lchown, symlink};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, OpenHow, ResolveFlag, openat2, readlinkat};
use nix::sys::stat::{FileStat, Mode, UtimensatFlags, fstatat, utimensat};
use nix::sys::time::TimeSpec;
use nix::unistd::{Pid, getegid, geteuid, mkfifo};

use super::decode::Action;
use super::execution::Running;
use super::files::Description;
use crate::model::{
    AccessKind, Attribute, BadTree, Call, Details, Entry, GapKind, ObjectId, Operation, ProcessId, Sighting,
    Tree, name,
};
use crate::workspace::{self, native};

/// Directories of the root that are not watched: what is installed there is read all the time and seldom written; devices and what
/// the kernel tells are no files of the processes'.
const UNWATCHED: [&str; 13] =
    ["bin", "boot", "dev", "lib", "lib32", "lib64", "libx32", "nix", "proc", "sbin", "snap", "sys", "usr"];
/// A file that is larger, in bytes, is not copied before somebody writes to it.
const LARGEST: u64 = 64 << 20;
/// A second in nanoseconds.
const SECOND: u64 = 1_000_000_000;
/// Says of a path that what was there is gone.
const REMOVED: &str = "removed";

/// Whether operations on an absolute path outside of the workspace are watched. By the text alone.
#[must_use]
pub fn is_watched(path: &str) -> bool {
    path.strip_prefix('/').is_some_and(|rest| !UNWATCHED.contains(&rest.split('/').next().unwrap_or(rest)))
}

/// Whether nothing that is written at an absolute path is a file that could be put back.
#[must_use]
pub fn is_no_file(path: &str) -> bool {
    ["/dev", "/proc", "/sys"].iter().any(|place| Path::new(path).starts_with(place))
}

/// Checks that what is to be laid out outside of the workspace is watched there: nothing else would be put back.
///
/// # Errors
/// The first path that is not.
pub fn check_places(tree: &Tree) -> Result<(), BadTree> {
    match tree.keys().find(|path| path.starts_with('/') && !is_watched(path)) {
        Some(path) => Err(BadTree { path: path.clone(), problem: "is not watched on an overlay".into() }),
        None => Ok(()),
    }
}

/// The files outside.
#[derive(Debug)]
pub struct Outside {
    root: OwnedFd,
    /// The paths of what is not to be seen as it is on the machine.
    hidden: Vec<String>,
    /// Files that are in the upper layer, or cannot be.
    copied: RefCell<BTreeSet<String>>,
    /// Those of them that had other names.
    linked: RefCell<BTreeSet<String>>,
    /// What there is when an execution begins, at each path that one has changed.
    before: RefCell<BTreeMap<String, Before>>,
    /// What was changed since that was put back.
    changed: RefCell<BTreeSet<String>>,
}

/// What is at a path.
#[derive(Clone, PartialEq, Debug, Default)]
struct Before {
    entry: Option<Entry>,
    /// User and group; `None` for those that make it.
    owner: Option<(u32, u32)>,
    /// The extended attributes that are part of a tree; a link has none.
    attributes: BTreeMap<String, Attribute>,
    /// Seconds and nanoseconds of the last change.
    time: Option<(i64, i64)>,
}

impl Before {
    /// Whether this and the other one differ in nothing but their times.
    fn is_as(&self, other: &Self) -> bool {
        self.entry == other.entry
            && self.attributes == other.attributes
            && self.owner.zip(other.owner).is_none_or(|(one, another)| one == another)
    }

    /// Its owner, attributes and time, as a tree has them.
    fn details(&self) -> Details {
        let own = (geteuid().as_raw(), getegid().as_raw());
        let time = self.time.and_then(|(seconds, rest)| {
            let (seconds, rest) = (u64::try_from(seconds).ok()?, u64::try_from(rest).ok()?);
            seconds.checked_mul(SECOND)?.checked_add(rest)
        });
        Details {
            owner: self.owner.filter(|owner| *owner != own),
            attributes: self.attributes.clone(),
            time,
            holes: Vec::new(),
        }
    }
}

impl Outside {
    /// As seen by a process.
    ///
    /// # Errors
    /// Where the process is gone.
    pub fn of(process: Pid, hidden: &[String]) -> io::Result<Self> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let root = nix::fcntl::open(format!("/proc/{process}/root").as_str(), flags, Mode::empty())?;
        let (copied, linked, before, changed) = Default::default();
        Ok(Self { root, hidden: hidden.to_vec(), copied, linked, before, changed })
    }

    /// What is not to be seen as it is on the machine, where a path leads there.
    #[must_use]
    pub fn hidden(&self, path: &str) -> Option<&String> {
        self.hidden.iter().find(|hidden| Path::new(path).starts_with(hidden))
    }

    /// What stands at a path that no link is on the way of; the last one is not followed.
    ///
    /// # Errors
    /// What `lstat` says.
    pub fn status(&self, path: &str) -> Result<FileStat, Errno> {
        let (path, flags) = match path.trim_start_matches('/') {
            "" => ("", AtFlags::AT_EMPTY_PATH),
            path => (path, AtFlags::AT_SYMLINK_NOFOLLOW),
        };
        fstatat(self.root.as_fd(), &*native(path), flags)
    }

    /// Where the link at a path leads.
    ///
    /// # Errors
    /// What `readlink` says.
    pub fn link(&self, path: &str) -> Result<std::ffi::OsString, Errno> {
        readlinkat(self.root.as_fd(), &*native(path.trim_start_matches('/')))
    }

    /// Sees to it that a file that is there is in the upper layer, where that can be. Whether it may have become another inode.
    pub fn copy_up(&self, path: &str, status: &FileStat) -> bool {
        let plain = status.st_mode & libc::S_IFMT == libc::S_IFREG;
        if !plain
            || status.st_size.cast_unsigned() > LARGEST
            || !self.copied.borrow_mut().insert(path.to_owned())
        {
            return false;
        }
        if status.st_nlink > 1 {
            self.linked.borrow_mut().insert(path.to_owned());
        }
        // To open it for writing does it; nothing is written.
        let open =
            |place: Place| OpenOptions::new().write(true).custom_flags(libc::O_NOFOLLOW).open(&place.path);
        self.place(path).and_then(open).is_ok()
    }

    /// Remembers what is at a path that is about to be changed, so that it can be put back.
    pub fn remember(&self, path: &str) {
        if path == "/" || is_no_file(path) {
            return;
        }
        let mut before = self.before.borrow_mut();
        let above = Path::new(path).ancestors().skip(1);
        let is_new =
            |dir: &Path| dir.to_str().and_then(|dir| before.get(dir)).is_some_and(|of| of.entry.is_none());
        if above.into_iter().any(is_new) {
            return; // It goes with the directory that it is in.
        }
        if !before.contains_key(path) {
            // What cannot be read cannot be written.
            let Ok(found) = self.look(path) else { return };
            before.insert(path.to_owned(), found);
        }
        self.changed.borrow_mut().insert(path.to_owned());
    }

    /// What watched files there are when an execution begins, as far as one has changed them.
    pub fn add_beginning_to(&self, tree: &mut Tree) {
        let before = self.before.borrow();
        let watched = before.iter().filter(|(path, _)| is_watched(path));
        for (path, before) in watched {
            if let Some(entry) = &before.entry {
                tree.insert(path.clone(), entry.clone());
                tree.describe(path, before.details());
            }
        }
    }

    /// What is other than at the beginning, of what is watched.
    ///
    /// # Errors
    /// Those of reading.
    pub fn add_changes_to(&self, tree: &mut Tree) -> io::Result<()> {
        let before = self.before.borrow();
        for path in self.changed.borrow().iter().filter(|path| is_watched(path)) {
            let Some(before) = before.get(path) else { continue };
            let now = self.look(path)?;
            match &now.entry {
                _ if now.is_as(before) => {}
                None => {
                    tree.insert(path.clone(), Entry::Other { kind: REMOVED.into(), mode: 0 });
                }
                Some(entry) => {
                    self.add_whole(path, entry.clone(), tree)?;
                    tree.describe(path, Details { time: None, ..now.details() });
                }
            }
        }
        Ok(())
    }

    fn add_whole(&self, path: &str, entry: Entry, tree: &mut Tree) -> io::Result<()> {
        if let (Entry::Dir { .. }, Ok(place)) = (&entry, self.place(path)) {
            let inside = workspace::capture(&place.path)?.timeless();
            tree.extend(inside.at(path));
            for below in inside.keys() {
                tree.describe(&format!("{path}/{below}"), inside.details(below).clone());
            }
        }
        tree.insert(path.to_owned(), entry);
        Ok(())
    }

    /// Lets every execution begin with what there is now. `time`: the time of what is at a path, if it was changed.
    ///
    /// # Errors
    /// Those of reading, and of setting times.
    pub fn begin_from_here(&self, time: &dyn Fn(&str) -> Option<u64>) -> io::Result<()> {
        let mut now = Tree::new();
        let mut before = self.before.borrow_mut();
        let changed = std::mem::take(&mut *self.changed.borrow_mut());
        for path in &changed {
            if let (Some(time), Ok(place)) = (time(path), self.place(path)) {
                // The machine's time of the file is not the one that programs were told.
                let time = TimeSpec::new((time / SECOND).cast_signed(), (time % SECOND).cast_signed());
                match utimensat(AT_FDCWD, &place.path, &time, &time, UtimensatFlags::NoFollowSymlink) {
                    Err(Errno::ENOENT) => {}
                    set => set?,
                }
            }
        }
        for path in changed {
            before.insert(path.clone(), self.look(&path)?);
            if let Some(entry @ Entry::Dir { .. }) = before.get(&path).and_then(|before| before.entry.clone())
            {
                self.add_whole(&path, entry, &mut now)?;
            }
        }
        for path in now.keys() {
            before.insert(path.clone(), self.look(path)?);
        }
        Ok(())
    }

    /// Lets every execution begin with these entries, by their absolute paths.
    ///
    /// # Errors
    /// Those of reading.
    pub fn begin_with(&self, tree: &Tree) -> io::Result<()> {
        for (path, entry) in tree {
            self.remember(path);
            let Details { owner, attributes, time, .. } = tree.details(path).clone();
            let time = time.map(|time| ((time / SECOND).cast_signed(), (time % SECOND).cast_signed()));
            let laid = Before { entry: Some(entry.clone()), owner, attributes, time };
            if !self.look(path)?.is_as(&laid) {
                self.before.borrow_mut().insert(path.clone(), laid);
            }
        }
        Ok(())
    }

    /// Puts back what was changed.
    ///
    /// # Errors
    /// Those of removing and writing.
    pub fn reset(&self) -> io::Result<()> {
        let changed = std::mem::take(&mut *self.changed.borrow_mut());
        let before = self.before.borrow();
        let concerned = || changed.iter().filter_map(|path| Some((path, before.get(path)?)));
        for (path, before) in concerned().rev() {
            let now = self.look(path)?.entry;
            let same_kind =
                |then: &Entry, now: &Entry| std::mem::discriminant(then) == std::mem::discriminant(now);
            let stays = now
                .as_ref()
                .is_some_and(|now| before.entry.as_ref().is_some_and(|then| same_kind(then, now)));
            if now.is_some() && !stays {
                self.remove(path, now)?;
            }
        }
        for (path, before) in concerned() {
            // What was tried in vain is left alone: it may not be in our power either.
            if let Some(entry) =
                before.entry.as_ref().filter(|_| !self.look(path).is_ok_and(|now| now == *before))
            {
                self.put(path, entry, before)?;
            }
        }
        Ok(())
    }

    fn remove(&self, path: &str, entry: Option<Entry>) -> io::Result<()> {
        let Place { path: place, directory: _held } = self.place(path)?;
        match entry {
            Some(Entry::Dir { .. }) => {
                fs::set_permissions(&place, Permissions::from_mode(0o700))?;
                fs::remove_dir_all(&place)
            }
            _ => fs::remove_file(&place),
        }
    }

    fn put(&self, path: &str, entry: &Entry, before: &Before) -> io::Result<()> {
        // Those are not made.
        if matches!(entry, Entry::Other { kind, .. } if kind != "fifo") {
            return Ok(());
        }
        // Of a witness from elsewhere: where there is no such directory, the replay tells the difference.
        let Ok(Place { path: place, directory: _held }) = self.place(path) else { return Ok(()) };
        let there = fs::symlink_metadata(&place).is_ok();
        match entry {
            Entry::File { content, .. } => {
                if there {
                    fs::set_permissions(&place, Permissions::from_mode(0o600))?;
                }
                let mut options = OpenOptions::new();
                options.write(true).create(true).truncate(true).custom_flags(libc::O_NOFOLLOW);
                options.open(&place)?.write_all(content)?;
            }
            Entry::Dir { .. } if !there => fs::create_dir(&place)?,
            Entry::Link { target } => {
                if there {
                    fs::remove_file(&place)?;
                }
                symlink(native(target), &place)?;
            }
            Entry::Other { kind, mode } if kind == "fifo" && !there => {
                mkfifo(&place, Mode::from_bits_truncate(*mode))?;
            }
            _ => {}
        }
        if let Some((user, group)) = before.owner {
            // An ordinary user cannot have changed it.
            let _ = lchown(&place, Some(user), Some(group));
        }
        if let Entry::File { mode, .. } | Entry::Dir { mode } | Entry::Other { mode, .. } = entry {
            fs::set_permissions(&place, Permissions::from_mode(*mode))?;
        }
        workspace::set_attributes(&place, &before.attributes)?;
        if let Some((seconds, rest)) = before.time {
            let time = TimeSpec::new(seconds, rest);
            utimensat(AT_FDCWD, &place, &time, &time, UtimensatFlags::NoFollowSymlink)?;
        }
        Ok(())
    }

    fn look(&self, path: &str) -> io::Result<Before> {
        let place = match self.place(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Before::default()),
            place => place?,
        };
        let Place { path: place, directory: _held } = place;
        let Some(entry) = workspace::entry(&place)? else { return Ok(Before::default()) };
        let data = fs::symlink_metadata(&place)?;
        let owner = Some((data.uid(), data.gid()));
        let attributes = workspace::attributes(&place)?;
        Ok(Before { entry: Some(entry), owner, attributes, time: Some((data.mtime(), data.mtime_nsec())) })
    }

    /// A path as the controller can use it. Links on the way are followed as the processes would, so that it never leads to the
    /// machine's own files; the last name is to be used without following.
    fn place(&self, path: &str) -> io::Result<Place> {
        let path = native(path);
        let above = path.parent().unwrap_or(Path::new("/"));
        let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        let how = OpenHow::new()
            .flags(OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC)
            .resolve(ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS);
        let directory = openat2(self.root.as_fd(), above, how)?;
        let path = PathBuf::from(format!("/proc/self/fd/{}", directory.as_raw_fd())).join(name);
        Ok(Place { path, directory })
    }
}

impl Running<'_> {
    /// The object that an entry of a directory leads to.
    pub(super) fn listed(&mut self, of: &Description, entry: &fs::DirEntry) -> io::Result<ObjectId> {
        let path =
            format!("{}/{}", of.path().trim_end_matches('/'), name::text(entry.file_name().into_vec()));
        // Those outside are on several devices.
        let device = if path.starts_with('/') { entry.metadata()?.dev() } else { 0 };
        let inode = if device == 0 { entry.ino() } else { entry.metadata()?.ino() };
        Ok(self.world.objects.of(&path, device, inode))
    }

    /// Remembers what an operation may change outside of the workspace.
    pub(super) fn remember(&mut self, process: usize, operation: &Operation, action: &Action) {
        let Some(outside) = self.world.paths.outside() else { return };
        // What is open for writing may be written through a mapping.
        let opens = matches!(action, Action::Open { flags, .. } if flags & libc::O_ACCMODE != libc::O_RDONLY);
        if opens || operation.accesses.iter().any(|access| access.kind != AccessKind::Read) {
            let paths = operation.call.path.iter().chain(&operation.call.target);
            for path in paths.filter(|path| path.starts_with('/')) {
                outside.remember(path);
                if opens && outside.linked.borrow().contains(path) {
                    let what = "an overlay does not write what other names lead to";
                    let by = ProcessId(process);
                    self.world.not_covered.insert(Sighting::new(GapKind::Overlay, by, what).about(path));
                }
            }
        }
    }

    /// What one file system would have done: an overlay does not move directories that were there before, and an ordinary user's does
    /// not take up what belongs to others.
    pub(super) fn note_refusal(&mut self, process: usize, operation: &Operation, result: i64) {
        let Call { name, path: Some(path), .. } = &operation.call else { return };
        let error = i32::try_from(-result).unwrap_or_default();
        let refused = matches!(error, libc::EIO | libc::EOVERFLOW)
            || (error == libc::EXDEV && name.starts_with("rename"));
        if refused && path.starts_with('/') {
            let error = Errno::from_raw(error);
            let what = format!("{name}, which an overlay refuses ({error:?})");
            let by = ProcessId(process);
            self.world.sight(Sighting::new(GapKind::Overlay, by, what).about(path));
        }
    }
}

/// A path, valid as long as the directory that it goes by is held open.
struct Place {
    path: PathBuf,
    directory: OwnedFd,
}

#[cfg(test)]
mod tests {
    use super::{is_no_file, is_watched};

    #[test]
    fn all_is_watched_but_what_is_installed_and_the_kernels_own() {
        for (path, watched) in [
            ("/etc/passwd", true),
            ("/", true),
            ("/home/user/.history", true),
            ("/usr/lib/libc.so.6", false),
            ("/usrx", true),
            ("/bin", false),
            ("/proc/self", false),
        ] {
            assert_eq!(is_watched(path), watched, "{path}");
        }
        assert!(is_no_file("/dev/null") && !is_no_file("/devices") && !is_no_file("/usr/x"));
    }
}
