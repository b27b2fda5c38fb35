//! What goes through the FIFOs of the workspace, as counted from what was done: how much was sent and taken, and who has which end
//! open. Decides who is enabled. Pure.

use std::collections::{BTreeMap, VecDeque};

use crate::model::{Access, AccessKind, Location, Need, ObjectId, Operation, ProcessId, Way};

/// So many bytes fit into a FIFO however they were written. Where more have gone through it, a write may depend on every read.
const ALWAYS_FITS: u64 = 32 << 10;

/// A page, in bytes.
const PAGE: u64 = 4096;

/// So many pages are in a FIFO at the most.
const MOST_PAGES: usize = 16;

/// How the kernel keeps what is in a FIFO: in pages, of each where it begins and how much it holds. What is written is put into the
/// last one, as far as it is no whole page and fits there as a whole, and into new ones (`anon_pipe_write`, fs/pipe.c).
#[derive(Clone, Debug, Default)]
struct Pages(VecDeque<(u64, u64)>);

impl Pages {
    /// Puts in what fits of so many bytes; how many that is.
    fn put(&mut self, length: u64) -> u64 {
        let (mut left, odd) = (length, length % PAGE);
        if let Some((start, held)) = self.0.back_mut()
            && odd > 0
            && *start + *held + odd <= PAGE
        {
            *held += odd;
            left -= odd;
        }
        while left > 0 && self.0.len() < MOST_PAGES {
            self.0.push_back((0, left.min(PAGE)));
            left -= left.min(PAGE);
        }
        length - left
    }

    fn take(&mut self, mut length: u64) {
        while let Some((start, held)) = self.0.front_mut() {
            let part = length.min(*held);
            (*start, *held) = (*start + part, *held - part);
            length -= part;
            if *held > 0 {
                break;
            }
            self.0.pop_front();
        }
    }
}

/// One way through a FIFO. Its end that sends is who writes; the end that could send back is who reads.
#[derive(Debug, Default)]
struct Flow {
    /// How many bytes were ever sent.
    sent: u64,
    /// How many of them were taken, or lost when nobody had the FIFO open any more.
    taken: u64,
    /// Who has the sending end open, each as often as it has.
    ends: Vec<ProcessId>,
    /// Where what is there lies.
    pages: Pages,
}

/// All that goes through FIFOs.
#[derive(Debug, Default)]
pub struct Streams(BTreeMap<(ObjectId, Way), Flow>);

/// Places of what goes to who reads, from this number on. Place 0 is before them.
fn places(object: ObjectId, start: u64, end: u64) -> Location {
    Location::Stream { object, way: Way::There, start: start.saturating_add(1), end: end.saturating_add(1) }
}

/// The ends that a descriptor with these flags of `open` is.
#[must_use]
pub fn ways(flags: i32) -> Vec<Way> {
    match flags & libc::O_ACCMODE {
        libc::O_RDONLY => vec![Way::Back],
        libc::O_WRONLY => vec![Way::There],
        _ => vec![Way::There, Way::Back],
    }
}

impl Streams {
    fn flow(&self, object: ObjectId) -> (u64, u64) {
        self.0.get(&(object, Way::There)).map_or((0, 0), |flow| (flow.sent, flow.taken))
    }

    /// Who has an end open.
    #[must_use]
    pub fn ends(&self, object: ObjectId, way: Way) -> &[ProcessId] {
        self.0.get(&(object, way)).map_or(&[], |flow| flow.ends.as_slice())
    }

    /// How much is there of what an operation may wait for.
    fn level(&self, of: &Location) -> usize {
        match of {
            Location::Stream { object, .. } => {
                let (sent, taken) = self.flow(*object);
                usize::from(sent > taken)
            }
            Location::Ends { object, way } => self.ends(*object, *way).len(),
            _ => 0,
        }
    }

    /// Who keeps an operation of a process from what it needs; `None` where it need not wait.
    #[must_use]
    pub fn barred(&self, process: ProcessId, operation: &Operation) -> Option<Vec<ProcessId>> {
        let is_met = |need: &Need| need.0.iter().all(|count| (self.level(&count.of) > 0) == count.some);
        if operation.needs.is_empty() || operation.needs.iter().any(is_met) {
            return None;
        }
        let counted = operation.needs.iter().flat_map(|need| &need.0);
        Some(self.others_with(process, counted.map(|count| &count.of)))
    }

    /// Who else has an end open that an operation looks at.
    #[must_use]
    pub fn open_in(&self, process: ProcessId, operation: &Operation) -> Vec<ProcessId> {
        self.others_with(process, operation.accesses.iter().map(|access| &access.location))
    }

