//! Calls that the kernel will refuse in the present state, as far as that is known from what their paths and descriptors lead to. They only
//! look. If the kernel does not refuse such a call, that is a gap.

use super::undecided::{Early, Undecided};
use super::{Action, Decision, Decoder};
use crate::tracer::paths::{Found, Spot, ends_as_directory};
use crate::tracer::results::only_looked;

/// How the text of a path ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Ends {
    /// With a name.
    Name,
    /// With a name and a slash.
    Slash,
    /// With `.` or `..`.
    Dots,
}

impl Ends {
    fn of(path: &str) -> Self {
        let trimmed = path.trim_end_matches('/');
        let last = trimmed.rsplit_once('/').map_or(trimmed, |(_, last)| last);
        match last {
            "." | ".." => Self::Dots,
            _ if ends_as_directory(path) => Self::Slash,
            _ => Self::Name,
        }
    }
}

fn is_directory(found: &Found) -> bool {
    found.kind() == libc::S_IFDIR
}

/// Whether one path leads below the other.
fn is_below(path: &str, above: &str) -> bool {
    path.strip_prefix(above).is_some_and(|rest| rest.starts_with('/'))
}

impl Decoder<'_> {
    /// How the path at an address ends.
    pub(super) fn ends(&self, address: u64) -> Ends {
        self.path(address).map_or(Ends::Name, |path| Ends::of(&path))
    }

    /// What this call means if the kernel will refuse it, for this reason: it looks at what it would have changed.
    pub(super) fn refused(&self, decision: Decision, why: Option<&'static str>) -> Decision {
        match (decision, why) {
            (Decision::Hold(mut held), Some(why)) => {
                only_looked(&mut held.operation);
                held.operation.adds.clear();
                held.action = Action::Undecided { call: self.name, why: Undecided::Refused(why) };
                Decision::Hold(held)
            }
            (decision, _) => decision,
        }
    }

    /// Why the kernel will not remove what is there.
    pub(super) fn why_not_removed(&self, spot: &Spot, address: u64) -> Option<&'static str> {
        let found = spot.found.as_ref()?;
        match self.ends(address) {
            Ends::Dots => Some("a directory removed by `.` or `..`"),
            Ends::Slash if !is_directory(found) => Some("a file removed by the path of a directory"),
            _ if is_directory(found) && self.has_names(&spot.path) => {
                Some("a directory removed with what is in it")
            }
            _ => None,
        }
    }

    /// Why the kernel will not make anything at a path where nothing is.
    pub(super) fn why_not_made(&self, address: u64, directory: bool) -> Option<&'static str> {
        match self.ends(address) {
            Ends::Dots => Some("something made as `.` or `..`"),
            Ends::Slash if !directory => Some("a file made by the path of a directory"),
            _ => None,
        }
    }

    /// Why the kernel will not rename the source to the target; `exchange`: why it will not exchange the two.
    pub(super) fn why_not_renamed(
        &self,
        (source, target): (&Spot, &Spot),
        addresses: [u64; 2],
        exchange: bool,
    ) -> Option<&'static str> {
        let moved = source.found.as_ref()?;
        let ends = addresses.map(|address| self.ends(address));
        if ends.contains(&Ends::Dots) {
            return Some("`.` or `..` renamed");
        }
        if is_below(&target.path, &source.path)
            || is_below(&source.path, &target.path) && (exchange || target.found.is_some())
        {
            return Some("a directory renamed into itself, or over what it is in");
        }
        let Some(replaced) = target.found.as_ref().filter(|_| !exchange) else {
            let is_slashed = ends.contains(&Ends::Slash) && !is_directory(moved) && !exchange;
            return is_slashed.then_some("a file renamed by the path of a directory");
        };
        match (is_directory(moved), is_directory(replaced)) {
            (true, false) => Some("a directory renamed to a file"),
            (false, true) => Some("a file renamed to a directory"),
            (false, false) => {
                ends.contains(&Ends::Slash).then_some("a file renamed by the path of a directory")
            }
            (true, true) => self.has_names(&target.path).then_some("a directory replaced with what is in it"),
        }
    }

    /// Why the kernel will not give what is there another name.
    pub(super) fn why_not_linked(&self, linked: &Spot, target: u64) -> Option<&'static str> {
        let found = linked.found.as_ref()?;
        let by_itself = linked.name.is_none();
        let is_unnamed = || linked.path.ends_with("/(unnamed)");
        match found {
            found if is_directory(found) => Some("a link to a directory"),
            found if by_itself && found.status.st_nlink == 0 && !is_unnamed() => {
                Some("a link to what was removed")
            }
            _ => self.why_not_made(target, false),
        }
    }

    /// Why the kernel will not open what would be emptied or made by that.
    pub(super) fn why_not_opened(&self, spot: &Spot, path: &str, flags: i32) -> Option<&'static str> {
        match &spot.found {
            Some(found) if flags & libc::O_CREAT != 0 && is_directory(found) => {
                Some("a directory made by opening it")
            }
            Some(found) if flags & libc::O_DIRECTORY != 0 && !is_directory(found) => {
                Some("a file opened as a directory")
            }
            None if flags & libc::O_CREAT != 0 && Ends::of(path) != Ends::Name => {
                Some("a file made by the path of a directory")
            }
            _ => None,
        }
    }

    /// Why the kernel will not set or remove an attribute of the file that the controller finds at a path. `name`: the address of the
    /// attribute's name; `follow`: the file is what the link at the path leads to.
    pub(super) fn why_not_attribute(&self, at: &str, follow: bool, name: u64) -> Option<&'static str> {
        let flags = match self.name {
            "setxattr" | "lsetxattr" | "fsetxattr" => self.arguments[4] as i32,
            // The flags are the last of the numbers that the call points to.
            "setxattrat" => (self.numbers(self.arguments[4], 2).ok()?[1] >> 32) as i32,
            _ => libc::XATTR_REPLACE,
        };
        let name = self.path(name).ok()?;
        let (name, mut nothing) = (name.as_str(), [0; 0]);
        let size = if follow {
            rustix::fs::getxattr(at, name, &mut nothing[..])
        } else {
            rustix::fs::lgetxattr(at, name, &mut nothing[..])
        };
        let is_there = match size {
            Ok(_) => true,
            Err(rustix::io::Errno::NODATA) => false,
            Err(_) => return None,
        };
        match flags {
            libc::XATTR_CREATE if is_there => Some("an attribute made that is there"),
            libc::XATTR_REPLACE if !is_there => Some("an attribute changed or removed that is not there"),
            _ => None,
        }
    }

    /// Whether a directory of the workspace has names in it.
    fn has_names(&self, path: &str) -> bool {
        self.world.paths.has_names(path) == Some(true)
    }
}

/// The refusal of a change by a descriptor that is not open for writing.
pub(super) const NOT_WRITABLE: Early =
    Early::refused("a change by a descriptor that is not open for writing");

#[cfg(test)]
mod tests {
    use super::{Ends, is_below};

    #[test]
    fn a_path_ends_with_a_name_a_slash_or_dots() {
        for (path, ends) in [
            ("f", Ends::Name),
            ("d/f", Ends::Name),
            ("d/.f", Ends::Name),
            ("d/", Ends::Slash),
            ("d//", Ends::Slash),
            (".", Ends::Dots),
            ("d/.", Ends::Dots),
            ("d/../", Ends::Dots),
        ] {
            assert_eq!(Ends::of(path), ends, "{path}");
        }
    }

    #[test]
    fn what_is_below_has_the_whole_path_before_its_own() {
        assert!(is_below("d/y", "d"));
        assert!(!is_below("dy", "d") && !is_below("d", "d") && !is_below("d", "d/y"));
    }
}
