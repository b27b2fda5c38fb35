//! The workspace between executions: what the operations show as changed is laid out again, and read; all else is known.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::path::Path;
use std::rc::Rc;

use super::objects::Objects;
use super::paths::Paths;
use super::sys;
use crate::model::{AccessKind, Entry, Location, ObjectId, Operation, Tree};
use crate::workspace;

/// What operations changed of what was there before them.
#[derive(Debug, Default)]
pub struct Changes {
    names: BTreeSet<(u32, String)>,
    /// Objects of which the mode or attributes were changed.
    modes: BTreeSet<u32>,
    data: BTreeSet<u32>,
}

impl Changes {
    /// Takes up what an operation may change.
    pub fn note(&mut self, operation: &Operation) {
        for access in operation.accesses.iter().filter(|access| access.kind != AccessKind::Read) {
            match &access.location {
                Location::Name { dir: object, .. }
                | Location::Mode(object)
                | Location::Data { object, .. }
                    if object.was_outside() => {}
                Location::Name { dir: ObjectId::Initial(dir), name } => {
                    self.names.insert((*dir, name.clone()));
                }
                Location::Mode(ObjectId::Initial(object))
                | Location::Attributes(ObjectId::Initial(object)) => {
                    self.modes.insert(*object);
                }
                Location::Data { object: ObjectId::Initial(object), .. } => {
                    self.data.insert(*object);
                }
                // Something made since is below a name that was changed. Listings and times follow from the rest.
                _ => {}
            }
        }
    }
}

/// The paths and inodes of a workspace, by the numbers of its objects.
#[derive(Clone, Debug)]
pub struct Survey {
    paths: Rc<Vec<String>>,
    inodes: Vec<u64>,
    objects: Rc<BTreeMap<u64, ObjectId>>,
    directories: Rc<BTreeSet<ObjectId>>,
    /// The times of the objects, by their numbers; empty if the tree has no times.
    times: Rc<Vec<Option<u64>>>,
}

impl Survey {
    /// Looks at all of a workspace. The times of its files are those of this tree.
    ///
    /// # Errors
    /// Those of reading directories.
    pub fn take(dir: &Path, workspace: &Paths, tree: &Tree) -> io::Result<Self> {
        let mut paths = vec![".".to_owned()];
        paths.extend(workspace::paths(dir)?);
        let (mut inodes, mut objects, mut directories) = (Vec::new(), BTreeMap::new(), BTreeSet::new());
        for (path, object) in paths.iter().zip((0..).map(ObjectId::Initial)) {
            let status = workspace.status(path).ok();
            inodes.push(status.map_or(0, |status| status.st_ino));
            if let Some(status) = status {
                // Of two names of one inode the first one counts.
                objects.entry(status.st_ino).or_insert(object);
                if status.st_mode & libc::S_IFMT == libc::S_IFDIR {
                    directories.insert(object);
                }
            }
        }
        let times =
            paths.iter().map(|path| if path == "." { tree.own().1.time } else { tree.details(path).time });
        let times: Vec<_> = if tree.has_times() { times.collect() } else { Vec::new() };
        Ok(Self {
            times: Rc::new(times),
            paths: Rc::new(paths),
            inodes,
            objects: Rc::new(objects),
            directories: Rc::new(directories),
        })
    }

    /// The objects.
    #[must_use]
    pub fn objects(&self) -> Objects {
        Objects::new(Rc::clone(&self.objects), Rc::clone(&self.directories), Rc::clone(&self.times))
    }

    /// The object at a path, if there was one.
    #[must_use]
    pub fn object(&self, path: &str) -> Option<ObjectId> {
        let number = match path {
            "." => 0,
            path => 1 + self.paths[1..].binary_search_by(|other| other.as_str().cmp(path)).ok()?,
        };
        self.objects.get(&self.inodes[number]).copied()
    }

    fn path(&self, object: u32) -> Option<&str> {
        self.paths.get(object as usize).map(String::as_str)
    }

    /// Looks again at some paths and at what was below them.
    fn retake(&mut self, workspace: &Paths, roots: &[String]) -> io::Result<()> {
        let mut fresh = BTreeSet::new();
        let objects = Rc::make_mut(&mut self.objects);
        for root in roots {
            let first = 1 + self.paths[1..].partition_point(|path| path < root);
            let below = format!("{root}/");
            let touched =
                (first..self.paths.len()).take_while(|at| self.paths[*at].starts_with(root.as_str()));
            for at in touched.filter(|at| self.paths[*at] == *root || self.paths[*at].starts_with(&below)) {
                objects.remove(&self.inodes[at]);
                fresh.insert(at);
            }
        }
        for at in fresh {
            self.inodes[at] = workspace.status(&self.paths[at])?.st_ino;
            // Of two names of one inode the first one counts.
            objects.entry(self.inodes[at]).or_insert(ObjectId::Initial(at as u32));
        }
        Ok(())
    }
}

/// A workspace that was laid out, and what has changed in it since.
#[derive(Debug)]
pub struct Laid {
    survey: Survey,
    /// The tree as it counts in an outcome.
    tree: Tree,
    /// The names of each file that has several.
    linked: Vec<BTreeSet<String>>,
    /// Paths at which something else may stand now, other objects than were laid out.
    replaced: BTreeSet<String>,
    /// Paths of files with other contents, perhaps.
    written: BTreeSet<String>,
    /// Whether it is not known what else has changed.
    lost: bool,
}

