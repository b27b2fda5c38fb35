//! Extended attributes: those that a user may give a file, and its access lists.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use rustix::fs::{XattrFlags, lgetxattr, llistxattr, llistxattr_query, lremovexattr, lsetxattr};
use rustix::io::Errno;

use crate::model::Attribute;

/// The most bytes that a list of names, or a value, can have.
const MOST: usize = 1 << 16;

/// The attributes of the file at a path; a link is not followed.
///
/// # Errors
/// Those of reading.
pub fn read(file: &Path) -> io::Result<BTreeMap<String, Attribute>> {
    let mut attributes = BTreeMap::new();
    // Most files have none.
    let size = match llistxattr_query(file) {
        Ok(size) => size,
        Err(Errno::OPNOTSUPP | Errno::NOENT | Errno::NOSYS) => 0,
        Err(error) => return Err(error.into()),
    };
    if size == 0 {
        return Ok(attributes);
    }
    let mut names = vec![0u8; MOST];
    let length = llistxattr(file, &mut names[..])?;
    for name in names[..length].split(|byte| *byte == 0) {
        let Ok(name) = std::str::from_utf8(name) else { continue };
        if Attribute::counts(name) {
            let mut value = vec![0u8; MOST];
            let length = lgetxattr(file, name, &mut value[..])?;
            value.truncate(length);
            attributes.insert(name.to_owned(), Attribute(value));
        }
    }
    Ok(attributes)
}

/// Sets these attributes of the file at a path; a link is not followed.
///
/// # Errors
/// Those of setting them.
pub fn write(file: &Path, attributes: &BTreeMap<String, Attribute>) -> io::Result<()> {
    for (name, Attribute(value)) in attributes {
        lsetxattr(file, name.as_str(), value, XattrFlags::empty())?;
    }
    Ok(())
}

/// The same, and removes all others that are part of a tree.
///
/// # Errors
/// Those of reading, removing and setting them.
pub fn replace(file: &Path, attributes: &BTreeMap<String, Attribute>) -> io::Result<()> {
    let present = read(file)?;
    for name in present.keys().filter(|name| !attributes.contains_key(*name)) {
        lremovexattr(file, name.as_str())?;
    }
    let others = attributes.iter().filter(|(name, value)| present.get(*name) != Some(value));
    write(file, &others.map(|(name, value)| (name.clone(), value.clone())).collect())
}
