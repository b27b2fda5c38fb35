//! The metadata file: reading it, replacing it, and what is left of writers that died.

use std::io;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::error::{Doing, Error};
use crate::host::{Access, Found, Host, Stamp};
use crate::json::{self, Fault, Parts, checksum};
use crate::rules::{Rule, Rules};
use crate::{AgentId, Metadata};

/// How deeply the metadata may be nested.
pub(crate) const MAX_DEPTH: usize = 100;

/// The largest file that is read or written: beyond this, it is not metadata.
pub(crate) const MAX_BYTES: u64 = 64 * 1024 * 1024;

/// How many symbolic links in a row are followed.
const MAX_LINKS: usize = 32;

/// How many names a writer tries for its temporary file: more than one only where a dead writer of the same content
/// and process id left some behind.
const MAX_NAMES: u32 = 1000;

/// What the file is before anything is in it.
const EMPTY: &[u8] = b"{}\n";

/// The file as it was read, and where a replacement goes.
pub(crate) struct Current<F> {
    /// The file itself, where the path is a symbolic link.
    target: PathBuf,
    /// `None` when there is no file yet.
    pub(crate) content: Option<Content<F>>,
}

/// What is in a file.
pub(crate) struct Content<F> {
    pub(crate) bytes: Vec<u8>,
    pub(crate) stamp: Stamp,
    pub(crate) file: F,
    access: Access,
}

impl<F> Current<F> {
    /// The bytes; none of a file that is missing.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.content.as_ref().map_or(&[], |content| &content.bytes)
    }

    /// The parts of the agents. A missing file has none; a corrupt one is an error.
    pub(crate) fn parts(&self) -> Result<Parts, Error> {
        let parts = self.content.as_ref().map(|content| Parts::parse(&content.bytes));
        parts.unwrap_or_else(|| Ok(Parts::default())).map_err(|fault| self.corrupt(fault))
    }

    /// All of it, read strictly.
    pub(crate) fn metadata(&self) -> Result<Metadata, Error> {
        let metadata = self.content.as_ref().map(|content| json::metadata(&content.bytes));
        metadata.unwrap_or_else(|| Ok(Metadata::new())).map_err(|fault| self.corrupt(fault))
    }

    /// The error for what was found wrong.
    pub(crate) fn corrupt(&self, fault: Fault) -> Error {
        let Fault { byte, line, column, detail } = fault;
        Error::Corrupt { path: self.target.clone(), line, column, byte, detail }
    }
}

/// Reads the file, wherever a symbolic link leads.
pub(crate) fn read<H: Host>(host: &H, path: &Path) -> Result<Current<H::File>, Error> {
    let mut target = path.to_owned();
    for _ in 0..MAX_LINKS {
        match host.read(&target, MAX_BYTES).doing("read", &target)? {
            Found::Missing => return Ok(Current { target, content: None }),
            Found::Link(to) => target = directory(&target).join(to),
            Found::File { bytes, access, stamp, file } => {
                return Ok(Current { target, content: Some(Content { bytes, stamp, file, access }) });
            }
        }
    }
    Err(io::Error::other("too many symbolic links")).doing("read", path)
}

/// Puts `bytes` in the place of what was read. The caller holds the metadata lock exclusively since before that.
pub(crate) fn replace<H: Host>(
    host: &H,
    rules: Rules,
    current: &Current<H::File>,
    bytes: &[u8],
) -> Result<(), Error> {
    let target = &current.target;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(too_large(bytes.len() as u64)).doing("write", target);
    }
    if !rules.keep(Rule::ReplaceWhole) {
        #[cfg(test)]
        return host.overwrite(target, bytes).doing("overwrite", target);
    }
    let access = current.content.as_ref().map(|content| content.access);
    if access.is_none() && bytes != EMPTY {
        // So that a file that is missing beside the temporary file of something else than this was there once, and
        // was lost with the power; see `recover`.
        put(host, rules, target, EMPTY, None)?;
    }
    put(host, rules, target, bytes, access)
}

fn put<H: Host>(
    host: &H,
    rules: Rules,
    target: &Path,
    bytes: &[u8],
    access: Option<Access>,
) -> Result<(), Error> {
    let (temporary, file) = create_temporary(host, target, bytes, access)?;
    let flush = || if rules.keep(Rule::FlushedBeforeRenamed) { host.sync(&file) } else { Ok(()) };
    let renamed = host
        .write(&file, bytes)
        .doing("write", &temporary)
        .and_then(|()| flush().doing("flush", &temporary))
        .and_then(|()| host.rename(&temporary, target).doing("replace", target));
    if let Err(error) = renamed {
        // Deleted, not flushed again: the second flush would report success.
        drop(host.remove(&temporary));
        return Err(error);
    }
    if !rules.keep(Rule::DirectoryFlushed) {
        return Ok(());
    }
    host.sync_dir(directory(target)).map_err(|source| Error::Unknown { path: target.to_owned(), source })
}

