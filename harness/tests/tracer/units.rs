//! Processes that are several units: commands one after another, requests over standard input, marks.

use std::fs::OpenOptions;
use std::io::{BufRead, Write};

use cooks_harness::model::{Exit, Units};
use cooks_harness::tracer::Program;

use crate::support::{
    assert_counts, classes, content, files, in_turn, printed, process, python, shell, tracer,
};

fn append(text: &str) {
    let mut log = OpenOptions::new().append(true).create(true).open("log").expect("a log");
    log.write_all(text.as_bytes()).expect("room");
}

/// What the test runner does not take for its own, as it does of `println!`.
fn say(line: &str) {
    std::io::stdout().write_all(format!("{line}\n").as_bytes()).expect("a standard output");
}

/// The units of each process, as a trace shows them.
fn units(execution: &cooks_harness::model::Execution) -> Vec<String> {
    let mut names: Vec<String> = Units::of(&execution.trace).all().iter().map(ToString::to_string).collect();
    names.sort();
    names
}

#[test]
fn commands_run_one_after_another_however_they_end() {
    let program = shell("echo one >> log; exit 3").then(shell("cat log; kill -9 $$")).then(shell("echo two"));
    let execution = in_turn(&[program], files(&[]));
    assert!(execution.is_complete());
    assert_eq!(execution.outcome.exits, [Some(Exit::Status(0))]);
    assert_eq!(execution.outcome.earlier, [[Exit::Status(3), Exit::Signal(9)]]);
    assert_eq!(printed(&execution, 0), "one\ntwo\n");
    assert_eq!(units(&execution), ["A, command 1", "A, command 2", "A, command 3"]);
}

/// What is left running of a command is of its unit: the next begins when it is gone.
#[test]
fn a_command_is_over_when_its_children_are() {
    let program = shell("(sleep 1; echo late >> log) & true").then(shell("cat log"));
    assert_eq!(printed(&in_turn(&[program], files(&[])), 0), "late\n");
}

/// Two bytes each appended, in two commands: as many orders as merges of two and two.
#[test]
fn the_commands_of_two_processes_interleave() {
    let program = |text: &'static str| {
        let append = move || {
            append(text);
            0
        };
        process(append).then(process(append))
    };
    let seen = classes(&[program("a"), program("b")], &files(&[("log", "")]));
    assert_counts("commands", &seen, 6, 0);
    let logs: Vec<&str> = seen.outcomes.iter().map(|outcome| content(&outcome.tree, "log")).collect();
    assert_eq!(logs, ["aabb", "abab", "abba", "baab", "baba", "bbaa"]);
}

/// Answers each line that it reads; at the end it says so.
fn server(name: &'static str) -> Program {
    process(move || {
        append(&format!("{name}0"));
        for line in std::io::stdin().lock().lines() {
            append(&format!("{name}{}", line.expect("a line")));
            say(&format!("{name} did it"));
        }
        0
    })
}

#[test]
fn a_server_is_asked_line_by_line_and_others_run_in_between() {
    let execution =
        in_turn(&[server("a").asked(["1", "2"]), server("b").asked(["1"])], files(&[("log", "")]));
    assert!(execution.is_complete());
    assert_eq!(content(&execution.outcome.tree, "log").len(), 2 * 5);
    assert_eq!(printed(&execution, 0), "a did it\na did it\n");
    let wanted =
        ["A, end of input", "A, request 1", "A, request 2", "A, start-up", "B, end of input", "B, request 1"];
    assert_eq!(units(&execution)[..6], wanted);
    let seen = classes(&[server("a").asked(["1", "2"]), server("b").asked(["1"])], &files(&[("log", "")]));
    // Five appends, three of one process.
    assert_counts("requests", &seen, 10, 0);
}

