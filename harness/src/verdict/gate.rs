use serde::{Deserialize, Serialize};

use super::coverage::sentence;
use crate::model::{End, Exit, Gap, GapKind, ProcessId, Verdict};

/// How many gaps the verdict names.
pub const NAMED: usize = 3;

/// A process that succeeds in no serial order.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SerialFailure {
    /// Which process.
    pub process: ProcessId,
    /// How it ends in the first serial order, in words: `exit 1`, `signal 9`.
    pub status: String,
    /// The last lines of its standard error there.
    pub stderr: String,
}

impl SerialFailure {
    /// The failure of a process that ended like this, having written this to its standard error.
    #[must_use]
    pub fn new(process: ProcessId, exit: Exit, stderr: String) -> Self {
        Self { process, status: exit.to_string(), stderr }
    }
}

/// All that the gate looks at.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// Why the search ended.
    pub end: End,
    /// Whether an anomaly was found and replayed.
    pub confirmed: bool,
    /// An anomaly that was found and could not be replayed.
    pub unconfirmed: bool,
    /// The processes that succeed in no serial order, except those that may fail.
    pub serial_failures: &'a [SerialFailure],
    /// A serial order that a bound cut: which bound, and which order, in words.
    pub unfinished: Option<(End, &'a str)>,
    /// All coverage gaps.
    pub gaps: &'a [Gap],
    /// What a self-check found wrong.
    pub self_check: Option<&'a str>,
}

impl Facts<'_> {
    /// The facts of a search that ended like this, without anything that forbids "clean" besides.
    #[must_use]
    pub fn of(end: End) -> Self {
        Self {
            end,
            confirmed: false,
            unconfirmed: false,
            serial_failures: &[],
            unfinished: None,
            gaps: &[],
            self_check: None,
        }
    }
}

/// A reason not to say "clean".
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Because {
    /// A self-check failed.
    SelfCheck(String),
    /// Processes succeed in no serial order.
    SerialFailure(Vec<SerialFailure>),
    /// A serial order did not finish, because of this bound.
    Unfinished(End, String),
    /// Coverage gaps that can hide a race.
    Coverage(Vec<Gap>),
    /// An anomaly was found, and there was no time to replay it.
    Unconfirmed(End),
    /// The search did not come to its end.
    Bound(End),
}

/// What an exploration concludes, and why it does not say "clean".
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Conclusion {
    verdict: Verdict,
    because: Vec<Because>,
}

impl Conclusion {
    /// The verdict.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// The reasons not to say "clean", the first one first. An anomaly needs none.
    #[must_use]
    pub fn because(&self) -> &[Because] {
        &self.because
    }

    /// The conclusion of a run of one schedule, or of a part of a search: an anomaly, or nothing that can be called clean.
    #[must_use]
    pub fn of_a_part(anomaly: bool) -> Self {
        let verdict = if anomaly { Verdict::Anomaly } else { Verdict::Inconclusive };
        Self { verdict, because: Vec::new() }
    }
}

/// A condition of the gate that a test takes away, to see that it matters. Not part of the interface.
#[doc(hidden)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum GateFault {
    SelfCheck,
    SerialFailure,
    Unfinished,
    Coverage,
    Unconfirmed,
    Bound,
}

/// Concludes: the only function that says "clean".
#[must_use]
pub fn conclude(facts: &Facts<'_>) -> Conclusion {
    conclude_with(facts, None)
}

