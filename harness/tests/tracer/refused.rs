//! What is refused gives its error, what is not seen is named, and what nobody knows ends the exploration.

use cooks_harness::backend::{Backend, Detail};
use cooks_harness::model::gap::sentence;
use cooks_harness::model::{GapKind, Payload, ProcessId, Reach, Sighting};
use cooks_harness::tracer::{TraceError, Tracer};

use crate::support::{
    InTurn, OneAfterTheOther, execution, files, in_turn, printed, process, python, tracer, uncovered,
};

/// Makes a call by its number, and prints its result or its error's name.
const CALL: &str = "
import ctypes, errno, os, sys
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
def call(*arguments):
    result = libc.syscall(*[ctypes.c_long(x) if isinstance(x, int) else x for x in arguments])
    return errno.errorcode[ctypes.get_errno()] if result < 0 else result
";

fn script(lines: &str) -> cooks_harness::tracer::Program {
    python(&format!("{CALL}{lines}"))
}

#[test]
fn refused_calls_give_their_errors() {
    // io_uring_setup, io_setup, mount, chroot, setns, ptrace, pidfd_getfd, name_to_handle_at, open_by_handle_at, userfaultfd,
    // unshare(CLONE_NEWNS), and numbers that no kernel has.
    let program = script(
        "
print(call(425, 8, 0), call(206, 1, 0), call(165, b'a', b'a', b'tmpfs', 0, 0), call(161, b'.'), call(308, 0, 0),
    call(101, 0, 0, 0, 0), call(438, 0, 0, 0), call(303, -100, b'f', 0, 0, 0), call(304, 0, 0, 0), call(323, 0),
    call(272, 0x20000), call(400), call(100000))",
    );
    let ran = in_turn(&[program], files(&[("f", "")]));
    let errors = "ENOSYS ENOSYS EPERM EPERM EPERM EPERM EPERM ENOTSUP EPERM EPERM EPERM ENOSYS ENOSYS\n";
    assert_eq!(printed(&ran, 0), errors);
}

/// What is said not to be covered when a program does this, with the files `f` and `g` in the workspace.
fn not_covered(lines: &str) -> Vec<String> {
    uncovered(&ran(lines))
}

fn sightings(lines: &str) -> Vec<Sighting> {
    ran(lines).not_covered()
}

/// The tracer of such a program, when it has run.
fn ran(lines: &str) -> Tracer {
    let programs = [script(lines), process(|| 0)];
    let mut tracer = tracer(&programs, files(&[("f", "text"), ("g", "text")]));
    let ran = execution(&mut tracer, &mut InTurn);
    assert!(ran.outcome.exits.iter().flatten().all(|exit| exit.is_success()), "{:?}: {lines}", ran.outcome);
    tracer
}

#[test]
fn what_is_not_seen_is_named() {
    for (lines, named) in [
        // The other process does not use that file.
        ("import mmap; mmap.mmap(os.open('f', os.O_RDWR), 0)[0] = 1; open('f').read()", &[][..]),
        ("import mmap; os.fork(); mmap.mmap(os.open('f', os.O_RDWR), 0)[0] = 1", &[]),
        (
            "import mmap; mmap.mmap(os.open('f', os.O_RDONLY), 0, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ)",
            &[],
        ),
        (
            "import socket; a, b = socket.socketpair(); socket.send_fds(a, [b'x'], [os.open('f', os.O_RDONLY)])",
            &["descriptors of the workspace that are passed over sockets"],
        ),
        ("import socket; a, b = socket.socketpair(); socket.send_fds(a, [b'x'], [0])", &[]),
        (
            "import socket; l = socket.socket(socket.AF_UNIX); l.bind('s'); l.listen(); c = socket.socket(socket.AF_UNIX)
c.connect('s'); socket.send_fds(c, [b'x'], [os.memfd_create('m')])",
            &["descriptors that are passed over sockets"],
        ),
        (
            "import socket; a, b = [socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in 'ab']; a.bind('s')
b.sendmsg([b'x'], [(1, 1, bytes([os.open('/etc/passwd', os.O_RDONLY), 0, 0, 0]))], 0, 's')",
            &["descriptors that are passed over sockets"],
        ),
        (
            "import socket; a, b = [socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in 'ab']; a.bind('s')
b.connect('s'); socket.send_fds(b, [b'x'], [0])",
            &["descriptors that are passed over sockets"],
        ),
        (
            "import socket; a, b = socket.socketpair(); os.fork() and socket.send_fds(a, [b'x'], [os.memfd_create('m')])",
            &[],
        ),
        // As shells do that look up who their user is.
        (
            "import socket; call(42, socket.socket(socket.AF_UNIX).fileno(), b'\\1\\0/nowhere/socket\\0', 18)",
            &[],
        ),
        ("call(29, 0, 4096, 0o1600)", &["System V shared memory"]),
        ("call(310, os.getpid(), 0, 0, 0, 0, 0)", &["the memory of other processes"]),
        ("call(253)", &["file watches (inotify)"]),
        ("open('/proc/1/status').read()", &["what /proc says of other processes: /proc/1/status"]),
        ("open('/proc/self/status').read()", &[]),
        // Known, and on the workspace alone.
        ("os.statvfs('.'); os.listdir('.'); os.getxattr('f', 'user.a') if 0 else os.listxattr('f')", &[]),
    ] {
        assert_eq!(not_covered(lines), named, "{lines}");
    }
}

