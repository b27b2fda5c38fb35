//! What only Linux has: locks on single bytes that belong to the open file, and the kinds of file systems by number.

#[cfg(target_os = "linux")]
pub(super) use linux::{byte_locks, file_system};
#[cfg(not(target_os = "linux"))]
pub(super) use other::{byte_locks, file_system};

#[cfg(target_os = "linux")]
mod linux {
    use std::fs::File;
    use std::io;

    use crate::host::FileSystem;

    /// The file systems of one machine whose flock and rename are the kernel's own. statfs(2) has the numbers.
    const LOCAL: [(u64, &str); 15] = [
        (0xef53, "ext4"),
        (0x5846_5342, "xfs"),
        (0x9123_683e, "btrfs"),
        (0x0102_1994, "tmpfs"),
        (0x8584_58f6, "ramfs"),
        (0xf2f5_2010, "f2fs"),
        (0x794c_7630, "overlayfs"),
        (0x2fc1_2fc1, "zfs"),
        (0xca45_1a4e, "bcachefs"),
        (0x3153_464a, "jfs"),
        (0x5265_4973, "reiserfs"),
        (0x3434, "nilfs2"),
        (0xf15f, "ecryptfs"),
        (0x2405_1905, "ubifs"),
        (0x7366_746e, "ntfs3"),
    ];

    /// Those that are known for what they do not do, by the names that people know them by.
    const REMOTE: [(u64, &str); 10] = [
        (0x6969, "NFS"),
        (0x517b, "SMB"),
        (0xff53_4d42, "SMB (cifs)"),
        (0xfe53_4d42, "SMB2"),
        (0x0102_1997, "9p"),
        (0x6573_5546, "FUSE"),
        (0x00c3_6400, "Ceph"),
        (0x5346_414f, "AFS"),
        (0x0bd0_0bd0, "Lustre"),
        (0x0116_1970, "GFS2"),
    ];

    pub(crate) fn file_system(dir: &File) -> io::Result<FileSystem> {
        // The type of the field is another one on each architecture; the numbers have 32 bits.
        let number = u64::from(rustix::fs::fstatfs(dir)?.f_type as u32);
        let known = |list: &[(u64, &'static str)]| {
            list.iter().find(|(kind, _)| *kind == number).map(|(_, name)| *name)
        };
        Ok(match (known(&LOCAL), known(&REMOTE)) {
            (Some(_), _) => FileSystem::Local,
            (None, Some(name)) => FileSystem::Other(name.to_owned()),
            (None, None) => FileSystem::Other(format!("an unknown file system (type {number:#x})")),
        })
    }

    /// Locks of the open file description (F_OFD_SETLK), see fcntl(2).
    pub(crate) mod byte_locks {
        use std::fs::File;
        use std::io;
        use std::ops::Range;

        use nix::fcntl::{FcntlArg, fcntl};
        use nix::libc;

        pub(crate) const AVAILABLE: bool = true;

        pub(crate) fn take(file: &File, bytes: Range<u64>) -> io::Result<bool> {
            match fcntl(file, FcntlArg::F_OFD_SETLK(&lock(libc::F_WRLCK, &bytes))) {
                Ok(_) => Ok(true),
                Err(nix::Error::EAGAIN | nix::Error::EACCES) => Ok(false),
                Err(error) => Err(error.into()),
            }
        }

        pub(crate) fn free(file: &File, bytes: Range<u64>) -> io::Result<()> {
            fcntl(file, FcntlArg::F_OFD_SETLK(&lock(libc::F_UNLCK, &bytes)))?;
            Ok(())
        }

        pub(crate) fn taken(file: &File, within: Range<u64>) -> io::Result<Option<Range<u64>>> {
            // A shared lock is what the others' exclusive ones are in the way of, and waiting ones are not.
            let mut found = lock(libc::F_RDLCK, &within);
            fcntl(file, FcntlArg::F_OFD_GETLK(&mut found))?;
            let (start, length) = (found.l_start as u64, found.l_len as u64);
            Ok((i32::from(found.l_type) != libc::F_UNLCK).then(|| start..start.saturating_add(length)))
        }

        pub(crate) fn wait(file: &File, bytes: Range<u64>) -> io::Result<()> {
            fcntl(file, FcntlArg::F_OFD_SETLKW(&lock(libc::F_RDLCK, &bytes)))?;
            free(file, bytes)
        }

        fn lock(kind: i32, bytes: &Range<u64>) -> libc::flock {
            libc::flock {
                l_type: kind as libc::c_short,
                l_whence: libc::SEEK_SET as libc::c_short,
                l_start: bytes.start as libc::off_t,
                l_len: (bytes.end - bytes.start) as libc::off_t,
                l_pid: 0,
            }
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod other {
    use std::fs::File;
    use std::io;

    use crate::host::FileSystem;

    /// Not looked at: nobody has told the numbers of this system's file systems apart yet.
    pub(crate) fn file_system(_dir: &File) -> io::Result<FileSystem> {
        Ok(FileSystem::Local)
    }

    /// There are none, and nobody asks: `AVAILABLE` says so.
    pub(crate) mod byte_locks {
        use std::fs::File;
        use std::io;
        use std::ops::Range;

        pub(crate) const AVAILABLE: bool = false;

        pub(crate) fn take(_file: &File, _bytes: Range<u64>) -> io::Result<bool> {
            Err(io::ErrorKind::Unsupported.into())
        }

        pub(crate) fn free(_file: &File, _bytes: Range<u64>) -> io::Result<()> {
            Err(io::ErrorKind::Unsupported.into())
        }

        pub(crate) fn taken(_file: &File, _within: Range<u64>) -> io::Result<Option<Range<u64>>> {
            Err(io::ErrorKind::Unsupported.into())
        }

        pub(crate) fn wait(_file: &File, _bytes: Range<u64>) -> io::Result<()> {
            Err(io::ErrorKind::Unsupported.into())
        }
    }
}
