mod records;

use super::process::Process;
use super::program::{Expr, Instruction, Name, Register};
use super::world::{Effect, Stream, World};
use crate::model::{
    Access, Acquisition, Call, CallResult, Location, LockMode, Need, ObjectId, Operation, Payload, ProcessId,
    Way,
};

/// What an operation would do in the present state. Doing it is applying this, so that a pending operation and its execution
/// cannot disagree.
///
/// Accesses are in the order in which the call looks: what a later one is on, an earlier one has found out.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) operation: Operation,
    pub(super) result: CallResult,
    /// What its register receives.
    pub(super) value: i64,
    pub(super) into: Option<Register>,
    pub(super) effects: Vec<Effect>,
    pub(super) opened: Option<ObjectId>,
    /// The bytes that it moves.
    pub(super) moved: Option<Payload>,
    /// Who holds the lock against it, where it has to wait.
    pub(super) holders: Vec<ProcessId>,
}

/// Plans for one process in one state.
pub(super) struct Planner<'a> {
    pub(super) world: &'a World,
    pub(super) processes: &'a [Process<'a>],
    pub(super) id: ProcessId,
    pub(super) process: &'a Process<'a>,
}

const ROOT: ObjectId = ObjectId::Initial(0);

impl Plan {
    fn new(name: &str, path: String, accesses: Vec<Access>) -> Self {
        let call = Call { name: name.to_owned(), path: Some(path), ..Call::default() };
        Self {
            operation: Operation { call, accesses, ..Operation::default() },
            result: CallResult::Value(0),
            value: 0,
            into: None,
            effects: Vec::new(),
            opened: None,
            moved: None,
            holders: Vec::new(),
        }
    }

    fn renamed(mut self, name: &str) -> Self {
        name.clone_into(&mut self.operation.call.name);
        self
    }

    fn detail(mut self, detail: &str) -> Self {
        detail.clone_into(&mut self.operation.call.detail);
        self
    }

    fn gives(mut self, value: i64, into: Register) -> Self {
        self.result = CallResult::Value(value);
        (self.value, self.into) = (value, Some(into));
        self
    }

    fn fails(mut self, error: &str, into: Option<Register>) -> Self {
        self.result = CallResult::Error(error.to_owned());
        (self.value, self.into) = (-1, into);
        self
    }

    fn adds(mut self, of: Location, by: i64) -> Self {
        self.operation.adds.push((of, by));
        self
    }

    fn moves(mut self, value: i64, written: bool) -> Self {
        let path = self.operation.call.path.clone().unwrap_or_default();
        self.moved = Some(Payload { path, written, offset: 0, bytes: value.to_le_bytes().into() });
        self
    }

    fn does(mut self, effects: impl IntoIterator<Item = Effect>) -> Self {
        self.effects.extend(effects);
        self
    }
}

fn data(object: ObjectId) -> Location {
    Location::Data { object, start: 0, end: 1 }
}

fn name_of(name: &str) -> Location {
    Location::Name { dir: ROOT, name: name.to_owned() }
}

/// The places of a stream from this number on, so many; place 0 is before them.
fn places(object: ObjectId, first: usize, count: usize) -> Location {
    let start = first as u64 + 1;
    Location::Stream { object, way: Way::There, start, end: start.saturating_add(count as u64) }
}

/// What who looks at the next `most` of a stream touches, and takes what is there: who sends matters where there is nothing.
fn touched(object: ObjectId, stream: &Stream, most: usize, takes: bool) -> Vec<Access> {
    let next = Location::Stream { object, way: Way::There, start: 0, end: 1 };
    let places = [next, places(object, stream.taken, most)];
    let empty = stream.taken == stream.sent.len();
    let ends = empty.then(|| Access::read(Location::Ends { object, way: Way::There }));
    places.map(if takes { Access::write } else { Access::read }).into_iter().chain(ends).collect()
}

/// What who waits for something from a stream waits for.
fn needs(object: ObjectId) -> Vec<Need> {
    let (stream, ends) = (Location::stream(object, Way::There), Location::Ends { object, way: Way::There });
    vec![Need::of(stream.clone(), true), Need::of(ends, false).without(stream)]
}

fn path_of(object: ObjectId) -> String {
    match object {
        ObjectId::Initial(number) => format!("#{number}"),
        ObjectId::Made { process, operation } => format!("#{}.{operation}", ProcessId(process.into())),
        ObjectId::Outside(path) => path.to_string(),
    }
}

