//! Where witnesses go: one that is there is never written over.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Witness, WitnessError, to_text};
use crate::bounded;

/// Files of one stem.
const MOST: u32 = 10_000;
/// Bytes of the name of a scenario in the name of a file.
const NAME: usize = 100;

/// A witness that is on disk.
#[derive(Debug)]
pub struct Kept {
    folder: PathBuf,
    stem: String,
    path: PathBuf,
    /// Whether this one made the file; else an earlier run did, and it is the same.
    is_own: bool,
}

impl Kept {
    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Removes it, unless an earlier run made it.
    ///
    /// # Errors
    /// If it cannot be removed.
    pub fn remove(self) -> io::Result<()> {
        if self.is_own { fs::remove_file(self.path) } else { Ok(()) }
    }

    /// Puts another witness in the place of this one: a simpler one of the same anomaly. The file of an earlier run stays as it is; if
    /// one holds the same witness, there is no second file of it.
    ///
    /// # Errors
    /// If it cannot be written; then the file is as it was.
    pub fn replace(&mut self, witness: &Witness) -> Result<(), WitnessError> {
        let fail = |path: &Path, source| WitnessError::Write { path: path.to_owned(), source };
        let text = to_text(witness).map_err(|error| fail(&self.path, error.into()))?;
        if !self.is_own {
            *self = place(&self.folder, &self.stem, text.as_bytes())
                .map_err(|source| fail(&self.path, source))?;
            return Ok(());
        }
        let files = (1..=MOST).map(|number| self.folder.join(name(&self.stem, number)));
        let mut before = files.take_while(|file| *file != self.path);
        if let Some(same) = before.find(|file| holds(file, text.as_bytes())) {
            fs::remove_file(&self.path).map_err(|source| fail(&self.path, source))?;
            (self.path, self.is_own) = (same, false);
            return Ok(());
        }
        let temporary =
            Temporary::with(&self.folder, text.as_bytes()).map_err(|source| fail(&self.path, source))?;
        fs::rename(&temporary.0, &self.path).map_err(|source| fail(&self.path, source))
    }
}

/// The beginning of a witness's name, for the number and kind of its anomaly. The scenario's name may be anybody's: what a file's name
/// should not have in it becomes `_`.
#[must_use]
pub fn stem(scenario: &str, number: usize, kind: &str) -> String {
    let plain = |c: char| if c.is_alphanumeric() || "._-+=,@%".contains(c) { c } else { '_' };
    let mut name: String = scenario.chars().map(plain).collect();
    if name.starts_with(['.', '-']) {
        name.replace_range(..1, "_");
    }
    while name.len() > NAME {
        name.pop();
    }
    format!("{name}-{number}-{kind}")
}

/// Writes a witness to a file of its own in a folder, which is made if it is not there: `stem.json`, or if that is another witness,
/// `stem.2.json`, and so on. If one of them holds the same witness, that is the file. Nothing that is there is written over, also if
/// two programs write at once.
///
/// # Errors
/// If it cannot be written; then nothing is left of it.
pub fn keep(folder: &Path, stem: &str, witness: &Witness) -> Result<Kept, WitnessError> {
    let fail = |source| WitnessError::Write { path: folder.join(name(stem, 1)), source };
    let text = to_text(witness).map_err(|error| fail(error.into()))?;
    fs::create_dir_all(folder).map_err(fail)?;
    place(folder, stem, text.as_bytes()).map_err(fail)
}

/// Writes a witness to `path`, whatever is there: first to another name in the same folder, which is made where it is missing, so that
/// a reader of `path` sees a whole witness or none.
///
/// # Errors
/// If it cannot be written; then nothing is left.
pub fn write(witness: &Witness, path: &Path) -> Result<(), WitnessError> {
    let fail = |source| WitnessError::Write { path: path.to_owned(), source };
    let text = to_text(witness).map_err(|error| fail(error.into()))?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(fail)?;
    let temporary = Temporary::with(folder, text.as_bytes()).map_err(fail)?;
    fs::rename(&temporary.0, path).map_err(fail)
}

fn name(stem: &str, number: u32) -> String {
    if number == 1 { format!("{stem}.json") } else { format!("{stem}.{number}.json") }
}

/// Whether a file holds these bytes and no others.
fn holds(file: &Path, bytes: &[u8]) -> bool {
    let is_long = fs::metadata(file).is_ok_and(|data| data.is_file() && data.len() == bytes.len() as u64);
    is_long && bounded::read(file, bytes.len() as u64).is_ok_and(|found| found == bytes)
}

fn place(folder: &Path, stem: &str, bytes: &[u8]) -> io::Result<Kept> {
    let temporary = Temporary::with(folder, bytes)?;
    for number in 1..=MOST {
        let path = folder.join(name(stem, number));
        let kept =
            |is_own| Kept { folder: folder.to_owned(), stem: stem.to_owned(), path: path.clone(), is_own };
        if holds(&path, bytes) {
            return Ok(kept(false));
        }
        match fs::hard_link(&temporary.0, &path) {
            Ok(()) => return Ok(kept(true)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            // A file system without hard links.
            Err(_) => match write_new(&path, bytes) {
                Ok(()) => return Ok(kept(true)),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            },
        }
    }
    let text = format!("there are {MOST} witnesses called {stem} in {}", folder.display());
    Err(io::Error::new(io::ErrorKind::AlreadyExists, text))
}

/// Writes a file that is not there; of one that cannot be written whole nothing is left.
fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create_new(path)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    if written.is_err() {
        // The first failure is the one to tell of.
        let _ = fs::remove_file(path);
    }
    written
}

/// A whole file under a name that nobody looks at; removed when it is dropped, unless it has another name by then.
struct Temporary(PathBuf);

impl Temporary {
    fn with(folder: &Path, bytes: &[u8]) -> io::Result<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        loop {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let path = folder.join(format!(".witness.{}.{number}.tmp", std::process::id()));
            match write_new(&path, bytes) {
                Ok(()) => return Ok(Self(path)),
                // Of a process that had this number and died.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // It may have been renamed.
        let _ = fs::remove_file(&self.0);
    }
}
