//! What a run came to, as a table.

use std::time::Duration;

use crate::pack::Tally;

/// The figures of one row.
pub struct Figures {
    rate: f64,
    most: u64,
    least: u64,
    p99: f64,
    longest: f64,
}

impl Figures {
    /// Waits in milliseconds. Below the 99th percentile lie 99 of 100 waits of *every* process: over all waits alike,
    /// those of a process that is hardly served would not count.
    pub fn of(tallies: &[Tally], time: Duration) -> Self {
        let served = || tallies.iter().map(|tally| tally.served);
        let worst = |part| tallies.iter().filter_map(|tally| quantile(&tally.waits, part)).max();
        let milliseconds = |wait: Option<u64>| wait.map_or(0.0, |wait| wait as f64 / 1e6);
        Self {
            rate: served().sum::<u64>() as f64 / time.as_secs_f64(),
            most: served().max().unwrap_or(0),
            least: served().min().unwrap_or(0),
            p99: milliseconds(worst(0.99)),
            longest: milliseconds(worst(1.0)),
        }
    }

    fn most_to_least(&self) -> String {
        match self.least {
            0 => format!("{}:0", self.most),
            least => figure(self.most as f64 / least as f64),
        }
    }
}

/// A table that is printed row by row. Each figure comes with its ratio to that of the first row.
pub struct Table {
    first: Option<Figures>,
    /// With what the longest wait is compared besides: a name, and milliseconds.
    unit: Option<(String, f64)>,
    title: String,
}

impl Table {
    pub fn new(title: String, unit: Option<(String, f64)>) -> Self {
        Self { first: None, unit, title }
    }

    pub fn row(&mut self, name: &str, figures: Figures) {
        if self.first.is_none() {
            self.head();
        }
        let first = self.first.as_ref().unwrap_or(&figures);
        let mut cells = vec![name.to_owned()];
        cells.extend(with_ratio(figures.rate, first.rate));
        cells.push(figures.most_to_least());
        cells.extend(with_ratio(figures.p99, first.p99));
        cells.extend(with_ratio(figures.longest, first.longest));
        cells.extend(self.unit.iter().map(|(_, unit)| figure(figures.longest / unit)));
        println!("| {} |", cells.join(" | "));
        self.first.get_or_insert(figures);
    }

    fn head(&self) {
        let mut heads = vec![&*self.title, "a second", "ratio", "most:least"];
        heads.extend(["p99 ms", "ratio", "longest ms", "ratio"]);
        heads.extend(self.unit.iter().map(|(name, _)| &**name));
        println!("\n| {} |\n|{}", heads.join(" | "), "---|".repeat(heads.len()));
    }
}

fn quantile(waits: &[u64], part: f64) -> Option<u64> {
    let mut waits = waits.to_vec();
    waits.sort_unstable();
    waits.get((waits.len() as f64 * part) as usize).or(waits.last()).copied()
}

fn with_ratio(value: f64, first: f64) -> [String; 2] {
    [figure(value), if first > 0.0 { figure(value / first) } else { "-".to_owned() }]
}

/// Three digits that count.
fn figure(value: f64) -> String {
    let decimals = match value {
        value if value >= 100.0 => 0,
        value if value >= 10.0 => 1,
        value if value >= 0.1 => 2,
        _ => 4,
    };
    format!("{value:.decimals$}")
}
