//! Reports for continuous integration: JUnit's XML, and the commands that GitHub reads from a log.

use std::io;

use super::{Ran, Report, Style, counts, differences, human, visible};
use crate::model::Verdict;

/// What a build makes of a report.
enum Standing {
    Pass,
    /// Nothing found, nothing proven.
    Open,
    /// What kind of failure, and a sentence for each.
    Fail(&'static str, Vec<String>),
    /// It came to nothing, and why.
    Error(String),
}

/// A scenario passes where it is as expected; an exploration of which nothing is expected, where it is clean.
fn standing(ran: Ran<'_>) -> Standing {
    let report = match ran {
        Ok(report) => report,
        Err(broken) => return Standing::Error(broken.error.clone()),
    };
    if let Some(expected) = report.expectation() {
        let differences = differences(expected, report);
        return if differences.is_empty() {
            Standing::Pass
        } else {
            Standing::Fail("not as expected", differences)
        };
    }
    match report.verdict() {
        Verdict::Clean => Standing::Pass,
        Verdict::Inconclusive => Standing::Open,
        Verdict::Anomaly => {
            let each = report
                .anomalies
                .iter()
                .map(|found| format!("{}: {}", found.anomaly.kind, found.anomaly.summary));
            Standing::Fail("anomaly", each.collect())
        }
    }
}

/// Writes reports as JUnit's XML: a test case for each.
///
/// # Errors
/// Those of the writer.
pub fn junit(ran: &[Ran<'_>], out: &mut dyn io::Write) -> io::Result<()> {
    let count = |wanted: fn(&Standing) -> bool| ran.iter().filter(|ran| wanted(&standing(**ran))).count();
    let failures = count(|standing| matches!(standing, Standing::Fail(..)));
    let errors = count(|standing| matches!(standing, Standing::Error(_)));
    let skipped = count(|standing| matches!(standing, Standing::Open));
    let time: f64 = ran.iter().flatten().map(|report| report.elapsed_s).sum();
    writeln!(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>")?;
    writeln!(
        out,
        "<testsuite name=\"cooks\" tests=\"{}\" failures=\"{failures}\" errors=\"{errors}\" skipped=\"{skipped}\" time=\"{time:.3}\">",
        ran.len()
    )?;
    for ran in ran {
        let (name, time) = match ran {
            Ok(report) => (xml(&report.scenario), report.elapsed_s),
            Err(broken) => (xml(&broken.scenario), 0.0),
        };
        write!(out, "  <testcase classname=\"cooks\" name=\"{name}\" time=\"{time:.3}\"")?;
        let inside = inside(*ran)?;
        if inside.is_empty() {
            writeln!(out, "/>")?;
        } else {
            writeln!(out, ">\n{inside}  </testcase>")?;
        }
    }
    writeln!(out, "</testsuite>")
}

/// What is inside a test case: the seed where chance played a part, and what came out unless it passed.
fn inside(ran: Ran<'_>) -> io::Result<String> {
    let seed = |report: &Report| {
        format!(
            "    <properties>\n      <property name=\"seed\" value=\"{}\"/>\n    </properties>\n",
            report.seed
        )
    };
    let seed = ran.ok().filter(|report| counts::is_by_chance(report)).map(seed).unwrap_or_default();
    let covered = || ran.map(counts::covered).unwrap_or_default();
    let result = match standing(ran) {
        Standing::Pass => {
            ran.ok().filter(|report| counts::is_hollow(report)).map_or_else(String::new, |report| {
                format!("    <system-out>{}</system-out>\n", xml(&counts::verdict(report, &[])))
            })
        }
        Standing::Open => {
            let why = ran.map(counts::why).unwrap_or_default();
            format!("    <skipped message=\"inconclusive: {}; {}\"/>\n", xml(&why), xml(&covered()))
        }
        Standing::Error(error) => format!("    <error message=\"{}\"/>\n", xml(&error)),
        Standing::Fail(kind, sentences) => {
            let (message, text) = (xml(&sentences.join("; ")), xml(&text(ran)?));
            format!("    <failure type=\"{kind}\" message=\"{message}\">{text}</failure>\n")
        }
    };
    Ok(seed + &result)
}

/// Writes reports as commands that GitHub shows beside a change: an error for each failure, a warning where nothing was proven.
///
/// # Errors
/// Those of the writer.
pub fn github(ran: &[Ran<'_>], out: &mut dyn io::Write) -> io::Result<()> {
    for ran in ran {
        let (command, what) = match standing(*ran) {
            Standing::Pass => ("notice", "as it should be"),
            Standing::Open => ("warning", "inconclusive"),
            Standing::Fail(kind, _) => ("error", kind),
            Standing::Error(_) => ("error", "came to nothing"),
        };
        let (body, scenario) =
            (text(*ran)?, ran.map_or_else(|broken| &broken.scenario, |report| &report.scenario));
        let title = format!("cooks: {scenario}: {what}");
        let title = command_text(&visible::line(&title)).replace(':', "%3A").replace(',', "%2C");
        writeln!(out, "::{command} title={title}::{}", command_text(body.trim_end()))?;
    }
    Ok(())
}

/// The report for people; where there is none, why.
fn text(ran: Ran<'_>) -> io::Result<String> {
    let report = match ran {
        Ok(report) => report,
        Err(broken) => return Ok(visible::lines(&broken.error).into_owned()),
    };
    let mut text = Vec::new();
    human(report, &Style::default(), &mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// Text as XML has it, in attributes too; control characters, which XML cannot hold, are shown as their escapes.
fn xml(text: &str) -> String {
    let mut escaped = String::new();
    for letter in visible::lines(text).chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\u{fffe}' | '\u{ffff}' => {}
            letter => escaped.push(letter),
        }
    }
    escaped
}

/// Text as the commands of a log have it.
fn command_text(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

#[cfg(test)]
mod tests {
    use super::{command_text, xml};

    #[test]
    fn what_would_break_a_format_is_escaped() {
        assert_eq!(xml("a<b> & \"c\"\u{1b}[1m\n→"), "a&lt;b&gt; &amp; &quot;c&quot;\\x1b[1m\n→");
        assert_eq!(command_text("50%\r\nnext"), "50%25%0D%0Anext");
    }
}
