//! A backend seen through glasses that change what operations touch: the planted faults in dependence.

use cooks_harness::backend::{Backend, Chooser, Detail};
use cooks_harness::model::{
    Access, Choice, Cut, Ending, Event, Execution, Location, Operation, Status, View,
};

/// Changes what an operation touches and takes.
pub type Glasses = fn(&Operation) -> Operation;

/// The operation with each access changed, or lost.
pub fn each(seen: &Operation, access: impl Fn(&Access) -> Option<Access>) -> Operation {
    Operation { accesses: seen.accesses.iter().filter_map(access).collect(), ..seen.clone() }
}

/// The operation with those accesses that are kept.
pub fn only(seen: &Operation, kept: impl Fn(&Access) -> bool) -> Operation {
    each(seen, |access| kept(access).then(|| access.clone()))
}

/// The operation where who receives looks at the end of the other side in any case. `needed`: and says so of what it waits for.
pub fn looking_at_the_end(seen: &Operation, needed: bool) -> Operation {
    let [some, over] = &seen.needs[..] else { return seen.clone() };
    let is_end = |location: &&Location| matches!(location, Location::Ends { .. });
    let Some(ends) = over.0.iter().map(|count| &count.of).find(is_end) else { return seen.clone() };
    let mut looks = seen.clone();
    if needed {
        let open = [some.clone().with(ends.clone()), some.clone().without(ends.clone())];
        looks.needs = open.into_iter().chain([over.clone()]).collect();
    }
    if looks.accesses.iter().all(|access| access.location != *ends) {
        looks.accesses.push(Access::read(ends.clone()));
    }
    looks
}

/// A backend through glasses.
#[derive(Debug)]
pub struct Seen<B> {
    pub backend: B,
    pub glasses: Glasses,
}

struct Choosing<'c> {
    chooser: &'c mut dyn Chooser,
    glasses: Glasses,
}

fn event(seen: &Event, glasses: Glasses) -> Event {
    Event { operation: glasses(&seen.operation), ..seen.clone() }
}

fn status(seen: &Status, glasses: Glasses) -> Status {
    match seen.clone() {
        Status::Enabled(held) => Status::Enabled(glasses(&held)),
        Status::Blocked { operation: held, holders } => {
            Status::Blocked { operation: glasses(&held), holders }
        }
        over @ (Status::Ends { .. } | Status::Finished(_)) => over,
    }
}

impl Chooser for Choosing<'_> {
    fn choose(&mut self, view: View<'_>) -> Result<Choice, Cut> {
        let trace: Vec<Event> = view.trace.iter().map(|seen| event(seen, self.glasses)).collect();
        let processes: Vec<Status> = view.processes.iter().map(|seen| status(seen, self.glasses)).collect();
        self.chooser.choose(View { trace: &trace, processes: &processes })
    }
}

impl<B: Backend> Backend for Seen<B> {
    type Error = B::Error;

    fn processes(&self) -> usize {
        self.backend.processes()
    }

    fn execute(&mut self, chooser: &mut dyn Chooser, detail: Detail) -> Result<Execution, B::Error> {
        let glasses = self.glasses;
        let mut execution = self.backend.execute(&mut Choosing { chooser, glasses }, detail)?;
        for seen in &mut execution.trace {
            *seen = event(seen, glasses);
        }
        if let Ending::Blocked(waiting) = &mut execution.ending {
            for seen in waiting {
                seen.operation = glasses(&seen.operation);
            }
        }
        Ok(execution)
    }
}
