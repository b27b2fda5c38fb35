//! Executions run ahead of the search, side by side, each on a core of its own.
//!
//! A schedule alone decides an execution. So it does not matter who runs one, or when: the search, one after another in its own
//! order, is the only one that decides, counts and judges. Others run *ahead*: copies of its strategy choose what it will probably want
//! ([`Strategy::ahead`]), and what they come to is kept with what they were shown at each step. When the search comes to an execution of
//! that name, its strategy chooses on what is recorded, step by step. Where it chooses the same to the end, this is the execution that it
//! would have run. Where it does not, the guess was wrong: the record is dropped, and the execution is run, the choices made so far
//! being kept. So what the search comes to is what it comes to alone; a wrong guess costs time.
//!
//! The search runs executions itself where nobody has begun them; where somebody has, it runs another one ahead meanwhile.
//!
//! `record.rs` is an execution that was run ahead; `shared.rs` what all of them have in common; `places.rs` where there is room for one
//! more: also for one who comes in the middle of the search.

mod places;
mod record;
mod shared;

use std::sync::atomic::{AtomicBool, Ordering};

pub use self::places::{Place, Places};
use self::record::{GoingOn, Keeping, Record, Views};
use self::shared::{Found, Offer, Shared};
use crate::backend::{Backend, Chooser, Detail};
use crate::explore::{Steering, Strategy};
use crate::limits::Limits;
use crate::model::{Choice, Cut, Ending, Execution};

/// Runs executions with all that belongs to them, in one thread.
pub trait Bench {
    /// What comes of an execution beside itself.
    type Beside: Send;
    /// Why one could not be run.
    type Error: Send;

    /// Runs one.
    ///
    /// # Errors
    /// Where the machinery fails, or is told to stop.
    fn execute(&mut self, chooser: &mut dyn Chooser, detail: Detail) -> Result<Execution, Self::Error>;

    /// Completes one that was just run and is to be counted.
    ///
    /// # Errors
    /// As above; and where a command that looks at what is left fails.
    fn finish(&mut self, execution: &mut Execution) -> Result<Self::Beside, Self::Error>;
}

/// A backend alone.
#[derive(Debug)]
pub struct Bare<B>(pub B);

impl<B: Backend<Error: Send>> Bench for Bare<B> {
    type Beside = ();
    type Error = B::Error;

    fn execute(&mut self, chooser: &mut dyn Chooser, detail: Detail) -> Result<Execution, B::Error> {
        self.0.execute(chooser, detail)
    }

    fn finish(&mut self, _execution: &mut Execution) -> Result<(), B::Error> {
        Ok(())
    }
}

/// A fault to plant, so that the self-checks can be seen to find it. Not part of the interface.
#[doc(hidden)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AheadFault {
    /// A record is used although the strategy chose otherwise.
    MismatchIgnored,
    /// Where a record does not fit, the strategy is asked again from the start.
    AskedAgain,
}

/// A search that has others run ahead of it.
pub struct Ahead<'s, T, E> {
    shared: &'s Shared<T, E>,
    /// Lets one more run ahead, where there is a place for one; whether there was.
    hire: &'s dyn Fn() -> bool,
    /// How many run ahead.
    others: usize,
    max_steps: usize,
    /// What ends the search before its end.
    limits: &'s Limits,
    fault: Option<AheadFault>,
    /// How many records were used, and how many were not what the search wanted.
    used: [u64; 2],
}

/// Ends what goes on ahead when the search ends, however it does.
struct Over<'s, T, E> {
    shared: &'s Shared<T, E>,
    over: &'s AtomicBool,
}

impl<T, E> Drop for Over<'_, T, E> {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        self.shared.end();
    }
}

/// How a search is made with others beside it.
#[derive(Clone, Copy, Debug)]
pub struct Beside<'a> {
    /// Where others may run ahead: as many as there are places, as soon as there are.
    pub places: &'a Places,
    /// How many steps an execution may have.
    pub max_steps: usize,
    /// What ends the search before its end.
    pub limits: &'a Limits,
    /// Set here when the search has ended: the others are to stop.
    pub over: &'a AtomicBool,
}

