//! Unix sockets of the workspace that keep messages apart: datagrams, and packets through connections.

use std::collections::BTreeSet;
use std::io::{Error, ErrorKind};
use std::ops::ControlFlow;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixDatagram;

use cooks_harness::backend::Backend;
use cooks_harness::explore::{Dpor, explore};
use cooks_harness::model::{Ending, Exit, ProcessId, Tree};
use cooks_harness::tracer::Program;
use nix::sys::socket::{Shutdown, shutdown};

use crate::support::{
    MAX_STEPS, OneAfterTheOther, Seen, classes, execution, held, process, python, status, statuses, tracer,
    uncovered,
};

/// The number of what an error of the kernel is.
fn number(error: &Error) -> i32 {
    error.raw_os_error().expect("an error of the kernel")
}

/// The first byte of the next datagram; 0 where it has none, the error's number where there is one.
fn first(socket: &UnixDatagram) -> i32 {
    let mut buffer = [0; 16];
    match socket.recv(&mut buffer) {
        Ok(length) => buffer[..length].first().map_or(0, |byte| i32::from(*byte)),
        Err(error) => number(&error),
    }
}

fn bound(name: &str) -> UnixDatagram {
    UnixDatagram::bind(name).expect("a name for a socket")
}

/// Sends a byte to `s`; how that ends: 0, or the error's number.
fn tells(byte: u8) -> Program {
    process(move || {
        let socket = UnixDatagram::unbound().expect("a socket");
        socket.send_to(&[byte], "s").map_or_else(|error| number(&error), |_| 0)
    })
}

const NOBODY: u8 = libc::ENOENT as u8;
const REFUSED: u8 = libc::ECONNREFUSED as u8;

fn ends(seen: &Seen) -> BTreeSet<Vec<Option<Exit>>> {
    seen.outcomes.iter().map(|outcome| outcome.exits.clone()).collect()
}

#[test]
fn a_datagram_comes_in_time_or_too_early_or_too_late() {
    let hears = process(|| first(&bound("s")));
    let seen = held("in time", &[hears, tells(b'a')], &Tree::new(), 1, 1);
    assert_eq!(ends(&seen), [vec![status(b'a'), status(0)], vec![None, status(NOBODY)]].into());
    let leaves = process(|| {
        drop(bound("s"));
        0
    });
    let seen = held("not heard", &[leaves, tells(b'a')], &Tree::new(), 3, 0);
    assert_eq!(statuses(&seen, 1), [status(0), status(NOBODY), status(REFUSED)].into());
}

#[test]
fn datagrams_come_in_the_order_of_their_sending_and_none_is_joined() {
    let hears = process(|| {
        let socket = bound("t");
        std::fs::rename("t", "s").expect("a name");
        first(&socket) * 2 + first(&socket)
    });
    let seen = held("two", &[hears, tells(1), tells(2)], &Tree::new(), 2, 3);
    assert_eq!(statuses(&seen, 0), [None, status(4), status(5)].into());
}

/// The one who is asked answers to the address that a question came from.
#[test]
fn a_question_is_answered_to_its_address() {
    let server = process(|| {
        let socket = bound("s");
        let mut buffer = [0; 16];
        let (length, from) = socket.recv_from(&mut buffer).expect("a question");
        let path = from.as_pathname().expect("a sender with a name");
        buffer[0] += 1;
        socket.send_to(&buffer[..length], path).map_or_else(|error| number(&error), |_| 0)
    });
    let client = process(|| {
        let socket = bound("c");
        match socket.send_to(b"a", "s") {
            Ok(_) => first(&socket),
            Err(error) => number(&error),
        }
    });
    let seen = held("a question", &[server, client], &Tree::new(), 1, 1);
    assert_eq!(ends(&seen), [vec![status(0), status(b'b')], vec![None, status(NOBODY)]].into());
}

