//! Unix sockets of the workspace between processes: who waits for whom, in every order and in no other.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::ops::ControlFlow;
use std::os::fd::AsRawFd;
use std::os::unix::net::{UnixListener, UnixStream};

use cooks_harness::backend::Backend;
use cooks_harness::explore::{Counts, Dfs, Dpor, Strategy, explore};
use cooks_harness::model::{Ending, ProcessId, Tree};
use cooks_harness::tracer::Program;

use crate::support::{
    MAX_STEPS, OneAfterTheOther, asks, classes, content, execution, files, held, process, python, serves,
    status, statuses, tracer, uncovered,
};

/// The first byte that comes; 0 at the end, the error's number where there is one.
fn first(connection: &mut UnixStream) -> i32 {
    let mut buffer = [0; 16];
    match connection.read(&mut buffer) {
        Ok(0) => 0,
        Ok(_) => i32::from(buffer[0]),
        Err(error) => error.raw_os_error().expect("an error of the kernel"),
    }
}

#[test]
fn a_client_comes_before_the_name_or_before_who_listens_or_in_time() {
    let programs = [serves(|_| 0), asks(|_| 0)];
    let seen = held("a connection", &programs, &Tree::new(), 1, 2);
    assert_eq!(statuses(&seen, 1), [status(0), status(1), status(2)].into());
    // Where nobody came, the server waits for ever.
    assert_eq!(statuses(&seen, 0), [None, status(0)].into());
}

#[test]
fn who_waits_at_a_socket_is_told_of_by_name() {
    let both_read = [serves(|mut one| first(&mut one)), asks(|mut one| first(&mut one))];
    let Ending::Blocked(waiting) =
        execution(&mut tracer(&both_read, Tree::new()), &mut OneAfterTheOther).ending
    else {
        panic!("two who wait for each other come to an end")
    };
    let at: Vec<_> = waiting
        .iter()
        .map(|at| (at.process.0, at.operation.call.path.as_deref(), at.holders.clone()))
        .collect();
    assert_eq!(at, [(0, Some("s"), vec![ProcessId(1)]), (1, Some("s"), vec![ProcessId(0)])]);
    let alone = [serves(|_| 0), process(|| 0)];
    let Ending::Blocked(waiting) = execution(&mut tracer(&alone, Tree::new()), &mut OneAfterTheOther).ending
    else {
        panic!("a server without clients comes to an end")
    };
    let [at] = &waiting[..] else { panic!("{waiting:?}") };
    assert_eq!((at.operation.call.name.as_str(), at.holders.len()), ("accept4", 0));
}

#[test]
fn a_question_is_answered() {
    let server = serves(|mut one| {
        let asked = first(&mut one);
        one.write_all(&[asked as u8 + 1]).expect("an answer");
        0
    });
    let client = asks(|mut one| {
        one.write_all(b"a").expect("a question");
        first(&mut one)
    });
    let seen = held("a question", &[server, client], &Tree::new(), 1, 2);
    assert_eq!(statuses(&seen, 1), [status(1), status(2), status(b'b')].into());
}

/// The end of what is sent; what comes back is read all the same.
#[test]
fn who_has_said_all_still_hears() {
    let server = serves(|mut one| {
        let mut all = Vec::new();
        one.read_to_end(&mut all).expect("all that is sent");
        one.write_all(&[all.len() as u8]).expect("an answer");
        0
    });
    let client = asks(|mut one| {
        one.write_all(b"abc").expect("a question");
        one.write_all(b"de").expect("a question");
        one.shutdown(Shutdown::Write).expect("a connection");
        first(&mut one)
    });
    // The server reads what is there, or all; before the end is said, or after.
    let seen = held("all that is sent", &[server, client], &Tree::new(), 2, 2);
    assert_eq!(statuses(&seen, 1), [status(1), status(2), status(5)].into());
}

/// Who closes a connection with something unread in it resets it; who is not there any more is not written to.
#[test]
fn what_is_not_read_is_an_error_for_who_sent_it() {
    let server = serves(|_| 0);
    let client = asks(|mut one| match one.write(b"a") {
        Ok(_) => first(&mut one),
        Err(error) => error.raw_os_error().expect("an error of the kernel"),
    });
    let seen = held("a question to nobody", &[server, client], &Tree::new(), 2, 2);
    let (reset, broken) = (libc::ECONNRESET as u8, libc::EPIPE as u8);
    assert_eq!(statuses(&seen, 1), [status(1), status(2), status(reset), status(broken)].into());
}

