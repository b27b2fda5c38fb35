//! Standard output and error are kept in memory, up to a size. What a process writes beyond it is dropped, and the process does not
//! notice.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};

use super::TraceError;
use super::arch::name_of;
use super::execution::Running;
use super::input::Pipe;
use super::sandbox::Sandbox;
use super::task::Name;
use super::tracee::Registers;
use crate::model::{GapKind, ProcessId, Sighting};

/// How many bytes of each stream are kept.
pub(super) const MOST_KEPT: u64 = 16 << 20;

/// Where a program's standard output and error go: files in memory; and its standard input.
#[derive(Debug)]
pub(super) struct Output {
    pub(super) out: File,
    pub(super) err: File,
    /// The pipe that its standard input is, where it is asked.
    pub(super) input: Option<Pipe>,
}

impl Sandbox {
    /// Makes it so that a program has written this.
    ///
    /// # Errors
    /// Those of writing a file in memory.
    pub fn set_output(&self, program: usize, out: &[u8], err: &[u8]) -> io::Result<()> {
        let Output { out: stdout, err: stderr, .. } = &self.outputs[program];
        for (file, bytes) in [(stdout, out), (stderr, err)] {
            if file.metadata()?.len() > 0 {
                file.set_len(0)?;
            }
            file.write_all_at(bytes, 0)?;
        }
        Ok(())
    }

    /// Adds to what a program has written.
    ///
    /// # Errors
    /// Those of writing a file in memory.
    pub fn append_output(&self, program: usize, out: &[u8], err: &[u8]) -> io::Result<()> {
        let ([out_end, err_end], Output { out: stdout, err: stderr, .. }) =
            (self.lengths(program)?, &self.outputs[program]);
        stdout.write_all_at(out, out_end)?;
        stderr.write_all_at(err, err_end)
    }

    /// How much a program has written to its standard output and error.
    ///
    /// # Errors
    /// Those of asking for the size of a file in memory.
    pub fn lengths(&self, program: usize) -> io::Result<[u64; 2]> {
        Ok([self.outputs[program].out.metadata()?.len(), self.outputs[program].err.metadata()?.len()])
    }

    /// The status of the files in memory that a program's standard output and error go to.
    ///
    /// # Errors
    /// Those of looking at them.
    pub fn streams(&self, program: usize) -> io::Result<[std::fs::Metadata; 2]> {
        let Output { out, err, .. } = &self.outputs[program];
        Ok([out.metadata()?, err.metadata()?])
    }

    /// What a program wrote to its standard output and error since it was launched, as far as it is kept.
    ///
    /// # Errors
    /// Those of reading a file in memory.
    pub fn output(&self, program: usize) -> io::Result<(Vec<u8>, Vec<u8>)> {
        self.outputs[program].kept()
    }
}

impl Output {
    /// What is in both, as far as it is kept.
    ///
    /// # Errors
    /// Those of reading a file in memory.
    pub fn kept(&self) -> io::Result<(Vec<u8>, Vec<u8>)> {
        let whole = |file: &File| {
            let mut bytes = vec![0; file.metadata()?.len().min(MOST_KEPT) as usize];
            file.read_exact_at(&mut bytes, 0).map(|()| bytes)
        };
        Ok((whole(&self.out)?, whole(&self.err)?))
    }
}

impl Running<'_> {
    /// The result to give for a call that would make a standard stream longer than what is kept of it.
    pub(super) fn drop_output(&mut self, name: &Name, entry: &Registers) -> Result<Option<i64>, TraceError> {
        let Some(length) = self.written_by(name, entry) else { return Ok(None) };
        let process = &mut self.processes[name.process];
        if let Some(left) = process.surely_kept.checked_sub(length) {
            process.surely_kept = left;
            return Ok(None);
        }
        let streams = self.sandbox.streams(self.programs[name.process])?;
        let longest = streams.iter().map(|stream| stream.len() + length).max().unwrap_or(0);
        self.processes[name.process].surely_kept = MOST_KEPT.saturating_sub(longest);
        if !streams.iter().any(|stream| stream.len() + length > MOST_KEPT) {
            return Ok(None);
        }
        let task = self.task(name)?;
        let descriptor = format!("/proc/{}/fd/{}", task.tracee.id(), entry.arguments()[0] as i32);
        let Ok(file) = std::fs::metadata(descriptor) else { return Ok(None) };
        let is = |stream: &std::fs::Metadata| (stream.dev(), stream.ino()) == (file.dev(), file.ino());
        if !is(&streams[0]) && !is(&streams[1]) || file.len() + length <= MOST_KEPT {
            return Ok(None);
        }
        let process = ProcessId(name.process);
        let what = format!("what {process} prints beyond {} MiB", MOST_KEPT >> 20);
        self.world.sight(Sighting::new(GapKind::Output, process, what));
        Ok(i64::try_from(length).ok())
    }

    /// How many bytes a call writes to a descriptor, if it does.
    fn written_by(&mut self, name: &Name, entry: &Registers) -> Option<u64> {
        let [_, buffers, count, ..] = entry.arguments();
        match name_of(entry.call()) {
            "write" | "pwrite64" => Some(count.min(i32::MAX as u64)),
            "writev" | "pwritev" | "pwritev2" => {
                let vectors = usize::try_from(count).ok().filter(|count| *count <= 1024)?;
                let numbers = self.task(name).ok()?.tracee.read_numbers(buffers, 2 * vectors).ok()?;
                Some(numbers.iter().skip(1).step_by(2).fold(0, |sum, length| sum.saturating_add(*length)))
            }
            _ => None,
        }
    }
}
