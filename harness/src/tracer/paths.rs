//! Where a path leads: into the workspace, by which names, or elsewhere.

use std::cell::{OnceCell, RefCell};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::rc::Rc;

use nix::errno::Errno;
use nix::fcntl::{AtFlags, readlinkat};
use nix::sys::stat::{FileStat, fstatat};

use super::objects::Objects;
use super::outside::{Outside, is_watched};
use super::sandbox::WORKSPACE;
use crate::model::{Access, Location, ObjectId, name};
use crate::workspace::native;

/// How many symbolic links the kernel follows in one path.
const MOST_LINKS: usize = 40;

/// Where a path leads, and what had to be looked at to know it.
#[derive(Debug)]
pub struct Resolved {
    /// The names that were looked up on the way, the last one too, as reads.
    pub accesses: Vec<Access>,
    /// Where it leads.
    pub place: Place,
}

/// A path to follow.
#[derive(Debug)]
pub struct Way<'a> {
    /// The absolute path of the directory that it is relative to.
    pub base: &'a str,
    /// The path.
    pub path: &'a str,
    /// Whether a last link is followed.
    pub follow_last: bool,
    /// Whether `base` is taken for the root: neither an absolute path nor `..` leads out of it.
    pub within: bool,
    /// Whether the kernel may refuse to search a directory because of its mode.
    pub checked: bool,
}

/// A path that was followed out of the workspace.
#[derive(Clone, Debug)]
pub struct Departed {
    /// As which of the call's paths it was followed, from 0.
    pub number: usize,
    /// The absolute path of the directory that it is relative to.
    pub base: String,
    /// The path.
    pub path: String,
    /// Whether a last link is followed.
    pub follow_last: bool,
    /// Whether `base` is taken for the root.
    pub within: bool,
    /// Whether it ends outside, by its text.
    pub ends_outside: bool,
}

impl Departed {
    /// As a path to follow.
    #[must_use]
    pub fn way(&self) -> Way<'_> {
        let Self { base, path, follow_last, within, .. } = self;
        Way { base, path, follow_last: *follow_last, within: *within, checked: false }
    }
}

/// The paths that the call at hand has followed.
#[derive(Debug, Default)]
struct Followed {
    count: usize,
    departed: Vec<Departed>,
}

/// Where a path leads.
#[derive(Debug)]
pub enum Place {
    /// To what is not watched.
    Outside(String),
    /// Into the workspace, or to another place that is watched.
    Inside(Spot),
    /// Nowhere: the lookup ends with an error before its last name. Where it would lead, links ahead aside.
    Nowhere(Option<String>),
}

/// A place in the workspace: perhaps there is something, perhaps not.
#[derive(Debug)]
pub struct Spot {
    /// Relative to the workspace, `.` for itself; absolute where it is outside.
    pub path: String,
    /// The directory and the name in it; `None` for the workspace itself.
    pub name: Option<(ObjectId, String)>,
    /// What is there.
    pub found: Option<Found>,
}

/// Something in the workspace.
#[derive(Clone, Debug)]
pub struct Found {
    /// What it is.
    pub object: ObjectId,
    /// What the file system says of it.
    pub status: FileStat,
}

impl Found {
    /// Its type: `S_IFREG`, `S_IFDIR`, ….
    #[must_use]
    pub fn kind(&self) -> u32 {
        self.status.st_mode & libc::S_IFMT
    }

    /// Its size, in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.status.st_size.cast_unsigned()
    }
}

impl Spot {
    /// The location of its name, where it has one.
    #[must_use]
    pub fn name_location(&self) -> Option<Location> {
        self.name.as_ref().map(|(dir, name)| Location::Name { dir: *dir, name: name.clone() })
    }
}

/// The workspace, as the controller sees it.
#[derive(Debug)]
pub struct Paths {
    root: OwnedFd,
    /// The numbers of device and inode of the workspace itself, once they were asked for.
    itself: OnceCell<(u64, u64)>,
    outside: Option<Rc<Outside>>,
    followed: RefCell<Followed>,
}

/// The path relative to the workspace, where an absolute one is in it. By the text alone.
#[must_use]
pub fn inside(absolute: &str) -> Option<&str> {
    match absolute.strip_prefix(WORKSPACE)? {
        "" => Some(""),
        rest => rest.strip_prefix('/'),
    }
}

impl Paths {
    /// For a workspace that is open as a directory, and what is watched outside of it.
    #[must_use]
    pub fn new(root: OwnedFd, outside: Option<Rc<Outside>>) -> Self {
        Self { root, itself: OnceCell::new(), outside, followed: RefCell::default() }
    }

