//! What the verdict rests on, besides the executions: which processes work at all, what was not covered, whether the first serial order repeats.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::PoisonError;

use super::ending::{Unfinish, Unfinished};
use super::serial::{How, names};
use super::{Session, SessionError};
use crate::backend::Backend;
use crate::explore::Serial;
use crate::limits::Phase;
use crate::model::{
    Does, End, Execution, Exit, Gap, GapKind, Outcome, ProcessId, Root, conflicts, footprint, written,
};
use crate::oracle::{Order, SerialRun};
use crate::report::Basis;
use crate::tracer::Lookup;
use crate::verdict::{Accept, Coverage, SerialFailure};
use crate::witness::Divergence;

/// How many bytes of a standard error are kept of a process that fails.
const MOST_SAID: usize = 64 << 10;

/// What is known of the serial runs and of the first execution.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// The end of what each process wrote to its standard error in the first serial run in which it failed.
    said: BTreeMap<ProcessId, String>,
    /// The files that each process wrote in the first serial run.
    written: BTreeMap<ProcessId, BTreeSet<String>>,
    /// Whether something that the processes changed or printed in a serial run counts in its outcome.
    compared: bool,
    /// How many pairs of operations conflict in the first execution of the search.
    conflicts: Option<u64>,
    /// The first serial run that came to its end.
    first: Option<First>,
    /// Gaps that running it again has shown.
    differing: BTreeSet<Gap>,
}

/// The first serial run that came to its end.
#[derive(Debug)]
struct First {
    order: Vec<ProcessId>,
    execution: Execution,
    /// The paths outside the workspace that each process looked up.
    lookups: Vec<Vec<Lookup>>,
}

impl Known {
    /// Takes note of a serial run that came to its end.
    pub(super) fn note_serial(
        &mut self,
        order: &[ProcessId],
        execution: &Execution,
        lookups: Vec<Vec<Lookup>>,
    ) {
        if self.first.is_none() {
            self.first = Some(First { order: order.to_vec(), execution: execution.clone(), lookups });
            self.written = written(&execution.trace);
        }
    }

    /// Whether a serial run has come to its end.
    pub(super) fn has_first(&self) -> bool {
        self.first.is_some()
    }

    /// Takes note of an execution of the search.
    pub(super) fn note_execution(&mut self, execution: &Execution) {
        self.conflicts.get_or_insert_with(|| conflicts(&execution.trace));
    }

    /// Takes note of what a process that failed wrote to its standard error.
    pub(super) fn note_said(&mut self, process: ProcessId, said: &[u8]) {
        let end = &said[said.len().saturating_sub(MOST_SAID)..];
        self.said.entry(process).or_insert_with(|| String::from_utf8_lossy(end).into_owned());
    }

    /// The last line that a process wrote to its standard error when it failed.
    pub(super) fn last_line(&self, process: ProcessId) -> &str {
        let said = self.said.get(&process).map_or("", String::as_str);
        said.lines().rev().map(str::trim).find(|line| !line.is_empty()).unwrap_or("it says nothing")
    }
}