/// A socket that is connected takes datagrams from the other end only.
#[test]
fn who_is_connected_is_not_told_anything_by_others() {
    let server = process(|| {
        drop(bound("u"));
        0
    });
    let connects = process(|| {
        let socket = bound("s");
        match socket.connect("u") {
            Err(error) => return number(&error),
            Ok(()) => socket.set_nonblocking(true).expect("a socket"),
        }
        first(&socket)
    });
    let seen = held("connected", &[server, connects, tells(b'a')], &Tree::new(), 10, 0);
    let refused = libc::EPERM as u8;
    assert!(statuses(&seen, 2).contains(&status(refused)));
    let nothing = libc::EAGAIN as u8;
    assert_eq!(statuses(&seen, 1), [status(NOBODY), status(REFUSED), status(nothing), status(b'a')].into());
    // Who was told no has said nothing.
    let both = |outcome: &Vec<Option<Exit>>| outcome[1] == status(b'a') && outcome[2] == status(refused);
    assert!(!ends(&seen).iter().any(both));
}

/// With the one that it is connected to, a socket loses what that has sent.
#[test]
fn what_came_is_lost_with_who_sent_it() {
    let answers = process(|| {
        let socket = bound("s");
        first(&socket);
        let _ = socket.send_to(b"y", "c");
        0
    });
    let client = process(|| {
        let socket = bound("c");
        if let Err(error) = socket.connect("s") {
            return number(&error);
        }
        let asks = || socket.send(b"q").map_or_else(|error| number(&error), |_| 0);
        if asks() != 0 {
            return 1;
        }
        let second = asks();
        socket.set_nonblocking(true).expect("a socket");
        let heard = first(&socket);
        match (second, heard) {
            (0, libc::EAGAIN) => 2,
            (0, heard) if heard == i32::from(b'y') => 3,
            (libc::ECONNREFUSED, libc::EAGAIN) => 4,
            other => panic!("{other:?}"),
        }
    });
    let seen = held("lost", &[answers, client], &Tree::new(), 4, 1);
    assert_eq!(statuses(&seen, 1), [status(NOBODY), status(2), status(3), status(4)].into());
}

/// So many datagrams wait at a socket at the most.
fn most() -> usize {
    let limit =
        std::fs::read_to_string("/proc/sys/net/unix/max_dgram_qlen").expect("the limit of this machine");
    limit.trim().parse::<usize>().expect("a number") + 1
}

/// A socket with this name in which nothing else finds room.
fn full(name: &str) -> UnixDatagram {
    let socket = bound(name);
    // A sender has a limit too, of bytes.
    for part in vec![0; most()].chunks(50) {
        let sender = UnixDatagram::unbound().expect("a socket");
        part.iter().for_each(|byte| assert_eq!(sender.send_to(&[*byte], name).expect("room"), 1));
    }
    socket
}

/// The same as `s`, from when it is full.
fn full_at_once() -> UnixDatagram {
    let socket = full("t");
    std::fs::rename("t", "s").expect("a name");
    socket
}

fn filled(takes: usize) -> Program {
    process(move || {
        let socket = full_at_once();
        (0..takes).for_each(|_| assert_eq!(first(&socket), 0));
        0
    })
}

#[test]
fn who_finds_no_room_waits_until_one_is_taken() {
    let seen = held("no room", &[filled(1), tells(b'a')], &Tree::new(), 6, 0);
    assert_eq!(statuses(&seen, 1), [status(0), status(NOBODY), status(REFUSED)].into());
    let does_not_wait = process(|| {
        let socket = UnixDatagram::unbound().expect("a socket");
        socket.set_nonblocking(true).expect("a socket");
        socket.send_to(b"a", "s").map_or_else(|error| number(&error), |_| 0)
    });
    let seen = held("no room at once", &[filled(1), does_not_wait], &Tree::new(), 4, 0);
    let full = libc::EAGAIN as u8;
    assert_eq!(statuses(&seen, 1), [status(0), status(NOBODY), status(REFUSED), status(full)].into());
}

