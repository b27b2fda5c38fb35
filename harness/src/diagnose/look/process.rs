//! What a process is: `/proc/PID/stat`, `cmdline`.

use std::fs;

use crate::diagnose::snapshot::{Process, State};

/// How the kernel counts time in `/proc/PID/stat`.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// When the machine was started, in seconds since 1970.
    boot: f64,
    /// Ticks a second.
    ticks: f64,
}

impl Clock {
    /// Reads it.
    pub fn read() -> Self {
        let text = fs::read_to_string("/proc/stat").unwrap_or_default();
        let boot = text.lines().find_map(|line| line.strip_prefix("btime ")?.trim().parse().ok());
        let ticks = nix::unistd::sysconf(nix::unistd::SysconfVar::CLK_TCK).ok().flatten().unwrap_or(100);
        Self { boot: boot.unwrap_or(0.0), ticks: ticks as f64 }
    }
}

/// The processes that there are.
pub fn ids() -> std::io::Result<Vec<i32>> {
    let entries = fs::read_dir("/proc")?;
    let mut ids: Vec<i32> =
        entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect();
    ids.sort_unstable();
    Ok(ids)
}

/// Reads what a process is; `None` if it has gone. Its open files are looked for elsewhere.
pub fn read(pid: i32, clock: Clock) -> Option<Process> {
    let text = fs::read(format!("/proc/{pid}/stat")).ok()?;
    let stat = Stat::parse(&String::from_utf8_lossy(&text))?;
    let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let words = String::from_utf8_lossy(&words);
    let mut command: Vec<String> = words.trim_end_matches('\0').split('\0').map(readable).collect();
    if words.is_empty() {
        command = vec![format!("[{}]", readable(&stat.name))];
    }
    let input = fs::read_link(format!("/proc/{pid}/fd/0")).unwrap_or_default();
    let input = input.to_string_lossy();
    Some(Process {
        command,
        parent: stat.parent,
        group: stat.group,
        session: stat.session,
        threads: stat.threads,
        state: stat.state,
        started: clock.boot + stat.started as f64 / clock.ticks,
        seen: false,
        asked: input.starts_with("pipe:") || input.starts_with("socket:"),
        open: Vec::new(),
    })
}

/// In a line, and without what would move a terminal's cursor.
fn readable(word: &str) -> String {
    word.chars().map(|sign| if sign.is_control() { ' ' } else { sign }).collect()
}

/// What is needed of `/proc/PID/stat`: proc_pid_stat(5).
#[derive(PartialEq, Debug)]
pub struct Stat {
    name: String,
    state: State,
    parent: i32,
    group: i32,
    session: i32,
    threads: u32,
    /// Ticks after the machine's start.
    started: u64,
    /// The core that it ran on last.
    pub processor: usize,
}

impl Stat {
    /// Reads the line. The name is in brackets, and may have brackets and blanks in it.
    pub fn parse(text: &str) -> Option<Self> {
        let (front, rest) = text.rsplit_once(')')?;
        let name = front.split_once('(')?.1.to_owned();
        let words: Vec<&str> = rest.split_whitespace().collect();
        let state = match *words.first()? {
            "R" => State::Running,
            "S" | "I" => State::Asleep,
            "D" => State::Uninterruptible,
            "T" => State::Stopped,
            "t" => State::Traced,
            "Z" | "X" | "x" => State::Zombie,
            _ => State::Unknown,
        };
        let number = |at: usize| words.get(at)?.parse::<i32>().ok();
        Some(Self {
            name,
            state,
            parent: number(1)?,
            group: number(2)?,
            session: number(3)?,
            threads: u32::try_from(number(17)?).ok()?,
            started: words.get(19)?.parse().ok()?,
            processor: words.get(36)?.parse().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Stat, readable};
    use crate::diagnose::snapshot::State;

    #[test]
    fn a_name_with_brackets_and_blanks_is_read_over() {
        let text = "12 (a) b (c) T 7 12 5 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 3 0 987654 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 17 1 0";
        let stat = Stat::parse(text).expect("a line of the kernel");
        assert_eq!((stat.name.as_str(), stat.state, stat.parent), ("a) b (c", State::Stopped, 7));
        assert_eq!((stat.group, stat.session, stat.threads, stat.started), (12, 5, 3, 987_654));
        assert_eq!(stat.processor, 1);
        assert_eq!(Stat::parse("12 (a"), None);
        assert_eq!(readable("a\n\u{1b}[31m"), "a  [31m");
    }
}
