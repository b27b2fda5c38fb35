//! The calls that the safe wrappers do not have. All `unsafe` of the project is in this file.
#![allow(unsafe_code)]

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::unistd::{ForkResult, Pid};

use super::filter::Instruction;

/// Turns the `-1` of a C call into the error that `errno` holds.
fn check(value: libc::c_long) -> io::Result<libc::c_long> {
    if value < 0 { Err(io::Error::last_os_error()) } else { Ok(value) }
}

/// Forks. What the child may do is the caller's care: it is a copy of the calling thread alone.
pub fn fork() -> io::Result<ForkResult> {
    // SAFETY: the child uses only memory that the calling thread owns, takes no lock that another thread may have held (its
    // allocator's locks are reset by the C library's fork handlers), and leaves by `exit_now` or exec.
    unsafe { nix::unistd::fork() }.map_err(Into::into)
}

/// Forks a child that is the first process of a new process-id namespace. `None` in the child.
pub fn fork_into_new_pid_namespace() -> io::Result<Option<Pid>> {
    let flags = libc::c_long::from(libc::CLONE_NEWPID | libc::SIGCHLD);
    // SAFETY: without CLONE_VM and with no new stack, clone is fork; the same care as there.
    let pid = check(unsafe { libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0) })?;
    Ok((pid != 0).then(|| Pid::from_raw(i32::try_from(pid).unwrap_or(i32::MAX))))
}

/// Whether a new process could have an id, in the process-id namespace of the caller; for those who may choose ids.
///
/// An id is taken until the kernel has collected its process, longer than a signal finds somebody there. So a child with that id
/// is asked for, and a place for its descriptor that is the kernel's own: it is refused in any case, with `EEXIST` if the id is
/// taken.
pub fn is_free(id: u32) -> bool {
    let shared = libc::CLONE_VM | libc::CLONE_FS | libc::CLONE_FILES | libc::CLONE_SIGHAND;
    let wanted = libc::clone_args {
        flags: u64::from((shared | libc::CLONE_PIDFD).cast_unsigned()),
        pidfd: u64::MAX - 7,
        child_tid: 0,
        parent_tid: 0,
        exit_signal: 0,
        stack: 0,
        stack_size: 0,
        tls: 0,
        set_tid: (&raw const id) as u64,
        set_tid_size: 1,
        cgroup: 0,
    };
    // SAFETY: both live across the call, which makes no process: it cannot write where the descriptor would go.
    let refused = check(unsafe { libc::syscall(libc::SYS_clone3, &raw const wanted, size_of_val(&wanted)) });
    !refused.is_err_and(|error| error.raw_os_error() == Some(libc::EEXIST))
}

/// What a socket speaks (`TCP`, `UDP`, `UDPv6`, ...), by a path to its descriptor below `/proc`. `None` if it is no socket.
pub fn socket_protocol(path: &str) -> Option<String> {
    let path = CString::new(path).ok()?;
    let mut text = [0u8; 64];
    let name = c"system.sockprotoname";
    // SAFETY: both texts end in NUL, and the buffer is as long as is said; all three live across the call.
    let length =
        unsafe { libc::getxattr(path.as_ptr(), name.as_ptr(), text.as_mut_ptr().cast(), text.len()) };
    let text = text.get(..usize::try_from(length).ok()?)?;
    Some(String::from_utf8_lossy(text).trim_end_matches('\0').to_owned())
}

/// Gives memory that was freed back to the kernel, where the C library can: what is forked then has less to copy.
pub fn give_back_memory() {
    // SAFETY: takes no pointer; the allocator takes its own locks.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::malloc_trim(0)
    };
}

/// Sets the limits of the stack of a process, of which this is a task.
pub fn set_stack_limit(task: Pid, limit: &libc::rlimit) -> io::Result<()> {
    // SAFETY: it lives across the call, which reads it and writes nothing.
    check(unsafe { libc::prlimit(task.as_raw(), libc::RLIMIT_STACK, limit, std::ptr::null_mut()) }.into())
        .map(drop)
}

/// The limits of the stack of a process, of which this is a task.
pub fn stack_limit(task: Pid) -> io::Result<libc::rlimit> {
    let mut has = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: it lives across the call, which writes it and reads nothing.
    let got = unsafe { libc::prlimit(task.as_raw(), libc::RLIMIT_STACK, std::ptr::null(), &raw mut has) };
    check(got.into())?;
    Ok(has)
}

