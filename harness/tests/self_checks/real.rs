//! Random programs as real processes: what they come to under the search is what all schedules of the simulation come to.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io::{Write, stdout};
use std::ops::ControlFlow;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use cooks_harness::backend::Backend;
use cooks_harness::explore::{Counts, Dfs, Dpor, Observed, Strategy, explore};
use cooks_harness::model::{Entry, Execution, LockMode, Tree};
use cooks_harness::simulated::{Expr, Instruction, Program, REGISTERS, Register};
use cooks_harness::tracer::{Program as Process, Tracer};

use nix::fcntl::{Flock, FlockArg};

use crate::programs::{Theme, programs, start};

/// Programs of each theme.
const PROGRAMS: u64 = 125;

/// Descriptors 0 to 2 are files that nobody renames or removes; they have these names in the real workspace.
const FIXED: [&str; 3] = ["#0", "#1", "#2"];

/// A program of steps that are one system call each, and that ends by an exit that gives its locks back where it takes any. Jumps
/// lead where they led.
fn of_single_calls(program: Program) -> Program {
    let length = program.len();
    let mut single: Program =
        program.into_iter().map(|instruction| single_call(instruction, length)).collect();
    if single.iter().any(|it| matches!(it, Instruction::Lock { .. } | Instruction::TryLock { .. })) {
        single.push(Instruction::Exit);
    }
    single
}

fn single_call(instruction: Instruction, length: usize) -> Instruction {
    use Instruction as I;
    // The initial file with a name is reached by its name alone.
    let by_name = |file: Expr| if file == Expr::Value(3) { Expr::Value(1) } else { file };
    match instruction {
        I::Jump { left, is, right, to } => I::Jump { left, is, right, to: to.min(length) },
        I::Increment { file } => I::Load { file: by_name(file), into: 0 },
        I::Load { file, into } => I::Load { file: by_name(file), into },
        I::Store { file, value } => I::Store { file: by_name(file), value },
        I::ReadName { name, .. } => I::Open { name, create: false, truncate: false, into: 1 },
        I::WriteName { name, .. } => I::Open { name, create: true, truncate: true, into: 1 },
        other => other,
    }
}

/// A process that does by system calls what the simulation does to its own state.
struct Machine {
    registers: [i64; REGISTERS],
    files: Vec<File>,
    held: Vec<(i64, Flock<File>)>,
}

fn open(name: &str) -> File {
    OpenOptions::new().read(true).write(true).open(name).expect("a fixed file")
}

/// Whether a call succeeded, as the simulation counts it.
fn done<T, E>(result: Result<T, E>) -> i64 {
    if result.is_ok() { 1 } else { -1 }
}

impl Machine {
    fn run(program: &Program) -> i32 {
        // The fourth descriptor is none that a program uses.
        let files = [FIXED[0], FIXED[1], FIXED[2], FIXED[0]].map(open).into();
        let mut machine = Self { registers: [0; REGISTERS], files, held: Vec::new() };
        let mut at = 0;
        while let Some(instruction) = program.get(at) {
            at = machine.step(instruction, at + 1);
        }
        let mut out = stdout();
        write!(out, "{:?}", machine.registers).and_then(|()| out.flush()).expect("somebody listens");
        0
    }

    fn value(&self, expr: &Expr) -> i64 {
        expr.value(&self.registers)
    }

    fn file(&self, descriptor: &Expr) -> Option<&File> {
        self.files.get(usize::try_from(self.value(descriptor)).ok()?)
    }

    fn set(&mut self, register: Register, value: i64) {
        self.registers[usize::from(register)] = value;
    }

    /// Does one instruction, and says where to go on.
    fn step(&mut self, instruction: &Instruction, next: usize) -> usize {
        use Instruction as I;
        match instruction {
            I::Set { into, value } => self.set(*into, self.value(value)),
            I::Jump { left, is, right, to } if self.value(left).cmp(&self.value(right)) == *is => return *to,
            I::Jump { .. } => {}
            I::Load { file, into } => {
                if let Some(file) = self.file(file) {
                    self.set(*into, load(file));
                }
            }
            I::Store { file, value } => {
                if let Some(file) = self.file(file) {
                    file.write_all_at(&self.value(value).to_le_bytes(), 0).expect("an open file");
                }
            }
            I::Lock { file, mode } => self.lock(self.value(file), *mode),
            I::TryLock { file, mode, into } => {
                let taken = self.try_lock(self.value(file), *mode);
                self.set(*into, taken);
            }
            I::Unlock { file } => {
                let file = self.value(file);
                self.held.retain(|(held, _)| *held != file);
            }
            I::Exit => return usize::MAX,
            _ => self.on_names(instruction),
        }
        next
    }

    /// Each lock is of a description of its own, so that a process that takes one twice waits for itself.
    fn lock(&mut self, number: i64, mode: LockMode) {
        let how = match mode {
            LockMode::Shared => FlockArg::LockShared,
            LockMode::Exclusive => FlockArg::LockExclusive,
        };
        let taken = Flock::lock(open(&format!("#{number}")), how).expect("a lock");
        self.held.push((number, taken));
    }

    fn try_lock(&mut self, number: i64, mode: LockMode) -> i64 {
        let how = match mode {
            LockMode::Shared => FlockArg::LockSharedNonblock,
            LockMode::Exclusive => FlockArg::LockExclusiveNonblock,
        };
        let taken = Flock::lock(open(&format!("#{number}")), how).ok();
        let is_taken = taken.is_some();
        self.held.extend(taken.map(|lock| (number, lock)));
        if is_taken { 1 } else { -1 }
    }