/// Two calls meet if they are about the same thing: what has a key or a name says so, what nobody else can reach is listed only.
#[test]
fn what_is_used_says_whether_others_can_meet_it() {
    let met = |key: &str| Reach::IfMet { key: key.into(), changes: true };
    for (lines, kind, reach) in [
        ("call(29, 0, 4096, 0o1600)", GapKind::SharedMemory, Reach::Never),
        ("call(64, 0x77, 1, 0o1600)", GapKind::KernelObject, met("System V semaphores, key 0x77")),
        ("call(241, b'queue')", GapKind::KernelObject, met("POSIX message queues queue")),
        ("call(310, os.getpid(), 0, 0, 0, 0, 0)", GapKind::OtherProcess, Reach::Never),
        ("import socket; socket.socket(socket.AF_UNIX).bind('\\0name')", GapKind::Socket, met("@name")),
        ("import socket; socket.socket().bind(('127.0.0.1', 7877))", GapKind::Network, met("port 7877")),
    ] {
        let sightings = sightings(lines);
        let [only] = sightings.as_slice() else { panic!("{lines}: {sightings:?}") };
        assert_eq!((only.kind, &only.reach, only.process), (kind, &reach, ProcessId(0)), "{lines}");
    }
}

/// A socket of the network hides nothing before it is connected, or something is sent.
#[test]
fn what_goes_over_the_network_is_named_if_it_goes() {
    let always = |lines: &str| {
        let begins = "import socket; s = socket.socket(socket.AF_INET, ";
        let seen = sightings(&format!("{begins}{lines}"));
        seen.iter().filter(|seen| seen.reach == Reach::Always).map(sentence).collect::<Vec<_>>()
    };
    for quiet in [
        "socket.SOCK_STREAM)",
        "socket.SOCK_STREAM); s.connect_ex(('127.0.0.1', 1))",
        "socket.SOCK_DGRAM); s.connect(('127.0.0.1', 9))",
        "socket.SOCK_DGRAM); socket.socket(socket.AF_NETLINK, socket.SOCK_RAW).bind((0, 0))",
        "socket.SOCK_DGRAM); socket.getaddrinfo('localhost', 80)",
        "socket.SOCK_DGRAM); socket.if_nameindex()",
    ] {
        assert_eq!(always(quiet), [""; 0], "{quiet}");
    }
    let both =
        "socket.SOCK_STREAM); l = socket.create_server(('127.0.0.1', 7877)); s.connect(('127.0.0.1', 7877))";
    assert_eq!(always(both), ["the network (connect)"]);
    for (sends, call) in [
        ("s.sendto(b'x', ('127.0.0.1', 9))", "sendto"),
        ("s.connect(('127.0.0.1', 9)); s.send(b'x')", "sendto"),
        ("s.connect(('127.0.0.1', 9)); os.write(os.dup(s.fileno()), b'x')", "write"),
        ("s.connect(('127.0.0.1', 9)); s.sendmsg([b'x'])", "sendmsg"),
        ("s.sendmsg([b'x'], [], 0, ('127.0.0.1', 9))", "sendmsg"),
    ] {
        assert_eq!(
            always(&format!("socket.SOCK_DGRAM); {sends}")),
            [format!("the network ({call})")],
            "{sends}"
        );
    }
}

