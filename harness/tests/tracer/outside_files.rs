//! What processes touch outside the workspace: recorded, and compared.

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions, Permissions};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, symlink};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use cooks_harness::backend::{Backend, Detail};
use cooks_harness::explore::{Dpor, explore};
use cooks_harness::model::footprint::gaps;
use cooks_harness::model::{Entry, Exit, Gap, GapKind, Root, Tree};
use cooks_harness::tracer::{Lookup, Program, Tracer};
use std::ops::ControlFlow;
use tempfile::TempDir;

use crate::support::{MAX_STEPS, OneAfterTheOther, execution, files, process, python, shell, tracer};

fn folder() -> TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

/// The gaps, each with its processes, and the names of its files relative to `folder`; `!` if it hides races.
fn shown(gaps: &[Gap], folder: &Path) -> Vec<String> {
    let name = |path: &String| match Path::new(path).strip_prefix(folder) {
        Ok(inner) if inner.as_os_str().is_empty() => ".".to_owned(),
        Ok(inner) => inner.display().to_string(),
        Err(_) => path.clone(),
    };
    let gap = |gap: &Gap| {
        let processes: String = gap.processes.iter().map(ToString::to_string).collect();
        let paths: Vec<String> = gap.paths.iter().map(name).collect();
        format!("{}{} {processes} {}", gap.kind, if gap.hides_races { "!" } else { "" }, paths.join(" "))
    };
    gaps.iter().map(gap).collect()
}

/// The gaps of programs that run one after the other, twice.
fn gaps_of(programs: &[Program], initial: Tree, folder: &Path) -> Vec<String> {
    let mut tracer = tracer(programs, initial);
    for _ in 0..2 {
        execution(&mut tracer, &mut OneAfterTheOther);
    }
    let seen: Vec<String> = tracer
        .not_covered()
        .iter()
        .filter(|seen| seen.kind != GapKind::ThreadOrder)
        .map(|seen| format!("{}!", seen.kind))
        .collect();
    [seen, shown(&gaps(&tracer.footprints(), true), folder)].concat()
}

/// The gaps of scripts that run one after the other, in a folder outside the workspace with the file `there`: its path is `$1`.
#[track_caller]
fn assert_gaps(scripts: &[&str], expected: &[&str]) {
    let folder = folder();
    fs::write(folder.path().join("there"), "x\n").expect("a file");
    let path = folder.path().display().to_string();
    let program =
        |script: &&str| Program::Command(["sh", "-c", script, "sh", &path].map(str::to_owned).to_vec());
    let programs: Vec<Program> = scripts.iter().map(program).collect();
    let link = Entry::Link { target: format!("{path}/there") };
    let mut initial = files(&[("a", "x")]);
    initial.insert("link".into(), link);
    assert_eq!(gaps_of(&programs, initial, folder.path()), expected, "{scripts:?}");
}

#[test]
fn what_is_changed_and_read_or_changed_by_another_process_is_a_gap() {
    for (scripts, expected) in [
        (["cat $1/there", "cat $1/there"], &[][..]),
        (["echo x >> $1/there", "echo x >> $1/there"], &["outside-write! AB there"][..]),
        (["cat $1/there", "echo x >> $1/there"], &["outside-read! AB there", "persistent-effect! AB there"]),
        (["cat link", "echo x >> link"], &["outside-read! AB there", "persistent-effect! AB there"]),
        (["cat $1/there", "chmod 600 $1/there"], &["outside-read! AB there", "persistent-effect! AB there"]),
        (
            ["cd $1; cat there", "cd $1/..; echo x >> $OLDPWD/link"],
            &["outside-read! AB there", "persistent-effect! AB there"],
        ),
        // A lookup that finds nothing.
        (["test -e $1/none", "> $1/none"], &["outside-read! AB none", "persistent-effect! AB none"]),
        (
            ["test -e $1/none/below", "mkdir -p $1/none"],
            &["outside-read! AB none", "persistent-effect! AB none"],
        ),
    ] {
        assert_gaps(&scripts, expected);
    }
}

