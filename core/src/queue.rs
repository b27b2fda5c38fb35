//! The queue of those who wait for a lock, in a file beside the lock file that only they need.
//!
//! Who comes takes the first byte of the queue file beyond all that are taken: a *ticket*. It is a lock of the kernel's
//! that ends with its holder, so there is no dead one, and nothing to clean up. Whose turn it is: nobody has a lower
//! one. Each waits, asleep in the kernel, for the one before it.
//!
//! Who waits to write may leave its change in the file: a *request*. Whoever has the lock may do it along with its own and
//! answers, so that one flush serves all that wait. A second byte, taken once the request is written, says that its
//! author is alive and waiting; when it is not, nobody looks at what is written there. Nothing in this file needs to
//! survive anything: if it is lost, who waits gets its turn as before and does its own work.

use std::ops::Range;
use std::path::Path;

use crate::error::{Doing, Error};
use crate::host::Host;
use crate::json::checksum;
use crate::lock::until_done;
use crate::rules::{Rule, Rules};

/// The bytes that are tickets. Their numbers begin at 1 again whenever nobody waits.
const TICKETS: Range<u64> = 1..1 << 40;

/// The byte that says that the request of ticket n is there: n beyond this.
const REQUESTS: u64 = 1 << 40;

/// Everything that can be taken.
const ALL: Range<u64> = 0..1 << 42;

/// How many requests the file has room for, and how much for each: a power of two times the size of a page, so that
/// the file stays small where few wait. A request that does not fit is none, and its author does its work itself.
const SLOTS: u64 = 128;
const SLOT_BYTES: u64 = 32 * 1024;

/// A slot: the answer (the checksum of the request that it is for, then a code); the length and the checksum of the
/// request; the request.
const ANSWER_BYTES: usize = 24;
const HEAD_BYTES: usize = ANSWER_BYTES + 24;

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It is done, and durable, and its part of the file is what it said.
    Done,
    /// It is done, and durable, and put together with what somebody else had changed there.
    Merged,
    /// It could not be done as it is: its author must see for itself.
    Refused,
}

impl Answer {
    const ALL: [(Self, u64); 3] = [(Self::Done, 1), (Self::Merged, 2), (Self::Refused, 3)];
}

/// A request of somebody who waits.
pub(crate) struct Request {
    ticket: u64,
    id: u128,
    pub(crate) bytes: Vec<u8>,
}

/// A queue file that is open.
pub(crate) struct Queue<H: Host> {
    host: H,
    file: H::File,
    rules: Rules,
}

/// A place in the queue, until it is dropped.
pub(crate) struct Ticket<'a, H: Host> {
    queue: &'a Queue<H>,
    number: u64,
    /// The one before it, when it was taken.
    before: Option<u64>,
    request: Option<u128>,
}

impl<H: Host> Queue<H> {
    pub(crate) fn open(host: &H, rules: Rules, path: &Path) -> Result<Self, Error> {
        let file = host.open_lock(path).doing("open the queue", path)?;
        Ok(Self { host: host.clone(), file, rules })
    }

    /// Takes a place behind all that are there.
    pub(crate) fn join(&self, path: &Path) -> Result<Ticket<'_, H>, Error> {
        loop {
            let (mut number, mut before) = (TICKETS.start, None);
            while let Some(taken) = self.taken(number..TICKETS.end, path)? {
                (number, before) = (taken.end, Some(taken.end - 1));
            }
            // Somebody else may have been faster.
            if self.host.take_bytes(&self.file, byte(number)).doing("take a place in", path)? {
                return Ok(Ticket { queue: self, number, before, request: None });
            }
        }
    }

    /// Whether somebody waits.
    pub(crate) fn is_used(&self, path: &Path) -> Result<bool, Error> {
        Ok(self.taken(TICKETS, path)?.is_some())
    }

    /// What those who wait ask for, in the order in which they came.
    pub(crate) fn requests(&self, path: &Path) -> Result<Vec<Request>, Error> {
        let mut found = Vec::new();
        self.find_requests(REQUESTS..REQUESTS + TICKETS.end, &mut found, path)?;
        found.sort_unstable();
        #[cfg(test)]
        if !self.rules.keep(Rule::RequestsOfTheLiving) {
            found = (1..=4).collect();
        }
        let requests = found.into_iter().map(|ticket| self.request(ticket, path));
        requests.filter_map(Result::transpose).collect()
    }

    /// The kernel tells of any one, so what lies on both sides of it is searched as well.
    fn find_requests(&self, within: Range<u64>, found: &mut Vec<u64>, path: &Path) -> Result<(), Error> {
        if within.is_empty() {
            return Ok(());
        }
        let Some(taken) = self.taken(within.clone(), path)? else { return Ok(()) };
        found.extend(taken.clone().map(|byte| byte - REQUESTS));
        self.find_requests(within.start..taken.start, found, path)?;
        self.find_requests(taken.end..within.end, found, path)
    }

    fn request(&self, ticket: u64, path: &Path) -> Result<Option<Request>, Error> {
        let read = |offset, length| self.host.read_at(&self.file, offset, length).doing("read", path);
        // Most requests are short.
        let mut slot = read(slot(ticket), 1024)?;
        let Some(length) = number(&slot, ANSWER_BYTES).and_then(|length| usize::try_from(length).ok()) else {
            return Ok(None);
        };
        if HEAD_BYTES + length > slot.len() && HEAD_BYTES + length <= SLOT_BYTES as usize {
            slot = read(self::slot(ticket), HEAD_BYTES + length)?;
        }
        let Some(bytes) = slot.get(HEAD_BYTES..HEAD_BYTES + length) else { return Ok(None) };
        let id = checksum(bytes);
        let is_whole = slot.get(ANSWER_BYTES + 8..HEAD_BYTES) == Some(&id.to_le_bytes());
        let is_answered = slot.starts_with(&id.to_le_bytes());
        Ok((is_whole && !is_answered).then(|| Request { ticket, id, bytes: bytes.to_vec() }))
    }

    /// Tells the author of a request what became of it. The caller holds the lock since before it read the request.
    pub(crate) fn answer(&self, request: &Request, answer: Answer, path: &Path) -> Result<(), Error> {
        let code = Answer::ALL.iter().find(|(known, _)| *known == answer).map_or(0, |(_, code)| *code);
        let bytes = [&request.id.to_le_bytes()[..], &code.to_le_bytes()].concat();
        self.host.write_at(&self.file, slot(request.ticket), &bytes).doing("answer in", path)
    }

    fn taken(&self, within: Range<u64>, path: &Path) -> Result<Option<Range<u64>>, Error> {
        let found = self.host.taken_bytes(&self.file, within.clone()).doing("examine", path)?;
        Ok(found.map(|found| found.start.max(within.start)..found.end.min(within.end)))
    }
}

