//! File locks.

use super::status::size_read;
use super::undecided::{Early, Meant};
use super::{Action, Decision, Decoder, Held, descriptor};
use crate::model::{Access, Acquisition, Call, LockMode, ObjectId, Operation};
use crate::tracer::locks::{Claim, Family, Owner, access};

/// `struct flock`, as far as it is read.
struct Region {
    kind: i32,
    start: u64,
    end: u64,
}

/// What is said of a region that begins before the file, or ends behind all that there can be.
const NO_REGION: Early = Early::refused("a region that there cannot be");

/// The commands of `fcntl` that concern the descriptor alone: flags, owners and signals, sizes, seals, hints, and whether two
/// descriptors are the same.
const LOCAL: &[i32] = &[
    libc::F_GETFD,
    libc::F_GETFL,
    libc::F_GETOWN,
    libc::F_SETOWN,
    F_SETSIG,
    F_GETSIG,
    F_SETOWN_EX,
    F_GETOWN_EX,
    F_GETOWNER_UIDS,
    libc::F_GETLEASE,
    F_DUPFD_QUERY,
    F_CREATED_QUERY,
    libc::F_GETPIPE_SZ,
    libc::F_ADD_SEALS,
    libc::F_GET_SEALS,
    F_GET_RW_HINT,
    F_SET_RW_HINT,
    F_GET_FILE_RW_HINT,
    F_SET_FILE_RW_HINT,
];
// Those that the C library does not name.
const F_SETSIG: i32 = 10;
const F_GETSIG: i32 = 11;
const F_SETOWN_EX: i32 = 15;
const F_GETOWN_EX: i32 = 16;
const F_GETOWNER_UIDS: i32 = 17;
const F_DUPFD_QUERY: i32 = 1027;
const F_CREATED_QUERY: i32 = 1028;
const F_GET_RW_HINT: i32 = 1035;
const F_SET_RW_HINT: i32 = 1036;
const F_GET_FILE_RW_HINT: i32 = 1037;
const F_SET_FILE_RW_HINT: i32 = 1038;

