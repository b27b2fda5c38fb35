//! What processes see of the machine's files: namespaces of their own, a private tmpfs, and where that is asked for an overlay of
//! everything else.

use std::ffi::CString;
use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{AccessFlags, Pid, access, chdir, getegid, geteuid, pivot_root};

use super::sandbox::{MOUNT_POINT, WORKSPACE};
use super::sys;
use crate::model::Root;
use crate::mounts::Mounts;

/// What was tried, and what the kernel said.
pub type Refusal = (String, io::Error);

/// Places that the processes share with the machine even where everything else is an overlay: devices and what the kernel tells.
const SHARED: [&str; 3] = ["/dev", "/proc", "/sys"];
/// File systems that hold no files of anybody's.
const KERNELS: [&str; 16] = [
    "autofs",
    "binfmt_misc",
    "bpf",
    "cgroup",
    "cgroup2",
    "configfs",
    "debugfs",
    "devpts",
    "fusectl",
    "hugetlbfs",
    "mqueue",
    "nsfs",
    "proc",
    "securityfs",
    "sysfs",
    "tracefs",
];
/// A file in a directory that is copied by hand is left empty, and of nobody's, where it is larger, in bytes.
const LARGEST_COPY: u64 = 16 << 20;

/// A refusal of this step.
pub fn at<E: Into<io::Error>>(step: impl Into<String>) -> impl FnOnce(E) -> Refusal {
    let step = step.into();
    move |error| (step, error.into())
}

/// Enters namespaces of its own, with a private tmpfs for the workspace, and the root that is asked for. Gives what is not to be seen
/// there.
pub fn enter(root: Root) -> Result<Vec<PathBuf>, Refusal> {
    sys::die_with_parent().map_err(at("asking to die with the parent"))?;
    // A Ctrl-C at the terminal goes to the controller alone, and nobody in here can read from it. Not by a session of its own: where
    // the kernel schedules by sessions (`sched_autogroup_enabled`), the controller's giving way would be to none of the tasks.
    nix::unistd::setpgid(Pid::from_raw(0), Pid::from_raw(0)).map_err(at("making a process group"))?;
    if let Ok(terminal) = File::options().read(true).write(true).open("/dev/tty") {
        sys::give_up_terminal(&terminal).map_err(at("giving up the terminal"))?;
    }
    enter_namespaces()?;
    let hidden = match root {
        Root::Host => private_tmpfs("").map(|()| Vec::new())?,
        Root::Overlay => enter_overlay()?,
    };
    chdir("/").map_err(at("changing the directory"))?;
    Ok(hidden)
}

/// A mount namespace, and where the rights for that are missing a user namespace to have them in.
pub fn enter_namespaces() -> Result<(), Refusal> {
    let (user, group) = (geteuid(), getegid());
    // System V and POSIX objects of the processes go with them, where the machine lets that.
    let both = CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWIPC;
    let own = if user.is_root() {
        unshare(both).or_else(|_| unshare(CloneFlags::CLONE_NEWNS))
    } else {
        Err(Errno::EPERM)
    };
    if let Err(error) = own {
        let (step, error) = match unshare(CloneFlags::CLONE_NEWUSER | both)
            .or_else(|_| unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNS))
        {
            Ok(()) => ("", None),
            Err(_) if user.is_root() => ("making a mount namespace", Some(error)),
            Err(error) => ("making a user namespace", Some(error)),
        };
        if let Some(error) = error {
            return Err(at(step)(error));
        }
        for (file, text) in [
            ("/proc/self/setgroups", "deny".to_owned()),
            ("/proc/self/uid_map", format!("{user} {user} 1")),
            ("/proc/self/gid_map", format!("{group} {group} 1")),
        ] {
            fs::write(file, text).map_err(at("mapping the user into a user namespace"))?;
        }
    }
    mount_simply(None, "/", None, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None)
        .map_err(at("making the mounts private"))
}

fn mount_simply(
    source: Option<&str>,
    target: &str,
    kind: Option<&str>,
    flags: MsFlags,
    data: Option<&str>,
) -> Result<(), Errno> {
    mount(source, target, kind, flags, data)
}

/// Mounts the tmpfs that the workspace is in, below `root`.
pub fn private_tmpfs(root: &str) -> Result<(), Refusal> {
    tmpfs(&format!("{root}{MOUNT_POINT}"))?;
    fs::create_dir(format!("{root}{WORKSPACE}")).map_err(at("making the workspace"))
}

