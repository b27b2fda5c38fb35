//! The entries of a directory, as programs get them: sorted by name, on every machine. If a program lists in several parts, each part
//! begins after the last name of the part before, and has the names that are there at that time.

use nix::sys::stat::stat;

use super::TraceError;
use super::execution::Running;
use super::files::{Description, Listed};
use super::task::Name;

impl Running<'_> {
    /// Gives a directory's next entries, sorted by name.
    pub(super) fn list(
        &mut self,
        name: &Name,
        of: &Description,
        (buffer, length): (u64, usize),
        old: bool,
    ) -> Result<i64, TraceError> {
        let Some(mut left) = self.listing(name, of)? else { return Ok(-i64::from(libc::ENOENT)) };
        let mut listed = of.listed.borrow_mut();
        if of.listed_all.get() {
            left.clear();
        }
        if let Some(last) = listed.last() {
            left.retain(|entry| entry.name > *last);
        }
        let mut bytes = Vec::new();
        let mut given = Vec::new();
        for entry in &left {
            let record = record(entry, (listed.len() + given.len()) as u64 + 1, old);
            if bytes.len() + record.len() > length {
                break;
            }
            bytes.extend(record);
            given.push(entry.name.clone());
        }
        let ends = given.len() == left.len();
        if given.is_empty() && !ends {
            return Ok(-i64::from(libc::EINVAL));
        }
        // As from the kernel: who gives no place for it gets an error, and has read nothing.
        if self.task(name)?.tracee.write(buffer, &bytes).is_err() {
            return Ok(-i64::from(libc::EFAULT));
        }
        of.listed_all.set(ends);
        listed.extend(given);
        of.offset.set(listed.len() as u64);
        Ok(bytes.len() as i64)
    }

    /// All entries of a directory, sorted by name; `None` if it was removed.
    fn listing(&mut self, name: &Name, of: &Description) -> Result<Option<Vec<Listed>>, TraceError> {
        let task = self.task(name)?.tracee.id();
        let numbers = self.task(name)?.descriptors.borrow().numbers_in(0, i32::MAX);
        let number = numbers.into_iter().find(|number| {
            self.tasks[name].descriptors.borrow().get(*number).is_some_and(|other| other.number == of.number)
        });
        let Some(number) = number else { return Ok(Some(Vec::new())) };
        let path = format!("/proc/{task}/fd/{number}");
        if stat(path.as_str()).map_err(std::io::Error::from)?.st_nlink == 0 {
            return Ok(None);
        }
        let mut listed = Vec::new();
        for entry in std::fs::read_dir(&path)? {
            let entry = entry?;
            use std::os::unix::ffi::OsStringExt;
            use std::os::unix::fs::FileTypeExt;
            let kind = entry.file_type()?;
            let kind = match () {
                () if kind.is_dir() => libc::DT_DIR,
                () if kind.is_symlink() => libc::DT_LNK,
                () if kind.is_fifo() => libc::DT_FIFO,
                () if kind.is_socket() => libc::DT_SOCK,
                () => libc::DT_REG,
            };
            let object = self.listed(of, &entry)?;
            let inode = self.world.objects.inode_shown(object);
            listed.push(Listed { name: entry.file_name().into_vec(), inode, kind });
        }
        let own = of.object().map_or(0, |object| self.world.objects.inode_shown(object));
        for dots in [".", ".."] {
            listed.push(Listed { name: dots.into(), inode: own, kind: libc::DT_DIR });
        }
        listed.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Some(listed))
    }
}

/// A `struct linux_dirent64`; of `old`, a `struct linux_dirent`, which has the type at its end.
fn record(entry: &Listed, next: u64, old: bool) -> Vec<u8> {
    let length = (19 + entry.name.len() + 1).next_multiple_of(8);
    let mut bytes = Vec::with_capacity(length);
    bytes.extend(entry.inode.to_le_bytes());
    bytes.extend(next.to_le_bytes());
    bytes.extend((length as u16).to_le_bytes());
    if !old {
        bytes.push(entry.kind);
    }
    bytes.extend(&entry.name);
    bytes.resize(length, 0);
    if old {
        bytes[length - 1] = entry.kind;
    }
    bytes
}
