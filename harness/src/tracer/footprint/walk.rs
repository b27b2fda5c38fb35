//! Where a path leads outside the workspace, name by name, as the kernel goes: which names are looked up, and what is found.

use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::rc::Rc;

use nix::errno::Errno;
use nix::fcntl::{AtFlags, readlinkat};
use nix::sys::stat::{FileStat, fstatat};
use nix::unistd::Pid;

use crate::model::footprint::{Inode, Thing};
use crate::tracer::outside::is_watched;
use crate::tracer::paths::{Way, ends_as_directory, inside, lossy, names, proc_link};
use crate::tracer::proc::Proc;

/// How many symbolic links the kernel follows in one path.
const MOST_LINKS: usize = 40;
/// Devices that hold nothing which a process could leave there for another one.
const NO_STATE: [&str; 8] = [
    "/dev/null",
    "/dev/zero",
    "/dev/full",
    "/dev/random",
    "/dev/urandom",
    "/dev/tty",
    "/dev/ptmx",
    "/dev/pts/ptmx",
];

/// What `/proc` has of the locks, System V objects and keys of all processes.
const OF_OTHERS: [&str; 4] = ["locks", "sysvipc", "keys", "key-users"];
/// What `/proc/net` has of the sockets of all processes.
const SOCKETS: [&str; 14] = [
    "unix", "tcp", "tcp6", "udp", "udp6", "udplite", "udplite6", "raw", "raw6", "icmp", "icmp6", "packet",
    "netlink", "sockstat",
];

/// The machine's files as the processes see them.
#[derive(Debug)]
pub struct View {
    /// Their root directory.
    pub root: OwnedFd,
    /// What they see at `/proc`.
    pub proc: Rc<Proc>,
    /// Whether the root is an overlay, of which some places are scheduled as the workspace is.
    pub overlay: bool,
    /// The files that processes under test made, by device and number, each with the path at which it was made.
    pub made: HashMap<(u64, u64), String>,
}

/// Who follows a path.
#[derive(Clone, Copy, Debug)]
pub struct Follower {
    /// The task.
    pub task: Pid,
    /// The place of its process.
    pub process: usize,
}

/// Where a path has led.
#[derive(Debug)]
pub struct Walked {
    /// The names that were looked up, each with its absolute path, no link in it.
    pub names: Vec<(Thing, String)>,
    /// What is at the end.
    pub end: End,
    /// Whether it leads elsewhere for another process, because it goes through `/proc/self`.
    pub is_own: bool,
}

/// What is at the end of a path.
#[derive(Debug)]
pub enum End {
    /// Nothing: a name before the last one is missing, or no directory.
    Nowhere,
    /// A place outside the workspace.
    Place(Spot),
    /// A place that is scheduled: in the workspace, or watched on an overlay.
    Scheduled {
        /// Whether it is in the workspace.
        in_workspace: bool,
    },
    /// Something that is no state which processes share.
    NoState,
    /// The state of other processes.
    Processes,
}

/// A place outside the workspace.
#[derive(Clone, Debug)]
pub struct Spot {
    /// Its absolute path, no link in it.
    pub path: String,
    /// Its directory and its name there; `None` if no name was looked up last, as with `..`.
    pub name: Option<(Inode, String)>,
    /// What is there.
    pub found: Option<Found>,
}

/// A file, directory or device outside the workspace.
#[derive(Clone, Debug)]
pub struct Found {
    /// Which one.
    pub inode: Inode,
    /// The numbers of its device and of itself.
    pub numbers: (u64, u64),
    /// Its type: `S_IFREG`, ….
    pub kind: u32,
    /// How many names it has.
    pub links: u64,
    /// Its size, in bytes.
    pub size: u64,
}

impl View {
    /// Which file this is.
    #[must_use]
    pub fn found(&self, status: &FileStat) -> Found {
        let numbers = (status.st_dev, status.st_ino);
        let inode = match self.made.get(&numbers) {
            Some(path) => Inode::Made(path.clone()),
            None => Inode::There { device: numbers.0, number: numbers.1 },
        };
        let kind = status.st_mode & libc::S_IFMT;
        Found { inode, numbers, kind, links: status.st_nlink, size: status.st_size.cast_unsigned() }
    }

    /// What is at a path that no link is on the way of; the last one is not followed.
    ///
    /// # Errors
    /// What `lstat` says.
    pub fn status(&self, path: &str) -> Result<FileStat, Errno> {
        let (path, flags) = match path.trim_start_matches('/') {
            "" => ("", AtFlags::AT_EMPTY_PATH),
            path => (path, AtFlags::AT_SYMLINK_NOFOLLOW),
        };
        fstatat(self.root.as_fd(), path, flags)
    }