    fn on_names(&mut self, instruction: &Instruction) {
        use Instruction as I;
        let text = |name: &cooks_harness::simulated::Name| name.text(&self.registers);
        let (value, into) = match instruction {
            I::Create { name, into } => {
                (done(OpenOptions::new().write(true).create_new(true).open(text(name))), *into)
            }
            I::Open { name, create, truncate, into } => {
                let mut options = OpenOptions::new();
                options.read(true).write(true).create(*create).truncate(*truncate);
                let opened = options.open(text(name)).ok();
                let number = opened.as_ref().map(|_| i64::try_from(self.files.len()).expect("few files"));
                self.files.extend(opened);
                (number.unwrap_or(-1), *into)
            }
            I::Unlink { name, into } => (done(fs::remove_file(text(name))), *into),
            I::Rename { from, to, into } => (done(fs::rename(text(from), text(to))), *into),
            I::Stat { name, into } => (i64::from(fs::symlink_metadata(text(name)).is_ok()), *into),
            I::List { into } => (listing(), *into),
            other => unreachable!("{other:?} is not one call"),
        };
        self.set(into, value);
    }
}

fn load(file: &File) -> i64 {
    let mut bytes = [0; 8];
    // A file that is empty holds 0.
    file.read_at(&mut bytes, 0).expect("an open file");
    i64::from_le_bytes(bytes)
}

/// The number that the simulation has for the set of names.
fn listing() -> i64 {
    let entries = fs::read_dir(".").expect("the workspace");
    let names = entries.map(|entry| entry.expect("a name").file_name().into_string().expect("text"));
    let names: BTreeSet<String> = names.filter(|name| !name.starts_with('#')).collect();
    let bytes = names.iter().flat_map(|name| name.bytes().chain([0]));
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    (hash >> 1).cast_signed()
}

/// What both worlds show of an execution's end: what files hold, and the registers of those that came to their end.
type End = (BTreeMap<String, i64>, Vec<Option<Vec<u8>>>);

fn end(execution: &Execution, number: fn(&[u8]) -> i64) -> End {
    let outcome = &execution.outcome;
    let mut files: BTreeMap<String, i64> = BTreeMap::from([(FIXED[0].to_owned(), 0)]);
    for (path, entry) in outcome.tree.iter().filter(|(path, _)| *path != "#3") {
        let Entry::File { content, .. } = entry else { panic!("{path} is no file") };
        files.insert(path.clone(), number(content));
    }
    let said = outcome.exits.iter().zip(&outcome.stdout).map(|(exit, said)| exit.map(|_| said.clone()));
    (files, said.collect())
}

fn simulated(content: &[u8]) -> i64 {
    std::str::from_utf8(content).expect("digits").parse().expect("a number")
}

fn real(content: &[u8]) -> i64 {
    content.try_into().map_or(0, i64::from_le_bytes)
}

fn ends<B: Backend>(
    strategy: &mut dyn Strategy,
    backend: &mut B,
    number: fn(&[u8]) -> i64,
) -> (Counts, BTreeSet<End>) {
    let mut ends = BTreeSet::new();
    let explored = explore(strategy, backend, 500, &mut |execution| {
        ends.insert(end(execution, number));
        ControlFlow::Continue(())
    });
    let explored = explored.expect("every execution can be run");
    assert!(explored.exhaustive);
    (explored.counts, ends)
}

fn workspace() -> Tree {
    let file = |value: i64| Entry::File { mode: 0o644, content: value.to_le_bytes().into() };
    FIXED.iter().map(|name| ((*name).to_owned(), file(0))).chain([("a".to_owned(), file(7))]).collect()
}

/// Holds the programs of a theme to the simulation, and gives the number of their classes there and here, and of the executions
/// that are left when those are merged that nobody can tell apart.
fn held(theme: Theme) -> [u64; 3] {
    let most = if matches!(theme, Theme::Data | Theme::Names) { [5, 3, 2] } else { [4, 2, 1] };
    let mut classes = [0; 3];
    for seed in 0..PROGRAMS {
        let programs: Vec<Program> = programs(seed, theme, most).into_iter().map(of_single_calls).collect();
        let mut simulation = start(programs.clone());
        let all = ends(&mut Dfs::new(), &mut simulation, simulated).1;
        classes[0] += ends(&mut Dpor::new(), &mut simulation, simulated).0.executions;
        let process = |program: Program| Process::closure("random", move || Machine::run(&program));
        let processes: Vec<Process> = programs.iter().cloned().map(process).collect();
        let stop = Arc::new(AtomicBool::new(false));
        let mut tracer = Tracer::new(&processes, &[], workspace(), stop).expect("this machine can trace");
        let (counts, found) = ends(&mut Dpor::new(), &mut tracer, real);
        assert_eq!(found, all, "theme {theme:?}, seed {seed}: {programs:#?}");
        assert_eq!((counts.redundant, counts.executions), (0, counts.complete + counts.blocked));
        classes[1] += counts.executions;
        let mut merging = Observed::new();
        let (run, found) = ends(&mut merging, &mut tracer, real);
        assert_eq!(found, all, "merging: theme {theme:?}, seed {seed}: {programs:#?}");
        assert_eq!(run.executions + merging.merged(), counts.executions);
        classes[2] += run.executions;
    }
    classes
}

#[test]
fn data_of_real_processes() {
    assert_eq!(held(Theme::Data), [1_069, 1_069, 760]);
}

#[test]
fn locks_of_real_processes() {
    assert_eq!(held(Theme::Locks), [338, 338, 336]);
}

#[test]
fn names_of_real_processes() {
    assert_eq!(held(Theme::Names), [975, 924, 924]);
}

#[test]
fn all_of_it_in_real_processes() {
    assert_eq!(held(Theme::Mixed), [229, 229, 228]);
}
