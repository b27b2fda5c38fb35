//! The command line: what can be said, and what of it is not built yet.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use cooks_harness::report::Shard;

use crate::processes::Processes;

/// Explore every interleaving of real processes that share files.
#[derive(Debug, Parser)]
#[command(name = "cooks", version, max_term_width = 100, after_help = EXIT_CODES)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const EXIT_CODES: &str = "\
Exit codes: 0 clean, as expected, nothing wrong · 1 anomaly, not as expected, something found · 2 bad input or usage ·
3 inconclusive · 4 this machine cannot trace · 5 divergence · 6 internal error · 130 interrupted";

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Explore the interleavings of these commands; no specification needed
    Explore(Box<Explore>),
    /// Run scenarios and hold them to their expected verdicts
    Run(Run),
    /// Run a recorded schedule again, exactly
    Replay(Replay),
    /// Print what a witness holds, without running anything
    Show(Show),
    /// Join the JSON results of all shards of an exploration
    Merge(Merge),
    /// Run the same commands free and side by side: how often mere chance shows an anomaly
    Stress(Box<Stress>),
    /// Who holds and waits for which lock in a live directory, and what is stale, torn, in conflict
    Diagnose(Diagnose),
    /// Make a folder with a scenario that runs, to go on from
    New(New),
    /// The scenarios of the catalogue
    List,
    /// Whether this machine can trace, what is missing where not, and how fast it is
    Doctor(Doctor),
}

/// `cooks explore`
#[derive(Debug, Args)]
pub struct Explore {
    #[command(flatten)]
    pub processes: Processes,
    #[command(flatten)]
    pub setting: Setting,
    #[command(flatten)]
    pub search: Search,
    /// Explore shard K of N alone (1/3, 2/3, 3/3), without knowing of the others; `cooks merge` joins their results
    #[arg(long, value_name = "K/N")]
    pub shard: Option<Shard>,
    #[command(flatten)]
    pub share: Share,
    #[command(flatten)]
    pub output: Output,
    #[command(flatten)]
    pub later: Later,
}

/// In what the processes run, and what of that which they leave counts.
#[derive(Debug, Args)]
pub struct Setting {
    /// The folder that each fresh workspace is a copy of [default: an empty one]
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// What the processes have as the root of the file system
    #[arg(long, value_enum, default_value_t = Root::Host)]
    pub root: Root,
    /// Run once in a fresh workspace, unscheduled; each execution starts from the tree that it left
    #[arg(long, value_name = "CMD")]
    pub setup: Option<String>,
    /// Run in the final workspace; what it prints stands for the tree in the outcome
    #[arg(long, value_name = "CMD")]
    pub canon: Option<String>,
    /// Left out of the outcome; repeatable
    #[arg(long, value_name = "GLOB")]
    pub ignore: Vec<String>,
    /// A file, or `stdout`, whose lines are compared in any order; repeatable
    #[arg(long, value_name = "GLOB")]
    pub unordered: Vec<String>,
    /// An invariant, run in the final workspace; non-zero is an anomaly
    #[arg(long, value_name = "CMD")]
    pub check: Option<String>,
    /// Accept coverage gaps of this kind, of all paths or of those that the glob matches; repeatable
    #[arg(long, value_name = "KIND[:GLOB]")]
    pub accept: Vec<String>,
    /// Run alone after all the others; its output is part of the outcome
    #[arg(long = "final", value_name = "CMD")]
    pub last: Option<String>,
    /// What to make of a process that exits non-zero where no serial order lets it
    #[arg(long, value_enum, default_value_t = Aborts::Fail)]
    pub aborts: Aborts,
}

/// `cooks stress`
///
/// Nothing is controlled: which run shows what is chance, and is not the same another time. Exits with 1 when an anomaly was seen, else with 3:
/// that nothing was seen is no proof.
#[derive(Debug, Args)]
pub struct Stress {
    /// A name in the catalogue, or a folder with a `scenario.toml`, in the place of commands
    #[arg(value_name = "SCENARIO", conflicts_with = "process")]
    pub scenario: Option<String>,
    #[command(flatten)]
    pub processes: Processes,
    #[command(flatten)]
    pub setting: Setting,
    /// How many runs to make
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub runs: u64,
    /// Let each process begin up to so many microseconds later than the first, as drawn by the seed; with 0 all begin together
    #[arg(long, value_name = "MICROSECONDS", default_value_t = 0, value_parser = clap::value_parser!(u32).range(..=10_000_000))]
    pub jitter: u32,
    /// What decides how much later they begin, and nothing else: it does not make a run happen again [default: drawn and printed]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// How long to wait for a run before everything in it is ended; such runs are counted by themselves
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    pub patience: Duration,
    /// End after this many seconds
    #[arg(long, value_name = "SECONDS")]
    pub time_limit: Option<f64>,
    /// Make so many runs at a time; they disturb each other, which may show more or less
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=256))]
    pub jobs: u32,
    /// How to print the result
    #[arg(long, value_enum, default_value_t = Format::Human)]
    pub format: Format,
    /// Print no progress, and of the result the verdict alone
    #[arg(long)]
    pub quiet: bool,
}

