//! What a program is given when it starts: no vDSO, and random bytes that repeat.

use std::io;

use super::chance::Stream;
use super::tracee::Tracee;

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
