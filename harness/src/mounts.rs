//! Which file system a path lies on: `/proc/self/mountinfo`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// What is mounted, in the order of the kernel: later ones lie over earlier ones.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Mounts(Vec<Mount>);

/// Something that is mounted.
#[derive(Clone, PartialEq, Debug)]
pub struct Mount {
    /// Where.
    pub point: PathBuf,
    /// The device's numbers.
    pub device: (u32, u32),
    /// The file system's type.
    pub kind: String,
}

impl Mounts {
    /// Reads what this process sees; nothing where that cannot be read.
    pub fn read() -> Self {
        let text = fs::read("/proc/self/mountinfo").unwrap_or_default();
        Self(String::from_utf8_lossy(&text).lines().filter_map(parse).collect())
    }

    /// What is mounted below a directory with nothing mounted in between, one of each place: the last, which lies over the others.
    pub fn directly_below(&self, dir: &Path) -> Vec<&Mount> {
        let below = |mount: &&Mount| mount.point != dir && mount.point.starts_with(dir);
        let all: BTreeMap<&Path, &Mount> =
            self.0.iter().filter(below).map(|mount| (mount.point.as_path(), mount)).collect();
        let between = |mount: &&Mount| {
            mount.point.ancestors().skip(1).take_while(|at| *at != dir).any(|at| all.contains_key(at))
        };
        all.values().copied().filter(|mount| !between(mount)).collect()
    }

    /// What an absolute path lies on.
    pub fn of(&self, path: &Path) -> Option<&Mount> {
        let over = self.0.iter().filter(|mount| path.starts_with(&mount.point));
        over.max_by_key(|mount| mount.point.components().count())
    }
}

/// `36 35 98:0 /root /mnt\040a rw,noatime shared:1 - ext3 /dev/root rw`
fn parse(line: &str) -> Option<Mount> {
    let (left, right) = line.split_once(" - ")?;
    let words: Vec<&str> = left.split(' ').collect();
    let (major, minor) = words.get(2)?.split_once(':')?;
    Some(Mount {
        point: PathBuf::from(unescape(words.get(4)?)),
        device: (major.parse().ok()?, minor.parse().ok()?),
        kind: right.split(' ').next()?.to_owned(),
    })
}

/// Blanks and backslashes are written as three octal digits.
fn unescape(text: &str) -> String {
    let codes = [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")];
    codes.iter().fold(text.to_owned(), |text, (code, sign)| text.replace(code, sign))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Mounts, parse};

    #[test]
    fn the_deepest_and_last_mount_counts() {
        let lines = [
            "1 0 254:0 / / rw - ext4 /dev/root rw",
            "2 1 0:40 / /data\\040x rw shared:2 - nfs4 host:/x rw",
            "3 1 0:41 / /data\\040x rw - tmpfs tmpfs rw",
        ];
        let mounts = Mounts(lines.iter().map(|line| parse(line).expect("a mount")).collect());
        let kind = |path: &str| mounts.of(Path::new(path)).map(|mount| mount.kind.as_str());
        assert_eq!(kind("/data x/deep/file"), Some("tmpfs"));
        assert_eq!(kind("/data xy"), Some("ext4"));
        assert_eq!(mounts.of(Path::new("/etc")).map(|mount| mount.device), Some((254, 0)));
    }
}