#[test]
fn who_waits_for_a_datagram_or_for_room_is_told_of() {
    let waits = |programs: &[Program]| {
        let mut tracer = tracer(programs, Tree::new());
        let ending = execution(&mut tracer, &mut OneAfterTheOther).ending;
        assert!(uncovered(&tracer).is_empty(), "{:?}", tracer.not_covered());
        let Ending::Blocked(waiting) = ending else { panic!("{ending:?}") };
        waiting
            .into_iter()
            .map(|at| (at.process.0, at.operation.call.path.unwrap_or_default(), at.holders))
            .collect::<Vec<_>>()
    };
    let alone = [process(|| first(&bound("s")))];
    assert_eq!(waits(&alone), [(0, "s".to_owned(), Vec::new())]);
    // The first waits for ever for something else, with its socket open.
    let keeps = process(|| {
        let socket = full("s");
        first(&bound("other"));
        first(&socket)
    });
    assert_eq!(
        waits(&[keeps, tells(b'a')]),
        [(0, "other".to_owned(), Vec::new()), (1, "s".to_owned(), vec![ProcessId(0)])]
    );
}

#[test]
fn who_is_shut_hears_nothing_and_is_told_nothing() {
    let shuts = process(|| {
        let socket = bound("s");
        shutdown(socket.as_raw_fd(), Shutdown::Read).expect("a socket");
        // Waits no more: what came before is read, and then the end.
        first(&socket)
    });
    let seen = held("shut", &[shuts, tells(b'a')], &Tree::new(), 4, 0);
    let broken = libc::EPIPE as u8;
    assert_eq!(statuses(&seen, 0), [status(0), status(b'a')].into());
    assert_eq!(statuses(&seen, 1), [status(0), status(NOBODY), status(REFUSED), status(broken)].into());
}

/// With the connection goes what has come, and who may send: also for who sends at the same time.
#[test]
fn who_is_told_that_the_other_is_gone_takes_from_all_again() {
    let loses = process(|| {
        let (gone, socket) = (bound("u"), bound("t"));
        socket.connect("u").expect("a socket");
        drop(gone);
        std::fs::rename("t", "s").expect("a name");
        let refused = socket.send(b"q").expect_err("nobody");
        assert_eq!(number(&refused), libc::ECONNREFUSED);
        socket.set_nonblocking(true).expect("a socket");
        first(&socket)
    });
    let seen = held("the other is gone", &[loses, tells(b'a')], &Tree::new(), 5, 0);
    let (nothing, refused) = (libc::EAGAIN as u8, libc::EPERM as u8);
    assert_eq!(statuses(&seen, 0), [status(nothing), status(b'a')].into());
    assert_eq!(statuses(&seen, 1), [0, NOBODY, REFUSED, refused].map(status).into());
}

/// Who waits for room is not told that a socket is shut or connected: only by taking from it, or closing it.
#[test]
fn who_waits_for_room_is_not_woken_by_less() {
    let shuts = process(|| {
        let socket = full_at_once();
        shutdown(socket.as_raw_fd(), Shutdown::Read).expect("a socket");
        first(&bound("other"))
    });
    let connects = process(|| {
        let _other = bound("u");
        let socket = full_at_once();
        socket.connect("u").expect("a socket");
        first(&bound("other"))
    });
    for (does, error) in [(shuts, libc::EPIPE), (connects, libc::EPERM)] {
        let seen = held("not woken", &[does, tells(b'a')], &Tree::new(), 0, 3);
        assert_eq!(statuses(&seen, 1), [None, status(NOBODY), status(error as u8)].into());
    }
}

/// Where a call fails for another reason, it does not wait for room.
#[test]
fn what_fails_anyway_waits_for_nothing() {
    let fails = |with: fn() -> Error| {
        let alone = [process(move || number(&with()))];
        let exit = execution(&mut tracer(&alone, Tree::new()), &mut OneAfterTheOther).outcome.exits[0];
        exit.expect("an end")
    };
    let shut = fails(|| {
        let (_full, socket) = (full("s"), UnixDatagram::unbound().expect("a socket"));
        socket.connect("s").expect("a socket");
        shutdown(socket.as_raw_fd(), Shutdown::Write).expect("a socket");
        socket.send(b"x").expect_err("shut")
    });
    assert_eq!(shut, Exit::Status(libc::EPIPE));
    let too_long = fails(|| {
        let _full = full("s");
        UnixDatagram::unbound().expect("a socket").send_to(&vec![0; 1 << 20], "s").expect_err("too long")
    });
    assert_eq!(too_long, Exit::Status(libc::EMSGSIZE));
}