/// What programs wait with for their input, in the languages that people write servers in.
#[test]
fn however_it_waits_for_input_a_server_is_asked() {
    let servers = [
        ("read", shell("while read -r line; do echo \"got $line\"; done; echo end")),
        ("a file", python("import sys\nfor line in sys.stdin:\n  print('got', line.strip())\nprint('end')")),
        (
            "select",
            python(
                "import os, select\nrest = b''\nwhile True:\n  if not select.select([0], [], [], 0.5)[0]: continue\n  \
                 got = os.read(0, 4096)\n  if not got: break\n  print('got', got.decode().strip())\nprint('end')",
            ),
        ),
        (
            "poll",
            python(
                "import os, select\np = select.poll(); p.register(0, select.POLLIN)\nwhile True:\n  p.poll()\n  \
                 got = os.read(0, 4096)\n  if not got: break\n  print('got', got.decode().strip())\nprint('end')",
            ),
        ),
        (
            "asyncio",
            python(
                "import asyncio, sys\nasync def main():\n  r = asyncio.StreamReader()\n  loop = asyncio.get_running_loop()\n  \
                 await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(r), sys.stdin)\n  \
                 async for line in r:\n    await asyncio.sleep(0.1)\n    print('got', line.decode().strip())\n\
                 asyncio.run(main())\nprint('end')",
            ),
        ),
        (
            "a thread",
            python(
                "import queue, sys, threading\nq = queue.Queue()\ndef read():\n  for line in sys.stdin: q.put(line)\n  q.put('')\n\
                 threading.Thread(target=read).start()\nwhile True:\n  line = q.get()\n  if not line: break\n  \
                 print('got', line.strip())\nprint('end')",
            ),
        ),
    ];
    for (what, server) in servers {
        let execution = in_turn(&[server.asked(["x", "", "z"])], files(&[]));
        assert!(execution.is_complete(), "{what}: {:?}", execution.ending);
        let said = printed(&execution, 0);
        assert_eq!(said.replace("got \n", "got\n"), "got x\ngot\ngot z\nend\n", "{what}");
        assert_eq!(units(&execution).iter().filter(|unit| !unit.contains("start-up")).count(), 4, "{what}");
    }
}

/// A request that is longer than a pipe, to one that reads it in pieces.
#[test]
fn a_long_request_is_given_whole() {
    let long = "x".repeat(300_000);
    let count = process(|| {
        let line = std::io::stdin().lock().lines().next().expect("a line").expect("text");
        say(&line.len().to_string());
        0
    });
    let execution = in_turn(&[count.asked([long.clone()])], files(&[]));
    assert_eq!(printed(&execution, 0), "300000\n");
    let poll = python(
        "import os, select\nn = 0\nwhile True:\n  select.select([0], [], [])\n  got = os.read(0, 999)\n  \
                       if not got: break\n  n += len(got)\nprint(n)",
    );
    assert_eq!(printed(&in_turn(&[poll.asked([long])], files(&[])), 0), "300001\n");
}

/// One that never looks at what it is asked is over all the same.
#[test]
fn nobody_must_read() {
    let execution = in_turn(&[shell("echo done").asked(["x"])], files(&[]));
    assert!(execution.is_complete());
    assert_eq!(printed(&execution, 0), "done\n");
}

/// A server that keeps a heartbeat is asked when the beats are all that goes on in it.
#[test]
fn a_clock_of_its_own_does_not_keep_a_server_from_being_asked() {
    let server = python(
        "import os, sys, threading\nstop = threading.Event()\ndef beat():\n  while not stop.wait(3): pass\n\
         threading.Thread(target=beat).start()\nfor line in sys.stdin: print('got', line.strip())\nstop.set()",
    );
    let execution = in_turn(&[server.asked(["x", "y"])], files(&[]));
    assert!(execution.is_complete());
    assert_eq!(printed(&execution, 0), "got x\ngot y\n");
}

#[test]
fn a_closure_marks_where_its_units_end() {
    let program = |text: &'static str| {
        process(move || {
            append(text);
            cooks_harness::unit();
            append(text);
            0
        })
    };
    let execution = in_turn(&[program("a"), program("b")], files(&[("log", "")]));
    assert_eq!(units(&execution), ["A, unit 1", "A, unit 2", "B, unit 1", "B, unit 2"]);
    assert_counts("marks", &classes(&[program("a"), program("b")], &files(&[("log", "")])), 6, 0);
}

/// The start-up of a server is kept: asked a hundred times over, it gives the same execution each time.
#[test]
fn executions_from_a_checkpoint_are_the_same() {
    let server = || {
        python(
            "import json, sys\ntable = json.load(open('t.json'))\nfor line in sys.stdin:\n  table[line.strip()] = 1\n  \
         json.dump(table, open('t.json', 'w'))",
        )
    };
    let mut tracer = tracer(&[server().asked(["x", "y"]), server().asked(["z"])], files(&[("t.json", "{}")]));
    let run = |tracer: &mut _| crate::support::execution(tracer, &mut crate::support::InTurn);
    let first = run(&mut tracer);
    for _ in 0..5 {
        assert_eq!(run(&mut tracer), first);
    }
}
