//! What differs between processors: registers, the numbers of system calls, how a call is made again, the vDSO.
//!
//! A further processor is a further file here. The table of calls has the numbers of aarch64 already.

use syscalls::Sysno;

#[cfg(target_arch = "x86_64")]
mod x86_64;

#[cfg(target_arch = "x86_64")]
pub use x86_64::*;

#[cfg(not(target_arch = "x86_64"))]
compile_error!(
    "cooks-harness traces on x86-64 only: another processor needs its registers and its vDSO in harness/src/tracer/arch \
     (the table of system calls has the numbers of aarch64)"
);

/// The kernel's name of a call, by its number here; nothing where it has none. Whoever asks by name needs no call that only some
/// processors have.
#[must_use]
pub fn name_of(call: u64) -> &'static str {
    usize::try_from(call).ok().and_then(Sysno::new).map_or("", |call| call.name())
}
