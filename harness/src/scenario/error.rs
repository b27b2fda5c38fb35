use std::fmt;

/// A scenario that cannot be used: where, what is wrong, and how to mend it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ScenarioError {
    /// The file, as it was named.
    pub file: String,
    /// The line in it, from 1, where there is one.
    pub line: Option<usize>,
    /// What is wrong.
    pub message: String,
}

impl std::error::Error for ScenarioError {}

impl fmt::Display for ScenarioError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}: {}", self.file, self.message),
            None => write!(f, "{}: {}", self.file, self.message),
        }
    }
}

/// Keys of the design that nothing reads yet.
const KEYS_TO_COME: [&str; 4] = ["crash", "faults", "jobs", "shard"];
/// Values of the design that nothing does yet, with their keys.
const VALUES_TO_COME: [(&str, &str); 2] = [("crash-loss", "kinds"), ("not-durable", "kinds")];

/// What serde says of a key or value, in words that say how to mend it.
pub(super) fn mend(message: &str) -> String {
    let names = quoted(message);
    let Some(found) = names.first().copied() else {
        return message.replace("duplicate key", "the key is given twice");
    };
    if message.starts_with("unknown field") {
        if KEYS_TO_COME.contains(&found) {
            return format!("`{found}` is not built yet");
        }
        return format!("unknown key `{found}`; {}", instead(found, &names[1..]));
    }
    if message.starts_with("unknown variant") {
        if let Some((_, key)) = VALUES_TO_COME.iter().find(|(value, _)| *value == found) {
            return format!("`{found}` as `{key}` is not built yet");
        }
        return format!("unknown value `{found}`; {}", instead(found, &names[1..]));
    }
    if message.starts_with("missing field") {
        return format!("the key `{found}` is missing");
    }
    message.to_owned()
}

/// The words between backticks.
fn quoted(message: &str) -> Vec<&str> {
    message.split('`').skip(1).step_by(2).collect()
}

/// The name that was probably meant, else all of them.
fn instead(found: &str, names: &[&str]) -> String {
    let hyphens = found.replace('_', "-");
    let near = names.iter().map(|name| (distance(&hyphens, name), name)).min();
    match near {
        Some((distance, name)) if distance <= 1 + found.len() / 4 => format!("did you mean `{name}`?"),
        _ => format!("there are: {}", names.join(", ")),
    }
}

/// How many letters must be changed, added or left out to make one word of the other.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, letter) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, other) in b.iter().enumerate() {
            let change = diagonal + usize::from(letter != *other);
            diagonal = row[j + 1];
            row[j + 1] = change.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}
