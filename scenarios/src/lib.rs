//! The catalogue: incidents replayed, each with the verdict that it must give; and the agents of the native ones.

mod agents;

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use cooks_harness::model::{Entry, Tree};
use cooks_harness::scenario::{Scenario, ScenarioError};
use cooks_harness::tracer::Program;
use include_dir::{Dir, DirEntry, include_dir};

/// The folders of the catalogue, as they were when this was built.
static CATALOGUE: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/catalogue");

/// What a new scenario begins as.
static TEMPLATE: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/template");

/// The name of the scenario with a planted fault: where that is not found, nothing that is not found means anything.
pub const CANARY: &str = "canary";

/// What the folder of a new scenario holds.
#[must_use]
pub fn template() -> Tree {
    tree(&TEMPLATE)
}

/// The names of the catalogue, sorted.
pub fn names() -> impl Iterator<Item = &'static str> {
    let mut folders: Vec<&Dir<'_>> = CATALOGUE.dirs().collect();
    folders.sort_by_key(|folder| folder.path());
    folders.into_iter().filter_map(|folder| folder.path().to_str())
}

/// A scenario of the catalogue, with its workspace; `None` where there is none of this name.
pub fn find(name: &str) -> Option<Result<(Scenario, Tree), ScenarioError>> {
    let folder = CATALOGUE.dirs().find(|folder| folder.path().to_str() == Some(name))?;
    let text = folder.get_file(folder.path().join("scenario.toml"))?.contents_utf8()?;
    let file = format!("{name}/scenario.toml");
    let read = |input: &str| {
        let found = folder.get_file(folder.path().join(input));
        found.map(|file| file.contents().to_vec()).ok_or_else(|| "is not in the scenario's folder".to_owned())
    };
    let complete = |mut scenario: Scenario| {
        let complete = scenario.read_inputs(read);
        complete.map(|()| scenario).map_err(|message| ScenarioError {
            file: file.clone(),
            line: None,
            message,
        })
    };
    Some(Scenario::parse(text, &file).and_then(complete).and_then(|mut scenario| {
        scenario.name = name.to_owned();
        let tree = workspace(folder.path(), scenario.dir.as_deref()).map_err(|message| ScenarioError {
            file: file.clone(),
            line: None,
            message,
        })?;
        Ok((scenario, tree))
    }))
}

/// What each workspace is a copy of: a folder of the scenario's own, or of another one (`dir = "../stage-2/workspace"`).
fn workspace(folder: &Path, dir: Option<&str>) -> Result<Tree, String> {
    let mut path = PathBuf::new();
    for part in folder.join(dir.unwrap_or("workspace")).components() {
        match part {
            Component::ParentDir => drop(path.pop()),
            part => path.push(part),
        }
    }
    match (CATALOGUE.get_dir(path), dir) {
        (Some(found), _) => Ok(tree(found)),
        (None, None) => Ok(Tree::new()),
        (None, Some(dir)) => Err(format!("`dir` is {dir}, and there is no such folder in the catalogue")),
    }
}

/// What a folder of the catalogue holds. Modes are not kept in it: everybody may read, programs begin with `#!`.
fn tree(folder: &Dir<'_>) -> Tree {
    let mut tree = Tree::new();
    let mut left = vec![folder];
    while let Some(next) = left.pop() {
        for entry in next.entries() {
            let Some(path) = entry.path().strip_prefix(folder.path()).ok().and_then(|path| path.to_str())
            else {
                continue;
            };
            let found = match entry {
                DirEntry::Dir(dir) => {
                    left.push(dir);
                    Entry::Dir { mode: 0o755 }
                }
                DirEntry::File(file) => {
                    let content = file.contents().to_vec();
                    let mode = if content.starts_with(b"#!") { 0o755 } else { 0o644 };
                    Entry::File { mode, content }
                }
            };
            tree.insert(path.to_owned(), found);
        }
    }
    tree
}

/// A native agent: it is given its id, and gives its exit status.
type Agent = fn(&str) -> i32;

fn agents() -> BTreeMap<&'static str, Agent> {
    BTreeMap::from([
        ("unlocked", agents::unlocked as Agent),
        ("core", agents::core as Agent),
        ("core-twice", agents::core_twice as Agent),
        ("core-cached", agents::core_cached as Agent),
        ("core-at-once", agents::core_at_once as Agent),
    ])
}

/// The closure that these words name: `unlocked agent-a`.
#[must_use]
pub fn closure(words: &str) -> Option<Program> {
    let (name, id) = words.split_once(' ')?;
    let agent = *agents().get(name)?;
    let id = id.to_owned();
    Some(Program::closure(words, move || agent(&id)))
}

/// The names of the closures.
#[must_use]
pub fn closure_names() -> Vec<&'static str> {
    agents().into_keys().collect()
}

#[cfg(test)]
mod tests {
    use super::{CATALOGUE, find, names};

    #[test]
    fn each_scenario_is_held_to_a_verdict_and_told_of() {
        for name in names() {
            let (scenario, tree) = find(name).unwrap().unwrap();
            assert!(scenario.expect.is_some(), "{name} expects nothing");
            assert!(!scenario.summary.is_empty(), "{name} has no summary");
            assert!(!tree.is_empty(), "{name} has no workspace");
            let story = CATALOGUE.get_file(format!("{name}/README.md"));
            assert!(story.is_some(), "{name} has no README");
        }
    }

    /// Several scenarios can be about the same programs.
    #[test]
    fn a_workspace_can_be_that_of_another() {
        let [two, three] =
            ["unlink-on-release-2", "unlink-on-release-3"].map(|name| find(name).unwrap().unwrap());
        assert_eq!(two.1, three.1);
        assert_eq!(three.0.processes.len(), 3);
    }
}
