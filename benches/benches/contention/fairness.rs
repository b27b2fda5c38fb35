//! Who gets a lock that several want all the time, and when.

use std::path::Path;
use std::time::{Duration, Instant};

use cooks_benches::{locks, ours};
use cooks_core::host::{Host, Mode, OsHost};

use crate::Run;
use crate::pack::{self, Work};
use crate::table::{Figures, Table};

/// How long each holds the lock. It sleeps meanwhile, so that two processors serve sixteen processes.
const HOLD: Duration = Duration::from_millis(1);

/// The locks that are compared, under their names.
pub const LOCKS: &[(&str, locks::Open)] = &[
    ("flock", locks::bare),
    #[cfg(feature = "peers")]
    ("std", locks::std),
    #[cfg(feature = "peers")]
    ("fd-lock", locks::fd_lock),
    ("try and sleep", locks::tried),
    (ours::LOCK, ours::lock),
];

/// All want it exclusively.
pub fn exclusive(run: &Run) {
    for count in [2, 4, 8, 16] {
        let title = format!("fairness {count}");
        let unit = (format!("longest / {count} holds"), HOLD.as_secs_f64() * 1e3 * count as f64);
        let mut table = Table::new(title.clone(), Some(unit));
        for (name, open) in LOCKS {
            run.cell(&title, name, |dir| {
                let tallies = pack::run(count, run.time, |_| holder(*open, dir, Mode::Exclusive));
                table.row(name, Figures::of(&tallies, run.time));
            });
        }
    }
}

/// Takes the lock over and over, and holds it for a while.
pub fn holder(open: locks::Open, dir: &Path, mode: Mode) -> Work {
    // Else each hold is longer by what the kernel allows itself: a twentieth.
    nix::sys::prctl::set_timerslack(1).expect("the timer slack is set");
    let mut locked = open(dir, mode);
    Box::new(move || {
        let asked = Instant::now();
        let mut waited = Duration::ZERO;
        locked(&mut || {
            waited = asked.elapsed();
            OsHost::new().pause(HOLD);
        });
        waited
    })
}
