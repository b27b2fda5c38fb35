//! Random programs: of two or three processes, two to six calls, mostly on the same few files.

use cooks_harness::explore::SplitMix64;

use crate::actions::actions;
use crate::known::is_left_out;
use crate::program::Scripts;

/// What programs begin with.
const WORLD: &str = "1=open 'f O_RDWR|O_CREAT 0644; write $1 'hello 5; 2=open 'g O_RDWR|O_CREAT 0644; write $2 'goodbye 7; \
    mkdir 'd 0755; 3=open 'd/x O_RDWR|O_CREAT 0644; write $3 'x 1; mkdir 'e 0755; symlink 'f 'l; symlink 'd 'ld; \
    mknod 'p S_IFIFO|0666 0";

/// What the calls of a program are mostly about.
const SUBJECTS: [&str; 11] =
    ["'f", "'g", "'d", "'e", "'new", "'p", "'d/x", "'f O_RDWR; flock", "'f O_RDWR; fcntl", "un:new", SIGNALS];

/// The subject of programs that send signals. No others do: on the kernel a signal comes at once, so it releases at once what its target
/// holds, and ends its waits.
const SIGNALS: &str = "kill ";

/// What else random programs do: `@O` is another process.
const MORE: &[&str] = &[
    "kill @O SIGUSR1",
    "kill @O SIGTERM",
    "kill @O SIGKILL",
    "kill @O 0",
    "1=socket AF_UNIX SOCK_STREAM|SOCK_NONBLOCK 0; bind $1 un:new 110; listen $1 1; 2=accept $1 NULL NULL; read $2 %10 10",
    "1=socket AF_UNIX SOCK_STREAM|SOCK_NONBLOCK 0; bind $1 un:new 110; listen $1 1; 2=accept $1 NULL NULL; write $2 'hi 2",
    "1=socket AF_UNIX SOCK_STREAM|SOCK_NONBLOCK 0; connect $1 un:new 110; read $1 %10 10",
    "1=socket AF_UNIX SOCK_STREAM 0; connect $1 un:new 110; write $1 'abc 3; shutdown $1 SHUT_WR",
    "1=socket AF_UNIX SOCK_SEQPACKET|SOCK_NONBLOCK 0; bind $1 un:new 110; listen $1 1; 2=accept $1 NULL NULL",
    "1=socket AF_UNIX SOCK_SEQPACKET 0; connect $1 un:new 110; write $1 'abc 3",
    "1=socket AF_UNIX SOCK_DGRAM 0; sendto $1 'de 2 MSG_DONTWAIT un:new 110",
];

/// Kinds of calls at which a process may have to wait, or gets something that its end releases. Programs with signals make none of them.
const HOLDS: [&str; 4] = ["flock", "fcntl", "'p", "socket"];

/// A program has at most so many.
const MOST_INTERLEAVINGS: u64 = 700;

/// A program: the calls of each process.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Generated(pub Vec<Vec<String>>);

impl Generated {
    /// The program of a seed.
    pub fn new(seed: u64) -> Self {
        let mut random = SplitMix64::new(seed);
        let subject = SUBJECTS[random.below(SUBJECTS.len())];
        let with_signals = subject == SIGNALS;
        let is_wanted = |action: &&str| {
            let fits = if with_signals {
                !HOLDS.iter().any(|kind| action.contains(kind))
            } else {
                !action.starts_with(SIGNALS)
            };
            fits && !is_left_out(action)
        };
        let all = actions().into_iter().chain(MORE.iter().copied());
        let pool: Vec<&str> = all.filter(is_wanted).collect();
        let near: Vec<&str> = pool.iter().copied().filter(|action| action.contains(subject)).collect();
        let count = 2 + usize::from(random.below(4) == 0);
        let mut processes = vec![Vec::new(); count];
        let most = 2 + random.below(5);
        for turn in 0..12 {
            // Programs with signals do other things more often: signals matter by what they come between.
            let far = if with_signals { 2 } else { 4 };
            let from = if random.below(far) == 0 { &pool } else { &near };
            let action = from[random.below(from.len())];
            let into: &mut Vec<String> = &mut processes[turn % count];
            let calls: Vec<&str> = action.split("; ").collect();
            // What has been opened is used again.
            let opened = calls.len().min(into.len());
            let again =
                calls[..calls.len() - 1].iter().zip(&into[..opened]).take_while(|(a, b)| *a == b).count();
            into.extend(calls[again..].iter().map(|call| (*call).to_owned()));
            if processes.iter().map(Vec::len).sum::<usize>() >= most && turn + 1 >= count {
                break;
            }
        }
        for (own, calls) in processes.iter_mut().enumerate() {
            for call in calls.iter_mut().filter(|call| call.contains("@O")) {
                let other = (own + 1 + random.below(count - 1)) % count;
                *call = call.replace("@O", ["@A", "@B", "@C"][other]);
            }
            if with_signals && random.below(3) == 0 {
                calls.insert(0, "catch SIGUSR1".into());
            }
        }
        let mut program = Self(processes);
        while program.interleavings() > MOST_INTERLEAVINGS {
            let longest = program.0.iter_mut().max_by_key(|calls| calls.len());
            longest.map(Vec::pop);
        }
        program
    }

    /// Whether a process catches signals. On the overlay, where to start a program is an operation, a signal can come before that.
    pub fn catches(&self) -> bool {
        self.0.iter().flatten().any(|call| call.starts_with("catch "))
    }

    /// In how many orders the calls and the ends of the processes can come, if none waits.
    fn interleavings(&self) -> u64 {
        let (mut interleavings, mut so_far) = (1, 0);
        for calls in &self.0 {
            for step in 1..=calls.len() as u64 + 1 {
                so_far += 1;
                interleavings = interleavings * so_far / step;
            }
        }
        interleavings
    }

    pub fn scripts(&self) -> Scripts {
        let lines = |calls: &Vec<String>| calls.iter().map(|call| format!("{call}\n")).collect();
        let world = WORLD.split("; ").map(|call| format!("{}\n", call.trim())).collect();
        Scripts { world, processes: self.0.iter().map(lines).collect() }
    }

    /// The programs with one call less.
    pub fn smaller(&self) -> Vec<Self> {
        let mut smaller = Vec::new();
        for (process, calls) in self.0.iter().enumerate() {
            for call in 0..calls.len() {
                let mut less = self.clone();
                less.0[process].remove(call);
                smaller.push(less);
            }
            let is_named = |call: &String| call.contains('@');
            if calls.is_empty() && self.0.len() > 2 && !self.0.iter().flatten().any(is_named) {
                let mut less = self.clone();
                less.0.remove(process);
                smaller.push(less);
            }
        }
        smaller
    }
}

impl std::fmt::Display for Generated {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let processes: Vec<String> = self.0.iter().map(|calls| calls.join("; ")).collect();
        f.write_str(&processes.join(" | "))
    }
}
