use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::Normalize;
use crate::model::{Exit, Outcome, ProcessId};

/// What to make of a process that exits with a status other than 0 where no serial order lets it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Aborts {
    /// It failed.
    #[default]
    Fail,
    /// It gave up, and that is fine where it had no effect: where the outcome is one of a serial run without it.
    Allow,
}

/// A serial run: the units of the processes, one after another. Most processes are one unit, and run from start to end.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Order {
    /// Whose unit runs, in the order in which they do; each process as often as it has units.
    pub processes: Vec<ProcessId>,
    /// Those that do not run at all, sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<ProcessId>,
}

impl Order {
    /// Whether each process runs from its start to its end before the next one begins.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        let begins: Vec<&ProcessId> =
            self.processes.chunk_by(|a, b| a == b).filter_map(|same| same.first()).collect();
        begins.iter().collect::<BTreeSet<_>>().len() == begins.len()
    }

    /// The same order, with these processes (sorted) left out.
    #[must_use]
    pub fn without(&self, left_out: &[ProcessId]) -> Self {
        let processes = self.processes.iter().copied().filter(|process| !left_out.contains(process));
        Self { processes: processes.collect(), left_out: left_out.to_vec() }
    }
}

/// A serial run that was made.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SerialRun {
    /// Who ran, and in which order.
    pub order: Order,
    /// What it left. Of processes left out: no exit, no output.
    pub outcome: Outcome,
}

/// What the serial runs left: what every other outcome is held against.
#[derive(Clone, Debug)]
pub struct SerialOutcomes {
    /// Whether every order was run, so that an outcome that is not among them is not serial.
    pub complete: bool,
    /// Whether every order of whole processes was.
    pub whole: bool,
    aborts: Aborts,
    rules: Normalize,
    runs: Vec<SerialRun>,
    /// The canonical forms, by the processes left out.
    normal: BTreeMap<Vec<ProcessId>, BTreeSet<Outcome>>,
    /// Those of orders of whole processes.
    normal_of_whole: BTreeMap<Vec<ProcessId>, BTreeSet<Outcome>>,
    /// The processes left out of which every order was run, or, where they are too many, not.
    enumerated: BTreeMap<Vec<ProcessId>, bool>,
}

impl SerialOutcomes {
    /// None yet.
    #[must_use]
    pub fn new(aborts: Aborts, rules: Normalize) -> Self {
        Self {
            complete: false,
            whole: false,
            aborts,
            rules,
            runs: Vec::new(),
            normal: BTreeMap::new(),
            normal_of_whole: BTreeMap::new(),
            enumerated: BTreeMap::new(),
        }
    }

    /// Adds a run.
    pub fn push(&mut self, run: SerialRun) {
        let normal = self.rules.outcome(&run.outcome);
        let left_out = run.order.left_out.clone();
        if run.order.is_whole() {
            self.normal_of_whole.entry(left_out.clone()).or_default().insert(normal.clone());
        }
        self.normal.entry(left_out).or_default().insert(normal);
        self.runs.push(run);
    }

    /// The runs, in the order in which they were added.
    #[must_use]
    pub fn runs(&self) -> &[SerialRun] {
        &self.runs
    }

    /// The rules under which outcomes are compared.
    #[must_use]
    pub fn rules(&self) -> &Normalize {
        &self.rules
    }

    /// What is made of processes that give up.
    #[must_use]
    pub fn aborts(&self) -> Aborts {
        self.aborts
    }

    /// How many different outcomes the runs of all processes left. Runs with a process left out are not counted: they are no
    /// serial orders, but a measure for those who gave up.
    #[must_use]
    pub fn distinct(&self) -> usize {
        self.normal.get(&[] as &[ProcessId]).map_or(0, BTreeSet::len)
    }

    /// Whether this order has been run.
    #[must_use]
    pub fn has_run(&self, order: &Order) -> bool {
        self.runs.iter().any(|run| run.order == *order)
    }

    /// Whether every order of all processes but these was run, or it is known that they are too many; `None` where nobody tried.
    #[must_use]
    pub fn enumerated(&self, left_out: &[ProcessId]) -> Option<bool> {
        self.enumerated.get(left_out).copied()
    }

    /// Notes whether every order of all processes but these was run.
    pub fn note_enumerated(&mut self, left_out: &[ProcessId], all: bool) {
        self.enumerated.insert(left_out.to_vec(), all);
    }

    /// Whether an outcome counts as one of the serial ones.
    #[must_use]
    pub fn contains(&self, outcome: &Outcome) -> bool {
        self.is_among(&self.normal, outcome)
    }

    /// Whether an outcome counts as one of those that whole processes leave, one after another.
    #[must_use]
    pub fn contains_whole(&self, outcome: &Outcome) -> bool {
        self.is_among(&self.normal_of_whole, outcome)
    }