#[test]
fn a_change_that_no_other_process_touches_is_listed() {
    for (scripts, expected) in [
        (["echo x >> $1/there", "true"], &["outside-write A there"][..]),
        (["> $1/new", "> $1/other"], &["outside-write A new", "outside-write B other"]),
        // It is there before, or it is not: to a process that empties it this is the same.
        (["echo x > $1/new; cat $1/new", "true"], &["outside-write A new"]),
        (["mkdir $1/there", "mkdir $1/there"], &[]),
        (["set -C; > $1/there", "cat $1/there"], &[]),
        (["echo x > $1", "ls $1"], &[]),
        (
            [
                "echo x > /dev/null",
                "cat /dev/null /proc/self/stat /proc/$$/stat /proc/version /sys/kernel/mm",
            ],
            &[],
        ),
    ] {
        assert_gaps(&scripts, expected);
    }
}

#[test]
fn a_list_reads_all_names() {
    for (scripts, expected) in [
        (
            ["ls $1", "> $1/new"],
            &["outside-write B new", "outside-read! AB .", "persistent-effect! AB ."][..],
        ),
        (
            ["ls $1", "rm $1/there"],
            &["outside-read! AB .", "persistent-effect! AB .", "persistent-effect! B there"],
        ),
        (["ls $1", "f=$(mktemp -p $1) && rm $f"], &["outside-read! AB ."]),
        (["ls $1", "echo x > $1/there"], &["outside-write B there"]),
    ] {
        assert_gaps(&scripts, expected);
    }
}

#[test]
fn what_stays_for_the_next_execution_is_a_gap_of_one_process() {
    for (script, expected) in [
        ("test -e $1/cache || echo x > $1/cache", &["persistent-effect! A cache"][..]),
        ("rm -f $1/there", &["persistent-effect! A there"]),
        ("cat $1/there; echo x > $1/there", &["persistent-effect! A there"]),
        ("mkdir -p $1/new", &["persistent-effect! A new"]),
        // What is made and removed again is not there next time.
        ("f=$(mktemp -p $1) && echo x > $f && cat $f && rm $f", &[]),
        ("mkdir $1/d && > $1/d/f && ls $1/d && mv $1/d/f $1/d/g && rm -r $1/d", &[]),
        // It asks whether the new name is free.
        ("> $1/new; mv $1/new $1/moved", &["outside-write A new", "persistent-effect! A moved"]),
    ] {
        assert_gaps(&[script], expected);
    }
}

#[test]
fn private_files_of_two_processes_do_not_meet() {
    let script = "f=$(mktemp -p $1) && echo x > $f && cat $f && rm $f";
    assert_gaps(&[script, script], &[]);
    // The number of the one that is gone is used again, for all that is known.
    assert_gaps(&[script, "test -e $1/none", script], &[]);
    assert_gaps(&["> $1/lock && rm $1/lock", "test -e $1/lock"], &["outside-read! AB lock"]);
}

#[test]
fn a_lock_and_a_change_by_descriptor_count() {
    let folder = folder();
    let path = folder.path().join("f");
    fs::write(&path, "x").expect("a file");
    let open = {
        let path = path.clone();
        move || OpenOptions::new().read(true).open(&path).expect("the file")
    };
    let locks = {
        let open = open.clone();
        process(move || i32::from(open().lock().is_err()))
    };
    let reads = {
        let path = path.clone();
        process(move || i32::from(fs::read(&path).is_err()))
    };
    let changes = process(move || i32::from(open().set_permissions(Permissions::from_mode(0o600)).is_err()));
    let of = |programs: &[Program]| gaps_of(programs, files(&[]), folder.path());
    let met = ["outside-write! AB f", "persistent-effect! AB f"];
    assert_eq!(of(&[locks.clone(), locks.clone()]), met);
    assert_eq!(of(&[reads.clone(), changes]), ["outside-read! AB f", "persistent-effect! AB f"]);
    assert_eq!(of(&[reads.clone(), reads]), [""; 0]);
}