/// Two shared holders go together; nothing else does.
fn excludes(a: LockMode, b: LockMode) -> bool {
    a == LockMode::Exclusive || b == LockMode::Exclusive
}

/// Taking and giving back a shared lock commute with their like: nobody can see their order.
fn lock_access(lock: Location, mode: LockMode) -> Access {
    match mode {
        LockMode::Shared => Access::join(lock),
        LockMode::Exclusive => Access::write(lock),
    }
}

impl Planner<'_> {
    fn send(&self, to: usize, kills: bool, into: Register) -> Plan {
        let plan = |accesses| Plan::new("kill", ".".to_owned(), accesses);
        let whom = Location::Process(ProcessId(to));
        match self.processes[to].instruction() {
            None => plan(vec![Access::read(whom)]).fails("ESRCH", Some(into)),
            Some(_) => plan(vec![Access::write(whom)]).does([Effect::Signal(to, kills)]).gives(0, into),
        }
    }

    /// What the process does first that has a signal to take: one that kills gives its locks back.
    pub(super) fn taken(&self, kills: bool) -> Plan {
        if kills { self.exit().renamed("signal") } else { Plan::new("signal", ".".to_owned(), Vec::new()) }
    }

    /// What the process's operation would do.
    pub(super) fn plan(&self, instruction: &Instruction) -> Plan {
        use Instruction as I;
        match instruction {
            I::Load { file, .. }
            | I::Store { file, .. }
            | I::Increment { file }
            | I::SendingEnd { file, .. }
            | I::Send { file, .. }
            | I::Receive { file, .. }
            | I::Poll { file, .. }
            | I::Lock { file, .. }
            | I::TryLock { file, .. }
            | I::RecordLock { file, .. }
            | I::Unlock { file } => match self.process.object(file) {
                Some(object) => self.on_descriptor(instruction, object),
                None => Plan::new("fcntl", "#".to_owned(), Vec::new()).fails("EBADF", None),
            },
            I::Create { name, into } => self.create(&self.text(name), *into),
            I::Open { name, create, truncate, into } => {
                self.open(&self.text(name), *create, *truncate, *into)
            }
            I::ReadName { name, into } => self.read_name(&self.text(name), *into),
            I::WriteName { name, value } => self.write_name(&self.text(name), self.process.value(value)),
            I::Unlink { name, into } => self.unlink(&self.text(name), *into),
            I::Rename { from, to, into } => self.rename(&self.text(from), &self.text(to), *into),
            I::Stat { name, into } => self.stat(&self.text(name), *into),
            I::List { into } => {
                Plan::new("getdents64", ".".to_owned(), vec![Access::read(Location::Listing(ROOT))])
                    .gives(self.world.listing(), *into)
            }
            I::Await { files, into } => self.look_or_wait(files, *into),
            I::Signal { to, kills, into } => self.send(*to, *kills, *into),
            I::IsOver { process, into } => {
                let looks = vec![Access::read(Location::Process(ProcessId(*process)))];
                let over = self.processes[*process].instruction().is_none();
                Plan::new("kill", ".".to_owned(), looks).gives(over.into(), *into)
            }
            I::Exit => self.exit(),
            I::Set { .. } | I::Jump { .. } => unreachable!("local instructions are never held at"),
        }
    }

    fn text(&self, name: &Name) -> String {
        name.text(self.process.registers())
    }

    /// The object that this operation makes, if it makes one.
    fn made(&self) -> ObjectId {
        let process = u16::try_from(self.id.0).expect("a handful of processes");
        ObjectId::Made { process, operation: self.process.operations() }
    }

    fn on_descriptor(&self, instruction: &Instruction, object: ObjectId) -> Plan {
        let path = path_of(object);
        let content = self.world.content(object);
        match instruction {
            Instruction::Load { into, .. } => Plan::new("pread64", path, vec![Access::read(data(object))])
                .gives(content, *into)
                .moves(content, false),
            Instruction::Store { value, .. } => {
                let value = self.process.value(value);
                Plan::new("pwrite64", path, vec![Access::write(data(object))])
                    .does([Effect::Content(object, value)])
                    .moves(value, true)
            }
            Instruction::Increment { .. } => {
                Plan::new("increment", path, vec![Access::read(data(object)), Access::write(data(object))])
                    .does([Effect::Content(object, content + 1)])
            }
            Instruction::Lock { mode, .. } => self.lock(object, *mode, None),
            Instruction::RecordLock { mode, into, .. } => self.record_lock(object, *mode, *into),
            Instruction::TryLock { mode, into, .. } => self.lock(object, *mode, Some(*into)),
            Instruction::SendingEnd { opens, .. } => self.end(object, *opens),
            Instruction::Send { value, .. } => {
                let stream = self.world.stream(object);
                if !stream.ends.contains(&self.id) {
                    return Plan::new("send", path, Vec::new()).fails("EBADF", None);
                }
                let sends = Access::write(places(object, stream.sent.len(), usize::MAX));
                Plan::new("send", path, vec![sends])
                    .adds(Location::stream(object, Way::There), 1)
                    .does([Effect::Send(object, self.process.value(value))])
            }
            Instruction::Receive { most, into, .. } => self.receive(object, *most, *into),
            Instruction::Poll { into, .. } => {
                let stream = self.world.stream(object);
                let mut plan = Plan::new("poll", path, touched(object, &stream, 1, false));
                plan.operation.needs = needs(object);
                plan.gives(i64::from(stream.taken < stream.sent.len()), *into)
            }
            _ => self.unlock(object),
        }
    }

    /// A look at files, or the wait for a change behind it.
    fn look_or_wait(&self, files: &[Expr], into: Register) -> Plan {
        let objects: Vec<ObjectId> = files.iter().filter_map(|file| self.process.object(file)).collect();
        let path = objects.iter().map(|object| path_of(*object)).collect();
        let accesses = objects.iter().map(|object| Access::read(data(*object))).collect();
        if self.process.has_looked() {
            let mut wait = Plan::new("sleep", path, accesses);
            wait.operation.awaits = true;
            return wait;
        }
        let sum = objects.iter().fold(0, |sum: i64, object| sum.wrapping_add(self.world.content(*object)));
        Plan::new("preadv", path, accesses).gives(sum, into)
    }

    fn end(&self, object: ObjectId, opens: bool) -> Plan {
        let ends = Location::Ends { object, way: Way::There };
        if !opens && !self.world.stream(object).ends.contains(&self.id) {
            return Plan::new("close", path_of(object), Vec::new()).fails("EBADF", None);
        }
        let plan = |name| Plan::new(name, path_of(object), vec![Access::join(ends.clone())]);
        if opens {
            plan("open").adds(ends.clone(), 1).does([Effect::OpenEnd(object, self.id)])
        } else {
            plan("close").adds(ends.clone(), -1).does([Effect::CloseEnd(object, self.id)])
        }
    }

    fn receive(&self, object: ObjectId, most: usize, into: Register) -> Plan {
        let stream = self.world.stream(object);
        let taken = stream.sent.iter().skip(stream.taken).take(most);
        let (count, sum) = taken.fold((0, 0i64), |(count, sum), value| (count + 1, sum.wrapping_add(*value)));
        let mut plan = Plan::new("receive", path_of(object), touched(object, &stream, most, count > 0));
        plan.operation.needs = needs(object);
        if count > 0 {
            plan = plan.adds(Location::stream(object, Way::There), -(count as i64));
        }
        plan.gives(sum, into).does([Effect::Take(object, count)])
    }

    /// A blocking request (`tried` is `None`), or a try.
    fn lock(&self, object: ObjectId, mode: LockMode, tried: Option<Register>) -> Plan {
        let against =
            self.world.holders(&Location::Lock(object)).iter().filter(|(_, held)| excludes(mode, *held));
        let holders: Vec<ProcessId> = against.map(|(holder, _)| *holder).collect();
        let lock = Location::Lock(object);
        let word = if mode == LockMode::Shared { "shared" } else { "exclusive" };
        if let (Some(into), false) = (tried, holders.is_empty()) {
            return Plan::new("flock", path_of(object), vec![Access::read(lock)])
                .detail(&format!("{word}, try"))
                .fails("EWOULDBLOCK", Some(into));
        }
        let word = if tried.is_some() { format!("{word}, try") } else { word.to_owned() };
        let mut plan = Plan::new("flock", path_of(object), vec![lock_access(lock.clone(), mode)])
            .detail(&word)
            .does([Effect::Acquire(lock.clone(), self.id, mode)]);
        plan.operation.acquires = Some(Acquisition { lock, mode, blocking: tried.is_none() });
        (plan.value, plan.into) = (1, tried);
        plan.holders = holders;
        plan
    }

    fn unlock(&self, object: ObjectId) -> Plan {
        let mut held = self.world.held_by(self.id);
        held.retain(|(lock, _)| [Location::Lock(object), records::record(object)].contains(lock));
        let accesses = held.iter().map(|(lock, mode)| lock_access(lock.clone(), *mode)).collect();
        Plan::new("flock", path_of(object), accesses)
            .detail("unlock")
            .does(held.into_iter().map(|(lock, _)| Effect::Release(lock, self.id)))
    }

    fn exit(&self) -> Plan {
        let held = self.world.held_by(self.id);
        let accesses = held.iter().map(|(lock, mode)| lock_access(lock.clone(), *mode)).collect();
        Plan::new("exit_group", ".".to_owned(), accesses)
            .does(held.into_iter().map(|(lock, _)| Effect::Release(lock, self.id)))
    }

    /// The plan of a call that makes a name that is not there.
    fn make(&self, name: &str, content: i64) -> Plan {
        let accesses = vec![Access::write(name_of(name)), Access::join(Location::Listing(ROOT))];
        Plan::new("openat", name.to_owned(), accesses)
            .does([Effect::Bind(name.to_owned(), self.made()), Effect::Content(self.made(), content)])
    }

    /// The plan of a call that looks at a name and changes nothing.
    fn look(call: &str, name: &str) -> Plan {
        Plan::new(call, name.to_owned(), vec![Access::read(name_of(name))])
    }

    fn create(&self, name: &str, into: Register) -> Plan {
        match self.world.lookup(name) {
            Some(_) => Self::look("openat", name).fails("EEXIST", Some(into)),
            None => self.make(name, 0).gives(1, into),
        }
        .detail("create, exclusive")
    }

    fn open(&self, name: &str, create: bool, truncate: bool, into: Register) -> Plan {
        let mut plan = match self.world.lookup(name) {
            Some(object) => {
                let mut plan = Self::look("openat", name);
                if truncate {
                    plan.operation.accesses.push(Access::write(data(object)));
                    plan.effects.push(Effect::Content(object, 0));
                }
                plan.opened = Some(object);
                plan
            }
            None if create => {
                let mut plan = self.make(name, 0);
                plan.opened = Some(self.made());
                plan
            }
            None => return Self::look("openat", name).fails("ENOENT", Some(into)),
        };
        plan = plan.detail(match (create, truncate) {
            (true, true) => "create, truncate",
            (true, false) => "create",
            (false, true) => "truncate",
            (false, false) => "",
        });
        plan.gives(self.process.next_descriptor(), into)
    }

    fn read_name(&self, name: &str, into: Register) -> Plan {
        let Some(object) = self.world.lookup(name) else {
            return Self::look("read", name).fails("ENOENT", Some(into));
        };
        let mut plan = Self::look("read", name).gives(self.world.content(object), into);
        plan.operation.accesses.push(Access::read(data(object)));
        plan
    }

    fn write_name(&self, name: &str, value: i64) -> Plan {
        let Some(object) = self.world.lookup(name) else {
            return self.make(name, value).detail("create, truncate, write");
        };
        let mut plan = Self::look("openat", name).does([Effect::Content(object, value)]);
        plan.operation.accesses.push(Access::write(data(object)));
        plan.detail("truncate, write")
    }

    fn unlink(&self, name: &str, into: Register) -> Plan {
        if self.world.lookup(name).is_none() {
            return Self::look("unlink", name).fails("ENOENT", Some(into));
        }
        let accesses = vec![Access::write(name_of(name)), Access::join(Location::Listing(ROOT))];
        Plan::new("unlink", name.to_owned(), accesses).does([Effect::Unbind(name.to_owned())]).gives(1, into)
    }

    fn rename(&self, from: &str, to: &str, into: Register) -> Plan {
        let Some(object) = self.world.lookup(from) else {
            return Self::look("rename", from).fails("ENOENT", Some(into));
        };
        let names = [from, to].map(|name| Access::write(name_of(name)));
        let accesses = names.into_iter().chain([Access::join(Location::Listing(ROOT))]).collect();
        let mut plan = Plan::new("rename", from.to_owned(), accesses)
            .does([Effect::Unbind(from.to_owned()), Effect::Bind(to.to_owned(), object)])
            .gives(1, into);
        plan.operation.call.target = Some(to.to_owned());
        plan
    }

    fn stat(&self, name: &str, into: Register) -> Plan {
        let there = i64::from(self.world.lookup(name).is_some());
        Self::look("newfstatat", name).gives(there, into)
    }
}
