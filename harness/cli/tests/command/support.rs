//! What the tests share: a folder to work in, and the command run in it.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// A folder of its own for each test, which `cooks` is run in.
pub struct Place(TempDir);

/// What a run of the command came to.
#[derive(Debug)]
pub struct Run {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Run {
    pub fn of(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("text");
        Self { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// The report, with the exit code that it came with.
    #[track_caller]
    pub fn json(&self, code: i32) -> Value {
        assert_eq!((self.code, self.stderr.as_str()), (Some(code), ""), "{}", self.stdout);
        serde_json::from_str(&self.stdout).expect("one JSON object")
    }

    /// Holds a run to one message on standard error, in one paragraph, and nothing on standard output.
    #[track_caller]
    pub fn refuses(&self, code: i32, message: &str) {
        assert_eq!((self.code, self.stdout.as_str()), (Some(code), ""), "{}", self.stderr);
        assert!(self.stderr.contains(message), "`{message}` is not in: {}", self.stderr);
        let begins = ["cooks: ", "error: "].iter().any(|start| self.stderr.starts_with(start));
        assert!(begins && !self.stderr.contains("panicked"), "{}", self.stderr);
    }
}

impl Place {
    /// A folder with these files in it.
    pub fn with(files: &[(&str, &str)]) -> Self {
        let place = Self(tempfile::tempdir().expect("a temporary folder"));
        for (path, text) in files {
            let file = place.path(path);
            fs::create_dir_all(file.parent().expect("a folder")).expect("a folder can be made");
            fs::write(file, text).expect("a file can be written");
        }
        place
    }

    pub fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    /// The command, ready to be run here.
    pub fn command(&self, arguments: &[&str]) -> Command {
        self.program(Path::new(env!("CARGO_BIN_EXE_cooks")), arguments)
    }

    /// A program, ready to be run here.
    pub fn program(&self, program: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(arguments).current_dir(self.0.path()).env("PATH", path()).stdin(Stdio::null());
        command
    }

    pub fn cooks(&self, arguments: &[&str]) -> Run {
        Run::of(self.command(arguments).output().expect("cooks can be run"))
    }

    /// Explores these commands, with these other options, and gives the report.
    #[track_caller]
    pub fn explore(&self, code: i32, commands: &[&str], options: &[&str]) -> Value {
        let processes = commands.iter().flat_map(|command| ["-p", command]);
        let arguments: Vec<&str> = ["explore", "--format", "json"]
            .into_iter()
            .chain(processes)
            .chain(options.iter().copied())
            .collect();
        self.cooks(&arguments).json(code)
    }

    /// What there is in the folder.
    pub fn names(&self) -> BTreeSet<String> {
        let entries = fs::read_dir(self.0.path()).expect("the folder is there");
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect()
    }
}

/// Where commands are looked for: first among those of the system. What is called `python3` elsewhere may be a script that looks for
/// the interpreter, ten times slower than what it finds.
fn path() -> OsString {
    let rest = std::env::var_os("PATH").unwrap_or_default();
    let folders = [PathBuf::from("/usr/bin")].into_iter().chain(std::env::split_paths(&rest));
    std::env::join_paths(folders).expect("folders of PATH")
}

/// A number of a report.
#[track_caller]
pub fn number(report: &Value, key: &str) -> u64 {
    report[key].as_u64().unwrap_or_else(|| panic!("`{key}` is no number in {report}"))
}

/// The kinds of a report's anomalies, in their order.
pub fn kinds(report: &Value) -> Vec<&str> {
    let anomalies = report["anomalies"].as_array().expect("a list");
    anomalies.iter().map(|anomaly| anomaly["kind"].as_str().expect("a word")).collect()
}

/// The command lines of all processes, by id. They may end while they are looked at.
pub fn command_lines() -> Vec<(i32, String)> {
    let entries = fs::read_dir("/proc").expect("a /proc");
    let ids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    ids.filter_map(|id| {
        let line = fs::read(format!("/proc/{id}/cmdline")).ok()?;
        Some((id, String::from_utf8_lossy(&line).replace('\0', " ")))
    })
    .collect()
}

/// The processes whose command line has this in it.
pub fn processes(marker: &str) -> Vec<(i32, String)> {
    command_lines().into_iter().filter(|(_, line)| line.contains(marker)).collect()
}