#[test]
fn a_descriptor_of_a_directory_leads_outside() {
    let folder = folder();
    fs::write(folder.path().join("f"), "x").expect("a file");
    let script = |mode: &str| {
        let path = folder.path().display();
        python(&format!("import os; os.open('f', os.{mode}, dir_fd=os.open('{path}', os.O_RDONLY))"))
    };
    let found = gaps_of(&[script("O_RDONLY"), script("O_WRONLY")], files(&[]), folder.path());
    assert_eq!(found, ["outside-read! AB f", "persistent-effect! AB f"]);
}

#[test]
fn memory_with_a_name_is_a_gap_only_between_processes() {
    let uses = |name: &'static str| {
        process(move || {
            let path = format!("/dev/shm/{name}");
            let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
            file.is_err().into()
        })
    };
    let folder = folder();
    let of = |programs: &[Program]| gaps_of(programs, files(&[]), folder.path());
    assert_eq!(of(&[uses("x"), uses("x")]), ["shared-memory! AB /dev/shm/x"]);
    assert_eq!(of(&[uses("x"), uses("y")]), [""; 0]);
}

#[test]
fn what_proc_says_of_other_processes_is_a_gap() {
    for (script, expected) in [
        ("ls /proc", &["other-process!"][..]),
        ("test -e /proc/1100/stat", &["other-process!"]),
        ("test -e /proc/1/stat", &["other-process!"]),
        ("cat /proc/net/unix", &["other-process!"]),
        ("cat /proc/self/net/tcp", &["other-process!"]),
        ("cat /proc/sysvipc/shm", &["other-process!"]),
        ("ls /proc/self/fd /proc/$$/task", &[]),
    ] {
        assert_gaps(&[script, "true"], expected);
    }
}

#[test]
fn a_way_through_proc_leads_where_the_kernel_goes() {
    // The shell's id, as the machine's `/proc` has it.
    let own = "read p rest < /proc/self/stat";
    let both = |path: &str| {
        assert_gaps(
            &[&format!("{own}; echo x >> {path}"), &format!("{own}; cat $1/there; cat {path}")],
            &["outside-read! AB there", "persistent-effect! AB there"],
        );
    };
    for path in [
        "/proc/self/../..$1/there",
        "/proc/thread-self/../../../..$1/there",
        "/proc/$p/task/$p/../../../..$1/there",
        "/proc/self/task/../fd/../../..$1/there",
        "/proc/self/task/../root$1/there",
        "/proc/sys/kernel/../../..$1/there",
        "/proc/self/cwd/../../..$1/there",
    ] {
        both(path);
    }
    let counts = "n=$(cat /proc/self/../..$1/there); echo ${n}x > /proc/self/../..$1/there";
    assert_gaps(&[counts, counts], &["outside-write! AB there", "persistent-effect! AB there"]);
    for (script, expected) in [
        ("cat /proc/self/../1/comm", &["other-process!"][..]),
        ("cat /proc/self/net/../../1100/comm", &["other-process!"]),
        ("read p rest < /proc/self/stat; cat /proc/self/../$p/comm /proc/$$/comm", &[]),
        ("cd /proc/self; cat comm", &[]),
        ("cat /proc/self/net/dev /proc/net/../mounts", &[]),
    ] {
        assert_gaps(&[script, "true"], expected);
    }
}