/// The same, without the condition that `fault` names. Not part of the interface.
#[doc(hidden)]
#[must_use]
pub fn conclude_with(facts: &Facts<'_>, fault: Option<GateFault>) -> Conclusion {
    let holds = |condition| fault != Some(condition);
    let mut because = Vec::new();
    if let Some(what) = facts.self_check.filter(|_| holds(GateFault::SelfCheck)) {
        because.push(Because::SelfCheck(what.to_owned()));
    }
    if !facts.serial_failures.is_empty() && holds(GateFault::SerialFailure) {
        because.push(Because::SerialFailure(facts.serial_failures.to_vec()));
    }
    if let Some((end, order)) = facts.unfinished.filter(|_| holds(GateFault::Unfinished)) {
        because.push(Because::Unfinished(end, order.to_owned()));
    }
    let open: Vec<Gap> = facts.gaps.iter().filter(|gap| gap.hides_races && !gap.accepted).cloned().collect();
    if !open.is_empty() && holds(GateFault::Coverage) {
        because.push(Because::Coverage(open));
    }
    if facts.unconfirmed && holds(GateFault::Unconfirmed) {
        because.push(Because::Unconfirmed(facts.end));
    }
    // A bound that cut a serial order is reported with that order.
    let told = facts.unfinished.is_some_and(|(end, _)| end == facts.end);
    if facts.end != End::Everything && !told && holds(GateFault::Bound) {
        because.push(Because::Bound(facts.end));
    }
    let verdict = match because.as_slice() {
        _ if facts.confirmed => Verdict::Anomaly,
        [] => Verdict::Clean,
        _ => Verdict::Inconclusive,
    };
    Conclusion { verdict, because }
}

impl Because {
    /// The reason in a word, as JSON has it.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::SelfCheck(_) => "self-check",
            Self::SerialFailure(_) => "serial-failure",
            Self::Coverage(_) => "coverage",
            Self::Unfinished(end, _) | Self::Unconfirmed(end) | Self::Bound(end) => end.word(),
        }
    }

    /// The reason in a sentence, without a stop at its end.
    #[must_use]
    pub fn sentence(&self) -> String {
        match self {
            Self::SelfCheck(what) => format!("a self-check failed: {what}"),
            Self::SerialFailure(failures) => {
                let each: Vec<String> = failures.iter().map(one_failure).collect();
                let (verb, whose) = if failures.len() == 1 { ("fails", "it") } else { ("fail", "them") };
                format!(
                    "{} {verb} in every serial order, so no run of {whose} that works was tested",
                    each.join(" and ")
                )
            }
            Self::Unfinished(_, order) => order.clone(),
            Self::Coverage(gaps) => {
                let mut named: Vec<String> = gaps.iter().take(NAMED).map(sentence).collect();
                if gaps.len() > NAMED {
                    named.push(format!("{} more gaps (below)", gaps.len() - NAMED));
                }
                named.join("; ")
            }
            Self::Unconfirmed(end) => format!("{} before the anomaly could be replayed", end.sentence()),
            Self::Bound(end) => end.sentence().to_owned(),
        }
    }

    /// What the user can do about it, in sentences.
    #[must_use]
    pub fn remedies(&self) -> Vec<String> {
        match self {
            Self::SelfCheck(_) => {
                vec!["This is a fault of cooks: please report it with the commands and this message.".into()]
            }
            Self::SerialFailure(failures) => vec![failure_remedy(failures)],
            Self::Coverage(gaps) => coverage_remedies(gaps),
            Self::Unfinished(End::TimeLimit, _) => {
                vec!["Raise --time-limit. If a process never ends by itself, make it end.".into()]
            }
            Self::Unfinished(end, _) | Self::Unconfirmed(end) | Self::Bound(end) => {
                end.remedy().into_iter().map(str::to_owned).collect()
            }
        }
    }
}

/// `A (exit 1)`.
fn one_failure(failure: &SerialFailure) -> String {
    format!("{} ({})", failure.process, failure.status)
}

fn failure_remedy(failures: &[SerialFailure]) -> String {
    let whose = match failures {
        [one] => format!("{}'s -p", one.process),
        _ => "each such -p".into(),
    };
    format!(
        "Look at the command and at --dir: each process starts in a copy of that folder. If failing is right, give --may-fail after {whose}."
    )
}