    /// Whether what is at an absolute path is scheduled.
    fn is_scheduled(&self, path: &str) -> bool {
        inside(path).is_some() || self.overlay && is_watched(path)
    }

    /// Follows a path.
    #[must_use]
    pub fn walk(&self, way: &Way<'_>, follower: Follower) -> Walked {
        let base = names(way.base);
        let from_base = !way.path.starts_with('/') && !way.within;
        let mut walk = Walk {
            view: self,
            follower,
            names: Vec::new(),
            at: if way.within { base.clone() } else { Vec::new() },
            floor: if way.within { base.len() } else { 0 },
            here: None,
            links: 0,
            is_own: false,
        };
        let mut ahead = if from_base { [base, names(way.path)].concat() } else { names(way.path) };
        ahead.reverse();
        let end = walk.walk(ahead, way.follow_last || ends_as_directory(way.path));
        Walked { names: walk.names, end, is_own: walk.is_own }
    }
}

/// A walk in progress.
struct Walk<'a> {
    view: &'a View,
    follower: Follower,
    names: Vec<(Thing, String)>,
    /// The names from the root down to where the walk is.
    at: Vec<String>,
    /// How many of them are taken for the root.
    floor: usize,
    /// The directory where the walk is, if that is known.
    here: Option<Inode>,
    links: usize,
    is_own: bool,
}

