//! Connections through Unix sockets of the workspace that are full: who writes waits for who reads.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use cooks_harness::backend::{Backend, Chooser};
use cooks_harness::model::{Choice, Cut, Ending, Exit, Outcome, ProcessId, Tree, View};
use cooks_harness::tracer::Program;
use nix::sys::socket::{setsockopt, sockopt::SndBuf};

use crate::support::{
    OneAfterTheOther, asks, classes, execution, held, python, serves, status, statuses, tracer, uncovered,
};

/// So much does not fit into a connection at once, nor twice into what was read of it.
const MUCH: usize = 300_000;

/// The server goes first until it listens, then the client as long as it can.
struct ClientAtOnce;

impl Chooser for ClientAtOnce {
    fn choose(&mut self, view: View<'_>) -> Result<Choice, Cut> {
        let listens = view.trace.iter().any(|event| event.operation.call.name == "listen");
        let next = if listens { view.enabled().last() } else { view.enabled().next() };
        next.map(Choice::Process).ok_or(Cut::Steps)
    }
}

fn sends_much(mut to: UnixStream) -> i32 {
    match to.write(&vec![7; MUCH]) {
        Ok(MUCH) => 0,
        Ok(_) => 3,
        Err(error) => error.raw_os_error().expect("an error of the kernel"),
    }
}

#[test]
fn who_writes_more_than_fits_waits_until_it_is_read() {
    let reads_all = asks(|mut from| {
        let mut all = Vec::new();
        let mut part = vec![0; MUCH];
        while let Ok(1..) = from.read(&mut part).inspect(|length| all.extend_from_slice(&part[..*length])) {}
        i32::from(all != vec![7; MUCH])
    });
    let programs = [serves(sends_much), reads_all];
    let seen = held("more than fits", &programs, &Tree::new(), 2, 2);
    assert_eq!(statuses(&seen, 0), [None, status(0)].into());
    assert_eq!(statuses(&seen, 1), [status(0), status(1), status(2)].into());
}

/// What was written in part before the other end was gone is no error, and no signal comes of it.
#[test]
fn who_writes_to_one_who_leaves_has_written_a_part() {
    let server = "
import sys
sys.path.pop(0)
import os, signal, socket
signal.signal(signal.SIGPIPE, signal.SIG_DFL)
listener = socket.socket(socket.AF_UNIX)
listener.bind('s')
listener.listen()
one, _ = listener.accept()
sys.exit(3 if 0 < os.write(one.fileno(), bytes(300_000)) < 300_000 else 4)
";
    let leaves = asks(|mut from| {
        let _ = from.read(&mut vec![0; 50_000]);
        0
    });
    let seen = held("a part", &[python(server), leaves], &Tree::new(), 5, 2);
    assert_eq!(statuses(&seen, 0), [None, status(3)].into());
}

#[test]
fn who_waits_for_room_in_a_connection_is_told_of() {
    let both = [serves(sends_much), asks(sends_much)];
    let mut tracer = tracer(&both, Tree::new());
    let Ending::Blocked(waiting) = execution(&mut tracer, &mut OneAfterTheOther).ending else {
        panic!("two who write to each other more than fits come to an end")
    };
    let at: Vec<_> = waiting.iter().map(|at| (at.process.0, at.holders.clone())).collect();
    assert_eq!(at, [(0, vec![ProcessId(1)]), (1, vec![ProcessId(0)])]);
    assert!(uncovered(&tracer).is_empty(), "{:?}", tracer.not_covered());
}

/// Who does not wait is told that it is full, or is not, as it comes.
#[test]
fn who_fills_without_waiting_sees_what_was_read() {
    let fills = serves(|mut to| {
        to.set_nonblocking(true).expect("a connection");
        let first = to.write(&vec![7; MUCH]).unwrap_or(0);
        let second = to.write(&vec![7; MUCH]).unwrap_or(0);
        i32::from(first == MUCH) + 2 * i32::from(second > 0)
    });
    let reads = asks(|mut from| {
        let mut part = vec![0; 100_000];
        from.read_exact(&mut part).map_or(1, |()| 0)
    });
    let seen = held("without waiting", &[fills, reads], &Tree::new(), 3, 2);
    assert_eq!(statuses(&seen, 0), [None, status(0), status(2)].into());
}

