//! Sources of chance: what programs see of clocks, ids, random numbers, addresses, directories is the same in every run of a
//! schedule, and in every exploration.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant, SystemTime};

use cooks_harness::model::Tree;
use cooks_harness::tracer::Program;

use crate::support::{InTurn, execution, files, in_turn, printed, process, python, shell, tracer, uncovered};

fn workspace() -> Tree {
    files(&[("b", "two\n"), ("a", "one\n"), ("c", "three\n"), ("log", "")])
}

/// Runs programs in turn, three times in one tracer and once in another: all four are the same, byte for byte. Gives what they print.
#[track_caller]
fn repeats(what: &str, programs: &[Program]) -> Vec<String> {
    let mut one = tracer(programs, workspace());
    let first = execution(&mut one, &mut InTurn);
    let recorded = serde_json::to_string(&first).expect("an execution can be saved");
    for round in 1..3 {
        let again = serde_json::to_string(&execution(&mut one, &mut InTurn)).expect("it can be saved");
        assert_eq!(again, recorded, "{what}, round {round}");
    }
    let other = serde_json::to_string(&in_turn(programs, workspace())).expect("it can be saved");
    assert_eq!(other, recorded, "{what}, in another tracer");
    assert_eq!(uncovered(&one), [""; 0], "{what}");
    (0..programs.len()).map(|process| printed(&first, process).to_owned()).collect()
}

/// A copy of a process would share memory that is mapped as shared, and files in memory: what one execution puts there the next would find.
#[test]
fn memory_that_copies_would_share_is_the_same_in_each_execution() {
    let shared = "
import mmap, os
m = mmap.mmap(-1, 4096)
os.path.exists('a')
for name in ('none', 'nobody'):
    m[0] += 1
    os.path.exists(name)
print(m[0])
";
    let in_memory = "
import os
f = os.memfd_create('stdout')
os.path.exists('a')
for name in ('none', 'nobody'):
    os.write(f, b'x')
    os.path.exists(name)
print(os.fstat(f).st_size)
";
    for (what, script) in [("shared memory", shared), ("a file in memory", in_memory)] {
        let printed = repeats(what, &[python(script), shell("echo x >> log")]);
        assert_eq!(printed[0], "2\n", "{what}");
    }
}

const CHANCE: &str = "
import os, random, tempfile, time, uuid
print(time.time(), time.monotonic(), time.perf_counter(), time.process_time(), time.strftime('%c'))
print(random.random(), os.urandom(8), uuid.uuid4())
print(hash('text'), {'x', 'y', 'z'}, id(object()))
print(os.getpid(), os.getppid(), os.getpgrp(), os.getcwd())
print(os.listdir('.'), [entry.name for entry in os.scandir('.')], [entry.inode() for entry in os.scandir('.')])
print(os.stat('a'), os.stat('.'))
with open('log', 'a') as log:
    log.write(tempfile.mktemp(dir='.'))
print(os.stat('log'))
";

#[test]
fn python_sees_the_same_time_ids_and_numbers() {
    let printed = repeats("chance in Python", &[python(CHANCE), python(CHANCE)]);
    assert_eq!(printed[0].lines().count(), 7, "{}", printed[0]);
    assert_ne!(printed[0], printed[1], "two processes have random numbers of their own");
    let (listed, sorted) = (printed[0].lines().nth(4).expect("names"), "['a', 'b', 'c', 'log']");
    assert!(listed.starts_with(&format!("{sorted} {sorted}")), "{listed}");
}

/// Programs make names unique by addresses, as Python does for what it compiles.
#[test]
fn addresses_repeat_and_no_two_processes_have_the_same() {
    let script = "
import os, resource, subprocess, sys
print(id(object()))
if len(sys.argv) == 1:
    subprocess.run([sys.executable, '-S', '-c', 'print(id(object()))'])
    print(resource.getrlimit(resource.RLIMIT_STACK))
";
    let printed = repeats("addresses", &[python(script), python(script)]);
    let lines: Vec<Vec<&str>> = printed.iter().map(|text| text.lines().collect()).collect();
    let addresses: BTreeSet<&str> = lines.iter().flat_map(|lines| &lines[..2]).copied().collect();
    assert_eq!(addresses.len(), 4, "{printed:?}");
    let limit = rlimit();
    assert_eq!(lines.iter().map(|lines| lines[2]).collect::<Vec<_>>(), [limit.as_str(); 2]);
}

/// The limits of the stack as Python shows them.
fn rlimit() -> String {
    let (soft, hard) = nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_STACK).unwrap();
    format!("({}, {})", soft.cast_signed(), hard.cast_signed())
}

const LAST_WORDS: &str = "
import atexit, sys
text = open('a').read()
open('log', 'a').write(text)
atexit.register(lambda: print('at the end', len(text)))
atexit.register(lambda: print('and on the other stream', file=sys.stderr))
print('buffered')
sys.exit(len(open('log').read()))
";

