use std::collections::BTreeMap;

use super::patience::Patience;
use super::points::Points;
use super::{SplitMix64, Strategy};
use crate::model::{Access, Choice, Cut, Execution, HappensBefore, ProcessId, View};

/// With more beginnings than this to keep in mind, a copy costs more than it spares.
const MOST_COPIED: usize = 20_000;

/// Every trace class that some schedule with at most so many preemptions has.
///
/// A *preemption* is a switch away from a process that could have gone on. To go on with another process when one has ended or
/// waits for a lock is none; neither is it to leave one that looks and looks in vain. The bound is that of Madanlal Musuvathi and
/// Shaz Qadeer, *Iterative Context Bounding for Systematic Testing of Multithreaded Programs* (PLDI 2007): most bugs need few.
///
/// Reductions are unsound together with a bound where the one schedule that they keep of a class has more preemptions than one
/// that they leave out (Katherine Coons, Madanlal Musuvathi and Kathryn McKinley, *Bounded Partial-Order Reduction*, OOPSLA 2013).
/// So this is a depth-first search of the schedules, cheaper by two things that keep the number of preemptions:
///
/// 1. A process is preempted only before an operation that conflicts with one of another process (a scheduling point). For let it
///    be preempted before another operation: that commutes with all that comes before it is done; done before the switch instead,
///    the class is the same, and there are no more preemptions than before. Which operations those are is learned: a node is
///    judged when all that follows without preemption there has been run, and in that every operation that conflicts shows up, if
///    only as what a process is held at.
/// 2. A beginning is not gone on from if one of the same class, with the same process last, was gone on from with no more
///    preemptions: whatever can follow the one can follow the other, at the same price.
///
/// In memory is a fingerprint of 128 bits for each beginning that was gone on from: unlike the search without bound, this grows
/// with the number of executions. Two classes with one fingerprint would lose an execution; among 10^9 the chance is 10^-20.
#[derive(Clone, Debug)]
pub struct Bounded {
    most: u32,
    stack: Vec<Node>,
    begun: bool,
    /// How many nodes from the start are not to be gone back to.
    fixed: usize,
    points: Points,
    patience: Patience,
    order: HappensBefore,
    /// Steps of the present execution that are in `order`.
    ordered: usize,
    /// The beginnings that were gone on from, by class and last process, with the preemptions that they had.
    explored: BTreeMap<(u128, ProcessId), u32>,
    /// Whether the bound has kept anything out.
    reached: bool,
    fault: Option<BoundFault>,
}

/// A fault to plant, so that the self-checks can be seen to find it. Not part of the interface.
#[doc(hidden)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BoundFault {
    /// Whether it matters when an operation comes is judged before anything is known.
    JudgedAtOnce,
    /// It does not matter who was last.
    LastForgotten,
    /// It does not matter how many preemptions there were.
    PriceForgotten,
    /// Every switch is a preemption.
    EverySwitchCounts,
    /// Nothing is a preemption.
    NothingCounts,
}

/// A point of the present execution where a choice was made.
#[derive(Clone, Debug)]
struct Node {
    /// The steps that may come next, in the order in which they are tried.
    next: Vec<Next>,
    /// What a process that could be preempted here is held at.
    preempted: Option<(ProcessId, Vec<Access>)>,
    /// Whether that was known to be a point when the execution came here.
    known: bool,
    /// How many of `next` have been tried or put aside.
    tried: usize,
    /// The one that was chosen last.
    chosen: Next,
}

/// A step that may come next.
#[derive(Clone, Copy, Debug)]
struct Next {
    process: ProcessId,
    /// The class of the beginning that ends with it.
    class: u128,
    /// The preemptions of that beginning.
    preemptions: u32,
    preempts: bool,
}

impl Bounded {
    /// A search for schedules with at most so many preemptions.
    #[must_use]
    pub fn new(preemptions: u32) -> Self {
        Self {
            most: preemptions,
            stack: Vec::new(),
            begun: false,
            fixed: 0,
            points: Points::default(),
            patience: Patience::default(),
            order: HappensBefore::default(),
            ordered: 0,
            explored: BTreeMap::new(),
            reached: false,
            fault: None,
        }
    }

    /// One with a fault.
    #[doc(hidden)]
    #[must_use]
    pub fn with_fault(preemptions: u32, fault: BoundFault) -> Self {
        Self { fault: Some(fault), ..Self::new(preemptions) }
    }

    /// Takes note of what has happened.
    fn note(&mut self, view: View<'_>) {
        self.points.learn(view);
        self.patience.note(view.trace);
        for event in &view.trace[self.ordered..] {
            self.order.push(event.process, &event.operation);
        }
        self.ordered = view.trace.len();
    }

    /// The node that a view shows.
    fn node(&self, view: View<'_>) -> Node {
        let before = self.stack.last().map(|node| node.chosen);
        let (class, so_far) = before.map_or((0, 0), |next| (next.class, next.preemptions));
        let last = view.trace.last().map(|event| event.process);
        let going_on = last.filter(|last| view.processes[last.0].is_enabled());
        let spent = going_on.is_some_and(|process| self.patience.is_spent(process));
        let next = |process: ProcessId| {
            let operation = view.processes[process.0].operation();
            let clock = operation.map_or_else(Vec::new, |held| self.order.clock_before(process, held));
            let switches = last.is_some_and(|last| last != process);
            let preempts = match self.fault {
                Some(BoundFault::EverySwitchCounts) => switches,
                Some(BoundFault::NothingCounts) => false,
                _ => going_on.is_some() && switches && !spent,
            };
            let class = class.wrapping_add(fingerprint(process, &clock));
            Next { process, class, preemptions: so_far + u32::from(preempts), preempts }
        };
        let mut next: Vec<Next> = view.enabled().map(next).collect();
        // Whoever was last goes on, unless it looks in vain.
        next.sort_by_key(|next| (Some(next.process) == going_on) == spent);
        let held = |process: ProcessId| view.processes[process.0].operation().map(|at| at.accesses.clone());
        let preempted = going_on.and_then(|process| Some((process, held(process)?)));
        let known =
            preempted.as_ref().is_some_and(|(process, accesses)| self.points.is_point(*process, accesses));
        Node { chosen: next[0], next, preempted, known, tried: 0 }
    }

