//! Anomalies are on disk as soon as they are found. A witness that cannot be written costs that one witness.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use cooks_harness::model::Root;
use cooks_harness::report::Finding;
use cooks_harness::session::{Job, Keep};
use cooks_harness::witness::{self, Kept, Witness, WitnessError};

use crate::args::Output;
use crate::say;

/// The folder for witnesses, made before the first process runs if processes on an overlay could see it appear: then it is there in each
/// execution. It goes again if it stays empty.
pub struct Prepared(Option<PathBuf>);

impl Prepared {
    /// For these jobs.
    pub fn of(jobs: &[Job], output: &Output) -> Self {
        let is_seen = jobs.iter().any(|job| job.scenario.root == Root::Overlay);
        // If it cannot be made, each witness that cannot be written says so.
        let is_made = is_seen && std::fs::create_dir_all(&output.output).is_ok();
        Self(is_made.then(|| output.output.clone()))
    }
}

impl Drop for Prepared {
    fn drop(&mut self) {
        if let Some(folder) = &self.0 {
            // It is not removed if there is anything in it.
            let _ = std::fs::remove_dir(folder);
        }
    }
}

/// Writes the witnesses of one exploration into a folder.
pub struct Folder {
    folder: PathBuf,
    scenario: String,
    kept: BTreeMap<usize, Kept>,
    /// The anomalies of which it was said that there is no witness.
    told: BTreeSet<usize>,
}

impl Folder {
    /// Of the exploration of a scenario.
    pub fn new(folder: PathBuf, scenario: String) -> Self {
        Self { folder, scenario, kept: BTreeMap::new(), told: BTreeSet::new() }
    }

    fn write(&mut self, number: usize, finding: &Finding, witness: &Witness) -> Result<&Kept, WitnessError> {
        match self.kept.remove(&number) {
            Some(mut kept) => {
                let replaced = kept.replace(witness);
                // What was there is there still.
                let kept = self.kept.entry(number).or_insert(kept);
                replaced.map(|()| &*kept)
            }
            None => {
                let stem = witness::stem(&self.scenario, number, &finding.anomaly.kind.to_string());
                let kept = witness::keep(&self.folder, &stem, witness)?;
                Ok(self.kept.entry(number).or_insert(kept))
            }
        }
    }
}

impl Keep for Folder {
    fn found(&mut self, number: usize, finding: &mut Finding, witness: &Witness) {
        match self.write(number, finding, witness) {
            Ok(kept) => finding.witness = Some(kept.path().display().to_string()),
            Err(error) => {
                finding.witness = self.kept.get(&number).map(|kept| kept.path().display().to_string());
                if self.told.insert(number) {
                    let remedy = "give another folder with --output";
                    say::a_line("", &format!("cooks: no witness of anomaly {number}: {error}; {remedy}"));
                }
            }
        }
    }

    fn withdrawn(&mut self, number: usize) {
        if let Some(error) = self.kept.remove(&number).and_then(|kept| kept.remove().err()) {
            say::a_line(
                "",
                &format!("cooks: the witness of an anomaly that did not repeat is left: {error}"),
            );
        }
    }
}
