//! Which values are merged otherwise than whole, by path.

/// How a value is merged where both sides changed it.
///
/// A strategy says what a value *means*; where the values are not of that kind, they are merged as if none were given.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Strategy {
    /// An array of distinct values whose order means nothing. What either side added is there, what either side
    /// removed is not; there are no conflicts inside. Order: as on disk, then what I added, in my order.
    /// An array with the same value twice is no set.
    Set,
    /// An array of objects that are told apart by this field, a string or a whole number. Merged as an object whose
    /// keys are the values of that field; in the path of a conflict inside, such a key stands for the element.
    /// Order: as on disk, then what I added, in my order. An array with an element that lacks the field, or with
    /// the same key twice, is no such list. `1` and `"1"` are the same key.
    Keyed(String),
    /// A number that is counted up or down: both differences are applied (disk + mine - base; a missing base is 0).
    /// Exact for whole numbers; a result that 64 bits do not hold is a [`Conflict`](super::Conflict), and so is a sum
    /// of a fraction and a whole number beyond 2^53.
    ///
    /// Two equal changes are two changes here. So a difference must not be applied again: the base for the next
    /// save is what the last one returned.
    Counter,
}

/// A pattern that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{pattern:?} cannot be used as a pattern: {why}")]
pub struct BadPattern {
    /// The pattern as it was given.
    pub pattern: String,
    /// The rule that it breaks.
    pub why: &'static str,
}

/// Which [`Strategy`] is used where. Empty by default: every value is a whole one, but for objects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Strategies {
    rules: Vec<(Vec<Step>, Strategy)>,
}

/// One key of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Any,
    Key(String),
}

impl Strategies {
    /// None yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// These, and one for the paths that match `pattern`: a JSON pointer (RFC 6901) in which `*` stands for any one
    /// key. In metadata the first key is the agent id: `/*/tags` is the field `tags` of every agent. Inside of a
    /// [`Strategy::Keyed`] list, a key is an element: `/*/tasks/*/tags`. Where several match, the last one counts.
    ///
    /// # Errors
    /// [`BadPattern`] for what is no JSON pointer, and for the empty one, which would be the whole document.
    pub fn with(mut self, pattern: &str, strategy: Strategy) -> Result<Self, BadPattern> {
        let bad = |why| BadPattern { pattern: pattern.to_owned(), why };
        let keys = pattern.strip_prefix('/').ok_or_else(|| bad("it does not begin with a slash"))?;
        let steps = keys.split('/').map(step).collect::<Option<_>>();
        let steps = steps.ok_or_else(|| bad("a tilde stands before something else than 0 or 1"))?;
        self.rules.push((steps, strategy));
        Ok(self)
    }

    /// Whether there is none: then a merge of the same change twice is the same as once.
    pub(crate) fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// The strategy for the value at `path`.
    pub(super) fn at(&self, path: &[String]) -> Option<&Strategy> {
        let matches = |steps: &[Step]| {
            let same = |(step, key): (&Step, &String)| matches!(step, Step::Any) || step.is(key);
            steps.len() == path.len() && steps.iter().zip(path).all(same)
        };
        self.rules.iter().rev().find(|(steps, _)| matches(steps)).map(|(_, strategy)| strategy)
    }
}

impl Step {
    fn is(&self, key: &str) -> bool {
        matches!(self, Step::Key(own) if own == key)
    }
}

fn step(text: &str) -> Option<Step> {
    if text == "*" {
        return Some(Step::Any);
    }
    let mut parts = text.split('~');
    let mut key = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        // Each part follows a tilde.
        let (escaped, rest) = part.split_at_checked(1)?;
        key.push(match escaped {
            "0" => '~',
            "1" => '/',
            _ => return None,
        });
        key.push_str(rest);
    }
    Some(Step::Key(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(strategies: &Strategies, path: &[&str]) -> Option<Strategy> {
        strategies.at(&path.iter().map(|&key| key.to_owned()).collect::<Vec<_>>()).cloned()
    }

    #[test]
    fn a_pattern_matches_whole_paths_and_the_last_one_counts() {
        let strategies = Strategies::new()
            .with("/*/tags", Strategy::Set)
            .and_then(|all| all.with("/chef/tags", Strategy::Counter))
            .and_then(|all| all.with("/a~1b/~0/", Strategy::Set))
            .expect("valid patterns");
        assert_eq!(at(&strategies, &["baker", "tags"]), Some(Strategy::Set));
        assert_eq!(at(&strategies, &["chef", "tags"]), Some(Strategy::Counter));
        assert_eq!(at(&strategies, &["a/b", "~", ""]), Some(Strategy::Set));
        for other in
            [&[] as &[&str], &["tags"], &["chef"], &["chef", "tags", "x"], &["chef", "*"], &["", "tag"]]
        {
            assert_eq!(at(&strategies, other), None, "{other:?}");
        }
    }

    #[test]
    fn what_is_no_json_pointer_is_refused() {
        for bad in ["", "tags", "*", "/a~", "/a~2", "/~é", "/a/~/b"] {
            Strategies::new().with(bad, Strategy::Set).expect_err(bad);
        }
    }
}
