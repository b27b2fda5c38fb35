//! Calls that sleep until something happens or a time has passed: where nothing can happen, the time passes at once.

use super::TraceError;
use super::arch::name_of;
use super::chance::{EPOCH, UPTIME};
use super::execution::Running;
use super::polling::Pause;
use super::task::{Name, State, Task};
use super::tracee::{Registers, Tracee};
use crate::model::Does;

/// How many timers may run out in a process between two of its operations: a program that does nothing but wait for time to pass
/// will not do anything else.
const MOST_TIMERS: u32 = 10_000;

/// As `FUTEX_LOCK_PI`, with a deadline by either clock.
const FUTEX_LOCK_PI2: i32 = 13;

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
        running.processes[process].polling.wait = None;
        return Ok(false);
    }
    let Some(after) = until_next(running, process) else { return Ok(false) };
    if running.is_long_enough(process, after) {
        return Ok(false);
    }
    if !running.is_by_task(process) && running.processes[process].polling.holds(Pause::Sleep(after)) {
        return Ok(false);
    }
    end_earliest(running, process)
}

/// Whether a process has a timer that runs out by itself.
pub fn is_any(running: &Running<'_>, process: usize) -> bool {
    until_next(running, process).is_some()
}

/// How long until the earliest timer of a process runs out, in nanoseconds.
fn until_next(running: &Running<'_>, process: usize) -> Option<u64> {
    running.of(process).next()?;
    let armed = running.world.timers.next_due(process);
    let armed = armed.map(|due| due.saturating_sub(running.processes[process].clock));
    earliest(running, process).map(|timer| timer.after).into_iter().chain(armed).min()
}

