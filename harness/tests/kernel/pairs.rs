//! Conflicts held against the kernel: of two calls by two processes that leave something else in the one order than in the other, `cooks`
//! has to say that they conflict. The method is that of *The Scalable Commutativity Rule* (SOSP 2013).

use cooks_harness::model::{Operation, ProcessId};

use crate::held::{Order, Tracing, Tried};
use crate::program::{Reference, Scripts};

/// What is found of a pair in one world.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Found {
    /// One of the two cannot get that far there.
    Impossible,
    /// The orders differ, and conflict.
    Conflict,
    /// They differ and do not conflict: what differs, and where that is not seen.
    Missing(String, Vec<&'static str>),
    /// They do not differ.
    Same,
    /// They differ, and something forbids to call it clean.
    Gap(String),
}

/// A change of the accesses of what the two have done, or are held at: a fault to plant.
pub type Glasses = fn(Operation) -> Operation;

const A: ProcessId = ProcessId(1);
const B: ProcessId = ProcessId(2);

fn conflict(a: &[Operation], b: &[Operation]) -> bool {
    a.iter().any(|a| b.iter().any(|b| a.disturbs(A, b, B)))
}

/// Where no conflict is seen, as a sleep set looks for it and as a race does.
fn unseen(orders: &[Order; 2]) -> Vec<&'static str> {
    let names = [["A done, B held", "A done, B done"], ["B done, A held", "B done, A done"]];
    let mut unseen = Vec::new();
    for (first, (order, [sleeps, races])) in orders.iter().zip(names).enumerate() {
        let (done, other) = (&order.done[first], 1 - first);
        let held: Vec<Operation> = order.held[other].iter().cloned().collect();
        if order.waits {
            continue;
        }
        if !conflict(done, &held) {
            unseen.push(sleeps);
        }
        if !conflict(done, &order.done[other]) {
            unseen.push(races);
        }
    }
    unseen
}

fn seen_through(orders: [Order; 2], glasses: Glasses) -> [Order; 2] {
    orders.map(|order| Order {
        held: order.held.map(|held| held.map(glasses)),
        done: order.done.map(|done| done.into_iter().map(glasses).collect()),
        waits: order.waits,
    })
}

/// What differs between two texts: each from the first thing that the other does not have.
fn difference(one: &str, other: &str) -> String {
    let parts = |text: &str| text[2..].split("\\n").map(str::to_owned).collect::<Vec<String>>();
    let (one, other) = (parts(one), parts(other));
    let only = |these: &[String], those: &[String]| {
        let only: Vec<&str> = these.iter().filter(|this| !those.contains(this)).map(String::as_str).collect();
        only.join(" / ")
    };
    format!("{}  <>  {}", only(&one, &other), only(&other, &one))
}

/// Tries a pair on the kernel and in `cooks`.
pub fn find(reference: &mut Reference, tracing: &mut Tracing, scripts: &Scripts, glasses: Glasses) -> Found {
    let answer = reference.ask("pair", scripts);
    match answer[0].as_str() {
        "impossible" => return Found::Impossible,
        "same" => return Found::Same,
        _ => (),
    }
    let orders = match tracing.try_pair(scripts) {
        Tried::Gap(gap) => return Found::Gap(gap),
        Tried::Orders(orders) => seen_through(orders, glasses),
    };
    let unseen = unseen(&orders);
    if unseen.is_empty() { Found::Conflict } else { Found::Missing(difference(&answer[1], &answer[2]), unseen) }
}
