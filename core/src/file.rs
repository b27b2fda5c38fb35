//! The metadata file: reading it, replacing it, and the names of temporary files.

use std::io;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::error::{Doing, Error};
use crate::host::{Access, Found, Host};
use crate::rules::{Rule, Rules};
use crate::{AgentId, Metadata};

/// How deeply the metadata may be nested. The reader gives up at 128.
pub(crate) const MAX_DEPTH: usize = 100;

/// How many symbolic links in a row are followed.
const MAX_LINKS: usize = 32;

/// How many names a writer tries for its temporary file: more than one only where a dead writer of the same agent
/// and process id left some behind.
const MAX_NAMES: u32 = 1000;

/// The metadata as it was read, and where a replacement goes.
pub(crate) struct Current {
    pub(crate) metadata: Metadata,
    /// The file itself, where the path is a symbolic link.
    target: PathBuf,
    /// Who may do what with it; `None` when there is no file yet.
    access: Option<Access>,
}

/// Reads the file. A missing one is an empty object; a corrupt one is an error.
pub(crate) fn read<H: Host>(host: &H, path: &Path) -> Result<Current, Error> {
    let mut target = path.to_owned();
    for _ in 0..MAX_LINKS {
        match host.read(&target).doing("read", &target)? {
            Found::Missing => return Ok(Current { metadata: Metadata::new(), target, access: None }),
            Found::Link(to) => target = directory(&target).join(to),
            Found::File { bytes, access } => {
                return Ok(Current { metadata: parse(&target, &bytes)?, target, access: Some(access) });
            }
        }
    }
    Err(io::Error::other("too many symbolic links")).doing("read", path)
}

fn parse(path: &Path, bytes: &[u8]) -> Result<Metadata, Error> {
    serde_json::from_slice(bytes).map_err(|error| {
        let byte = if error.is_eof() { bytes.len() } else { offset(bytes, &error) };
        let before = &bytes[..byte];
        let line_start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        // serde_json appends the place, which we say in our own words.
        let detail = error.to_string().split(" at line ").next().unwrap_or_default().to_owned();
        Error::Corrupt { path: path.to_owned(), line, column: byte - line_start + 1, byte, detail }
    })
}

/// The offset of the last byte that the parser looked at. It says how many it took of which line, and 0 when the
/// last was the line break before.
fn offset(bytes: &[u8], error: &serde_json::Error) -> usize {
    let lines = bytes.split_inclusive(|byte| *byte == b'\n');
    let before: usize = lines.take(error.line().saturating_sub(1)).map(<[u8]>::len).sum();
    (before + error.column()).saturating_sub(1).min(bytes.len())
}

/// Puts `metadata` in the place of what was read. The caller holds the metadata lock exclusively since before that.
pub(crate) fn replace<H: Host>(
    host: &H,
    rules: Rules,
    writer: &AgentId,
    current: &Current,
    metadata: &Metadata,
) -> Result<(), Error> {
    let target = &current.target;
    let mut bytes = serde_json::to_vec_pretty(metadata).map_err(io::Error::from).doing("encode", target)?;
    bytes.push(b'\n');
    if !rules.keep(Rule::ReplaceWhole) {
        #[cfg(test)]
        return host.overwrite(target, &bytes).doing("overwrite", target);
    }
    let (temporary, file) = create_temporary(host, writer, current)?;
    let renamed = host
        .write(&file, &bytes)
        .doing("write", &temporary)
        .and_then(|()| host.sync(&file).doing("flush", &temporary))
        .and_then(|()| host.rename(&temporary, target).doing("replace", target));
    if let Err(error) = renamed {
        // Deleted, not flushed again: the second flush would report success.
        drop(host.remove(&temporary));
        return Err(error);
    }
    host.sync_dir(directory(target)).map_err(|source| Error::Unknown { path: target.clone(), source })
}

fn create_temporary<H: Host>(
    host: &H,
    writer: &AgentId,
    current: &Current,
) -> Result<(PathBuf, H::File), Error> {
    let mut number = 0;
    loop {
        let path = temporary_path(&current.target, writer, host.process(), number);
        match host.create_new(&path, current.access) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && number < MAX_NAMES => number += 1,
            result => return result.doing("create", &path).map(|file| (path, file)),
        }
    }
}

/// The name is made of what tells writers apart, and nothing of chance: no two live writers have the same, because
/// each holds the metadata lock, and the same run of the same programs makes the same names.
fn temporary_path(target: &Path, writer: &AgentId, process: u32, number: u32) -> PathBuf {
    let file = target.file_name().unwrap_or_default().to_string_lossy();
    directory(target).join(format!(".{file}.{writer}.{process}.{number}.tmp"))
}

