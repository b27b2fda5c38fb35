//! Reading `/proc/locks`, and the `lock:` lines of `/proc/PID/fdinfo`, which have the same form (`locks_show` in the kernel's
//! `fs/locks.c`).

use std::{fs, io};

use crate::diagnose::snapshot::{Claim, FileId, LockKind, Taker};

/// A line: a lock that is held, or one that is waited for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Line {
    /// Which file.
    pub id: FileId,
    /// Which way of locking.
    pub kind: LockKind,
    /// What is held, or asked for.
    pub claim: Claim,
    /// Who took it, or waits.
    pub taker: Taker,
    /// Waited for, not held.
    pub waits: bool,
}

/// Reads `/proc/locks`: all locks of this pid namespace.
pub fn read() -> io::Result<Vec<Line>> {
    let text = fs::read_to_string("/proc/locks")?;
    Ok(text.lines().filter_map(parse).collect())
}

/// Reads a line; leases and what else is no lock are `None`. `1: -> FLOCK  ADVISORY  WRITE 26267 fe:00:10027106 0 EOF`
pub fn parse(line: &str) -> Option<Line> {
    let mut words = line.split_whitespace().skip(1).peekable();
    let waits = words.next_if_eq(&"->").is_some();
    let kind = match words.next()? {
        "FLOCK" => LockKind::Flock,
        "POSIX" => LockKind::Posix,
        "OFDLCK" => LockKind::Ofd,
        _ => return None,
    };
    let exclusive = match words.nth(1)? {
        "WRITE" => true,
        "READ" => false,
        _ => return None,
    };
    let taker = match words.next()?.parse().ok()? {
        -1 => Taker::Unknown,
        pid if pid > 0 => Taker::Process(pid),
        _ => Taker::Gone,
    };
    let id = file(words.next()?)?;
    let first = words.next()?.parse().ok()?;
    let last = match words.next()? {
        "EOF" => u64::MAX,
        number => number.parse().ok()?,
    };
    Some(Line { id, kind, claim: Claim { exclusive, bytes: (first, last) }, taker, waits })
}

/// `fe:00:10027106`: the device in hexadecimal, the inode in decimal.
fn file(text: &str) -> Option<FileId> {
    let mut parts = text.split(':');
    let mut device = || u32::from_str_radix(parts.next()?, 16).ok();
    let device = (device()?, device()?);
    Some(FileId { device, inode: parts.next()?.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::parse;
    use crate::diagnose::snapshot::{LockKind, Taker};

    #[test]
    fn lines_of_the_kernel_are_read() {
        let held = parse("1: FLOCK  ADVISORY  WRITE 26266 fe:00:10027106 0 EOF").expect("a lock");
        assert_eq!((held.kind, held.taker, held.waits), (LockKind::Flock, Taker::Process(26_266), false));
        assert_eq!((held.id.device, held.id.inode), ((0xfe, 0), 10_027_106));
        assert_eq!((held.claim.exclusive, held.claim.bytes), (true, (0, u64::MAX)));
        let waits = parse("1: -> FLOCK  ADVISORY  READ 26267 fe:00:10027106 0 EOF").expect("a lock");
        assert_eq!((waits.waits, waits.claim.exclusive), (true, false));
        let waits = parse("12:   -> POSIX  ADVISORY  WRITE 7 00:1a:3 5 9").expect("a lock");
        assert_eq!((waits.kind, waits.claim.bytes, waits.id.device), (LockKind::Posix, (5, 9), (0, 26)));
        let open = parse("3: OFDLCK ADVISORY  READ  -1 fd:01:12 0 EOF").expect("a lock");
        assert_eq!((open.kind, open.taker), (LockKind::Ofd, Taker::Unknown));
        assert_eq!(
            parse("3: FLOCK  ADVISORY  READ 0 fd:01:12 0 EOF").map(|line| line.taker),
            Some(Taker::Gone)
        );
        assert_eq!(parse("4: LEASE  ACTIVE    READ  9 fd:01:12 0 EOF"), None);
        assert_eq!(parse("5: POSIX  *NOINODE* 0 EOF"), None);
        assert_eq!(parse(""), None);
    }
}
