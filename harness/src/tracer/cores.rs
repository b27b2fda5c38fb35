//! Which cores the calling thread may use.

use nix::sched::{CpuSet, sched_getaffinity, sched_getcpu, sched_setaffinity};
use nix::unistd::Pid;

/// The cores that the calling thread may use, in their order.
#[must_use]
pub fn cores() -> Vec<usize> {
    let Ok(set) = sched_getaffinity(Pid::from_raw(0)) else { return Vec::new() };
    (0..CpuSet::count()).filter(|core| set.is_set(*core).unwrap_or(false)).collect()
}

/// Moves the calling thread to these cores, where that is allowed: a tracer stays on the core that it is made on.
pub fn move_to(cores: &[usize]) {
    let mut set = CpuSet::new();
    if !cores.is_empty() && cores.iter().all(|core| set.set(*core).is_ok()) {
        let _ = sched_setaffinity(Pid::from_raw(0), &set);
    }
}

/// Binds the calling thread to the core that it is on: a hand-over to another core costs ten times as much. Gives the cores that
/// it may use otherwise.
pub fn bind_to_one_core() -> Option<CpuSet> {
    let before = sched_getaffinity(Pid::from_raw(0)).ok()?;
    let mut one = CpuSet::new();
    one.set(sched_getcpu().ok()?).ok()?;
    sched_setaffinity(Pid::from_raw(0), &one).ok()?;
    Some(before)
}
