//! The simulation's instructions, done by the system calls that they stand for, in a forked closure. `program.c` does the same.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{Write, stdout};
use std::os::unix::fs::FileExt;

use cooks_harness::model::LockMode;
use cooks_harness::simulated::{Expr, Instruction, Name, Program, REGISTERS, Register};

use nix::fcntl::{Flock, FlockArg};

/// A process that does by system calls what the simulation does to its own state. An initial object is the file `#` and its
/// number, opened when it is first used: that conflicts with nothing.
pub struct Machine {
    registers: [i64; REGISTERS],
    files: Vec<Option<File>>,
    held: Vec<(i64, Flock<File>)>,
}

/// What a file holds for a number.
pub fn bytes(value: i64) -> [u8; 8] {
    value.to_le_bytes()
}

/// The number that a file holds; one that is empty holds 0.
pub fn number(content: &[u8]) -> i64 {
    content.try_into().map_or(0, i64::from_le_bytes)
}

fn open(name: &str) -> File {
    OpenOptions::new().read(true).write(true).open(name).expect("an initial file")
}

/// Whether a call succeeded, as the simulation counts it.
fn done<T, E>(result: Result<T, E>) -> i64 {
    if result.is_ok() { 1 } else { -1 }
}

impl Machine {
    /// Runs a program in a workspace of so many initial objects. It prints its registers.
    pub fn run(program: &Program, objects: usize) -> i32 {
        let files = (0..objects).map(|_| None).collect();
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

    fn file(&mut self, descriptor: &Expr) -> Option<&File> {
        let number = usize::try_from(self.value(descriptor)).ok()?;
        let file = self.files.get_mut(number)?;
        Some(file.get_or_insert_with(|| open(&format!("#{number}"))))
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
                    let loaded = load(file);
                    self.set(*into, loaded);
                }
            }
            I::Store { file, value } => {
                let value = self.value(value);
                if let Some(file) = self.file(file) {
                    file.write_all_at(&bytes(value), 0).expect("an open file");
                }
            }
            I::Increment { file } => append(self.value(file)),
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
        let text = |name: &Name| name.text(&self.registers);
        let (value, into) = match instruction {
            I::Create { name, into } => {
                (done(OpenOptions::new().write(true).create_new(true).open(text(name))), *into)
            }
            I::Open { name, create, truncate, into } => {
                let mut options = OpenOptions::new();
                options.read(true).write(true).create(*create).truncate(*truncate);
                let opened = options.open(text(name)).ok();
                let number = opened.as_ref().map(|_| i64::try_from(self.files.len()).expect("few files"));
                self.files.extend(opened.map(Some));
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
    let mut content = [0; 8];
    let length = file.read_at(&mut content, 0).expect("an open file");
    number(&content[..length])
}

/// A step that adds and cannot be divided: a byte at the end of a file, which tells by its length how many there have been.
fn append(number: i64) {
    let file = OpenOptions::new().append(true).open(format!("#{number}"));
    file.and_then(|mut file| file.write_all(b"+")).expect("an initial file");
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
