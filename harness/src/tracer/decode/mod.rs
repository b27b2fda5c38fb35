//! What a system call means: whether it is an operation, what it touches, what to do when it is done.
//!
//! One file for each kind of call. What is not known here is reported, and passes.

mod data;
mod descriptors;
mod locks;
mod names;
mod status;
mod time;
mod timers;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;

use nix::unistd::Pid;
use syscalls::Sysno;

use super::files::{Description, Descriptors};
use super::laid::Changes;
use super::locks::{Claim, Locks};
use super::objects::Objects;
use super::paths::{Paths, Place, Resolved, lossy, proc_link};
use super::timers::Timers;
use super::tracee::{Registers, Tracee};
use crate::model::{Access, Acquisition, Call, LockMode, ObjectId, Operation};

/// What to do at the entry of a call.
#[derive(Debug)]
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

/// What the end of a call changes in what the tracer knows.
#[derive(Debug)]
pub enum Action {
    /// Nothing.
    None,
    /// A descriptor of the workspace is opened. `None`: of a new object at this path.
    Open {
        /// Its object, where it was there before.
        object: Option<ObjectId>,
        /// Its path, relative to the workspace.
        path: String,
        /// The flags of `open`.
        flags: i32,
    },
    /// A source of random bytes is opened.
    OpenRandom {
        /// The flags of `open`.
        flags: i32,
    },
    /// A timer is opened.
    OpenTimer {
        /// Its clock.
        clock: i32,
        /// The flags of `timerfd_create`.
        flags: i32,
    },
    /// How often a timer has run out is read.
    ReadTimer {
        /// Of which description.
        description: u32,
        /// Where to.
        buffer: u64,
    },
    /// A descriptor is copied.
    Copy {
        /// From which.
        from: i32,
        /// Whether exec closes the copy.
        close_on_exec: bool,
    },
    /// A descriptor's flag is set.
    CloseOnExec {
        /// Which.
        descriptor: i32,
        /// Whether exec closes it.
        close: bool,
    },
    /// Descriptors are closed.
    Close(Vec<i32>),
    /// A file offset is set to the result.
    Seek(Rc<Description>),
    /// The offsets of these descriptors have moved; the kernel knows how far.
    Resync(Vec<i32>),
    /// Bytes were moved.
    Transfer {
        /// By which description.
        description: Rc<Description>,
        /// Where in the file.
        at: u64,
        /// Whether the file offset moves on.
        moves: bool,
        /// Whether into the file.
        written: bool,
        /// Where in memory: address and length.
        buffers: Vec<(u64, usize)>,
    },
    /// What was told of an object is to be made the same everywhere.
    Status {
        /// Which object.
        object: ObjectId,
        /// Where it was told.
        buffer: u64,
        /// Whether as `statx` does.
        extended: bool,
    },
    /// A name was made for a new object.
    Make {
        /// Its path.
        path: String,
    },
    /// A directory's listing is given by the tracer.
    List {
        /// Of which directory.
        description: Rc<Description>,
        /// Where to.
        buffer: u64,
        /// How much fits.
        length: usize,
    },
    /// A lock is asked for.
    Lock {
        /// Which, by whom.
        claim: Claim,
        /// How.
        mode: LockMode,
        /// The argument that holds the command, and the command that does not block; where the call blocks.
        without_blocking: Option<(usize, u64)>,
    },
    /// A lock is given up.
    Unlock(Claim),
    /// An object's time is set, in nanoseconds since 1970.
    SetTime {
        /// Which object.
        object: ObjectId,
        /// To when; `None` for now.
        time: Option<u64>,
    },
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
    pub descriptors: &'a RefCell<Descriptors>,
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
    /// Its locks.
    pub locks: Locks,
    /// What was changed of what was there at the beginning.
    pub changes: Changes,
    /// Its timers.
    pub timers: Timers,
    /// Descriptions of timers that are readable no longer, or not yet.
    pub unready: Vec<u32>,
    /// What the tracer cannot see or control.
    pub not_covered: BTreeSet<String>,
    /// Whether a signal was sent that may take a task out of its wait for a lock, since this was last asked.
    pub interrupts: bool,
    /// Whether a signal was sent to another process since this was last asked.
    pub signalled: bool,
}

/// The decoder of one call.
struct Decoder<'a> {
    world: &'a mut World,
    caller: &'a Caller<'a>,
    name: &'static str,
    arguments: [u64; 6],
}

/// What the call at whose entry the task stands means in the present state.
pub fn decode(world: &mut World, caller: &Caller<'_>, registers: &Registers) -> Decision {
    let Some(call) = usize::try_from(registers.call()).ok().and_then(Sysno::new) else {
        world.not_covered.insert(format!("system call {} (not known)", registers.call()));
        return Decision::Pass;
    };
    let mut decoder = Decoder { world, caller, name: call.name(), arguments: registers.arguments() };
    decoder.decode(call).unwrap_or(Decision::Pass)
}