/// A connection that nobody takes is reset when its socket is closed.
#[test]
fn connections_that_are_not_taken_are_reset() {
    let server = process(|| {
        drop(UnixListener::bind("s").expect("a name for a socket"));
        0
    });
    let seen = held("not taken", &[server, asks(|mut one| first(&mut one))], &Tree::new(), 4, 0);
    // Too late is as too early: nobody listens.
    assert_eq!(statuses(&seen, 1), [status(1), status(2), status(libc::ECONNRESET as u8)].into());
}

/// The same where it was shut before: then nobody connects to it any more, and who has is reset by the closing.
#[test]
fn a_socket_that_is_shut_takes_nobody_and_resets_who_waits() {
    let server = process(|| {
        let listener = UnixListener::bind("s").expect("a name for a socket");
        nix::sys::socket::shutdown(listener.as_raw_fd(), nix::sys::socket::Shutdown::Both).expect("a socket");
        drop(listener);
        0
    });
    let seen = held("shut", &[server, asks(|mut one| first(&mut one))], &Tree::new(), 5, 0);
    assert_eq!(statuses(&seen, 1), [status(1), status(2), status(libc::ECONNRESET as u8)].into());
}

/// Adds one to a variable, while a server has taken no other connection.
fn adds(name: &'static str) -> Program {
    process(move || {
        let mut turn = UnixStream::connect(name).expect("a server");
        assert_eq!(first(&mut turn), i32::from(b'g'));
        let value: u32 = std::fs::read_to_string("x").expect("a file").parse().expect("a number");
        std::fs::write("x", (value + 1).to_string()).expect("a file");
        turn.write_all(b"d").expect("who is told");
        0
    })
}

/// Gives two clients their turns. It is the first to run: they wait for its name.
fn gives_turns(after_each: bool) -> Program {
    process(move || {
        let listener = UnixListener::bind("t").expect("a name for a socket");
        std::fs::rename("t", "s").expect("a name");
        let mut taken = Vec::new();
        for _ in 0..2 {
            let (mut turn, _) = listener.accept().expect("a connection");
            turn.write_all(b"g").expect("a client");
            if after_each {
                first(&mut turn);
            }
            taken.push(turn);
        }
        taken.iter_mut().map(|turn| if after_each { 0 } else { first(turn) - i32::from(b'd') }).sum()
    })
}

/// Waits until there is a server: for nothing that is shared, as long as there is none.
fn counts(after_each: bool) -> BTreeSet<String> {
    let initial = files(&[("x", "0")]);
    let seen = classes(&[gives_turns(after_each), adds("s"), adds("s")], &initial);
    assert_eq!(seen.counts.redundant, 0);
    let done = seen.outcomes.iter().filter(|outcome| outcome.exits.iter().all(|exit| *exit == status(0)));
    done.map(|outcome| content(&outcome.tree, "x").to_owned()).collect()
}

#[test]
fn a_server_that_gives_turns_is_a_lock() {
    assert_eq!(counts(true), ["2".to_owned()].into());
    assert_eq!(counts(false), ["1".to_owned(), "2".to_owned()].into());
}

/// A server that is started twice takes the name from the first one, which waits for clients that no longer come.
#[test]
fn a_second_server_takes_the_name() {
    let server = || {
        process(|| {
            let _ = std::fs::remove_file("s");
            let Ok(listener) = UnixListener::bind("s") else { return 3 };
            let (mut one, _) = listener.accept().expect("a connection");
            first(&mut one)
        })
    };
    let client = asks(|mut one| {
        one.write_all(b"a").expect("a server");
        0
    });
    let seen = classes(&[server(), server(), client], &Tree::new());
    assert_eq!(seen.counts.redundant, 0);
    let exits: BTreeSet<_> = seen.outcomes.iter().map(|outcome| outcome.exits.clone()).collect();
    // One of them is served, and the other waits; or finds the name taken by who came between its two calls.
    for wanted in [
        [status(b'a'), None, status(0)],
        [None, status(b'a'), status(0)],
        [status(b'a'), status(3), status(0)],
        [None, None, status(1)],
        [None, None, status(2)],
    ] {
        assert!(exits.contains(wanted.as_slice()), "{wanted:?} is not among {exits:?}");
    }
}