impl<H: Host> Ticket<'_, H> {
    /// Leaves a request with whoever has the lock, if there is room for it.
    pub(crate) fn post(&mut self, request: &[u8], path: &Path) -> Result<(), Error> {
        let fits = HEAD_BYTES + request.len() <= SLOT_BYTES as usize;
        // The slot is ours unless somebody waits who came so many places before.
        let crowded = self.number > SLOTS && self.queue.taken(1..self.number - SLOTS + 1, path)?.is_some();
        if !fits || crowded {
            return Ok(());
        }
        let id = checksum(request);
        let length = request.len() as u64;
        // The answer to a former request goes away with it.
        let head = [&[0; ANSWER_BYTES][..], &length.to_le_bytes(), &id.to_le_bytes()].concat();
        let (host, file) = (&self.queue.host, &self.queue.file);
        host.write_at(file, slot(self.number), &[&head, request].concat()).doing("write", path)?;
        if host.take_bytes(file, byte(REQUESTS + self.number)).doing("leave a request in", path)? {
            self.request = Some(id);
        }
        Ok(())
    }

    /// What became of the request, if somebody has done it. Once it is this ticket's turn, or its author has the
    /// lock, nobody is about to.
    pub(crate) fn answer(&self, path: &Path) -> Result<Option<Answer>, Error> {
        let Some(id) = self.request else { return Ok(None) };
        let (host, file) = (&self.queue.host, &self.queue.file);
        let answer = host.read_at(file, slot(self.number), ANSWER_BYTES).doing("read", path)?;
        if !answer.starts_with(&id.to_le_bytes()) {
            return Ok(None);
        }
        let code = number(&answer, 16);
        Ok(Answer::ALL.iter().find(|(_, known)| Some(*known) == code).map(|(answer, _)| *answer))
    }

    /// Waits until all who came before have left.
    pub(crate) fn await_turn(&self, path: &Path) -> Result<(), Error> {
        if !self.queue.rules.keep(Rule::TurnsAreKept) {
            return Ok(());
        }
        // The one before is mostly the last to leave of them. To wait for all at once would wake everybody each time
        // that one leaves.
        let mut ahead = self.before.map(byte);
        while let Some(bytes) = ahead {
            let (host, file) = (&self.queue.host, &self.queue.file);
            until_done(|| host.await_bytes(file, bytes.clone())).doing("wait in", path)?;
            ahead = self.queue.taken(TICKETS.start..self.number, path)?;
        }
        Ok(())
    }

    /// Whether all who came before have left.
    pub(crate) fn is_next(&self, path: &Path) -> Result<bool, Error> {
        Ok(self.number == TICKETS.start || self.queue.taken(TICKETS.start..self.number, path)?.is_none())
    }
}

impl<H: Host> Drop for Ticket<'_, H> {
    fn drop(&mut self) {
        // What cannot be given back here is given back when the file is closed.
        drop(self.queue.host.free_bytes(&self.queue.file, ALL));
    }
}

fn byte(number: u64) -> Range<u64> {
    number..number + 1
}

fn slot(ticket: u64) -> u64 {
    (ticket % SLOTS) * SLOT_BYTES
}

fn number(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}
