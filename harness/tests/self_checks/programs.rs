//! Random small programs.

use cooks_harness::explore::SplitMix64;
use cooks_harness::model::LockMode;
use cooks_harness::simulated::{
    Expr, Initial, Instruction, Program, Simulation, await_change, close_end, create, increment, is_over,
    jump_if, list, load, lock, lock_shared, open, open_end, open_truncate, poll, read_name, receive,
    record_lock, reg, rename, send, set, signal, stat, store, try_lock, try_lock_shared, unlink, unlock,
    write_name,
};

/// What a program is about, so that what can conflict often does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Theme {
    Data,
    Locks,
    Names,
    Mixed,
    Waits,
    Signals,
    Streams,
    Records,
}

/// Past the end of any program: a jump there ends the process.
const END: usize = 99;

/// The register that operations fill; the next ones use it.
const R: u8 = 0;

/// The program of a seed. Small enough that all its schedules can be run, some thousands at most.
pub fn simulation(seed: u64, theme: Theme) -> Simulation {
    start(programs(seed, theme, [5, 3, 2]))
}

/// The processes of a seed: two, three or four, each with up to so many operations.
pub fn programs(seed: u64, theme: Theme, most: [usize; 3]) -> Vec<Program> {
    let mut draw = Draw { random: SplitMix64::new(seed), theme, held: None, process: 0 };
    let size = draw.random.below(most.len());
    (0..size + 2)
        .map(|process| {
            draw.process = process;
            draw.program(most[size])
        })
        .collect()
}

/// Processes from the state that all random programs start from.
pub fn start(programs: Vec<Program>) -> Simulation {
    Simulation::new(Initial::files(2).named("a", 7), programs)
}

struct Draw {
    random: SplitMix64,
    theme: Theme,
    /// The lock that the process took last and has not given back.
    held: Option<i64>,
    /// The place of the process that is drawn.
    process: usize,
}

impl Draw {
    fn one_of<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.random.below(of.len())]
    }

    fn name(&mut self) -> &'static str {
        self.one_of(&["a", "b", "c"])
    }

    /// A file that is open from the start, or the one that was opened last.
    fn file(&mut self) -> Expr {
        match self.random.below(if self.theme == Theme::Names { 2 } else { 5 }) {
            0 => reg(1),
            1 => 3.into(),
            _ => self.fixed(),
        }
    }

    fn fixed(&mut self) -> Expr {
        self.one_of(&[1, 2]).into()
    }

    fn value(&mut self) -> Expr {
        if self.random.below(2) == 0 { reg(R) + 1 } else { self.one_of(&[3, 4, 5]).into() }
    }

    fn program(&mut self, most: usize) -> Program {
        let operations = 1 + self.random.below(most);
        let mut program = Vec::new();
        self.held = None;
        if self.theme == Theme::Streams && self.random.below(2) == 0 {
            program.push(open_end(self.fixed()));
        }
        for _ in 0..operations {
            let instruction = self.operation();
            let result = matches!(instruction, Instruction::TryLock { .. } | Instruction::Create { .. });
            program.push(instruction);
            if result && self.random.below(3) > 0 {
                program.push(jump_if(reg(R), -1, END));
            } else if self.random.below(6) == 0 {
                // Local computation, and a way to go on that depends on what was seen.
                program.extend([
                    set(2, reg(R) + reg(2)),
                    jump_if(reg(2), self.one_of(&[-1, 0, 3]), program.len() + 3),
                ]);
            }
        }
        program
    }

    fn operation(&mut self) -> Instruction {
        match self.theme {
            Theme::Data => self.on_data(),
            Theme::Locks if self.random.below(4) > 0 => self.on_locks(),
            Theme::Locks => self.on_data(),
            Theme::Names => self.on_names(),
            Theme::Waits => match self.random.below(4) {
                0 => self.wait(),
                1 if self.random.below(2) == 0 => self.on_locks(),
                _ => self.on_data(),
            },
            Theme::Signals => match self.random.below(8) {
                0 | 1 => signal(self.other(), self.random.below(2) == 0, R),
                2 => is_over(self.other(), R),
                3 => self.on_locks(),
                4 => self.wait(),
                _ => self.on_data(),
            },
            Theme::Streams => match self.random.below(9) {
                0 => open_end(self.fixed()),
                1 => close_end(self.fixed()),
                2..=4 => send(self.fixed(), self.value()),
                5 | 6 => receive(self.fixed(), 1 + self.random.below(2), R),
                7 => poll(self.fixed(), R),
                _ => self.on_data(),
            },
            // Exclusive: of several processes that hold a lock together, the kernel follows only one.
            Theme::Records => match self.random.below(8) {
                0 | 1 => self.on_data(),
                2 => unlock(self.fixed()),
                3 => self.on_locks(),
                _ => record_lock(self.fixed(), LockMode::Exclusive, R),
            },
            Theme::Mixed => match self.random.below(4) {
                0 => self.on_data(),
                1 => self.on_locks(),
                _ => self.on_names(),
            },
        }
    }

    fn on_data(&mut self) -> Instruction {
        let file = self.file();
        match self.random.below(5) {
            0 | 1 => load(file, R),
            2 | 3 => store(file, self.value()),
            _ => increment(file),
        }
    }

    /// Another process, one of the first two.
    fn other(&mut self) -> usize {
        if self.process < 2 { 1 - self.process } else { self.random.below(2) }
    }

    /// For a change of one file, or of either.
    fn wait(&mut self) -> Instruction {
        let files = match self.random.below(3) {
            0 => vec![1.into(), 2.into()],
            _ => vec![self.fixed()],
        };
        await_change(&files, R)
    }

    /// Mostly sections that end; now and then any operation on any lock.
    fn on_locks(&mut self) -> Instruction {
        if let Some(held) = self.held
            && self.random.below(4) > 0
        {
            self.held = None;
            return unlock(held);
        }
        let file = self.one_of(&[1, 2]);
        self.held = Some(file);
        match self.random.below(10) {
            0..=2 => lock(file),
            3 | 4 => lock_shared(file),
            5 | 6 => try_lock(file, R),
            7 => try_lock_shared(file, R),
            8 => unlock(file),
            _ => Instruction::Exit,
        }
    }

    fn on_names(&mut self) -> Instruction {
        let name = self.name();
        match self.random.below(11) {
            0 | 1 => create(name, R),
            2 => unlink(name, R),
            3 | 4 => rename(name, self.name(), R),
            5 => stat(name, R),
            6 => list(R),
            7 => open(name, 1),
            8 => open_truncate(name, 1),
            9 => write_name(name, self.value()),
            _ => read_name(name, R),
        }
    }
}
