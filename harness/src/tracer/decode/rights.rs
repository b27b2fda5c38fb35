//! Calls on the rights of a process, and on what is known of another one.

use super::undecided::{Early, Meant};
use super::{Action, Decoder};
use crate::model::{Access, GapKind, Location, ProcessId};
use crate::tracer::ids::place_of;

/// Commands of `prctl` that change no rights, and that programs use: they do not stop.
pub const COMMON_CONTROLS: &[u32] = &[
    libc::PR_SET_PDEATHSIG as u32,
    libc::PR_GET_DUMPABLE as u32,
    libc::PR_SET_DUMPABLE as u32,
    libc::PR_SET_NAME as u32,
    libc::PR_GET_NAME as u32,
    libc::PR_CAPBSET_READ as u32,
    libc::PR_SET_TIMERSLACK as u32,
    libc::PR_SET_CHILD_SUBREAPER as u32,
    libc::PR_SET_NO_NEW_PRIVS as u32,
    libc::PR_SET_THP_DISABLE as u32,
    libc::PR_SET_VMA as u32,
];

impl Decoder<'_> {
    /// A call that changes the user, the groups or the capabilities of its task.
    pub(super) fn changes_rights(&mut self) -> Meant {
        self.world.rights.change(self.caller.process);
        Err(Early::Local("rights are looked at when they are used"))
    }

    /// `prctl`.
    pub(super) fn control_process(&mut self, command: i32) -> Meant {
        if matches!(command, libc::PR_CAPBSET_DROP | libc::PR_SET_SECUREBITS | libc::PR_CAP_AMBIENT) {
            return self.changes_rights();
        }
        Err(Early::Local("it concerns the own task"))
    }

    /// The other processes that these ids are of.
    fn others(&self, ids: &[u64]) -> Vec<ProcessId> {
        let other = |place: &usize| *place != self.caller.process && *place < self.world.processes;
        ids.iter().filter_map(|id| place_of(*id as i32)).filter(other).map(ProcessId).collect()
    }

    /// The other processes that a call may be about. It takes an id and says of which `kind` that is: of a process (`of_process`), a group
    /// or a user. With an id of a group or a user, it may be about any process.
    fn others_of_kind(&self, (kind, of_process): (u64, i32), id: u64) -> Vec<ProcessId> {
        if kind as i32 == of_process {
            return self.others(&[id]);
        }
        (0..self.world.processes).filter(|place| *place != self.caller.process).map(ProcessId).collect()
    }

    /// A question about processes with these ids: the answer tells whether they live.
    pub(super) fn asks_of(&mut self, ids: &[u64]) -> Meant {
        self.asks(self.others(ids))
    }

    /// The same for an id of some `kind`; `of_process` is the kind of a process's id.
    pub(super) fn asks_of_kind(&mut self, kind: u64, of_process: i32, id: u64) -> Meant {
        self.asks(self.others_of_kind((kind, of_process), id))
    }

    fn asks(&mut self, others: Vec<ProcessId>) -> Meant {
        if others.is_empty() {
            return Err(Early::Local("it concerns no other process"));
        }
        let names: Vec<String> = others.iter().map(ToString::to_string).collect();
        let accesses = others.into_iter().map(|other| Access::read(Location::Process(other))).collect();
        Ok(self.hold(None, format!("of {}", names.join(", ")), accesses, Action::None))
    }

    /// A change of what concerns the running of a process with this id: its limits, its priority, its group.
    pub(super) fn sets_of(&mut self, id: u64) -> Meant {
        self.sets(self.others(&[id]))
    }

    /// The same, as [`asks_of_kind`](Self::asks_of_kind).
    pub(super) fn sets_of_kind(&mut self, kind: u64, of_process: i32, id: u64) -> Meant {
        self.sets(self.others_of_kind((kind, of_process), id))
    }

    fn sets(&mut self, others: Vec<ProcessId>) -> Meant {
        if !others.is_empty() {
            self.note(GapKind::OtherProcess, format!("a change of how another process runs ({})", self.name));
        }
        self.asks(others)
    }

    /// `prlimit64`: with new limits at an address, or 0.
    pub(super) fn limit_of(&mut self, id: u64, limits: u64) -> Meant {
        if limits == 0 { self.asks_of(&[id]) } else { self.sets_of(id) }
    }
}