/// Makes it so that the process, which leads no session, and its children have no controlling terminal; it is `terminal` so far.
pub fn give_up_terminal(terminal: &File) -> io::Result<()> {
    // SAFETY: TIOCNOTTY has no argument.
    check(unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCNOTTY) }.into()).map(drop)
}

/// Ends the process at once: no destructors, no exit handlers, nothing flushed.
pub fn exit_now(status: i32) -> ! {
    // SAFETY: `_exit` has no preconditions.
    unsafe { libc::_exit(status) }
}

/// Makes `descriptor` a further name of what `from` is, in this process, kept across exec.
pub fn place_descriptor(from: BorrowedFd<'_>, descriptor: RawFd) -> io::Result<()> {
    if from.as_raw_fd() == descriptor {
        // SAFETY: F_SETFD reads nothing but its arguments.
        check(unsafe { libc::fcntl(descriptor, libc::F_SETFD, 0) }.into())?;
        return Ok(());
    }
    // SAFETY: replaces descriptors 0 to 2 in a child that owns them.
    check(unsafe { libc::dup2(from.as_raw_fd(), descriptor) }.into()).map(drop)
}

/// Marks every descriptor from `first` on to be closed by exec.
pub fn close_on_exec_from(first: u32) -> io::Result<()> {
    let (last, flags) = (u32::MAX, libc::CLOSE_RANGE_CLOEXEC);
    // SAFETY: sets a flag of descriptors; none is closed here.
    check(unsafe { libc::syscall(libc::SYS_close_range, first, last, flags) }).map(drop)
}

/// Closes every descriptor from `first` on.
pub fn close_from(first: u32) -> io::Result<()> {
    // SAFETY: called in a forked child, which uses none of the descriptors that it was given besides its standard streams.
    check(unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, 0) }).map(drop)
}

/// Dies when the thread that forked this process does.
pub fn die_with_parent() -> io::Result<()> {
    // SAFETY: PR_SET_PDEATHSIG takes a number.
    check(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) }.into()).map(drop)
}

/// Says whether the kernel reaps dead children, or this process is told of them.
pub fn let_children_be_reaped(by_kernel: bool) -> io::Result<()> {
    let action = if by_kernel { libc::SIG_IGN } else { libc::SIG_DFL };
    // SAFETY: neither the default action nor ignoring a signal runs code of ours.
    let previous = unsafe { libc::signal(libc::SIGCHLD, action) };
    if previous == libc::SIG_ERR { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Gives every signal its default action and blocks none, as a freshly logged-in shell would have it.
pub fn reset_signals() {
    for signal in 1..=libc::SIGRTMAX() {
        // SAFETY: the default action runs no code of ours. Those that cannot be set (KILL, STOP) give an error that says so.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    let _ = nix::sys::signal::SigSet::empty().thread_set_mask();
}

/// From here on no exec gives new rights, and `filter` decides which calls stop for the tracer.
pub fn install_filter(filter: &[Instruction]) -> io::Result<()> {
    let program: Vec<libc::sock_filter> = filter
        .iter()
        .map(|one| libc::sock_filter { code: one.code, jt: one.if_true, jf: one.if_false, k: one.operand })
        .collect();
    let length = u16::try_from(program.len()).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    let descriptor = libc::sock_fprog { len: length, filter: program.as_ptr().cast_mut() };
    // SAFETY: PR_SET_NO_NEW_PRIVS takes numbers.
    check(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) }.into())?;
    // SAFETY: `descriptor` and the program that it points to live across the call; the kernel copies them and changes nothing.
    check(unsafe {
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &raw const descriptor)
    })
    .map(drop)
}

/// Runs a program found along `PATH`. Comes back only with an error.
pub fn exec(words: &[CString], environment: &[CString]) -> io::Error {
    let list = |strings: &[CString]| -> Vec<*const libc::c_char> {
        strings.iter().map(|string| string.as_ptr()).chain([std::ptr::null()]).collect()
    };
    let (words, environment) = (list(words), list(environment));
    // SAFETY: both lists end with a null pointer and point to strings that live across the call.
    unsafe { libc::execvpe(words[0], words.as_ptr(), environment.as_ptr()) };
    io::Error::last_os_error()
}

