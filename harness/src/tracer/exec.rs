//! What a program is given when it starts: no vDSO, random bytes that repeat, and addresses of its own.

use std::io;

use super::chance::Stream;
use super::decode::World;
use super::execution::Running;
use super::ids::id_of;
use super::paths::{inside, proc_link};
use super::sys;
use super::task::Name;
use super::tracee::Tracee;
use crate::model::ObjectId;

/// How much of the stack to look at: the pointers to arguments and environment, and the auxiliary vector behind them.
const LOOKED_AT: usize = 1 << 20;

const END: u64 = 0;
const IGNORE: u64 = 1;
const RANDOM: u64 = 25;
const VDSO: u64 = 33;

/// At the stop where a new program is about to run its first instruction: takes the vDSO out of the auxiliary vector, so that
/// every look at the clock is a system call, and puts fixed bytes where the kernel put random ones.
///
/// # Errors
/// Where the memory of the task cannot be read or written.
pub fn fix_chance(tracee: &Tracee, random: &mut Stream) -> io::Result<()> {
    let stack = tracee.registers()?.stack();
    for length in [1 << 14, LOOKED_AT] {
        let bytes = tracee.read(stack, length)?;
        let numbers: Vec<u64> =
            bytes.as_chunks::<8>().0.iter().map(|chunk| u64::from_le_bytes(*chunk)).collect();
        let Some(start) = auxiliary_vector(&numbers) else { continue };
        let pairs = numbers[start..].as_chunks::<2>().0.iter().zip(0u64..);
        for ([key, value], place) in pairs.take_while(|([key, _], _)| *key != END) {
            match *key {
                VDSO => tracee.write(stack + (start as u64 + 2 * place) * 8, &IGNORE.to_le_bytes())?,
                RANDOM => tracee.write(*value, &random.bytes(16))?,
                _ => {}
            }
        }
        return Ok(());
    }
    Err(io::Error::other("a program's stack has no auxiliary vector"))
}

/// The program that a task runs, if that is a file of the workspace. The interpreter of a script is the program, not the script.
#[must_use]
pub fn program(tracee: &Tracee, world: &mut World) -> Option<ObjectId> {
    let link = format!("/proc/{}/exe", tracee.id());
    let program = proc_link(&link).ok()?;
    let path = inside(&program)?;
    let status = nix::sys::stat::stat(link.as_str()).ok()?;
    Some(world.objects.at(path, &status))
}

/// How far below the end of a program's memory its mappings begin, at least, in bytes: more than the kernel leaves anyway.
const ABOVE_MAPPINGS: u64 = 1 << 30;
/// By how much that is more for each id, in bytes.
const APART: u64 = 1 << 12;

impl Running<'_> {
    /// To be called before a task makes this call. If the call starts a program, the program gets addresses that no other process has, the
    /// same in each execution: programs make names unique by addresses. The kernel puts mappings below the room that the stack may take, so
    /// the limit of the stack is another one until the program has begun. If a task may not have that limit, its program gets the addresses
    /// of others.
    pub(super) fn place_program(&mut self, name: &Name, call: u64) {
        if !matches!(i64::try_from(call), Ok(libc::SYS_execve | libc::SYS_execveat)) {
            return self.restore_stack(name);
        }
        let Some(task) = self.tasks.get_mut(name).filter(|task| task.stack.is_none()) else { return };
        let id = u64::from(id_of(name.process, u32::try_from(task.number).unwrap_or_default()));
        let Ok(own) = sys::stack_limit(task.tracee.id()) else { return };
        let wide = libc::rlimit { rlim_cur: ABOVE_MAPPINGS + id * APART, ..own };
        task.stack = sys::set_stack_limit(task.tracee.id(), &wide).is_ok().then_some(own);
    }

    /// Restores the limit of the stack: the program has begun, or could not.
    pub(super) fn restore_stack(&mut self, name: &Name) {
        let Some(task) = self.tasks.get_mut(name) else { return };
        if let Some(own) = task.stack.take() {
            let _ = sys::set_stack_limit(task.tracee.id(), &own);
        }
    }
}

/// Where the auxiliary vector begins: behind the count and pointers of the arguments and those of the environment. `None` where
/// it does not lie whole within the numbers.
fn auxiliary_vector(stack: &[u64]) -> Option<usize> {
    let arguments = usize::try_from(*stack.first()?).ok()?;
    let environment = arguments.checked_add(2)?;
    let count = stack.get(environment..)?.iter().position(|pointer| *pointer == 0)?;
    let start = environment + count + 1;
    stack.get(start..)?.iter().step_by(2).any(|key| *key == END).then_some(start)
}

#[cfg(test)]
mod tests {
    use super::auxiliary_vector;

    #[test]
    fn the_vector_is_behind_the_environment() {
        assert_eq!(auxiliary_vector(&[1, 10, 0, 20, 21, 0, 33, 7, 0, 0]), Some(6));
        assert_eq!(auxiliary_vector(&[1, 10, 0, 20, 21, 0, 33, 7]), None);
        assert_eq!(auxiliary_vector(&[]), None);
    }
}