/// `cooks run`
#[derive(Debug, Args)]
pub struct Run {
    /// Names in the catalogue; folders with a `scenario.toml`; folders with such folders below, which are run together with a canary
    #[arg(value_name = "SCENARIO")]
    pub scenarios: Vec<String>,
    /// Every scenario of the catalogue
    #[arg(long, conflicts_with = "scenarios")]
    pub all: bool,
    #[command(flatten)]
    pub search: RunSearch,
    /// Explore shard K of N of each scenario alone, and of those that cannot be split some as a whole; `cooks merge` joins the results
    #[arg(long, value_name = "K/N")]
    pub shard: Option<Shard>,
    #[command(flatten)]
    pub share: Share,
    #[command(flatten)]
    pub output: Output,
    #[command(flatten)]
    pub later: Later,
}

/// `cooks new`
#[derive(Debug, Args)]
pub struct New {
    /// The folder to make; it must not be there
    #[arg(value_name = "NAME")]
    pub folder: PathBuf,
}

/// `cooks replay`
#[derive(Debug, Args)]
pub struct Replay {
    /// The file that `cooks` wrote when it found an anomaly
    pub witness: PathBuf,
    /// (not built yet)
    #[arg(long, value_name = "FILE", hide = true)]
    pub html: Option<PathBuf>,
    /// What the processes have as the root of the file system, other than the witness says
    #[arg(long, value_enum)]
    pub root: Option<Root>,
    #[command(flatten)]
    pub output: Output,
}

/// `cooks show`
#[derive(Debug, Args)]
pub struct Show {
    /// The file that `cooks` wrote when it found an anomaly
    pub witness: PathBuf,
    /// How to print it
    #[arg(long, value_enum, default_value_t = DiagnoseFormat::Human)]
    pub format: DiagnoseFormat,
}

/// `cooks merge`
#[derive(Debug, Args)]
pub struct Merge {
    /// What `cooks explore` or `cooks run`, with `--shard K/N --format json`, printed for each of the shards
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// How to print the result
    #[arg(long, value_enum, default_value_t = Format::Human)]
    pub format: Format,
    /// Print the verdict alone
    #[arg(long)]
    pub quiet: bool,
}

/// `cooks diagnose`
///
/// Changes nothing and takes no lock. Exits with 0 when nothing is wrong, with 1 when something is found.
#[derive(Debug, Args)]
pub struct Diagnose {
    /// The directory that the processes share
    #[arg(value_name = "DIR", default_value = ".")]
    pub dir: PathBuf,
    /// Look so many seconds long how often each lock is held and waited for
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub watch: Option<Duration>,
    /// A wait for a lock of so many seconds is long
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    pub long_wait: Duration,
    /// How to print the result
    #[arg(long, value_enum, default_value_t = DiagnoseFormat::Human)]
    pub format: DiagnoseFormat,
    /// Print the verdict and the findings alone
    #[arg(long)]
    pub quiet: bool,
}

/// `cooks doctor`
///
/// Tries each thing that is needed by itself. Exits with 0 when this machine can trace, with 4 when it cannot.
#[derive(Debug, Args)]
pub struct Doctor {
    /// How to print what was found
    #[arg(long, value_enum, default_value_t = DiagnoseFormat::Human)]
    pub format: DiagnoseFormat,
}

/// Reads a number of seconds, with or without a fraction.
fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds.ok_or_else(|| "not a number of seconds: 5, or 0.5".to_owned())
}

/// Who searches.
#[derive(Debug, Args)]
pub struct Share {
    /// Run so many executions side by side, of several scenarios so many scenarios, each on a core of its own; the result is that of one
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=256))]
    pub jobs: u32,
    /// Tell on standard error of each race that the search goes back to: which operation overtook which
    #[arg(long)]
    pub explain: bool,
}

/// How to search.
#[derive(Debug, Args)]
pub struct Search {
    /// Which executions to run
    #[arg(long, value_enum, default_value_t = Strategy::Dpor)]
    pub strategy: Strategy,
    /// Which executions count as the same, so that one of them is run
    #[arg(long, value_enum, default_value_t = Equivalence::Trace)]
    pub equivalence: Equivalence,
    /// Who decides in which order the threads and children of one process come
    #[arg(long, value_enum, default_value_t = Threads::Fixed)]
    pub threads: Threads,
    /// What decides where chance plays a part [default: one that is drawn and printed]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Of pct: how many orderings of two steps a bug may need that it has a guarantee for [default: 3]
    #[arg(long, value_name = "N")]
    pub depth: Option<u32>,
    /// Only schedules that leave a process that could go on at most so often (of dpor and dfs)
    #[arg(long, value_name = "N")]
    pub preemptions: Option<u32>,
    /// End the search after this many executions
    #[arg(long, value_name = "N")]
    pub max_executions: Option<u64>,
    /// End the search after this many seconds
    #[arg(long, value_name = "SECONDS")]
    pub time_limit: Option<f64>,
    /// End a search in which a process uses this many seconds of processor time without making a call [default: 30]
    #[arg(long, value_name = "SECONDS")]
    pub cpu_limit: Option<f64>,
    /// Steps that one execution may have; past it: livelock
    #[arg(long, value_name = "N")]
    pub max_steps: Option<u64>,
    /// Run each Nth execution twice and compare the two byte for byte; a difference is a divergence (exit code 5)
    #[arg(long, value_name = "N")]
    pub verify: Option<u64>,
    /// Go on after the first anomaly, and report each distinct one (else it ends there, or a little later where that may be a symptom)
    #[arg(long)]
    pub all: bool,
}

