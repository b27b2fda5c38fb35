//! What goes through the FIFOs and Unix sockets of the workspace, as counted from what was done: how much was sent and taken, and who
//! has which end open. Decides who is enabled. Pure.

use std::collections::{BTreeMap, VecDeque};

use super::files::Description;
use super::sockets::Kind;
use crate::model::{Access, AccessKind, Location, Need, ObjectId, Operation, ProcessId, Way};

/// So many bytes fit into a FIFO however they were written. Where more have gone through it, a write may depend on every read.
const ALWAYS_FITS: u64 = 32 << 10;

/// The most that the kernel counts of a message of so many bytes: the memory that it takes, in powers of two, and what it keeps of it.
#[must_use]
pub fn cost(length: u64) -> u64 {
    length.saturating_mul(2).saturating_add(1024)
}

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

/// What a descriptor is an end of.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum End {
    /// Of a FIFO, with these flags of `open`.
    Fifo(ObjectId, i32),
    /// Of a connection of two sockets; which way it sends.
    Connection(ObjectId, Way),
    /// A socket with a name, which takes connections or datagrams: these come through it one way, each a place.
    Listener(ObjectId),
}

impl End {
    /// Of what.
    #[must_use]
    pub fn object(self) -> ObjectId {
        match self {
            Self::Fifo(object, _) | Self::Connection(object, _) | Self::Listener(object) => object,
        }
    }

    /// The ways that it could send.
    fn ways(self) -> Vec<Way> {
        match self {
            Self::Fifo(_, flags) => ways(flags),
            Self::Connection(_, own) => vec![own],
            Self::Listener(_) => vec![Way::Back],
        }
    }

    /// Which way that goes which is read or written through it.
    #[must_use]
    pub fn way(self, written: bool) -> Way {
        match self {
            Self::Fifo(..) | Self::Listener(_) => Way::There,
            Self::Connection(_, own) if written => own,
            Self::Connection(_, own) => own.other(),
        }
    }