fn tmpfs(target: &str) -> Result<(), Refusal> {
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount_simply(Some("cooks"), target, Some("tmpfs"), flags, Some("mode=0755"))
        .map_err(at("mounting a tmpfs on /dev/shm"))
}

/// Mounts a `/proc` of the caller's own process-id namespace. If the machine does not let it be mounted, as in a container that hides parts
/// of `/proc`, what is there stays.
pub fn mount_proc() {
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    let _ = mount_simply(Some("proc"), "/proc", Some("proc"), flags, None);
}

/// Makes an overlay of everything, with its upper layers on a tmpfs that nobody sees, and makes it the root. Gives the
/// paths of what is not to be seen in it.
pub fn enter_overlay() -> Result<Vec<PathBuf>, Refusal> {
    let mounts = Mounts::read();
    tmpfs(MOUNT_POINT)?;
    let root = format!("{MOUNT_POINT}/root");
    fs::create_dir(&root).map_err(at("making a root directory"))?;
    // What becomes the root has to be a mount.
    mount_simply(Some(&root), &root, None, MsFlags::MS_BIND, None).map_err(at("making a root directory"))?;
    let mut cover = Cover { mounts, layers: 0, hidden: Vec::new() };
    cover.directory(Path::new("/"))?;
    private_tmpfs(&root)?;
    let step = "making the overlay the root";
    chdir(root.as_str()).map_err(at(step))?;
    pivot_root(".", ".").map_err(at(step))?;
    umount2(".", MntFlags::MNT_DETACH).map_err(at(step))?;
    Ok(cover.hidden)
}

/// Lays overlays over the machine's directories, one for each file system that is mounted.
struct Cover {
    mounts: Mounts,
    layers: u32,
    /// What is not to be seen below the new root, as it is.
    hidden: Vec<PathBuf>,
}

impl Cover {
    /// The same below the root that is being made.
    fn target(path: &Path) -> PathBuf {
        Path::new(MOUNT_POINT).join("root").join(path.strip_prefix("/").unwrap_or(path))
    }

