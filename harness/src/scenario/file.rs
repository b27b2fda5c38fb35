use std::fs;
use std::path::{Path, PathBuf};

use super::error::mend;
use super::{Equivalence, Scenario, ScenarioError, StrategyName, Threads, requests};
use crate::bounded;
use crate::model::Verdict;
use crate::oracle::Normalize;
use crate::verdict::{Accept, BadAccept};

/// The file in a scenario's folder.
pub(super) const FILE: &str = "scenario.toml";
/// Bytes of that file.
const LARGEST: u64 = 16 << 20;
/// The folder that a workspace is a copy of, where no other is named.
const WORKSPACE: &str = "workspace";

impl Scenario {
    /// Reads the scenario in a folder.
    ///
    /// # Errors
    /// Where its file cannot be read or says what cannot be.
    pub fn load(folder: &Path) -> Result<Self, ScenarioError> {
        let file = folder.join(FILE);
        let shown = file.display().to_string();
        let text = bounded::read_text(&file, LARGEST).map_err(|error| ScenarioError {
            file: shown.clone(),
            line: None,
            message: format!("cannot be read: {error}"),
        })?;
        let mut scenario = Self::parse(&text, &shown)?;
        if scenario.name.is_empty() {
            let full = fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
            scenario.name = full
                .file_name()
                .map_or_else(|| "scenario".into(), |name| name.to_string_lossy().into_owned());
        }
        if let Some(dir) = scenario.dir.as_ref().filter(|dir| !folder.join(dir).is_dir()) {
            let message = format!("`dir` is {dir}, and there is no such folder beside it");
            return Err(ScenarioError { file: shown, line: line_of_key(&text, "dir"), message });
        }
        scenario
            .read_inputs(|name| {
                bounded::read(&folder.join(name), bounded::LARGEST)
                    .map_err(|error| format!("cannot be read: {error}"))
            })
            .map_err(|message| ScenarioError {
                file: shown.clone(),
                line: line_of_key(&text, "input"),
                message,
            })?;
        Ok(scenario)
    }

    /// Puts the lines of the processes' inputs in the place of the names of the files: then the scenario stands alone.
    ///
    /// # Errors
    /// Which file cannot be an input, and why.
    pub fn read_inputs(&mut self, read: impl Fn(&str) -> Result<Vec<u8>, String>) -> Result<(), String> {
        for process in &mut self.processes {
            let Some(name) = process.input.take() else { continue };
            let lines = read(&name).and_then(|bytes| requests(&bytes));
            process.requests = lines.map_err(|problem| format!("the input {name} {problem}"))?;
        }
        Ok(())
    }

    /// The folder that each fresh workspace is a copy of, given the scenario's; none where workspaces begin empty.
    #[must_use]
    pub fn workspace_in(&self, folder: &Path) -> Option<PathBuf> {
        match &self.dir {
            Some(dir) => Some(folder.join(dir)),
            None => Some(folder.join(WORKSPACE)).filter(|default| default.is_dir()),
        }
    }

    /// Reads a scenario from the text of its file, called `file` in errors.
    ///
    /// # Errors
    /// Where it is not TOML, has keys that are not known or values that cannot be.
    pub fn parse(text: &str, file: &str) -> Result<Self, ScenarioError> {
        let fail = |line, message| ScenarioError { file: file.to_owned(), line, message };
        let scenario: Self = toml::from_str(text).map_err(|error| {
            let line = error.span().map(|span| line_at(text, span.start));
            fail(line, mend(error.message()))
        })?;
        scenario.validate().map_err(|(key, message)| fail(line_of_key(text, key), message))?;
        Ok(scenario)
    }

    /// What the types do not say.
    ///
    /// # Errors
    /// The key concerned, and what is wrong.
    pub fn validate(&self) -> Result<(), (&'static str, String)> {
        let fail = |key: &'static str, message: &str| Err((key, message.to_owned()));
        if matches!(self.name.as_str(), "." | "..") || self.name.contains(['/', '\0']) {
            return fail("name", "`name` is a name, not a path: files are called by it");
        }
        if self.processes.is_empty() {
            return fail("process", "there is no process: add a `[[process]]` table with `command = \"…\"`");
        }
        let bounds = [
            ("max-executions", self.max_executions, "nothing would be run"),
            ("max-steps", self.max_steps, "nothing would be run"),
            ("verify", self.verify, "leave it out, or give 1 to run every execution twice"),
        ];
        for (key, bound, why) in bounds {
            if bound == Some(0) {
                return Err((key, format!("`{key}` is 0: {why}")));
            }
        }
        if self.time_limit.is_some_and(|limit| !limit.is_finite() || limit <= 0.0) {
            return fail("time-limit", "`time-limit` is a number of seconds greater than 0");
        }
        if self.cpu_limit.is_some_and(|limit| !limit.is_finite() || limit <= 0.0) {
            return fail("cpu-limit", "`cpu-limit` is a number of seconds greater than 0");
        }
        for (key, globs) in [("ignore", &self.ignore), ("unordered", &self.unordered)] {
            Normalize::new(globs, &[]).map_err(|error| (key, error.to_string()))?;
        }
        for text in &self.accept {
            let parsed = text.parse::<Accept>();
            parsed.map_err(|BadAccept { text, problem }| {
                ("accept", format!("`accept` has `{text}`: {problem}"))
            })?;
        }
        self.validate_strategy()?;
        self.validate_expectation()
    }