/// Makes the clock functions of the vDSO, which read time without a system call, make the system call instead, in this process.
///
/// For closures: an exec'd program is never shown the vDSO, a forked one has it already. The C library holds pointers to these
/// functions, so they are overwritten where they are. Nothing happens where there is no vDSO.
pub fn silence_vdso() -> io::Result<()> {
    // SAFETY: getauxval reads the auxiliary vector that the kernel gave this process.
    let base = unsafe { libc::getauxval(libc::AT_SYSINFO_EHDR) } as usize;
    if base == 0 {
        return Ok(());
    }
    // SAFETY: the kernel maps a complete ELF image there, of at least its header's page; it is never unmapped by us.
    let header = unsafe { std::slice::from_raw_parts(base as *const u8, 4096) };
    let stubs = super::vdso::stubs(header).map_err(io::Error::other)?;
    let size = super::vdso::size(header).ok_or_else(|| io::Error::other("the vDSO has no size"))?;
    let protect = |protection| {
        // SAFETY: changes the protection of the vDSO only, which no Rust object lives in.
        check(unsafe { libc::mprotect(base as *mut libc::c_void, size, protection) }.into())
    };
    protect(libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC)?;
    for stub in stubs.iter().filter(|stub| stub.offset + stub.code.len() <= size) {
        let start = (base + stub.offset) as *mut u8;
        // SAFETY: the bytes lie within the image; its pages are writable now and private to this process, which has one thread,
        // and that is not in the function that is overwritten.
        unsafe { std::ptr::copy_nonoverlapping(stub.code.as_ptr(), start, stub.code.len()) };
    }
    protect(libc::PROT_READ | libc::PROT_EXEC).map(drop)
}

/// How a stopped task goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Resume {
    /// To the next stop that the filter or an event makes.
    Freely,
    /// To the end of the system call that it is in, at the latest.
    ToCallExit,
    /// Stays stopped by job control, but tells of events.
    Listening,
}

/// Lets a stopped task go on, and delivers `signal` to it where that is not 0.
///
/// Raw, because the safe wrapper has no real-time signals.
pub fn resume(task: Pid, how: Resume, signal: i32) -> io::Result<()> {
    let request = match how {
        Resume::Freely => libc::PTRACE_CONT,
        Resume::ToCallExit => libc::PTRACE_SYSCALL,
        Resume::Listening => libc::PTRACE_LISTEN,
    };
    // SAFETY: these requests read no memory of ours; the address is not used and the data is a signal's number.
    check(unsafe { libc::ptrace(request, task.as_raw(), 0, libc::c_long::from(signal)) }).map(drop)
}

