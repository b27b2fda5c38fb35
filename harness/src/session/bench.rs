//! A tracer and the commands that look at what an execution left, in one thread: of the search, or of one who runs ahead of it.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use super::ahead::Bench;
use super::finish::Afterwards;
use super::{Job, SessionError, tracer_of};
use crate::backend::{Backend, Chooser, Detail};
use crate::limits::Limits;
use crate::model::footprint::{self, Footprint};
use crate::model::{Execution, Sighting, Tree};
use crate::oracle::CheckRun;
use crate::scenario::Equivalence;
use crate::tracer::{self, Overtaking, TraceError, Tracer};

/// What comes of an execution beside itself.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Of the user's check, where there is one.
    pub(super) check: Option<CheckRun>,
    /// What of it was not covered.
    pub(super) not_covered: BTreeSet<Sighting>,
    /// The changes that could have come later than others in it, as far as a process could tell.
    pub(super) overtakings: BTreeSet<Overtaking>,
}

/// That of the search itself: its tracer runs other things as well.
pub(super) struct OfTheSearch<'s> {
    pub(super) tracer: &'s mut Tracer,
    pub(super) afterwards: &'s Afterwards,
    /// What the tracer did not cover in what is no execution of the search.
    pub(super) before: BTreeSet<Sighting>,
}

impl<'s> OfTheSearch<'s> {
    pub(super) fn new(tracer: &'s mut Tracer, afterwards: &'s Afterwards) -> Self {
        let before = tracer.take_not_covered();
        Self { tracer, afterwards, before }
    }
}

impl Drop for OfTheSearch<'_> {
    fn drop(&mut self) {
        drop(self.tracer.take_not_covered());
        self.tracer.note_not_covered(std::mem::take(&mut self.before));
    }
}

impl Bench for OfTheSearch<'_> {
    type Beside = Seen;
    type Error = SessionError;

    fn execute(&mut self, chooser: &mut dyn Chooser, detail: Detail) -> Result<Execution, SessionError> {
        let execution = self.tracer.execute(chooser, detail);
        // An unknown call ends the search; its gap is the reason that the report gives.
        self.before.extend(execution.as_ref().err().and_then(TraceError::sighting));
        Ok(execution?)
    }

    fn finish(&mut self, execution: &mut Execution) -> Result<Seen, SessionError> {
        finish(self.tracer, self.afterwards, execution)
    }
}

fn finish(
    tracer: &mut Tracer,
    afterwards: &Afterwards,
    execution: &mut Execution,
) -> Result<Seen, SessionError> {
    let overtakings = tracer.take_overtakings();
    let check = afterwards.finish(tracer, execution)?;
    Ok(Seen { check, not_covered: tracer.take_not_covered(), overtakings })
}

/// That of one who runs ahead: a sandbox and a core to itself.
pub(super) struct OfItsOwn {
    tracer: Tracer,
    afterwards: Afterwards,
    /// Where all of those that run ahead leave what their processes touched outside the workspace.
    footprints: Footprints,
}

/// What processes touched outside the workspace, in the executions of all that run ahead.
pub(super) type Footprints = Arc<Mutex<Vec<Footprint>>>;

impl Drop for OfItsOwn {
    fn drop(&mut self) {
        let mut all = self.footprints.lock().unwrap_or_else(PoisonError::into_inner);
        footprint::merge(&mut all, self.tracer.footprints());
    }
}

impl OfItsOwn {
    /// On this core, beginning with what the search begins with.
    pub(super) fn new(
        job: &Job,
        initial: &Tree,
        core: Option<usize>,
        limits: &Limits,
        (footprints, ordered): (&Footprints, &BTreeSet<String>),
    ) -> Result<Self, SessionError> {
        if let Some(core) = core {
            tracer::move_to(&[core]);
        }
        let (afterwards, others) = Afterwards::of(&job.scenario);
        let mut tracer = tracer_of(&job.scenario, &job.programs, &others, initial, limits)?;
        tracer.plant(job.faults);
        tracer.order_times(ordered, job.scenario.equivalence == Equivalence::Observed);
        Ok(Self { tracer, afterwards, footprints: Arc::clone(footprints) })
    }
}

impl Bench for OfItsOwn {
    type Beside = Seen;
    type Error = SessionError;

    fn execute(&mut self, chooser: &mut dyn Chooser, detail: Detail) -> Result<Execution, SessionError> {
        Ok(self.tracer.execute(chooser, detail)?)
    }

    fn finish(&mut self, execution: &mut Execution) -> Result<Seen, SessionError> {
        finish(&mut self.tracer, &self.afterwards, execution)
    }
}