    fn validate_strategy(&self) -> Result<(), (&'static str, String)> {
        let name = self.strategy.name();
        if self.preemptions.is_some() && self.strategy.is_by_chance() {
            let message = format!("`preemptions` bounds dpor and dfs; {name} draws its schedules");
            return Err(("preemptions", message));
        }
        let merges = self.strategy == StrategyName::Dpor && self.preemptions.is_none();
        if self.equivalence == Equivalence::Observed && !merges {
            let message = "`equivalence` observed is of the strategy dpor without `preemptions`";
            return Err(("equivalence", message.to_owned()));
        }
        if self.threads == Threads::Explore && self.equivalence == Equivalence::Observed {
            let message =
                "`threads` explore is of the equivalence trace: what threads see of each other is not known";
            return Err(("threads", message.to_owned()));
        }
        if self.threads == Threads::Explore
            && self.strategy == StrategyName::Dpor
            && self.preemptions.is_some()
        {
            let message = "`threads` explore with `preemptions` is of the strategy dfs";
            return Err(("threads", message.to_owned()));
        }
        if self.depth.is_some() && self.strategy != StrategyName::Pct {
            return Err(("depth", format!("`depth` is of the strategy pct, not of {name}")));
        }
        if self.depth.is_some_and(|depth| !(1..=20).contains(&depth)) {
            return Err(("depth", "`depth` is a number from 1 to 20".to_owned()));
        }
        Ok(())
    }

    fn validate_expectation(&self) -> Result<(), (&'static str, String)> {
        let Some(expect) = &self.expect else { return Ok(()) };
        if expect.verdict != Verdict::Anomaly && !expect.kinds.is_empty() {
            return Err(("kinds", "`kinds` are of anomalies: the expected verdict is another".to_owned()));
        }
        if expect.verdict != Verdict::Anomaly && !expect.timeline.is_empty() {
            let message = "a `timeline` is of an anomaly: the expected verdict is another";
            return Err(("timeline", message.to_owned()));
        }
        if !self.strategy.is_by_chance() {
            return Ok(());
        }
        if expect.complete.is_some() || expect.blocked.is_some() {
            let key = if expect.complete.is_some() { "complete" } else { "blocked" };
            return Err((
                key,
                "the number of executions is exact only of the strategies dpor and dfs".to_owned(),
            ));
        }
        if expect.verdict == Verdict::Clean {
            let name = self.strategy.name();
            let message = format!("the strategy {name} never covers all: expect `inconclusive`, or use dpor");
            return Err(("verdict", message));
        }
        Ok(())
    }
}

/// The line, from 1, of a byte of a text.
fn line_at(text: &str, byte: usize) -> usize {
    1 + text.as_bytes().iter().take(byte).filter(|byte| **byte == b'\n').count()
}

/// The line, from 1, on which a key is given.
fn line_of_key(text: &str, key: &str) -> Option<usize> {
    let gives = |line: &str| {
        line.trim_start().strip_prefix(key).is_some_and(|rest| rest.trim_start().starts_with('='))
    };
    text.lines().position(gives).map(|line| line + 1)
}

#[cfg(test)]
mod tests {
    use super::Scenario;
    use crate::model::{Kind, Root, Verdict};
    use crate::oracle::Aborts;
    use crate::scenario::{Process, Program, StrategyName};

    const WHOLE: &str = r#"
name = "two-agents"
summary = "Two agents write one metadata file"
dir = "start"
root = "overlay"
setup = "python3 init.py"
canon = "python3 show.py"
ignore = ["*.lock"]
unordered = ["events.log", "stdout"]
check = "test -s f"
final = "cat f"
aborts = "allow"
strategy = "dfs"
seed = 7
preemptions = 3
max-executions = 1_000
time-limit = 60
cpu-limit = 12.5
max-steps = 500
all = true
equivalence = "trace"
threads = "explore"
verify = 10

[[process]]
command = "python3 agent.py a"
then = ["python3 agent.py c", "true"]

[[process]]
closure = "agent b"

[[process]]
command = "./server"
requests = ["add a", "list"]

[expect]
verdict = "anomaly"
kinds = ["lost-update", "torn-file"]
timeline = ["A: read f", "B: write f"]
complete = 30
blocked = 4
"#;

