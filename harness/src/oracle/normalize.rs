use std::collections::BTreeSet;

use globset::{GlobBuilder, GlobMatcher};

use super::json::Json;
use crate::model::{Entry, Outcome, Tree};

/// The pattern that names the standard outputs of the processes, where others name files.
const STDOUT: &str = "stdout";

/// What to leave out of outcomes, and what to compare in any order, before they are compared.
///
/// A glob without a slash is matched against names at any depth (`*.lock`), one with a slash against whole paths (`logs/*.txt`).
/// What a directory that matches holds goes with it. The word `stdout` also means the standard outputs of the processes.
#[derive(Clone, Debug, Default)]
pub struct Normalize {
    ignore: Vec<Glob>,
    unordered: Vec<Glob>,
    ignore_stdout: bool,
    unordered_stdout: bool,
}

#[derive(Clone, Debug)]
struct Glob {
    matcher: GlobMatcher,
    by_name: bool,
}

/// A glob that cannot be used.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("`{glob}` is not a glob: {reason}")]
pub struct BadGlob {
    /// The glob as given.
    pub glob: String,
    /// What is wrong with it.
    pub reason: String,
}

impl Normalize {
    /// The rules that these globs make.
    ///
    /// # Errors
    /// Where one of them is not a glob.
    pub fn new(ignore: &[String], unordered: &[String]) -> Result<Self, BadGlob> {
        let compile = |globs: &[String]| globs.iter().map(|glob| Glob::new(glob)).collect::<Result<_, _>>();
        Ok(Self {
            ignore: compile(ignore)?,
            unordered: compile(unordered)?,
            ignore_stdout: ignore.iter().any(|glob| glob == STDOUT),
            unordered_stdout: unordered.iter().any(|glob| glob == STDOUT),
        })
    }

    /// Whether a path is left out, by itself or with a directory above it.
    #[must_use]
    pub fn ignores(&self, path: &str) -> bool {
        let above = path.match_indices('/').map(|(at, _)| &path[..at]);
        above.chain([path]).any(|path| self.ignore.iter().any(|glob| glob.matches(path)))
    }

    /// Whether the standard outputs are left out.
    #[must_use]
    pub fn ignores_stdout(&self) -> bool {
        self.ignore_stdout
    }

    /// The tree without what is left out.
    #[must_use]
    pub fn tree(&self, tree: &Tree) -> Tree {
        tree.only(|path| !self.ignores(path))
    }

    /// The outcome in its canonical form: two outcomes that count as the same have equal ones.
    #[must_use]
    pub fn outcome(&self, outcome: &Outcome) -> Outcome {
        let mut normal = outcome.clone();
        normal.tree = self.tree(&outcome.tree);
        for (path, entry) in normal.tree.iter_mut() {
            if let Entry::File { content, .. } = entry {
                self.file(path, content);
            }
        }
        for output in &mut normal.stdout {
            if self.ignore_stdout {
                output.clear();
            } else if self.unordered_stdout {
                sort_lines(output);
            }
        }
        if let Some(json) = normal.canon.as_ref().and_then(|canon| json_of("", canon.as_bytes())) {
            normal.canon = Some(json.to_string());
        }
        normal
    }

    /// Puts the content of the file at `path` into its canonical form.
    fn file(&self, path: &str, content: &mut Vec<u8>) {
        if self.unordered.iter().any(|glob| glob.matches(path)) {
            sort_lines(content);
        } else if let Some(json) = json_of(path, content) {
            *content = json.to_string().into_bytes();
        }
    }
}

impl Glob {
    fn new(glob: &str) -> Result<Self, BadGlob> {
        let bad = |error: globset::Error| BadGlob { glob: glob.into(), reason: error.kind().to_string() };
        let matcher = GlobBuilder::new(glob).literal_separator(true).build().map_err(bad)?.compile_matcher();
        Ok(Self { matcher, by_name: !glob.contains('/') })
    }

    fn matches(&self, path: &str) -> bool {
        let name = path.rsplit('/').next().filter(|_| self.by_name);
        self.matcher.is_match(name.unwrap_or(path))
    }
}

/// The value of a file that is meant as JSON: one that begins as an object or array does, or is named so. Not of others: `1` and
/// `1\n` in a plain file are two different things. `None` where it does not parse.
pub(super) fn json_of(path: &str, content: &[u8]) -> Option<Json> {
    if !is_json(path, content) {
        return None;
    }
    Json::parse(content).ok()
}

/// Whether a file is meant as JSON, whether or not it parses.
pub(super) fn is_json(path: &str, content: &[u8]) -> bool {
    let named = path.rsplit_once('.').is_some_and(|(_, extension)| extension.eq_ignore_ascii_case("json"));
    named || matches!(content.iter().find(|byte| !byte.is_ascii_whitespace()), Some(b'{' | b'['))
}

