//! Each access of each call is dropped in turn: of some pair of calls whose orders differ, this has to hide the conflict.

use std::collections::{BTreeMap, BTreeSet};

use cooks_harness::model::{Access, AccessKind, Location, ObjectId, Operation, Way};

use crate::held::Order;
use crate::pairs::unseen;
use crate::tried::{Pair, try_and_drop};

/// One access of one call: the call's name, what is touched, how, and which of several that are alike in this.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Dropped {
    pub call: String,
    pub access: String,
}

impl std::fmt::Display for Dropped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} | {}", self.call, self.access)
    }
}

/// What an access touches, in a word.
pub fn word(location: &Location) -> &'static str {
    match location {
        Location::Name { .. } => "name",
        Location::Listing(_) => "listing",
        Location::Data { .. } => "data",
        Location::Status(_) => "status",
        Location::Mode(_) => "mode",
        Location::Attributes(_) => "attributes",
        Location::Writers(_) => "writers",
        Location::Runners(_) => "runners",
        Location::Left(_) => "left",
        Location::Lock(_) => "lock",
        Location::RecordLock { .. } => "record lock",
        Location::Stream { way: Way::There, .. } => "stream there",
        Location::Stream { way: Way::Back, .. } => "stream back",
        Location::Ends { way: Way::There, .. } => "ends there",
        Location::Ends { way: Way::Back, .. } => "ends back",
        Location::Process(_) => "process",
        Location::Tasks(_) => "tasks",
        Location::Times => "times",
    }
}

/// What each access of an operation is called.
fn kinds(operation: &Operation) -> Vec<String> {
    let is_directory = |access: &Access| {
        operation.accesses.iter().any(|other| match (&access.location, &other.location) {
            (Location::Mode(object), Location::Name { dir, .. }) => object == dir,
            _ => false,
        })
    };
    let mut met: BTreeMap<String, usize> = BTreeMap::new();
    let kinds = operation.accesses.iter().map(|access| {
        let of = if is_directory(access) { " of a directory" } else { "" };
        let how = match access.kind {
            AccessKind::Read => "read",
            AccessKind::Join => "join",
            AccessKind::Write => "write",
        };
        let kind = format!("{how} {}{of}", word(&access.location));
        let number = met.entry(kind.clone()).or_default();
        *number += 1;
        if *number == 1 { kind } else { format!("{kind}, the next") }
    });
    kinds.collect()
}

/// All accesses of an operation.
pub fn accesses_of(operation: &Operation) -> Vec<Dropped> {
    let own = |access| Dropped { call: operation.call.name.clone(), access };
    kinds(operation).into_iter().map(own).collect()
}

fn without(operation: &Operation, dropped: &Dropped) -> Operation {
    if operation.call.name != dropped.call {
        return operation.clone();
    }
    // If the same access is there twice, both are dropped.
    let all = operation.accesses.iter().zip(kinds(operation));
    let gone: Vec<&Access> =
        all.filter(|(_, kind)| *kind == dropped.access).map(|(access, _)| access).collect();
    let accesses = operation.accesses.iter().filter(|access| !gone.contains(access)).cloned();
    Operation { accesses: accesses.collect(), ..operation.clone() }
}

fn order_without(order: &Order, dropped: &Dropped) -> Order {
    let held = |held: &Option<Operation>| held.as_ref().map(|held| without(held, dropped));
    let done = |done: &Vec<Operation>| done.iter().map(|done| without(done, dropped)).collect();
    Order { held: order.held.each_ref().map(held), done: order.done.each_ref().map(done), waits: order.waits }
}

/// Whether a pair whose orders differ has no conflict without this access.
fn is_caught(orders: &[Order; 2], dropped: &Dropped) -> bool {
    !unseen(&orders.each_ref().map(|order| order_without(order, dropped))).is_empty()
}

/// What was dropped, and where that is caught.
#[derive(Clone, Default)]
pub struct Drops {
    /// Each access that was met of each call.
    pub met: BTreeSet<Dropped>,
    /// Those that are caught, each by the first pair that does, and its place among all.
    pub caught: BTreeMap<Dropped, (usize, Pair)>,
}

impl Drops {
    fn of_orders(orders: &[Order; 2]) -> BTreeSet<Dropped> {
        let operations = orders.iter().flat_map(|order| {
            order.held.iter().flatten().chain(order.done.iter().flatten()).flat_map(accesses_of)
        });
        operations.collect()
    }

    /// Drops each access of the pair in this place, whose orders differ and which conflicts. Pairs come in their order.
    pub fn drop_each(&mut self, (place, pair): (usize, &Pair), orders: &[Order; 2]) {
        for dropped in Self::of_orders(orders) {
            if !self.caught.contains_key(&dropped) && is_caught(orders, &dropped) {
                self.caught.insert(dropped.clone(), (place, *pair));
            }
            self.met.insert(dropped);
        }
    }

    /// Adds what another worker has found.
    pub fn join(&mut self, others: Self) {
        self.met.extend(others.met);
        for (dropped, (place, pair)) in others.caught {
            let first = self.caught.entry(dropped).or_insert((place, pair));
            if place < first.0 {
                *first = (place, pair);
            }
        }
    }

    /// Those that nothing catches.
    pub fn uncaught(&self) -> impl Iterator<Item = &Dropped> {
        self.met.iter().filter(|dropped| !self.caught.contains_key(dropped))
    }
}

/// What pairs catch: of each access of each call the first pair of all that does, as `ci/pairs` lists it.
const CAUGHT: &str = include_str!("caught.txt");

/// A line of that list.
fn listed(line: &'static str) -> (Dropped, Pair) {
    let parts: Vec<&str> = line.split(" | ").collect();
    let [_, call, access, world, a, b] = parts[..] else { panic!("no line of the list: {line}") };
    let dropped = Dropped { call: call.to_owned(), access: access.to_owned() };
    (dropped, Pair::in_world(world, a, b))
}

#[test]
fn an_access_that_is_dropped_is_caught() {
    let listed: Vec<(Dropped, Pair)> = CAUGHT.lines().map(listed).collect();
    let mut pairs: Vec<Pair> = Vec::new();
    for (_, pair) in &listed {
        if !pairs.contains(pair) {
            pairs.push(*pair);
        }
    }
    let (_, drops) = try_and_drop(&pairs, |operation| operation);
    let not = listed.iter().filter(|(dropped, _)| !drops.caught.contains_key(dropped));
    let not: Vec<String> = not.map(|(dropped, pair)| format!("{dropped}: {pair}")).collect();
    assert!(not.is_empty(), "nothing shows that these are needed:\n{}", not.join("\n"));
}

/// Adds an access that no call needs.
fn with_one_too_many(mut operation: Operation) -> Operation {
    let nothing = ObjectId::Made { process: u16::MAX, operation: u32::MAX };
    operation.accesses.push(Access::read(Location::Attributes(nothing)));
    operation
}

#[test]
fn an_access_that_is_not_needed_is_not_caught() {
    let pair = Pair::in_world("full", "creat 'new 0600", "unlink 'new");
    let (_, drops) = try_and_drop(&[pair], with_one_too_many);
    let is_caught = |access: &str| {
        let dropped = Dropped { call: "creat".into(), access: access.into() };
        assert!(drops.met.contains(&dropped), "{dropped} is not met");
        drops.caught.contains_key(&dropped)
    };
    assert!(is_caught("write name") && !is_caught("read attributes"));
}