/// Waits for several things at once, and hears one client to its end.
const SELECTS: &str = "
import sys
sys.path.pop(0)
import os, selectors, socket
listener = socket.socket(socket.AF_UNIX)
listener.bind('t')
listener.listen()
listener.setblocking(False)
os.rename('t', 's')
ready = selectors.DefaultSelector()
ready.register(listener, selectors.EVENT_READ)
heard, open_ones = '', None
while open_ones != 0:
    for key, _ in ready.select():
        if key.fileobj is listener:
            one, _ = listener.accept()
            one.setblocking(False)
            ready.register(one, selectors.EVENT_READ)
            open_ones = 1
        elif said := key.fileobj.recv(100):
            heard += said.decode()
        else:
            open_ones -= 1
            ready.unregister(key.fileobj)
            key.fileobj.close()
print(heard, flush=True)
";

/// A client that ends with 2 where there is no such name. Modules are not looked for in the workspace.
fn client(does: &str) -> Program {
    let connects = "import sys
sys.path.pop(0)
import socket
one = socket.socket(socket.AF_UNIX)
try:
    one.connect('s')
except FileNotFoundError:
    sys.exit(2)
";
    python(&format!("{connects}{does}"))
}

#[test]
fn a_server_that_waits_for_several_things_hears_all() {
    let programs = [python(SELECTS), client("one.sendall(b'a')")];
    let seen = held("select", &programs, &Tree::new(), 12, 1);
    let heard: BTreeSet<_> = seen
        .outcomes
        .iter()
        .map(|outcome| String::from_utf8_lossy(&outcome.stdout[0]).into_owned())
        .collect();
    assert_eq!(heard, [String::new(), "a\n".to_owned()].into());
}

/// A thread for each connection, of one process: what comes in one is not waited for in the other.
const THREADS: &str = "
import sys
sys.path.pop(0)
import os, socket, threading
listener = socket.socket(socket.AF_UNIX)
listener.bind('t')
listener.listen()
os.rename('t', 's')
said = []
def hears(one):
    said.append(one.recv(100).decode())
    one.sendall(b'y')
threads = []
for _ in range(CLIENTS):
    one, _ = listener.accept()
    threads.append(threading.Thread(target=hears, args=(one,)))
    threads[-1].start()
for thread in threads:
    thread.join()
print(*said, flush=True)
";

/// The same as [`classes`] of the order of tasks.
fn by_task(strategy: &mut dyn Strategy, programs: &[Program]) -> (Counts, BTreeSet<(String, bool)>) {
    let mut tracer = tracer(programs, Tree::new());
    tracer.explore_tasks();
    let mut heard = BTreeSet::new();
    let result = explore(strategy, &mut tracer, MAX_STEPS, &mut |execution| {
        let said = String::from_utf8_lossy(&execution.outcome.stdout[0]).trim().to_owned();
        heard.insert((said, execution.is_complete()));
        ControlFlow::Continue(())
    });
    (result.expect("every execution can be run").counts, heard)
}

#[test]
fn a_server_with_a_thread_for_each_hears_them_in_every_order() {
    let server = |clients: &str| python(&THREADS.replace("CLIENTS", clients));
    let asks = |name: &str| client(&format!("one.sendall(b'{name}')\nsys.exit(one.recv(1) != b'y')"));
    let (counts, heard) = by_task(&mut Dpor::new(), &[server("1"), asks("a")]);
    assert_eq!((counts.complete, counts.blocked, counts.redundant), (1, 1, 0));
    assert_eq!(heard, by_task(&mut Dfs::new(), &[server("1"), asks("a")]).1);
    let (counts, heard) = by_task(&mut Dpor::new(), &[server("2"), asks("a"), asks("b")]);
    assert_eq!((counts.complete, counts.blocked, counts.redundant), (34, 3, 0));
    let all = ["a b", "b a"].map(|said| (said.to_owned(), true));
    assert_eq!(heard, all.into_iter().chain([(String::new(), false)]).collect());
    // Where the order of tasks is not explored, it is said that another one is possible.
    let mut fixed = tracer(&[server("2"), asks("a"), asks("b")], Tree::new());
    execution(&mut fixed, &mut OneAfterTheOther);
    let order = "the order in which tasks of A go on that wait for others (--threads explore)";
    assert!(uncovered(&fixed).iter().any(|what| what == order), "{:?}", fixed.not_covered());
}
