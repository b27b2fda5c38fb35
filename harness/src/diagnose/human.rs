//! The diagnosis for people, in four parts: active lock files, metadata conflicts, process conflicts, resource contention.

use std::collections::BTreeSet;
use std::io;

use super::findings::duration;
use super::names::{is_lock_file, is_temporary};
use super::snapshot::{Lock, LockKind, Process, Snapshot, State};
use super::{Contention, Diagnosis, Finding, Kind, Severity};
use crate::report::Style;
use crate::report::layout::{Ink, clip, clip_middle, through_the_door, wrap};

/// How many locks, and how many processes of one lock, are shown.
const SHOWN: usize = 20;

/// Writes the diagnosis: the verdict first, then each part, then what could not be seen. `brief`: the verdict and the findings.
///
/// # Errors
/// Those of the writer.
pub fn human(diagnosis: &Diagnosis, brief: bool, style: &Style, out: &mut dyn io::Write) -> io::Result<()> {
    through_the_door(style, out, |out| write(diagnosis, brief, &mut Page { style, out }))
}

fn write(diagnosis: &Diagnosis, brief: bool, page: &mut Page<'_>) -> io::Result<()> {
    page.verdict(diagnosis)?;
    if brief {
        for finding in &diagnosis.findings {
            page.finding(finding)?;
        }
        return Ok(());
    }
    let seen = &diagnosis.seen;
    for part in [Part::Locks, Part::Metadata, Part::Processes, Part::Contention] {
        page.heading(part)?;
        match part {
            Part::Locks => page.locks(seen)?,
            Part::Metadata => page.text(&files(seen))?,
            Part::Processes => page.processes(seen)?,
            Part::Contention => page.contention(seen, diagnosis.contention.as_ref())?,
        }
        for finding in diagnosis.findings.iter().filter(|finding| part_of(finding.kind) == part) {
            page.finding(finding)?;
        }
    }
    if !seen.not_seen.is_empty() {
        page.blank()?;
    }
    seen.not_seen.iter().try_for_each(|what| page.lines(&format!("not seen: {what}"), 2, None))
}

/// The four parts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Locks,
    Metadata,
    Processes,
    Contention,
}

fn part_of(kind: Kind) -> Part {
    match kind {
        Kind::UnlinkedLock | Kind::InheritedLock | Kind::StoppedHolder | Kind::DeadOwner => Part::Locks,
        Kind::TornFile | Kind::UnlockedWriter | Kind::LeftoverTemporary | Kind::Filesystem => Part::Metadata,
        Kind::TooManyServers => Part::Processes,
        Kind::LockCycle | Kind::LongWait => Part::Contention,
    }
}

struct Page<'a> {
    style: &'a Style,
    out: &'a mut dyn io::Write,
}