impl Beside<'_> {
    /// Makes a search, with others that run ahead on benches of their own: `make` makes them, for their places, in their threads. Where
    /// one cannot be made, the search ends with that.
    pub fn search<B: Bench, R>(
        self,
        make: impl Fn(&Place<'_>) -> Result<B, B::Error> + Sync,
        search: impl FnOnce(&mut Ahead<'_, B::Beside, B::Error>) -> R,
    ) -> R {
        let shared = Shared::new();
        let (shared, make) = (&shared, &make);
        std::thread::scope(|scope| {
            let hire = || {
                let Some(place) = self.places.take() else { return false };
                scope.spawn(move || match make(&place) {
                    Ok(mut bench) => {
                        while let Some(offer) = shared.claim_or_wait() {
                            run_ahead(shared, offer, &mut bench, self.max_steps);
                        }
                    }
                    Err(error) => shared.fail(error),
                });
                true
            };
            let _over = Over { shared, over: self.over };
            search(&mut Ahead {
                shared,
                hire: &hire,
                others: 0,
                max_steps: self.max_steps,
                limits: self.limits,
                fault: None,
                used: [0, 0],
            })
        })
    }
}

/// Runs one execution of an offer, and gives the offer back where it goes on.
fn run_ahead<B: Bench>(
    shared: &Shared<B::Beside, B::Error>,
    mut offer: Offer,
    bench: &mut B,
    max_steps: usize,
) {
    if !offer.strategy.begin() {
        return;
    }
    let name = offer.strategy.name();
    let Some(begun) = shared.begin(&offer, name) else { return };
    let record = record(offer.strategy.as_mut(), bench, max_steps);
    let told = record.as_ref().ok().map(|record| record.execution.clone());
    if begun.keep(&offer, record)
        && let Some(execution) = told
    {
        offer.strategy.end(&execution);
        shared.give_back(offer);
    }
}

/// Runs an execution that a strategy has begun, and keeps what it was shown.
fn record<B: Bench>(
    strategy: &mut (dyn Strategy + Send),
    bench: &mut B,
    max_steps: usize,
) -> Result<Record<B::Beside>, B::Error> {
    let detail = strategy.detail();
    let mut steering: Steering<'_, dyn Strategy> = Steering { strategy, max_steps };
    let mut keeping = Keeping { chooser: &mut steering, views: Views::default() };
    let mut execution = bench.execute(&mut keeping, detail)?;
    let views = keeping.views;
    let owned = strategy.owns(&execution);
    let ending = execution.ending.clone();
    if !owned {
        execution.ending = Ending::Cut(Cut::Elsewhere);
    }
    let beside = bench.finish(&mut execution)?;
    execution.ending = ending;
    Ok(Record { execution, owned, beside, views })
}

impl<T: Send, E: Send> Ahead<'_, T, E> {
    /// Offers executions for so many who are not there: whoever simulates them lets them [`help`](Self::help). With a fault, if any.
    #[doc(hidden)]
    pub fn simulate(&mut self, others: usize, fault: Option<AheadFault>) {
        (self.others, self.fault) = (others, fault);
    }

    /// How many executions were taken from those run ahead, and how many of these were not what the search wanted. It depends on
    /// who was faster.
    #[must_use]
    pub fn used(&self) -> [u64; 2] {
        self.used
    }

    /// The execution that a strategy has begun: one that was run ahead, or run now. The strategy is told.
    ///
    /// # Errors
    /// Those of the bench, also of an execution that was run ahead; and where somebody who was to run ahead could not.
    pub fn next<B: Bench<Beside = T, Error = E>>(
        &mut self,
        strategy: &mut dyn Strategy,
        bench: &mut B,
    ) -> Result<(Execution, T), E> {
        while (self.hire)() {
            self.others += 1;
        }
        if self.others == 0 {
            return self.run(strategy, bench, Vec::new());
        }
        let name = strategy.name();
        self.shared.offer(strategy, &name, self.others + 1);
        loop {
            if let Some(error) = self.shared.failure() {
                return Err(error);
            }
            match self.shared.find(&name) {
                Found::Run(record) => return self.take(strategy, bench, (*record)?),
                Found::Runs if self.limits.check().is_err() => break,
                Found::Runs if self.help(bench) => {}
                Found::Runs => self.shared.wait_for(&name),
                Found::Nobody => break,
            }
        }
        let run = self.run(strategy, bench, Vec::new());
        self.shared.is_done(&name);
        run
    }

    /// Runs an execution ahead, if there is one to be run: for the search while it waits, and for whoever simulates others.
    /// Whether there was.
    pub fn help<B: Bench<Beside = T, Error = E>>(&self, bench: &mut B) -> bool {
        let offer = self.shared.claim();
        let is_there = offer.is_some();
        if let Some(offer) = offer {
            run_ahead(self.shared, offer, bench, self.max_steps);
        }
        is_there
    }

    /// Takes a record for the execution that a strategy has begun, if it is that.
    fn take<B: Bench<Beside = T, Error = E>>(
        &mut self,
        strategy: &mut dyn Strategy,
        bench: &mut B,
        record: Record<T>,
    ) -> Result<(Execution, T), E> {
        let strict = self.fault != Some(AheadFault::MismatchIgnored);
        let mut steering: Steering<'_, dyn Strategy> = Steering { strategy, max_steps: self.max_steps };
        let played = record.play(&mut steering, strict);
        self.used[usize::from(played.is_err())] += 1;
        match played {
            Ok(()) => {
                let Record { mut execution, owned, beside, .. } = record;
                strategy.end(&execution);
                if !owned {
                    execution.ending = Ending::Cut(Cut::Elsewhere);
                }
                Ok((execution, beside))
            }
            Err(_) if self.fault == Some(AheadFault::AskedAgain) => self.run(strategy, bench, Vec::new()),
            Err(answers) => self.run(strategy, bench, answers),
        }
    }

    /// Runs the execution that a strategy has begun, and has given the first answers for.
    fn run<B: Bench<Beside = T, Error = E>>(
        &self,
        strategy: &mut dyn Strategy,
        bench: &mut B,
        answers: Vec<Result<Choice, Cut>>,
    ) -> Result<(Execution, T), E> {
        let detail = strategy.detail();
        let steering: Steering<'_, dyn Strategy> = Steering { strategy, max_steps: self.max_steps };
        let mut going_on = GoingOn { answers: answers.into_iter(), steering };
        let mut execution = bench.execute(&mut going_on, detail)?;
        strategy.end(&execution);
        if !strategy.owns(&execution) {
            execution.ending = Ending::Cut(Cut::Elsewhere);
        }
        let beside = bench.finish(&mut execution)?;
        Ok((execution, beside))
    }
}
