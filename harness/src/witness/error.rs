use std::io;
use std::path::PathBuf;

use super::FORMAT;

/// A witness that cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum WitnessError {
    /// The file cannot be read.
    #[error("{}: cannot be read: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file cannot be written.
    #[error("{}: cannot be written: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file ends in the midst of things.
    #[error("{}: the file is cut off at line {line}, column {column}: copy it again", path.display())]
    Cut {
        /// The file.
        path: PathBuf,
        /// Where it ends.
        line: usize,
        /// Where it ends.
        column: usize,
    },
    /// The file is not JSON.
    #[error("{}: not a witness: {reason}", path.display())]
    NotJson {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        reason: String,
    },
    /// The file is JSON, but says of no format that it is in.
    #[error("{}: not a witness: there is no `format`", path.display())]
    NoFormat {
        /// The file.
        path: PathBuf,
    },
    /// The file is in a format that is not known.
    #[error("{}: a witness of format {found}; this version reads formats 1 to {FORMAT}: use a newer one", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: String,
    },
    /// The file is not as it was written.
    #[error("{}: this witness was edited or damaged: its checksum is {found}, of its content {expected}", path.display())]
    Checksum {
        /// The file.
        path: PathBuf,
        /// The checksum of what it holds.
        expected: String,
        /// The one that it gives.
        found: String,
    },
    /// The file is as it was written, but cannot be understood.
    #[error("{}: cannot be understood: {reason}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}
