use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::accept::{Accept, accepted, unmatched};
use crate::model::footprint::{self, Footprint};
use crate::model::{Gap, GapKind, ProcessId, Reach, Sighting};

/// All that the runs of an exploration, or of a part of it, did and that was not scheduled. That of several parts can be joined.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Coverage {
    /// What single processes did.
    pub sightings: BTreeSet<Sighting>,
    /// Gaps that are known as such.
    #[serde(default)]
    pub gaps: BTreeSet<Gap>,
    /// What each process touched outside the workspace.
    #[serde(default)]
    pub footprints: Vec<Footprint>,
    /// Whether what the processes change outside the workspace stays for the next execution.
    #[serde(default)]
    pub changes_stay: bool,
}

impl Coverage {
    /// Takes up what another part did.
    pub fn join(&mut self, other: &Self) {
        self.sightings.extend(other.sightings.iter().cloned());
        self.gaps.extend(other.gaps.iter().cloned());
        footprint::merge(&mut self.footprints, other.footprints.clone());
        self.changes_stay |= other.changes_stay;
    }

    /// The gaps, sorted, each with whether it is accepted; and the accepts that concern none of them.
    #[must_use]
    pub fn judged(&self, by: &[Accept]) -> (Vec<Gap>, Vec<String>) {
        let mut gaps = joined(&self.sightings);
        gaps.extend(self.gaps.iter().cloned());
        gaps.extend(footprint::gaps(&self.footprints, self.changes_stay));
        gaps.sort();
        gaps.dedup();
        // What hides a race is not listed a second time as what cannot.
        let hiding: Vec<Gap> = gaps.iter().filter(|gap| gap.hides_races).cloned().collect();
        let same = |gap: &Gap, other: &Gap| {
            (other.kind, &other.detail) == (gap.kind, &gap.detail)
                && gap.processes.iter().all(|process| other.processes.contains(process))
        };
        gaps.retain(|gap| gap.hides_races || !hiding.iter().any(|other| same(gap, other)));
        let gaps = accepted(gaps, by);
        let idle = unmatched(by, &gaps);
        (gaps, idle)
    }
}

/// What makes two sightings parts of one gap: kind, words, and what they have in common.
type Group = (GapKind, String, Option<String>);

/// The gaps that sightings of any number of runs are, sorted. Uses of one thing are one gap; it can hide a race if two processes use the
/// thing and one of them changes it.
#[must_use]
pub fn joined(sightings: &BTreeSet<Sighting>) -> Vec<Gap> {
    let mut groups: BTreeMap<Group, Vec<&Sighting>> = BTreeMap::new();
    for sighting in sightings {
        let group = match &sighting.reach {
            Reach::IfMet { key, .. } => (sighting.kind, String::new(), Some(key.clone())),
            Reach::Always | Reach::Never => (sighting.kind, sighting.detail.clone(), None),
        };
        groups.entry(group).or_default().push(sighting);
    }
    let mut gaps: Vec<Gap> = groups.into_values().map(|group| gap(&group)).collect();
    gaps.sort();
    gaps
}

fn gap(group: &[&Sighting]) -> Gap {
    let processes: BTreeSet<ProcessId> = group.iter().map(|sighting| sighting.process).collect();
    let paths: BTreeSet<&String> = group.iter().filter_map(|sighting| sighting.path.as_ref()).collect();
    let details: BTreeSet<&str> = group.iter().map(|sighting| sighting.detail.as_str()).collect();
    let always = group.iter().any(|sighting| sighting.reach == Reach::Always);
    let changes = |sighting: &&Sighting| matches!(sighting.reach, Reach::IfMet { changes: true, .. });
    let met = processes.len() > 1 && group.iter().any(changes);
    Gap {
        kind: group[0].kind,
        processes: processes.into_iter().collect(),
        paths: paths.into_iter().cloned().collect(),
        detail: details.into_iter().collect::<Vec<_>>().join(", "),
        hides_races: always || met,
        accepted: false,
    }
}

/// How many paths a sentence names.
const PATHS: usize = 3;

/// A gap in words: `network: connect to 127.0.0.1:80 (A and B)`.
#[must_use]
pub fn sentence(gap: &Gap) -> String {
    let mut named: Vec<&str> =
        gap.paths.iter().map(String::as_str).filter(|path| !gap.detail.contains(path)).take(PATHS).collect();
    let more = gap.paths.len().saturating_sub(PATHS);
    let rest = format!("{more} more");
    if more > 0 {
        named.push(&rest);
    }
    let paths = if named.is_empty() { String::new() } else { format!(": {}", named.join(", ")) };
    let who = names(&gap.processes);
    let who =
        if who.is_empty() || gap.detail.starts_with(&who) { String::new() } else { format!(" ({who})") };
    format!("{}: {}{paths}{who}", gap.kind, gap.detail)
}

/// `A`, `A and B`, `A, B and C`.
fn names(processes: &[ProcessId]) -> String {
    let names: Vec<String> = processes.iter().map(ToString::to_string).collect();
    match names.as_slice() {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::{joined, sentence};
    use crate::model::{GapKind, ProcessId, Reach, Sighting};

    fn seen(process: usize, reach: Reach) -> Sighting {
        let process = ProcessId(process);
        Sighting { kind: GapKind::KernelObject, process, path: None, detail: "shmget".into(), reach }
    }

    fn met(key: &str, changes: bool) -> Reach {
        Reach::IfMet { key: key.into(), changes }
    }

    #[test]
    fn a_use_hides_a_race_if_another_process_uses_the_same_thing_and_one_changes_it() {
        for (uses, hides) in [
            (vec![(0, met("7", true))], vec![false]),
            (vec![(0, met("7", true)), (0, met("7", false))], vec![false]),
            (vec![(0, met("7", true)), (1, met("7", false))], vec![true]),
            (vec![(0, met("7", false)), (1, met("7", false))], vec![false]),
            (vec![(0, met("7", true)), (1, met("8", true))], vec![false, false]),
            (vec![(0, Reach::Always)], vec![true]),
            (vec![(0, Reach::Never), (1, Reach::Never)], vec![false]),
        ] {
            let sightings = uses.into_iter().map(|(process, reach)| seen(process, reach)).collect();
            let found: Vec<bool> = joined(&sightings).iter().map(|gap| gap.hides_races).collect();
            assert_eq!(found, hides, "{sightings:?}");
        }
    }

    #[test]
    fn a_gap_reads_as_a_sentence() {
        let mut both = [seen(0, Reach::Always), seen(1, Reach::Always)];
        both[0].path = Some("/tmp/a".into());
        let gaps = joined(&both.into());
        assert_eq!(
            gaps.iter().map(sentence).collect::<Vec<_>>(),
            ["kernel-object: shmget: /tmp/a (A and B)"]
        );
    }
}