impl Laid {
    /// A workspace that has just been laid out.
    #[must_use]
    pub fn new(survey: Survey, initial: &Tree) -> Self {
        let mut linked: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
        for (path, first) in initial.hard_links() {
            linked.entry(first).or_default().extend([path.to_owned(), first.to_owned()]);
        }
        let linked = linked.into_values().collect();
        let tree = initial.clone().timeless();
        Self { survey, tree, linked, replaced: BTreeSet::new(), written: BTreeSet::new(), lost: false }
    }

    /// The survey, where that is of the workspace as it is.
    #[must_use]
    pub fn survey(&self) -> Option<&Survey> {
        (!self.lost && self.replaced.is_empty()).then_some(&self.survey)
    }

    /// Takes up what processes did in a workspace that had this survey when they began; `known`: they did nothing unseen.
    pub fn changed(&mut self, survey: &Survey, changes: &Changes, known: bool, initial: &Tree) {
        self.lost |= !known;
        for (dir, name) in &changes.names {
            let Some(dir) = survey.path(*dir) else { continue };
            self.replaced.insert(if dir == "." { name.clone() } else { format!("{dir}/{name}") });
        }
        for object in &changes.modes {
            match survey.path(*object).and_then(|path| Some((path, initial.get(path)?))) {
                Some((path, Entry::File { .. } | Entry::Link { .. })) => {
                    self.replaced.insert(path.to_owned());
                }
                _ => self.lost = true,
            }
        }
        for object in &changes.data {
            self.written.extend(survey.path(*object).map(str::to_owned));
        }
    }

    /// Lays out again what has changed; `false` where it is not known what that is.
    ///
    /// # Errors
    /// Those of removing and writing.
    pub fn restore(&mut self, dir: &Path, workspace: &Paths, initial: &Tree) -> io::Result<bool> {
        if self.lost {
            return Ok(false);
        }
        self.replace_whole_files();
        for path in self.only_written() {
            match initial.get(path) {
                Some(Entry::File { content, .. }) => {
                    let file = File::create(dir.join(workspace::native(path)))?;
                    workspace::write(&file, content, &initial.details(path).holes)?;
                }
                _ => return Ok(false),
            }
        }
        let roots: Vec<String> = roots(&self.replaced).cloned().collect();
        workspace::lay_again(dir, &roots, initial)?;
        self.survey.retake(workspace, &roots)?;
        self.replaced.clear();
        self.written.clear();
        Ok(true)
    }

    /// Notes all names of a file as replaced if one of them is: the file is made anew.
    fn replace_whole_files(&mut self) {
        let concerned = |names: &&BTreeSet<String>| names.iter().any(|path| self.is_replaced(path));
        let names: Vec<String> = self.linked.iter().filter(concerned).flatten().cloned().collect();
        self.replaced.extend(names);
    }

    /// What the workspace holds now.
    ///
    /// # Errors
    /// Those of reading.
    pub fn capture(&self, dir: &Path) -> io::Result<Tree> {
        if self.lost {
            return workspace::capture_own(dir);
        }
        let mut paths: BTreeSet<&str> =
            self.only_written().chain(roots(&self.replaced)).map(String::as_str).collect();
        // A file that is read by one of its names has changed under all of them.
        let concerned = |names: &&BTreeSet<String>| {
            names.iter().any(|path| paths.contains(path.as_str()) || self.is_replaced(path))
        };
        let linked: Vec<&String> = self.linked.iter().filter(concerned).flatten().collect();
        paths.extend(linked.into_iter().filter(|path| !self.is_replaced(path)).map(String::as_str));
        for _ in 0..2 {
            let mut tree = self.tree.clone();
            let other_names = workspace::capture_again(dir, &paths, &mut tree)?;
            if other_names.is_empty() {
                return Ok(tree);
            }
            // A file that stands where it was laid out has a new name.
            let path = |inode| match self.survey.objects.get(inode) {
                Some(ObjectId::Initial(number)) => self.survey.path(*number),
                _ => None,
            };
            let others: Option<Vec<&str>> = other_names.iter().map(path).collect();
            let Some(others) = others else { break };
            paths.extend(others.into_iter().filter(|path| !self.is_replaced(path)));
        }
        workspace::capture_own(dir)
    }

    /// Whether another object may stand at a path now than was laid out.
    fn is_replaced(&self, path: &str) -> bool {
        let above = path.match_indices('/').map(|(end, _)| &path[..end]);
        above.chain([path]).any(|path| self.replaced.contains(path))
    }

    /// Files that are where they were, with other contents.
    fn only_written(&self) -> impl Iterator<Item = &String> {
        self.written.iter().filter(|path| !self.is_replaced(path))
    }
}

/// Lays out a workspace anew. Files that processes made immutable, or append-only, are first made removable again. Returns the paths of
/// what could not be laid out as it is in the tree.
///
/// # Errors
/// Those of removing and writing.
pub fn lay_anew(dir: &Path, initial: &Tree) -> io::Result<BTreeSet<String>> {
    let laid = workspace::lay(dir, initial);
    if !laid.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied) {
        return laid;
    }
    clear_flags(dir)?;
    workspace::lay(dir, initial)
}

/// Clears the flags of a directory and of all files and directories below it.
fn clear_flags(dir: &Path) -> io::Result<()> {
    sys::clear_flags(&File::open(dir)?)?;
    for item in std::fs::read_dir(dir)? {
        let (kind, path) = {
            let item = item?;
            (item.file_type()?, item.path())
        };
        if kind.is_dir() {
            clear_flags(&path)?;
        } else if kind.is_file() {
            sys::clear_flags(&File::open(&path)?)?;
        }
    }
    Ok(())
}

/// The paths that are below none of the others.
fn roots(paths: &BTreeSet<String>) -> impl Iterator<Item = &String> {
    paths.iter().filter(|path| !path.match_indices('/').any(|(end, _)| paths.contains(&path[..end])))
}
