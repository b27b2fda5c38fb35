//! Who holds which file lock: the model by which the scheduler knows who may go on. Pure.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{Access, Location, LockMode, ObjectId, ProcessId};

/// Who owns a lock, in the eyes of the kernel.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Owner {
    /// An open file description: `flock` and open-file-description locks.
    Description(u32),
    /// A process, by the id of its first task: POSIX locks.
    Process(i32),
}

/// Which family.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Family {
    /// `flock`.
    Flock,
    /// `fcntl`: POSIX and open-file-description locks, which exclude each other.
    Record,
}

/// A lock that is held.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Held {
    family: Family,
    owner: Owner,
    mode: LockMode,
    start: u64,
    end: u64,
    process: ProcessId,
}

/// A lock, asked for or given up: of a whole file for `flock`, of the bytes `start..end` for record locks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Claim {
    /// The file.
    pub object: ObjectId,
    /// The family.
    pub family: Family,
    /// Who asks.
    pub owner: Owner,
    /// First byte.
    pub start: u64,
    /// One past the last byte.
    pub end: u64,
}

impl Claim {
    /// What the claim touches.
    #[must_use]
    pub fn location(&self) -> Location {
        location(self.object, self.family, self.start, self.end)
    }
}

fn location(object: ObjectId, family: Family, start: u64, end: u64) -> Location {
    match family {
        Family::Flock => Location::Lock(object),
        Family::Record => Location::RecordLock { object, start, end },
    }
}

/// All locks that are held.
#[derive(Debug, Default)]
pub struct Locks(BTreeMap<ObjectId, Vec<Held>>);

impl Locks {
    /// The processes that hold the lock against this claim, each once.
    #[must_use]
    pub fn holders_against(&self, claim: &Claim, mode: LockMode) -> Vec<ProcessId> {
        let mut holders: Vec<ProcessId> = self
            .of(claim)
            .filter(|held| held.owner != claim.owner)
            .filter(|held| mode == LockMode::Exclusive || held.mode == LockMode::Exclusive)
            .map(|held| held.process)
            .collect();
        holders.sort_unstable();
        holders.dedup();
        holders
    }

    /// The owners that hold the lock against this claim, each once.
    #[must_use]
    pub fn owners_against(&self, claim: &Claim, mode: LockMode) -> BTreeSet<Owner> {
        let against = self.of(claim).filter(|held| held.owner != claim.owner);
        let excludes = |held: &&Held| [mode, held.mode].contains(&LockMode::Exclusive);
        against.filter(excludes).map(|held| held.owner).collect()
    }

    /// Whether an owner holds any record lock.
    #[must_use]
    pub fn holds_records(&self, owner: Owner) -> bool {
        self.0.values().flatten().any(|held| held.family == Family::Record && held.owner == owner)
    }

    fn of(&self, claim: &Claim) -> impl Iterator<Item = &Held> {
        let claim = *claim;
        self.0.get(&claim.object).into_iter().flatten().filter(move |held| {
            held.family == claim.family && held.start < claim.end && claim.start < held.end
        })
    }

    /// The mode in which the claim's owner holds any of it; exclusive where it holds some of it so.
    #[must_use]
    pub fn mode_held(&self, claim: &Claim) -> Option<LockMode> {
        self.of(claim).filter(|held| held.owner == claim.owner).map(|held| held.mode).max()
    }

    /// Gives the lock to the claim's owner, in place of what it holds of it.
    pub fn take(&mut self, claim: &Claim, mode: LockMode, process: ProcessId) {
        self.release(claim);
        let Claim { object, family, owner, start, end } = *claim;
        self.0.entry(object).or_default().push(Held { family, owner, mode, start, end, process });
    }

    /// Takes it away; of record locks, what lies outside the claim's range stays.
    pub fn release(&mut self, claim: &Claim) {
        let Some(all) = self.0.get_mut(&claim.object) else { return };
        let mut kept = Vec::new();
        for held in all.drain(..) {
            let touched = held.family == claim.family
                && held.owner == claim.owner
                && held.start < claim.end
                && claim.start < held.end;
            if !touched {
                kept.push(held);
                continue;
            }
            if held.start < claim.start {
                kept.push(Held { end: claim.start, ..held.clone() });
            }
            if claim.end < held.end {
                kept.push(Held { start: claim.end, ..held });
            }
        }
        *all = kept;
    }