    /// Whether a step is to be tried: the bound allows it, and nothing as good was gone on from.
    fn is_wanted(&mut self, next: Next) -> bool {
        if next.preemptions > self.most {
            self.reached = true;
            return false;
        }
        let last = if self.fault == Some(BoundFault::LastForgotten) { ProcessId(0) } else { next.process };
        let before = self.explored.get(&(next.class, last));
        let forgotten = self.fault == Some(BoundFault::PriceForgotten);
        if before.is_some_and(|before| forgotten || *before <= next.preemptions) {
            return false;
        }
        self.explored.insert((next.class, last), next.preemptions);
        true
    }

    /// Whether a step will be tried, by what is known now.
    fn may_come(&self, node: &Node, next: Next) -> bool {
        let is_point = || {
            let held = node.preempted.as_ref();
            held.is_some_and(|(process, held)| self.points.is_point(*process, held))
        };
        let before = self.explored.get(&(next.class, next.process));
        next.preemptions <= self.most
            && before.is_none_or(|before| *before > next.preemptions)
            && (!next.preempts || is_point())
    }

    /// Chooses the next step to try from a node; `None` where there is no other.
    fn advance(&mut self, node: &mut Node) -> Option<Next> {
        let is_point = match self.fault {
            Some(BoundFault::JudgedAtOnce) => node.known,
            _ => node.preempted.as_ref().is_some_and(|(process, held)| self.points.is_point(*process, held)),
        };
        // Those that preempt come last, and are tried when this turns out to be a point before the node is left.
        while let Some(next) = node.next.get(node.tried).copied() {
            if next.preempts && !is_point {
                return None;
            }
            node.tried += 1;
            if self.is_wanted(next) {
                node.chosen = next;
                return Some(next);
            }
        }
        None
    }
}

impl Strategy for Bounded {
    fn begin(&mut self) -> bool {
        (self.order, self.ordered) = (HappensBefore::default(), 0);
        self.patience.begin();
        if !self.begun {
            self.begun = true;
            return true;
        }
        while self.stack.len() > self.fixed {
            let Some(mut node) = self.stack.pop() else { break };
            if self.advance(&mut node).is_some() {
                self.stack.push(node);
                return true;
            }
        }
        false
    }

    fn choose(&mut self, view: View<'_>) -> Result<Choice, Cut> {
        self.note(view);
        let step = view.trace.len();
        if step == self.stack.len() {
            let mut node = self.node(view);
            self.advance(&mut node).ok_or(Cut::Redundant)?;
            self.stack.push(node);
        }
        Ok(Choice::Process(self.stack[step].chosen.process))
    }

    fn end(&mut self, execution: &Execution) {
        self.points.learn_end(execution);
    }

    fn name(&self) -> Vec<usize> {
        self.stack.iter().map(|node| node.chosen.process.0).collect()
    }

    /// Whether a step that is a preemption will be tried is known only when the search comes there: those that are wanted by what is
    /// known now.
    fn ahead(&self, wanted: &mut dyn FnMut(&[usize]) -> bool) -> Option<Box<dyn Strategy + Send>> {
        if self.explored.len() > MOST_COPIED {
            return None;
        }
        let mut name = self.name();
        for depth in (0..self.stack.len()).rev() {
            let node = &self.stack[depth];
            for place in (node.tried..node.next.len()).filter(|place| self.may_come(node, node.next[*place]))
            {
                name.truncate(depth);
                name.push(node.next[place].process.0);
                if wanted(&name) {
                    let stack = self.stack[..=depth].to_vec();
                    let mut copy = Self { stack, begun: false, fixed: depth + 1, ..self.clone() };
                    let node = &mut copy.stack[depth];
                    (node.tried, node.chosen) = (place + 1, node.next[place]);
                    return Some(Box::new(copy));
                }
            }
        }
        None
    }

    /// Where the bound kept nothing out, it is none.
    fn is_exhaustive(&self) -> bool {
        !self.reached
    }

    fn covered(&self, _processes: usize) -> Option<String> {
        Some(words(self.most))
    }
}

/// What a search with this bound covers.
pub(super) fn words(most: u32) -> String {
    let preemptions = if most == 1 { "preemption" } else { "preemptions" };
    format!("all schedules with at most {most} {preemptions}")
}

/// The mark of an event in the class of a trace: its process, its number there, and what comes before it. The sum of the marks of
/// all events is the mark of the class, in whatever order they come.
fn fingerprint(process: ProcessId, clock: &[u32]) -> u128 {
    let used = clock.iter().rposition(|ticks| *ticks > 0).map_or(0, |last| last + 1);
    let half = |seed: u64| {
        let words = std::iter::once(process.0 as u64).chain(clock[..used].iter().copied().map(u64::from));
        words.fold(seed, |mark, word| SplitMix64::new(mark ^ word).next_u64())
    };
    u128::from(half(0x243f_6a88_85a3_08d3)) << 64 | u128::from(half(0x1319_8a2e_0370_7344))
}
