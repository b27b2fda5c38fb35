//! How the decoding of a call ends early. Each such end says why: nothing falls through.

use std::rc::Rc;

use super::{Action, Decision, Decoder};
use crate::model::{GapKind, ObjectId, Sighting};
use crate::tracer::files::Description;
use crate::tracer::paths::lossy;

/// What a call means.
pub type Meant = Result<Decision, Early>;

/// Why the decoding of a call ended before its meaning was known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Early {
    /// The call concerns nobody else, for this reason.
    Local(&'static str),
    /// It is not known what the call would do.
    Undecided(Undecided),
}

/// Why it is not known what a call would do. The kernel makes the call: only some of its errors show that the call has done nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Undecided {
    /// An argument in the memory of the task cannot be read.
    Unreadable,
    /// What a descriptor or a path leads to is not there, or has no status.
    Unresolved,
    /// The kernel refuses such a call, for this reason.
    Refused(&'static str),
}

impl Early {
    /// An argument in the memory of the task cannot be read.
    pub const UNREADABLE: Self = Self::Undecided(Undecided::Unreadable);
    /// What a descriptor or a path leads to is not there, or has no status.
    pub const UNRESOLVED: Self = Self::Undecided(Undecided::Unresolved);
    /// A descriptor of something else than the tracer follows.
    pub const ELSEWHERE: Self = Self::Local("the descriptor is not of the workspace");

    /// A call that moves no bytes does nothing.
    pub const NO_BYTES: Self = Self::Local("it moves no bytes");
    /// A socket that leads to nothing in the workspace: that it leads elsewhere was taken note of when it was connected.
    pub const NO_END: Self = Self::Local("the socket leads to nothing in the workspace");

    /// The kernel refuses such a call, for this reason.
    pub const fn refused(why: &'static str) -> Self {
        Self::Undecided(Undecided::Refused(why))
    }

    /// What to do at the entry of the call.
    #[must_use]
    pub fn decision(self, call: &'static str) -> Decision {
        match self {
            Self::Local(_) => Decision::Pass,
            Self::Undecided(why) => Decision::Watch(Action::Undecided { call, why }),
        }
    }
}

/// Errors by which the kernel says that it could not read an argument either, or that it did not look at it.
const UNREAD: &[i32] = &[
    libc::EFAULT,
    libc::ENAMETOOLONG,
    libc::EBADF,
    libc::EINVAL,
    libc::ENOTSOCK,
    libc::EOPNOTSUPP,
    libc::ESPIPE,
    libc::ENOSYS,
];
/// Errors by which it says that there is nothing that the call could be about.
const NOTHING_THERE: &[i32] = &[
    libc::EBADF,
    libc::ENOENT,
    libc::ENOTDIR,
    libc::ENOTSOCK,
    libc::EINVAL,
    libc::EFAULT,
    libc::ENAMETOOLONG,
];

impl Undecided {
    /// What is to be taken note of if the call has this result: `None` if that shows that it did nothing.
    #[must_use]
    pub fn seen(self, call: &str, process: crate::model::ProcessId, result: i64) -> Option<Sighting> {
        let error = i32::try_from(-result).unwrap_or(0);
        let (did_nothing, kind, what) = match self {
            Self::Unreadable => {
                (UNREAD.contains(&error), GapKind::UnreadableArgument, "an argument that cannot be read")
            }
            Self::Unresolved => (
                NOTHING_THERE.contains(&error),
                GapKind::UnresolvedIdentity,
                "it is not known which file this is about",
            ),
            Self::Refused(why) => (error > 0, GapKind::UnknownCall, why),
        };
        (!did_nothing).then(|| Sighting::new(kind, process, format!("{call}: {what}")))
    }
}

impl Decoder<'_> {
    /// The description that a descriptor leads to, if it is one that the tracer follows.
    pub(super) fn known(&self, number: i32) -> Result<Rc<Description>, Early> {
        self.caller.descriptors.borrow().get(number).cloned().ok_or(Early::ELSEWHERE)
    }

    /// The description that a descriptor leads to, if it is one of the workspace.
    pub(super) fn description(&self, number: i32) -> Result<(Rc<Description>, ObjectId), Early> {
        let description = self.known(number)?;
        let object = description.object().ok_or(Early::ELSEWHERE)?;
        Ok((description, object))
    }

    /// The path at an address.
    pub(super) fn path(&self, address: u64) -> Result<String, Early> {
        self.caller.tracee.read_text(address).map(lossy).map_err(|_| Early::UNREADABLE)
    }

    /// So many 64-bit numbers at an address.
    pub(super) fn numbers(&self, address: u64, count: usize) -> Result<Vec<u64>, Early> {
        self.caller.tracee.read_numbers(address, count).map_err(|_| Early::UNREADABLE)
    }

    /// So many bytes at an address.
    pub(super) fn bytes(&self, address: u64, length: usize) -> Result<Vec<u8>, Early> {
        let bytes = self.caller.tracee.read(address, length);
        bytes.ok().filter(|bytes| bytes.len() == length).ok_or(Early::UNREADABLE)
    }
}

#[cfg(test)]
mod tests {
    use super::{Early, Undecided};
    use crate::model::{GapKind, ProcessId, Reach};
    use crate::tracer::decode::{Action, Decision};

    const REFUSED: Undecided = Undecided::Refused("more than the kernel takes");

    fn seen(why: Undecided, result: i64) -> Option<GapKind> {
        let sighting = why.seen("openat", ProcessId(1), result)?;
        assert_eq!((sighting.process, sighting.reach), (ProcessId(1), Reach::Always));
        assert!(sighting.detail.starts_with("openat: "), "{}", sighting.detail);
        Some(sighting.kind)
    }

    #[test]
    fn what_the_kernel_could_not_read_either_is_no_gap() {
        for error in [libc::EFAULT, libc::ENAMETOOLONG, libc::EBADF] {
            assert_eq!(seen(Undecided::Unreadable, -i64::from(error)), None);
        }
        for result in [0, 3, -i64::from(libc::ENOENT), -i64::from(libc::EACCES)] {
            assert_eq!(seen(Undecided::Unreadable, result), Some(GapKind::UnreadableArgument));
        }
    }

    #[test]
    fn what_is_not_there_is_no_gap_if_the_kernel_says_so() {
        for error in [libc::EBADF, libc::ENOENT, libc::ENOTDIR] {
            assert_eq!(seen(Undecided::Unresolved, -i64::from(error)), None);
        }
        for result in [0, -i64::from(libc::EACCES), -i64::from(libc::EEXIST)] {
            assert_eq!(seen(Undecided::Unresolved, result), Some(GapKind::UnresolvedIdentity));
        }
    }

    #[test]
    fn what_the_kernel_was_to_refuse_is_a_gap_if_it_does_not() {
        assert_eq!(seen(REFUSED, -i64::from(libc::EINVAL)), None);
        assert_eq!(seen(REFUSED, 0), Some(GapKind::UnknownCall));
    }

    #[test]
    fn only_what_is_local_passes_without_a_look_at_its_result() {
        assert!(matches!(Early::ELSEWHERE.decision("read"), Decision::Pass));
        for early in [Early::UNREADABLE, Early::UNRESOLVED, Early::Undecided(REFUSED)] {
            assert!(matches!(
                early.decision("read"),
                Decision::Watch(Action::Undecided { call: "read", .. })
            ));
        }
    }
}
