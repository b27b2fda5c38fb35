//! How the processes of an execution begin: started, or taken up from their checkpoints.

use super::TraceError;
use super::checkpoint::{Beginning, Checkpoint, Look, Recorder, can_be_copied};
use super::execution::Running;
use super::input::Pipe;
use super::task::Name;
use crate::model::{AccessKind, Event, ObjectId, Operation, ProcessId};

impl Running<'_> {
    /// Begins a process: from its checkpoint, where one is kept, else by starting it.
    pub(super) fn begin(&mut self, process: usize) -> Result<(), TraceError> {
        match self.beginnings.get(process) {
            Some(Beginning::Kept(_)) => {
                self.processes[process].looked = Some(0);
                return self.go_on_from_checkpoint(process);
            }
            Some(Beginning::Unknown | Beginning::Recorded(_)) => {
                self.processes[process].recorder = Some(Recorder::default());
            }
            Some(Beginning::None) | None => {}
        }
        self.spawn(process)?;
        self.consider_copy(process)
    }

    /// The look that a process which is not started yet does next.
    pub(super) fn next_look(&self, process: usize) -> Option<&Look> {
        self.checkpoint(process)?.prefix.looks.get(self.processes[process].looked?)
    }

    fn checkpoint(&self, process: usize) -> Option<&Checkpoint> {
        match self.beginnings.get(process)? {
            Beginning::Kept(checkpoint) => Some(checkpoint),
            _ => None,
        }
    }

    /// Whether the beginning of a process is being recorded.
    pub(super) fn is_recording(&self, process: usize) -> bool {
        self.processes[process].recorder.as_ref().is_some_and(|recorder| !recorder.over)
    }

    /// Does a look from the record.
    pub(super) fn look_again(&mut self, process: usize, look: Look) -> Result<Event, TraceError> {
        let state = &mut self.processes[process];
        state.clock = look.clock;
        state.operations += 1;
        state.looked = state.looked.map(|looked| looked + 1);
        self.advance_clock(process, &look.event.operation);
        self.record(process, &look.event.operation);
        self.processes[process].polling.note(&look.event);
        self.go_on_from_checkpoint(process)?;
        Ok(look.event)
    }

    /// Forks a process that has done all looks of its checkpoint.
    fn go_on_from_checkpoint(&mut self, process: usize) -> Result<(), TraceError> {
        let Some(checkpoint) = self.checkpoint(process) else { return Ok(()) };
        if self.next_look(process).is_some() {
            return Ok(());
        }
        let name = Name { process, way: Vec::new() };
        let task = checkpoint.fork(self.sandbox, self.programs[process], &name)?;
        let (tasks, clock, busy) = (checkpoint.tasks, checkpoint.clock, checkpoint.busy);
        let mapped: Vec<ObjectId> = checkpoint.prefix.mapped().collect();
        for object in mapped {
            // A process that maps a file to write it is not copied.
            self.world.mappings.map(object, process, false);
        }
        let state = &mut self.processes[process];
        (state.looked, state.tasks, state.clock, state.busy) = (None, tasks, clock, busy);
        self.tasks.insert(name.clone(), task);
        if self.on_entry(&name)? {
            return Err(TraceError::Lost(format!(
                "{} does not go on from its checkpoint",
                ProcessId(process)
            )));
        }
        self.hold_a_spinner(process);
        Ok(())
    }

    /// Before `process` does something that changes what others looked at, or will, that are not started yet: they are, and do
    /// again, unseen, what they have done. From now on their checkpoints stand before that.
    pub(super) fn start_the_disturbed(&mut self, process: usize, by: &Operation) -> Result<(), TraceError> {
        if by.accesses.iter().all(|access| access.kind == AccessKind::Read) {
            return Ok(());
        }
        for other in by.signalled().map(|other| other.0).filter(|other| *other != process) {
            // It is to take a signal, whatever it looks at: its beginning stays what it is.
            let Some(looked) = self.processes.get(other).and_then(|state| state.looked) else { continue };
            let looks = self.checkpoint(other).map(|checkpoint| checkpoint.prefix.looks[..looked].to_vec());
            self.start_again(other, &looks.unwrap_or_default())?;
        }
        for other in (0..self.processes.len()).filter(|other| *other != process) {
            let Some(looked) = self.processes[other].looked else { continue };
            let Some(prefix) = self.checkpoint(other).map(|checkpoint| checkpoint.prefix.clone()) else {
                continue;
            };
            let Some(disturbed) = prefix.first_disturbed(by) else { continue };
            self.start_again(other, &prefix.looks[..looked])?;
            self.beginnings[other] = prefix.up_to(disturbed).map_or(Beginning::None, Beginning::Recorded);
        }
        Ok(())
    }

    fn start_again(&mut self, process: usize, looks: &[Look]) -> Result<(), TraceError> {
        let clock = self.world.begins;
        self.processes[process] = super::task::Process { clock, ..Default::default() };
        self.spawn(process)?;
        for look in looks {
            self.processes[process].clock = look.clock;
            // A child's look, perhaps.
            let offered = self.offered(process).cloned();
            let event = offered.map(|name| self.execute(&name)).transpose()?;
            let again = event.as_ref().is_some_and(|done| {
                let before = &look.event;
                done.task == before.task
                    && done.operation.call == before.operation.call
                    && done.result == before.result
            });
            if !again {
                let said = |event: &Event| {
                    let call = &event.operation.call;
                    format!("{} {}: {:?}", call.name, call.path.as_deref().unwrap_or_default(), event.result)
                };
                let (before, now) = (said(&look.event), event.as_ref().map_or("nothing".into(), said));
                let process = ProcessId(process);
                return Err(TraceError::Lost(format!("{process} does not do again {before}, but {now}")));
            }
            self.processes[process].polling.note(&look.event);
            self.settle_after(process)?;
        }
        Ok(())
    }

    /// Takes an event into the record of how its process begins, and keeps a copy of the process where the record says so.
    pub(super) fn note_beginning(
        &mut self,
        event: &Event,
        clock: u64,
        after_others: bool,
    ) -> Result<(), TraceError> {
        let process = event.process.0;
        match &mut self.processes[process].recorder {
            Some(recorder) if !recorder.over => recorder.add(event, clock, after_others),
            _ => return Ok(()),
        }
        self.consider_copy(process)
    }

    /// Behind a look: whether a copy could stand for the process here; and where it is known that this is the place, keeps one.
    fn consider_copy(&mut self, process: usize) -> Result<(), TraceError> {
        if !self.is_recording(process) || self.world.timers.has_any(process) {
            return Ok(());
        }
        let name = Name { process, way: Vec::new() };
        let can_be = !self.world.mappings.prevent_a_copy(process) && !self.world.rights.have_changed(process);
        let alone = self.of(process).count() == 1 && can_be;
        let Some(task) = self.tasks.get(&name).filter(|_| alone) else { return Ok(()) };
        let state = &self.processes[process];
        let looked = state.recorder.as_ref().map_or(0, |recorder| recorder.prefix.looks.len());
        let wanted = match &self.beginnings[process] {
            Beginning::Recorded(prefix) if prefix.looks.len() != looked => return Ok(()),
            Beginning::Recorded(prefix) => Some(prefix.clone()),
            _ => None,
        };
        let input = self.sandbox.input(self.programs[process]).and_then(Pipe::name);
        let kept = (input.as_deref(), self.sandbox.prints_to(self.programs[process])?);
        let Some(offsets) = can_be_copied(task, self.sandbox.init(), kept) else { return Ok(()) };
        let Some(prefix) = wanted else {
            if let Some(recorder) = &mut self.processes[process].recorder {
                recorder.prefix.points.push(looked);
            }
            return Ok(());
        };
        let program = self.programs[process];
        let kept = Checkpoint::keep(
            self.sandbox,
            program,
            (&name, task),
            offsets,
            (prefix, state.tasks, state.clock, state.busy),
        )?;
        self.beginnings[process] = kept.map_or(Beginning::None, |kept| Beginning::Kept(Box::new(kept)));
        self.processes[process].recorder = None;
        Ok(())
    }

    /// What was learned of how the processes begin.
    pub(super) fn keep_records(&mut self) {
        for (state, beginning) in self.processes.iter_mut().zip(self.beginnings.iter_mut()) {
            let Some(recorder) = state.recorder.take() else { continue };
            if matches!(beginning, Beginning::Unknown) && recorder.over && !recorder.disturbed {
                let end = recorder.prefix.looks.len();
                *beginning = recorder.prefix.up_to(end).map_or(Beginning::None, Beginning::Recorded);
            }
        }
    }
}
