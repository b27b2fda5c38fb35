use serde::{Deserialize, Serialize};

/// What a process runs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Program {
    /// A command: run directly where it is plain words, by `sh -c` where it needs a shell.
    Command(String),
    /// A Rust closure of the catalogue: its name, and its arguments.
    Closure(String),
}

impl Program {
    /// What to show people.
    #[must_use]
    pub fn text(&self) -> &str {
        match self {
            Self::Command(text) | Self::Closure(text) => text,
        }
    }
}

/// A process: what it runs, and which units it is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(try_from = "Keys", into = "Keys")]
pub struct Process {
    /// What it runs, first.
    pub program: Program,
    /// Commands that it runs then, each when the one before it has ended, however it did.
    pub then: Vec<String>,
    /// The file that its standard input is, by lines; read by [`super::Scenario::read_inputs`].
    pub input: Option<String>,
    /// Those lines: what it is asked.
    pub requests: Vec<String>,
    /// Whether it need not succeed in any serial order.
    pub may_fail: bool,
}

impl From<Program> for Process {
    fn from(program: Program) -> Self {
        Self { program, then: Vec::new(), input: None, requests: Vec::new(), may_fail: false }
    }
}

/// The keys of a `[[process]]` table.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Keys {
    #[serde(skip_serializing_if = "Option::is_none")]
    command: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    closure: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    then: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    input: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    requests: Vec<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    may_fail: bool,
}

impl TryFrom<Keys> for Process {
    type Error = &'static str;

    fn try_from(keys: Keys) -> Result<Self, Self::Error> {
        let Keys { command, closure, then, input, requests, may_fail } = keys;
        let nothing = |text: &String| text.trim().is_empty();
        let program = match (command, closure) {
            (Some(text), None) | (None, Some(text)) if nothing(&text) => {
                return Err("a process needs something to run");
            }
            (Some(command), None) => Program::Command(command),
            (None, Some(closure)) => Program::Closure(closure),
            (Some(_), Some(_)) => return Err("a process has either `command` or `closure`, not both"),
            (None, None) => return Err("a process needs `command = \"…\"` or `closure = \"…\"`"),
        };
        if then.iter().any(nothing) {
            return Err("each of `then` is a command: one of them is empty");
        }
        if !then.is_empty() && (input.is_some() || !requests.is_empty()) {
            return Err(
                "a process has either `then` or `input`: it is several commands, or one that is asked",
            );
        }
        if input.is_some() && !requests.is_empty() {
            return Err("a process has either `input` or `requests`: a file, or the lines themselves");
        }
        Ok(Self { program, then, input, requests, may_fail })
    }
}

impl From<Process> for Keys {
    fn from(process: Process) -> Self {
        let Process { program, then, input, requests, may_fail } = process;
        let (command, closure) = match program {
            Program::Command(text) => (Some(text), None),
            Program::Closure(text) => (None, Some(text)),
        };
        Self { command, closure, then, input, requests, may_fail }
    }
}

/// The requests that the bytes of a file are: its lines.
///
/// # Errors
/// What is wrong with them, in words.
pub fn requests(bytes: &[u8]) -> Result<Vec<String>, String> {
    let text = std::str::from_utf8(bytes).map_err(|error| format!("is no text in UTF-8 ({error})"))?;
    if text.is_empty() {
        return Err("is empty: nothing would be asked".into());
    }
    Ok(text.strip_suffix('\n').unwrap_or(text).split('\n').map(str::to_owned).collect())
}
