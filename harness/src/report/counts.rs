//! What was tried and how completely, in words that need no manual.

use std::collections::BTreeSet;

use super::expected::word;
use super::{Chance, End, Report};
use crate::model::{GapKind, ProcessId, Verdict};
use crate::scenario::Equivalence;
use crate::verdict::Because;

/// The first line: the verdict, and for one without an anomaly how much stands behind it, or why that is too little.
pub(super) fn verdict(report: &Report, kinds: &[String]) -> String {
    let who = processes(report.commands.len());
    let as_expected =
        report.expectation().is_some_and(|expected| super::differences(expected, report).is_empty());
    let expected = if as_expected { " (as expected)" } else { "" };
    let word = word(report.verdict());
    match report.verdict() {
        Verdict::Anomaly => format!("{word}: {}{expected}", kinds.join(", ")),
        Verdict::Clean if shares_nothing(report) => {
            format!(
                "{word}{expected}, but these commands share nothing that changes: {}{}",
                written(report),
                claim(report)
            )
        }
        Verdict::Clean if report.basis.nothing_compared => format!(
            "{word}{expected}, but nothing is compared: --ignore or --canon leave out everything that {who} change or print{}",
            claim(report)
        ),
        Verdict::Clean => {
            let shard = report.shard.map_or_else(String::new, |shard| format!(" in shard {shard}"));
            format!(
                "{word}{expected}: every interleaving of {who}{shard} gives a result that running them one after another can give{}",
                claim(report)
            )
        }
        Verdict::Inconclusive if report.chance.is_some() => {
            format!("{word}: nothing seen in {}", plural(report.executions, "run"))
        }
        Verdict::Inconclusive => format!("{word}{expected}: {}", why(report)),
    }
}

/// Whether "clean" says less than it seems to.
pub(super) fn is_hollow(report: &Report) -> bool {
    report.verdict() == Verdict::Clean && (shares_nothing(report) || report.basis.nothing_compared)
}

/// Whether no two operations of different processes conflict; what they share by an accepted gap is not known.
fn shares_nothing(report: &Report) -> bool {
    let shared = report.basis.gaps.iter().any(|gap| gap.accepted && gap.hides_races);
    report.basis.conflicts == Some(0) && !shared
}

/// Why there is neither an anomaly nor "clean".
pub(super) fn why(report: &Report) -> String {
    match report.conclusion.because().first() {
        Some(Because::Bound(End::Preemptions)) => {
            format!("no anomaly found, but of all interleavings only {} were tried", clause(report))
        }
        Some(Because::Bound(_)) if report.basis.why.is_some() => {
            format!("no anomaly found, but {}", report.basis.why.as_deref().unwrap_or_default())
        }
        Some(bound @ Because::Bound(_)) => format!("no anomaly found, but {}", bound.sentence()),
        Some(because) => because.sentence(),
        None => "one schedule is not every interleaving".to_owned(),
    }
}

/// What the claim "clean" leaves out, and what the user accepted: a part of the verdict itself.
fn claim(report: &Report) -> String {
    let limits = report.basis.gaps.iter().filter(|gap| GapKind::LIMITS.contains(&gap.kind));
    let mut parts: Vec<String> = limits.map(|gap| gap.detail.clone()).collect();
    let accepted: BTreeSet<&str> = report
        .basis
        .gaps
        .iter()
        .filter(|gap| gap.accepted && gap.hides_races)
        .map(|gap| gap.kind.name())
        .collect();
    if !accepted.is_empty() {
        let kinds: Vec<&str> = accepted.into_iter().collect();
        parts.push(format!("accepted gaps: {}", kinds.join(", ")));
    }
    if parts.is_empty() { String::new() } else { format!(" ({})", parts.join("; ")) }
}

/// How many files of a process are named.
const FILES: usize = 4;

