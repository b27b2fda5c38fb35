//! `cargo bench -p cooks-benches --features peers --bench contention`: what several processes do to each other.
//!
//! Arguments: names, or pieces of names, of the rows to run (`"durable 8"`, `SQLite`); none for all.
//! `--seconds N` for each row (2); `--quick` for a tenth of a second; `--dir DIR` where the files lie, on a disk.

mod durable;
mod fairness;
mod pack;
#[cfg(feature = "peers")]
mod peers;
mod readers;
mod table;

use std::path::{Path, PathBuf};
use std::time::Duration;

/// How it is run.
pub struct Run {
    /// How long each row takes.
    pub time: Duration,
    dir: PathBuf,
    names: Vec<String>,
}

impl Run {
    fn from_arguments() -> Self {
        let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
        let mut run = Self { time: Duration::from_secs(2), dir, names: Vec::new() };
        let quick = Duration::from_millis(100);
        let mut arguments = std::env::args().skip(1);
        let mut measured = false;
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().unwrap_or_else(|| panic!("{argument} wants a value"));
            match &*argument {
                "--bench" => measured = true,
                "--quick" => run.time = quick,
                "--seconds" => run.time = Duration::from_secs_f64(value().parse().expect("a number")),
                "--dir" => run.dir = value().into(),
                option if option.starts_with('-') => panic!("unknown option {option}"),
                _ => run.names.push(argument),
            }
        }
        if !measured {
            run.time = quick; // `cargo test --benches`
        }
        run
    }

    /// Runs one row, in a new directory, unless it was not asked for.
    pub fn cell(&self, table: &str, row: &str, work: impl FnOnce(&Path)) {
        let name = format!("{table} {row}");
        if self.names.is_empty() || self.names.iter().any(|wanted| name.contains(wanted)) {
            let dir = tempfile::tempdir_in(&self.dir).expect("a directory");
            work(dir.path());
        }
    }
}

fn main() {
    let run = Run::from_arguments();
    let system = file_system(&run.dir);
    assert_ne!(system, "tmpfs", "nothing is durable there: use --dir");
    println!("{:?} a row, on {system}", run.time);
    fairness::exclusive(&run);
    readers::holding(&run);
    durable::measure(&run);
    readers::loading(&run);
}

/// The type of the file system that is mounted nearest above.
fn file_system(dir: &Path) -> String {
    let dir = dir.canonicalize().expect("the directory is there");
    let mounts = std::fs::read_to_string("/proc/self/mounts").expect("the mounts can be read");
    let mounted = mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ').skip(1);
        Some((fields.next()?, fields.next()?))
    });
    let above = mounted.filter(|(point, _)| dir.starts_with(point));
    above.max_by_key(|(point, _)| point.len()).expect("something is mounted at the root").1.to_owned()
}
