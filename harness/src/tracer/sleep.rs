//! Calls that sleep until something happens or a time has passed: where nothing can happen, the time passes at once.

use syscalls::Sysno;

use super::TraceError;
use super::chance::{EPOCH, UPTIME};
use super::execution::Running;
use super::task::{Name, State};
use super::tracee::{Registers, Tracee};

/// How many timers may run out in a process between two of its operations: a program that does nothing but wait for time to pass
/// will not do anything else.
const MOST_TIMERS: u32 = 10_000;

/// A sleeping call that ends by itself.
struct Timer {
    name: Name,
    /// Nanoseconds from now.
    after: u64,
    result: i64,
    call: Registers,
}

/// Lets the earliest timer of a process run out, where all its tasks sleep; whether there was one.
pub fn run_out(running: &mut Running<'_>, process: usize) -> Result<bool, TraceError> {
    if running.of(process).any(|(_, task)| task.pending().is_some() && !task.is_held_for_input()) {
        return Ok(false);
    }
    let mut earliest: Option<Timer> = None;
    for (name, task) in running.of(process) {
        let State::Asleep { call, .. } = &task.state else { continue };
        let now = running.processes[process].clock;
        if running.is_asked_in(process, task, call) {
            continue;
        }
        let slept = task.sleeps_until.map(|until| (until.saturating_sub(now), 0));
        if let Some((after, result)) = slept.or_else(|| timeout(&task.tracee, call, now))
            && earliest.as_ref().is_none_or(|first| after < first.after)
        {
            earliest = Some(Timer { name: name.clone(), after, result, call: *call });
        }
    }
    let Some(Timer { name, after, result, call: mut registers }) = earliest else { return Ok(false) };
    let state = &running.processes[process];
    if state.timers == MOST_TIMERS || running.interrupted() || running.is_long_enough(process, after) {
        return Ok(false);
    }
    let state = &mut running.processes[process];
    state.timers += 1;
    state.has_slept = true;
    state.clock += after;
    let task = running.task(&name)?;
    task.sleeps_until = None;
    registers.skip_with(result);
    task.tracee.set_registers(registers)?;
    task.state = State::Ready;
    Ok(true)
}

/// When the call that a task sleeps in ends by itself, in nanoseconds from `now`, and what it gives then.
fn timeout(tracee: &Tracee, registers: &Registers, now: u64) -> Option<(u64, i64)> {
    let [_, second, third, fourth, fifth, _] = registers.arguments();
    let call = usize::try_from(registers.call()).ok().and_then(Sysno::new)?;
    let milliseconds = |count: u64| u64::try_from(count as u32 as i32).ok().map(|count| count * 1_000_000);
    let pair = |address: u64, unit: u64| {
        let numbers = tracee.read_numbers(address, 2).ok().filter(|_| address != 0)?;
        Some(numbers[0].saturating_mul(1_000_000_000).saturating_add(numbers[1] * unit))
    };
    let timed_out = -i64::from(libc::ETIMEDOUT);
    match call {
        Sysno::poll => milliseconds(third).map(|after| (after, 0)),
        Sysno::epoll_wait | Sysno::epoll_pwait => milliseconds(fourth).map(|after| (after, 0)),
        Sysno::ppoll => pair(third, 1).map(|after| (after, 0)),
        Sysno::epoll_pwait2 => pair(fourth, 1).map(|after| (after, 0)),
        Sysno::select => pair(fifth, 1000).map(|after| (after, 0)),
        Sysno::pselect6 => pair(fifth, 1).map(|after| (after, 0)),
        Sysno::futex if second as i32 & 127 == libc::FUTEX_WAIT => {
            pair(fourth, 1).map(|after| (after, timed_out))
        }
        Sysno::futex if second as i32 & 127 == libc::FUTEX_WAIT_BITSET => {
            // An absolute deadline.
            let realtime = second as i32 & libc::FUTEX_CLOCK_REALTIME != 0;
            let begun = if realtime { EPOCH } else { UPTIME };
            pair(fourth, 1).map(|until| (until.saturating_sub(begun + now), timed_out))
        }
        Sysno::rt_sigtimedwait => pair(third, 1).map(|after| (after, -i64::from(libc::EAGAIN))),
        _ => None,
    }
}