/// What each process wrote: `A writes x and y; B writes nothing`.
fn written(report: &Report) -> String {
    let of = |number: usize| {
        let process = ProcessId(number);
        let files = report.basis.written.get(&process);
        let mut named: Vec<String> = files.into_iter().flatten().take(FILES).cloned().collect();
        let count = files.map_or(0, BTreeSet::len);
        if count > FILES {
            named.push(format!("{} more", count - FILES));
        }
        let named = if named.is_empty() { "nothing".to_owned() } else { named.join(", ") };
        format!("{process} writes {named}")
    };
    (0..report.commands.len()).map(of).collect::<Vec<_>>().join("; ")
}

/// What was covered, in a clause with the number of executions: for programs, and for those who read their logs.
pub(super) fn covered(report: &Report) -> String {
    let executions = plural(report.executions, "execution");
    match report.end {
        End::Everything => match report.shard {
            Some(shard) => format!("every interleaving in shard {shard}: {executions}"),
            None => format!("every interleaving: {executions}"),
        },
        End::Preemptions => format!("{}: {executions}", clause(report)),
        _ if report.chance.is_some() => plural(report.executions, "run"),
        _ if report.strategy == REPLAY => format!("one schedule: {executions}"),
        _ => match &report.covered {
            Some(clause) => format!("{executions} by chance ({}): {clause}", strategy(report)),
            None if is_by_chance(report) => format!("{executions} by chance ({})", strategy(report)),
            None => format!("{executions} of a search that was not finished"),
        },
    }
}

/// The clause that [`covered`] was made from: of a report that is known by its text.
pub(super) fn clause_of(covered: &str, end: End) -> Option<String> {
    let clause = match end {
        End::Preemptions => covered.rsplit_once(": ")?.0,
        End::Everything => return None,
        _ => covered.split_once(" by chance (")?.1.split_once("): ")?.1,
    };
    Some(clause.to_owned())
}

fn clause(report: &Report) -> &str {
    report.covered.as_deref().unwrap_or("those within the bound")
}

/// The figures: executions and how they ended; outcomes against serial ones; what it cost.
pub(super) fn figures(report: &Report) -> String {
    let seconds = format!("{:.2} s", report.elapsed_s);
    if let Some(chance) = &report.chance {
        return by_chance(report, chance) + &format!(" {seconds}.");
    }
    if report.strategy == REPLAY {
        return format!(
            "replayed: {}, each as recorded, and the outcome too; {seconds}",
            plural(report.steps, "step")
        );
    }
    let verified = report.verified.map_or_else(String::new, |count| match count {
        0 => " None of them was run again: there were too few.".into(),
        1 => " 1 of them was run twice more, and each time it was the same.".into(),
        many => format!(" {many} of them were run twice more, and each time they were the same."),
    });
    format!(
        "{}.{verified} {}; the {} {} {}. {} in {seconds}.",
        executions(report),
        plural(report.distinct_outcomes, "distinct outcome"),
        plural(report.serial_runs, "serial run"),
        if report.serial_runs == 1 { "gives" } else { "give" },
        report.serial_outcomes,
        plural(report.steps, "step"),
    )
}

/// What was seen of processes that ran free.
fn by_chance(report: &Report, chance: &Chance) -> String {
    let runs = report.executions;
    let jitter = match chance.jitter_us {
        0 => "all begin together".to_owned(),
        most => format!("each begins up to {most} µs later, seed {}", report.seed),
    };
    let seen = match chance.hits {
        // Hanley and Lippman-Hand, If nothing goes wrong, is everything all right? (JAMA 1983): the rule of three.
        0 if runs > chance.unfinished => format!(
            "none with an anomaly: what chance shows more often than once in {} runs would have been seen (95 %)",
            (runs - chance.unfinished).div_ceil(3)
        ),
        hits => format!("{hits} with an anomaly ({:.2} %)", 100.0 * hits as f64 / runs.max(1) as f64),
    };
    let unfinished = match chance.unfinished {
        0 => String::new(),
        some => format!(", {some} not over in {} s", chance.patience_s),
    };
    let ended = match report.end {
        End::TimeLimit => ", ended by the time limit",
        End::Interrupted => ", interrupted",
        _ => "",
    };
    format!(
        "{} free, side by side ({jitter}){ended}: {seen}{unfinished}. {}; the {} {} {}.",
        plural(runs, "run"),
        plural(report.distinct_outcomes, "distinct outcome"),
        plural(report.serial_runs, "serial run"),
        if report.serial_runs == 1 { "gives" } else { "give" },
        report.serial_outcomes,
    )
}

