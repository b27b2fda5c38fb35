//! What is going on in a live directory: who holds and waits for which lock, what is stale, torn, in conflict. The kernel is asked, never the age
//! of a file.
//!
//! Nothing is changed and no lock is taken. Files are opened to be read, without touching their access times where that is allowed. A
//! process that holds POSIX locks (`F_SETLK`) on files of the directory must not call this from its own threads: the system drops
//! such locks whenever their process closes any descriptor of the file.

mod findings;
mod human;
mod json;
mod look;
mod names;
mod snapshot;
mod watch;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

pub use findings::{Finding, Kind, Severity, confirmed, findings};
pub use human::human;
pub use json::json;
pub use snapshot::*;
pub use watch::{Contended, Contention};

/// What to look for, and how long.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Options {
    /// Sample who holds and who waits for so long before the look.
    pub watch: Option<Duration>,
    /// A wait of so many seconds is long.
    pub long_wait: f64,
}

impl Default for Options {
    /// No watch; 10 seconds are long.
    fn default() -> Self {
        Self { watch: None, long_wait: 10.0 }
    }
}

/// What was seen, and what is wrong.
#[derive(Clone, PartialEq, Debug)]
pub struct Diagnosis {
    /// The directory and its processes, as they were at the last look.
    pub seen: Snapshot,
    /// What is wrong: errors first.
    pub findings: Vec<Finding>,
    /// What the watch came to.
    pub contention: Option<Contention>,
}

/// Why there is no diagnosis.
#[derive(Debug, thiserror::Error)]
pub enum DiagnoseError {
    /// There is no such directory.
    #[error("{}: there is no such directory", .0.display())]
    Missing(PathBuf),
    /// It is something else.
    #[error("{}: is not a directory; give the one that the files lie in", .0.display())]
    NotADirectory(PathBuf),
    /// It cannot be read.
    #[error("{}: cannot be read ({reason}); its owner or root can diagnose it", path.display())]
    Unreadable {
        /// Which directory.
        path: PathBuf,
        /// What the system says.
        reason: io::Error,
    },
    /// The kernel cannot be asked.
    #[error("/proc cannot be read ({0}); it must be mounted: mount -t proc proc /proc")]
    NoProc(io::Error),
    /// It was asked to stop.
    #[error("interrupted")]
    Interrupted,
}

/// Between the two looks at what seems wrong: enough for a writer that is only in the middle of something.
const PAUSE: Duration = Duration::from_millis(100);

/// Looks at a directory. What seems wrong is looked at again after a moment, and told if it is still so.
///
/// # Errors
/// If the directory or `/proc` cannot be read, or `stop` is set.
pub fn diagnose(dir: &Path, options: &Options, stop: &AtomicBool) -> Result<Diagnosis, DiagnoseError> {
    let dir = look::directory(dir)?;
    let samples = options.watch.map(|long| watch::watch(long, stop)).transpose()?;
    let look = || -> Result<(Snapshot, Vec<Finding>), DiagnoseError> {
        let mut seen = look::look(&dir)?;
        if let Some(samples) = &samples {
            samples.lengthen_waits(&mut seen);
        }
        let found = findings(&seen, options.long_wait);
        Ok((seen, found))
    };
    let (mut seen, mut found) = look()?;
    if !found.is_empty() {
        watch::pause(PAUSE, stop)?;
        let (again, second) = look()?;
        found = confirmed(&found, second);
        seen = again;
    }
    if stop.load(Ordering::Relaxed) {
        return Err(DiagnoseError::Interrupted);
    }
    let contention = samples.map(|samples| samples.contention(&seen));
    Ok(Diagnosis { seen, findings: found, contention })
}
