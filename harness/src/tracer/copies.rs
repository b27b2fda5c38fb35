//! Copies of processes: what is paid once for a program, and what is paid for each execution.
//!
//! A *template* is made of each program when it is first started: a process that is set up in full, with the filter in force, held
//! before its first instruction of its own. To start the program is to copy the template. A copy is made by having a process that is
//! held at the entry of a call make another one, `clone`; it is then held at the same entry.

use std::io;

use super::tracee::{Registers, Resume, Stop, Tracee};

/// A copy of a task that is held at this entry: held at the same entry, with the same parent.
///
/// # Errors
/// Where the task is gone, or the machine does not let it fork.
pub fn copy(of: &Tracee, entry: &Registers) -> io::Result<Tracee> {
    let flags = (libc::CLONE_PARENT | libc::SIGCHLD) as u64;
    let (result, child) = of.call(entry, libc::SYS_clone, [flags, 0, 0])?;
    let error = || io::Error::from_raw_os_error(i32::try_from(-result).unwrap_or(libc::EAGAIN));
    let copy = of.another(child.ok_or_else(error)?);
    copy.wait_for_stop().and_then(|_| copy.back_to(entry)).inspect_err(|_| copy.kill())?;
    Ok(copy)
}

/// A process of a program, set up and held before the program begins.
#[derive(Debug)]
pub struct Template {
    tracee: Tracee,
    entry: Registers,
}

impl Template {
    /// Runs a process that has just been forked up to the end of its setting up: the first call that the filter stops. `None` where
    /// it ends before.
    ///
    /// # Errors
    /// Where the machine fails.
    pub fn make(tracee: Tracee) -> io::Result<Option<Self>> {
        loop {
            match tracee.wait_for_stop().inspect_err(|_| tracee.kill())? {
                Stop::CallEntry => break,
                Stop::Gone(_) => return Ok(None),
                _ => tracee.resume(Resume::Freely, 0)?,
            }
        }
        let entry = tracee.registers()?;
        Ok(Some(Self { tracee, entry }))
    }

    /// A process that begins the program when it goes on.
    ///
    /// # Errors
    /// Where the machine fails.
    pub fn start(&self) -> io::Result<Tracee> {
        copy(&self.tracee, &self.entry)
    }
}

impl Drop for Template {
    fn drop(&mut self) {
        self.tracee.kill();
    }
}
