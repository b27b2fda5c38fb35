//! Folders of scenarios.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::file::FILE;

/// The folders below this one that hold a scenario, sorted. What is in a scenario's folder is its own; names that begin with a dot are
/// passed over, and links are not followed.
///
/// # Errors
/// Those of reading folders.
pub fn folders_below(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let (mut found, mut left) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(next) = left.pop() {
        if next.join(FILE).is_file() {
            found.push(next);
            continue;
        }
        for entry in fs::read_dir(&next)? {
            let entry = entry?;
            let is_hidden = entry.file_name().to_string_lossy().starts_with('.');
            if entry.file_type()?.is_dir() && !is_hidden {
                left.push(entry.path());
            }
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::folders_below;

    #[test]
    fn scenarios_are_found_at_any_depth_but_not_within_one() {
        let parent = tempfile::tempdir().unwrap();
        for folder in ["b", "a/deep/er", "a/none", "b/workspace/inner", ".hidden"] {
            fs::create_dir_all(parent.path().join(folder)).unwrap();
        }
        for folder in ["b", "a/deep/er", "b/workspace/inner", ".hidden"] {
            fs::write(parent.path().join(folder).join("scenario.toml"), "").unwrap();
        }
        let wanted = ["a/deep/er", "b"].map(|folder| parent.path().join(folder));
        assert_eq!(folders_below(parent.path()).unwrap(), wanted);
        assert_eq!(folders_below(&parent.path().join("a/none")).unwrap(), Vec::<std::path::PathBuf>::new());
        assert!(folders_below(&parent.path().join("missing")).is_err());
    }
}
