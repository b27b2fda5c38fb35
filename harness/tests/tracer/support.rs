//! What the tests share: workspaces, programs over files, explorations of real processes.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::ErrorKind;
use std::ops::ControlFlow;
use std::os::unix::fs::FileExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use cooks_harness::backend::{Backend, Chooser, Detail};
use cooks_harness::explore::{Counts, Dfs, Dpor, Strategy, explore};
use cooks_harness::model::gap::sentence;
use cooks_harness::model::{
    Choice, Cut, Ending, Entry, Execution, Exit, GapKind, Outcome, ProcessId, Reach, Sighting, Tree, View,
};
use cooks_harness::tracer::{Program, Tracer};

/// No program here has an execution with more steps.
pub const MAX_STEPS: usize = 10_000;

/// A workspace of files with these contents.
pub fn files(files: &[(&str, &str)]) -> Tree {
    let file = |text: &str| Entry::File { mode: 0o644, content: text.as_bytes().to_vec() };
    files.iter().map(|(name, text)| ((*name).to_owned(), file(text))).collect()
}

/// What a tracer says that it did not cover, but that threads come in one order: sentences, sorted.
pub fn uncovered(tracer: &Tracer) -> Vec<String> {
    let is_limit = |seen: &Sighting| seen.kind == GapKind::ThreadOrder && seen.reach == Reach::Never;
    let seen = tracer.not_covered().into_iter().filter(|seen| !is_limit(seen));
    let sentences: BTreeSet<String> = seen.map(|seen| sentence(&seen)).collect();
    sentences.into_iter().collect()
}

/// The tracer of programs that begin with this workspace.
pub fn tracer(programs: &[Program], initial: Tree) -> Tracer {
    Tracer::new(programs, &[], initial, Arc::new(AtomicBool::new(false))).expect("this machine can trace")
}

/// A closure as a process, with a name that tells nothing.
pub fn process(body: impl Fn() -> i32 + Send + Sync + 'static) -> Program {
    Program::closure("closure", body)
}

/// A program that sits in a shell.
pub fn shell(script: &str) -> Program {
    Program::Command(vec!["sh".into(), "-c".into(), script.into()])
}

/// Python. What is called `python3` outside of the system's folder may be a script that looks for the interpreter.
pub fn interpreter() -> &'static str {
    let system = "/usr/bin/python3";
    if std::path::Path::new(system).exists() { system } else { "python3" }
}

/// A Python program.
pub fn python(script: &str) -> Program {
    Program::Command(vec![interpreter().into(), "-c".into(), script.into()])
}

/// What an exploration saw.
#[derive(Debug, Default)]
pub struct Seen {
    pub counts: Counts,
    pub outcomes: BTreeSet<Outcome>,
    /// How the executions ended, with the processes that waited.
    pub endings: BTreeSet<Vec<ProcessId>>,
    /// The schedules, in the order in which they were run.
    pub schedules: Vec<Vec<Choice>>,
}

/// Explores to the end.
pub fn exploration(strategy: &mut dyn Strategy, programs: &[Program], initial: &Tree) -> Seen {
    let mut seen = Seen::default();
    let mut tracer = tracer(programs, initial.clone());
    let result = explore(strategy, &mut tracer, MAX_STEPS, &mut |execution| {
        let waiting = match &execution.ending {
            Ending::Blocked(waiting) => waiting.iter().map(|waiting| waiting.process).collect(),
            _ => Vec::new(),
        };
        seen.endings.insert(waiting);
        seen.outcomes.insert(execution.outcome.clone());
        seen.schedules.push(execution.schedule.clone());
        ControlFlow::Continue(())
    });
    let result = result.expect("every execution can be run");
    assert!(result.exhaustive);
    seen.counts = result.counts;
    seen
}

/// Explores one execution of each class.
pub fn classes(programs: &[Program], initial: &Tree) -> Seen {
    exploration(&mut Dpor::new(), programs, initial)
}

/// Explores every schedule.
pub fn schedules(programs: &[Program], initial: &Tree) -> Seen {
    exploration(&mut Dfs::new(), programs, initial)
}

/// Holds an exploration to its numbers: so many executions that complete, so many that do not, none redundant.
#[track_caller]
pub fn assert_counts(what: &str, seen: &Seen, complete: u64, blocked: u64) {
    let wanted = Counts { executions: complete + blocked, complete, blocked, ..Counts::default() };
    assert_eq!(Counts { steps: 0, ..seen.counts }, wanted, "{what}");
}

