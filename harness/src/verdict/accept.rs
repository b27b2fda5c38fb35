use std::fmt;
use std::str::FromStr;

use globset::{GlobBuilder, GlobMatcher};

use crate::model::{Gap, GapKind};

/// Gaps that the user accepts: of one kind, of all paths or of those that a glob matches.
#[derive(Clone, Debug)]
pub struct Accept {
    kind: GapKind,
    glob: Option<(String, GlobMatcher)>,
}

/// An `--accept` that cannot be understood.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("--accept {text}: {problem}")]
pub struct BadAccept {
    /// What was given.
    pub text: String,
    /// What is wrong with it.
    pub problem: String,
}

impl FromStr for Accept {
    type Err = BadAccept;

    fn from_str(text: &str) -> Result<Self, BadAccept> {
        let bad = |problem: String| BadAccept { text: text.to_owned(), problem };
        let (kind, glob) = match text.split_once(':') {
            Some((kind, glob)) => (kind, Some(glob)),
            None => (text, None),
        };
        let kind = kind.parse().map_err(bad)?;
        let compile = |glob: &str| {
            let built = GlobBuilder::new(glob).literal_separator(true).build();
            built
                .map(|built| (glob.to_owned(), built.compile_matcher()))
                .map_err(|error| bad(error.to_string()))
        };
        Ok(Self { kind, glob: glob.map(compile).transpose()? })
    }
}

impl fmt::Display for Accept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.glob {
            Some((glob, _)) => write!(f, "{}:{glob}", self.kind),
            None => write!(f, "{}", self.kind),
        }
    }
}

impl Accept {
    fn takes(&self, kind: GapKind, path: &str) -> bool {
        self.kind == kind && self.glob.as_ref().is_none_or(|(_, glob)| glob.is_match(path))
    }

    /// Whether it takes something of a gap.
    fn concerns(&self, gap: &Gap) -> bool {
        let whole = self.kind == gap.kind && self.glob.is_none();
        whole || gap.paths.iter().any(|path| self.takes(gap.kind, path))
    }
}

/// The gaps, each with whether these accept it: a gap of several paths is accepted if each of its paths is.
#[must_use]
pub fn accepted(mut gaps: Vec<Gap>, by: &[Accept]) -> Vec<Gap> {
    for gap in &mut gaps {
        let whole = by.iter().any(|accept| accept.kind == gap.kind && accept.glob.is_none());
        let each = |path: &String| by.iter().any(|accept| accept.takes(gap.kind, path));
        gap.accepted = whole || !gap.paths.is_empty() && gap.paths.iter().all(each);
    }
    gaps
}

/// Those of them that concern none of these gaps.
#[must_use]
pub fn unmatched(by: &[Accept], gaps: &[Gap]) -> Vec<String> {
    let idle = by.iter().filter(|accept| !gaps.iter().any(|gap| accept.concerns(gap)));
    idle.map(ToString::to_string).collect()
}

#[cfg(test)]
mod tests {
    use super::{Accept, accepted, unmatched};
    use crate::model::{Gap, GapKind};

    fn gap(kind: GapKind, paths: &[&str]) -> Gap {
        let paths = paths.iter().map(|path| (*path).to_owned()).collect();
        Gap { kind, processes: Vec::new(), paths, detail: String::new(), hides_races: true, accepted: false }
    }

    #[test]
    fn a_gap_is_accepted_by_its_kind_and_by_each_of_its_paths() {
        let accepts = |texts: &[&str], gap: Gap| {
            let by: Vec<Accept> = texts.iter().map(|text| text.parse().expect("an accept")).collect();
            (accepted(vec![gap.clone()], &by)[0].accepted, unmatched(&by, &[gap]).len())
        };
        let two = || gap(GapKind::OutsideWrite, &["/tmp/a", "/var/log/b"]);
        assert_eq!(accepts(&[], two()), (false, 0));
        assert_eq!(accepts(&["outside-write"], two()), (true, 0));
        assert_eq!(accepts(&["outside-read"], two()), (false, 1));
        assert_eq!(accepts(&["outside-write:/tmp/*"], two()), (false, 0));
        assert_eq!(accepts(&["outside-write:/tmp/*", "outside-write:/var/**"], two()), (true, 0));
        assert_eq!(accepts(&["outside-write:/tmp/*"], gap(GapKind::OutsideWrite, &[])), (false, 1));
        assert_eq!(accepts(&["network"], gap(GapKind::Network, &[])), (true, 0));
    }

    #[test]
    fn what_cannot_be_accepted_is_named() {
        let error = "outside:/tmp".parse::<Accept>().expect_err("no kind").to_string();
        assert!(error.starts_with("--accept outside:/tmp: `outside` is no kind of gap"), "{error}");
        assert!("network:[".parse::<Accept>().is_err());
    }
}
