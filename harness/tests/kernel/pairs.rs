//! Conflicts held against the kernel: of two calls by two processes that leave something else in the one order than in the other, `cooks`
//! has to say that they conflict. The method is that of *The Scalable Commutativity Rule* (SOSP 2013).

use cooks_harness::model::{Location, Operation, ProcessId};

use crate::drops::Drops;
use crate::held::{Order, Tracing, Tried};
use crate::known::MENDED;
use crate::lost::lost;
use crate::needed::is_needed;
use crate::program::Reference;
use crate::took;
use crate::tried::{self, Pair, some, try_all, try_and_drop};

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
pub fn unseen(orders: &[Order; 2]) -> Vec<&'static str> {
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

/// Tries a pair on the kernel and in `cooks`; if it conflicts as it should, each of its accesses is dropped.
pub fn find(
    reference: &mut Reference,
    tracing: &mut Tracing,
    (place, pair): (usize, &Pair),
    glasses: Glasses,
    drops: &mut Drops,
) -> Found {
    let scripts = &pair.scripts();
    let answer = reference.ask("pair", scripts);
    match answer[0].as_str() {
        "impossible" => return Found::Impossible,
        "same" => return Found::Same,
        _ => (),
    }
    let orders = match tracing.try_pair(scripts) {
        Tried::Gap(gap) => return Found::Gap(gap),
        Tried::Unlike(what) => return Found::Missing(what, Vec::new()),
        Tried::Orders(orders) => seen_through(*orders, glasses),
    };
    let unseen = unseen(&orders);
    if unseen.is_empty() {
        drops.drop_each((place, pair), &orders);
        Found::Conflict
    } else {
        Found::Missing(difference(&answer[1], &answer[2]), unseen)
    }
}

/// How many pairs are tried, unless all are asked for: `PAIRS=all`, or a number. `PAIRS_WORLD`: all of one world.
const PAIRS: usize = 8_000;
/// Which of them: `PAIRS_SEED`.
const SEED: u64 = 1;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

fn all_are_asked_for() -> bool {
    std::env::var_os("PAIRS").is_some_and(|value| value == "all")
}

fn asked_for() -> Vec<Pair> {
    if all_are_asked_for() {
        let world = std::env::var("PAIRS_WORLD").ok();
        let is_in = |pair: &Pair| world.as_ref().is_none_or(|world| pair.world.name == world);
        return tried::pairs().into_iter().filter(is_in).collect();
    }
    let seed = number("PAIRS_SEED").unwrap_or(SEED);
    let count = number("PAIRS").map_or(PAIRS, |count| usize::try_from(count).expect("a number of pairs"));
    println!("{count} pairs of seed {seed} (PAIRS_SEED)");
    some(seed, count)
}

/// Pairs with what was found of them, one a line, in a file where one is named: `PAIRS_FILE`.
fn keep(pairs: &[Pair], found: &[Found], mut drops: Drops) {
    let Some(file) = std::env::var_os("PAIRS_FILE") else { return };
    let of_interest =
        |(_, found): &(&Pair, &Found)| !matches!(found, Found::Impossible | Found::Same | Found::Conflict);
    let lines =
        pairs.iter().zip(found).filter(of_interest).map(|(pair, found)| format!("{pair} | {found:?}\n"));
    let mut text: String = lines.collect();
    if all_are_asked_for() {
        let lost = lost(pairs, found, &mut drops);
        text.push_str(&lost);
    }
    println!("{} accesses of calls dropped, {} of them caught", drops.met.len(), drops.caught.len());
    if all_are_asked_for() {
        text.extend(drops.caught.iter().map(|(dropped, (_, pair))| format!("caught | {dropped} | {pair}\n")));
        text.extend(drops.uncaught().map(|dropped| format!("uncaught | {dropped}\n")));
    }
    std::fs::write(file, text).expect("the file can be written");
    if all_are_asked_for() && std::env::var_os("PAIRS_WORLD").is_none() {
        let not = drops.uncaught().filter(|dropped| !is_needed(&dropped.call, &dropped.access));
        let not: Vec<String> = not.map(ToString::to_string).collect();
        assert!(
            not.is_empty(),
            "nothing shows that these are needed, and nobody says why:\n{}",
            not.join("\n")
        );
    }
}

