//! Writers that are killed and stopped at random, while somebody reads the file without a lock.
//!
//! Each writer is a process and one agent. It counts in its own part, and tells of each update through a pipe: before
//! it begins, and once the call has returned. Whatever it was killed in the middle of, the count in the file lies
//! between the two: an update that was acknowledged is there, and none was done twice.
//!
//! `STORM_SEED=n` repeats the choices of a storm (not the timing of the processes).

mod common;

use std::collections::VecDeque;
use std::fs;
use std::io::{ErrorKind, PipeReader, PipeWriter, Read, Write, pipe};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use common::{Chance, dir, dir_in_memory, in_child};
use cooks_core::{Agent, Error, METADATA_FILE, METADATA_LOCK, Metadata, Store, Wait};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use rustix::fs::{OFlags, fcntl_setfl};
use serde_json::{Value, json};
use tempfile::TempDir;

const WRITERS: usize = 8;

/// No more than these are stopped at a time.
const MOST_STOPPED: usize = 3;

/// One acknowledgement in so many is followed by a signal to somebody.
const CALM: usize = 16;

/// A stopped writer goes on after this many acknowledgements of others, or looks at the file: it may hold the lock that
/// all others need, and then nobody acknowledges anything.
const STOPPED_FOR: usize = 40;

/// After this many looks without any acknowledgement, and with nobody stopped, a lock is stuck.
const STUCK_AFTER: usize = 3_000_000;

/// How a writer writes.
#[derive(Clone, Copy)]
enum Writing {
    /// By the calls of this package.
    Ours,
    /// By hand, without the lock: reads, changes, renames.
    WithoutLock,
    /// By hand, without the lock, in place.
    InPlace,
}

#[test]
fn a_storm_of_20_000_updates_in_memory_loses_nothing() {
    calm_end(storm(&dir_in_memory(), 20_000, Writing::Ours, 64));
}

#[test]
fn a_storm_of_1_000_updates_on_a_disk_loses_nothing() {
    calm_end(storm(&dir(), 1_000, Writing::Ours, 256));
}

#[test]
fn the_storm_finds_writers_that_lose_updates() {
    let found = storm(&dir_in_memory(), 20_000, Writing::WithoutLock, 64).expect_err("nothing was found");
    assert!(found.contains("acknowledged") && found.contains("in the file"), "{found}");
}

#[test]
fn the_storm_finds_writers_that_show_half_a_file() {
    let found = storm(&dir_in_memory(), 20_000, Writing::InPlace, 64).expect_err("nothing was found");
    assert!(found.contains("does not parse") || found.contains("in the file"), "{found}");
}

fn calm_end(result: Result<(), String>) {
    result.unwrap_or_else(|found| panic!("{found}"));
}

fn seed() -> u64 {
    let given = std::env::var("STORM_SEED").ok().map(|text| text.parse().expect("STORM_SEED is a number"));
    given.unwrap_or_else(|| {
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_nanos() as u64
    })
}

/// The whole test; what it finds wrong is the error.
fn storm(dir: &TempDir, updates: usize, writing: Writing, calm_looks: usize) -> Result<(), String> {
    let seed = seed();
    println!("STORM_SEED={seed}");
    let mut storm = Storm::new(dir.path(), seed, writing, calm_looks);
    while storm.all_acknowledged() < updates {
        storm.step()?;
    }
    storm.kill_all();
    storm.hear();
    println!("{} kills, {} stops, {} looks without a lock", storm.kills, storm.stops, storm.looks);
    storm.look()?;
    storm.afterwards()
}

fn id(writer: usize) -> String {
    format!("agent-{writer}")
}

fn count(metadata: &Metadata, id: &str) -> u64 {
    metadata.get(id).and_then(|part| part["count"].as_u64()).unwrap_or(0)
}

struct Storm {
    dir: PathBuf,
    writing: Writing,
    chance: Chance,
    /// One look in so many is followed by a signal as well.
    calm_looks: usize,
    /// What the writers write to; each gets a copy.
    tell: PipeWriter,
    hear: PipeReader,
    writers: Vec<Pid>,
    /// Who is stopped, and at which event each goes on.
    stopped: VecDeque<(usize, usize)>,
    started: [u64; WRITERS],
    acknowledged: [u64; WRITERS],
    seen: [u64; WRITERS],
    events: usize,
    looks: usize,
    looks_in_vain: usize,
    kills: usize,
    stops: usize,
}

