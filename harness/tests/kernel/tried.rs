//! The tests of pairs.

use std::time::Instant;

use crate::actions::actions;
use crate::held::Tracing;
use crate::pairs::{Found, find};
use crate::program::{Reference, Scripts};
use crate::worlds::{ORDINARY, Users, WORLDS, World};

fn lines(calls: &str) -> String {
    calls.split("; ").map(|call| format!("{}\n", call.trim())).collect()
}

/// The script of a process that does this action.
fn script(action: &str, before: &str) -> String {
    let all = if before.is_empty() { action.to_owned() } else { format!("{before}; {action}") };
    let (needed, call) = all.rsplit_once("; ").unwrap_or(("", &all));
    let needed = if needed.is_empty() { String::new() } else { lines(needed) };
    format!("{needed}--\n{call}")
}

fn scripts(world: &World, a: &str, b: &str) -> Scripts {
    let before = if world.users == Users::Ordinary { ORDINARY } else { "" };
    Scripts { world: lines(world.calls), processes: vec![script(a, ""), script(b, before)] }
}

#[test]
fn pairs() {
    let (mut reference, mut tracing) = (Reference::start(), Tracing::start(0));
    let begun = Instant::now();
    let actions = actions();
    let (every, offset) = (std::env::var("EVERY").map_or(1, |n| n.parse().unwrap()), std::env::var("OFFSET").map_or(0, |n| n.parse().unwrap()));
    let mut count = 0;
    let mut counts = [0; 7];
    let wanted = std::env::var("WORLD").unwrap_or_default();
    for world in WORLDS.iter().filter(|world| wanted.is_empty() || world.name == wanted) {
        for (at, a) in actions.iter().enumerate() {
            let last = if world.users == Users::Same { at + 1 } else { actions.len() };
            for b in &actions[..last] {
                count += 1;
                if count % every != offset {
                    continue;
                }
                let found = find(&mut reference, &mut tracing, &scripts(world, a, b), |operation| operation);
                counts[match &found { Found::Impossible => 0, Found::Conflict => 1, Found::Missing(..) => 2, Found::Same => 3, Found::Gap(_) => 4 }] += 1;
                match found {
                    Found::Missing(what, unseen) => println!("MISSING {} | {a} | {b} | {what} | {}", world.name, unseen.join(", ")),
                    Found::Gap(what) => println!("GAP {} | {a} | {b} | {what}", world.name),
                    _ => (),
                }
            }
        }
    }
    println!("{count} pairs {counts:?} in {:?}", begun.elapsed());
}