    fn directory(&mut self, dir: &Path) -> Result<(), Refusal> {
        let shown = dir.display();
        let kind = self.mounts.of(dir).filter(|mount| mount.point == dir).map(|mount| mount.kind.as_str());
        if SHARED.iter().any(|shared| dir == Path::new(shared))
            || kind.is_some_and(|kind| KERNELS.contains(&kind))
        {
            return bind(dir).map_err(at(format!("showing {shown} to the processes")));
        }
        let below: Vec<PathBuf> =
            self.mounts.directly_below(dir).into_iter().map(|mount| mount.point.clone()).collect();
        match self.overlay(dir) {
            Ok(()) => {
                for point in below {
                    self.mounted(&point);
                }
                Ok(())
            }
            // In a user namespace nothing may be shown that a mount lies over.
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) && !below.is_empty() => {
                self.by_hand(dir)
            }
            Err(error) => Err(at(format!("making an overlay of {shown}"))(error)),
        }
    }

    /// What is mounted at a place: where there can be no overlay of it, it is not to be seen.
    fn mounted(&mut self, point: &Path) {
        let is_file = fs::metadata(point).is_ok_and(|data| data.is_file());
        let shown = if is_file { self.copy(point).map_err(at("copying")) } else { self.directory(point) };
        if shown.is_err() {
            self.hidden.push(point.to_owned());
        }
    }

    fn overlay(&mut self, dir: &Path) -> io::Result<()> {
        self.layers += 1;
        let layer = |name: &str| format!("{MOUNT_POINT}/{name}{}", self.layers);
        let (upper, work) = (layer("upper"), layer("work"));
        fs::create_dir(&upper)?;
        fs::create_dir(&work)?;
        like(dir, Path::new(&upper))?;
        self.make_way(dir, Path::new(&upper))?;
        let lower = escaped(dir);
        let mut last = Errno::EINVAL;
        // The kernel's own attributes where there is the right to them, else those of users. Without either, which the kernel takes as
        // well, a directory that was there before cannot be removed.
        let all_users = fs::read_to_string("/proc/self/uid_map").is_ok_and(|map| map.contains("4294967295"));
        let attributes = if all_users { ["", ",userxattr"] } else { [",userxattr", ""] };
        for attributes in attributes {
            let options = [
                b"lowerdir=",
                lower.as_slice(),
                format!(",upperdir={upper},workdir={work},xino=off,index=off,metacopy=off{attributes}")
                    .as_bytes(),
            ]
            .concat();
            let options = CString::new(options)?;
            let target = Self::target(dir);
            match mount(Some("cooks"), &target, Some("overlay"), MsFlags::empty(), Some(options.as_c_str())) {
                Ok(()) => return Ok(()),
                Err(error) => last = error,
            }
        }
        Err(last.into())
    }

    /// Makes the directories above the home in the upper layer. An ordinary user's overlay cannot take up what belongs to others, and
    /// these belong to the system.
    fn make_way(&self, dir: &Path, upper: &Path) -> io::Result<()> {
        let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
        let Ok(below) = home.strip_prefix(dir) else { return Ok(()) };
        let mut above: Vec<&Path> =
            below.ancestors().skip(1).filter(|path| !path.as_os_str().is_empty()).collect();
        above.reverse();
        for path in above {
            let real = dir.join(path);
            // A link is none of the directories that the home is in.
            if !fs::symlink_metadata(&real).is_ok_and(|data| data.is_dir()) {
                break;
            }
            fs::create_dir(upper.join(path))?;
            like(&real, &upper.join(path))?;
        }
        Ok(())
    }

    /// Makes a directory of its own with what is in `dir`: an overlay of each directory, copies of the rest.
    fn by_hand(&mut self, dir: &Path) -> Result<(), Refusal> {
        let target = Self::target(dir);
        let step = || format!("copying {}", dir.display());
        like(dir, &target).map_err(at(step()))?;
        let Ok(entries) = fs::read_dir(dir) else { return Ok(()) };
        for entry in entries.flatten() {
            let path = entry.path();
            let Ok(kind) = entry.file_type() else { continue };
            if kind.is_dir() {
                fs::create_dir(Self::target(&path)).map_err(at(step()))?;
                match self.mounts.of(&path) {
                    Some(mount) if mount.point == path => self.mounted(&path),
                    _ => self.directory(&path)?,
                }
            } else if kind.is_symlink() {
                let to = fs::read_link(&path).map_err(at(step()))?;
                symlink(to, Self::target(&path)).map_err(at(step()))?;
            } else if kind.is_file() {
                self.copy(&path).map_err(at(step()))?;
            }
        }
        Ok(())
    }

    /// Copies a file; one that cannot be read, or is large, is empty and cannot be read there either.
    fn copy(&mut self, file: &Path) -> io::Result<()> {
        let target = Self::target(file);
        if fs::metadata(file)?.len() > LARGEST_COPY || fs::copy(file, &target).is_err() {
            self.hidden.push(file.to_owned());
            fs::write(&target, "")?;
            return fs::set_permissions(&target, Permissions::from_mode(0o0));
        }
        let _ = like(file, &target);
        Ok(())
    }
}

/// Shows a place as it is, with all that is mounted below.
fn bind(dir: &Path) -> io::Result<()> {
    let flags = MsFlags::MS_BIND | MsFlags::MS_REC;
    mount(Some(dir), &Cover::target(dir), None::<&str>, flags, None::<&str>).map_err(Into::into)
}

/// Gives a directory or file the owner and mode of another. Where the owner cannot be given, the mode allows what was allowed: an
/// ordinary user owns what he makes, and whose another's is he is not told.
fn like(of: &Path, to: &Path) -> io::Result<()> {
    let data = fs::metadata(of)?;
    let mut mode = data.mode() & 0o7777;
    if !geteuid().is_root() || chown(to, Some(data.uid()), Some(data.gid())).is_err() {
        let may = [(AccessFlags::R_OK, 0o400), (AccessFlags::W_OK, 0o200), (AccessFlags::X_OK, 0o100)];
        let own =
            may.iter().filter(|(right, _)| access(of, *right).is_ok()).fold(0, |mode, (_, bit)| mode | bit);
        mode = mode & !0o700 | own;
    }
    fs::set_permissions(to, Permissions::from_mode(mode))
}

/// A path in an option of a mount.
fn escaped(path: &Path) -> Vec<u8> {
    let special = |byte: &u8| matches!(byte, b'\\' | b':' | b',');
    path.as_os_str()
        .as_bytes()
        .iter()
        .flat_map(|byte| special(byte).then_some(b'\\').into_iter().chain([*byte]))
        .collect()
}