impl Session<'_> {
    /// Takes note of whether something counts of what a serial run left.
    pub(super) fn note_compared(&mut self, outcome: &Outcome) {
        let rules = self.serial.rules();
        let printed = outcome.stdout.iter().any(|out| !out.is_empty()) && !rules.ignores_stdout();
        let alone = |said: &Option<String>| said.as_ref().is_some_and(|said| !said.trim().is_empty());
        let last = outcome.last.as_ref().is_some_and(|(_, said)| !said.trim().is_empty());
        let left = outcome.canon.is_none()
            && self.known_serial.written.values().flatten().any(|path| !rules.ignores(path));
        let checked = self.job.scenario.check.is_some();
        self.known_serial.compared |= printed || last || left || checked || alone(&outcome.canon);
    }

    /// How a process ends that fails in every serial order; as in the first of them.
    pub(super) fn fails_always(&self, process: ProcessId) -> Option<Exit> {
        let runs = self.serial.runs().iter().filter(|run| !run.order.left_out.contains(&process));
        let failed = |run: &SerialRun| run.outcome.exits_of(process).find(|exit| !exit.is_success());
        let exits: Vec<Option<Exit>> = runs.map(failed).collect();
        exits.first().copied().flatten().filter(|_| exits.iter().all(Option::is_some))
    }

    /// The processes that succeed in no serial order, except those that may fail.
    fn serial_failures(&self) -> Vec<SerialFailure> {
        let needed = self.job.scenario.processes.iter().enumerate().filter(|(_, process)| !process.may_fail);
        let failure = |process: ProcessId| {
            let said = self.known_serial.said.get(&process).cloned().unwrap_or_default();
            Some(SerialFailure::new(process, self.fails_always(process)?, said))
        };
        needed.filter_map(|(number, _)| failure(ProcessId(number))).collect()
    }

    /// Runs the first serial order again, and holds it against the first time: the same calls must give the same results, and the same
    /// paths outside the workspace must lead to the same. If a path does not, that is a gap: something stays from run to run.
    ///
    /// # Errors
    /// If it is not the same although all paths are, and those of running it.
    pub(super) fn repeat_first_serial_order(&mut self) -> Result<(), SessionError> {
        let Some(first) = self.known_serial.first.take() else { return Ok(()) };
        let limits = self.limits.clone();
        let _serial = limits.during(Phase::Serial);
        self.tracer.record_lookups(true);
        let again = self.run_as(Serial::Units(&first.order), &[], &[], How::Afresh);
        let lookups = self.tracer.last_lookups();
        self.tracer.record_lookups(false);
        let (_, again) = again?;
        let differs = super::evidence::difference(&first.execution, &again, self.serial.rules());
        let parted = parted(&first.lookups, &lookups);
        let order = first.order.clone();
        self.known_serial.first = Some(first);
        match (parted, differs) {
            // A file that is replaced unread, such as a log, may well be another one each time.
            (Some(Parted::Found(_, path)), None) if !self.is_seen_from_earlier(&path) => Ok(()),
            (Some(Parted::Found(process, path)), _) => {
                self.keep_serial_again(&order, again)?;
                self.known_serial.differing.insert(Gap {
                    kind: GapKind::PersistentEffect,
                    processes: vec![process],
                    paths: vec![path],
                    detail: "what stands there differs between two runs of the same serial order".to_owned(),
                    hides_races: true,
                    accepted: false,
                });
                Ok(())
            }
            (_, Some(divergence)) => Err(SessionError::Divergence(Box::new(divergence))),
            (Some(Parted::Path(process, [expected, actual])), None) => {
                let what = format!(
                    "the path outside the workspace that {process} looks up (--root overlay may help)"
                );
                Err(SessionError::Divergence(Box::new(Divergence { step: None, what, expected, actual })))
            }
            (None, None) => Ok(()),
        }
    }

    /// Adds what the first serial order leaves if what an earlier run left outside the workspace is there: that is serial, too.
    fn keep_serial_again(&mut self, order: &[ProcessId], mut again: Execution) -> Result<(), SessionError> {
        if again.is_complete() {
            self.afterwards.finish(&mut self.tracer, &mut again)?;
            let order = Order { processes: order.to_vec(), left_out: Vec::new() };
            self.serial.push(SerialRun { order, outcome: again.outcome });
        }
        Ok(())
    }

    /// Whether a process has read what an earlier execution left at this path outside the workspace.
    fn is_seen_from_earlier(&self, path: &str) -> bool {
        let footprints = self.tracer.footprints();
        let touches =
            || footprints.iter().flat_map(|of| of.touches.values()).filter(|touch| touch.path == path);
        // A path with links in it is not known by its text: then it may be.
        touches().next().is_none() || touches().any(|touch| touch.sees_earlier)
    }

    /// Gaps that the session itself knows of.
    fn own_gaps(&self) -> Vec<Gap> {
        let all: Vec<ProcessId> = (0..self.job.programs.len()).map(ProcessId).collect();
        let gap = |kind, detail: &str, hides_races| Gap {
            kind,
            processes: all.clone(),
            paths: Vec::new(),
            detail: detail.to_owned(),
            hides_races,
            accepted: false,
        };
        let mut gaps = Vec::new();
        if self.strands > self.job.programs.len() {
            gaps.push(gap(
                GapKind::MemoryOrder,
                "what threads do to each other in memory came in one order",
                false,
            ));
        }
        let several = self.serial.runs().iter().any(|run| run.order.processes.len() > all.len());
        if !self.serial.complete && several && !self.serial.whole {
            let detail = "updates that are lost to what a process remembers from an earlier unit";
            gaps.push(gap(GapKind::BoundedSerialOrders, detail, true));
        }
        gaps
    }

    /// Whether there is a coverage gap that can hide a race, and nobody accepted it.
    pub(super) fn has_open_gap(&self) -> bool {
        let (gaps, _) = self.coverage().judged(&self.accepts());
        gaps.iter().any(|gap| gap.hides_races && !gap.accepted)
    }

    /// Whether there is a coverage gap that can hide a race, accepted or not.
    pub(super) fn may_hide_a_race(&self) -> bool {
        let (gaps, _) = self.coverage().judged(&self.accepts());
        gaps.iter().any(|gap| gap.hides_races)
    }

    /// The gaps that the scenario accepts. It was validated: each of them can be read.
    fn accepts(&self) -> Vec<Accept> {
        self.job.scenario.accept.iter().filter_map(|text| text.parse().ok()).collect()
    }

    /// All that was not covered, in any run.
    fn coverage(&self) -> Coverage {
        let mut coverage = Coverage::default();
        coverage.sightings.extend(self.tracer.not_covered().iter().cloned());
        coverage.sightings.extend(self.not_covered.iter().cloned());
        coverage.gaps.extend(self.own_gaps());
        coverage.footprints = self.tracer.footprints();
        let ahead = self.ahead.lock().unwrap_or_else(PoisonError::into_inner).clone();
        footprint::merge(&mut coverage.footprints, ahead);
        coverage.changes_stay = self.job.scenario.root == Root::Host;
        let known = footprint::gaps(&coverage.footprints, coverage.changes_stay);
        let is_known = |gap: &&Gap| {
            let same = |other: &&Gap| {
                other.kind == gap.kind && gap.paths.iter().all(|path| other.paths.contains(path))
            };
            known.iter().any(|other| same(&other))
        };
        coverage.gaps.extend(self.known_serial.differing.iter().filter(|gap| !is_known(gap)).cloned());
        coverage
    }

    /// What the verdict rests on.
    pub(super) fn basis(&self) -> Basis {
        let coverage = self.coverage();
        let accept = self.job.scenario.accept.clone();
        let (gaps, unmatched) = coverage.judged(&self.accepts());
        let mut written = self.known_serial.written.clone();
        for footprint in &coverage.footprints {
            written.entry(footprint.process).or_default().extend(footprint.written_paths());
        }
        Basis {
            conflicts: self.known_serial.conflicts,
            written,
            // If they change nothing, that is said instead.
            nothing_compared: !self.known_serial.compared && self.known_serial.conflicts != Some(0),
            gaps,
            coverage,
            accept,
            unmatched,
            serial_failures: self.serial_failures(),
            unfinished: self.unfinished_order(),
            self_check: self.checks.failed.clone(),
            serial: self.job.shard.map(|_| self.serial_to_meet()).unwrap_or_default(),
            why: None,
            remarks: self.remarks(),
        }
    }

    /// What a reader of the verdict should know of how it came about.
    fn remarks(&self) -> Vec<String> {
        let mut remarks = Vec::new();
        if !self.serial.complete && !self.serial.runs().is_empty() {
            let orders: BTreeSet<_> = self.serial.runs().iter().map(|run| &run.order).collect();
            let (run, count) = (orders.len(), self.job.programs.len());
            let units = self.serial.runs().iter().any(|run| run.order.processes.len() > count);
            let of = if units { "merges of the units".to_owned() } else { format!("{count}!") };
            remarks.push(format!("serial orders: {run} of {of} were run, those that the executions suggest"));
        }
        if self.helped {
            remarks.push(
                "no process finishes before another starts: in the serial runs one process goes on as far as it can, and the others run only while it is blocked"
                    .to_owned(),
            );
        }
        if !self.times.ordered.is_empty() {
            let files: Vec<&str> = self.times.ordered.iter().map(String::as_str).collect();
            remarks.push(format!(
                "a process decides by which file was changed last: the order of all changes of {} is explored",
                files.join(", ")
            ));
        }
        remarks.extend(self.impossible_orders());
        let lasts = self.serial.runs().iter().map(|run| run.outcome.last.as_ref().map(|(exit, _)| *exit));
        let failed: Vec<Option<Exit>> = lasts.map(|exit| exit.filter(|exit| !exit.is_success())).collect();
        if let Some(Some(exit)) = failed.first().filter(|_| failed.iter().all(Option::is_some)) {
            remarks.push(format!("--final fails in every serial order ({exit})"));
        }
        for process in (0..self.job.programs.len()).map(ProcessId) {
            if let Some(exit) =
                self.fails_always(process).filter(|_| self.job.scenario.processes[process.0].may_fail)
            {
                remarks
                    .push(format!("{process} fails in every serial order ({exit}), which --may-fail allows"));
            }
        }
        remarks
    }

    /// The first serial order that a bound cut: which bound, and what happened, in words.
    fn unfinished_order(&self) -> Option<(End, String)> {
        let cut = self.unfinished.iter().find_map(|it| match &it.why {
            Unfinish::Steps => Some(End::MaxSteps),
            Unfinish::Endless(endless) => Some(match endless.does {
                Does::Computes => End::CpuLimit,
                Does::Sleeps(_) => End::MaxSteps,
            }),
            Unfinish::Limit(end, _) => Some(*end),
            Unfinish::Waits(_) => None,
        })?;
        Some((cut, self.cut_orders().into_iter().next()?))
    }

    /// The serial orders that cannot come to their end because a process waits for another one, in words.
    fn impossible_orders(&self) -> BTreeSet<String> {
        let told = |it: &Unfinished| match &it.why {
            Unfinish::Waits(stuck) => {
                Some(format!("the serial order {} cannot finish: {stuck}", names(&it.order.processes)))
            }
            _ => None,
        };
        self.unfinished.iter().filter_map(told).collect()
    }
}

/// Where the look-ups of two runs part.
enum Parted {
    /// A process looked up the same path, and found something else there.
    Found(ProcessId, String),
    /// A process looked up another path, or none any more: in the first run and in the second.
    Path(ProcessId, [String; 2]),
}

/// Where the look-ups of a process first part in two runs, if they do.
fn parted(first: &[Vec<Lookup>], second: &[Vec<Lookup>]) -> Option<Parted> {
    let of = |(process, (first, second)): (usize, (&Vec<Lookup>, &Vec<Lookup>))| {
        let process = ProcessId(process);
        let most = first.len().max(second.len());
        let at = (0..most).find(|at| first.get(*at) != second.get(*at))?;
        let path =
            |of: &[Lookup]| of.get(at).map_or_else(|| "no further path".to_owned(), |it| it.path.clone());
        let [one, other] = [path(first), path(second)];
        Some(if one == other { Parted::Found(process, one) } else { Parted::Path(process, [one, other]) })
    };
    first.iter().zip(second).enumerate().find_map(of)
}
