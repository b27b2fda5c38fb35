//! The lives of the zygote and of its init, which are forked from the controller, as far as they are not the programs'.

use std::ffi::CString;
use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;

use nix::sys::socket::{MsgFlags, send};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::ForkResult;

use super::ids::is_of_child;
use super::sandbox::{LONGEST_ANSWER, receive_up_to};
use super::start::{Control, Prepared, begin};
use super::{root, sys};
use crate::model::Root;

/// How often it is looked whether an id is free again. It is not where somebody has it for good: then the next free one is given.
const MOST_LOOKS: u32 = 10_000;

/// The life of the zygote: sets up the namespaces, forks the init, and waits.
pub fn zygote(gate: &OwnedFd, root: Root, init: impl FnOnce(&OwnedFd) -> i32) -> i32 {
    let tell = |message: &[u8]| send(gate.as_raw_fd(), message, MsgFlags::MSG_NOSIGNAL).is_ok();
    let hidden = match root::enter(root) {
        Ok(hidden) => hidden,
        Err((step, error)) => {
            tell(format!("{step}\0{error}").as_bytes());
            return 1;
        }
    };
    let Ok((set_up, tell_set_up)) = nix::unistd::pipe() else { return 1 };
    match sys::fork_into_new_pid_namespace() {
        Ok(None) => {
            drop(set_up);
            root::mount_proc();
            drop(tell_set_up);
            init(gate)
        }
        Ok(Some(init)) => {
            drop(tell_set_up);
            // The end of the pipe tells that the init has set itself up, or is gone.
            let _ = nix::unistd::read(&set_up, &mut [0]);
            // No step is called nothing.
            let hidden = hidden.iter().flat_map(|path| [path.as_os_str().as_bytes(), b"\0"]);
            tell(
                &[b"\0", &init.as_raw().to_le_bytes()[..]]
                    .into_iter()
                    .chain(hidden)
                    .collect::<Vec<_>>()
                    .concat(),
            );
            let _ = waitpid(init, Some(WaitPidFlag::__WALL));
            0
        }
        Err(error) => {
            tell(format!("making a process-id namespace\0{error}").as_bytes());
            1
        }
    }
}

/// Waits until an id can be given. That of a process whose parent has ended is given back by the parent, a moment after the
/// controller has been told that this one ended.
fn await_free(id: u32) {
    for _ in 0..MOST_LOOKS {
        if sys::is_free(id) {
            return;
        }
        let _ = nix::sched::sched_yield();
    }
}

/// The life of the init: forks a process for each request, or sees to the id of the next one. Its dead children are reaped by the
/// kernel.
pub fn init(gate: &OwnedFd, programs: &[Prepared], environment: &[CString]) -> i32 {
    let reaping = sys::let_children_be_reaped(true).and_then(|()| sys::die_with_parent());
    if reaping.is_err() {
        return 1;
    }
    let last_id = File::options().write(true).open("/proc/sys/kernel/ns_last_pid");
    // Whether a process under test has had children: only then can an id be taken still.
    let mut families = false;
    loop {
        let Ok(request) = receive_up_to(gate, LONGEST_ANSWER) else { return 1 };
        let ([program, id], []) = request.as_chunks::<4>() else { return 1 };
        let id = u32::from_le_bytes(*id);
        families |= is_of_child(id);
        if families {
            await_free(id);
        }
        let last = (id - 1).to_string();
        let answer = match &last_id {
            Ok(file) => file.write_all_at(last.as_bytes(), 0).map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        if let Some(prepared) = programs.get(u32::from_le_bytes(*program) as usize) {
            match sys::fork() {
                Ok(ForkResult::Child) => sys::exit_now(begin(prepared, environment, Control::Traced)),
                Ok(ForkResult::Parent { .. }) => continue,
                Err(_) => return 1,
            }
        }
        let answer = answer.map_or_else(String::into_bytes, |()| b"ok".to_vec());
        if send(gate.as_raw_fd(), &answer, MsgFlags::MSG_NOSIGNAL).is_err() {
            return 1;
        }
    }
}