impl Decoder<'_> {
    pub(super) fn flock(&mut self) -> Meant {
        let [number, command, ..] = self.arguments;
        let (description, object) = self.description(descriptor(number))?;
        if description.is_path() {
            return Err(Early::refused("a lock by a descriptor of a path alone"));
        }
        let owner = Owner::Description(description.number);
        let claim = Claim { object, family: Family::Flock, owner, start: 0, end: u64::MAX };
        let path = description.path().to_owned();
        let command = command as i32;
        let tries = command & libc::LOCK_NB != 0;
        let mode = match command & !libc::LOCK_NB {
            libc::LOCK_SH => LockMode::Shared,
            libc::LOCK_EX => LockMode::Exclusive,
            libc::LOCK_UN => return Ok(self.unlock(path, "unlock".into(), claim)),
            _ => return Err(Early::refused("a flock of an unknown kind")),
        };
        let words = format!("{}{}", mode_word(mode), if tries { ", try" } else { "" });
        let free = self.world.locks.holders_against(&claim, mode).is_empty();
        let without_blocking = (!tries).then_some((1, (command | libc::LOCK_NB) as u64));
        let action = Action::Lock { claim, mode, without_blocking };
        match self.world.locks.mode_held(&claim) {
            Some(held) if held == mode => Ok(Decision::Pass),
            // A conversion is not atomic: the old lock goes first, and is lost where the new one cannot be had at once.
            Some(_) if free => {
                let access = Access::write(claim.location());
                Ok(self.acquire(path, words, (access, mode), false, action))
            }
            Some(_) => {
                let accesses = vec![Access::write(claim.location())];
                Ok(self.hold(Some(path), format!("{words}, gives up the other mode first"), accesses, action))
            }
            None => Ok(self.ask(path, words, &claim, mode, tries, free, action)),
        }
    }

    /// A lock asked for: a `flock` by a description that holds none, or a record lock, of which the owner may hold some already.
    #[allow(clippy::too_many_arguments)]
    fn ask(
        &self,
        path: String,
        words: String,
        claim: &Claim,
        mode: LockMode,
        tries: bool,
        free: bool,
        action: Action,
    ) -> Decision {
        if tries && !free {
            let accesses = vec![Access::read(claim.location())];
            return self.hold(Some(path), words, accesses, action);
        }
        // An exclusive lock that becomes a shared one lets others in.
        let gives_up = self.world.locks.mode_held(claim) == Some(LockMode::Exclusive);
        let access = if gives_up { Access::write(claim.location()) } else { access(claim.location(), mode) };
        self.acquire(path, words, (access, mode), !tries, action)
    }

    fn unlock(&self, path: String, words: String, claim: Claim) -> Decision {
        match self.world.locks.mode_held(&claim) {
            Some(mode) => {
                self.hold(Some(path), words, vec![access(claim.location(), mode)], Action::Unlock(claim))
            }
            None => Decision::Pass,
        }
    }

    /// `fcntl` on locks; its other commands concern the descriptor alone, or are not known.
    pub(super) fn record_lock(&mut self) -> Meant {
        let [number, command, argument, ..] = self.arguments;
        let number = descriptor(number);
        let (description, object) = self.description(number)?;
        let command = command as i32;
        let (owner, family) = match command {
            libc::F_SETLK | libc::F_SETLKW | libc::F_GETLK => {
                (Owner::Process(self.caller.group.as_raw()), "posix")
            }
            libc::F_OFD_SETLK | libc::F_OFD_SETLKW | libc::F_OFD_GETLK => {
                (Owner::Description(description.number), "ofd")
            }
            command if LOCAL.contains(&command) => {
                return Err(Early::Local("it concerns the descriptor alone"));
            }
            _ => return Ok(self.unknown(format!("fcntl with command {command}"))),
        };
        let (region, sized) = self.region((number, object), argument, description.offset.get())?;
        let Some(region) = region else {
            // Counted from the end, it may be one that there can be when the size is another.
            let look = sized.ok_or(NO_REGION)?;
            let path = Some(description.path().to_owned());
            return Ok(self.hold(path, format!("{family}, before the beginning"), vec![look], Action::None));
        };
        let claim = Claim { object, family: Family::Record, owner, start: region.start, end: region.end };
        let path = description.path().to_owned();
        let end = if region.end == u64::MAX { String::new() } else { region.end.to_string() };
        let range = format!("{}..{end}", region.start);
        let wanted = match region.kind {
            libc::F_RDLCK => Some(LockMode::Shared),
            libc::F_WRLCK => Some(LockMode::Exclusive),
            _ => None,
        };
        if matches!(command, libc::F_GETLK | libc::F_OFD_GETLK) {
            let mode = wanted.unwrap_or(LockMode::Exclusive);
            // The kernel reports the whole lock that stands against it, wherever that begins and ends.
            let stands = !self.world.locks.holders_against(&claim, mode).is_empty();
            let asked = if stands { Claim { start: 0, end: u64::MAX, ..claim } } else { claim };
            let accesses = sized.into_iter().chain([Access::read(asked.location())]).collect();
            return Ok(self.hold(Some(path), format!("{family} asks {range}"), accesses, Action::None));
        }
        let Some(mode) = wanted else {
            let words = format!("{family} unlock {range}");
            return Ok(match (self.unlock(path.clone(), words.clone(), claim), sized) {
                // Whether it holds anything there follows from the size.
                (Decision::Pass, Some(look)) => self.hold(Some(path), words, vec![look], Action::None),
                (decision, sized) => with(sized, decision),
            });
        };
        if !(if mode == LockMode::Shared { description.readable() } else { description.writable() }) {
            return Err(Early::refused("a lock by a descriptor that is not open for it"));
        }
        let without_blocking = match command {
            libc::F_SETLKW => Some((1, libc::F_SETLK as u64)),
            libc::F_OFD_SETLKW => Some((1, libc::F_OFD_SETLK as u64)),
            _ => None,
        };
        let tries = without_blocking.is_none();
        let words = format!("{family} {} {range}{}", mode_word(mode), if tries { ", try" } else { "" });
        let free = self.world.locks.holders_against(&claim, mode).is_empty();
        let action = Action::Lock { claim, mode, without_blocking };
        Ok(with(sized, self.ask(path, words, &claim, mode, tries, free, action)))
    }

    /// A region of a file, if there can be one, and the look at the file's size if the region is counted from its end.
    fn region(
        &self,
        (number, object): (i32, ObjectId),
        address: u64,
        offset: u64,
    ) -> Result<(Option<Region>, Option<Access>), Early> {
        let bytes = self.bytes(address, size_of::<libc::flock>())?;
        let short = |at: usize| i32::from(i16::from_le_bytes([bytes[at], bytes[at + 1]]));
        let long = |at: usize| bytes[at..at + 8].try_into().map(i64::from_le_bytes).unwrap_or(0);
        let (base, sized) = match short(2) {
            libc::SEEK_CUR => (offset, None),
            libc::SEEK_END => {
                let size = self.status_of_file(number)?.st_size.cast_unsigned();
                (size, Some(size_read(object, size)))
            }
            _ => (0, None),
        };
        let kind = short(0);
        let region = base.checked_add_signed(long(8)).and_then(|from| {
            let (start, end) = match long(16) {
                0 => (from, u64::MAX),
                length if length > 0 => (from, from.checked_add_signed(length)?),
                length => (from.checked_add_signed(length)?, from),
            };
            Some(Region { kind, start, end })
        });
        Ok((region, sized))
    }

    fn acquire(
        &self,
        path: String,
        detail: String,
        (access, mode): (Access, LockMode),
        blocking: bool,
        action: Action,
    ) -> Decision {
        let acquires = Some(Acquisition { lock: access.location.clone(), mode, blocking });
        let call = Call { name: self.name.to_owned(), path: Some(path), target: None, detail };
        Decision::Hold(Held {
            operation: Operation { call, accesses: vec![access], acquires, ..Operation::default() },
            action,
        })
    }
}

/// A decision with a look that comes before everything else.
fn with(look: Option<Access>, mut decision: Decision) -> Decision {
    if let (Some(look), Decision::Hold(held)) = (look, &mut decision) {
        held.operation.accesses.insert(0, look);
    }
    decision
}

fn mode_word(mode: LockMode) -> &'static str {
    match mode {
        LockMode::Shared => "shared",
        LockMode::Exclusive => "exclusive",
    }
}
