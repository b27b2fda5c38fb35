//! The files of the initial tree that are not in the workspace as they are in the tree: an ordinary user cannot give files away, and
//! sockets and devices are not laid out.

use std::collections::{BTreeMap, BTreeSet};

use super::execution::Running;
use super::laid::Survey;
use crate::model::{GapKind, Location, ObjectId, Operation, ProcessId, Sighting};

/// The paths of what is lacking, by what an operation touches that sees it.
#[derive(Debug, Default)]
pub struct Lacking {
    /// Of what has another owner, or lacks an attribute.
    objects: BTreeMap<ObjectId, String>,
    /// Of what is not there.
    names: BTreeMap<(ObjectId, String), String>,
}

impl Lacking {
    /// Of a workspace with this survey, in which these paths are not as they are in the tree.
    #[must_use]
    pub fn of(paths: BTreeSet<String>, survey: &Survey) -> Self {
        let mut lacking = Self::default();
        for path in paths {
            let (parent, name) = path.rsplit_once('/').unwrap_or((".", &path));
            if let Some(object) = survey.object(&path) {
                lacking.objects.insert(object, path);
            } else if let Some(parent) = survey.object(parent) {
                lacking.names.insert((parent, name.to_owned()), path);
            }
        }
        lacking
    }

    /// The paths of what an operation sees that is lacking.
    fn seen_by(&self, operation: &Operation) -> Vec<&String> {
        let mut seen = Vec::new();
        for access in &operation.accesses {
            match &access.location {
                Location::Mode(object) | Location::Attributes(object) | Location::Status(object) => {
                    seen.extend(self.objects.get(object));
                }
                Location::Name { dir, name } => seen.extend(self.names.get(&(*dir, name.clone()))),
                Location::Listing(dir) => {
                    let within = self.names.range((*dir, String::new())..);
                    seen.extend(within.take_while(|((of, _), _)| of == dir).map(|(_, path)| path));
                }
                _ => {}
            }
        }
        seen
    }
}

impl Running<'_> {
    /// Takes note of an operation that sees what is lacking.
    pub(super) fn note_lacking(&mut self, process: usize, operation: &Operation) {
        if self.world.lacking.objects.is_empty() && self.world.lacking.names.is_empty() {
            return;
        }
        let what =
            "looks at what could not be laid out as it is: an owner, an attribute, a socket or a device";
        for path in self.world.lacking.seen_by(operation) {
            let seen = Sighting::new(GapKind::InitialTree, ProcessId(process), what).about(path);
            self.world.not_covered.insert(seen);
        }
    }
}