/// Waits for room among other things.
#[test]
fn who_waits_until_it_can_write_goes_on_when_it_was_read() {
    let server = "
import sys
sys.path.pop(0)
import os, selectors, socket
listener = socket.socket(socket.AF_UNIX)
listener.bind('s')
listener.listen()
one, _ = listener.accept()
one.setblocking(False)
ready = selectors.DefaultSelector()
ready.register(one, selectors.EVENT_WRITE)
left = bytes(300_000)
while left:
    ready.select()
    left = left[one.send(left):]
";
    let client = "
import sys
sys.path.pop(0)
import socket
one = socket.socket(socket.AF_UNIX)
try:
    one.connect('s')
except OSError:
    sys.exit(2)
heard = 0
while part := one.recv(1_000_000):
    heard += len(part)
sys.exit(heard != 300_000)
";
    let seen = held("waits to write", &[python(server), python(client)], &Tree::new(), 2, 2);
    assert_eq!(statuses(&seen, 0), [None, status(0)].into());
    assert_eq!(statuses(&seen, 1), [status(0), status(2)].into());
}

/// One of another size is full when it should not be: that is reported, and who waits goes on when it was read all the same.
#[test]
fn a_socket_of_another_size_is_not_covered() {
    let small = |mut to: UnixStream| {
        setsockopt(&to, SndBuf, &1).expect("a socket");
        i32::from(to.write(&[7; 20_000]).ok() != Some(20_000))
    };
    let reads_all = asks(|mut from| {
        let mut all = Vec::new();
        i32::from(from.read_to_end(&mut all).ok() != Some(20_000))
    });
    let programs = [serves(small), reads_all];
    let mut tracer = tracer(&programs, Tree::new());
    let ran = execution(&mut tracer, &mut ClientAtOnce);
    assert_eq!(ran.outcome.exits, [status(0); 2]);
    assert_eq!(
        uncovered(&tracer),
        ["a Unix socket that is full", "a size of a Unix socket that is set (SO_SNDBUF)"]
    );
}

/// A server in Python that has a connection, and does this; a client that has one, and does that; 2 where it comes too early.
fn two(server: &str, client: &str) -> [Program; 2] {
    let begins = "import sys\nsys.path.pop(0)\nimport os, select, signal, socket, threading\n";
    let serves = "l = socket.socket(socket.AF_UNIX)\nl.bind('s')\nl.listen()\none, _ = l.accept()\n";
    let connects =
        "one = socket.socket(socket.AF_UNIX)\ntry: one.connect('s')\nexcept OSError: sys.exit(2)\n";
    [python(&format!("{begins}{serves}{server}")), python(&format!("{begins}{connects}{client}"))]
}

/// How both end, and what the server prints, in all executions in which the client does not come too early.
fn ends(programs: &[Program]) -> BTreeSet<([Option<Exit>; 2], String)> {
    let seen = classes(programs, &Tree::new());
    assert_eq!(seen.counts.redundant, 0);
    let in_time = seen.outcomes.into_iter().filter(|outcome| outcome.exits[1] != status(2));
    let end = |outcome: Outcome| {
        let said = String::from_utf8_lossy(&outcome.stdout[0]).trim().to_owned();
        ([outcome.exits[0], outcome.exits[1]], said)
    };
    in_time.map(end).collect()
}

