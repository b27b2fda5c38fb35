//! `cooks doctor`: whether this machine can trace, what is missing where not, and how fast it is.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use cooks_harness::backend::{Backend, Chooser, Detail};
use cooks_harness::model::{Choice, Cut, Entry, Tree, View};
use cooks_harness::tracer::{Program, TraceError, Tracer};

use crate::failure::{CANNOT_TRACE, CLEAN, Failure};

/// Operations of one measurement.
const OPERATIONS: usize = 20_000;
/// Executions of the other.
const EXECUTIONS: u32 = 200;

/// Lets whoever comes first go on.
struct First;

impl Chooser for First {
    fn choose(&mut self, view: View<'_>) -> Result<Choice, Cut> {
        view.enabled().next().map(Choice::Process).ok_or(Cut::Steps)
    }
}

/// Looks at the machine, tries a trace, and measures it.
pub fn doctor(stop: &Arc<AtomicBool>) -> Result<u8, Failure> {
    let mut out = io::stdout().lock();
    for (what, found) in facts() {
        writeln!(out, "{what:<16}{found}")?;
    }
    match measure(stop) {
        Ok((operation, execution)) => {
            writeln!(out, "{:<16}{operation:.1} µs", "one operation")?;
            writeln!(out, "{:<16}{execution:.0} µs (two processes that look at a file)", "one execution")?;
            writeln!(out, "this machine can trace")?;
            Ok(CLEAN)
        }
        Err(TraceError::Interrupted) => Err(TraceError::Interrupted.into()),
        Err(error) => {
            writeln!(out, "this machine cannot trace: {error}")?;
            for advice in advice(&error) {
                writeln!(out, "  {advice}")?;
            }
            Ok(CANNOT_TRACE)
        }
    }
}

/// What may matter, one a line.
fn facts() -> Vec<(&'static str, String)> {
    let read = |path: &str| std::fs::read_to_string(path).map(|text| text.trim().to_owned()).ok();
    let kernel = read("/proc/sys/kernel/osrelease").unwrap_or_else(|| "unknown".into());
    let status = read("/proc/self/status").unwrap_or_default();
    let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let user = match field("Uid:").and_then(|ids| ids.split_whitespace().nth(1)) {
        Some("0") => "root".to_owned(),
        Some(id) => format!("{id} (works in a user namespace)"),
        None => "unknown".to_owned(),
    };
    let tracer = match field("TracerPid:") {
        Some("0") | None => "none, as it must be".to_owned(),
        Some(id) => format!("process {id}: nobody else can trace what it traces"),
    };
    let yama = match read("/proc/sys/kernel/yama/ptrace_scope").as_deref() {
        None => "not restricted".to_owned(),
        Some("0" | "1") => "own children may be traced".to_owned(),
        Some(other) => format!("restricted (ptrace_scope {other})"),
    };
    let seccomp = match field("Seccomp:") {
        Some("2") => "a filter is in force: a container's may forbid what is needed",
        _ => "no filter in force",
    };
    vec![
        ("kernel", format!("{kernel} on {}", std::env::consts::ARCH)),
        ("user", user),
        ("ptrace", yama),
        ("traced by", tracer),
        ("seccomp", seccomp.to_owned()),
    ]
}

/// Microseconds that one operation takes under control, and that one execution takes which has none to speak of.
fn measure(stop: &Arc<AtomicBool>) -> Result<(f64, f64), TraceError> {
    let file = Entry::File { mode: 0o644, content: b"x".to_vec() };
    let tree = Tree::from([("byte".to_owned(), file)]);
    let reader = Program::closure("read a byte, many times", || {
        let Ok(file) = File::open("byte") else { return 1 };
        let mut byte = [0];
        let all = (0..OPERATIONS).all(|_| file.read_exact_at(&mut byte, 0).is_ok());
        i32::from(!all)
    });
    let short = Program::closure("look at a file", || i32::from(std::fs::metadata("byte").is_err()));
    let mut one = Tracer::new(&[reader], &[], tree.clone(), Arc::clone(stop))?;
    let begun = Instant::now();
    let steps = one.execute(&mut First, Detail::Search)?.trace.len();
    let operation = begun.elapsed().as_secs_f64() / steps.max(1) as f64;
    drop(one);
    let mut two = Tracer::new(&[short.clone(), short], &[], tree, Arc::clone(stop))?;
    let begun = Instant::now();
    for _ in 0..EXECUTIONS {
        two.execute(&mut First, Detail::Search)?;
    }
    Ok((operation * 1e6, begun.elapsed().as_secs_f64() * 1e6 / f64::from(EXECUTIONS)))
}

/// How to get what is missing.
fn advice(error: &TraceError) -> Vec<&'static str> {
    match error {
        TraceError::Forbidden(_) => vec![
            "ptrace is forbidden here: by a debugger or tracer that this runs under, by a container's",
            "seccomp profile (docker run --cap-add=SYS_PTRACE or --security-opt seccomp=unconfined),",
            "or by kernel.yama.ptrace_scope (sysctl -w kernel.yama.ptrace_scope=1)",
        ],
        TraceError::Sandbox(_) => vec![
            "namespaces are needed for a private workspace and fixed process ids: run as root, or allow",
            "user namespaces (sysctl -w user.max_user_namespaces=10000, and on Ubuntu",
            "kernel.apparmor_restrict_unprivileged_userns=0); in a container: --privileged, or",
            "--cap-add=SYS_ADMIN --security-opt seccomp=unconfined --security-opt apparmor=unconfined",
        ],
        _ => Vec::new(),
    }
}