impl Walk<'_> {
    /// Follows names, the next one last in `ahead`.
    fn walk(&mut self, mut ahead: Vec<String>, mut follow_last: bool) -> End {
        while let Some(name) = ahead.pop() {
            if name == ".." {
                if self.at.len() > self.floor {
                    self.at.pop();
                }
                self.here = None;
                continue;
            }
            if self.at == ["proc"] {
                match self.in_proc(&name, &mut ahead, follow_last) {
                    Step::End(end) => return end,
                    Step::On => continue,
                    Step::Beside => {}
                }
            }
            if self.at.first().is_some_and(|first| first == "proc") {
                self.at.push(name);
                match self.beside_processes(ahead.is_empty(), &mut follow_last, &mut ahead) {
                    Some(end) => return end,
                    None => continue,
                }
            }
            let Some(directory) = self.directory() else { return End::Nowhere };
            self.at.push(name.clone());
            let path = self.path();
            if !self.view.is_scheduled(&path) {
                let thing = Thing::Name { directory: directory.clone(), name: name.clone() };
                self.names.push((thing, path.clone()));
            }
            let last = ahead.is_empty();
            let status = match self.view.status(&path) {
                Ok(status) => status,
                Err(Errno::ENOENT) if last => return self.end(path, Some((directory, name)), None),
                Err(_) => return End::Nowhere,
            };
            match status.st_mode & libc::S_IFMT {
                libc::S_IFLNK if !last || follow_last => {
                    let Some(target) = self.follow_link(&path) else { return End::Nowhere };
                    follow_last |= last && ends_as_directory(&target);
                    ahead.extend(names(&target).into_iter().rev());
                }
                _ if last => return self.end(path, Some((directory, name)), Some(&status)),
                libc::S_IFDIR => self.here = Some(self.view.found(&status).inode),
                _ => return End::Nowhere,
            }
        }
        let path = self.path();
        match self.view.status(&path) {
            Ok(status) => self.end(path, None, Some(&status)),
            Err(_) => End::Nowhere,
        }
    }

    fn path(&self) -> String {
        format!("/{}", self.at.join("/"))
    }

    /// The directory where the walk is.
    fn directory(&mut self) -> Option<Inode> {
        if let Some(here) = self.here.take() {
            return Some(here);
        }
        Some(self.view.found(&self.view.status(&self.path()).ok()?).inode)
    }

    /// Goes to where the target of the link at `path` begins; gives the target. `None` if it cannot be followed.
    fn follow_link(&mut self, path: &str) -> Option<String> {
        self.links += 1;
        if self.links > MOST_LINKS {
            return None;
        }
        let target = readlinkat(self.view.root.as_fd(), path.trim_start_matches('/')).ok()?;
        let target = lossy(target.into_vec());
        self.here = None;
        if target.starts_with('/') {
            self.at.truncate(self.floor);
        } else {
            self.at.pop();
        }
        Some(target)
    }

    fn end(&self, path: String, name: Option<(Inode, String)>, status: Option<&FileStat>) -> End {
        if self.view.is_scheduled(&path) {
            return End::Scheduled { in_workspace: inside(&path).is_some() };
        }
        if NO_STATE.contains(&path.as_str()) || path == "/sys" || path.starts_with("/sys/") {
            return End::NoState;
        }
        if path.starts_with("/proc/") {
            return of_proc(path);
        }
        End::Place(Spot { path, name, found: status.map(|status| self.view.found(status)) })
    }

    /// A name directly in `/proc`. The walk has come to its end, or goes on with what is left of `ahead`.
    fn in_proc(&mut self, name: &str, ahead: &mut Vec<String>, follow_last: bool) -> Step {
        let number: Option<i32> = name.parse().ok();
        let task = match number {
            Some(number) if self.view.proc.is_of(number, self.follower.process) => {
                match self.view.proc.task(number) {
                    Some(task) => Some(task.as_raw()),
                    // A child that has gone.
                    None => return Step::End(End::NoState),
                }
            }
            Some(_) => return Step::End(End::Processes),
            None if OF_OTHERS.contains(&name) => return Step::End(End::Processes),
            None => matches!(name, "self" | "thread-self").then(|| self.follower.task.as_raw()),
        };
        let Some(task) = task else { return Step::Beside };
        self.is_own = true;
        let below = if name == "thread-self" { vec!["task".into(), task.to_string()] } else { Vec::new() };
        match self.of_itself((task, below), ahead, follow_last) {
            Some(end) => Step::End(end),
            None => Step::On,
        }
    }

    /// A name below `/proc` that is of no process, where the walk is now. `None` if the walk goes on.
    fn beside_processes(
        &mut self,
        last: bool,
        follow_last: &mut bool,
        ahead: &mut Vec<String>,
    ) -> Option<End> {
        let path = self.path();
        let is_link = |status: FileStat| status.st_mode & libc::S_IFMT == libc::S_IFLNK;
        if (!last || *follow_last) && self.view.status(&path).is_ok_and(is_link) {
            let Some(target) = self.follow_link(&path) else { return Some(End::Nowhere) };
            *follow_last |= last && ends_as_directory(&target);
            ahead.extend(names(&target).into_iter().rev());
            return None;
        }
        last.then(|| of_proc(path))
    }

    /// What `/proc` has of the process itself: only ways that lead out of it, and its network, are of interest. Begins at the names
    /// `below` the directory of a task. `None` if the walk goes on elsewhere.
    fn of_itself(
        &mut self,
        (task, mut below): (i32, Vec<String>),
        ahead: &mut Vec<String>,
        follow_last: bool,
    ) -> Option<End> {
        while let Some(name) = ahead.pop() {
            if name == ".." {
                // From the directory of the task the walk goes on in `/proc`.
                below.pop()?;
                continue;
            }
            below.push(name);
            if leads_out(&below) && (!ahead.is_empty() || follow_last) {
                return self.by_magic_link(&format!("/proc/{task}/{}", below.join("/")), ahead);
            }
        }
        Some(match below.iter().position(|name| name == "net") {
            Some(0 | 2) if below.last().is_some_and(|name| SOCKETS.contains(&name.as_str())) => {
                End::Processes
            }
            // The same for all processes: `/proc/net` leads there.
            Some(net @ (0 | 2)) => of_proc(format!("/proc/{}", below[net..].join("/"))),
            _ => End::NoState,
        })
    }

    /// Goes to where a link of a task in `/proc` leads.
    fn by_magic_link(&mut self, link: &str, ahead: &mut Vec<String>) -> Option<End> {
        let target =
            if link.ends_with("/root") { "/".to_owned() } else { proc_link(link).unwrap_or_default() };
        if !target.starts_with('/') || target.starts_with("/memfd:") || target.ends_with(" (deleted)") {
            return Some(End::NoState);
        }
        self.links += 1;
        if self.links > MOST_LINKS {
            return Some(End::Nowhere);
        }
        self.at.truncate(self.floor);
        self.here = None;
        ahead.extend(names(&target).into_iter().rev());
        None
    }
}

/// How a walk goes on behind a name in `/proc`.
enum Step {
    /// It has come to its end.
    End(End),
    /// With the next name.
    On,
    /// The name is of no process: as anywhere.
    Beside,
}

/// Whether these names below the directory of a task are a link that leads to a file.
fn leads_out(below: &[String]) -> bool {
    let of_task = match below {
        [task, _, rest @ ..] if task == "task" => rest,
        all => all,
    };
    match of_task {
        [name] => matches!(name.as_str(), "cwd" | "root" | "exe"),
        [directory, _] => matches!(directory.as_str(), "fd" | "map_files"),
        _ => false,
    }
}

/// What is at a path in `/proc` that is of no process: it is known by that path.
fn of_proc(path: String) -> End {
    let inode = Inode::Made(path.clone());
    let found = Found { inode, numbers: (0, 0), kind: libc::S_IFREG, links: 1, size: 0 };
    End::Place(Spot { path, name: None, found: Some(found) })
}