pub(crate) fn too_large(size: u64) -> io::Error {
    let text = format!("{size} bytes are more than the {MAX_BYTES} that metadata may have");
    io::Error::new(io::ErrorKind::FileTooLarge, text)
}

fn create_temporary<H: Host>(
    host: &H,
    target: &Path,
    bytes: &[u8],
    access: Option<Access>,
) -> Result<(PathBuf, H::File), Error> {
    let mut number = 0;
    loop {
        let path = temporary_path(target, checksum(bytes), host.process(), number);
        match host.create_new(&path, access) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && number < MAX_NAMES => number += 1,
            result => return result.doing("create", &path).map(|file| (path, file)),
        }
    }
}

/// The name says what must be in the file, so that one that is complete can be told from one that is not. There is nothing
/// of chance in it: no two live writers have the same, because each holds the metadata lock, and the same run of the same
/// programs makes the same names.
fn temporary_path(target: &Path, checksum: u128, process: u32, number: u32) -> PathBuf {
    let file = target.file_name().unwrap_or_default().to_string_lossy();
    directory(target).join(format!(".{file}.{checksum:032x}.{process}.{number}.tmp"))
}

/// The checksum in a name that [`temporary_path`] makes for `target`, with this at its end.
fn checksum_in(target: &Path, name: &str, end: &str) -> Option<u128> {
    let file = target.file_name().unwrap_or_default().to_string_lossy();
    let middle = name.strip_prefix(&format!(".{file}."))?.strip_suffix(end)?;
    let is_number = |text: &str| text.parse::<u32>().is_ok_and(|number| number.to_string() == text);
    match middle.split('.').collect::<Vec<_>>()[..] {
        [checksum, process, number] if checksum.len() == 32 && is_number(process) && is_number(number) => {
            u128::from_str_radix(checksum, 16).ok()
        }
        _ => None,
    }
}

/// What was done about the temporary files of dead writers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Those that were removed: the file is as their writers found it.
    pub removed: Vec<PathBuf>,
    /// The one that became the metadata file, which a loss of power had taken away in the middle of its replacement.
    pub adopted: Option<PathBuf>,
}

/// A temporary file of a dead writer.
struct Leftover<F> {
    path: PathBuf,
    /// Complete by the checksum in its name.
    intact: bool,
    /// Where nothing had been in the metadata file before.
    first: bool,
    modified: i128,
    file: Option<F>,
}

/// Whether there is anything beside the file for [`recover`] to look at: of the dead, or of a writer at work.
pub(crate) fn has_leftovers<H: Host>(host: &H, path: &Path) -> Result<bool, Error> {
    // Where there is no link, the file need not be read.
    let target = match host.stamp(path).doing("examine", path)? {
        Some(_) => path.to_owned(),
        None => read(host, path)?.target,
    };
    let dir = directory(&target);
    let names = host.list(dir).doing("list", dir)?;
    Ok(names.iter().any(|name| [".tmp", ".torn"].iter().any(|end| checksum_in(&target, name, end).is_some())))
}

/// Removes the temporary files of dead writers, or puts the newest in the place of a file that was lost. The caller holds
/// the metadata lock exclusively: every live writer would, so there is none.
pub(crate) fn recover<H: Host>(host: &H, path: &Path) -> Result<Recovered, Error> {
    let current = read(host, path)?;
    let (target, dir) = (&current.target, directory(&current.target));
    let names = host.list(dir).doing("list", dir)?;
    let leftovers: Vec<_> = names.iter().filter(|name| checksum_in(target, name, ".tmp").is_some()).collect();
    let mut recovered = Recovered::default();
    if current.content.is_none() {
        let kept = names.iter().filter(|name| checksum_in(target, name, ".torn").is_some());
        let kept: Vec<_> = kept.map(|name| dir.join(name)).collect();
        let found: Result<Vec<_>, _> = leftovers.iter().map(|name| examine(host, target, name)).collect();
        recovered.adopted = adopt(host, target, found?, kept)?;
    } else if !leftovers.is_empty() {
        // Beside a corrupt file nothing is removed, since a leftover may be what repairs it.
        current.parts()?;
    }
    for leftover in leftovers.iter().map(|name| dir.join(name)) {
        if recovered.adopted.as_ref() != Some(&leftover) {
            host.remove(&leftover).doing("remove", &leftover)?;
            recovered.removed.push(leftover);
        }
    }
    Ok(recovered)
}

