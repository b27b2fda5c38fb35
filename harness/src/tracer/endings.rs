//! How processes end: an end that is known is not run again.
//!
//! What a process does behind an operation follows from what happened before it in the partial order, and from nothing else: that is
//! what makes executions repeat. So where it once ended behind an operation with this past, and meanwhile did nothing that anybody
//! can see but write to its own output, it will do so again: it is ended at once, and its output is completed. The tear-down of an
//! interpreter takes as long as its work.

use std::collections::BTreeMap;

use super::TraceError;
use super::arch::name_of;
use super::execution::Running;
use super::known::Past;
use super::task::Name;
use crate::model::Exit;

/// How many ends are remembered.
const MOST: usize = 10_000;

/// How processes ended.
#[derive(Debug, Default)]
pub struct Ends(BTreeMap<(usize, Past), End>);

#[derive(Clone, Debug)]
struct End {
    exit: Exit,
    out: Vec<u8>,
    err: Vec<u8>,
}

/// What a process has done since its last operation.
#[derive(Debug, Default)]
pub struct Segment {
    /// Whether it did something that somebody else may see, or that may come out otherwise another time; or was not alone.
    pub seen: bool,
    /// How much was in its output before it wrote to it.
    pub lengths: Option<[u64; 2]>,
}

/// Whether a call that is passed concerns nobody else, where nothing outside of the workspace is written but the own output.
#[must_use]
pub fn is_private(call: u64) -> bool {
    let call = name_of(call);
    let looks = [
        "read",
        "pread64",
        "lseek",
        "close",
        "mmap",
        "open",
        "openat",
        "getdents64",
        "readlink",
        "readlinkat",
        "stat",
        "lstat",
        "fstat",
        "newfstatat",
        "statx",
        "access",
        "faccessat",
        "faccessat2",
        "poll",
        "ppoll",
        "select",
        "pselect6",
        "epoll_ctl",
    ];
    looks.contains(&call) || writes(call)
}

fn writes(call: &str) -> bool {
    matches!(call, "write" | "writev")
}

impl Running<'_> {
    /// Takes note of a call at its entry, which is passed or answered. `private`: it concerns nobody else.
    pub(super) fn note_in_segment(
        &mut self,
        process: usize,
        call: u64,
        private: bool,
    ) -> Result<(), TraceError> {
        let program = self.programs[process];
        let segment = &mut self.processes[process].segment;
        segment.seen |= !private;
        if segment.lengths.is_none() && writes(name_of(call)) {
            segment.lengths = Some(self.sandbox.lengths(program)?);
        }
        Ok(())
    }

    /// Whether all that processes do is known to the tracer.
    fn all_is_known(&self) -> bool {
        self.all_covered && self.world.is_all_covered()
    }

    /// Behind an operation: ends the process, where it is known that it comes to its end now, and how.
    pub(super) fn end_as_known(&mut self, process: usize, name: &Name) -> Result<bool, TraceError> {
        // A process of several tasks has not come to its end when one of them has.
        let alone = name.way.is_empty() && self.of(process).count() == 1;
        self.processes[process].segment = Segment { seen: !alone, ..Segment::default() };
        let is_held_at_end = self.known.signalled_at_end.contains(&process);
        if !alone || is_held_at_end || !self.all_is_known() || self.writes_outside(process) {
            return Ok(false);
        }
        let Some(past) = self.pasts[process].last() else { return Ok(false) };
        let Some(End { exit, out, err }) = self.known.ends.0.get(&(self.programs[process], *past)).cloned()
        else {
            return Ok(false);
        };
        self.sandbox.append_output(self.programs[process], &out, &err)?;
        self.task(name)?.tracee.kill();
        self.forget(name, exit);
        Ok(true)
    }

    /// Behind the run that followed an operation: takes note of how the process ended, where it did.
    pub(super) fn learn_end(&mut self, process: usize) -> Result<(), TraceError> {
        let Some(exit) = self.status(process).exit().filter(|_| self.of(process).next().is_none()) else {
            return Ok(());
        };
        let Some(past) = self.pasts[process].last().copied() else { return Ok(()) };
        let segment = &self.processes[process].segment;
        if segment.seen || !self.all_is_known() || self.writes_outside(process) {
            return Ok(());
        }
        let program = self.programs[process];
        let [out, err] = match segment.lengths {
            Some([out, err]) => {
                let (whole_out, whole_err) = self.sandbox.output(program)?;
                let rest = |whole: &[u8], from| whole.get(from as usize..).unwrap_or_default().to_vec();
                [rest(&whole_out, out), rest(&whole_err, err)]
            }
            None => [Vec::new(), Vec::new()],
        };
        if self.known.ends.0.len() == MOST {
            self.known.ends.0.clear();
        }
        self.known.ends.0.insert((program, past), End { exit, out, err });
        Ok(())
    }
}
