//! The handle of an agent: the steps of each way to write, in their order.

use std::cell::{Cell, RefCell};

use serde_json::{Value, json};

use crate::error::Error;
use crate::file::{self, Current};
use crate::host::{Host, Mode, OsHost};
use crate::json::Parts;
use crate::lock::{Guard, Wait, Waited};
use crate::merge::{Policy, Strategies, merge_value, merge_with};
use crate::queue::{Answer, Request};
use crate::rules::Rule;
use crate::snapshot::{Generation, Snapshot};
use crate::{AgentId, Metadata, Store};

/// An agent's handle: it holds the agent's lock until it is dropped, and alone may change the agent's part.
///
/// It stays in the thread that made it. In a forked child it is of no use ([`Error::Forked`]), and dropping it there
/// leaves the parent's lock alone.
///
/// ```compile_fail
/// let agent = cooks_core::Store::open(".").unwrap().agent("a").unwrap();
/// std::thread::spawn(move || drop(agent)); // error: it cannot be sent between threads
/// ```
pub struct Agent<H: Host = OsHost> {
    store: Store<H>,
    id: AgentId,
    lock: Guard<H>,
    /// The agent's part as this handle last wrote or read it: nobody who keeps the rules can have changed it since. Who
    /// does not is found out by the merge.
    known: RefCell<Option<Option<Value>>>,
    /// How many requests this handle has made.
    requests: Cell<u64>,
}

/// A change that waits for the holder of the metadata lock: what a part was, and what it is to be.
struct Asked {
    agent: String,
    base: Option<Value>,
    mine: Option<Value>,
}

/// The metadata lock, and the file as it is under it.
struct Turn<H: Host> {
    /// Without it only where a model test has taken the rule away.
    guard: Option<Guard<H>>,
    current: Current<H::File>,
    parts: Parts,
    /// What we have asked for while we waited. Whoever had the lock may have died after doing it, without an answer.
    asked: Option<Asked>,
}

impl<H: Host> Agent<H> {
    pub(crate) fn new(store: Store<H>, id: AgentId, lock: Guard<H>) -> Self {
        Self { store, id, lock, known: RefCell::default(), requests: Cell::default() }
    }

    /// As if this handle had written its part before: then its first change may be a request.
    #[cfg(test)]
    pub(crate) fn assume(&self, part: Option<Value>) {
        self.known.replace(Some(part));
    }

    /// The agent's id.
    #[must_use]
    pub fn id(&self) -> &AgentId {
        &self.id
    }

    /// The store that this handle belongs to.
    #[must_use]
    pub fn store(&self) -> &Store<H> {
        &self.store
    }

    /// Changes the agent's own part. The closure gets the part as it is, `None` where there is none, and may change or
    /// remove it. When this returns `Ok`, the change is durable.
    ///
    /// The fastest way to write where many agents do: who waits for the lock leaves the change with who has it, and all
    /// that wait become durable together. For that the closure may run before the lock is ours, on the part as this
    /// handle knows it, and once more if somebody has changed the part without the agent's lock: then only the last run
    /// counts. So it should do nothing but change the part. Calls that have a deadline ([`Store::waiting`]) wait for the
    /// lock alone.
    ///
    /// # Errors
    /// [`Error::TooDeep`], [`Error::Corrupt`], [`Error::Lost`], [`Error::Busy`], [`Error::Io`]: nothing changed.
    /// [`Error::Unknown`]: changed, but perhaps not durable. If the closure panics, nothing is changed.
    pub fn change<R>(&self, mut change: impl FnMut(&mut Option<Value>) -> R) -> Result<R, Error> {
        let mut result = None;
        let asking = self.ask(&mut |base| {
            let mut mine = base.clone();
            result = Some(change(&mut mine));
            mine
        })?;
        let mut turn = match asking {
            Asking::Done => return Ok(result.expect("what was asked for is what the closure made")),
            Asking::Turn(turn) => *turn,
        };
        let disk = turn.part(&self.id)?;
        let asked = turn.asked.take().and_then(|asked| asked.on(disk.as_ref()));
        let (part, result) = match (asked, result) {
            (Some(part), Some(result)) => (part, result),
            _ => {
                let mut part = disk;
                let result = change(&mut part);
                file::check_part(&self.id, part.as_ref())?;
                (part, result)
            }
        };
        turn.parts.set(self.id.as_str(), part.as_ref());
        self.commit(turn)?;
        self.known.replace(Some(part));
        Ok(result)
    }

    /// Changes the metadata under the exclusive lock. The closure sees the whole file as it is now, and may change
    /// the part under this agent's id. When this returns `Ok`, the change is durable.
    ///
    /// # Errors
    /// [`Error::NotOwner`], [`Error::TooDeep`], [`Error::Corrupt`], [`Error::Lost`], [`Error::Busy`], [`Error::Io`]:
    /// nothing changed. [`Error::Unknown`]: changed, but perhaps not durable. If the closure panics, nothing is changed.
    pub fn update<R>(&self, change: impl FnOnce(&mut Metadata) -> R) -> Result<R, Error> {
        let done: Result<R, std::convert::Infallible> = self.try_update(|metadata| Ok(change(metadata)))?;
        match done {
            Ok(result) => Ok(result),
        }
    }