    /// Takes away all that an owner holds (of one object, where that is given).
    pub fn release_all(&mut self, owner: Owner, object: Option<ObjectId>) {
        for (on, all) in &mut self.0 {
            if object.is_none_or(|object| object == *on) {
                all.retain(|held| held.owner != owner);
            }
        }
    }

    /// The processes that hold a lock, or part of it.
    #[must_use]
    pub fn holders_of(&self, lock: &Location) -> Vec<ProcessId> {
        let all = self.0.iter().flat_map(|(object, all)| all.iter().map(move |held| (*object, held)));
        let of = |(object, held): &(ObjectId, &Held)| {
            location(*object, held.family, held.start, held.end).overlaps(lock)
        };
        all.filter(of).map(|(_, held)| held.process).collect()
    }

    /// What [`Locks::release_all`] would touch, as accesses: empty where it holds nothing.
    #[must_use]
    pub fn accesses_of_release(&self, owner: Owner, object: Option<ObjectId>) -> Vec<Access> {
        let here = self.0.iter().filter(|(on, _)| object.is_none_or(|object| object == **on));
        here.flat_map(|(on, all)| {
            all.iter()
                .filter(|held| held.owner == owner)
                .map(|held| access(location(*on, held.family, held.start, held.end), held.mode))
        })
        .collect()
    }
}

/// The access that taking or giving up a lock in this mode is: two of shared mode commute.
#[must_use]
pub fn access(location: Location, mode: LockMode) -> Access {
    match mode {
        LockMode::Shared => Access::join(location),
        LockMode::Exclusive => Access::write(location),
    }
}

#[cfg(test)]
mod tests {
    use super::{Claim, Family, Locks, Owner};
    use crate::model::{LockMode, ObjectId, ProcessId};

    const A: ProcessId = ProcessId(0);
    const B: ProcessId = ProcessId(1);

    fn flock(owner: u32) -> Claim {
        let owner = Owner::Description(owner);
        Claim { object: ObjectId::Initial(1), family: Family::Flock, owner, start: 0, end: u64::MAX }
    }

    fn record(owner: i32, start: u64, end: u64) -> Claim {
        Claim {
            object: ObjectId::Initial(1),
            family: Family::Record,
            owner: Owner::Process(owner),
            start,
            end,
        }
    }

    #[test]
    fn shared_locks_stand_together_and_exclusive_ones_alone() {
        let mut locks = Locks::default();
        locks.take(&flock(1), LockMode::Shared, A);
        assert_eq!(locks.holders_against(&flock(2), LockMode::Shared), []);
        assert_eq!(locks.holders_against(&flock(2), LockMode::Exclusive), [A]);
        locks.take(&flock(1), LockMode::Exclusive, A);
        assert_eq!(locks.holders_against(&flock(2), LockMode::Shared), [A]);
        assert_eq!(locks.holders_against(&flock(1), LockMode::Exclusive), []);
        locks.release_all(Owner::Description(1), None);
        assert_eq!(locks.holders_against(&flock(2), LockMode::Exclusive), []);
    }

    #[test]
    fn record_locks_are_cut_by_range_and_flock_does_not_see_them() {
        let mut locks = Locks::default();
        locks.take(&record(1, 0, 100), LockMode::Exclusive, A);
        locks.release(&record(1, 10, 20));
        assert_eq!(locks.holders_against(&record(2, 10, 20), LockMode::Exclusive), []);
        assert_eq!(locks.holders_against(&record(2, 15, 21), LockMode::Shared), [A]);
        assert_eq!(locks.holders_against(&record(2, 0, 1), LockMode::Shared), [A]);
        assert_eq!(locks.holders_against(&flock(7), LockMode::Exclusive), []);
        locks.take(&record(2, 12, 13), LockMode::Shared, B);
        assert_eq!(locks.holders_against(&record(3, 0, 50), LockMode::Exclusive), [A, B]);
        assert_eq!(locks.accesses_of_release(Owner::Process(1), None).len(), 2);
    }
}
