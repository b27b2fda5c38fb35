//! What a load gives: the metadata, and which generation of it.

use std::fmt;
use std::ops::Deref;
use std::str::FromStr;
use std::sync::{Arc, Mutex};

use crate::Metadata;
use crate::error::{Doing, Error};
use crate::file::{self, Content};
use crate::host::{Host, Stamp};
use crate::json::checksum;

/// Tells one content of the metadata file from another: equal if the files are equal byte for byte. It can be shown, kept
/// and read again, for a [`compare_and_save`](crate::Agent::compare_and_save) at some later time, by another program even.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Generation(u128);

impl Generation {
    pub(crate) fn of(bytes: &[u8]) -> Self {
        Self(checksum(bytes))
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl FromStr for Generation {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        u128::from_str_radix(text, 16).map(Self)
    }
}

/// The metadata as it was loaded. A clone is the same one, not a copy; [`to_metadata`](Self::to_metadata) copies.
#[derive(Clone, Debug)]
pub struct Snapshot(Arc<(Metadata, Generation)>);

impl Snapshot {
    pub(crate) fn new(metadata: Metadata, generation: Generation) -> Self {
        Self(Arc::new((metadata, generation)))
    }

    /// Which content of the file this is.
    #[must_use]
    pub fn generation(&self) -> Generation {
        self.0.1
    }

    /// A copy to change and to [`save`](crate::Agent::save).
    #[must_use]
    pub fn to_metadata(&self) -> Metadata {
        self.0.0.clone()
    }
}

impl Deref for Snapshot {
    type Target = Metadata;

    fn deref(&self) -> &Metadata {
        &self.0.0
    }
}

impl PartialEq<Metadata> for Snapshot {
    fn eq(&self, other: &Metadata) -> bool {
        self.0.0 == *other
    }
}

impl PartialEq for Snapshot {
    fn eq(&self, other: &Self) -> bool {
        self.0.1 == other.0.1 && self.0.0 == other.0.0
    }
}

/// The last snapshot of a store, so that a file that nobody has changed is not read again.
pub(crate) struct Cache<F>(Arc<Mutex<Option<Arc<Cached<F>>>>>);

struct Cached<F> {
    snapshot: Snapshot,
    stamp: Stamp,
    /// Kept open, so that no other file gets this one's number while we would take it for the same.
    _file: F,
}

impl<F> Cache<F> {
    pub(crate) fn new() -> Self {
        Self(Arc::default())
    }

    /// The content of the file at `path`, read or known; `None` where there is no file. The caller holds the lock.
    pub(crate) fn read<H: Host<File = F>>(
        &self,
        host: &H,
        path: &std::path::Path,
    ) -> Result<Option<Snapshot>, Error> {
        let cached = self.cached();
        if let Some(cached) = &cached {
            // A symbolic link has no stamp, and is read each time.
            let now = host.stamp(path).doing("examine", path)?;
            if now.is_some_and(|now| cached.stamp.still_holds(&now)) {
                return Ok(Some(cached.snapshot.clone()));
            }
        }
        let current = file::read(host, path)?;
        if current.content.is_none() {
            return Ok(None);
        }
        let generation = Generation::of(current.bytes());
        let known =
            cached.map(|cached| cached.snapshot.clone()).filter(|known| known.generation() == generation);
        let snapshot = match known {
            Some(snapshot) => snapshot,
            None => Snapshot::new(current.metadata()?, generation),
        };
        if let Some(Content { stamp, file, .. }) = current.content {
            self.keep(Cached { snapshot: snapshot.clone(), stamp, _file: file });
        }
        Ok(Some(snapshot))
    }

    // Where another thread is at it, or was when this process was forked, nothing is known.
    fn cached(&self) -> Option<Arc<Cached<F>>> {
        self.0.try_lock().ok()?.clone()
    }

    fn keep(&self, cached: Cached<F>) {
        if let Ok(mut place) = self.0.try_lock() {
            *place = Some(Arc::new(cached));
        }
    }
}

impl<F> Clone for Cache<F> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}