/// The kernel wakes a writer when most of what it has sent was read, not before; who comes when a little was read finds room.
#[test]
fn who_sleeps_for_room_is_not_woken_by_a_little() {
    let server =
        "os.write(one.fileno(), bytes(250_000))\nk = socket.socket(socket.AF_UNIX)\nk.connect('c')\n";
    let client = "k = socket.socket(socket.AF_UNIX)\nk.bind('c')\nk.listen()\none.recv(36_544)\nk.accept()\n";
    let both = |end| ([end, end], String::new());
    assert_eq!(ends(&two(server, client)), [both(None), both(status(0))].into());
}

/// Who is woken because the other end is gone is told so once, without a signal.
#[test]
fn who_sleeps_for_room_is_told_that_the_other_end_is_gone() {
    let server = "
signal.signal(signal.SIGPIPE, signal.SIG_DFL)
one.setblocking(False)
try:
    while True: one.send(bytes(30_000))
except OSError as error: said = [error.errno]
one.setblocking(True)
def tries(does):
    try: said.append(does())
    except OSError as error: said.append(error.errno)
tries(lambda: one.send(bytes(10), socket.MSG_NOSIGNAL))
tries(lambda: one.recv(9))
print(said, flush=True)
";
    let said: BTreeSet<_> = ends(&two(server, "one.close()")).into_iter().map(|(_, said)| said).collect();
    // It sleeps; it comes too late to write; it comes too late to fill it, and is told by a signal.
    let all = ["[11, 104, b'']", "[11, 32, 104]", ""];
    assert_eq!(said, all.map(str::to_owned).into());
}

/// A signal ends a write of which a part is done: that is what it gives, and the handler comes behind it.
#[test]
fn a_signal_ends_a_write_that_sleeps_for_room() {
    let server = "
def handles(*_):
    print('h', os.open('f', os.O_CREAT | os.O_WRONLY) < 10, flush=True)
signal.signal(signal.SIGUSR1, handles)
open('pid', 'w').write(str(os.getpid()))
written = os.write(one.fileno(), bytes(250_000))
print('w', written, flush=True)
";
    let client = "
if not os.path.exists('pid'): sys.exit(3)
pid = open('pid').read()
if not pid: sys.exit(3)
os.kill(int(pid), signal.SIGUSR1)
heard = 0
while part := one.recv(1_000_000): heard += len(part)
print(heard)
";
    let in_time = ends(&two(server, client)).into_iter().filter(|(exits, _)| exits[1] == status(0));
    let said: Vec<_> = in_time.map(|(exits, said)| (exits[0], said)).collect();
    // It sleeps when the signal comes, or has not begun.
    let all = (status(0), "h True\nw 250000".to_owned());
    let part = said.iter().find(|said| **said != all).and_then(|(_, said)| said.strip_prefix("h True\nw "));
    let part: u32 = part.expect("one more").parse().expect("a number");
    assert!((1..250_000).contains(&part));
    assert_eq!((said.len(), said.contains(&all)), (2, true));
}

/// What another thread does with the socket ends a wait as well.
#[test]
fn threads_end_each_others_waits_at_a_connection() {
    let shuts = "
def writes():
    try: print('w', os.write(one.fileno(), bytes(300_000)) < 300_000, flush=True)
    except OSError as error: print(error.errno, flush=True)
thread = threading.Thread(target=writes)
thread.start()
l.accept()
one.shutdown(socket.SHUT_RDWR)
thread.join()
";
    let client = "k = socket.socket(socket.AF_UNIX)\nk.connect('s')\nk.recv(1)\n";
    let over = |said: &str| ([status(0); 2], said.to_owned());
    assert_eq!(ends(&two(shuts, client)), [over("w True")].into());
    let fills = "
thread = threading.Thread(target=lambda: one.send(bytes(150_000)))
thread.start()
ready = select.select([one], [one], [])
print('ready', flush=True)
thread.join()
";
    let reads = "heard = 0\nwhile heard < 150_000: heard += len(one.recv(1_000_000))\none.recv(1)\n";
    assert_eq!(ends(&two(fills, reads)), [over("ready")].into());
}