    /// All that is read or written through it.
    #[must_use]
    pub fn stream(self, written: bool) -> Location {
        Location::stream(self.object(), self.way(written))
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
    /// What all that was ever sent through a connection may have cost.
    cost: u64,
}

/// All that goes through FIFOs and sockets.
#[derive(Debug, Default)]
pub struct Streams {
    /// So many datagrams are in a socket at the most.
    most_datagrams: u64,
    /// So much what was sent through a socket may cost where another message is let in.
    most_cost: u64,
    flows: BTreeMap<(ObjectId, Way), Flow>,
    /// Of each socket with a name, the connections that it has not taken yet.
    waiting: BTreeMap<ObjectId, VecDeque<ObjectId>>,
    /// Of each connection, whose socket took it, or is to.
    hosts: BTreeMap<ObjectId, ProcessId>,
    /// The names of sockets for connections, with what goes through these.
    for_connections: BTreeMap<ObjectId, Kind>,
}

/// Places of what goes one way, from this number on. Place 0 is before them.
fn places(object: ObjectId, way: Way, start: u64, end: u64) -> Location {
    Location::Stream { object, way, start: start.saturating_add(1), end: end.saturating_add(1) }
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
    /// Before anything went through, where so many datagrams are in a socket at the most, and another message is let into a connection
    /// where what was sent costs so much at the most.
    #[must_use]
    pub fn new(most_datagrams: u64, most_cost: u64) -> Self {
        Self { most_datagrams, most_cost, ..Self::default() }
    }

    /// Whether a socket through which messages of this cost were ever sent may be one that cannot be written to as `poll` says
    /// (`unix_writable`, net/unix/af_unix.c).
    #[must_use]
    pub fn may_be_full(&self, cost: u64) -> bool {
        cost > self.most_cost / 4
    }

    /// How much was sent and how much was taken.
    fn flow(&self, object: ObjectId, way: Way) -> (u64, u64) {
        self.flows.get(&(object, way)).map_or((0, 0), |flow| (flow.sent, flow.taken))
    }

    /// Who has an end open.
    #[must_use]
    pub fn ends(&self, object: ObjectId, way: Way) -> &[ProcessId] {
        self.flows.get(&(object, way)).map_or(&[], |flow| flow.ends.as_slice())
    }

    /// Whether anybody has the other end of a FIFO or connection open, from which what this end sends is read.
    #[must_use]
    pub fn is_read(&self, end: End) -> bool {
        !self.ends(end.object(), end.way(true).other()).is_empty()
    }

    /// How much is there of what an operation may wait for.
    fn level(&self, of: &Location) -> usize {
        match of {
            Location::Stream { object, way, .. } => {
                let (sent, taken) = self.flow(*object, *way);
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
            let host = self.hosts.get(object).filter(|_| *way == Way::Back);
            let holder = host.copied().unwrap_or(process);
            let flow = self.flows.entry((*object, *way)).or_default();
            match of {
                Location::Stream { .. } if *by > 0 => flow.sent += by.unsigned_abs(),
                Location::Stream { .. } => {
                    flow.taken += by.unsigned_abs();
                    if flow.taken == flow.sent {
                        flow.pages = Pages::default();
                    }
                }
                _ if *by > 0 => flow.ends.push(holder),
                _ => {
                    let at = flow.ends.iter().position(|end| *end == holder);
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
        let (sent, taken) = self.flow(object, Way::There);
        let others = [Way::There, Way::Back].into_iter().filter(|way| !own.contains(way));
        let looks = others.map(|way| Access::read(ends(way)));
        let mut accesses: Vec<Access> = own.iter().map(|way| Access::join(ends(*way))).chain(looks).collect();
        accesses.push(Access::join(Location::Left(object)));
        let mut adds: Vec<(Location, i64)> = own.iter().map(|way| (ends(*way), 1)).collect();
        let is_left = [Way::There, Way::Back].iter().all(|way| self.ends(object, *way).is_empty());
        if sent > taken && is_left {
            accesses.push(Access::write(Location::stream(object, Way::There)));
            adds.push((Location::stream(object, Way::There), taken.cast_signed() - sent.cast_signed()));
        }
        (accesses, adds)
    }

    /// Notes that a name belongs to a socket for connections of this kind.
    pub fn is_for_connections(&mut self, name: ObjectId, kind: Kind) {
        self.for_connections.insert(name, kind);
    }

    /// Whether a socket of this kind can connect to the one with this name.
    #[must_use]
    pub fn takes_connections(&self, name: ObjectId, kind: Kind) -> bool {
        self.for_connections.get(&name) == Some(&kind) && !self.ends(name, Way::Back).is_empty()
    }

    /// Whether a name belongs to a socket for connections of another kind than this.
    #[must_use]
    pub fn is_for_connections_of_another_kind(&self, name: ObjectId, kind: Kind) -> bool {
        self.for_connections.get(&name).is_some_and(|other| *other != kind)
    }

    /// Whether a name belongs to a socket for connections. If a process sends a datagram to it, the kernel's error depends on whether a process
    /// still has the socket open, and the tracer does not know that.
    #[must_use]
    pub fn takes_no_datagrams(&self, name: ObjectId) -> bool {
        self.for_connections.contains_key(&name)
    }

    /// What closing an end touches: of a socket that takes connections, also those that it has not taken.
    #[must_use]
    pub fn closing(&self, end: End) -> Vec<Access> {
        let object = end.object();
        let own = end.ways().into_iter().map(|way| Access::join(Location::Ends { object, way }));
        let untaken = match end {
            End::Listener(object) => self.waiting.get(&object).into_iter().flatten().copied().collect(),
            End::Fifo(..) | End::Connection(..) => Vec::new(),
        };
        let theirs =
            untaken.into_iter().map(|object| Access::join(Location::Ends { object, way: Way::Back }));
        let looks = match end {
            End::Listener(_) => Some(Access::read(end.stream(false))),
            // Even while the FIFO is empty: whether it is depends on writes, which commute with closing it.
            End::Fifo(..) => Some(Access::read(Location::Left(object))),
            End::Connection(..) => None,
        };
        own.chain(looks).chain(theirs).collect()
    }

    /// The same of closing the last descriptor of a description, whatever that is of.
    #[must_use]
    pub fn closing_of(&self, description: &Description) -> Vec<Access> {
        let end = description.end().filter(|_| !description.ended.get());
        end.map_or_else(Vec::new, |end| self.closing(end))
    }

    /// What operations that close ends take away.
    #[must_use]
    pub fn closed(accesses: &[Access]) -> Vec<(Location, i64)> {
        let closes = |access: &&Access| {
            access.kind == AccessKind::Join && matches!(access.location, Location::Ends { .. })
        };
        accesses.iter().filter(closes).map(|access| (access.location.clone(), -1)).collect()
    }

    /// What a read of so much touches, and what it waits for. `packet`: of one packet, before which the end of a connection may be
    /// told of, where it is an error.
    #[must_use]
    pub fn receiving(&self, end: End, length: u64, packet: bool) -> (Vec<Access>, Vec<Need>) {
        let (object, way) = (end.object(), end.way(false));
        let (sent, taken) = self.flow(object, way);
        let (stream, ends) = (Location::stream(object, way), Location::Ends { object, way });
        let first = Location::Stream { object, way, start: 0, end: 1 };
        let looked_at = [first, places(object, way, taken, taken.saturating_add(length))];
        // Nobody has to be about to connect for a socket to wait.
        let ends = (!matches!(end, End::Listener(_))).then_some(ends);
        let some = Need::of(stream.clone(), true);
        let over = ends.clone().map(|ends| Need::of(ends, false).without(stream));
        let needs = match &ends {
            // It looks at both, whatever it goes on for.
            Some(ends) if packet => {
                vec![some.clone().with(ends.clone()), some.without(ends.clone())]
            }
            _ => vec![some],
        };
        let needs = needs.into_iter().chain(over).collect();
        let there = sent > taken;
        let touched = looked_at.map(if there { Access::write } else { Access::read });
        let looks = ends.filter(|_| packet || !there).map(Access::read);
        (touched.into_iter().chain(looks).collect(), needs)
    }

    /// Whether what is written into a connection fits, however much of what came before was read: what was ever sent does.
    #[must_use]
    pub fn is_sure_to_fit(&self, end: End, length: u64) -> bool {
        self.cost(end).saturating_add(cost(length)) <= self.most_cost
    }

    /// What all that was ever sent through an end may have cost.
    fn cost(&self, end: End) -> u64 {
        self.flows.get(&(end.object(), end.way(true))).map_or(0, |flow| flow.cost)
    }

    /// Takes up what a message through a connection may cost.
    pub fn charge(&mut self, end: End, length: u64) {
        self.flows.entry((end.object(), end.way(true))).or_default().cost += cost(length);
    }

    /// What a write of so many bytes touches.
    #[must_use]
    pub fn sending(&self, end: End, length: u64) -> Vec<Access> {
        let (object, way) = (end.object(), end.way(true));
        let (sent, _) = self.flow(object, way);
        let may_wait = match end {
            End::Fifo(..) => sent.saturating_add(length) > ALWAYS_FITS,
            End::Connection(..) => !self.is_sure_to_fit(end, length),
            End::Listener(_) => false,
        };
        let places =
            if may_wait { Location::stream(object, way) } else { places(object, way, sent, u64::MAX - 1) };
        vec![Access::read(Location::Ends { object, way: way.other() }), Access::write(places)]
    }

    /// What a look touches at whether an end can be read or written.
    #[must_use]
    pub fn looking(&self, end: End) -> Vec<Access> {
        let (object, stream) = (end.object(), end.stream(false));
        let may_be_full = matches!(end, End::Connection(..)) && self.may_be_full(self.cost(end));
        // What its own process sends decides whether it looks at that: so it has something in common with that in any case.
        let unsent = Location::Stream { object, way: end.way(true), start: u64::MAX - 2, end: u64::MAX - 1 };
        let own =
            matches!(end, End::Connection(..)).then(|| if may_be_full { end.stream(true) } else { unsent });
        let others = match end {
            End::Listener(_) => Vec::new(),
            End::Fifo(..) | End::Connection(..) => end.ways(),
        };
        let ends = others.into_iter().map(|own| Location::Ends { object, way: own.other() });
        std::iter::once(stream).chain(own).chain(ends).map(Access::read).collect()
    }

    /// What a datagram to a socket touches: whether it is open, from whom it takes them, and what comes there. Where more came there than
    /// it holds, sending may depend on every taking.
    #[must_use]
    pub fn posting(&self, to: ObjectId) -> Vec<Access> {
        let (sent, _) = self.flow(to, Way::There);
        let places = if self.is_sure_of_room(to) {
            places(to, Way::There, sent, u64::MAX - 1)
        } else {
            Location::stream(to, Way::There)
        };
        let open = Location::Ends { object: to, way: Way::Back };
        vec![Access::read(open), Access::read(Self::senders(to)), Access::write(places)]
    }

    /// From whom a socket takes datagrams.
    #[must_use]
    pub fn senders(to: ObjectId) -> Location {
        Location::Ends { object: to, way: Way::There }
    }

    /// Whether a datagram is sure to find room, however many of those before it were taken: as all that ever came there do.
    #[must_use]
    pub fn is_sure_of_room(&self, to: ObjectId) -> bool {
        self.flow(to, Way::There).0 < self.most_datagrams
    }

    /// What is lost with all that is in a socket.
    #[must_use]
    pub fn emptying(&self, socket: ObjectId) -> (Access, (Location, i64)) {
        let stream = End::Listener(socket).stream(false);
        let (sent, taken) = self.flow(socket, Way::There);
        (Access::write(stream.clone()), (stream, taken.cast_signed() - sent.cast_signed()))
    }

    /// Whether something is there to be read.
    #[must_use]
    pub fn has_something(&self, end: End) -> bool {
        self.level(&end.stream(false)) > 0
    }

    /// What a look touches at whether a datagram can be sent to a socket.
    #[must_use]
    pub fn looking_at_room(to: ObjectId) -> Vec<Access> {
        let open = Location::Ends { object: to, way: Way::Back };
        [Self::senders(to), open, Location::stream(to, Way::There)].map(Access::read).into()
    }

    /// A socket with a name has a further connection to take, which is this object: what that adds.
    pub fn connect(&mut self, listener: ObjectId, made: ObjectId) -> Vec<(Location, i64)> {
        if let Some(host) = self.ends(listener, Way::Back).first().copied() {
            self.hosts.insert(made, host);
        }
        self.waiting.entry(listener).or_default().push_back(made);
        let end = |way| (Location::Ends { object: made, way }, 1);
        vec![(End::Listener(listener).stream(false), 1), end(Way::There), end(Way::Back)]
    }

    /// The connection that a socket with a name takes next.
    pub fn accept(&mut self, listener: ObjectId) -> Option<ObjectId> {
        self.waiting.get_mut(&listener)?.pop_front()
    }

    /// Where a write of so many bytes has to wait for room: how many of them there is room for.
    #[must_use]
    pub fn room(&self, object: ObjectId, length: u64) -> Option<u64> {
        let flow = self.flows.get(&(object, Way::There))?;
        let room = flow.pages.clone().put(length);
        (room < length && !self.ends(object, Way::Back).is_empty()).then_some(room)
    }

    /// Takes up where what was put in or taken out lies, of `length` bytes at the most. Whether so many fit as was thought.
    pub fn lay(&mut self, object: ObjectId, written: bool, length: u64, moved: u64) -> bool {
        let flow = self.flows.entry((object, Way::There)).or_default();
        if !written {
            flow.pages.take(moved);
            return true;
        }
        let fits = flow.pages.clone().put(length);
        flow.pages.put(if fits == moved { length } else { moved });
        fits == moved || moved == 0
    }
}