/// For each kind of gap once: its remedy, and how to accept all of that kind that are open.
fn coverage_remedies(gaps: &[Gap]) -> Vec<String> {
    let mut kinds: Vec<GapKind> = gaps.iter().map(|gap| gap.kind).collect();
    kinds.dedup();
    let accept = |kind: GapKind| {
        let mut paths: Vec<&String> =
            gaps.iter().filter(|gap| gap.kind == kind).flat_map(|gap| &gap.paths).collect();
        paths.sort();
        paths.dedup();
        match paths.as_slice() {
            [one] if !one.contains(char::is_whitespace) => format!("{kind}:{one}"),
            _ => kind.to_string(),
        }
    };
    kinds
        .into_iter()
        .map(|kind| format!("{} To accept it: --accept {}.", kind.remedy(), accept(kind)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{Because, Facts, GateFault, SerialFailure, conclude, conclude_with};
    use crate::model::{End, Exit, Gap, GapKind, ProcessId, Verdict};

    fn gap(hides_races: bool, accepted: bool) -> Gap {
        Gap {
            kind: GapKind::OutsideWrite,
            processes: vec![ProcessId(0), ProcessId(1)],
            paths: vec!["/tmp/c".into()],
            detail: "both change it".into(),
            hides_races,
            accepted,
        }
    }

    /// For each condition of the gate, facts that it alone forbids to call clean.
    fn with_each_condition(check: &mut dyn FnMut(GateFault, &Facts<'_>, &str)) {
        let of = Facts::of;
        check(GateFault::SelfCheck, &Facts { self_check: Some("x"), ..of(End::Everything) }, "self-check");
        let failures = [SerialFailure::new(ProcessId(1), Exit::Status(1), "a\nno such file\n\n".into())];
        let failed = Facts { serial_failures: &failures, ..of(End::Everything) };
        check(GateFault::SerialFailure, &failed, "serial-failure");
        let unfinished = Facts { unfinished: Some((End::MaxSteps, "A, B")), ..of(End::Everything) };
        check(GateFault::Unfinished, &unfinished, "max-steps");
        let gaps = [gap(false, false), gap(true, true), gap(true, false)];
        check(GateFault::Coverage, &Facts { gaps: &gaps, ..of(End::Everything) }, "coverage");
        check(GateFault::Unconfirmed, &Facts { unconfirmed: true, ..of(End::Everything) }, "everything");
        for end in End::ALL.iter().filter(|end| **end != End::Everything) {
            check(GateFault::Bound, &of(*end), end.word());
        }
    }

    #[test]
    fn each_condition_forbids_clean_and_without_it_the_gate_says_clean() {
        let mut seen = 0;
        with_each_condition(&mut |fault, facts, word| {
            let conclusion = conclude(facts);
            assert_eq!(conclusion.verdict(), Verdict::Inconclusive, "{facts:?}");
            assert_eq!(conclusion.because().iter().map(Because::word).collect::<Vec<_>>(), [word]);
            assert_eq!(conclude_with(facts, Some(fault)).verdict(), Verdict::Clean, "{fault:?}");
            let confirmed = Facts { confirmed: true, ..*facts };
            assert_eq!(conclude(&confirmed).verdict(), Verdict::Anomaly);
            seen += 1;
        });
        assert_eq!(seen, 4 + End::ALL.len());
    }

    #[test]
    fn gaps_that_hide_nothing_or_were_accepted_forbid_nothing() {
        let gaps = [gap(false, false), gap(true, true)];
        assert_eq!(conclude(&Facts { gaps: &gaps, ..Facts::of(End::Everything) }).verdict(), Verdict::Clean);
    }

    #[test]
    fn a_reason_names_who_and_what_and_how_to_mend_it() {
        let failures = [SerialFailure::new(ProcessId(1), Exit::Status(1), "a\nno such file\n\n".into())];
        let conclusion = conclude(&Facts { serial_failures: &failures, ..Facts::of(End::Everything) });
        let [because] = conclusion.because() else { panic!("{conclusion:?}") };
        assert_eq!(
            because.sentence(),
            "B (exit 1) fails in every serial order, so no run of it that works was tested"
        );
        assert!(because.remedies()[0].contains("--may-fail after B's -p"), "{:?}", because.remedies());
        let gaps = [gap(true, false)];
        let conclusion = conclude(&Facts { gaps: &gaps, ..Facts::of(End::Everything) });
        let [because] = conclusion.because() else { panic!("{conclusion:?}") };
        assert!(
            because.remedies()[0].ends_with("--accept outside-write:/tmp/c."),
            "{:?}",
            because.remedies()
        );
    }
}