    /// As [`Self::update`], with a closure that may decide to leave everything as it is: its `Err` is handed back in
    /// the `Ok` of this call, and nothing is written.
    ///
    /// # Errors
    /// As for [`Self::update`].
    pub fn try_update<R, E>(
        &self,
        change: impl FnOnce(&mut Metadata) -> Result<R, E>,
    ) -> Result<Result<R, E>, Error> {
        let mut turn = self.wait_for_turn()?;
        let before = turn.current.metadata()?;
        let mut metadata = before.clone();
        let result = match change(&mut metadata) {
            Ok(result) => result,
            Err(error) => return Ok(Err(error)),
        };
        file::check_change(&self.id, &before, &metadata)?;
        turn.parts.set(self.id.as_str(), metadata.get(self.id.as_str()));
        self.commit(turn)?;
        Ok(Ok(result))
    }

    /// Saves what I made (`mine`) of what I loaded (`base`): takes the exclusive lock, reads the file again, and
    /// writes my changes on top of what others have written since. Returns what the file then holds, which is the base
    /// for the next save. When this returns `Ok`, it is durable.
    ///
    /// # Errors
    /// [`Error::Conflict`] when both sides changed the same value; otherwise as for [`Self::update`].
    pub fn save(&self, base: &Metadata, mine: &Metadata) -> Result<Snapshot, Error> {
        self.save_with(base, mine, Policy::Fail, &Strategies::default())
    }

    /// As [`Self::save`], with another answer to conflicts than an error, or with places that are merged in another way
    /// than as whole values.
    ///
    /// # Errors
    /// As for [`Self::save`].
    pub fn save_with(
        &self,
        base: &Metadata,
        mine: &Metadata,
        policy: Policy,
        strategies: &Strategies,
    ) -> Result<Snapshot, Error> {
        file::check_change(&self.id, base, mine)?;
        let own = self.id.as_str();
        let can_ask = policy == Policy::Fail && strategies.is_empty();
        self.known.replace(can_ask.then(|| base.get(own).cloned()));
        let mut turn = match self.ask(&mut |_| mine.get(own).cloned())? {
            Asking::Done => return self.store.load(),
            Asking::Turn(turn) => *turn,
        };
        let disk = turn.current.metadata()?;
        let disk = if self.store.rules.keep(Rule::SaveReloads) { disk } else { base.clone() };
        let merged = merge_with(base, mine, &disk, policy, strategies).map_err(Error::Conflict)?.value;
        file::check_part(&self.id, merged.get(own))?;
        if !self.store.rules.keep(Rule::SaveReloads) {
            turn.parts = Parts::default();
            merged.iter().for_each(|(key, value)| turn.parts.set(key, Some(value)));
        }
        turn.parts.set(own, merged.get(own));
        Ok(Snapshot::new(merged, self.commit(turn)?))
    }

    /// Saves `mine` if the file is still of the generation that the caller has seen, whatever has happened in between.
    ///
    /// # Errors
    /// [`Error::Changed`] when it is not; otherwise as for [`Self::update`].
    pub fn compare_and_save(&self, expected: Generation, mine: &Metadata) -> Result<Snapshot, Error> {
        let mut turn = self.wait_for_turn()?;
        let found = Generation::of(turn.current.bytes());
        if found != expected {
            return Err(Error::Changed { path: self.store.path(), expected, found });
        }
        file::check_change(&self.id, &turn.current.metadata()?, mine)?;
        turn.parts.set(self.id.as_str(), mine.get(self.id.as_str()));
        Ok(Snapshot::new(mine.clone(), self.commit(turn)?))
    }

    /// Waits for the metadata lock, and reads the file.
    fn wait_for_turn(&self) -> Result<Turn<H>, Error> {
        self.lock.check_process()?;
        // What is done here may change the part, or fail and leave it unknown.
        self.known.take();
        self.turn(if self.store.rules.keep(Rule::WriterLocks) { Some(self.store.exclusive()?) } else { None })
    }

    fn turn(&self, guard: Option<Guard<H>>) -> Result<Turn<H>, Error> {
        if let Some(guard) = &guard {
            guard.note(&self.id);
        }
        if !self.store.is_recovered() {
            self.store.recover_under_lock()?;
        }
        let current = file::read(&self.store.host, &self.store.path())?;
        let parts = current.parts()?;
        Ok(Turn { guard, current, parts, asked: None })
    }

