//! What a process runs.

use std::ffi::CString;
use std::fmt;
use std::sync::Arc;

/// A closure that is run in a forked child as if it were a program: what it returns is its exit status, a panic is status 101.
///
/// It sees a copy of the memory at the time when the exploration began, has the workspace as its current directory, no descriptors
/// but the standard streams, and shares nothing with other processes but files. Locks that other threads held at that time stay held in the copy.
pub type Closure = Arc<dyn Fn() -> i32 + Send + Sync>;

/// What a process runs.
#[derive(Clone)]
pub enum Program {
    /// A program, found along `PATH` or by its path, with its arguments.
    Command(Vec<String>),
    /// A forked closure.
    Closure {
        /// What to call it in reports.
        name: String,
        /// What it does.
        body: Closure,
    },
    /// Several, one after another, as one process: each is begun when the one before it is gone with all its children, however it
    /// ended. Each is a unit. What is asked within a sequence is not.
    Sequence(Vec<Program>),
    /// One that is asked over its standard input. Each request is a line, given when the program has read all before it and waits
    /// for more; each is a unit, and so is what comes before the first and what the end of the input brings about.
    Asked {
        /// What it runs.
        program: Box<Program>,
        /// The lines, without their ends.
        requests: Arc<[String]>,
    },
}

/// Characters that mean something to a shell, so that a command with any of them needs one.
const FOR_A_SHELL: &str = "|&;<>()$`\\\"'*?[]#~%{}!\n";

impl Program {
    /// A closure as a process.
    pub fn closure(name: impl Into<String>, body: impl Fn() -> i32 + Send + Sync + 'static) -> Self {
        Self::Closure { name: name.into(), body: Arc::new(body) }
    }

    /// A command as a user types it: run directly when it is plain words, by `sh -c` when it needs a shell.
    #[must_use]
    pub fn parse(command: &str) -> Self {
        let assigns = command.split_whitespace().next().is_some_and(|first| first.contains('='));
        let needs_a_shell = assigns || command.contains(|letter| FOR_A_SHELL.contains(letter));
        Self::Command(if needs_a_shell {
            vec!["sh".into(), "-c".into(), command.into()]
        } else {
            command.split_whitespace().map(str::to_owned).collect()
        })
    }

    /// The same process, with a further command, or closure, when all before is over.
    #[must_use]
    pub fn then(self, next: Self) -> Self {
        let next = next.parts().into_iter().cloned();
        Self::Sequence(self.parts().into_iter().cloned().chain(next).collect())
    }

    /// The same program, asked over its standard input.
    #[must_use]
    pub fn asked<T: Into<String>>(self, requests: impl IntoIterator<Item = T>) -> Self {
        Self::Asked { program: Box::new(self), requests: requests.into_iter().map(Into::into).collect() }
    }

    /// The commands and closures that it runs, in their order.
    #[must_use]
    pub fn parts(&self) -> Vec<&Self> {
        match self {
            Self::Command(_) | Self::Closure { .. } => vec![self],
            Self::Sequence(parts) => parts.iter().flat_map(Self::parts).collect(),
            Self::Asked { program, .. } => program.parts(),
        }
    }

    /// What it is asked over its standard input, if it is.
    pub(super) fn requests(&self) -> Option<&Arc<[String]>> {
        match self {
            Self::Asked { requests, .. } => Some(requests),
            _ => None,
        }
    }

    /// The words as the kernel wants them. Empty for a closure.
    pub(super) fn words(&self) -> Result<Vec<CString>, String> {
        let Self::Command(words) = self else { return Ok(Vec::new()) };
        let convert = |word: &String| CString::new(word.as_str());
        let words: Result<Vec<CString>, _> = words.iter().map(convert).collect();
        match words {
            Ok(words) if words.is_empty() => Err("a command must have at least one word".into()),
            Ok(words) => Ok(words),
            Err(_) => Err(format!("the command `{self}` has a NUL byte in it")),
        }
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Command(words) => f.write_str(&words.join(" ")),
            Self::Closure { name, .. } => f.write_str(name),
            Self::Asked { program, .. } => program.fmt(f),
            Self::Sequence(parts) => {
                let parts: Vec<String> = parts.iter().map(ToString::to_string).collect();
                f.write_str(&parts.join(", then "))
            }
        }
    }
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Program({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::Program;

    #[test]
    fn plain_words_run_directly_and_the_rest_by_a_shell() {
        for (command, words) in [
            ("python3 agent.py A", vec!["python3", "agent.py", "A"]),
            ("cat x | wc", vec!["sh", "-c", "cat x | wc"]),
            ("echo 'a b'", vec!["sh", "-c", "echo 'a b'"]),
            ("sed -i s/a=1/a=2/ conf", vec!["sed", "-i", "s/a=1/a=2/", "conf"]),
            ("A=1 env", vec!["sh", "-c", "A=1 env"]),
        ] {
            let Program::Command(parsed) = Program::parse(command) else { panic!("a closure?") };
            assert_eq!(parsed, words);
        }
        assert!(Program::parse("  ").words().is_err());
    }
}