/// Sorts the lines of a text; a last line without its end counts as one with it.
fn sort_lines(content: &mut Vec<u8>) {
    let mut lines: Vec<&[u8]> = content.split(|&byte| byte == b'\n').collect();
    if lines.last().is_some_and(|line| line.is_empty()) {
        lines.pop();
    }
    lines.sort_unstable();
    *content = lines.into_iter().flat_map(|line| [line, b"\n"]).flatten().copied().collect();
}

/// All paths of several trees, each once, in order.
pub(super) fn paths<'a>(trees: impl IntoIterator<Item = &'a Tree>) -> BTreeSet<&'a String> {
    trees.into_iter().flat_map(|tree| tree.keys()).collect()
}

#[cfg(test)]
mod tests {
    use super::Normalize;
    use crate::model::{Entry, Outcome, Tree};

    fn outcome(files: &[(&str, &str)], stdout: &[&str]) -> Outcome {
        let file = |text: &str| Entry::File { mode: 0o644, content: text.as_bytes().to_vec() };
        Outcome {
            tree: files.iter().map(|(path, text)| ((*path).to_owned(), file(text))).collect::<Tree>(),
            stdout: stdout.iter().map(|text| text.as_bytes().to_vec()).collect(),
            ..Outcome::default()
        }
    }

    fn same(rules: &Normalize, a: &Outcome, b: &Outcome) -> bool {
        rules.outcome(a) == rules.outcome(b)
    }

    #[test]
    fn json_is_compared_by_value_and_the_rest_by_bytes() {
        let rules = Normalize::default();
        for (path, a, b, equal) in [
            ("m.json", "{\"a\":1,\"b\":[2]}", "{ \"b\": [2],\n\"a\": 1 }\n", true),
            ("m.json", "{\"a\":1}", "{\"a\":2}", false),
            ("m.json", "{\"a\":[1,2]}", "{\"a\":[2,1]}", false),
            ("no-extension", " {\"a\":1}", "{\"a\":1}", true),
            ("n.json", "1", "1\n", true),
            ("n.txt", "1", "1\n", false),
            ("m.json", "{\"a\":1", "{\"a\":1 ", false),
            ("m.json", "{\"n\":100000000000000000000000}", "{\"n\":100000000000000000000001}", false),
            ("m.json", "{\"a\":1,\"a\":2}", "{\"a\":2}", false),
        ] {
            assert_eq!(
                same(&rules, &outcome(&[(path, a)], &[]), &outcome(&[(path, b)], &[])),
                equal,
                "{path} {a} {b}"
            );
        }
    }

    #[test]
    fn modes_links_and_paths_count() {
        let rules = Normalize::default();
        let one = |entry: Entry| Outcome { tree: [("x".to_owned(), entry)].into(), ..Outcome::default() };
        let file = |mode| one(Entry::File { mode, content: Vec::new() });
        assert!(!same(&rules, &file(0o600), &file(0o644)));
        assert!(!same(&rules, &file(0o600), &one(Entry::Dir { mode: 0o600 })));
        let link = |target: &str| one(Entry::Link { target: target.into() });
        assert!(!same(&rules, &link("a"), &link("b")));
        assert!(!same(&rules, &outcome(&[("a", "")], &[]), &outcome(&[("b", "")], &[])));
    }

    #[test]
    fn globs_leave_out_names_at_any_depth_and_paths_where_they_have_a_slash() {
        let rules = Normalize::new(&["*.lock".into(), "logs/*".into(), "cache".into()], &[]).unwrap();
        for (path, ignored) in [
            ("a.lock", true),
            ("deep/down/a.lock", true),
            ("a.lock.txt", false),
            ("logs/1", true),
            ("logs", false),
            ("x/logs/1", false),
            ("cache/deep/file", true),
            ("cachet", false),
        ] {
            assert_eq!(rules.ignores(path), ignored, "{path}");
        }
        let error = Normalize::new(&["[".into()], &[]).unwrap_err();
        assert_eq!(error.to_string(), "`[` is not a glob: unclosed character class; missing ']'");
    }

    #[test]
    fn unordered_files_and_outputs_are_compared_as_multisets_of_lines() {
        let rules = Normalize::new(&[], &["*.log".into(), "stdout".into()]).unwrap();
        let first = outcome(&[("a.log", "x\ny\nx\n")], &["1\n2"]);
        assert!(same(&rules, &first, &outcome(&[("a.log", "y\nx\nx")], &["2\n1\n"])));
        assert!(!same(&rules, &first, &outcome(&[("a.log", "y\nx\n")], &["2\n1\n"])));
        assert!(!same(&rules, &outcome(&[("b.txt", "x\ny\n")], &[]), &outcome(&[("b.txt", "y\nx\n")], &[])));
        let silent = Normalize::new(&["stdout".into()], &[]).unwrap();
        assert!(same(&silent, &outcome(&[], &["pid 1"]), &outcome(&[], &["pid 2"])));
    }
}