    fn is_among(&self, known: &BTreeMap<Vec<ProcessId>, BTreeSet<Outcome>>, outcome: &Outcome) -> bool {
        let normal = self.rules.outcome(outcome);
        self.left_out_sets(outcome).iter().any(|left_out| {
            let of_others = without(&normal, left_out);
            known.get(left_out).is_some_and(|outcomes| {
                outcomes.contains(&of_others)
                    || (!left_out.is_empty()
                        && outcomes.iter().any(|serial| without(serial, left_out) == of_others))
            })
        })
    }

    /// Which processes may be taken as having had no effect, given how they ended: none; and where giving up is allowed, every
    /// set of those that exited with another status than 0. The serial runs that [`contains`](Self::contains) needs for an
    /// outcome are the orders of the others, for each of these sets.
    #[must_use]
    pub fn left_out_sets(&self, outcome: &Outcome) -> Vec<Vec<ProcessId>> {
        let processes = (0..outcome.exits.len()).map(ProcessId);
        let gave_up = processes.filter(|process| gave_up(outcome, *process));
        match self.aborts {
            Aborts::Fail => vec![Vec::new()],
            Aborts::Allow => subsets(&gave_up.collect::<Vec<_>>()),
        }
    }

    /// The runs that an outcome may be held against: see [`left_out_sets`](Self::left_out_sets).
    pub(super) fn relevant(&self, outcome: &Outcome) -> Vec<&SerialRun> {
        let sets = self.left_out_sets(outcome);
        self.runs.iter().filter(|run| sets.contains(&run.order.left_out)).collect()
    }
}

/// Whether a process ended by itself and said that it failed; of one that is several commands, some of them.
fn gave_up(outcome: &Outcome, process: ProcessId) -> bool {
    let failed = outcome.exits_of(process).any(|exit| !exit.is_success());
    failed && outcome.exits_of(process).all(|exit| matches!(exit, Exit::Status(_)))
}

/// An outcome without what these processes show of themselves: their exit and their standard output.
fn without(outcome: &Outcome, left_out: &[ProcessId]) -> Outcome {
    let mut others = outcome.clone();
    for process in left_out {
        if let Some(exit) = others.exits.get_mut(process.0) {
            *exit = None;
        }
        if let Some(earlier) = others.earlier.get_mut(process.0) {
            earlier.clear();
        }
        if let Some(output) = others.stdout.get_mut(process.0) {
            output.clear();
        }
    }
    if others.earlier.iter().all(Vec::is_empty) {
        others.earlier.clear();
    }
    others
}

/// Every order of `processes` processes, in lexical order: A B C, A C B, …
#[must_use]
pub fn orders(processes: usize) -> Vec<Order> {
    orders_without(processes, &[])
}

/// Every order of those of `processes` processes that are not left out (sorted), in lexical order.
#[must_use]
pub fn orders_without(processes: usize, left_out: &[ProcessId]) -> Vec<Order> {
    let mut rest: Vec<ProcessId> =
        (0..processes).map(ProcessId).filter(|process| !left_out.contains(process)).collect();
    let mut found = Vec::new();
    permute(&mut Vec::new(), &mut rest, &mut |processes| {
        found.push(Order { processes: processes.to_vec(), left_out: left_out.to_vec() });
    });
    found
}

/// Every order of every subset, the whole first: the serial runs that `--aborts allow` can need. They are many (65 of four
/// processes, 326 of five); [`SerialOutcomes::left_out_sets`] says which of them an outcome really needs.
#[must_use]
pub fn orders_of_subsets(processes: usize) -> Vec<Order> {
    let all: Vec<ProcessId> = (0..processes).map(ProcessId).collect();
    subsets(&all).iter().flat_map(|left_out| orders_without(processes, left_out)).collect()
}

fn permute(done: &mut Vec<ProcessId>, rest: &mut Vec<ProcessId>, found: &mut dyn FnMut(&[ProcessId])) {
    if rest.is_empty() {
        found(done);
    }
    for at in 0..rest.len() {
        let next = rest.remove(at);
        done.push(next);
        permute(done, rest, found);
        done.pop();
        rest.insert(at, next);
    }
}

/// All subsets, each sorted, by size and then in lexical order.
fn subsets(of: &[ProcessId]) -> Vec<Vec<ProcessId>> {
    let mut found = vec![Vec::new()];
    for &process in of {
        let with = found.iter().map(|set: &Vec<ProcessId>| [set.as_slice(), &[process]].concat());
        let with: Vec<_> = with.collect();
        found.extend(with);
    }
    found.sort_by(|a, b| a.len().cmp(&b.len()).then_with(|| a.cmp(b)));
    found
}

#[cfg(test)]
mod tests {
    use super::{Aborts, Order, SerialOutcomes, SerialRun, orders, orders_of_subsets, orders_without};
    use crate::model::{Entry, Exit, Outcome, ProcessId};
    use crate::oracle::Normalize;

