//! What the names and the notes of files tell: which are lock files, which temporary, and whom a lock file names.

use std::collections::BTreeSet;

/// A lock file holds a line at most; what is larger (`Cargo.lock`) only has the name of one.
pub const LARGEST_LOCK_FILE: u64 = 4096;

/// Whether a file of this name and size is there to be locked.
pub fn is_lock_file(path: &str, size: u64) -> bool {
    let name = file_name(path).to_lowercase();
    let ends = [".lock", ".lck", ".lockfile"].iter().any(|end| name.ends_with(end));
    size <= LARGEST_LOCK_FILE && (ends || name == "lock" || name == "lockfile")
}

/// The process that a lock file names: a number alone, `pid 12`, `pid: 12`, `pid=12`, or JSON with a `pid`. The line of `cooks-core`
/// (`pid 12 agent name`) names nobody: it stays when the lock is given back, is for people only, and nothing goes by it.
pub fn named_process(note: &str) -> Option<i32> {
    let note = note.trim().trim_matches('\0').trim();
    if let Some((_, rest)) = note.split_once("pid ")
        && note.starts_with("pid ")
        && rest.split_once(' ').is_some_and(|(_, rest)| rest.starts_with("agent "))
    {
        return None;
    }
    let pid = |text: &str| text.parse::<i32>().ok().filter(|pid| *pid > 0);
    let first = note.lines().next()?.trim();
    if let Some(pid) = pid(first) {
        return Some(pid);
    }
    if let Ok(serde_json::Value::Object(object)) = serde_json::from_str(note) {
        let value = object.get("pid").or_else(|| object.get("PID"))?;
        return value.as_i64().and_then(|n| i32::try_from(n).ok()).or_else(|| pid(value.as_str()?));
    }
    let lower = note.to_lowercase();
    let (_, rest) = lower.split_once("pid")?;
    let rest = rest.trim_start_matches([' ', ':', '=', '"', '\t']);
    let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    pid(&rest[..digits])
}

/// A file that was to be renamed over another.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Temporary {
    /// The other's name; `None` where it has no part in this one's (`tmpab12cd34`).
    pub target: Option<String>,
    /// Numbers in the name that may be the writer's process id.
    pub numbers: Vec<i32>,
}

/// Reads a name as that of a temporary file: `f.tmp`, `.f.tmp`, `f.tmp.12`, `f.12.tmp`, `f.json` as `f.tmp`, that of `cooks-core`
/// (`.f.CHECKSUM.12.0.tmp`), and those that Python's and Rust's `tempfile` make up. `names` are those in the same folder: where
/// the target has a part in the name, it must be there.
pub fn temporary(name: &str, names: &BTreeSet<&str>) -> Option<Temporary> {
    if !is_temporary(name) {
        return None;
    }
    let pieces: Vec<&str> = name.trim_start_matches('.').split('.').collect();
    let numbers = pieces.iter().filter_map(|piece| piece.trim_start_matches("tmp").parse().ok()).collect();
    let prefixes = (1..pieces.len()).rev().map(|end| pieces[..end].join("."));
    let candidates =
        prefixes.flat_map(|prefix| [prefix.clone(), format!(".{prefix}"), format!("{prefix}.json")]);
    let target = candidates.into_iter().find(|target| {
        target != name && names.contains(target.as_str()) && !is_temporary(target) && !is_lock_file(target, 0)
    });
    if target.is_none() && !is_made_up(name) {
        return None;
    }
    Some(Temporary { target, numbers })
}

/// Whether a name is one that is given to temporary files.
pub fn is_temporary(name: &str) -> bool {
    let mark = |piece: &str| matches!(piece, "tmp" | "temp") || digits_after(piece, "tmp");
    name.trim_start_matches('.').split('.').skip(1).any(mark) || is_made_up(name)
}

/// `tmp` with 8 signs of Python's `tempfile`, or `.tmp` with 6 of Rust's, perhaps with an ending.
fn is_made_up(name: &str) -> bool {
    let stem = name.strip_suffix(".json").or_else(|| name.strip_suffix(".tmp")).unwrap_or(name);
    let signs = |rest: &str, count| {
        rest.len() == count && rest.bytes().all(|sign| sign.is_ascii_alphanumeric() || sign == b'_')
    };
    stem.strip_prefix("tmp").is_some_and(|rest| signs(rest, 8))
        || stem.strip_prefix(".tmp").is_some_and(|rest| signs(rest, 6))
}

fn digits_after(piece: &str, start: &str) -> bool {
    piece
        .strip_prefix(start)
        .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|sign| sign.is_ascii_digit()))
}

/// The last part of a path.
pub fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// The folder of a path; empty at the top.
pub fn folder(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{is_lock_file, named_process, temporary};

    #[test]
    fn lock_files_are_told_by_name_and_size() {
        for name in [".metadata.lock", "a/agent.lock", "x.LCK", "LOCK", "db.lockfile"] {
            assert!(is_lock_file(name, 40), "{name}");
        }
        assert!(!is_lock_file("Cargo.lock", 40_000));
        for name in ["clock", "locked.json", "x.lock.queue", "lock.py"] {
            assert!(!is_lock_file(name, 0), "{name}");
        }
    }

    #[test]
    fn a_note_names_a_process_in_several_ways() {
        let named = [
            "123",
            "123\n",
            "123\nhost\n",
            "pid 123",
            "PID: 123 since noon",
            "pid=123",
            "{\"pid\": 123, \"time\": 1.5}",
            "{\"pid\": \"123\"}",
            "agent a, pid 123",
        ];
        for note in named {
            assert_eq!(named_process(note), Some(123), "{note}");
        }
        for note in ["", "pid", "-1", "0", "locked", "{\"time\": 5}", "pid 123 agent agent-a\n   \n", "pid x"]
        {
            assert_eq!(named_process(note), None, "{note}");
        }
    }

    #[test]
    fn temporary_files_are_told_by_what_they_were_to_replace() {
        let names = BTreeSet::from(["m.json", ".hidden", "plain", "m.lock"]);
        let target =
            |name| temporary(name, &names).map(|found| (found.target.unwrap_or_default(), found.numbers));
        let core = ".m.json.000000000000000000000000000000ab.42.7.tmp";
        let json = "m.json".to_owned();
        assert_eq!(target(core), Some((json.clone(), vec![42, 7])));
        assert_eq!(target("m.json.tmp"), Some((json.clone(), vec![])));
        assert_eq!(target(".m.json.tmp.99"), Some((json.clone(), vec![99])));
        assert_eq!(target("m.json.tmp99"), Some((json.clone(), vec![99])));
        assert_eq!(target("m.99.tmp"), Some((json.clone(), vec![99])));
        assert_eq!(target("m.tmp"), Some((json, vec![])));
        assert_eq!(target("plain.tmp"), Some(("plain".into(), vec![])));
        assert_eq!(target(".hidden.tmp"), Some((".hidden".into(), vec![])));
        assert_eq!(target("tmpab_d12x4"), Some((String::new(), vec![])));
        assert_eq!(target(".tmpAb12Xy"), Some((String::new(), vec![])));
        for name in ["other.tmp", "tmp", "tmp.json", "m.json", "template.json", "m.lock", "tmpdir"] {
            assert_eq!(target(name), None, "{name}");
        }
    }
}
