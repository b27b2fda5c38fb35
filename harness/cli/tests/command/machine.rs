//! Machines that forbid what tracing needs: said so, and never taken for a result.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::support::{Place, Run};

/// Runs a program under a filter that refuses a system call, kills who makes it, or leaves it without an answer:
/// `forbid refuse|kill|silence NUMBER PROGRAM ARGUMENT…`.
const FORBID: &str = r#"
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(int count, char **words) {
    int kills = count > 1 && !strcmp(words[1], "kill"), silent = count > 1 && !strcmp(words[1], "silence");
    unsigned what = kills ? SECCOMP_RET_KILL_PROCESS : silent ? SECCOMP_RET_USER_NOTIF : SECCOMP_RET_ERRNO | EPERM;
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, count > 2 ? (unsigned)atoi(words[2]) : 0, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, what),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof code / sizeof *code, code};
    if (count < 4 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        return 99;
    int asked = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, silent ? SECCOMP_FILTER_FLAG_NEW_LISTENER : 0, &program);
    /* Whoever could answer must not be gone. */
    if (asked < 0 || (silent && dup(asked) < 0))
        return 97;
    execv(words[3], words + 3);
    return 98;
}
"#;

/// What is missing where processes cannot be set apart.
const APART: [&str; 4] = ["mount namespace", "tmpfs", "process ids", "fixed ids"];

/// A place with the program that forbids in it.
fn place() -> (Place, PathBuf) {
    let place = Place::with(&[("forbid.c", FORBID), ("work/n", "0\n")]);
    let program = place.path("forbid");
    let compiled = Command::new("cc").arg("-o").arg(&program).arg(place.path("forbid.c")).output();
    let compiled = compiled.expect("this test needs a C compiler, cc");
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
    (place, program)
}

/// Runs `cooks` where a system call is forbidden in one of the ways.
fn without(place: &Place, forbid: &Path, how: &str, call: i64, arguments: &[&str]) -> Run {
    let number = call.to_string();
    let all = [&[how, number.as_str(), env!("CARGO_BIN_EXE_cooks")], arguments].concat();
    Run::of(place.program(forbid, &all).output().expect("the program can be run"))
}

/// The needs that stand so, by name.
fn needs<'a>(report: &'a Value, state: &str) -> Vec<&'a str> {
    let all = report["needs"].as_array().expect("a list").iter();
    all.filter(|need| need["state"] == state).filter_map(|need| need["name"].as_str()).collect()
}

#[test]
fn a_machine_that_forbids_what_is_needed_is_told_from_a_result() {
    let (place, forbid) = place();
    let before = place.names();
    let counter = "read x < n; echo $((x+1)) > n";
    let explore = ["explore", "--dir", "work", "-p", counter, "-p", counter];
    for (call, number, message, needed) in [
        ("ptrace", libc::SYS_ptrace, "this machine cannot trace processes: ptrace: EPERM", &["ptrace"][..]),
        ("unshare", libc::SYS_unshare, "this machine cannot set processes apart: making a ", &APART[..]),
        ("mount", libc::SYS_mount, "this machine cannot set processes apart: ", &APART[..]),
        ("seccomp", libc::SYS_seccomp, "this machine cannot ", &["seccomp filter"][..]),
    ] {
        let forbidden = |arguments: &[&str]| without(&place, &forbid, "refuse", number, arguments);
        for arguments in [&explore[..], &["run", "agent-ab-native"]] {
            let run = forbidden(arguments);
            run.refuses(4, message);
            assert!(run.stderr.ends_with("`cooks doctor` says what is missing\n"), "{call}: {}", run.stderr);
            assert_eq!(run.stderr.lines().count(), 1, "{}", run.stderr);
        }
        let doctor = forbidden(&["doctor"]);
        assert_eq!((doctor.code, doctor.stderr.as_str()), (Some(4), ""), "{call}: {}", doctor.stdout);
        assert!(doctor.stdout.contains("\nthis machine cannot trace: "), "{call}: {}", doctor.stdout);
        let report = forbidden(&["doctor", "--format", "json"]).json(4);
        assert_eq!(report["can_trace"], false, "{call}: {report}");
        assert_eq!(needs(&report, "missing"), needed, "{call}: {report}");
        assert_eq!(place.names(), before, "{call}");
    }
}

/// Where overlays are forbidden, all else goes on.
#[test]
fn a_machine_without_overlays_says_so_in_one_sentence() {
    let (place, forbid) = place();
    let counter = "read x < n; echo $((x+1)) > n";
    // The overlay is made the root by this call, which nothing else needs.
    let forbidden = |arguments: &[&str]| without(&place, &forbid, "refuse", libc::SYS_pivot_root, arguments);
    let explore = ["explore", "--dir", "work", "-p", counter, "-p", counter, "--format", "json"];
    forbidden(&explore).json(1);
    let run = forbidden(&[&explore[..], &["--root", "overlay"]].concat());
    run.refuses(4, "this machine cannot set processes apart: making the overlay the root: ");
    let report = forbidden(&["doctor", "--format", "json"]).json(0);
    assert_eq!((needs(&report, "limited"), needs(&report, "missing")), (vec!["overlay"], vec![]), "{report}");
}

/// Each thing is tried by somebody else than who asks: whatever the kernel does to him is told, and no trial is waited for endlessly.
#[test]
fn a_kernel_that_kills_who_asks_or_never_answers_is_told_of() {
    let (place, forbid) = place();
    for (how, call, code, need, found) in [
        ("kill", libc::SYS_ptrace, 4, "ptrace", "whoever tries it is ended by SIGSYS"),
        ("kill", libc::SYS_pivot_root, 0, "overlay", "whoever tries it is ended by SIGSYS"),
        ("silence", libc::SYS_pivot_root, 0, "overlay", "no answer from the kernel within 5 s"),
    ] {
        let report = without(&place, &forbid, how, call, &["doctor", "--format", "json"]).json(code);
        let state = if code == 0 { "limited" } else { "missing" };
        assert_eq!(needs(&report, state), [need], "{how}: {report}");
        let mut needs = report["needs"].as_array().expect("a list").iter();
        assert!(needs.any(|of| of["name"] == need && of["found"] == found), "{how}: {report}");
    }
}

/// It has its figures where it can trace: an operation takes far less than a whole execution.
#[test]
fn a_machine_that_can_trace_is_measured() {
    let place = Place::with(&[]);
    let report = place.cooks(&["doctor", "--format", "json"]).json(0);
    assert_eq!((report["can_trace"].as_bool(), needs(&report, "missing")), (Some(true), vec![]), "{report}");
    let (operation, execution) = (report["operation_us"].as_f64(), report["execution_us"].as_f64());
    assert!(operation > Some(0.0) && operation < execution, "{report}");
}

/// What needs no processes works without tracing.
#[test]
fn the_catalogue_can_be_listed_anywhere() {
    let (place, forbid) = place();
    assert_eq!(without(&place, &forbid, "refuse", libc::SYS_ptrace, &["list"]).code, Some(0));
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
