//! `cooks merge`

use std::path::PathBuf;

use cooks_harness::{bounded, report};

use crate::args::{Merge, Output};
use crate::failure::Failure;
use crate::output;

/// Joins the results of the shards of an exploration, or of a run of scenarios.
pub fn merge(args: &Merge) -> Result<u8, Failure> {
    let read = |file: &PathBuf| {
        let name = file.display().to_string();
        let text = bounded::read_text(file, bounded::LARGEST);
        text.map(|text| (name.clone(), text))
            .map_err(|error| Failure::usage(format!("{name} cannot be read: {error}")))
    };
    let results = args.files.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    let suite = report::merge(&results).map_err(|error| Failure::usage(error.to_string()))?;
    let output = Output { format: args.format, output: PathBuf::new(), quiet: args.quiet };
    if let ([Ok(report)], [_]) = (suite.results.as_slice(), suite.names.as_slice()) {
        output::print(report, &output)?;
        if report.expectation().is_none() {
            return Ok(report.code());
        }
    } else {
        output::print_suite(&suite, false, &output)?;
    }
    Ok(suite.code())
}
