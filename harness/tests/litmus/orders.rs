//! In which orders the processes of a program are given.

use cooks_harness::explore::SplitMix64;
use cooks_harness::simulated::Program;

/// Draws the orders where there are too many to try all.
const SEED: u64 = 20_140_122;

/// So many are enough.
const MOST: usize = 24;

/// The orders of these processes: all of them, or 24 of them, the given one first. Orders that differ only in which of equal processes
/// is which are one.
pub fn orders(programs: &[Program]) -> Vec<Vec<usize>> {
    let mut orders: Vec<Vec<usize>> = Vec::new();
    for order in candidates(programs.len()) {
        let arranged =
            |order: &[usize]| -> Vec<usize> { order.iter().map(|&at| first_like(programs, at)).collect() };
        if orders.iter().all(|known| arranged(known) != arranged(&order)) {
            orders.push(order);
        }
    }
    orders
}

fn first_like(programs: &[Program], at: usize) -> usize {
    programs.iter().position(|program| *program == programs[at]).unwrap_or(at)
}

fn candidates(count: usize) -> Vec<Vec<usize>> {
    let given: Vec<usize> = (0..count).collect();
    if count <= 4 {
        return permutations(&given);
    }
    let mut random = SplitMix64::new(SEED);
    let mut orders = vec![given];
    while orders.len() < MOST {
        let mut next = orders[orders.len() - 1].clone();
        for at in (1..count).rev() {
            next.swap(at, random.below(at + 1));
        }
        orders.push(next);
    }
    orders
}

fn permutations(of: &[usize]) -> Vec<Vec<usize>> {
    let Some(last) = of.len().checked_sub(1) else { return vec![Vec::new()] };
    let shorter = permutations(&of[..last]);
    let with_last = |at: usize| {
        shorter.iter().map(move |order| {
            let mut order = order.clone();
            order.insert(at, of[last]);
            order
        })
    };
    (0..of.len()).rev().flat_map(with_last).collect()
}
