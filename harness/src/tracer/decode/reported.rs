//! Calls that are let pass and reported: what they are about, so far as that can be told.

use super::Decoder;
use super::undecided::Early;
use crate::model::{GapKind, Sighting};
use crate::tracer::ids::place_of;

/// A call that is let pass and reported.
#[derive(Clone, Copy, Debug)]
pub struct Report {
    /// The kind of gap that it is.
    pub kind: GapKind,
    /// What it is, in a few words.
    pub what: &'static str,
    /// What it is about.
    pub about: About,
}

/// What a call is about: two calls about different things do not meet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum About {
    /// What it is about cannot be told.
    Unknown,
    /// Something that no other process can reach.
    Own,
    /// The same thing in each such call.
    Same,
    /// What has the key that this argument is. The key 0 is that of a thing of its own.
    Key(usize),
    /// What has the number that this argument is, which the kernel gave.
    Number(usize),
    /// What has the name at the address that this argument is.
    Name(usize),
    /// The process whose id this argument is.
    Process(usize),
}

impl Decoder<'_> {
    /// What is to be said of a call that is let pass.
    pub(super) fn reported(&self, report: &Report) -> Result<Sighting, Early> {
        let Report { kind, what, about } = *report;
        let sighting = self.sighting(kind, what);
        Ok(match about {
            About::Unknown => sighting,
            About::Own => sighting.harmless(),
            About::Same => sighting.if_met(what, true),
            About::Key(at) if self.arguments[at] as u32 == 0 => sighting.harmless(),
            About::Key(at) => sighting.if_met(format!("{what}, key {:#x}", self.arguments[at] as u32), true),
            About::Number(at) => {
                sighting.if_met(format!("{what}, number {}", self.arguments[at] as u32), true)
            }
            About::Name(at) => sighting.if_met(format!("{what} {}", self.path(self.arguments[at])?), true),
            About::Process(at) if place_of(self.arguments[at] as i32) == Some(self.caller.process) => {
                sighting.harmless()
            }
            About::Process(_) => sighting,
        })
    }
}