/// Through a netlink socket, questions hide nothing. All else does, also by a copy of the descriptor.
#[test]
fn what_a_netlink_socket_does_but_ask_is_named() {
    let seen = |lines: &str| {
        let begins = "
import socket, struct
def netlink(protocol=0):
    return socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol)
def message(kind, flags=1):
    return struct.pack('IHHIIB15x', 32, kind, flags, 1, 0, 0)
";
        let seen = sightings(&format!("{begins}{lines}"));
        let always = seen.iter().filter(|seen| seen.reach == Reach::Always);
        always.map(|seen| (seen.kind, sentence(seen))).collect::<Vec<_>>()
    };
    for quiet in [
        "s = netlink(); s.sendto(message(22, 0x301), (0, 0)); s.recv(65536)",
        "s = netlink(); s.send(message(18, 0x301)); os.read(s.fileno(), 65536)",
        "s = netlink(); s.bind((os.getpid(), 0)); s.sendmsg([message(18, 0x301)])",
    ] {
        assert_eq!(seen(quiet), [], "{quiet}");
    }
    for (lines, call) in [
        ("netlink().sendto(message(16), (0, 0))", "sendto"),
        ("netlink().send(message(22) + message(20))", "sendto"),
        ("netlink().sendmsg([message(22), message(17)])", "sendmsg"),
        ("s = netlink(); os.write(os.dup(s.fileno()), message(17))", "write"),
        (
            "s = netlink(); os.fork() or os.write(s.fileno(), message(17)); os.wait() if os.getpid() == 1000 else 0",
            "write",
        ),
        ("netlink().bind((0, 1))", "bind"),
        ("netlink().setsockopt(270, 1, 1)", "setsockopt"),
        ("netlink(2)", "socket"),
    ] {
        assert_eq!(seen(lines), [(GapKind::Network, format!("the network ({call})"))], "{lines}");
    }
}

#[test]
fn somebody_outside_who_answers_is_named() {
    let outside = tempfile::tempdir().expect("a directory outside of the workspace");
    let address = outside.path().join("socket");
    let _listener = std::os::unix::net::UnixListener::bind(&address).expect("a socket can be bound");
    let connect = format!("import socket; socket.socket(socket.AF_UNIX).connect('{}')", address.display());
    assert_eq!(not_covered(&connect), ["a Unix socket (connect)"]);
}

#[test]
fn a_mapping_that_another_process_changes_is_named() {
    let maps = python(
        "import mmap, os; f = os.open('f', os.O_RDONLY); mmap.mmap(f, 0, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ); os.stat('g')",
    );
    let writes = python("import os; f = os.open('f', os.O_WRONLY); os.pwrite(f, b'x', 0)");
    let mut tracer = tracer(&[maps, writes], files(&[("f", "text"), ("g", "")]));
    execution(&mut tracer, &mut OneAfterTheOther);
    assert_eq!(
        met(&tracer),
        [0, 1].map(|process| (
            process,
            "reads through a mapping of a file that another process changes: f".into()
        ))
    );
}

/// Which process met another one at a mapping, and how.
fn met(tracer: &Tracer) -> Vec<(usize, String)> {
    let sightings = tracer.not_covered();
    assert!(sightings.iter().all(|of| of.kind == GapKind::SharedMemory && of.reach == Reach::Always));
    sightings.iter().map(|of| (of.process.0, sentence(of))).collect()
}