/// What another thread is about to send goes where the socket is connected to then.
#[test]
fn a_socket_that_several_threads_have_sends_to_the_last_that_it_was_connected_to() {
    let both = process(|| {
        let (a, b) = (bound("a"), bound("b"));
        let socket = UnixDatagram::unbound().expect("a socket");
        socket.connect("a").expect("a socket");
        let same = socket.try_clone().expect("a descriptor");
        let connects = std::thread::spawn(move || same.connect("b").expect("a socket"));
        let _ = std::fs::metadata("nothing");
        socket.send(b"x").expect("a socket");
        connects.join().expect("a thread");
        a.set_nonblocking(true).expect("a socket");
        match first(&a) {
            libc::EAGAIN => first(&b),
            heard => heard,
        }
    });
    let ran = execution(&mut tracer(&[both], Tree::new()), &mut OneAfterTheOther);
    assert_eq!(ran.outcome.exits, [status(b'x')]);
}

/// What is not followed is said.
#[test]
fn what_is_not_followed_of_datagrams_is_not_covered() {
    let says = |script: &str| {
        let begins = "import sys\nsys.path.pop(0)\nimport ctypes, os, socket\n\
                      one = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)\n";
        let mut tracer = tracer(&[python(&format!("{begins}{script}"))], Tree::new());
        let ran = execution(&mut tracer, &mut OneAfterTheOther);
        assert_eq!(ran.outcome.exits, [status(0)], "{script}");
        uncovered(&tracer)
    };
    let bound = "two = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)\ntwo.bind('s')\n";
    let named_late = format!("{bound}one.sendto(b'x', 's')\none.bind('c')\nassert two.recvfrom(9)[1] == 'c'");
    assert_eq!(says(&named_late), ["the name that a Unix socket is given when it has sent datagrams"]);
    assert_eq!(says("one.shutdown(socket.SHUT_RD)"), ["a Unix socket that is shut before it has a name"]);
    let copied = format!(
        "{bound}one.connect('s')\nopen('f', 'w').write('x')\n\
         os.sendfile(one.fileno(), os.open('f', os.O_RDONLY), None, 1)"
    );
    assert_eq!(says(&copied), ["sendfile with a FIFO or a Unix socket of the workspace"]);
    let third = "three = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)\nthree.bind('u')\n";
    let anew = format!("{bound}{third}one.bind('c')\none.connect('s')\none.connect('u')");
    assert_eq!(says(&anew), ["a Unix socket with a name that is connected anew"]);
    let apart = format!(
        "{bound}{third}one.bind('c')\none.connect('s')\n\
         assert ctypes.CDLL(None).connect(one.fileno(), bytes(16), 16) == 0"
    );
    assert_eq!(says(&apart), ["a Unix socket with a name that is connected anew"]);
    // What the sender has sent elsewhere is in the way.
    let own = format!(
        "{bound}{third}for _ in range(600): one.sendto(b'x', 's'), two.recv(9)\n\
         one.setblocking(False)\nfor _ in range(9): one.sendto(bytes(21_000), 'u')\n\
         try: one.sendto(b'x', 's')\nexcept BlockingIOError: pass\nelse: sys.exit(1)"
    );
    assert_eq!(says(&own), ["a Unix socket that is full"]);
    // An address without a length is none: it goes to whom the socket is connected.
    let empty = format!(
        "{bound}one.connect('s')\n\
         assert ctypes.CDLL(None).sendto(one.fileno(), b'x', 1, 0, b'  ', 0) == 1\nassert two.recv(9) == b'x'"
    );
    assert!(says(&empty).is_empty());
}

