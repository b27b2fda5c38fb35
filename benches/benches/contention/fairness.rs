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

const READERS: usize = 4;

/// The lock under its name.
const LOCKS: &[(&str, locks::Open)] = &[
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

/// One wants it exclusively; the others share it and overlap without a pause.
pub fn readers(run: &Run) {
    let title = format!("writer against {READERS} readers");
    let mut table = Table::new(title.clone(), None);
    let mut beside = Vec::new();
    for (name, open) in LOCKS {
        run.cell(&title, name, |dir| {
            let mode = |number| if number == 0 { Mode::Exclusive } else { Mode::Shared };
            let tallies = pack::run(1 + READERS, run.time, |number| holder(*open, dir, mode(number)));
            let (writer, readers) = tallies.split_at(1);
            table.row(name, Figures::of(writer, run.time));
            beside.push((name, Figures::of(readers, run.time)));
        });
    }
    let mut table = Table::new("its readers".to_owned(), None);
    beside.into_iter().for_each(|(name, figures)| table.row(name, figures));
}

fn holder(open: locks::Open, dir: &Path, mode: Mode) -> Work {
    // Else each hold is longer by what the kernel allows itself: a twentieth.
    nix::sys::prctl::set_timerslack(1).expect("the timer slack is set");
    let mut locked = open(dir, mode);
    Box::new(move || {
        let asked = Instant::now();
        let mut waited = Duration::ZERO;
        locked(&mut || {
            waited = asked.elapsed();
            OsHost.pause(HOLD);
        });
        waited
    })
}