    /// The paths that have led out of the workspace since this was last asked: those of one call.
    pub fn take_departed(&self) -> Vec<Departed> {
        std::mem::take(&mut *self.followed.borrow_mut()).departed
    }

    /// What is outside of the workspace, where it is on an overlay.
    #[must_use]
    pub fn outside(&self) -> Option<&Outside> {
        self.outside.as_deref()
    }

    /// What stands at a path relative to the workspace, or an absolute one that is watched; the last link is not followed.
    ///
    /// # Errors
    /// What `lstat` says.
    pub fn status(&self, path: &str) -> Result<FileStat, Errno> {
        if let Some(outside) = self.outside().filter(|_| path.starts_with('/')) {
            return outside.status(path);
        }
        let (path, flags) = if path.is_empty() || path == "." {
            ("", AtFlags::AT_EMPTY_PATH)
        } else {
            (path, AtFlags::AT_SYMLINK_NOFOLLOW)
        };
        fstatat(self.root.as_fd(), &*native(path), flags)
    }

    /// Whether a directory of the workspace, at a path relative to that, has names in it; `None` where that is not known.
    #[must_use]
    pub fn has_names(&self, path: &str) -> Option<bool> {
        Some(std::fs::read_dir(self.in_workspace(path)?).ok()?.next().is_some())
    }

    /// Where the controller finds what stands at a path relative to the workspace; `None` for an absolute one.
    #[must_use]
    pub fn in_workspace(&self, path: &str) -> Option<String> {
        (!path.starts_with('/')).then(|| format!("/proc/self/fd/{}/{path}", self.root.as_raw_fd()))
    }

    /// The directory at a path.
    fn directory(&self, objects: &mut Objects, path: &str) -> Result<ObjectId, Errno> {
        if path.is_empty() {
            // It never becomes another one.
            if self.itself.get().is_none() {
                let status = self.status(path)?;
                let _ = self.itself.set((status.st_dev, status.st_ino));
            }
            if let Some((device, inode)) = self.itself.get() {
                return Ok(objects.of(path, *device, *inode));
            }
        }
        Ok(objects.at(path, &self.status(path)?))
    }

    /// Follows a path as the kernel would for the processes under test.
    pub fn resolve(&self, objects: &mut Objects, way: &Way<'_>) -> Resolved {
        let base = names(way.base);
        let root = if way.within { base.clone() } else { Vec::new() };
        let (accesses, at) = Default::default();
        let checked = way.checked;
        let mut walk = Walk { paths: self, objects, accesses, at, root, links: 0, departs: false, checked };
        if way.within {
            walk.at.clone_from(&base);
        }
        let from_base = !way.path.starts_with('/') && !way.within;
        let ahead = if from_base { [base, names(way.path)].concat() } else { names(way.path) };
        let place = walk.walk(ahead, way.follow_last || ends_as_directory(way.path));
        if let (true, Place::Inside(Spot { found: Some(found), .. })) = (ends_with_dot(way.path), &place) {
            walk.goes_through(Some(found.object));
        }
        let Walk { accesses, departs, .. } = walk;
        self.note_followed(way, departs, &place);
        Resolved { accesses, place }
    }

    /// Drops what was kept of the path that was followed last: it is to be followed another way.
    pub fn withdraw(&self) {
        let mut followed = self.followed.borrow_mut();
        followed.count -= 1;
        let number = followed.count;
        followed.departed.retain(|departed| departed.number != number);
    }

    fn note_followed(&self, way: &Way<'_>, departs: bool, place: &Place) {
        let mut followed = self.followed.borrow_mut();
        if departs {
            let number = followed.count;
            followed.departed.push(Departed {
                number,
                base: way.base.to_owned(),
                path: way.path.to_owned(),
                follow_last: way.follow_last,
                within: way.within,
                ends_outside: matches!(place, Place::Outside(_)),
            });
        }
        followed.count += 1;
    }
}

/// A walk in progress.
struct Walk<'a> {
    paths: &'a Paths,
    objects: &'a mut Objects,
    accesses: Vec<Access>,
    /// The names from the root of the file system down to where the walk is, none of those that are watched a link.
    at: Vec<String>,
    /// What is taken for the root.
    root: Vec<String>,
    links: usize,
    /// Whether it has been at a place that is neither scheduled nor on the way to the workspace.
    departs: bool,
    /// Whether the modes of the directories on the way count.
    checked: bool,
}