/// Whether a name is one that [`temporary_path`] makes for `target`.
fn is_temporary_of(target: &Path, name: &str) -> bool {
    let file = target.file_name().unwrap_or_default().to_string_lossy();
    let middle = name.strip_prefix(&format!(".{file}.")).and_then(|rest| rest.strip_suffix(".tmp"));
    let Some(parts) = middle.map(|middle| middle.rsplitn(3, '.').collect::<Vec<_>>()) else { return false };
    let is_number = |text: &str| text.parse::<u32>().is_ok_and(|number| number.to_string() == text);
    matches!(parts[..], [number, process, writer] if is_number(number) && is_number(process) && AgentId::new(writer).is_ok())
}

/// Removes the temporary files of dead writers, and says which. The caller holds the metadata lock exclusively:
/// every live writer would, so there is none.
pub(crate) fn sweep<H: Host>(host: &H, path: &Path) -> Result<Vec<PathBuf>, Error> {
    let target = read(host, path)?.target;
    let dir = directory(&target);
    let mut swept = Vec::new();
    for name in host.list(dir).doing("list", dir)? {
        if is_temporary_of(&target, &name) {
            let leftover = dir.join(name);
            host.remove(&leftover).doing("remove", &leftover)?;
            swept.push(leftover);
        }
    }
    Ok(swept)
}

fn directory(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("/"))
}

/// Refuses a change outside of the agent's own part, and one that could not be read back.
pub(crate) fn check_change(agent: &AgentId, before: &Metadata, after: &Metadata) -> Result<(), Error> {
    let own = agent.as_str();
    let foreign = |key: &&String| key.as_str() != own && before.get(*key) != after.get(*key);
    if let Some(part) = before.keys().chain(after.keys()).find(foreign) {
        return Err(Error::NotOwner { agent: own.to_owned(), part: part.clone() });
    }
    match after.get(own) {
        Some(value) if !fits(value, MAX_DEPTH) => {
            Err(Error::TooDeep { part: own.to_owned(), limit: MAX_DEPTH })
        }
        _ => Ok(()),
    }
}

/// Whether a value has no more than `levels` levels. Goes no deeper than that, so that it always ends.
fn fits(value: &Value, levels: usize) -> bool {
    match value {
        Value::Array(items) => levels > 0 && items.iter().all(|item| fits(item, levels - 1)),
        Value::Object(fields) => levels > 0 && fields.values().all(|item| fits(item, levels - 1)),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_our_own_making_count_as_leftovers() {
        let target = Path::new("/d/agent_metadata.json");
        let writer = AgentId::new("a.b-c").expect("valid");
        let made = temporary_path(target, &writer, 42, 7);
        assert_eq!(made, Path::new("/d/.agent_metadata.json.a.b-c.42.7.tmp"));
        assert!(is_temporary_of(target, ".agent_metadata.json.a.b-c.42.7.tmp"));
        for foreign in [
            "agent_metadata.json",
            ".agent_metadata.json.tmp",
            ".agent_metadata.json.a.tmp",
            ".agent_metadata.json.a.1.tmp",
            ".agent_metadata.json.a.01.1.tmp",
            ".agent_metadata.json.a.1.x.tmp",
            ".agent_metadata.json..a.1.1.tmp",
            ".agent_metadata.json.a.1.1.bak",
            ".other.json.a.1.1.tmp",
        ] {
            assert!(!is_temporary_of(target, foreign), "{foreign} would be removed");
        }
    }

    #[test]
    fn the_longest_temporary_name_is_one_that_a_file_system_takes() {
        let writer = AgentId::new(&"x".repeat(AgentId::MAX_BYTES)).expect("valid");
        let path = temporary_path(Path::new("/d/agent_metadata.json"), &writer, u32::MAX, u32::MAX);
        assert!(path.file_name().expect("a name").len() <= 255);
    }

    #[test]
    fn what_passes_the_depth_check_can_be_read_back() {
        let nest = |levels| (0..levels).fold(Value::Null, |inner, _| Value::Array(vec![inner]));
        let agent = AgentId::new("a").expect("valid");
        let with = |levels| Metadata::from_iter([("a".to_owned(), nest(levels))]);
        check_change(&agent, &Metadata::new(), &with(MAX_DEPTH)).expect("at the limit");
        let bytes = serde_json::to_vec(&with(MAX_DEPTH)).expect("encodes");
        assert_eq!(parse(Path::new("f"), &bytes).expect("reads back"), with(MAX_DEPTH));
        let refused = check_change(&agent, &Metadata::new(), &with(MAX_DEPTH + 1));
        assert!(matches!(refused, Err(Error::TooDeep { .. })));
    }
}
