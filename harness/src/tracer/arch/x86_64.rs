//! x86-64.

use std::io;

use nix::sys::ptrace;
use nix::unistd::Pid;

/// What seccomp calls it.
pub const AUDIT: u32 = 0xc000_003e;

/// Numbers from here on belong to the x32 interface, which is refused.
pub const FOREIGN_NUMBERS: u32 = 0x4000_0000;

/// Of a call's numbers on the processors that the table knows: the one here.
#[must_use]
pub const fn number(x86_64: u32, _aarch64: u32) -> u32 {
    x86_64
}

/// What a call gives that is gone on with by `restart_syscall`.
const RESTART_BLOCK: i32 = 516;

/// The registers of a system call.
#[derive(Clone, Copy, Debug)]
pub struct Registers(libc::user_regs_struct);

impl Registers {
    /// Those of a stopped task.
    ///
    /// # Errors
    /// Where it is gone.
    pub fn of(task: Pid) -> io::Result<Self> {
        Ok(Self(ptrace::getregs(task)?))
    }

    /// Gives them to a stopped task.
    ///
    /// # Errors
    /// Where it is gone.
    pub fn set(&self, task: Pid) -> io::Result<()> {
        ptrace::setregs(task, self.0).map_err(Into::into)
    }

    /// The call's number.
    #[must_use]
    pub fn call(&self) -> u64 {
        self.0.orig_rax
    }

    /// The call's arguments.
    #[must_use]
    pub fn arguments(&self) -> [u64; 6] {
        [self.0.rdi, self.0.rsi, self.0.rdx, self.0.r10, self.0.r8, self.0.r9]
    }

    /// At the exit: what it gives back, an error as its negative number.
    #[must_use]
    pub fn result(&self) -> i64 {
        self.0.rax.cast_signed()
    }

    /// The stack pointer.
    #[must_use]
    pub fn stack(&self) -> u64 {
        self.0.rsp
    }

    /// Whether both are of a call at the same place, of the same code, with the same arguments.
    #[must_use]
    pub fn is_same_call(&self, other: &Self) -> bool {
        let place = |of: &Self| (of.0.rip, of.0.rsp, of.arguments());
        place(self) == place(other)
    }

    /// At the entry: skip the call, and give this back.
    pub fn skip_with(&mut self, result: i64) {
        self.0.orig_rax = u64::MAX;
        self.0.rax = result.cast_unsigned();
    }

    /// At the entry: sleep until a signal comes, in place of the call.
    pub fn pause(&mut self) {
        self.0.orig_rax = libc::SYS_pause as u64;
    }

    /// At the entry: make the call with another argument.
    pub fn replace_argument(&mut self, number: usize, value: u64) {
        match number {
            0 => self.0.rdi = value,
            1 => self.0.rsi = value,
            2 => self.0.rdx = value,
            3 => self.0.r10 = value,
            4 => self.0.r8 = value,
            _ => self.0.r9 = value,
        }
    }

    /// At the entry: make another call.
    pub fn call_instead(&mut self, call: libc::c_long, arguments: [u64; 3]) {
        self.0.orig_rax = call.cast_unsigned();
        [self.0.rdi, self.0.rsi, self.0.rdx] = arguments;
        [self.0.r10, self.0.r8, self.0.r9] = [0; 3];
    }

    /// At the exit: go back to the entry, to make the call once more.
    pub fn make_again(&mut self, entry: &Self) {
        // The instruction `syscall` is two bytes long.
        *self = *entry;
        self.0.rip -= 2;
        self.0.rax = self.0.orig_rax;
    }

    /// At the entry: go back before it, so that the call is made when the task goes on, after the signals that it has to take.
    pub fn back_before(&mut self) {
        self.0.rip -= 2;
        self.0.rax = self.0.orig_rax;
        self.0.orig_rax = u64::MAX;
    }

    /// At the exit: whether the kernel makes the call again, having been interrupted in it.
    #[must_use]
    pub fn is_to_be_made_again(&self) -> bool {
        // ERESTARTSYS, ERESTARTNOINTR, ERESTARTNOHAND.
        matches!(-self.result() as i32, 512 | 513 | 514 | RESTART_BLOCK)
    }

    /// At rest in a sleeping call: have it made once more, where the kernel would give `EINTR`, or make another call in its place,
    /// which does not say for how long it sleeps (`restart_syscall`).
    pub fn restart_if_interrupted(&mut self) -> bool {
        let interrupted =
            matches!(-self.result() as i32, libc::EINTR | RESTART_BLOCK) && self.0.orig_rax != u64::MAX;
        if interrupted {
            self.back_before();
        }
        interrupted
    }
}

/// The functions that read a clock, with the system call that does the same.
pub const CLOCKS: [(&str, u32); 4] = [
    ("__vdso_clock_gettime", libc::SYS_clock_gettime as u32),
    ("__vdso_gettimeofday", libc::SYS_gettimeofday as u32),
    ("__vdso_time", libc::SYS_time as u32),
    ("__vdso_clock_getres", libc::SYS_clock_getres as u32),
];

/// Code of a function that makes a system call: `mov eax, NUMBER; syscall; ret`.
#[must_use]
pub fn system_call(number: u32) -> Vec<u8> {
    [&[0xb8][..], &number.to_le_bytes(), &[0x0f, 0x05, 0xc3]].concat()
}

/// Code of a function that says that it is not there, so that the C library makes the system call itself: `mov rax, -ENOSYS; ret`.
#[must_use]
pub fn refusal() -> Vec<u8> {
    [&[0x48, 0xc7, 0xc0][..], &(-libc::ENOSYS).to_le_bytes(), &[0xc3]].concat()
}