impl Walk<'_> {
    /// Follows names from where the walk is.
    fn walk(&mut self, mut ahead: Vec<String>, mut follow_last: bool) -> Place {
        ahead.reverse();
        // The directory where the walk is, where it has just been looked up.
        let mut known = None;
        while let Some(name) = ahead.pop() {
            let directory = match (known.take(), self.here()) {
                (known @ Some(_), _) => known,
                (None, Some(path)) => match self.paths.directory(self.objects, &path) {
                    Ok(directory) => Some(directory),
                    Err(_) => return self.nowhere(&ahead),
                },
                (None, None) => None,
            };
            if name == ".." {
                self.goes_through(directory);
                if self.at.len() > self.root.len() {
                    self.at.pop();
                }
                continue;
            }
            self.at.push(name.clone());
            let (Some(directory), Some(path)) = (directory, self.here()) else {
                self.departs |= !leads_to_workspace(&self.at);
                continue;
            };
            self.goes_through(Some(directory));
            self.accesses.push(Access::read(Location::Name { dir: directory, name: name.clone() }));
            let last = ahead.is_empty();
            let status = match self.paths.status(&path) {
                Ok(status) => status,
                Err(Errno::ENOENT) if last => {
                    return Place::Inside(Spot { path, name: Some((directory, name)), found: None });
                }
                Err(_) => return self.nowhere(&ahead),
            };
            let object = self.objects.at(&path, &status);
            let kind = status.st_mode & libc::S_IFMT;
            if kind == libc::S_IFLNK && (!last || follow_last) {
                let Some(target) = self.link(&path) else { return self.nowhere(&ahead) };
                follow_last |= last && ends_as_directory(&target);
                ahead.extend(names(&target).into_iter().rev());
            } else if last {
                let found = Some(Found { object, status });
                return Place::Inside(Spot { path, name: Some((directory, name)), found });
            } else if kind == libc::S_IFDIR {
                known = Some(object);
            } else {
                return self.nowhere(&ahead);
            }
        }
        self.end()
    }

    /// Notes that a name is looked up in a directory, even if it is `..` or `.`: whether the kernel allows that depends on the directory's
    /// mode.
    fn goes_through(&mut self, directory: Option<ObjectId>) {
        let looked_at =
            directory.filter(|_| self.checked).map(|directory| Access::read(Location::Mode(directory)));
        self.accesses.extend(looked_at);
    }

    /// The walk comes to nothing here, before these names.
    fn nowhere(&self, ahead: &[String]) -> Place {
        let ahead = ahead.iter().rev().map(String::as_str);
        Place::Nowhere(
            self.here().map(|path| [path.as_str()].into_iter().chain(ahead).collect::<Vec<_>>().join("/")),
        )
    }

    /// The walk has ended at a directory that no name was looked up for last, or outside.
    fn end(&mut self) -> Place {
        let Some(path) = self.here() else { return Place::Outside(format!("/{}", self.at.join("/"))) };
        let path = if path.is_empty() { ".".to_owned() } else { path };
        match self.paths.status(&path) {
            Ok(status) => {
                let found = Some(Found { object: self.objects.at(&path, &status), status });
                Place::Inside(Spot { path, name: None, found })
            }
            Err(_) => Place::Nowhere(Some(path)),
        }
    }

    /// Goes to where the target of the link at `path` begins; gives the target. `None` where it cannot be followed.
    fn link(&mut self, path: &str) -> Option<String> {
        self.links += 1;
        if self.links > MOST_LINKS {
            return None;
        }
        let target = match self.paths.outside().filter(|_| path.starts_with('/')) {
            Some(outside) => outside.link(path),
            None => readlinkat(self.paths.root.as_fd(), &*native(path)),
        };
        let target = lossy(target.ok()?.into_vec());
        if target.starts_with('/') {
            self.at.clone_from(&self.root);
        } else {
            self.at.pop();
        }
        Some(target)
    }

    /// Where the walk is, relative to the workspace, if it is in it; the absolute path of another place that is watched.
    fn here(&self) -> Option<String> {
        let mut at = self.at.iter();
        let mut workspace = WORKSPACE.split('/').skip(1);
        let within = workspace.all(|name| at.next().is_some_and(|here| here == name));
        if within {
            return Some(at.as_slice().join("/"));
        }
        self.paths.outside()?;
        Some(format!("/{}", self.at.join("/"))).filter(|path| is_watched(path))
    }
}

