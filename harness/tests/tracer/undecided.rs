//! What the tracer cannot read or find: the kernel makes the call, and if it does more than fail, that is a coverage gap.

use std::process::Command;

use cooks_harness::backend::Backend;
use cooks_harness::model::{GapKind, ProcessId, Reach, Sighting};
use cooks_harness::workspace;

use crate::support::{
    InTurn, execution, files, in_turn, interpreter, printed, process, python, tracer, uncovered,
};

/// Makes calls by their numbers with arguments that cannot be read, and prints what each gives.
const CALLS: &str = include_str!("bad_arguments.py");

fn workspace() -> cooks_harness::model::Tree {
    files(&[("f", "some text"), ("g", "more")])
}

#[test]
fn calls_with_bad_arguments_give_the_same_with_and_without() {
    // The same file system as that of the workspace.
    let folder = tempfile::tempdir_in("/dev/shm").expect("a folder in memory");
    workspace::lay(folder.path(), &workspace()).expect("a workspace");
    let alone = Command::new(interpreter()).args(["-c", CALLS]).current_dir(folder.path()).output();
    let alone = alone.expect("Python runs");
    assert!(alone.status.success(), "{}", String::from_utf8_lossy(&alone.stderr));
    let alone = String::from_utf8(alone.stdout).expect("text");
    assert!(alone.matches("EFAULT").count() > 100, "hardly any argument is bad: {alone}");
    let mut traced = tracer(&[python(CALLS), process(|| 0)], workspace());
    let ran = execution(&mut traced, &mut InTurn);
    for (with, without) in printed(&ran, 0).lines().zip(alone.lines()) {
        assert_eq!(with, without, "with the tracer, and without it");
    }
    assert_eq!(printed(&ran, 0).lines().count(), alone.lines().count(), "{:?}", ran.outcome.exits);
    assert_eq!(uncovered(&traced), [""; 0]);
}

/// What is not covered of a program that prints this.
#[track_caller]
fn seen(script: &str, prints: &str) -> Vec<Sighting> {
    let begins = CALLS.split("# Calls").next().expect("a beginning");
    let mut tracer = tracer(&[python(&format!("{begins}{script}")), process(|| 0)], workspace());
    let ran = execution(&mut tracer, &mut InTurn);
    assert_eq!(printed(&ran, 0), prints, "{script}");
    tracer.not_covered()
}

/// Memory that can only be written cannot be read by the tracer, but by the kernel: there is no such protection on these machines.
#[test]
fn an_argument_that_only_the_kernel_can_read_is_a_gap() {
    let begins = "\
libc.mmap.restype = ctypes.c_void_p
at = libc.mmap(None, 4096, 2, 0x22, -1, 0)
";
    for (call, path, prints) in
        [("call(2, at, 0) > 2", "f", "True\n"), ("call(87, at)", "nothing", "ENOENT\n")]
    {
        let put = format!("path = b'{path}'; ctypes.memmove(at, path, len(path))");
        let sightings = seen(&format!("{begins}{put}\nprint({call})"), prints);
        let [only] = sightings.as_slice() else { panic!("{call}: {sightings:?}") };
        let expected = (GapKind::UnreadableArgument, &Reach::Always, ProcessId(0));
        assert_eq!((only.kind, &only.reach, only.process), expected, "{call}");
    }
}

/// In a directory that is gone nothing is found; the way out of it leads to where it was.
#[test]
fn the_way_out_of_a_directory_that_is_gone_is_followed() {
    let begins = "os.mkdir('gone'); os.chdir('gone'); os.rmdir('../gone')";
    assert_eq!(
        seen(&format!("{begins}\nprint(call(2, b'f', 0), call(83, b'new', 0o700))"), "ENOENT ENOENT\n"),
        []
    );
    assert_eq!(seen(&format!("{begins}\nprint(call(2, b'../f', 0) > 2)"), "True\n"), []);
    // The directory above is gone as well, and another one has its name.
    let both = "top = os.open('.', os.O_RDONLY); os.makedirs('a/b'); os.chdir('a/b'); os.rmdir('../b'); os.rmdir('a', dir_fd=top); os.mkdir('a', dir_fd=top)";
    let sightings = seen(&format!("{both}\nprint(call(2, b'../../f', 0) > 2)"), "True\n");
    let [only] = sightings.as_slice() else { panic!("{sightings:?}") };
    assert_eq!((only.kind, &only.reach), (GapKind::UnresolvedIdentity, &Reach::Always));
}

/// Two processes that fail at what one of them makes come in two orders: what was looked up before the bad argument counts.
#[test]
fn what_was_looked_up_before_a_bad_argument_counts() {
    let begins = CALLS.split("# Calls").next().expect("a beginning");
    let looks = python(&format!("{begins}print(call(4, b'new', 8))"));
    let ran = in_turn(&[looks, process(|| 0)], workspace());
    assert_eq!(printed(&ran, 0), "ENOENT\n");
    let looks = python(&format!("{begins}print(call(4, b'f', 8))"));
    let ran = in_turn(&[looks, process(|| 0)], workspace());
    assert_eq!(printed(&ran, 0), "EFAULT\n");
    let stat = ran.trace.iter().find(|event| {
        event.operation.call.name == "stat" && event.operation.call.path.as_deref() == Some("f")
    });
    assert!(stat.is_some_and(|stat| !stat.operation.accesses.is_empty()), "{:?}", ran.trace);
}