/// The second time their ends are known, and they are not run: what they say at the end is said all the same, and they end alike.
#[test]
fn a_known_end_leaves_the_same() {
    let printed =
        repeats("last words", &[python(LAST_WORDS), python(LAST_WORDS), shell("cat a; echo b >> log")]);
    assert_eq!(printed, ["buffered\nat the end 4\n", "buffered\nat the end 4\n", "one\n"]);
    let mut tracer = tracer(&[python(LAST_WORDS)], workspace());
    for _ in 0..3 {
        let execution = execution(&mut tracer, &mut InTurn);
        assert_eq!(execution.outcome.exits, [Some(cooks_harness::model::Exit::Status(4))]);
        let said = tracer.stderr(cooks_harness::model::ProcessId(0)).expect("it can be read");
        assert_eq!(said, b"and on the other stream\n");
    }
}

const THREADS: &str = "
import threading, queue, time
lines, lock = queue.Queue(), threading.Lock()
def work(name):
    for turn in range(3):
        with lock:
            lines.put(f'{name}{turn}')
        with open('log', 'a') as log:
            log.write(name)
        time.sleep(0.01)
threads = [threading.Thread(target=work, args=(name,)) for name in 'xyz']
for thread in threads: thread.start()
for thread in threads: thread.join()
print([lines.get() for _ in range(9)], open('log').read())
";

#[test]
fn threads_take_the_same_turns() {
    repeats("threads in Python", &[python(THREADS), shell("echo b >> log; echo b >> log")]);
}

const CHILDREN: &str = "
import os, subprocess
made = subprocess.run(['sh', '-c', 'echo $$ $PPID; cat a; echo x >> log'], capture_output=True, text=True)
print(made.stdout, made.returncode)
running = [subprocess.Popen(['sh', '-c', f'echo {n} >> log; exit {n}']) for n in range(3)]
print([(child.pid, child.wait()) for child in running])
child = os.fork()
if child == 0:
    open('log', 'a').write('child')
    os._exit(3)
print(os.waitpid(child, 0), open('log').read())
";

#[test]
fn children_run_and_are_named_the_same() {
    repeats("children of Python", &[python(CHILDREN), shell("cat log; echo b >> log; cat log")]);
}

#[test]
fn shells_do_the_same() {
    for (what, script) in [
        ("a pipeline", "cat a b c | sort | tr a-z A-Z | tee -a log | wc -l; cat log"),
        (
            "jobs in the background",
            "(echo 1 >> log; echo 2 >> log) & (echo 3 >> log) & echo $! >> log; wait; cat log",
        ),
        ("ids and time", "echo $$ $PPID; date +%s.%N; sh -c 'echo $$'; ls -lin --time-style=full-iso; date"),
        ("substitution", "x=$(cat a; echo $(cat b)); echo $x >> log; for f in *; do echo $f; done"),
        (
            "files that are made",
            "mktemp -p . x.XXXXXX; mkdir d; mv a d/; ls -R; find . | cat; stat -c '%i %Y %h' d log",
        ),
    ] {
        repeats(what, &[shell(script), shell("echo b >> log; cat log")]);
    }
}

#[test]
fn closures_see_the_same_time_and_numbers() {
    let program = || {
        process(|| {
            let begun = Instant::now();
            std::thread::sleep(Duration::from_millis(1_500));
            let numbers: HashMap<i32, i32> = (0..20).map(|n| (n, n)).collect();
            let order: Vec<i32> = numbers.into_keys().collect();
            let time = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
            let inodes: Vec<u64> = std::fs::read_dir(".")
                .expect("the workspace")
                .map(|entry| std::os::unix::fs::DirEntryExt::ino(&entry.expect("an entry")))
                .collect();
            let text = format!("{:?} {time:?} {order:?} {inodes:?} {}", begun.elapsed(), std::process::id());
            std::fs::write(format!("seen-{}", std::process::id()), text).expect("a file can be written");
            0
        })
    };
    let mut tracer = tracer(&[program(), program()], workspace());
    let first = execution(&mut tracer, &mut InTurn);
    for _ in 0..5 {
        assert_eq!(execution(&mut tracer, &mut InTurn), first);
    }
    assert_eq!(uncovered(&tracer), [""; 0]);
}

/// Several threads of a closure take the same turns, whatever they do to each other.
#[test]
fn threads_of_closures_take_the_same_turns() {
    let program = || {
        process(|| {
            let (send, receive) = std::sync::mpsc::channel();
            let threads: Vec<_> = (0..3)
                .map(|number| {
                    let send = send.clone();
                    std::thread::spawn(move || {
                        for turn in 0..3 {
                            send.send(number * 10 + turn).expect("somebody listens");
                            std::fs::write("log", format!("{number} {turn}"))
                                .expect("the file can be written");
                        }
                    })
                })
                .collect();
            drop(send);
            threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
            let order: Vec<i32> = receive.iter().collect();
            std::fs::write(format!("order-{}", std::process::id()), format!("{order:?}")).expect("a file");
            0
        })
    };
    let mut tracer = tracer(&[program(), program()], workspace());
    let first = execution(&mut tracer, &mut InTurn);
    for _ in 0..10 {
        assert_eq!(execution(&mut tracer, &mut InTurn), first);
    }
}