    fn others_with<'l>(
        &self,
        process: ProcessId,
        ends: impl Iterator<Item = &'l Location>,
    ) -> Vec<ProcessId> {
        let open = ends.flat_map(|end| match end {
            Location::Ends { object, way } => self.ends(*object, *way),
            _ => &[],
        });
        let mut others: Vec<ProcessId> = open.copied().filter(|holder| *holder != process).collect();
        others.sort_unstable();
        others.dedup();
        others
    }

    /// Takes up what an operation has added and taken.
    pub fn note(&mut self, process: ProcessId, adds: &[(Location, i64)]) {
        for (of, by) in adds {
            let (Location::Stream { object, way, .. } | Location::Ends { object, way }) = of else {
                continue;
            };
            let flow = self.0.entry((*object, *way)).or_default();
            match of {
                Location::Stream { .. } if *by > 0 => flow.sent += by.unsigned_abs(),
                Location::Stream { .. } => {
                    flow.taken += by.unsigned_abs();
                    if flow.taken == flow.sent {
                        flow.pages = Pages::default();
                    }
                }
                _ if *by > 0 => flow.ends.push(process),
                _ => {
                    let at = flow.ends.iter().position(|end| *end == process);
                    at.map(|at| flow.ends.remove(at));
                }
            }
        }
    }

    /// What opening a FIFO touches and adds, with these flags. What was left in it is lost where nobody had it open any more.
    #[must_use]
    pub fn opening(&self, object: ObjectId, flags: i32) -> (Vec<Access>, Vec<(Location, i64)>) {
        let own = ways(flags);
        let ends = |way: Way| Location::Ends { object, way };
        let (sent, taken) = self.flow(object);
        let join = if sent > taken { Access::write } else { Access::join };
        let others = [Way::There, Way::Back].into_iter().filter(|way| !own.contains(way));
        let looks = others.map(|way| Access::read(ends(way)));
        let mut accesses: Vec<Access> = own.iter().map(|way| join(ends(*way))).chain(looks).collect();
        let mut adds: Vec<(Location, i64)> = own.iter().map(|way| (ends(*way), 1)).collect();
        let is_left = [Way::There, Way::Back].iter().all(|way| self.ends(object, *way).is_empty());
        if sent > taken && is_left {
            accesses.push(Access::write(Location::stream(object, Way::There)));
            adds.push((Location::stream(object, Way::There), taken.cast_signed() - sent.cast_signed()));
        }
        (accesses, adds)
    }

    /// What closing an end with these flags touches.
    #[must_use]
    pub fn closing(object: ObjectId, flags: i32) -> Vec<Access> {
        ways(flags).into_iter().map(|way| Access::join(Location::Ends { object, way })).collect()
    }

    /// What operations that close ends take away.
    #[must_use]
    pub fn closed(accesses: &[Access]) -> Vec<(Location, i64)> {
        let closes = |access: &&Access| {
            access.kind == AccessKind::Join && matches!(access.location, Location::Ends { .. })
        };
        accesses.iter().filter(closes).map(|access| (access.location.clone(), -1)).collect()
    }

    /// What a read of so many bytes touches, and what it waits for.
    #[must_use]
    pub fn receiving(&self, object: ObjectId, length: u64) -> (Vec<Access>, Vec<Need>) {
        let (sent, taken) = self.flow(object);
        let (stream, ends) =
            (Location::stream(object, Way::There), Location::Ends { object, way: Way::There });
        let first = Location::Stream { object, way: Way::There, start: 0, end: 1 };
        let looked_at = [first, places(object, taken, taken.saturating_add(length))];
        let needs = vec![Need::of(stream.clone(), true), Need::of(ends.clone(), false).without(stream)];
        let accesses = if sent > taken {
            looked_at.map(Access::write).into()
        } else {
            looked_at.into_iter().chain([ends]).map(Access::read).collect()
        };
        (accesses, needs)
    }

    /// What a write of so many bytes touches.
    #[must_use]
    pub fn sending(&self, object: ObjectId, length: u64) -> Vec<Access> {
        let (sent, _) = self.flow(object);
        let places = if sent.saturating_add(length) > ALWAYS_FITS {
            Location::stream(object, Way::There)
        } else {
            places(object, sent, u64::MAX - 1)
        };
        vec![Access::read(Location::Ends { object, way: Way::Back }), Access::write(places)]
    }

    /// What a look touches at whether an end with these flags can be read or written.
    #[must_use]
    pub fn looking(object: ObjectId, flags: i32) -> Vec<Access> {
        let ends = ways(flags).into_iter().map(|own| Location::Ends { object, way: own.other() });
        let all = std::iter::once(Location::stream(object, Way::There)).chain(ends);
        all.map(Access::read).collect()
    }

    /// Where a write of so many bytes has to wait for room: how many of them there is room for.
    #[must_use]
    pub fn room(&self, object: ObjectId, length: u64) -> Option<u64> {
        let flow = self.0.get(&(object, Way::There))?;
        let room = flow.pages.clone().put(length);
        (room < length && !self.ends(object, Way::Back).is_empty()).then_some(room)
    }

    /// Takes up where what was put in or taken out lies, of `length` bytes at the most. Whether so many fit as was thought.
    pub fn lay(&mut self, object: ObjectId, written: bool, length: u64, moved: u64) -> bool {
        let flow = self.0.entry((object, Way::There)).or_default();
        if !written {
            flow.pages.take(moved);
            return true;
        }
        let fits = flow.pages.clone().put(length);
        flow.pages.put(if fits == moved { length } else { moved });
        fits == moved || moved == 0
    }
}
