//! Which system calls stop for the tracer: a seccomp program. Pure.

use syscalls::Sysno;

/// One instruction of classic BPF.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// Operation code.
    pub code: u16,
    /// Instructions to skip when a comparison holds.
    pub if_true: u8,
    /// Instructions to skip when it does not.
    pub if_false: u8,
    /// Operand.
    pub operand: u32,
}

const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
const JUMP_IF_EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
const JUMP_IF_AT_LEAST: u16 = (libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K) as u16;
const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;

/// Offsets in `struct seccomp_data`.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
const ARGUMENT_4: u32 = 16 + 4 * 8;

const X86_64: u32 = 0xc000_003e;
/// Numbers from here on belong to the x32 interface.
const X32: u32 = 0x4000_0000;

const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;
const TRACE: u32 = libc::SECCOMP_RET_TRACE;
const REFUSE: u32 = libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32;

/// Calls that neither touch what processes share nor see a source of chance. All others stop, the unknown ones too: what the
/// tracer does not know it reports, it never lets it pass unseen.
const LOCAL: &[Sysno] = &[
    Sysno::brk,
    Sysno::munmap,
    Sysno::mremap,
    Sysno::mprotect,
    Sysno::madvise,
    Sysno::mincore,
    Sysno::mlock,
    Sysno::mlock2,
    Sysno::munlock,
    Sysno::mlockall,
    Sysno::munlockall,
    Sysno::membarrier,
    Sysno::pkey_alloc,
    Sysno::pkey_free,
    Sysno::pkey_mprotect,
    Sysno::rt_sigaction,
    Sysno::rt_sigprocmask,
    Sysno::rt_sigreturn,
    Sysno::rt_sigpending,
    Sysno::rt_sigsuspend,
    Sysno::rt_sigtimedwait,
    Sysno::sigaltstack,
    Sysno::pause,
    Sysno::restart_syscall,
    Sysno::futex,
    Sysno::futex_wait,
    Sysno::futex_wake,
    Sysno::futex_waitv,
    Sysno::set_robust_list,
    Sysno::get_robust_list,
    Sysno::set_tid_address,
    Sysno::rseq,
    Sysno::arch_prctl,
    Sysno::prctl,
    Sysno::getpid,
    Sysno::gettid,
    Sysno::getppid,
    Sysno::getpgrp,
    Sysno::getpgid,
    Sysno::setpgid,
    Sysno::getsid,
    Sysno::setsid,
    Sysno::getuid,
    Sysno::geteuid,
    Sysno::getgid,
    Sysno::getegid,
    Sysno::getresuid,
    Sysno::getresgid,
    Sysno::getgroups,
    Sysno::setuid,
    Sysno::setgid,
    Sysno::setreuid,
    Sysno::setregid,
    Sysno::setresuid,
    Sysno::setresgid,
    Sysno::setgroups,
    Sysno::setfsuid,
    Sysno::setfsgid,
    Sysno::capget,
    Sysno::capset,
    Sysno::getrlimit,
    Sysno::setrlimit,
    Sysno::prlimit64,
    Sysno::getpriority,
    Sysno::setpriority,
    Sysno::getcpu,
    Sysno::sched_yield,
    Sysno::sched_getaffinity,
    Sysno::sched_setaffinity,
    Sysno::sched_getparam,
    Sysno::sched_setparam,
    Sysno::sched_getscheduler,
    Sysno::sched_setscheduler,
    Sysno::sched_get_priority_max,
    Sysno::sched_get_priority_min,
    Sysno::sched_getattr,
    Sysno::sched_setattr,
    Sysno::uname,
    Sysno::getcwd,
    Sysno::umask,
    Sysno::clock_getres,
    Sysno::wait4,
    Sysno::waitid,
    Sysno::pipe,
    Sysno::pipe2,
    Sysno::socketpair,
    Sysno::socket,
    Sysno::shutdown,
    Sysno::getsockopt,
    Sysno::setsockopt,
    Sysno::getsockname,
    Sysno::getpeername,
    Sysno::sendto,
    Sysno::recvfrom,
    Sysno::sendmsg,
    Sysno::recvmsg,
    Sysno::listen,
    Sysno::accept,
    Sysno::accept4,
    Sysno::poll,
    Sysno::ppoll,
    Sysno::select,
    Sysno::pselect6,
    Sysno::epoll_create,
    Sysno::epoll_create1,
    Sysno::epoll_ctl,
    Sysno::epoll_wait,
    Sysno::epoll_pwait,
    Sysno::epoll_pwait2,
    Sysno::eventfd,
    Sysno::eventfd2,
    Sysno::signalfd,
    Sysno::signalfd4,
    Sysno::memfd_create,
    Sysno::exit,
    Sysno::exit_group,
    Sysno::statfs,
    Sysno::fstatfs,
    Sysno::fadvise64,
    Sysno::readahead,
    Sysno::ioctl,
    Sysno::kcmp,
    Sysno::seccomp,
];