#[test]
fn a_mapping_to_write_of_a_file_that_another_process_uses_is_named_whichever_comes_first() {
    // The mapping is shared, of a descriptor that may write: mprotect can make it writable later.
    let maps = "import mmap, os; f = os.open('f', os.O_RDWR); mmap.mmap(f, 0, prot=mmap.PROT_READ)";
    let reads = "open('f').read()";
    let looks = "import os; print(os.stat('f').st_mtime_ns)";
    for (programs, uses) in [
        ([maps, reads], true),
        ([reads, maps], true),
        ([maps, maps], true),
        ([maps, looks], true),
        ([maps, "open('g').read()"], false),
    ] {
        let mut tracer = tracer(&programs.map(python), files(&[("f", "text"), ("g", "text")]));
        execution(&mut tracer, &mut OneAfterTheOther);
        let named = "a file that one process maps to write it, and another one uses: f".to_owned();
        let expected = if uses { vec![(0, named.clone()), (1, named)] } else { Vec::new() };
        assert_eq!(met(&tracer), expected, "{programs:?}");
    }
}

#[test]
fn what_nobody_knows_ends_the_exploration() {
    // FS_IOC_GETFSUUID: the file system of the workspace has it, and the tracer does not know it.
    let program = script(
        "f = os.open('f', os.O_RDONLY); print(call(16, f, 0x80111500, ctypes.create_string_buffer(64)))",
    );
    let mut tracer = tracer(&[process(|| 0), program], files(&[("f", "")]));
    let error = tracer.execute(&mut InTurn, Detail::Search).expect_err("nobody knows what that does");
    assert!(matches!(error, TraceError::NotUnderstood { .. }));
    assert_eq!(
        error.to_string(),
        "process B makes ioctl 0x80111500 on f, and this version does not know what that does to the workspace: have it do without"
    );
    let sightings = tracer.not_covered();
    let [only] = sightings.as_slice() else { panic!("{sightings:?}") };
    assert_eq!((only.kind, &only.reach, only.process), (GapKind::UnknownCall, &Reach::Always, ProcessId(1)));
    assert_eq!(only.detail, "ioctl 0x80111500 on f");
    // One that the file system refuses did nothing.
    let refused =
        script("f = os.open('f', os.O_RDONLY); print(call(16, f, 0x1234, 0), call(285, f, 0x100, 0, 1))");
    assert_eq!(printed(&in_turn(&[refused], files(&[("f", "")])), 0), "ENOTTY ENOTSUP\n");
}

#[test]
fn what_the_kernel_copies_is_evidence() {
    let program = python(
        "import os; os.copy_file_range(os.open('f', os.O_RDONLY), os.open('g', os.O_WRONLY), 100, 1, 2)",
    );
    let mut tracer = tracer(&[program, process(|| 0)], files(&[("f", "text"), ("g", "....")]));
    let ran = tracer.execute(&mut InTurn, Detail::Evidence).expect("it runs");
    let copies = ran.trace.iter().filter(|event| event.operation.call.name == "copy_file_range");
    let payloads: Vec<_> = copies.filter_map(|event| event.payload.clone()).collect();
    let copied = Payload { path: "g".into(), written: true, offset: 2, bytes: b"ext".to_vec() };
    assert_eq!(payloads, [copied]);
}

#[test]
fn free_space_is_the_same_everywhere() {
    let program = python("import os; s = os.statvfs('.'); print(s.f_blocks, s.f_bfree, s.f_ffree)");
    assert_eq!(printed(&in_turn(&[program], files(&[])), 0), "1048576 1048576 1048576\n");
}

#[test]
fn the_old_listing_is_the_new_one() {
    let program = script(
        "
buffer = ctypes.create_string_buffer(4096)
for number in (78, 217):
    d = os.open('.', os.O_RDONLY)
    length, at, names = call(number, d, buffer, 4096), 0, []
    while at < length:
        size = int.from_bytes(buffer[at + 16:at + 18], 'little')
        record = buffer[at:at + size]
        kind, name = (record[-1], record[18:]) if number == 78 else (record[18], record[19:])
        names.append((name.split(b'\\0')[0].decode(), kind, int.from_bytes(record[:8], 'little')))
        at += size
    print(names)",
    );
    let ran = in_turn(&[program], files(&[("b", ""), ("a", "")]));
    let lines: Vec<&str> = printed(&ran, 0).lines().collect();
    assert_eq!(lines[0], "[('.', 4, 2), ('..', 4, 2), ('a', 8, 3), ('b', 8, 4)]");
    assert_eq!(lines[0], lines[1]);
}