/// That a file of `/proc` is opened for writing counts; nothing is written.
#[test]
fn a_file_of_proc_is_known_by_one_path() {
    let opens = ": >> /proc/sys/kernel/../kernel/printk";
    for reads in ["/proc/sys/kernel/printk", "/proc/self/root/proc/sys/./fs/../kernel/printk"] {
        let gap = |kind: &str| format!("{kind}! AB /proc/sys/kernel/printk");
        let expected = [gap("outside-read"), gap("persistent-effect")];
        assert_gaps(&[opens, &format!("cat {reads}")], &expected.each_ref().map(String::as_str));
    }
}

/// Of what a command of `ioctl` does that the file system may refuse, only the success counts.
#[test]
fn flags_that_are_set_by_a_descriptor_for_reading_are_a_change() {
    let folder = folder();
    let path = folder.path().join("f");
    fs::write(&path, "x").expect("a file");
    let path = path.display();
    let asks = |command: u64, then: &str| {
        python(&format!(
            "import array, fcntl, os; f = os.open('{path}', os.O_RDONLY)
flags = array.array('l', [0]); fcntl.ioctl(f, {command}, flags)
{then}"
        ))
    };
    let gets = asks(libc::FS_IOC_GETFLAGS, "");
    let sets = asks(
        libc::FS_IOC_GETFLAGS,
        &format!("flags[0] ^= 0x40; fcntl.ioctl(f, {}, flags)", libc::FS_IOC_SETFLAGS),
    );
    let of = |programs: &[Program]| gaps_of(programs, files(&[]), folder.path());
    assert_eq!(of(&[gets.clone(), gets.clone()]), [""; 0]);
    assert_eq!(of(&[sets.clone(), gets]), ["outside-read! AB f", "persistent-effect! AB f"]);
    assert_eq!(of(&[sets.clone(), sets]), ["outside-write! AB f", "persistent-effect! AB f"]);
}

#[test]
fn the_position_behind_what_was_appended_tells_the_size() {
    let seeks = |whence: &str| {
        let folder = folder();
        let path = folder.path().join("f");
        fs::write(&path, "x").expect("a file");
        let path = path.display();
        let script = format!(
            "import os; f = os.open('{path}', os.O_WRONLY | os.O_APPEND); os.write(f, b'x'); os.lseek(f, 0, os.{whence})"
        );
        gaps_of(&[python(&script)], files(&[]), folder.path())
    };
    assert_eq!(seeks("SEEK_CUR"), ["persistent-effect! A f"]);
    assert_eq!(seeks("SEEK_END"), ["persistent-effect! A f"]);
    assert_eq!(seeks("SEEK_SET"), ["outside-write A f"]);
}

#[test]
fn a_link_outside_that_leads_into_the_workspace_is_a_gap() {
    let folder = folder();
    symlink("/dev/shm/workspace/a", folder.path().join("in")).expect("a link");
    let script = format!("cat {}/in", folder.path().display());
    assert_eq!(gaps_of(&[shell(&script)], files(&[("a", "x")]), folder.path()), ["unresolved-identity!"]);
}

#[test]
fn a_write_outside_is_made_in_every_execution() {
    let folder = folder();
    let script = |process: &str| {
        let path = folder.path().display();
        shell(&format!("exec 3>>{path}/{process}; read x < a; echo $x > a; echo done >&3"))
    };
    let mut tracer = tracer(&[script("A"), script("B")], files(&[("a", "x\n")]));
    let mut executions = 0;
    let result = explore(&mut Dpor::new(), &mut tracer, MAX_STEPS, &mut |_| {
        executions += 1;
        ControlFlow::Continue(())
    });
    assert!(result.expect("every execution can be run").exhaustive && executions > 3);
    for process in ["A", "B"] {
        let lines = fs::read_to_string(folder.path().join(process)).expect("what was written");
        assert_eq!(lines.lines().count(), executions, "{process}");
    }
}