/// Of the sleeping calls of a process the one that ends first.
fn earliest(running: &Running<'_>, process: usize) -> Option<Timer> {
    let mut earliest: Option<Timer> = None;
    for (name, task) in running.of(process) {
        let call = match &task.state {
            State::Asleep { call, .. } => call,
            State::Held { held, entry, .. } if held.operation.awaits && !task.come => entry,
            _ => continue,
        };
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
    earliest
}

/// Whether a call waits for what only a task of the same process can do.
fn is_private_futex(call: &Registers) -> bool {
    let [_, second, ..] = call.arguments();
    name_of(call.call()) == "futex" && second as i32 & libc::FUTEX_PRIVATE_FLAG != 0
}

/// If a process does nothing but sleep, or wait for children of its own that do: one of its tasks that sleep. A task that waits for
/// something else for some time may still be woken by another process.
fn only_sleeps(running: &Running<'_>, process: usize) -> Option<Name> {
    let waits_for_own = |task: &Task| match &task.state {
        State::Asleep { call, .. } => is_private_futex(call),
        _ => false,
    };
    let sleeps = |task: &Task| task.sleeps_until.is_some() || waits_for_own(task);
    let waits_for_children = |task: &Task| match &task.state {
        State::Asleep { call, .. } => matches!(name_of(call.call()), "wait4" | "waitid"),
        state => matches!(state, State::AwaitsChild),
    };
    let all = running.of(process).all(|(_, task)| sleeps(task) || waits_for_children(task));
    running.of(process).find(|(_, task)| all && sleeps(task)).map(|(name, _)| name.clone())
}

/// Lets the earliest timer of a process run out; whether there was one.
pub fn end_earliest(running: &mut Running<'_>, process: usize) -> Result<bool, TraceError> {
    let Some(next) = until_next(running, process) else { return Ok(false) };
    running.limits.event()?;
    let pauses = running.processes[process].pauses;
    if pauses.cost >= running.limits.most_sleeps()
        && let Some(name) = only_sleeps(running, process)
    {
        return Err(running.endless(&name, Does::Sleeps(pauses.count)));
    }
    if running.processes[process].timers >= MOST_TIMERS {
        return Ok(false);
    }
    let state = &mut running.processes[process];
    state.timers += 1;
    state.sleeps();
    let first = earliest(running, process).filter(|first| first.after == next);
    let state = &mut running.processes[process];
    state.clock = (state.clock + next).max(state.not_before);
    if running.run_out_due(process)? {
        return Ok(true);
    }
    let Some(Timer { name, result, call: mut registers, .. }) = first else { return Ok(false) };
    let task = running.task(&name)?;
    let slept = task.sleeps_until.take().is_some() || is_private_futex(&registers);
    tell_of_nothing(&task.tracee, &registers)?;
    registers.skip_with(result);
    task.tracee.set_registers(registers)?;
    task.state = State::Ready;
    if slept {
        running.processes[process].pauses.note();
    }
    Ok(true)
}

/// Where a call waits for descriptors in vain, the kernel says of each that it is not ready.
fn tell_of_nothing(tracee: &Tracee, registers: &Registers) -> Result<(), TraceError> {
    let [first, second, third, fourth, ..] = registers.arguments();
    match name_of(registers.call()) {
        "select" | "pselect6" => {
            let bytes = vec![0; (first as usize).div_ceil(64) * 8];
            let sets = [second, third, fourth].into_iter().filter(|set| *set != 0);
            sets.into_iter().try_for_each(|set| tracee.write(set, &bytes))?;
        }
        "poll" | "ppoll" => {
            // `revents` of each `struct pollfd`.
            (0..second).try_for_each(|entry| tracee.write(first + entry * 8 + 6, &[0; 2]))?;
        }
        _ => {}
    }
    Ok(())
}

/// When the call that a task sleeps in ends by itself, in nanoseconds from `now`, and what it gives then.
fn timeout(tracee: &Tracee, registers: &Registers, now: u64) -> Option<(u64, i64)> {
    let [_, second, third, fourth, fifth, sixth] = registers.arguments();
    let milliseconds = |count: u64| u64::try_from(count as u32 as i32).ok().map(|count| count * 1_000_000);
    let pair = |address: u64, unit: u64| {
        let numbers = tracee.read_numbers(address, 2).ok().filter(|_| address != 0)?;
        Some(numbers[0].saturating_mul(1_000_000_000).saturating_add(numbers[1] * unit))
    };
    let timed_out = -i64::from(libc::ETIMEDOUT);
    // An absolute deadline by one of two clocks.
    let until = |address: u64, clock: u64| {
        let begun = if clock as i32 == libc::CLOCK_REALTIME { EPOCH } else { UPTIME };
        pair(address, 1).map(|until| (until.saturating_sub(begun + now), timed_out))
    };
    match name_of(registers.call()) {
        "poll" => milliseconds(third).map(|after| (after, 0)),
        "epoll_wait" | "epoll_pwait" => milliseconds(fourth).map(|after| (after, 0)),
        "ppoll" => pair(third, 1).map(|after| (after, 0)),
        "epoll_pwait2" => pair(fourth, 1).map(|after| (after, 0)),
        "select" => pair(fifth, 1000).map(|after| (after, 0)),
        "pselect6" => pair(fifth, 1).map(|after| (after, 0)),
        "futex" if second as i32 & 127 == libc::FUTEX_WAIT => pair(fourth, 1).map(|after| (after, timed_out)),
        "futex" if second as i32 & 127 == libc::FUTEX_WAIT_BITSET => {
            // An absolute deadline.
            let realtime = second as i32 & libc::FUTEX_CLOCK_REALTIME != 0;
            let begun = if realtime { EPOCH } else { UPTIME };
            pair(fourth, 1).map(|until| (until.saturating_sub(begun + now), timed_out))
        }
        "futex" if second as i32 & 127 == libc::FUTEX_LOCK_PI => {
            pair(fourth, 1).map(|until| (until.saturating_sub(EPOCH + now), timed_out))
        }
        "futex" if second as i32 & 127 == FUTEX_LOCK_PI2 => {
            let realtime = second as i32 & libc::FUTEX_CLOCK_REALTIME != 0;
            let begun = if realtime { EPOCH } else { UPTIME };
            pair(fourth, 1).map(|until| (until.saturating_sub(begun + now), timed_out))
        }
        "futex_wait" => until(fifth, sixth),
        "futex_waitv" => until(fourth, fifth),
        "mq_timedsend" | "mq_timedreceive" => until(fifth, libc::CLOCK_REALTIME as u64),
        "semtimedop" => pair(fourth, 1).map(|after| (after, -i64::from(libc::EAGAIN))),
        "rt_sigtimedwait" => pair(third, 1).map(|after| (after, -i64::from(libc::EAGAIN))),
        _ => None,
    }
}