    fn shown(orders: &[Order]) -> Vec<String> {
        orders.iter().map(|order| order.processes.iter().map(ToString::to_string).collect()).collect()
    }

    #[test]
    fn plans_are_all_permutations() {
        assert_eq!(shown(&orders(3)), ["ABC", "ACB", "BAC", "BCA", "CAB", "CBA"]);
        assert_eq!(orders(5).len(), 120);
        assert_eq!(shown(&orders_without(3, &[ProcessId(1)])), ["AC", "CA"]);
        assert_eq!(shown(&orders_of_subsets(2)), ["AB", "BA", "B", "A", ""]);
        let without = orders(3)[5].without(&[ProcessId(1)]);
        assert_eq!(
            (without.processes, without.left_out),
            (vec![ProcessId(2), ProcessId(0)], vec![ProcessId(1)])
        );
        assert_eq!((orders_of_subsets(4).len(), orders_of_subsets(5).len()), (65, 326));
    }

    fn outcome(content: &str, exits: &[Option<i32>], stdout: &[&str]) -> Outcome {
        let file = Entry::File { mode: 0o644, content: content.as_bytes().to_vec() };
        Outcome {
            tree: [("n.json".to_owned(), file)].into(),
            exits: exits.iter().map(|status| status.map(Exit::Status)).collect(),
            stdout: stdout.iter().map(|text| text.as_bytes().to_vec()).collect(),
            ..Outcome::default()
        }
    }

    fn serial(aborts: Aborts) -> SerialOutcomes {
        let mut serial = SerialOutcomes::new(aborts, Normalize::default());
        for order in orders(2) {
            serial.push(SerialRun { order, outcome: outcome("{\"n\":2}", &[Some(0), Some(0)], &["a", "b"]) });
        }
        let only_a = outcome("{\"n\":1}", &[Some(0), None], &["a", ""]);
        let order = Order { processes: vec![ProcessId(0)], left_out: vec![ProcessId(1)] };
        serial.push(SerialRun { order, outcome: only_a });
        serial
    }

    #[test]
    fn an_outcome_is_serial_when_an_order_gives_it() {
        let serial = serial(Aborts::Fail);
        assert_eq!((serial.distinct(), serial.runs().len()), (1, 3));
        assert!(serial.contains(&outcome("{ \"n\": 2 }", &[Some(0), Some(0)], &["a", "b"])));
        assert!(!serial.contains(&outcome("{\"n\":1}", &[Some(0), Some(0)], &["a", "b"])));
        assert!(!serial.contains(&outcome("{\"n\":1}", &[Some(0), Some(1)], &["a", "locked"])));
        assert!(!serial.contains(&outcome("{\"n\":2}", &[Some(0), Some(0)], &["a", "x"])));
    }

    /// A canary: each merge that is left out of six makes its own outcome one that nobody gives.
    #[test]
    fn a_merge_that_is_left_out_is_noticed() {
        let merges = ["AABB", "ABAB", "ABBA", "BAAB", "BABA", "BBAA"];
        let left = |order: &str| outcome(&format!("{order:?}"), &[Some(0), Some(0)], &["", ""]);
        let run = |order: &&str| {
            let processes = order.bytes().map(|letter| ProcessId(usize::from(letter - b'A'))).collect();
            SerialRun { order: Order { processes, left_out: Vec::new() }, outcome: left(order) }
        };
        for left_out in merges {
            let mut serial = SerialOutcomes::new(Aborts::Fail, Normalize::default());
            merges.iter().filter(|order| **order != left_out).map(run).for_each(|run| serial.push(run));
            for order in merges {
                assert_eq!(serial.contains(&left(order)), order != left_out);
                let whole = ["AABB", "BBAA"].contains(&order) && order != left_out;
                assert_eq!(serial.contains_whole(&left(order)), whole);
            }
        }
    }

    #[test]
    fn one_that_gave_up_without_effect_is_accepted_where_allowed() {
        let serial = serial(Aborts::Allow);
        assert!(serial.contains(&outcome("{\"n\":1}", &[Some(0), Some(1)], &["a", "locked"])));
        assert!(
            !serial.contains(&outcome("{\"n\":2}", &[Some(0), Some(1)], &["a", "locked"])),
            "it had an effect"
        );
        assert!(
            !serial.contains(&outcome("{\"n\":1}", &[Some(0), Some(0)], &["a", "b"])),
            "it did not give up"
        );
        assert!(
            !serial.contains(&outcome("{\"n\":1}", &[Some(1), Some(0)], &["a", "b"])),
            "not the one left out"
        );
        let mut killed = outcome("{\"n\":1}", &[Some(0), None], &["a", ""]);
        killed.exits[1] = Some(Exit::Signal(11));
        assert!(!serial.contains(&killed), "a signal is no way to give up");
        assert!(serial.has_run(&Order { processes: vec![ProcessId(0)], left_out: vec![ProcessId(1)] }));
    }
}
