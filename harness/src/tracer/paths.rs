//! Where a path leads: into the workspace, by which names, or elsewhere.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;

use nix::errno::Errno;
use nix::fcntl::{AtFlags, readlinkat};
use nix::sys::stat::{FileStat, fstatat};

use super::objects::Objects;
use super::sandbox::WORKSPACE;
use crate::model::{Access, Location, ObjectId};

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

/// Where a path leads.
#[derive(Debug)]
pub enum Place {
    /// Out of the workspace.
    Outside(String),
    /// Into it.
    Inside(Spot),
    /// Nowhere: the lookup ends with an error before its last name.
    Nowhere,
}

/// A place in the workspace: perhaps there is something, perhaps not.
#[derive(Debug)]
pub struct Spot {
    /// Relative to the workspace; `.` for itself.
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
    /// For a workspace that is open as a directory.
    #[must_use]
    pub fn new(root: OwnedFd) -> Self {
        Self { root }
    }

    /// What stands at a path relative to the workspace; the last link is not followed.
    ///
    /// # Errors
    /// What `lstat` says.
    pub fn status(&self, path: &str) -> Result<FileStat, Errno> {
        let (path, flags) = if path.is_empty() || path == "." {
            ("", AtFlags::AT_EMPTY_PATH)
        } else {
            (path, AtFlags::AT_SYMLINK_NOFOLLOW)
        };
        fstatat(self.root.as_fd(), path, flags)
    }

    /// Follows a path from `base`, an absolute path, as the kernel would for the processes under test.
    pub fn resolve(&self, objects: &mut Objects, base: &str, path: &str, follow_last: bool) -> Resolved {
        let mut walk = Walk { paths: self, objects, accesses: Vec::new(), at: Vec::new(), links: 0 };
        let place = walk.begin(base, path, follow_last);
        Resolved { accesses: walk.accesses, place }
    }
}

/// A walk in progress.
struct Walk<'a> {
    paths: &'a Paths,
    objects: &'a mut Objects,
    accesses: Vec<Access>,
    /// The names from the workspace down to where the walk is, none of them a link.
    at: Vec<String>,
    links: usize,
}

impl Walk<'_> {
    fn begin(&mut self, base: &str, path: &str, follow_last: bool) -> Place {
        let absolute = if path.starts_with('/') { path.to_owned() } else { format!("{base}/{path}") };
        let (absolute, trailing) = tidy(&absolute);
        let Some(rest) = inside(&absolute) else { return Place::Outside(absolute) };
        let names: Vec<String> = rest.split('/').filter(|name| !name.is_empty()).map(str::to_owned).collect();
        self.at.clear();
        self.walk(names, follow_last || trailing)
    }

    /// Follows names from the directory where the walk is.
    fn walk(&mut self, names: Vec<String>, follow_last: bool) -> Place {
        let mut directory = match self.directory() {
            Ok(directory) => directory,
            Err(_) => return Place::Nowhere,
        };
        let count = names.len();
        for (number, name) in names.iter().enumerate() {
            let last = number + 1 == count;
            self.accesses.push(Access::read(Location::Name { dir: directory, name: name.clone() }));
            self.at.push(name.clone());
            let path = self.at.join("/");
            let status = match self.paths.status(&path) {
                Ok(status) => status,
                Err(Errno::ENOENT) if last => {
                    return Place::Inside(Spot { path, name: Some((directory, name.clone())), found: None });
                }
                Err(_) => return Place::Nowhere,
            };
            let object = self.objects.of(status.st_ino);
            let kind = status.st_mode & libc::S_IFMT;
            if kind == libc::S_IFLNK && (!last || follow_last) {
                return self.follow(&path, &names[number + 1..], follow_last);
            }
            if last {
                let found = Some(Found { object, status });
                return Place::Inside(Spot { path, name: Some((directory, name.clone())), found });
            }
            if kind != libc::S_IFDIR {
                return Place::Nowhere;
            }
            directory = object;
        }
        let path = if self.at.is_empty() { ".".to_owned() } else { self.at.join("/") };
        match self.paths.status(&path) {
            Ok(status) => {
                let found = Some(Found { object: self.objects.of(status.st_ino), status });
                Place::Inside(Spot { path, name: None, found })
            }
            Err(_) => Place::Nowhere,
        }
    }

    /// Goes on where the link at `path` leads, then along the names that are left.
    fn follow(&mut self, path: &str, rest: &[String], follow_last: bool) -> Place {
        self.links += 1;
        if self.links > MOST_LINKS {
            return Place::Nowhere;
        }
        let target = match readlinkat(self.paths.root.as_fd(), path) {
            Ok(target) => lossy(target.into_vec()),
            Err(_) => return Place::Nowhere,
        };
        self.at.pop();
        let base = [&[WORKSPACE.to_owned()], &self.at[..]].concat().join("/");
        let onward = [std::slice::from_ref(&target), rest].concat().join("/");
        self.begin(&base, &onward, follow_last)
    }

    fn directory(&mut self) -> Result<ObjectId, Errno> {
        self.paths.status(&self.at.join("/")).map(|status| self.objects.of(status.st_ino))
    }
}

/// An absolute path without `.`, `..` and doubled slashes, by the text alone; and whether it ended with a slash.
fn tidy(path: &str) -> (String, bool) {
    let mut names: Vec<&str> = Vec::new();
    for name in path.split('/') {
        match name {
            "" | "." => {}
            ".." => {
                names.pop();
            }
            name => names.push(name),
        }
    }
    (format!("/{}", names.join("/")), path.ends_with('/') && path.len() > 1)
}

/// Text of bytes; what is not UTF-8 is shown as U+FFFD.
#[must_use]
pub fn lossy(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
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
    use super::{inside, tidy};

    #[test]
    fn paths_are_tidied_by_their_text() {
        for (path, tidied) in [
            ("/dev/shm/workspace/./a//b/../c", "/dev/shm/workspace/a/c"),
            ("/..", "/"),
            ("/dev/shm/workspace/", "/dev/shm/workspace"),
        ] {
            assert_eq!(tidy(path).0, tidied);
        }
        assert_eq!(inside("/dev/shm/workspace"), Some(""));
        assert_eq!(inside("/dev/shm/workspace/a"), Some("a"));
        assert_eq!(inside("/dev/shm/workspaces"), None);
    }
}