#[test]
fn what_differs_on_the_kernel_conflicts() {
    let begun = std::time::Instant::now();
    let pairs = asked_for();
    let (found, drops) = try_and_drop(&pairs, |operation| operation);
    keep(&pairs, &found, drops);
    let count = |of: fn(&Found) -> bool| found.iter().filter(|found| of(found)).count();
    println!(
        "{} pairs in {:?}: {} cannot be there, {} leave the same in both orders, {} conflict, {} are gaps, {} conflicts are missing",
        pairs.len(),
        begun.elapsed(),
        count(|found| *found == Found::Impossible),
        count(|found| *found == Found::Same),
        count(|found| *found == Found::Conflict),
        count(|found| matches!(found, Found::Gap(_))),
        count(|found| matches!(found, Found::Missing(..))),
    );
    if std::env::var_os("PAIRS").is_none() {
        took("pairs", begun, 90);
    }
    let missing: Vec<String> = pairs
        .iter()
        .zip(&found)
        .filter(|(_, found)| matches!(found, Found::Missing(..)))
        .map(|(pair, found)| format!("{pair}\n    {found:?}"))
        .collect();
    assert!(missing.is_empty(), "conflicts are missing:\n{}", missing.join("\n"));
}

#[test]
fn what_was_missing_once_conflicts() {
    let pairs: Vec<Pair> = MENDED.iter().map(|(world, a, b, _)| Pair::in_world(world, a, b)).collect();
    let found = try_all(&pairs, |operation| operation);
    let not = MENDED.iter().zip(found).filter(|(_, found)| *found != Found::Conflict);
    let not: Vec<String> = not.map(|(mended, found)| format!("{mended:?}: {found:?}")).collect();
    assert!(not.is_empty(), "no conflict is seen:\n{}", not.join("\n"));
}

fn without(operation: Operation, lost: fn(&Location) -> bool) -> Operation {
    let accesses = operation.accesses.into_iter().filter(|access| !lost(&access.location)).collect();
    Operation { accesses, ..operation }
}

/// Accesses of each kind that are forgotten, with a pair whose conflict that is.
const FORGOTTEN: &[(&str, &str, Glasses)] = &[
    ("creat 'new 0600", "unlink 'new", |done| without(done, |at| matches!(at, Location::Name { .. }))),
    ("creat 'e/y 0600", "1=open 'e O_RDONLY|O_DIRECTORY; getdents64 $1 dents64% 4096", |done| {
        without(done, |at| matches!(at, Location::Listing(_)))
    }),
    ("1=open 'f O_RDWR; pwrite64 $1 'XY 2 3", "1=open 'f O_RDWR; pread64 $1 %10 3 2", |done| {
        without(done, |at| matches!(at, Location::Data { .. }))
    }),
    ("truncate 'f 2", "stat 'f stat%", |done| without(done, |at| matches!(at, Location::Status(_)))),
    ("chmod 'f 0600", "stat 'f stat%", |done| without(done, |at| matches!(at, Location::Mode(_)))),
    ("setxattr 'f 'user.b 'v 1 0", "getxattr 'f 'user.b %20 20", |done| {
        without(done, |at| matches!(at, Location::Attributes(_)))
    }),
    ("1=open 'f O_RDWR; flock $1 LOCK_EX|LOCK_NB", "1=open 'f O_RDWR; flock $1 LOCK_SH|LOCK_NB", |done| {
        without(done, |at| matches!(at, Location::Lock(_)))
    }),
    (
        "1=open 'f O_RDWR; fcntl $1 F_SETLK lock:F_WRLCK,SEEK_SET,0,3",
        "1=open 'f O_RDWR; fcntl $1 F_SETLK lock:F_RDLCK,SEEK_SET,2,3",
        |done| without(done, |at| matches!(at, Location::RecordLock { .. })),
    ),
    ("1=open 'p O_RDWR; write $1 'abc 3", "1=open 'p O_RDWR; write $1 'xy 2", |done| {
        without(done, |at| matches!(at, Location::Stream { .. }))
    }),
    ("open 'p O_RDONLY|O_NONBLOCK", "open 'p O_WRONLY|O_NONBLOCK", |done| {
        without(done, |at| matches!(at, Location::Ends { .. }))
    }),
];

#[test]
fn a_forgotten_access_is_found() {
    for (a, b, glasses) in FORGOTTEN {
        let pair = [Pair::in_world("full", a, b)];
        assert_eq!(try_all(&pair, |operation| operation), [Found::Conflict], "{a} | {b}");
        let found = &try_all(&pair, *glasses)[0];
        assert!(matches!(found, Found::Missing(..)), "{a} | {b}, without an access: {found:?}");
    }
}