/// The strategy that a replay goes by.
pub(super) const REPLAY: &str = "replay";

fn executions(report: &Report) -> String {
    let executions = plural(report.executions, "execution");
    let stand = if report.executions == 1 { "stands" } else { "stand" };
    let by = strategy(report);
    let how = match report.end {
        _ if report.exhaustive => {
            let shard = report.shard.map_or_else(String::new, |shard| format!(" in shard {shard}"));
            format!("{executions} {stand} for all interleavings{shard} ({by}, exhaustive)")
        }
        End::Preemptions => format!("{executions} {stand} for {} ({by})", clause(report)),
        End::Anomaly => format!("{executions}, ended by what was found ({by})"),
        End::TimeLimit => format!("{executions}, ended by the time limit ({by})"),
        End::CpuLimit => format!("{executions}, ended by a process that computes without a call ({by})"),
        End::Interrupted => format!("{executions}, interrupted ({by})"),
        End::Error => format!("{executions}, ended by an error ({by})"),
        End::MaxExecutions if is_by_chance(report) => format!("{executions} by chance ({by})"),
        End::MaxExecutions => format!("{executions}, ended by their number ({by})"),
        End::MaxSteps | End::Everything => format!("{executions}, not exhaustive ({by})"),
    };
    let mut ends = vec![format!("{} complete", report.complete)];
    if report.blocked > 0 {
        ends.push(format!("{} blocked in a deadlock", report.blocked));
    }
    if report.redundant > 0 {
        ends.push(format!("{} cut as redundant", report.redundant));
    }
    if report.elsewhere > 0 {
        ends.push(format!("{} of another shard", report.elsewhere));
    }
    // Of results that were joined the numbers may be anything.
    let ends_known = [report.complete, report.blocked, report.redundant, report.elsewhere];
    let known = ends_known.into_iter().fold(0, u64::saturating_add);
    if report.executions > known {
        ends.push(format!("{} cut at the limit of steps", report.executions - known));
    }
    let each = report.covered.as_ref().filter(|_| is_by_chance(report));
    let each = each.map_or_else(String::new, |clause| format!("; {clause}"));
    format!("{how}: {}{each}", ends.join(", "))
}

/// Whether a seed decided which executions there were.
pub(super) fn is_by_chance(report: &Report) -> bool {
    !["dpor", "dfs", REPLAY].contains(&report.strategy.as_str())
}

/// The strategy, and its seed where chance plays a part.
fn strategy(report: &Report) -> String {
    if is_by_chance(report) {
        format!("{}, seed {}", report.strategy, report.seed)
    } else if report.equivalence == Equivalence::Observed {
        format!("{}, merging what nobody can tell apart", report.strategy)
    } else {
        report.strategy.clone()
    }
}

/// `A and B`, `A, B and C`, `A to H`.
fn processes(count: usize) -> String {
    let name = |number: usize| ProcessId(number).to_string();
    match count {
        0 => "nothing".into(),
        1 => name(0),
        2 => "A and B".into(),
        3 => "A, B and C".into(),
        more => format!("A to {}", name(more - 1)),
    }
}

/// `1 step`, `2 steps`, `3 context switches`.
pub(crate) fn plural(count: u64, what: &str) -> String {
    let ending = if what.ends_with("ch") { "es" } else { "s" };
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}{ending}") }
}
