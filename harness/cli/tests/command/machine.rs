//! Machines that forbid what tracing needs: said so, and never taken for a result.

use std::path::PathBuf;
use std::process::Command;

use crate::support::{Place, Run};

/// Runs a program under a filter that refuses a system call: `forbid NUMBER PROGRAM ARGUMENT…`.
const FORBID: &str = r#"
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

int main(int count, char **words) {
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)atoi(words[1]), 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof code / sizeof *code, code};
    if (count < 3 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
        return 99;
    execv(words[2], words + 2);
    return 98;
}
"#;

/// A place with the program that forbids in it.
fn place() -> (Place, PathBuf) {
    let place = Place::with(&[("forbid.c", FORBID), ("work/n", "0\n")]);
    let program = place.path("forbid");
    let compiled = Command::new("cc").arg("-o").arg(&program).arg(place.path("forbid.c")).output();
    let compiled = compiled.expect("this test needs a C compiler, cc");
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
    (place, program)
}

#[test]
fn a_machine_that_forbids_what_is_needed_is_told_from_a_result() {
    let (place, forbid) = place();
    let before = place.names();
    let counter = "read x < n; echo $((x+1)) > n";
    let explore = ["explore", "--dir", "work", "-p", counter, "-p", counter];
    for (call, number, message) in [
        ("ptrace", libc::SYS_ptrace, "this machine cannot trace processes: ptrace: EPERM"),
        ("unshare", libc::SYS_unshare, "this machine cannot set processes apart: making a mount namespace"),
        ("mount", libc::SYS_mount, "this machine cannot set processes apart: "),
        ("seccomp", libc::SYS_seccomp, "this machine cannot "),
    ] {
        let number = number.to_string();
        let forbidden = |arguments: &[&str]| {
            let all = [&[number.as_str(), env!("CARGO_BIN_EXE_cooks")], arguments].concat();
            Run::of(place.program(&forbid, &all).output().expect("the program can be run"))
        };
        for arguments in [&explore[..], &["run", "agent-ab-native"]] {
            let run = forbidden(arguments);
            run.refuses(4, message);
            assert!(run.stderr.ends_with("`cooks doctor` says what is missing\n"), "{call}: {}", run.stderr);
            assert_eq!(run.stderr.lines().count(), 1, "{}", run.stderr);
        }
        let doctor = forbidden(&["doctor"]);
        assert_eq!((doctor.code, doctor.stderr.as_str()), (Some(4), ""), "{call}: {}", doctor.stdout);
        assert!(doctor.stdout.contains("\nthis machine cannot trace: "), "{call}: {}", doctor.stdout);
        assert_eq!(place.names(), before, "{call}");
    }
}

/// What needs no processes works without tracing.
#[test]
fn the_catalogue_can_be_listed_anywhere() {
    let (place, forbid) = place();
    let number = libc::SYS_ptrace.to_string();
    let list = place.program(&forbid, &[&number, env!("CARGO_BIN_EXE_cooks"), "list"]).output();
    assert_eq!(Run::of(list.expect("the program can be run")).code, Some(0));
}

/// An ordinary user explores in a user namespace, and finds the same.
#[test]
fn an_ordinary_user_finds_the_same() {
    if !nix::unistd::geteuid().is_root() {
        return; // Then all the other tests show it.
    }
    let place = Place::with(&[("work/n", "0\n")]);
    let counter = "read x < n; echo $((x+1)) > n";
    let root = place.explore(1, &[counter; 2], &["--dir", "work", "--all"]);
    let out = place.path("out");
    std::fs::create_dir(&out).expect("a folder");
    nix::unistd::chown(&out, Some(65_534.into()), Some(65_534.into())).expect("it can be given away");
    let everybody = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(place.path(""), everybody).expect("a mode");
    let cooks = place.path("cooks");
    std::fs::copy(env!("CARGO_BIN_EXE_cooks"), &cooks).expect("a copy that everybody may run");
    let arguments = [
        "explore", "--dir", "work", "-p", counter, "-p", counter, "--all", "--format", "json", "--output",
        "out",
    ];
    let mut command = place.program(&cooks, &arguments);
    std::os::unix::process::CommandExt::gid(&mut command, 65_534);
    std::os::unix::process::CommandExt::uid(&mut command, 65_534);
    let mut user = Run::of(command.output().expect("it can be run")).json(1);
    for key in ["executions", "complete", "steps", "distinct_outcomes", "serial_outcomes"] {
        assert_eq!(user[key].take(), root[key], "{key}");
    }
}