/// Whether these names from the root down are the workspace, or a directory on the way to it.
fn leads_to_workspace(names: &[String]) -> bool {
    let mut workspace = WORKSPACE.split('/').skip(1);
    names.iter().all(|name| workspace.next() == Some(name))
}

/// The names in a path, without `.`.
pub fn names(path: &str) -> Vec<String> {
    path.split('/').filter(|name| !matches!(*name, "" | ".")).map(str::to_owned).collect()
}

/// Whether a path can only lead to a directory, by its end: a last link is followed then.
pub fn ends_as_directory(path: &str) -> bool {
    path.ends_with('/') || path.ends_with("/.")
}

/// Whether a path ends with `.`, which is looked up in the directory that it leads to.
fn ends_with_dot(path: &str) -> bool {
    let path = path.trim_end_matches('/');
    path == "." || path.ends_with("/.")
}

/// The text of a path. No byte of it is lost: see [`name`].
#[must_use]
pub fn lossy(bytes: Vec<u8>) -> String {
    name::text(bytes)
}

/// What a link in `/proc` says, such as a task's current directory.
///
/// # Errors
/// What `readlink` says.
pub fn proc_link(link: &str) -> io::Result<String> {
    Ok(lossy(std::fs::read_link(link)?.into_os_string().into_vec()))
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::os::unix::fs::symlink;

    use super::{Objects, Paths, Place, WORKSPACE, Way, inside};

    /// Where a path leads in a workspace with `d/f`, links to it, and one that leads out: the path found, with `!` for nothing
    /// there; and how many names were looked up.
    fn leads(base: &str, path: &str, follow_last: bool, within: bool) -> (String, usize) {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let at = |name: &str| folder.path().join(name);
        fs::create_dir_all(at("d/e")).expect("d");
        File::create(at("d/f")).expect("f");
        symlink("d", at("to-d")).expect("to-d");
        symlink("d/e", at("to-e")).expect("to-e");
        symlink(format!("{WORKSPACE}/d/f"), at("to-f")).expect("to-f");
        symlink("/etc", at("out")).expect("out");
        symlink("round", at("round")).expect("round");
        let paths = Paths::new(File::open(folder.path()).expect("the folder").into(), None);
        let base = format!("{WORKSPACE}{base}");
        let resolved = paths.resolve(
            &mut Objects::default(),
            &Way { base: &base, path, follow_last, within, checked: false },
        );
        let place = match resolved.place {
            Place::Inside(spot) if spot.found.is_some() => spot.path,
            Place::Inside(spot) => format!("{}!", spot.path),
            Place::Outside(path) => path,
            Place::Nowhere(_) => "nowhere".into(),
        };
        (place, resolved.accesses.len())
    }

    #[test]
    fn a_path_leads_where_the_kernel_goes() {
        for (path, place, names) in [
            ("./d//f", "d/f", 2),
            ("d/../d/f", "d/f", 3),
            ("d/none", "d/none!", 2),
            ("none/f", "nowhere", 1),
            ("none/../d/f", "nowhere", 1),
            ("d/f/../f", "nowhere", 2),
            // `..` goes up from where a link leads, not from the link.
            ("to-e/../f", "d/f", 4),
            ("to-f", "d/f", 3),
            ("d/..", ".", 1),
            ("..", "/dev/shm", 0),
            ("../workspace/d", "d", 1),
            ("/dev/shm/workspace/d", "d", 1),
            ("out/hosts", "/etc/hosts", 1),
            ("round", "nowhere", 41),
        ] {
            assert_eq!(leads("", path, true, false), (place.into(), names), "{path}");
        }
        assert_eq!(leads("", "to-d", false, false), ("to-d".into(), 1));
        assert_eq!(leads("", "to-d/", false, false), ("d".into(), 2));
        assert_eq!(leads("/d", "f", true, false), ("d/f".into(), 2));
    }

    #[test]
    fn a_directory_can_stand_for_the_root() {
        for (path, place) in [("/f", "d/f"), ("../../f", "d/f"), ("..", "d"), ("e/../f", "d/f")] {
            assert_eq!(leads("/d", path, true, true).0, place, "{path}");
        }
        assert_eq!(leads("", "out", true, true).0, "etc!");
    }

    #[test]
    fn what_is_in_the_workspace_is_known_by_its_path() {
        assert_eq!(inside("/dev/shm/workspace"), Some(""));
        assert_eq!(inside("/dev/shm/workspace/a"), Some("a"));
        assert_eq!(inside("/dev/shm/workspaces"), None);
    }
}
