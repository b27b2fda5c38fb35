//! `cooks new`

use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

use cooks_harness::model::Entry;

use crate::args::New;
use crate::failure::{CLEAN, Failure};
use crate::say;

/// Makes a folder with the scenario that others begin as.
pub fn new(args: &New) -> Result<u8, Failure> {
    let folder = &args.folder;
    let shown = folder.display();
    let say = |error: io::Error| match error.kind() {
        ErrorKind::AlreadyExists => Failure::usage(format!(
            "{shown} is there already, and nothing is written over: give another name"
        )),
        _ => Failure::usage(format!("{shown} cannot be made: {error}")),
    };
    if let Some(parent) = folder.parent() {
        fs::create_dir_all(parent).map_err(say)?;
    }
    fs::create_dir(folder).map_err(say)?;
    let tree = cooks_scenarios::template();
    let written = tree.iter().try_for_each(|(path, entry)| write(&folder.join(path), entry));
    if let Err(error) = written {
        // It was not there before: nothing else is in it.
        let _ = fs::remove_dir_all(folder);
        return Err(say(error));
    }
    let mut text = format!("{shown} is a scenario that runs; its scenario.toml explains it:\n");
    for path in tree.iter().filter(|(_, entry)| matches!(entry, Entry::File { .. })).map(|(path, _)| path) {
        text += &format!("  {}\n", folder.join(path).display());
    }
    text += &format!("run it: cooks run {}{shown}", if is_a_name(folder) { "./" } else { "" });
    say::out(&text)?;
    Ok(CLEAN)
}

/// Whether the catalogue has a scenario of that name, which would be run instead.
fn is_a_name(folder: &Path) -> bool {
    folder.to_str().is_some_and(|name| cooks_scenarios::find(name).is_some())
}

/// A folder comes before what is in it.
fn write(path: &Path, entry: &Entry) -> io::Result<()> {
    match entry {
        Entry::File { content, .. } => fs::write(path, content),
        _ => fs::create_dir(path),
    }
}
