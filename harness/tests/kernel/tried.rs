//! The tests of pairs.

use std::time::Instant;

use crate::actions::{ACTIONS, WORLDS};
use crate::held::Tracing;
use crate::pairs::{Found, find};
use crate::program::{Reference, Scripts};

fn script(action: &str) -> String {
    let (before, call) = action.rsplit_once('\n').map_or(("", action), |(before, call)| (before, call));
    if before.is_empty() { format!("--\n{call}") } else { format!("{before}\n--\n{call}") }
}

#[test]
fn pairs() {
    let (mut reference, mut tracing) = (Reference::start(), Tracing::start(0));
    let begun = Instant::now();
    let mut count = 0;
    for (world, made) in WORLDS {
        for (at, a) in ACTIONS.iter().enumerate() {
            for b in &ACTIONS[..=at] {
                let scripts = Scripts { world: (*made).to_owned(), processes: vec![script(a), script(b)] };
                let found = find(&mut reference, &mut tracing, &scripts, |operation| operation);
                count += 1;
                if !matches!(found, Found::Conflict | Found::Independent | Found::Lost) {
                    println!("{world}: {a:?} | {b:?}: {found:?}");
                }
            }
        }
    }
    println!("{count} pairs in {:?}", begun.elapsed());
}