impl Storm {
    fn new(dir: &Path, seed: u64, writing: Writing, calm_looks: usize) -> Self {
        let (hear, tell) = pipe().expect("a pipe");
        fcntl_setfl(&hear, OFlags::NONBLOCK).expect("reads without waiting");
        // So that they cannot run far ahead of us.
        #[cfg(target_os = "linux")]
        nix::fcntl::fcntl(&hear, nix::fcntl::FcntlArg::F_SETPIPE_SZ(4096)).expect("a small pipe");
        let (dir, chance, stopped, none) = (dir.to_owned(), Chance::new(seed), VecDeque::new(), [0; WRITERS]);
        let mut storm = Self {
            dir,
            writing,
            chance,
            calm_looks,
            tell,
            hear,
            writers: Vec::new(),
            stopped,
            started: none,
            acknowledged: none,
            seen: none,
            events: 0,
            looks: 0,
            looks_in_vain: 0,
            kills: 0,
            stops: 0,
        };
        storm.writers = (0..WRITERS).map(|writer| storm.start(writer)).collect();
        storm
    }

    fn start(&mut self, writer: usize) -> Pid {
        let (tell, dir, writing) = (self.tell.try_clone().expect("a copy"), self.dir.clone(), self.writing);
        let chance = Chance::new(self.chance.below(usize::MAX) as u64);
        in_child(move || match writing {
            Writing::Ours => write(&dir, writer, chance, tell).is_ok(),
            Writing::WithoutLock | Writing::InPlace => write_by_hand(&dir, writer, writing, tell),
        })
    }

    fn step(&mut self) -> Result<(), String> {
        let before = self.all_acknowledged();
        self.look()?;
        let heard = self.all_acknowledged() - before;
        self.looks_in_vain = if heard == 0 { self.looks_in_vain + 1 } else { 0 };
        // At a moment that has nothing to do with what the writers do, and right after one was done with it.
        let signals = (0..heard).filter(|_| self.chance.below(CALM) == 0).count();
        for _ in 0..signals + usize::from(self.chance.below(self.calm_looks) == 0) {
            self.signal();
        }
        self.events += heard + 1;
        while self.stopped.front().is_some_and(|(_, until)| *until <= self.events) {
            let (writer, _) = self.stopped.pop_front().expect("there is one");
            kill(self.writers[writer], Signal::SIGCONT).expect("goes on");
        }
        if self.stopped.is_empty() && self.looks_in_vain > STUCK_AFTER {
            return Err("nobody gets on: a lock is stuck".to_owned());
        }
        if self.looks.is_multiple_of(256) { self.all_alive() } else { Ok(()) }
    }

    /// Counts what the writers have told: one call reads all that the pipe holds, since it holds no more than this.
    fn hear(&mut self) {
        let mut bytes = [0; 1 << 16];
        let length = match self.hear.read(&mut bytes) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
            result => result.expect("reads"),
        };
        for byte in &bytes[..length] {
            let (writer, done) = (usize::from(byte >> 1), byte & 1 == 1);
            let counts = if done { &mut self.acknowledged } else { &mut self.started };
            counts[writer] += 1;
        }
    }

    fn all_acknowledged(&self) -> usize {
        self.acknowledged.iter().sum::<u64>() as usize
    }

    /// Reads the file without a lock. What was acknowledged before is there; what is there was started before.
    fn look(&mut self) -> Result<(), String> {
        self.looks += 1;
        let text = match fs::read(self.dir.join(METADATA_FILE)) {
            Err(error) if error.kind() == ErrorKind::NotFound => b"{}".to_vec(),
            result => result.map_err(|error| format!("cannot read: {error}"))?,
        };
        let metadata: Metadata = serde_json::from_slice(&text)
            .map_err(|error| format!("does not parse: {error}: {}", String::from_utf8_lossy(&text)))?;
        let known = self.acknowledged;
        self.hear();
        for writer in 0..WRITERS {
            let (found, started) = (count(&metadata, &id(writer)), self.started[writer]);
            let (known, seen) = (known[writer], self.seen[writer]);
            if found < known || found < seen || found > started {
                let what = format!("{known} acknowledged, {seen} seen before, {started} started");
                return Err(format!("{}: {what}, but {found} in the file", id(writer)));
            }
            self.seen[writer] = found;
        }
        Ok(())
    }

    fn signal(&mut self) {
        let (anybody, aimed) = (self.chance.below(WRITERS), self.chance.below(2) == 0);
        let writer = self.holder().filter(|_| aimed).unwrap_or(anybody);
        if self.chance.below(2) == 0 {
            self.stopped.retain(|(stopped, _)| *stopped != writer);
            self.end(writer);
            self.writers[writer] = self.start(writer);
        } else if self.stopped.len() < MOST_STOPPED && self.stopped.iter().all(|(other, _)| *other != writer)
        {
            kill(self.writers[writer], Signal::SIGSTOP).expect("stops");
            self.stopped.push_back((writer, self.events + STOPPED_FOR));
            self.stops += 1;
        }
    }

    /// Who has the metadata lock, or had it a moment ago: it says so in the lock file.
    fn holder(&self) -> Option<usize> {
        let note = fs::read_to_string(self.dir.join(METADATA_LOCK)).ok()?;
        let pid: i32 = note.split(' ').nth(1)?.parse().ok()?;
        self.writers.iter().position(|writer| writer.as_raw() == pid)
    }

    fn end(&mut self, writer: usize) {
        let pid = self.writers[writer];
        kill(pid, Signal::SIGKILL).expect("kills");
        waitpid(pid, None).expect("waits");
        self.kills += 1;
    }

    /// All at the same moment, whatever they are at.
    fn kill_all(&mut self) {
        self.writers.iter().for_each(|pid| kill(*pid, Signal::SIGKILL).expect("kills"));
        (0..WRITERS).for_each(|writer| self.end(writer));
        self.writers.clear();
    }

    fn all_alive(&self) -> Result<(), String> {
        for pid in &self.writers {
            let state = waitpid(*pid, Some(WaitPidFlag::WNOHANG)).expect("asks");
            if state != WaitStatus::StillAlive {
                return Err(format!("a writer gave up: {state:?}"));
            }
        }
        Ok(())
    }

    /// Nobody is left: what is there now?
    fn afterwards(&self) -> Result<(), String> {
        let say = |error: Error| error.to_string();
        let store = Store::open(&self.dir).map_err(say)?.waiting(Wait::No);
        let names = fs::read_dir(&self.dir).expect("lists").map(|entry| entry.expect("an entry").file_name());
        let left: Vec<_> = names.filter(|name| name.as_encoded_bytes().ends_with(b".tmp")).collect();
        if !left.is_empty() {
            return Err(format!("left behind: {left:?}"));
        }
        let agents: Result<Vec<_>, _> = (0..WRITERS).map(|writer| store.agent(&id(writer))).collect();
        let agents = agents.map_err(say)?;
        drop(store.exclusive().map_err(say)?);
        for (agent, found) in agents.iter().zip(self.seen) {
            let loaded = count(&*store.load().map_err(say)?, agent.id().as_str());
            count_up(agent, 0).map_err(say)?;
            let after = count(&*store.load().map_err(say)?, agent.id().as_str());
            if (loaded, after) != (found, found + 1) {
                return Err(format!("{}: {found} seen, {loaded} loaded, {after} after one more", agent.id()));
            }
        }
        Ok(())
    }
}