/// The kernel keeps to the socket that it has found; here the name is looked up again.
#[test]
fn a_name_that_changes_while_somebody_waits_at_it_is_not_covered() {
    let unnames = process(|| {
        let socket = full_at_once();
        std::fs::remove_file("s").expect("a name");
        first(&socket)
    });
    let mut tracer = tracer(&[unnames, tells(b'a')], Tree::new());
    let result = explore(&mut Dpor::new(), &mut tracer, MAX_STEPS, &mut |_| ControlFlow::Continue(()));
    assert!(result.expect("every execution can be run").exhaustive);
    assert_eq!(uncovered(&tracer), ["a name that changes while somebody waits for room at its Unix socket"]);
}

/// A stream finds no end in it, and a datagram no stream.
#[test]
fn kinds_are_not_mixed() {
    let hears = process(|| {
        drop(bound("s"));
        0
    });
    let connects = process(|| match std::os::unix::net::UnixStream::connect("s") {
        Err(error) if error.kind() == ErrorKind::NotFound => 2,
        Err(error) => number(&error),
        Ok(_) => 0,
    });
    let seen = held("mixed", &[hears, connects], &Tree::new(), 3, 0);
    assert_eq!(statuses(&seen, 1), [status(2), status(libc::EPROTOTYPE as u8), status(REFUSED)].into());
}

/// Packets through a connection: Python has them.
const SERVES: &str = "
import sys
sys.path.pop(0)
import os, socket
listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
listener.bind('t')
listener.listen()
os.rename('t', 's')
one, _ = listener.accept()
";

const CONNECTS: &str = "
import sys
sys.path.pop(0)
import socket
one = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
try:
    one.connect('s')
except FileNotFoundError:
    sys.exit(2)
";

fn said(seen: &Seen, process: usize) -> BTreeSet<String> {
    let said = |text: &[u8]| String::from_utf8_lossy(text).trim().to_owned();
    seen.outcomes.iter().map(|outcome| said(&outcome.stdout[process])).collect()
}

#[test]
fn packets_are_kept_apart_and_may_be_empty() {
    let hears = "print(*(repr(one.recv(9)) for _ in range(4)), flush=True)";
    let tells = "for part in (b'ab', b'', b'c'): one.send(part)";
    let programs = [python(&format!("{SERVES}{hears}")), python(&format!("{CONNECTS}{tells}"))];
    let seen = held("packets", &programs, &Tree::new(), 4, 1);
    assert_eq!(said(&seen, 0), [String::new(), "b'ab' b'' b'c' b''".to_owned()].into());
}

/// Who closes a connection with something unread in it resets it; the error is told of before what came earlier.
#[test]
fn a_reset_comes_before_packets() {
    let leaves = "one.send(b'x')";
    let asks = "
try:
    one.send(b'q')
    heard = one.recv(9)
except OSError as error:
    heard = error.errno
print(heard, flush=True)
";
    let programs = [python(&format!("{SERVES}{leaves}")), python(&format!("{CONNECTS}{asks}"))];
    let seen = held("reset", &programs, &Tree::new(), 3, 1);
    let (reset, broken) = (libc::ECONNRESET.to_string(), libc::EPIPE.to_string());
    assert_eq!(said(&seen, 1), [String::new(), "b'x'".to_owned(), reset, broken].into());
}

/// Waits for datagrams and for a connection at once, without blocking.
#[test]
fn a_server_waits_for_datagrams_among_other_things() {
    let server = "
import sys
sys.path.pop(0)
import os, selectors, socket
ready = selectors.DefaultSelector()
for name in ('a', 'b'):
    one = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    one.bind(name)
    one.setblocking(False)
    ready.register(one, selectors.EVENT_READ, name)
os.mkdir('up')
heard = ''
while len(heard) < 2:
    for key, _ in ready.select():
        heard += key.data + ''
        key.fileobj.recv(9)
print(heard, flush=True)
";
    let client = |name: &str| {
        python(&format!(
            "import sys
sys.path.pop(0)
import os, socket
if not os.path.exists('up'):
    sys.exit(2)
one = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
one.connect('{name}')
one.send(b'x')
"
        ))
    };
    let seen = classes(&[python(server), client("a"), client("b")], &Tree::new());
    assert_eq!(seen.counts.redundant, 0);
    assert_eq!(said(&seen, 0), [String::new(), "ab".to_owned(), "ba".to_owned()].into());
}