/// Waits until a task has changed state: its raw status.
///
/// Raw, because the safe wrapper cannot tell of real-time signals.
pub fn wait_status(task: Pid) -> io::Result<i32> {
    let mut status = 0;
    loop {
        // SAFETY: `status` is valid for writing across the call.
        let waited = unsafe { libc::waitpid(task.as_raw(), &raw mut status, libc::__WALL) };
        match check(waited.into()) {
            Ok(_) => return Ok(status),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// The raw status of a task that has changed state; `None` where none has.
///
/// Raw, because the safe wrapper cannot tell of real-time signals.
pub fn poll_status(task: Pid) -> io::Result<Option<i32>> {
    let mut status = 0;
    // SAFETY: `status` is valid for writing across the call.
    match unsafe { libc::waitpid(task.as_raw(), &raw mut status, libc::__WALL | libc::WNOHANG) } {
        0 => Ok(None),
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(Some(status)),
    }
}

/// Waits until a child, of whatever kind, is gone: which, and its raw status. `None` where none is left.
///
/// Raw, because the safe wrapper cannot tell of real-time signals.
pub fn wait_for_any() -> io::Result<Option<(Pid, i32)>> {
    let mut status = 0;
    loop {
        // SAFETY: `status` is valid for writing across the call.
        let waited = unsafe { libc::waitpid(-1, &raw mut status, libc::__WALL) };
        match check(waited.into()) {
            Ok(_) => return Ok(Some((Pid::from_raw(waited), status))),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.raw_os_error() == Some(libc::ECHILD) => return Ok(None),
            Err(error) => return Err(error),
        }
    }
}

/// A child or a traced task of this thread that has changed state, and its raw status; `None` if none has.
pub fn poll_any() -> io::Result<Option<(Pid, i32)>> {
    let mut status = 0;
    let flags = libc::__WALL | libc::__WNOTHREAD | libc::WNOHANG;
    // SAFETY: `status` is valid for writing across the call.
    match unsafe { libc::waitpid(-1, &raw mut status, flags) } {
        0 => Ok(None),
        -1 => Err(io::Error::last_os_error()),
        task => Ok(Some((Pid::from_raw(task), status))),
    }
}

/// Sends a signal to a process.
pub fn send_signal(process: Pid, signal: i32) -> io::Result<()> {
    // SAFETY: kill takes numbers.
    check(unsafe { libc::kill(process.as_raw(), signal) }.into()).map(drop)
}

/// A `siginfo_t` as the kernel reads it: number, error, code; then a timer's number, its overruns (or who sends it), and the value.
pub fn info(signal: i32, code: i32, value: u64) -> [u64; 16] {
    let mut info = [0u64; 16];
    info[0] = u64::from(signal.cast_unsigned());
    info[1] = u64::from(code.cast_unsigned());
    info[3] = value;
    info
}

/// Sends a signal with what there is to say of it, to a process or to one task of it.
pub fn queue_signal(process: Pid, task: Option<Pid>, signal: i32, info: &[u64; 16]) -> io::Result<()> {
    let process = process.as_raw();
    let sent = match task {
        // SAFETY: the kernel reads a `siginfo_t`, of 128 bytes, at the pointer.
        Some(task) => unsafe {
            libc::syscall(libc::SYS_rt_tgsigqueueinfo, process, task.as_raw(), signal, info.as_ptr())
        },
        // SAFETY: as above.
        None => unsafe { libc::syscall(libc::SYS_rt_sigqueueinfo, process, signal, info.as_ptr()) },
    };
    check(sent).map(drop)
}

/// A copy of a descriptor of another process.
pub fn descriptor_of(process: Pid, number: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: takes numbers; what it gives is a new descriptor, ours alone.
    let handle = check(unsafe { libc::syscall(libc::SYS_pidfd_open, process.as_raw(), libc::PIDFD_THREAD) })?;
    // SAFETY: as it says.
    let handle = unsafe { OwnedFd::from_raw_fd(handle as RawFd) };
    // SAFETY: takes numbers; what it gives is a new descriptor, ours alone.
    let copy = check(unsafe { libc::syscall(libc::SYS_pidfd_getfd, handle.as_raw_fd(), number, 0) })?;
    // SAFETY: as it says.
    Ok(unsafe { OwnedFd::from_raw_fd(copy as RawFd) })
}

/// How much the kernel counts of what a socket has sent and nobody has taken yet.
pub fn unsent(socket: &OwnedFd) -> io::Result<u64> {
    let mut counted: libc::c_int = 0;
    // SAFETY: writes one number, which lives across the call.
    check(unsafe { libc::ioctl(socket.as_raw_fd(), libc::TIOCOUTQ, &raw mut counted) }.into())?;
    Ok(u64::try_from(counted).unwrap_or(0))
}

/// Clears the flags of a file, some of which forbid changing it (immutable, append-only).
pub fn clear_flags(file: &File) -> io::Result<()> {
    let none: libc::c_int = 0;
    // SAFETY: reads one number, which lives across the call.
    check(unsafe { libc::ioctl(file.as_raw_fd(), libc::FS_IOC_SETFLAGS, &raw const none) }.into()).map(drop)
}

/// Makes a timer's descriptor readable, or not: arms it with a time that is past, or disarms it.
pub fn set_timer(timer: RawFd, readable: bool) -> io::Result<()> {
    let never = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    let value = libc::timespec { tv_sec: 0, tv_nsec: readable.into() };
    let (spec, flags) = (libc::itimerspec { it_interval: never, it_value: value }, libc::TFD_TIMER_ABSTIME);
    // SAFETY: `spec` lives across the call; nothing is written.
    check(unsafe { libc::timerfd_settime(timer, flags, &raw const spec, std::ptr::null_mut()) }.into())?;
    if readable {
        let mut looked_at = libc::pollfd { fd: timer, events: libc::POLLIN, revents: 0 };
        // SAFETY: one entry, valid across the call. The kernel tells of the timer within microseconds.
        check(unsafe { libc::poll(&raw mut looked_at, 1, -1) }.into())?;
    }
    Ok(())
}