impl Page<'_> {
    fn blank(&mut self) -> io::Result<()> {
        writeln!(self.out)
    }

    fn lines(&mut self, text: &str, indent: usize, ink: Option<Ink>) -> io::Result<()> {
        for line in wrap(text, self.style.columns(), indent) {
            let line = ink.map_or(line.clone(), |ink| self.style.ink(ink, &line));
            writeln!(self.out, "{line}")?;
        }
        Ok(())
    }

    fn text(&mut self, text: &str) -> io::Result<()> {
        self.lines(&format!("  {text}"), 2, None)
    }

    fn heading(&mut self, part: Part) -> io::Result<()> {
        let name = match part {
            Part::Locks => "Active lock files",
            Part::Metadata => "Metadata conflicts",
            Part::Processes => "Process conflicts",
            Part::Contention => "Resource contention",
        };
        self.blank()?;
        writeln!(self.out, "{name}")
    }

    fn verdict(&mut self, diagnosis: &Diagnosis) -> io::Result<()> {
        let (dir, all) = (&diagnosis.seen.dir, diagnosis.findings.len());
        let errors = diagnosis.findings.iter().filter(|finding| finding.severity == Severity::Error).count();
        let counts = match (errors, all - errors) {
            (0, 0) => return self.lines(&format!("nothing wrong in {dir}"), 2, Some(Ink::Good)),
            (0, warnings) => count(warnings, "warning"),
            (errors, 0) => count(errors, "error"),
            (errors, warnings) => format!("{}, {}", count(errors, "error"), count(warnings, "warning")),
        };
        let ink = if errors > 0 { Ink::Bad } else { Ink::Look };
        self.lines(&format!("{counts} in {dir}"), 2, Some(ink))
    }

    fn finding(&mut self, finding: &Finding) -> io::Result<()> {
        let (word, ink) = match finding.severity {
            Severity::Error => ("error", Ink::Bad),
            Severity::Warning => ("warning", Ink::Look),
        };
        let text = format!("  {word}: {}: {}", finding.kind.name(), finding.summary);
        let mut lines = wrap(&text, self.style.columns(), 4);
        if let Some(first) = lines.first_mut() {
            let rest = first.split_off(2 + word.len());
            *first = format!("  {}{rest}", self.style.ink(ink, word));
        }
        for line in lines {
            writeln!(self.out, "{line}")?;
        }
        self.lines(&format!("    what to do: {}", finding.remedy), 6, None)
    }

    fn locks(&mut self, seen: &Snapshot) -> io::Result<()> {
        let mut locks: Vec<&Lock> = seen.locks.iter().collect();
        locks.sort_by_key(|lock| std::cmp::Reverse(lock.waiters.len()));
        for lock in locks.iter().take(SHOWN) {
            self.lock(seen, lock)?;
        }
        if locks.len() > SHOWN {
            self.text(&format!("{} more that are held (--format json has them all)", locks.len() - SHOWN))?;
        }
        let locked: BTreeSet<_> = seen.locks.iter().map(|lock| lock.id).collect();
        let free: Vec<&str> = seen
            .files
            .iter()
            .filter(|(path, file)| is_lock_file(path, file.size) && !locked.contains(&file.id))
            .map(|(path, _)| path.as_str())
            .collect();
        match (free.as_slice(), locks.len()) {
            ([], 0) => self.text("none: no file here is locked, and none is named like a lock file"),
            ([], _) => Ok(()),
            (some, held) => {
                let more = if some.len() > SHOWN { ", …" } else { "" };
                let names = some[..some.len().min(SHOWN)].join(", ");
                let nobody = if held == 0 { "no file here is locked; free" } else { "free" };
                self.text(&format!("{nobody}: {names}{more} ({})", count(some.len(), "lock file")))
            }
        }
    }

    fn lock(&mut self, seen: &Snapshot, lock: &Lock) -> io::Result<()> {
        let kind = match lock.kind {
            LockKind::Flock => "flock",
            LockKind::Posix => "POSIX lock",
            LockKind::Ofd => "OFD lock",
        };
        self.text(&format!("{} ({kind})", lock.path))?;
        let holders = lock.held.iter().flat_map(|held| held.holders.iter().map(|pid| (*pid, held.claim)));
        for (pid, claim) in holders.take(SHOWN) {
            self.process("held by", seen, pid, mode(claim.exclusive), "")?;
        }
        if lock.held.iter().any(|held| held.holders.is_empty()) {
            writeln!(self.out, "    held by   somebody who cannot be seen")?;
        }
        for waiter in lock.waiters.iter().take(SHOWN) {
            let since = waiter.waited.map_or_else(
                || "for how long is not known".to_owned(),
                |waited| format!("for {}", duration(waited)),
            );
            match waiter.pid {
                Some(pid) => self.process("waits", seen, pid, mode(waiter.claim.exclusive), &since)?,
                None => writeln!(self.out, "    waits     somebody who cannot be seen")?,
            }
        }
        let more = lock.waiters.len().saturating_sub(SHOWN);
        if more > 0 { writeln!(self.out, "    {more} more wait") } else { Ok(()) }
    }

    /// A process with what it has to do with a lock, in two lines.
    fn process(&mut self, role: &str, seen: &Snapshot, pid: i32, mode: &str, since: &str) -> io::Result<()> {
        let front = format!("    {role:<8}  {pid} ");
        let room = self.style.columns().saturating_sub(front.len());
        writeln!(self.out, "{front}{}", clip_middle(&seen.command(pid), room))?;
        let about =
            seen.processes.get(&pid).map_or_else(|| "gone".to_owned(), |process| about(seen, process));
        let since = if role == "waits" { format!("waits {since}; ") } else { String::new() };
        self.lines(&format!("              {mode}; {since}{about}"), 14, Some(Ink::Faint))
    }

    fn processes(&mut self, seen: &Snapshot) -> io::Result<()> {
        let open: Vec<(&i32, &Process)> =
            seen.processes.iter().filter(|(_, process)| !process.open.is_empty()).collect();
        if open.is_empty() {
            return self.text("no process has a file here open");
        }
        let verb = if open.len() == 1 { "has" } else { "have" };
        self.text(&format!("{} {verb} files here open:", count_processes(open.len())))?;
        for (pid, process) in open.iter().take(SHOWN) {
            let files: BTreeSet<_> = process.open.iter().map(|open| open.id).collect();
            let end = format!("  {}", count(files.len(), "file"));
            let front = format!("    {pid} ");
            let room = self.style.columns().saturating_sub(front.len() + end.len());
            writeln!(self.out, "{front}{}{end}", clip(&process.command.join(" "), room))?;
        }
        if open.len() > SHOWN { writeln!(self.out, "    and {} more", open.len() - SHOWN) } else { Ok(()) }
    }

    fn contention(&mut self, seen: &Snapshot, watched: Option<&Contention>) -> io::Result<()> {
        let waiting: usize = seen.locks.iter().map(|lock| lock.waiters.len()).sum();
        let verb = if waiting == 1 { "waits" } else { "wait" };
        let now = match waiting {
            0 => "nobody waits for a lock".to_owned(),
            some => format!("{} {verb} for locks", count_processes(some)),
        };
        let Some(watched) = watched else {
            return self.text(&format!("now {now} (--watch SECONDS shows how it is over a time)"));
        };
        self.text(&format!(
            "now {now}; {} in {}:",
            count_of(watched.samples, "sample"),
            duration(watched.seconds)
        ))?;
        if watched.locks.is_empty() {
            return self.text("  no lock was held at any of them");
        }
        let percent = |part: u64| format!("{:.0}%", part as f64 * 100.0 / watched.samples.max(1) as f64);
        writeln!(self.out, "    held  waited for  most waiters  longest wait  lock")?;
        for lock in watched.locks.iter().take(SHOWN) {
            let (held, waited) = (percent(lock.held), percent(lock.waited));
            let longest = if lock.waited == 0 { "-".to_owned() } else { duration(lock.longest_wait_s) };
            let front = format!("    {held:>4}  {waited:>10}  {:>12}  {longest:>12}  ", lock.most_waiters);
            let room = self.style.columns().saturating_sub(front.len());
            writeln!(self.out, "{front}{}", clip_middle(&lock.path, room))?;
        }
        let more = watched.locks.len().saturating_sub(SHOWN);
        if more > 0 { writeln!(self.out, "    and {more} more") } else { Ok(()) }
    }
}