impl Drop for Storm {
    fn drop(&mut self) {
        for pid in &self.writers {
            let _ = kill(*pid, Signal::SIGKILL);
            let _ = waitpid(*pid, None);
        }
    }
}

/// Counts until it is killed.
fn write(dir: &Path, writer: usize, mut chance: Chance, mut tell: PipeWriter) -> Result<(), Error> {
    let store = Store::open(dir)?;
    let agent = store.agent(&id(writer))?;
    loop {
        say(&mut tell, writer, false);
        count_up(&agent, chance.below(10))?;
        say(&mut tell, writer, true);
    }
}

/// One more, by one of the ways to write.
fn count_up(agent: &Agent, way: usize) -> Result<(), Error> {
    let id = agent.id().as_str();
    match way {
        0 => agent.update(|metadata| add_one(metadata, id)),
        1 => {
            let base = agent.store().load()?;
            let mut mine = base.to_metadata();
            add_one(&mut mine, id);
            agent.save(&base, &mine).map(drop)
        }
        _ => agent.change(|part| {
            let count = part.as_ref().and_then(|part| part["count"].as_u64()).unwrap_or(0);
            *part = Some(json!({ "count": count + 1, "pad": "x".repeat(100) }));
        }),
    }
}

fn add_one(metadata: &mut Metadata, id: &str) {
    let count = count(metadata, id) + 1;
    metadata.insert(id.to_owned(), json!({ "count": count, "pad": "x".repeat(100) }));
}

/// One byte: who, and whether it has begun or is done.
fn say(tell: &mut PipeWriter, writer: usize, done: bool) {
    tell.write_all(&[(writer as u8) << 1 | u8::from(done)]).expect("somebody listens");
}

/// What the incident was: everybody reads the file, changes it, and writes it, and nobody waits for anybody.
fn write_by_hand(dir: &Path, writer: usize, writing: Writing, mut tell: PipeWriter) -> bool {
    let (path, own) = (dir.join(METADATA_FILE), dir.join(format!("{}.new", id(writer))));
    loop {
        say(&mut tell, writer, false);
        let text = fs::read(&path).unwrap_or_default();
        let mut metadata: Metadata = serde_json::from_slice(&text).unwrap_or_default();
        add_one(&mut metadata, &id(writer));
        let text = Value::from(metadata).to_string();
        match writing {
            Writing::InPlace => fs::write(&path, text).expect("writes"),
            _ => fs::write(&own, text).and_then(|()| fs::rename(&own, &path)).expect("replaces"),
        }
        say(&mut tell, writer, true);
    }
}
