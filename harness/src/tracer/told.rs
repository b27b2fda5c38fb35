//! What programs are told of files: the same on every machine and in every execution.

use super::TraceError;
use super::execution::Running;
use super::objects::{DEVICE, DIRECTORY_SIZE, Touch};
use super::task::Name;
use crate::model::{ObjectId, Operation};

impl Running<'_> {
    /// Puts into what the kernel has just told of an object, at this address, what does not depend on the machine.
    pub(super) fn tell_status(
        &mut self,
        name: &Name,
        object: ObjectId,
        buffer: u64,
        extended: bool,
        operation: Option<&Operation>,
    ) -> Result<(), TraceError> {
        let times = if self.world.objects.has_its_own_time(object) {
            [self.time_told(name, buffer, extended)?; 2]
        } else {
            self.times_seen(name.process, object, operation)
        };
        self.fix_status(name, object, times, buffer, extended)
    }

    /// The times of the last change of what an object holds, and of the last change of any kind, in nanoseconds since 1970, as far as an
    /// operation can see them.
    fn times_seen(&mut self, process: usize, object: ObjectId, operation: Option<&Operation>) -> [u64; 2] {
        let before = self.known_before(process, operation);
        let sees_all = self.processes[process].has_slept;
        let known =
            |by: usize, number: u32| sees_all || before.get(by).is_some_and(|&events| number <= events);
        let touches = self.world.objects.touches(object, known);
        let latest = |counts: &dyn Fn(&Touch) -> bool| {
            let times = touches.iter().filter(|touch| counts(touch)).map(|touch| self.time_of(touch));
            times.max().unwrap_or_else(|| self.world.objects.time_before(object))
        };
        let times = [latest(&|touch| touch.modifies), latest(&|touch| !touch.is_set)];
        let path = operation.and_then(|operation| operation.call.path.as_deref());
        self.note_times(process, object, touches, path.unwrap_or_default());
        times
    }

    /// Makes what a program is told of an object the same on every machine and in every execution.
    fn fix_status(
        &mut self,
        name: &Name,
        object: ObjectId,
        times: [u64; 2],
        buffer: u64,
        extended: bool,
    ) -> Result<(), TraceError> {
        let stamp =
            |time: u64| [(time / 1_000_000_000).to_le_bytes(), (time % 1_000_000_000).to_le_bytes()].concat();
        // Reading a file moves none of its times.
        let [modified, changed] = times.map(stamp);
        let inode = self.world.objects.inode_shown(object).to_le_bytes();
        let is_directory = self.world.objects.is_directory(object);
        let tracee = &self.task(name)?.tracee;
        let is_removed = if extended {
            tracee.read_numbers(buffer + 16, 1)?[0] as u32 == 0
        } else {
            tracee.read_numbers(buffer + 16, 1)?[0] == 0
        };
        // One link, as where directories do not count those above them; and a size that does not follow the names.
        let (links, size) = (u64::from(!is_removed).to_le_bytes(), DIRECTORY_SIZE.to_le_bytes());
        if is_directory && extended {
            tracee.write(buffer + 16, &links[..4])?;
            tracee.write(buffer + 40, &size)?;
        } else if is_directory {
            tracee.write(buffer + 16, &links)?;
            tracee.write(buffer + 48, &size)?;
        }
        if object.was_outside() && !is_directory {
            // How much of a disk it takes depends on the layer that it is in.
            let (size, blocks) = if extended { (40, 48) } else { (48, 64) };
            let size = tracee.read_numbers(buffer + size, 1)?[0];
            tracee.write(buffer + blocks, &(size.div_ceil(4096) * 8).to_le_bytes())?;
        }
        if extended {
            tracee.write(buffer + 32, &inode)?;
            for (at, stamp) in [(64, &modified), (80, &modified), (96, &changed), (112, &modified)] {
                tracee.write(buffer + at, stamp)?;
            }
            let device = [0u32.to_le_bytes(), (DEVICE as u32).to_le_bytes()].concat();
            tracee.write(buffer + 136, &[device.as_slice(), &1u64.to_le_bytes()].concat())?;
        } else {
            tracee.write(buffer, &[DEVICE.to_le_bytes(), inode].concat())?;
            tracee.write(buffer + 72, &[modified.as_slice(), &modified, &changed].concat())?;
        }
        Ok(())
    }

    /// The time of the last change that the kernel has just told, in nanoseconds since 1970.
    fn time_told(&mut self, name: &Name, buffer: u64, extended: bool) -> Result<u64, TraceError> {
        let at = if extended { 112 } else { 88 };
        let numbers = self.task(name)?.tracee.read_numbers(buffer + at, 2)?;
        let rest = numbers[1] & u64::from(u32::MAX);
        Ok(numbers[0].saturating_mul(1_000_000_000).saturating_add(rest))
    }
}

/// What programs are told of the workspace's file system from its third field on: blocks, free ones, free ones for all; inodes, free
/// ones; its id.
pub fn space() -> Vec<u8> {
    [1u64 << 20, 1 << 20, 1 << 20, 1 << 20, 1 << 20, DEVICE]
        .iter()
        .flat_map(|number| number.to_le_bytes())
        .collect()
}
