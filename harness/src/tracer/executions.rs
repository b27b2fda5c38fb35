//! Runs executions, one at a time: as a chooser says, from the beginning to the end.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::checkpoint::Beginning;
use super::execution::Running;
use super::input::Feed;
use super::known::Known;
use super::{Learned, TraceError, Tracer};
use crate::backend::{Backend, Chooser, Detail};
use crate::model::{
    Choice, Ending, Event, Execution, Exit, Outcome, ProcessId, Sighting, Status, Strands, View,
};

impl Backend for Tracer {
    type Error = TraceError;

    fn processes(&self) -> usize {
        self.strands.count()
    }

    fn execute(&mut self, chooser: &mut dyn Chooser, detail: Detail) -> Result<Execution, TraceError> {
        let mut execution = self.run(chooser, self.strands, &[], detail)?;
        if let Ending::Cut(_) | Ending::Endless(_) = execution.ending {
            execution.outcome = Outcome::default();
        }
        Ok(execution)
    }

    fn not_covered(&self) -> Vec<Sighting> {
        self.not_covered.iter().cloned().collect()
    }
}

impl Tracer {
    /// Runs an execution of all processes but these, which the chooser is to leave alone. Whatever its ending, its outcome is what there
    /// is then; it is complete where each of the others came to its end. The tasks of processes, which the chooser does not see, come
    /// in the order that is `preferred`: of each process, whose operation is next, so far as that task is held at one.
    ///
    /// # Errors
    /// Where the machine fails, or the exploration is to stop.
    pub fn execute_without(
        &mut self,
        left_out: &[ProcessId],
        preferred: &[Vec<usize>],
        chooser: &mut dyn Chooser,
    ) -> Result<Execution, TraceError> {
        let whole = Strands::whole(self.processes);
        let mut execution = self.run(chooser, whole, preferred, Detail::Search)?;
        let over = |(process, exit): (usize, &Option<Exit>)| {
            exit.is_some() || left_out.contains(&ProcessId(process))
        };
        if execution.outcome.exits.iter().enumerate().all(over) {
            execution.ending = Ending::Complete;
        }
        Ok(execution)
    }

    /// Runs executions without what is kept of others: every process is started, and does all that it does once more, to its end.
    pub fn afresh<R>(&mut self, run: impl FnOnce(&mut Self) -> R) -> R {
        let none = self.beginnings.iter().map(|_| Beginning::None).collect();
        let kept = (std::mem::replace(&mut self.beginnings, none), std::mem::take(&mut self.known));
        let result = run(self);
        (self.beginnings, self.known) = kept;
        result
    }

    /// Runs an execution like this.
    ///
    /// # Errors
    /// Those of [`Backend::execute`].
    pub fn execute_afresh(
        &mut self,
        chooser: &mut dyn Chooser,
        detail: Detail,
    ) -> Result<Execution, TraceError> {
        self.afresh(|tracer| tracer.execute(chooser, detail))
    }

    /// Runs an execution; its outcome is what there is when it ends, however it does. Where something is learned on the way of what its
    /// processes do, all is done once more up to there, with that known.
    fn run(
        &mut self,
        chooser: &mut dyn Chooser,
        strands: Strands,
        preferred: &[Vec<usize>],
        detail: Detail,
    ) -> Result<Execution, TraceError> {
        let (mut schedule, mut before) = (Vec::new(), Vec::new());
        loop {
            let run = (&mut schedule, &mut before);
            let attempt = self.attempt(chooser, run, (strands, preferred), detail);
            self.not_covered.extend(attempt.as_ref().err().and_then(TraceError::sighting));
            if let Some(execution) = attempt? {
                return Ok(execution);
            }
        }
    }

