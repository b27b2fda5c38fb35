//! Whose file permissions the kernel checks. A process with all rights sees the modes and owners of directories only in what it makes there.

use std::collections::BTreeSet;
use std::sync::OnceLock;

/// Those of Linux's capabilities that stand for the checks: `CAP_DAC_OVERRIDE`, `CAP_DAC_READ_SEARCH`, `CAP_FOWNER`, `CAP_FSETID`.
const ALL: u64 = 0b1_1110;

/// Which processes are checked in one execution.
#[derive(Debug, Default)]
pub struct Rights {
    /// Those that have changed their rights, or whose child has.
    changed: BTreeSet<usize>,
}

impl Rights {
    /// Whether the kernel may refuse something to a process because of a mode or an owner.
    #[must_use]
    pub fn are_checked(&self, process: usize) -> bool {
        !have_all() || self.have_changed(process)
    }

    /// Whether a process has changed its rights.
    #[must_use]
    pub fn have_changed(&self, process: usize) -> bool {
        self.changed.contains(&process)
    }

    /// Takes note that a process, or a child of it, changes its rights.
    pub fn change(&mut self, process: usize) {
        self.changed.insert(process);
    }
}

/// Whether processes begin with all rights: the tracer has them, and gives its own.
fn have_all() -> bool {
    static HAVE_ALL: OnceLock<bool> = OnceLock::new();
    *HAVE_ALL.get_or_init(|| {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        effective(&status).is_some_and(|capabilities| capabilities & ALL == ALL)
    })
}

/// The capabilities in effect, from `/proc/PID/status`.
fn effective(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

#[cfg(test)]
mod tests {
    use super::{ALL, Rights, effective};

    #[test]
    fn capabilities_are_read_from_the_status() {
        assert_eq!(effective("Name:\tx\nCapPrm:\t01\nCapEff:\t000001ffffffffff\n"), Some(0x1ff_ffff_ffff));
        assert_eq!(effective("CapEff:\t0000000000000000\n").map(|of| of & ALL == ALL), Some(false));
        assert_eq!(effective("Name:\tx\n"), None);
    }

    #[test]
    fn a_process_that_changes_its_rights_is_checked_from_then_on() {
        let mut rights = Rights::default();
        rights.change(1);
        assert!(rights.are_checked(1) && rights.have_changed(1) && !rights.have_changed(0));
    }
}