#[test]
fn lookups_are_listed_in_order_with_what_they_found() {
    let folder = folder();
    let path = folder.path().display().to_string();
    let script = format!("test -e {path}/one; test -e {path}/two; echo x > {path}/two");
    let mut tracer = tracer(&[shell(&script)], files(&[]));
    tracer.record_lookups(true);
    let mut run = || {
        tracer.execute_afresh(&mut OneAfterTheOther, Detail::Search).expect("an execution");
        let mut lookups = tracer.last_lookups().remove(0);
        lookups.retain(|lookup| lookup.path.starts_with(&path));
        lookups
    };
    let lookup = |name: &str, size: Option<u64>| Lookup {
        path: format!("{path}/{name}"),
        found: size.is_some(),
        size,
    };
    assert_eq!(run(), [lookup("one", None), lookup("two", None), lookup("two", None)]);
    let (one, two) = (lookup("one", None), lookup("two", Some(2)));
    assert_eq!(run(), [one.clone(), two.clone(), two.clone()]);
    assert_eq!(run(), [one, two.clone(), two]);
}

#[test]
fn on_an_overlay_only_what_is_not_watched_counts() {
    let folder = folder();
    let path = folder.path().display();
    let programs = [
        shell(&format!("echo x > {path}/f; echo x > /usr/lib/cooks-outside-files")),
        shell(&format!("cat {path}/f; cat /usr/lib/cooks-outside-files")),
    ];
    let stop = Arc::new(AtomicBool::new(false));
    let mut tracer =
        Tracer::with_root(Root::Overlay, &programs, &[], files(&[]), stop).expect("this machine can trace");
    for _ in 0..2 {
        execution(&mut tracer, &mut OneAfterTheOther);
    }
    let found = shown(&gaps(&tracer.footprints(), false), folder.path());
    assert_eq!(found, ["outside-read! AB /usr/lib/cooks-outside-files"]);
}

/// These names have the same FNV-1a hash of 32 bits.
#[test]
fn files_outside_are_known_by_their_whole_path() {
    let programs = [shell("cp /srv/hsxwpa /srv/pgzbqi"), shell("cat /srv/pgzbqi")];
    let initial = files(&[("/srv/hsxwpa", "new\n"), ("/srv/pgzbqi", "old\n")]);
    let stop = Arc::new(AtomicBool::new(false));
    let mut tracer =
        Tracer::with_root(Root::Overlay, &programs, &[], initial, stop).expect("this machine can trace");
    let mut seen = BTreeSet::new();
    let result = explore(&mut Dpor::new(), &mut tracer, MAX_STEPS, &mut |execution| {
        let stdout =
            |process: usize| String::from_utf8_lossy(&execution.outcome.stdout[process]).into_owned();
        seen.insert((execution.outcome.exits[0], stdout(1)));
        ControlFlow::Continue(())
    });
    assert!(result.expect("every execution can be run").exhaustive);
    let found: Vec<(Option<Exit>, String)> = seen.into_iter().collect();
    assert_eq!(found, ["", "new\n", "old\n"].map(|text| (Some(Exit::Status(0)), text.to_owned())));
}

#[test]
fn interpreters_that_only_start_meet_nowhere() {
    let hides = |programs: &[Program]| -> Vec<String> {
        let found = gaps_of(programs, files(&[]), Path::new("/"));
        found.into_iter().filter(|gap| gap.contains('!')).collect()
    };
    assert_eq!(hides(&[python("pass"), python("pass")]), [""; 0]);
    assert_eq!(hides(&[python("import tempfile; tempfile.TemporaryFile()"), python("import json")]), [""; 0]);
}

#[test]
fn a_file_without_a_name_meets_nothing() {
    let folder = folder();
    let path = folder.path().to_owned();
    let unnamed = process(move || {
        let file = OpenOptions::new().write(true).custom_flags(libc::O_TMPFILE).open(&path);
        i32::from(file.map_or(-1, |file| file.as_raw_fd()) < 0)
    });
    assert_eq!(gaps_of(&[unnamed.clone(), unnamed], files(&[]), folder.path()), [""; 0]);
}
