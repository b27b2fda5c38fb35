//! Reports for continuous integration: JUnit's XML, and the commands that GitHub reads from a log.

use std::io;

use super::{Report, Style, counts, differences, human};
use crate::model::Verdict;

/// What a build makes of a report.
enum Standing {
    Pass,
    /// Nothing found, nothing proven.
    Open,
    /// What kind of failure, and a sentence for each.
    Fail(&'static str, Vec<String>),
}

/// A scenario passes where it is as expected; an exploration of which nothing is expected, where it is clean.
fn standing(report: &Report) -> Standing {
    if let Some(expected) = report.expectation() {
        let differences = differences(expected, report);
        return if differences.is_empty() {
            Standing::Pass
        } else {
            Standing::Fail("not as expected", differences)
        };
    }
    match report.verdict {
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
pub fn junit(reports: &[Report], out: &mut dyn io::Write) -> io::Result<()> {
    let count =
        |wanted: fn(&Standing) -> bool| reports.iter().filter(|report| wanted(&standing(report))).count();
    let failures = count(|standing| matches!(standing, Standing::Fail(..)));
    let skipped = count(|standing| matches!(standing, Standing::Open));
    let time: f64 = reports.iter().map(|report| report.elapsed_s).sum();
    writeln!(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>")?;
    writeln!(
        out,
        "<testsuite name=\"cooks\" tests=\"{}\" failures=\"{failures}\" skipped=\"{skipped}\" time=\"{time:.3}\">",
        reports.len()
    )?;
    for report in reports {
        let (name, time) = (xml(&report.scenario), report.elapsed_s);
        write!(out, "  <testcase classname=\"cooks\" name=\"{name}\" time=\"{time:.3}\"")?;
        let inside = inside(report)?;
        if inside.is_empty() {
            writeln!(out, "/>")?;
        } else {
            writeln!(out, ">\n{inside}  </testcase>")?;
        }
    }
    writeln!(out, "</testsuite>")
}

/// What is inside a test case: the seed where chance played a part, and what came out unless it passed.
fn inside(report: &Report) -> io::Result<String> {
    let seed = format!(
        "    <properties>\n      <property name=\"seed\" value=\"{}\"/>\n    </properties>\n",
        report.seed
    );
    let seed = if counts::is_by_chance(report) { seed } else { String::new() };
    let result = match standing(report) {
        Standing::Pass => String::new(),
        Standing::Open => {
            format!("    <skipped message=\"inconclusive: {}\"/>\n", xml(&counts::covered(report)))
        }
        Standing::Fail(kind, sentences) => {
            let (message, text) = (xml(&sentences.join("; ")), xml(&text(report)?));
            format!("    <failure type=\"{kind}\" message=\"{message}\">{text}</failure>\n")
        }
    };
    Ok(seed + &result)
}

/// Writes reports as commands that GitHub shows beside a change: an error for each failure, a warning where nothing was proven.
///
/// # Errors
/// Those of the writer.
pub fn github(reports: &[Report], out: &mut dyn io::Write) -> io::Result<()> {
    for report in reports {
        let (command, what, body) = match standing(report) {
            Standing::Pass => ("notice", "as it should be", text(report)?),
            Standing::Open => ("warning", "inconclusive", text(report)?),
            Standing::Fail(kind, _) => ("error", kind, text(report)?),
        };
        let title = format!("cooks: {}: {what}", report.scenario);
        let title = command_text(&title).replace(':', "%3A").replace(',', "%2C");
        writeln!(out, "::{command} title={title}::{}", command_text(body.trim_end()))?;
    }
    Ok(())
}

/// The report for people.
fn text(report: &Report) -> io::Result<String> {
    let mut text = Vec::new();
    human(report, &Style::default(), &mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// Text as XML has it, in attributes too; characters that XML cannot hold are left out.
fn xml(text: &str) -> String {
    let mut escaped = String::new();
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' | '\t' => escaped.push(letter),
            control if control.is_control() || matches!(control, '\u{fffe}' | '\u{ffff}') => {}
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
        assert_eq!(xml("a<b> & \"c\"\u{1b}[1m\n→"), "a&lt;b&gt; &amp; &quot;c&quot;[1m\n→");
        assert_eq!(command_text("50%\r\nnext"), "50%25%0D%0Anext");
    }
}
