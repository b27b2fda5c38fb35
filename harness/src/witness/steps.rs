//! Steps in the file count from 1, as everywhere that people look; in memory they count from 0.

use super::Witness;

/// Puts another number in the place of each step that a witness names. None if one has no other number; then it is not to be used.
pub(super) fn shift(witness: &mut Witness, to: impl Fn(usize) -> Option<usize>) -> Option<()> {
    let marked = witness.anomaly.iter_mut().flat_map(|anomaly| &mut anomaly.steps);
    let marked = marked.map(|marked| &mut marked.step);
    let critical = witness.critical.iter_mut().filter_map(|critical| critical.step.as_mut());
    let versions = witness.versions.iter_mut().filter_map(|version| version.step.as_mut());
    for step in marked.chain(critical).chain(versions) {
        *step = to(*step)?;
    }
    Some(())
}
