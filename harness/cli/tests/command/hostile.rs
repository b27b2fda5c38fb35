//! Programs that do what a harness fears: they end, or are ended with a message, and nothing of them is left.

use std::process::Stdio;

use serde_json::Value;

use crate::support::{Place, Run, processes};

/// A place, and a word that is on no other command line.
fn place(test: &str, source: &str) -> (Place, String) {
    (Place::with(&[("work/p.py", source)]), format!("hostile-{test}-{}", std::process::id()))
}

fn mounts() -> String {
    std::fs::read_to_string("/proc/self/mounts").expect("mounts")
}

/// Explores a Python program beside one that reads its file, and sees to it that nothing is left.
fn explore(test: &str, source: &str, options: &[&str]) -> Run {
    let ((place, marker), before) = (place(test, source), mounts());
    let command = format!("python3 p.py {marker}");
    let arguments = ["explore", "--dir", "work", "--format", "json", "-p", &command, "-p", "cat p.py"];
    let run = place.cooks(&[&arguments, options].concat());
    assert_eq!(processes(&marker), []);
    assert_eq!(mounts(), before);
    assert_eq!(place.names().into_iter().collect::<Vec<_>>(), ["work"]);
    run
}

fn not_covered(report: &Value) -> Vec<&str> {
    report["not_covered"].as_array().expect("a list").iter().filter_map(Value::as_str).collect()
}

/// What every other test here would leave behind it is told by this one: the marker is on the command line.
#[test]
fn the_marker_is_seen_where_a_process_is_left() {
    let (place, marker) = place("canary", "");
    let mut child = place.program("sh".as_ref(), &["-c", "read x", &marker]);
    let mut child = child.stdin(Stdio::piped()).spawn().expect("sh can be run");
    assert_eq!(processes(&marker).len(), 1);
    child.kill().expect("it runs");
    child.wait().expect("it ends");
}

const FORK_BOMBS: [&str; 2] = [
    "import os\nwhile True:\n    os.fork()\n",
    "import os\ndef bomb():\n    os.fork()\n    bomb()\nbomb()\n",
];

#[test]
fn a_fork_bomb_is_ended() {
    for bomb in FORK_BOMBS {
        explore("bomb", bomb, &[])
            .refuses(2, "A has 256 children and threads at once and makes more: a fork bomb is not explored");
    }
}

#[test]
fn signals_that_are_ignored_do_not_matter() {
    let source = "import os, select, signal\n\
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):\n    signal.signal(number, signal.SIG_IGN)\n\
        os.kill(os.getpid(), signal.SIGTERM)\n\
        if os.fork() == 0:\n    select.select([], [], [], 1e6)\n";
    assert_eq!(explore("deaf", source, &[]).json(0)["verdict"], "clean");
}

#[test]
fn one_that_stops_itself_is_told() {
    let source = "import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)\n";
    explore("stopped", source, &[]).refuses(
        2,
        "no serial order of the processes comes to an end: in each of them a process waits for what does not come \
         (A is stopped by a signal, until it is continued)",
    );
}

/// It stops only where it finds what the other has made: an execution in which nobody goes on.
#[test]
fn one_that_stops_itself_in_some_interleavings_is_a_deadlock() {
    let place = Place::with(&[]);
    let report = place.explore(
        1,
        &["[ -e made ] && rm made && kill -STOP $$; true", ": > made; sleep 1; rm -f made; true"],
        &["--ignore", "made"],
    );
    let anomaly = &report["anomalies"][0];
    assert_eq!(anomaly["kind"], "deadlock", "{report}");
    let summary = anomaly["summary"].as_str().expect("text");
    assert!(summary.contains("A waits for ever (stop by a signal, until it is continued)"), "{summary}");
}

/// With no more memory than it takes without the output.
#[test]
fn a_gibibyte_of_output_is_cut() {
    let source = "import os\nblock = b'x' * (1 << 20)\nfor _ in range(1024):\n    os.write(1, block)\n\
        os.writev(2, [block, b'y'])\n";
    let (place, marker) = place("flood", source);
    let command = format!("python3 p.py {marker}");
    let limited = ["-c", "ulimit -v 524288; exec \"$@\"", "sh", env!("CARGO_BIN_EXE_cooks")];
    let arguments = ["explore", "--dir", "work", "--format", "json", "-p", &command, "-p", "true"];
    let output = place.program("sh".as_ref(), &[&limited[..], &arguments].concat()).output();
    let report = Run::of(output.expect("sh can be run")).json(3);
    assert_eq!(not_covered(&report), ["output: what A prints beyond 16 MiB (A)"]);
}

#[test]
fn one_that_closes_every_descriptor_goes_on() {
    let source = "import os\nos.closerange(0, 4096)\nnumber = os.open('f', os.O_WRONLY | os.O_CREAT)\nos.write(number, b'x')\n";
    let report = explore("closing", source, &["--final", "cat f"]).json(0);
    assert_eq!(report["distinct_outcomes"], 1);
}

#[test]
fn ptrace_is_refused() {
    let source = "import ctypes, os\nlibc = ctypes.CDLL(None, use_errno=True)\n\
        assert (libc.ptrace(0, 0, 0, 0), libc.ptrace(16, 1, 0, 0)) == (-1, -1)\n\
        assert ctypes.get_errno() == 1\n";
    let report = explore("ptrace", source, &[]).json(0);
    assert_eq!(not_covered(&report), [""; 0]);
}

/// There is none: it cannot be opened, standard input is at its end.
#[test]
fn who_waits_for_a_terminal_is_told_that_there_is_none() {
    let source = "import errno, os, sys\n\
        try:\n    os.open('/dev/tty', os.O_RDWR)\n\
        except OSError as error:\n    print(errno.errorcode[error.errno])\n\
        print(os.isatty(0), repr(sys.stdin.read()))\n\
        open('said', 'w').write('ENXIO')\n";
    let (place, _marker) = place("terminal", source);
    let check = "test \"$(python3 p.py)\" = \"$(printf \"ENXIO\\nFalse ''\")\"";
    let commands = ["python3 p.py", "true"];
    let report = place.explore(0, &commands, &["--dir", "work", "--check", check]);
    assert_eq!(report["verdict"], "clean");
}
