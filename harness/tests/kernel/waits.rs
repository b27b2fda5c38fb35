//! Waits for record locks: which of them the kernel refuses, since they would close a cycle.

use cooks_harness::explore::SplitMix64;

use crate::generator::Generated;
use crate::program::Reference;
use crate::reference::{EVERY_SEARCH, Found, find};

/// How many random programs of two processes are tried.
const PROGRAMS: u64 = 40;

/// Both locks are bytes of one file, so that one descriptor is enough.
const CALLS: [&str; 8] = [
    "fcntl $1 F_SETLKW lock:F_WRLCK,SEEK_SET,0,1",
    "fcntl $1 F_SETLKW lock:F_WRLCK,SEEK_SET,0,1",
    "fcntl $1 F_SETLKW lock:F_WRLCK,SEEK_SET,1,1",
    "fcntl $1 F_SETLKW lock:F_WRLCK,SEEK_SET,1,1",
    "fcntl $1 F_SETLKW lock:F_RDLCK,SEEK_SET,1,1",
    "fcntl $1 F_SETLK lock:F_UNLCK,SEEK_SET,0,1",
    "fcntl $1 F_SETLK lock:F_UNLCK,SEEK_SET,1,1",
    "pwrite64 $1 'Q 1 3",
];

fn calls(random: &mut SplitMix64, count: usize) -> Vec<String> {
    let own = |_| CALLS[random.below(CALLS.len())].to_owned();
    let opens = std::iter::once("1=open 'f O_RDWR".to_owned());
    opens.chain((0..count).map(own)).collect()
}

fn takes(first: &str, second: &str) -> Vec<String> {
    let lock = |byte: &str| format!("fcntl $1 F_SETLKW lock:F_WRLCK,SEEK_SET,{byte},1");
    vec!["1=open 'f O_RDWR".to_owned(), lock(first), lock(second)]
}

#[test]
fn waits_for_record_locks_are_refused_as_the_kernel_refuses_them() {
    let mut reference = Reference::start();
    let opposite = Generated(vec![takes("0", "1"), takes("1", "0")]);
    let mut programs = vec![opposite];
    programs.extend((0..PROGRAMS).map(|seed| {
        let mut random = SplitMix64::new(seed);
        let count = 2 + random.below(2);
        Generated(vec![calls(&mut random, count), calls(&mut random, count)])
    }));
    let mut differ = Vec::new();
    for program in &programs {
        let found = find(&mut reference, program, EVERY_SEARCH);
        if found != Found::Agrees {
            differ.push(format!("{program}: {found:?}"));
        }
    }
    assert!(differ.is_empty(), "{}", differ.join("\n"));
}