/// How many files were looked at, in words.
fn files(seen: &Snapshot) -> String {
    let json: Vec<_> =
        seen.files.iter().filter(|(path, _)| path.ends_with(".json") && !is_temporary(path)).collect();
    let torn = json.iter().filter(|(_, file)| file.flaw.is_some()).count();
    match (json.len(), torn) {
        (0, _) => format!("no JSON file among {}", count(seen.files.len(), "file")),
        (all, 0) => format!("{}, none torn", count(all, "JSON file")),
        (all, torn) => format!("{}, {torn} torn", count(all, "JSON file")),
    }
}

/// `asleep; started 2 h 5 min ago by 1 (init)`.
fn about(seen: &Snapshot, process: &Process) -> String {
    let age = duration((seen.taken - process.started).max(0.0));
    let parent = match process.parent {
        0 => String::new(),
        parent => format!(", child of {parent} ({})", clip(&name(seen, parent), 24)),
    };
    format!("{}; started {age} ago{parent}", word(process.state))
}

/// The first word of a command line, without folders.
fn name(seen: &Snapshot, pid: i32) -> String {
    let first = seen.processes.get(&pid).and_then(|process| process.command.first().cloned());
    first.map_or_else(|| "?".to_owned(), |word| super::names::file_name(&word).to_owned())
}

fn word(state: State) -> &'static str {
    match state {
        State::Running => "running",
        State::Asleep => "asleep",
        State::Uninterruptible => "in uninterruptible sleep (a device or network file system)",
        State::Stopped => "stopped",
        State::Traced => "stopped by a debugger",
        State::Zombie => "a zombie",
        State::Unknown => "in an unknown state",
    }
}

fn mode(exclusive: bool) -> &'static str {
    if exclusive { "exclusive" } else { "shared" }
}

fn count(number: usize, what: &str) -> String {
    count_of(number as u64, what)
}

fn count_of(number: u64, what: &str) -> String {
    crate::report::counts::plural(number, what)
}

fn count_processes(number: usize) -> String {
    if number == 1 { "1 process".to_owned() } else { format!("{number} processes") }
}