    /// Runs an execution that begins as one before, and goes on as the chooser says. `None` where something was learned: by its last step,
    /// which is another one then.
    fn attempt(
        &mut self,
        chooser: &mut dyn Chooser,
        (schedule, before): (&mut Vec<Choice>, &mut Vec<Event>),
        (strands, preferred): (Strands, &[Vec<usize>]),
        detail: Detail,
    ) -> Result<Option<Execution>, TraceError> {
        self.reset()?;
        let programs: Vec<usize> = (0..self.processes).collect();
        let mut trace = Vec::new();
        let (survey, laid) = (self.survey()?, self.laid.take());
        let (ending, ends, learned) = {
            let mut world = self.world(&survey)?;
            world.inputs = self.inputs()?;
            self.footprint.borrow_mut().begin();
            let mut nothing = Known::default();
            let ends = if self.times.delays.is_empty() { &mut self.known } else { &mut nothing };
            let known = (&mut self.beginnings[..], ends, self.all_covered);
            match Running::start(&self.sandbox, programs, known, world, detail, &self.limits) {
                Ok(mut running) => {
                    running.preferred = preferred.to_vec();
                    let ending = follow(&mut running, chooser, (schedule, before), &mut trace, strands)?;
                    if !matches!(ending, Some(Ending::Endless(_))) {
                        running.keep_records();
                    }
                    self.overtakings = running.overtakings();
                    (ending, running.ends(), Learned::of(&mut running))
                }
                // Before its first operation: nobody has done anything that others see.
                Err(TraceError::Endless(endless)) => (
                    Some(Ending::Endless(*endless)),
                    (vec![None; self.processes], Vec::new()),
                    Learned::default(),
                ),
                Err(error) => return Err(error),
            }
        };
        self.learn(&survey, laid, learned);
        let Some(ending) = ending else { return Ok(None) };
        let schedule = std::mem::take(schedule);
        keep_last_ends(&mut trace, strands);
        Ok(Some(Execution { schedule, trace, ending, outcome: self.outcome(ends)? }))
    }

    /// What the processes will be asked in an execution.
    fn inputs(&self) -> Result<BTreeMap<usize, Feed>, TraceError> {
        let mut inputs = BTreeMap::new();
        for (process, requests) in self.requests.iter().enumerate() {
            if let (Some(requests), Some(pipe)) = (requests, self.sandbox.input(process)) {
                inputs.insert(process, Feed::new(pipe, Arc::clone(requests))?);
            }
        }
        Ok(inputs)
    }

    fn outcome(&self, (exits, earlier): (Vec<Option<Exit>>, Vec<Vec<Exit>>)) -> Result<Outcome, TraceError> {
        let output = |process| Ok(self.sandbox.output(process)?.0);
        let stdout: Result<Vec<Vec<u8>>, TraceError> = (0..self.processes).map(output).collect();
        Ok(Outcome { tree: self.capture()?, exits, earlier, stdout: stdout?, ..Outcome::default() })
    }
}

/// Leaves it to the last event of each process to say how it ended: behind another one it ended only if nothing came to it any more.
fn keep_last_ends(trace: &mut [Event], strands: Strands) {
    let mut later = BTreeSet::new();
    for event in trace.iter_mut().rev() {
        if !later.insert(strands.process(event.process)) {
            event.exit = None;
        }
    }
}

/// Runs an execution to its end: first as it is said, and as it was before, then as the chooser says. `None` where something is learned.
fn follow(
    running: &mut Running<'_>,
    chooser: &mut dyn Chooser,
    (schedule, before): (&mut Vec<Choice>, &mut Vec<Event>),
    trace: &mut Vec<Event>,
    strands: Strands,
) -> Result<Option<Ending>, TraceError> {
    loop {
        let statuses = running.statuses_of(strands);
        let is_repeated = trace.len() < schedule.len();
        if !is_repeated && !statuses.iter().any(Status::is_enabled) {
            let waiting = running.waiting_of(strands);
            return Ok(Some(if waiting.is_empty() { Ending::Complete } else { Ending::Blocked(waiting) }));
        }
        if !is_repeated {
            match chooser.choose(View { trace, processes: &statuses }) {
                Ok(choice) => schedule.push(choice),
                Err(cut) => return Ok(Some(Ending::Cut(cut))),
            }
        }
        let Choice::Process(process) = schedule[trace.len()];
        let differs = TraceError::NotRepeated { process, step: trace.len() + 1 };
        if is_repeated && !statuses[process.0].may_be_chosen() {
            return Err(differs);
        }
        let event = match running.step_of(strands, process) {
            Err(TraceError::Endless(endless)) => {
                trace.push(running.take_under_way(process, &statuses[process.0]));
                return Ok(Some(Ending::Endless(*endless)));
            }
            event => event?,
        };
        if before.get(trace.len()).is_some_and(|before| *before != event) {
            return Err(differs);
        }
        if running.has_learned {
            before.clone_from(trace);
            return Ok(None);
        }
        trace.push(event);
    }
}