/// Follows a schedule to its end, where the execution is cut.
pub struct Follow<'a>(pub &'a [Choice]);

impl Chooser for Follow<'_> {
    fn choose(&mut self, view: View<'_>) -> Result<Choice, Cut> {
        self.0.get(view.trace.len()).copied().ok_or(Cut::Steps)
    }
}

/// Lets those who can go on do so in turn.
pub struct InTurn;

impl Chooser for InTurn {
    fn choose(&mut self, view: View<'_>) -> Result<Choice, Cut> {
        let enabled: Vec<ProcessId> = view.enabled().collect();
        Ok(Choice::Process(enabled[view.trace.len() % enabled.len()]))
    }
}

/// Lets the first who can go on do so.
pub struct OneAfterTheOther;

impl Chooser for OneAfterTheOther {
    fn choose(&mut self, view: View<'_>) -> Result<Choice, Cut> {
        view.enabled().next().map(Choice::Process).ok_or(Cut::Steps)
    }
}

/// Runs one execution.
pub fn execution(tracer: &mut Tracer, chooser: &mut dyn Chooser) -> Execution {
    tracer.execute(chooser, Detail::Search).expect("an execution can be run")
}

/// Runs programs in turn, once.
pub fn in_turn(programs: &[Program], initial: Tree) -> Execution {
    execution(&mut tracer(programs, initial), &mut InTurn)
}

/// What a process printed, as text.
pub fn printed(execution: &Execution, process: usize) -> &str {
    std::str::from_utf8(&execution.outcome.stdout[process]).expect("text")
}

/// The content of a file in a tree, as text.
#[track_caller]
pub fn content<'a>(tree: &'a Tree, path: &str) -> &'a str {
    match tree.get(path) {
        Some(Entry::File { content, .. }) => std::str::from_utf8(content).expect("text"),
        other => panic!("{path} is {other:?}"),
    }
}

/// Opens a file that is there, to read and write it.
pub fn open(name: &str) -> File {
    OpenOptions::new().read(true).write(true).open(name).expect("a file of the workspace")
}

/// The byte that a variable holds.
pub fn load(variable: &File) -> u8 {
    let mut byte = [0];
    variable.read_exact_at(&mut byte, 0).expect("a variable has a byte");
    byte[0]
}

/// Sets the byte that a variable holds.
pub fn store(variable: &File, value: u8) {
    variable.write_all_at(&[value], 0).expect("a variable can be written");
}

/// Makes a file that is not there; whether it could be made.
pub fn create(name: &str) -> bool {
    OpenOptions::new().write(true).create_new(true).open(name).is_ok()
}

/// Explores, and holds the outcomes to those of all schedules.
#[track_caller]
pub fn held(what: &str, programs: &[Program], initial: &Tree, complete: u64, blocked: u64) -> Seen {
    let seen = classes(programs, initial);
    assert_counts(what, &seen, complete, blocked);
    assert_eq!(seen.outcomes, schedules(programs, initial).outcomes, "{what}");
    seen
}

/// With what statuses a process ends.
pub fn statuses(seen: &Seen, process: usize) -> BTreeSet<Option<Exit>> {
    seen.outcomes.iter().map(|outcome| outcome.exits[process]).collect()
}

/// The end with this status.
pub fn status(of: u8) -> Option<Exit> {
    Some(Exit::Status(of.into()))
}

/// Takes one connection at the socket `s`, and does this with it.
pub fn serves(with: impl Fn(UnixStream) -> i32 + Send + Sync + 'static) -> Program {
    process(move || {
        let listener = UnixListener::bind("s").expect("a name for a socket");
        let (connection, _) = listener.accept().expect("a connection");
        with(connection)
    })
}

/// Connects, and does this with the connection; 1 where nobody listens, 2 where there is no such name.
pub fn asks(with: impl Fn(UnixStream) -> i32 + Send + Sync + 'static) -> Program {
    process(move || match UnixStream::connect("s") {
        Ok(connection) => with(connection),
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => 1,
        Err(error) if error.kind() == ErrorKind::NotFound => 2,
        Err(error) => panic!("{error}"),
    })
}