    #[test]
    fn every_key_is_read_and_survives_json() {
        let scenario = Scenario::parse(WHOLE, "scenario.toml").unwrap();
        assert_eq!((scenario.name.as_str(), scenario.last.as_deref()), ("two-agents", Some("cat f")));
        assert_eq!(scenario.root, Root::Overlay);
        assert_eq!((scenario.aborts, scenario.strategy), (Aborts::Allow, StrategyName::Dfs));
        assert_eq!(
            (scenario.seed, scenario.preemptions, scenario.max_executions, scenario.max_steps),
            (Some(7), Some(3), Some(1000), Some(500))
        );
        assert_eq!((scenario.time_limit, scenario.cpu_limit), (Some(60.0), Some(12.5)));
        assert_eq!((scenario.all, scenario.verify), (true, Some(10)));
        let then = vec!["python3 agent.py c".to_owned(), "true".to_owned()];
        let first = Process { then, ..Program::Command("python3 agent.py a".into()).into() };
        let requests = vec!["add a".to_owned(), "list".to_owned()];
        let third = Process { requests, ..Program::Command("./server".into()).into() };
        assert_eq!(scenario.processes, [first, Program::Closure("agent b".into()).into(), third]);
        let expect = scenario.expect.clone().unwrap();
        assert_eq!((expect.verdict, expect.complete, expect.blocked), (Verdict::Anomaly, Some(30), Some(4)));
        assert_eq!(expect.kinds, [Kind::LostUpdate, Kind::TornFile]);
        assert_eq!(expect.timeline, ["A: read f", "B: write f"]);
        let json = serde_json::to_string(&scenario).unwrap();
        assert_eq!(serde_json::from_str::<Scenario>(&json).unwrap(), scenario, "{json}");
    }

    #[test]
    fn the_example_of_the_documentation_is_one() {
        let example = Scenario::parse(include_str!("example.toml"), "example.toml").unwrap();
        assert_eq!((example.processes.len(), example.max_executions), (4, Some(10_000)));
        assert_eq!(example.processes[2].then.len(), 1);
        assert_eq!(example.processes[3].input.as_deref(), Some("requests.txt"));
        assert_eq!(example.expect.unwrap().kinds, [Kind::LostUpdate, Kind::TornFile]);
    }