fn one(code: u16, operand: u32) -> Instruction {
    Instruction { code, if_true: 0, if_false: 0, operand }
}

/// The filter: local calls pass, anonymous mappings pass, foreign architectures are refused, everything else stops.
#[must_use]
pub fn program() -> Vec<Instruction> {
    let mut program = vec![
        one(LOAD, ARCHITECTURE),
        Instruction { code: JUMP_IF_EQUAL, if_true: 1, if_false: 0, operand: X86_64 },
        one(RETURN, REFUSE),
        one(LOAD, NUMBER),
        Instruction { code: JUMP_IF_AT_LEAST, if_true: 0, if_false: 1, operand: X32 },
        one(RETURN, REFUSE),
    ];
    for call in LOCAL {
        program.push(Instruction { code: JUMP_IF_EQUAL, if_true: 0, if_false: 1, operand: *call as u32 });
        program.push(one(RETURN, ALLOW));
    }
    // A mapping of no file: descriptor -1.
    program.extend([
        Instruction { code: JUMP_IF_EQUAL, if_true: 0, if_false: 3, operand: Sysno::mmap as u32 },
        one(LOAD, ARGUMENT_4),
        Instruction { code: JUMP_IF_EQUAL, if_true: 0, if_false: 1, operand: u32::MAX },
        one(RETURN, ALLOW),
        one(RETURN, TRACE),
    ]);
    program
}

#[cfg(test)]
mod tests {
    use super::{Instruction, JUMP_IF_AT_LEAST, JUMP_IF_EQUAL, LOAD, RETURN, program};
    use syscalls::Sysno;

    /// Runs the program as the kernel would.
    fn decide(call: Sysno, argument_4: u32) -> u32 {
        let program = program();
        let (mut at, mut register) = (0, 0);
        loop {
            let Instruction { code, if_true, if_false, operand } = program[at];
            at += 1;
            match code {
                LOAD => {
                    register = match operand {
                        0 => call as u32,
                        4 => super::X86_64,
                        _ => argument_4,
                    }
                }
                JUMP_IF_EQUAL => at += usize::from(if register == operand { if_true } else { if_false }),
                JUMP_IF_AT_LEAST => at += usize::from(if register >= operand { if_true } else { if_false }),
                RETURN => return operand,
                _ => panic!("unknown instruction {code}"),
            }
        }
    }

    #[test]
    fn local_calls_pass_and_the_rest_stops() {
        assert_eq!(decide(Sysno::getpid, 0), super::ALLOW);
        assert_eq!(decide(Sysno::openat, 0), super::TRACE);
        assert_eq!(decide(Sysno::io_uring_setup, 0), super::TRACE);
        assert_eq!(decide(Sysno::mmap, u32::MAX), super::ALLOW);
        assert_eq!(decide(Sysno::mmap, 3), super::TRACE);
        assert_eq!(decide(Sysno::read, 0), super::TRACE);
    }
}