/// The descriptor number that an argument holds.
fn descriptor(argument: u64) -> i32 {
    argument as u32 as i32
}

/// Whether these flags leave a last link to be followed.
fn follows(flags: u64) -> bool {
    flags as i32 & libc::AT_SYMLINK_NOFOLLOW == 0
}

impl Decoder<'_> {
    /// `None` where the call fails before it looks at anything that is shared, and so passes.
    fn decode(&mut self, call: Sysno) -> Option<Decision> {
        let [a, b, c, d, e, _] = self.arguments;
        let here = libc::AT_FDCWD;
        match call {
            Sysno::open => self.open(here, a, b as i32),
            Sysno::openat => self.open(descriptor(a), b, c as i32),
            Sysno::openat2 => self.open_how(),
            Sysno::creat => self.open(here, a, libc::O_CREAT | libc::O_WRONLY | libc::O_TRUNC),
            Sysno::stat => self.status(here, a, true, b, false),
            Sysno::lstat => self.status(here, a, false, b, false),
            Sysno::newfstatat => self.status_at(descriptor(a), b, d as i32, c, false),
            Sysno::statx => self.status_at(descriptor(a), b, c as i32, e, true),
            Sysno::fstat => self.status_of(descriptor(a), b, false),
            Sysno::access => self.look(here, a, true),
            Sysno::faccessat => self.look(descriptor(a), b, true),
            Sysno::faccessat2 => self.look(descriptor(a), b, follows(d)),
            Sysno::readlink => self.look(here, a, false),
            Sysno::readlinkat => self.look(descriptor(a), b, false),
            Sysno::getxattr => self.look(here, a, true),
            Sysno::lgetxattr | Sysno::llistxattr => self.look(here, a, false),
            Sysno::listxattr => self.look(here, a, true),
            Sysno::chdir => self.look(here, a, true),
            Sysno::execve => self.exec(here, a),
            Sysno::execveat => self.exec(descriptor(a), b),
            Sysno::unlink => self.remove(here, a, false),
            Sysno::rmdir => self.remove(here, a, true),
            Sysno::unlinkat => self.remove(descriptor(a), b, c as i32 & libc::AT_REMOVEDIR != 0),
            Sysno::rename => self.rename((here, a), (here, b), 0),
            Sysno::renameat => self.rename((descriptor(a), b), (descriptor(c), d), 0),
            Sysno::renameat2 => self.rename((descriptor(a), b), (descriptor(c), d), e as u32),
            Sysno::link => self.link((here, a), (here, b), false),
            Sysno::linkat => {
                self.link((descriptor(a), b), (descriptor(c), d), e as i32 & libc::AT_SYMLINK_FOLLOW != 0)
            }
            Sysno::symlink => self.make(here, b, Some(a)),
            Sysno::symlinkat => self.make(descriptor(b), c, Some(a)),
            Sysno::mkdir | Sysno::mknod => self.make(here, a, None),
            Sysno::mkdirat | Sysno::mknodat => self.make(descriptor(a), b, None),
            Sysno::chmod | Sysno::chown | Sysno::setxattr | Sysno::removexattr => {
                self.change_mode(here, a, true)
            }
            Sysno::lchown | Sysno::lsetxattr | Sysno::lremovexattr => self.change_mode(here, a, false),
            Sysno::fchmodat => self.change_mode(descriptor(a), b, true),
            Sysno::fchmodat2 => self.change_mode_at(descriptor(a), b, d),
            Sysno::fchownat => self.change_mode_at(descriptor(a), b, e),
            Sysno::fchmod | Sysno::fchown | Sysno::fsetxattr | Sysno::fremovexattr => {
                self.change_mode_of(descriptor(a))
            }
            Sysno::truncate => self.truncate(a, b),
            Sysno::ftruncate => self.truncate_of(descriptor(a), b),
            Sysno::fallocate => self.allocate(),
            Sysno::utime | Sysno::utimes => self.set_times(here, a, b),
            Sysno::futimesat => self.set_times(descriptor(a), b, c),
            Sysno::utimensat => self.set_times(descriptor(a), b, c),
            Sysno::getdents64 => self.list(),
            Sysno::flock => self.flock(),
            Sysno::fsync | Sysno::fdatasync | Sysno::sync_file_range => self.sync(),
            Sysno::fcntl => self.control(),
            Sysno::close | Sysno::close_range | Sysno::dup | Sysno::dup2 | Sysno::dup3 | Sysno::fchdir => {
                self.descriptor_call(call)
            }
            Sysno::fgetxattr | Sysno::flistxattr => self.look_of(descriptor(a)),
            Sysno::clone | Sysno::clone3 | Sysno::fork | Sysno::vfork => Some(Decision::Fork),
            Sysno::sync | Sysno::syncfs | Sysno::memfd_secret => Some(Decision::Pass),
            _ => self.data_call(call).or_else(|| self.time_call(call)).or_else(|| self.unseen(call)),
        }
    }

    /// Calls that reach outside of what is scheduled.
    fn unseen(&mut self, call: Sysno) -> Option<Decision> {
        match call {
            Sysno::io_uring_setup => {
                // Programs fall back to calls that can be seen.
                return Some(Decision::Answer { result: -i64::from(libc::ENOSYS), memory: Vec::new() });
            }
            Sysno::connect | Sysno::bind => {
                let family = self.caller.tracee.read(self.arguments[1], 2).ok()?;
                let family = u16::from_le_bytes([*family.first()?, *family.get(1)?]);
                let what = if i32::from(family) == libc::AF_UNIX { "a Unix socket" } else { "the network" };
                self.note(format!("{what} ({})", call.name()));
            }
            Sysno::inotify_init
            | Sysno::inotify_init1
            | Sysno::inotify_add_watch
            | Sysno::inotify_rm_watch => {
                self.note("file watches (inotify)".into());
            }
            Sysno::kill | Sysno::tkill | Sysno::tgkill => {
                let target = self.arguments[0] as i32;
                self.world.interrupts = true;
                let own = crate::tracer::ids::ids_of(self.caller.process);
                if target != 0 && !u32::try_from(target).is_ok_and(|target| own.contains(&target)) {
                    self.note(format!("signals to other processes ({})", call.name()));
                    self.world.signalled = true;
                }
            }
            _ => self.note(format!("system call {}", call.name())),
        }
        Some(Decision::Pass)
    }

    fn note(&mut self, what: String) {
        self.world.not_covered.insert(what);
    }

    /// The description that a descriptor leads to, where it is one of the workspace.
    fn description(&self, number: i32) -> Option<(Rc<Description>, ObjectId)> {
        let description = Rc::clone(self.caller.descriptors.borrow().get(number)?);
        let object = description.object()?;
        Some((description, object))
    }

    /// The path at an address.
    fn path(&self, address: u64) -> Option<String> {
        self.caller.tracee.read_text(address).ok().map(lossy)
    }

    /// Where the path at an address leads, from the directory that a descriptor is of.
    fn resolve(&mut self, base: i32, address: u64, follow_last: bool) -> Option<(String, Resolved)> {
        let path = self.path(address)?;
        let from = if path.starts_with('/') {
            String::new()
        } else {
            let task = self.caller.tracee.id();
            let link = if base == libc::AT_FDCWD {
                format!("/proc/{task}/cwd")
            } else {
                format!("/proc/{task}/fd/{base}")
            };
            proc_link(&link).ok()?
        };
        let resolved = self.world.paths.resolve(&mut self.world.objects, &from, &path, follow_last);
        Some((path, resolved))
    }

    /// An operation on the path where a lookup led; where the lookup saw nothing of the workspace, nobody's business.
    fn on_path(&mut self, resolved: Resolved, detail: &str, more: Vec<Access>, action: Action) -> Decision {
        let path = match &resolved.place {
            Place::Inside(spot) => Some(spot.path.clone()),
            Place::Outside(_) if resolved.accesses.is_empty() => return Decision::Pass,
            Place::Outside(path) => Some(path.clone()),
            Place::Nowhere => resolved.accesses.last().map(|access| match &access.location {
                crate::model::Location::Name { name, .. } => name.clone(),
                _ => String::new(),
            }),
        };
        let accesses = [resolved.accesses, more].concat();
        if accesses.is_empty() {
            return if matches!(action, Action::None) { Decision::Pass } else { Decision::Watch(action) };
        }
        self.hold(path, detail.to_owned(), accesses, action)
    }

    fn hold(&self, path: Option<String>, detail: String, accesses: Vec<Access>, action: Action) -> Decision {
        let call = Call { name: self.name.to_owned(), path, target: None, detail };
        Decision::Hold(Held {
            operation: Operation { call, accesses, acquires: None, awaits: false },
            action,
        })
    }

    fn acquire(
        &self,
        path: String,
        detail: String,
        access: Access,
        blocking: bool,
        action: Action,
    ) -> Decision {
        let mode = if access.kind == crate::model::AccessKind::Join {
            LockMode::Shared
        } else {
            LockMode::Exclusive
        };
        let acquires = Some(Acquisition { lock: access.location.clone(), mode, blocking });
        let call = Call { name: self.name.to_owned(), path: Some(path), target: None, detail };
        Decision::Hold(Held {
            operation: Operation { call, accesses: vec![access], acquires, awaits: false },
            action,
        })
    }
}