    /// Takes the lock; if somebody is in the way, waits with a request for who has it, which is made of the part as this
    /// handle knows it, if it does.
    fn ask(&self, change: &mut dyn FnMut(&Option<Value>) -> Option<Value>) -> Result<Asking<H>, Error> {
        self.lock.check_process()?;
        let known = self.known.take();
        if !self.store.rules.keep(Rule::WriterLocks) {
            return Ok(Asking::Turn(self.turn(None)?.into()));
        }
        let mut asked = None;
        let mut request = || {
            let Some(base) = known.clone().filter(|_| self.store.wait == Wait::Forever) else {
                return Ok(None);
            };
            let mine = change(&base);
            file::check_part(&self.id, mine.as_ref())?;
            let number = self.requests.replace(self.requests.get() + 1);
            let request = asked.insert(Asked { agent: self.id.to_string(), base, mine });
            Ok(Some(request.encode(self.store.host.process(), number)))
        };
        let lock = &self.store.metadata_lock;
        Ok(match lock.acquire_or_ask(Mode::Exclusive, self.store.wait, &mut request)? {
            Waited::Held(guard) => Asking::Turn(Turn { asked, ..self.turn(Some(guard))? }.into()),
            Waited::Answered(Answer::Done) => {
                self.known.replace(asked.map(|asked| asked.mine));
                Asking::Done
            }
            Waited::Answered(Answer::Merged) => Asking::Done,
            Waited::Answered(Answer::Refused) => Asking::Turn(self.wait_for_turn()?.into()),
        })
    }

    /// Writes the parts, with what those who wait ask for, and answers them. Gives the lock back.
    fn commit(&self, mut turn: Turn<H>) -> Result<Generation, Error> {
        let (host, rules) = (&self.store.host, self.store.rules);
        let answers = self.serve(&mut turn);
        if !rules.keep(Rule::AnsweredWhenDurable) {
            turn.answer(&answers);
        }
        let bytes = turn.parts.to_bytes();
        file::replace(host, rules, &turn.current, &bytes)?;
        turn.answer(&answers);
        Ok(Generation::of(&bytes))
    }

    /// Adds what those who wait ask for. What cannot be had of them does not stand in our own way: they get their turn.
    fn serve(&self, turn: &mut Turn<H>) -> Vec<(Request, Answer)> {
        let Turn { guard: Some(guard), parts, .. } = turn else { return Vec::new() };
        let Ok(Some((queue, path))) = guard.waiting() else { return Vec::new() };
        let requests = queue.requests(path).unwrap_or_default();
        let answer = |request: Request| {
            let asked = Asked::decode(&request.bytes).filter(|asked| asked.agent != self.id.as_str());
            let answer = asked.and_then(|asked| self.apply(asked, parts)).unwrap_or(Answer::Refused);
            (request, answer)
        };
        requests.into_iter().map(answer).collect()
    }

    fn apply(&self, asked: Asked, parts: &mut Parts) -> Option<Answer> {
        let disk = parts.get(&asked.agent).ok()?;
        let merged = if self.store.rules.keep(Rule::RequestsAreMerged) {
            asked.on(disk.as_ref())?
        } else {
            asked.mine.clone()
        };
        parts.set(&asked.agent, merged.as_ref());
        Some(if merged == asked.mine { Answer::Done } else { Answer::Merged })
    }
}

/// What came of a request.
enum Asking<H: Host> {
    /// Somebody has done it.
    Done,
    /// Nobody has, and the lock is ours.
    Turn(Box<Turn<H>>),
}

impl<H: Host> Turn<H> {
    fn part(&self, id: &AgentId) -> Result<Option<Value>, Error> {
        self.parts.get(id.as_str()).map_err(|fault| self.current.corrupt(fault))
    }

    /// An answer that cannot be written is none: its author gets its turn, and finds its change there.
    fn answer(&mut self, answers: &[(Request, Answer)]) {
        let waiting = self.guard.as_mut().filter(|_| !answers.is_empty()).map(Guard::waiting);
        let Some(Ok(Some((queue, path)))) = waiting else { return };
        for (request, answer) in answers {
            drop(queue.answer(request, *answer, path));
        }
    }
}

impl Asked {
    /// The part with the change, on top of what is on disk; the same where the change is there already. `None` where both
    /// have changed the same value.
    fn on(&self, disk: Option<&Value>) -> Option<Option<Value>> {
        let (base, mine) = (self.base.as_ref(), self.mine.as_ref());
        let merged = merge_value(&self.agent, base, mine, disk, Policy::Fail, &Strategies::default());
        Some(merged.ok()?.value)
    }

    /// The process and the number tell requests apart that ask for the same.
    fn encode(&self, process: u32, number: u64) -> Vec<u8> {
        json!([self.agent, as_list(&self.base), as_list(&self.mine), process, number])
            .to_string()
            .into_bytes()
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (agent, base, mine, _, _): (String, Vec<Value>, Vec<Value>, u32, u64) =
            serde_json::from_slice(bytes).ok()?;
        AgentId::new(&agent).ok()?;
        Some(Self { agent, base: base.into_iter().next(), mine: mine.into_iter().next() })
    }
}

/// A missing value is not null.
fn as_list(value: &Option<Value>) -> &[Value] {
    value.as_slice()
}