/// What `run` may say otherwise than the scenario.
#[derive(Debug, Args)]
pub struct RunSearch {
    /// What the processes have as the root of the file system, other than the scenario says
    #[arg(long, value_enum)]
    pub root: Option<Root>,
    /// Which executions to run, other than the scenario says
    #[arg(long, value_enum)]
    pub strategy: Option<Strategy>,
    /// Which executions count as the same, other than the scenario says
    #[arg(long, value_enum)]
    pub equivalence: Option<Equivalence>,
    /// Who decides in which order the threads and children of one process come, other than the scenario says
    #[arg(long, value_enum)]
    pub threads: Option<Threads>,
    /// What decides where chance plays a part
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Of pct: how many orderings of two steps a bug may need that it has a guarantee for [default: 3]
    #[arg(long, value_name = "N")]
    pub depth: Option<u32>,
    /// Only schedules that leave a process that could go on at most so often (of dpor and dfs)
    #[arg(long, value_name = "N")]
    pub preemptions: Option<u32>,
    /// End each search after this many executions
    #[arg(long, value_name = "N")]
    pub max_executions: Option<u64>,
    /// End each search after this many seconds
    #[arg(long, value_name = "SECONDS")]
    pub time_limit: Option<f64>,
    /// End a search in which a process uses this many seconds of processor time without making a call [default: 30]
    #[arg(long, value_name = "SECONDS")]
    pub cpu_limit: Option<f64>,
    /// Steps that one execution may have; past it: livelock
    #[arg(long, value_name = "N")]
    pub max_steps: Option<u64>,
    /// Run each Nth execution twice and compare the two byte for byte; a difference is a divergence (exit code 5)
    #[arg(long, value_name = "N")]
    pub verify: Option<u64>,
}

/// How to tell.
#[derive(Debug, Args)]
pub struct Output {
    /// How to print the result
    #[arg(long, value_enum, default_value_t = Format::Human)]
    pub format: Format,
    /// Where to put witnesses
    #[arg(long, value_name = "DIR", default_value = "cooks-output")]
    pub output: PathBuf,
    /// Print no progress, and of the result the verdict alone
    #[arg(long)]
    pub quiet: bool,
}

/// Options of the contract that are not built yet: refused by name, unless they say what is done anyway.
#[derive(Debug, Args)]
pub struct Later {
    #[arg(long, value_name = "KIND", hide = true)]
    crash: Option<String>,
    #[arg(long, value_name = "LIST", hide = true)]
    faults: Option<String>,
}

impl Later {
    /// The first option that asks for what is not built yet, as it was given.
    pub fn refused(&self) -> Option<String> {
        let text = |name: &str, value: &Option<String>, done: &[&str]| {
            let value = value.as_deref().filter(|value| !done.contains(value))?;
            Some(format!("--{name} {value}"))
        };
        text("crash", &self.crash, &["none"]).or_else(|| text("faults", &self.faults, &[]))
    }
}

/// What the processes have as the root of the file system.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Root {
    /// The machine's own: what they write outside of the workspace is really written
    Host,
    /// An overlay of it, fresh in each execution: the machine's files stay as they are; those outside of the workspace are watched too
    Overlay,
}

/// Which executions to run.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Strategy {
    /// One of each class of equivalent executions: every interleaving that matters
    Dpor,
    /// Every interleaving
    Dfs,
    /// By chance, evenly at each step that matters
    Random,
    /// By chance: few preemptions, with a guarantee for bugs up to a depth
    Pct,
    /// By chance: the orders of what conflicts, spread widely
    Pos,
}

/// Which executions count as the same.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Equivalence {
    /// Those in which all that conflicts comes in the same order
    Trace,
    /// Those that nobody can tell apart (of dpor, without a bound of preemptions)
    Observed,
}

/// Who decides in which order the threads and children of one process come.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Threads {
    /// Nobody: it is the same in every execution
    Fixed,
    /// The strategy: all orders of their operations, as of those of processes
    Explore,
}

/// What to make of a process that gives up.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Aborts {
    /// It failed
    Fail,
    /// It gave up, and that is fine where it had no effect
    Allow,
}

/// How to print a diagnosis.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum DiagnoseFormat {
    /// For people
    Human,
    /// One JSON object on standard output
    Json,
}

/// How to print the result.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Format {
    /// For people
    Human,
    /// One JSON object on standard output
    Json,
    /// For test runners
    Junit,
    /// As annotations of GitHub Actions
    Github,
}