    #[test]
    fn errors_say_the_line_and_how_to_mend_it() {
        let process = "[[process]]\ncommand = \"a\"\n";
        for (text, error) in [
            (format!("{process}comand = \"b\""), "s.toml:3: unknown key `comand`; did you mean `command`?"),
            (
                format!("max_steps = 3\n{process}"),
                "s.toml:1: unknown key `max_steps`; did you mean `max-steps`?",
            ),
            (
                format!("\nwhatever = 3\n{process}"),
                "s.toml:2: unknown key `whatever`; there are: name, summary, dir, \
                root, setup, canon, ignore, unordered, check, final, aborts, accept, strategy, seed, depth, preemptions, max-executions, \
                time-limit, cpu-limit, max-steps, all, equivalence, threads, verify, process, expect",
            ),
            (
                format!("strategy = \"dporr\"\n{process}"),
                "s.toml:1: unknown value `dporr`; did you mean `dpor`?",
            ),
            (
                format!("strategy = \"pos\"\ndepth = 2\n{process}"),
                "s.toml:2: `depth` is of the strategy pct, not of pos",
            ),
            (
                format!("strategy = \"pct\"\ndepth = 0\n{process}"),
                "s.toml:2: `depth` is a number from 1 to 20",
            ),
            (
                format!("strategy = \"pct\"\npreemptions = 2\n{process}"),
                "s.toml:2: `preemptions` bounds dpor and dfs; pct draws its schedules",
            ),
            (
                format!("strategy = \"pos\"\n{process}[expect]\nverdict = \"clean\""),
                "s.toml:5: the strategy pos never covers all: expect `inconclusive`, or use dpor",
            ),
            (
                format!("strategy = \"dfs\"\nequivalence = \"observed\"\n{process}"),
                "s.toml:2: `equivalence` observed is of the strategy dpor without `preemptions`",
            ),
            (
                format!("threads = \"explore\"\npreemptions = 1\n{process}"),
                "s.toml:1: `threads` explore with `preemptions` is of the strategy dfs",
            ),
            (format!("crash = \"kill\"\n{process}"), "s.toml:1: `crash` is not built yet"),
            (format!("faults = []\n{process}"), "s.toml:1: `faults` is not built yet"),
            (format!("jobs = 2\n{process}"), "s.toml:1: `jobs` is not built yet"),
            (format!("shard = \"1/2\"\n{process}"), "s.toml:1: `shard` is not built yet"),
            (
                format!("{process}then = [\"b\"]\ninput = \"c\""),
                "s.toml:1: a process has either `then` or `input`: it is several commands, or one that is asked",
            ),
            (
                format!("{process}then = [\" \"]"),
                "s.toml:1: each of `then` is a command: one of them is empty",
            ),
            (
                format!("{process}input = \"b\"\nrequests = [\"c\"]"),
                "s.toml:1: a process has either `input` or `requests`: a file, or the lines themselves",
            ),
            (
                format!("{process}[expect]\nverdict = \"anomaly\"\nkinds = [\"crash-loss\"]"),
                "s.toml:5: `crash-loss` as `kinds` is not built yet",
            ),
            (format!("{process}[expect]\nkinds = []"), "s.toml:3: the key `verdict` is missing"),
            (
                format!("{process}[expect]\nverdict = \"clean\"\nkinds = [\"deadlock\"]"),
                "s.toml:5: `kinds` are of anomalies: the expected verdict is another",
            ),
            (
                format!("{process}[expect]\nverdict = \"clean\"\ntimeline = [\"A: lock f\"]"),
                "s.toml:5: a `timeline` is of an anomaly: the expected verdict is another",
            ),
            (
                format!("strategy = \"random\"\n{process}[expect]\nverdict = \"anomaly\"\ncomplete = 3"),
                "s.toml:6: the number of executions is exact only of the strategies dpor and dfs",
            ),
            (
                "seed = 1".to_owned(),
                "s.toml: there is no process: add a `[[process]]` table with `command = \"…\"`",
            ),
            ("[[process]]".to_owned(), "s.toml:1: a process needs `command = \"…\"` or `closure = \"…\"`"),
            (
                format!("{process}closure = \"b\""),
                "s.toml:1: a process has either `command` or `closure`, not both",
            ),
            (format!("max-steps = 0\n{process}"), "s.toml:1: `max-steps` is 0: nothing would be run"),
            (
                format!("verify = 0\n{process}"),
                "s.toml:1: `verify` is 0: leave it out, or give 1 to run every execution twice",
            ),
            (
                format!("cpu-limit = 0\n{process}"),
                "s.toml:1: `cpu-limit` is a number of seconds greater than 0",
            ),
            (
                format!("time-limit = -1\n{process}"),
                "s.toml:1: `time-limit` is a number of seconds greater than 0",
            ),
            (format!("seed = \"x\"\n{process}"), "s.toml:1: invalid type: string \"x\", expected u64"),
            (
                format!("\n\nignore = [\"[\"]\n{process}"),
                "s.toml:3: `[` is not a glob: unclosed character class; missing ']'",
            ),
            (format!("seed = 1\nseed = 2\n{process}"), "s.toml:2: the key is given twice"),
        ] {
            assert_eq!(Scenario::parse(&text, "s.toml").unwrap_err().to_string(), error, "{text}");
        }
    }

    #[test]
    fn a_folder_gives_name_and_workspace() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("lost-update");
        std::fs::create_dir_all(folder.join("workspace")).unwrap();
        let file = folder.join("scenario.toml");
        std::fs::write(&file, "[[process]]\ncommand = \"a\"\n").unwrap();
        let scenario = Scenario::load(&folder).unwrap();
        assert_eq!(scenario.name, "lost-update");
        assert_eq!(scenario.workspace_in(&folder), Some(folder.join("workspace")));
        assert_eq!(scenario.workspace_in(parent.path()), None);
        std::fs::write(&file, "dir = \"missing\"\n[[process]]\ncommand = \"a\"\n").unwrap();
        let error = Scenario::load(&folder).unwrap_err();
        assert_eq!(
            (error.line, error.message.as_str()),
            (Some(1), "`dir` is missing, and there is no such folder beside it")
        );
        std::fs::write(&file, "[[process]]\ncommand = \"a\"\ninput = \"asked\"\n").unwrap();
        let error = Scenario::load(&folder).unwrap_err().to_string();
        assert!(error.contains(":3: the input asked cannot be read: No such file"), "{error}");
        for (text, lines) in [("one\ntwo\n", ["one", "two"].as_slice()), ("one\n\ntwo", &["one", "", "two"])]
        {
            std::fs::write(folder.join("asked"), text).unwrap();
            let scenario = Scenario::load(&folder).unwrap();
            assert_eq!(scenario.processes[0].input, None);
            assert_eq!(scenario.processes[0].requests, lines);
        }
        std::fs::write(folder.join("asked"), "").unwrap();
        let error = Scenario::load(&folder).unwrap_err().message;
        assert_eq!(error, "the input asked is empty: nothing would be asked");
        assert!(Scenario::load(parent.path()).unwrap_err().message.starts_with("cannot be read: "));
    }
}
