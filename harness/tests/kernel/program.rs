//! The interpreter, compiled, and the reference that it serves.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};

/// `program/`, compiled: statically where there is a library for that, so that it starts with few calls.
static COMPILED: LazyLock<PathBuf> = LazyLock::new(|| {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kernel/program");
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join("kernel-program");
    let own = program.with_extension(std::process::id().to_string());
    let compile = |how: &[&str]| {
        let mut cc = Command::new("cc");
        cc.args(["-O1", "-Wall", "-Wextra", "-Werror"]).args(how).arg("-o").arg(&own);
        let sources = ["kernel.c", "reference.c"].map(|name| source.join(name));
        cc.args(sources).output().expect("this test needs a C compiler, cc")
    };
    let compiled = if compile(&["-static"]).status.success() { None } else { Some(compile(&[])) };
    if let Some(failed) = compiled.filter(|compiled| !compiled.status.success()) {
        panic!("{}", String::from_utf8_lossy(&failed.stderr));
    }
    // Others may be running it.
    std::fs::rename(own, &program).expect("the program has a name");
    program
});

/// A file for a script, with a name that no other has.
pub fn script_file() -> PathBuf {
    static FILES: AtomicUsize = AtomicUsize::new(0);
    let number = FILES.fetch_add(1, Ordering::Relaxed);
    let name = format!("kernel-script-{}-{number}", std::process::id());
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

/// Where the compiled interpreter is.
pub fn compiled() -> &'static str {
    COMPILED.to_str().expect("a path of text")
}

/// The calls that make a world, and those of each process, one a line.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Scripts {
    pub world: String,
    pub processes: Vec<String>,
}

impl Scripts {
    fn job(&self, kind: &str) -> String {
        let letters = ["A", "B", "C"];
        let processes = self.processes.iter().zip(letters);
        let processes: String = processes.map(|(script, letter)| format!("{letter}\n{script}\n")).collect();
        format!("{kind}\nS\n{}\n{processes}.\n", self.world)
    }
}

/// A process that runs scripts on the kernel, without `cooks`.
pub struct Reference {
    child: Child,
    jobs: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Reference {
    pub fn start() -> Self {
        let mut command = Command::new(compiled());
        command.arg("all").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("the reference starts");
        let (jobs, answers) = (child.stdin.take(), child.stdout.take().expect("a pipe"));
        Self { child, jobs, answers: BufReader::new(answers) }
    }

    /// What it says of these scripts, line by line.
    pub fn ask(&mut self, kind: &str, scripts: &Scripts) -> Vec<String> {
        let job = scripts.job(kind);
        let jobs = self.jobs.as_mut().expect("a pipe");
        jobs.write_all(job.as_bytes()).expect("the reference reads");
        jobs.flush().expect("the reference reads");
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            let length = self.answers.read_line(&mut line).expect("the reference answers in text");
            assert!(length > 0, "the reference has given up at\n{job}");
            match line.trim_end_matches('\n') {
                "." => return lines,
                line => lines.push(line.to_owned()),
            }
        }
    }
}

impl Drop for Reference {
    fn drop(&mut self) {
        // To close the pipe is not enough: what other threads have forked meanwhile holds it too.
        if let Some(mut jobs) = self.jobs.take() {
            let _ = jobs.write_all(b"end\n");
        }
        let _ = self.child.wait();
    }
}