fn examine<H: Host>(host: &H, target: &Path, name: &str) -> Result<Leftover<H::File>, Error> {
    let (path, expected) = (directory(target).join(name), checksum_in(target, name, ".tmp"));
    let first = expected == Some(checksum(EMPTY));
    Ok(match host.read(&path, MAX_BYTES).doing("read", &path)? {
        Found::File { bytes, stamp, file, .. } => {
            let intact = expected == Some(checksum(&bytes));
            Leftover { path, intact, first, modified: stamp.modified, file: Some(file) }
        }
        Found::Missing | Found::Link(_) => {
            Leftover { path, intact: false, first: true, modified: 0, file: None }
        }
    })
}

/// The metadata file is missing. Where writers died before there was one, that is as it should be. Where there was one
/// (a writer makes an empty one first), a file system without order has lost it in the middle of a rename.
fn adopt<H: Host>(
    host: &H,
    target: &Path,
    leftovers: Vec<Leftover<H::File>>,
    mut kept: Vec<PathBuf>,
) -> Result<Option<PathBuf>, Error> {
    let lost = || leftovers.iter().filter(|leftover| !leftover.first);
    let newest = lost().filter(|leftover| leftover.intact).max_by_key(|leftover| leftover.modified);
    let Some((newest, file)) = newest.and_then(|newest| Some((newest, newest.file.as_ref()?))) else {
        for torn in lost() {
            let copy = torn.path.with_extension("torn");
            host.rename(&torn.path, &copy).doing("keep a copy of", &torn.path)?;
            kept.push(copy);
        }
        return if kept.is_empty() { Ok(None) } else { Err(Error::Lost { path: target.to_owned(), kept }) };
    };
    host.sync(file).doing("flush", &newest.path)?;
    host.rename(&newest.path, target).doing("replace", target)?;
    host.sync_dir(directory(target)).map_err(|source| Error::Unknown { path: target.to_owned(), source })?;
    Ok(Some(newest.path.clone()))
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
    check_part(agent, after.get(own))
}

/// Refuses what could not be read back.
pub(crate) fn check_part(agent: &AgentId, part: Option<&Value>) -> Result<(), Error> {
    match part {
        Some(value) if !fits(value, MAX_DEPTH) => {
            Err(Error::TooDeep { part: agent.as_str().to_owned(), limit: MAX_DEPTH })
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
        let made = temporary_path(target, 0xab, 42, 7);
        let name = ".agent_metadata.json.000000000000000000000000000000ab.42.7.tmp";
        assert_eq!(made, Path::new("/d").join(name));
        assert_eq!(checksum_in(target, name, ".tmp"), Some(0xab));
        for foreign in [
            "agent_metadata.json",
            ".agent_metadata.json.tmp",
            ".agent_metadata.json.ab.1.1.tmp",
            ".agent_metadata.json.000000000000000000000000000000ab.1.tmp",
            ".agent_metadata.json.000000000000000000000000000000ab.01.1.tmp",
            ".agent_metadata.json.000000000000000000000000000000ab.1.x.tmp",
            ".agent_metadata.json.0000000000000000000000000000000g.1.1.tmp",
            ".agent_metadata.json.000000000000000000000000000000ab.1.1.torn",
            ".other.json.000000000000000000000000000000ab.1.1.tmp",
        ] {
            assert_eq!(checksum_in(target, foreign, ".tmp"), None, "{foreign} would be removed");
        }
    }

    #[test]
    fn what_passes_the_depth_check_can_be_read_back() {
        let nest = |levels| (0..levels).fold(Value::Null, |inner, _| Value::Array(vec![inner]));
        let agent = AgentId::new("a").expect("valid");
        let with = |levels| Metadata::from_iter([("a".to_owned(), nest(levels))]);
        check_change(&agent, &Metadata::new(), &with(MAX_DEPTH)).expect("at the limit");
        let mut parts = Parts::default();
        parts.set("a", Some(&nest(MAX_DEPTH)));
        let back = Parts::parse(&parts.to_bytes()).and_then(|parts| parts.to_metadata());
        assert_eq!(back.expect("reads back"), with(MAX_DEPTH));
        let refused = check_change(&agent, &Metadata::new(), &with(MAX_DEPTH + 1));
        assert!(matches!(refused, Err(Error::TooDeep { .. })));
    }
}
