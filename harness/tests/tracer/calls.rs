//! What calls touch, by location: of two processes with one such call each, as many executions as there are orders that differ.

use std::fs::{self, File, OpenOptions};
use std::io::{IoSlice, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{FileExt, OpenOptionsExt};

use cooks_harness::model::{Entry, Tree};
use nix::sched::CloneFlags;
use rustix::fs::{AtFlags, CWD, FallocateFlags, Mode, OFlags, RenameFlags, ResolveFlags, XattrFlags};
use rustix::io::ReadWriteFlags;

use crate::support::{assert_counts, classes, open, process};

/// A file of 200 bytes, `f`, another one, `g`, a directory `d` with a file `f`, and links `to-f` and `d/to-e` (to `/f`).
fn initial() -> Tree {
    let file = || Entry::File { mode: 0o644, content: vec![b'.'; 200] };
    let link = |target: &str| Entry::Link { target: target.into() };
    let entries = [
        ("d", Entry::Dir { mode: 0o755 }),
        ("d/f", file()),
        ("d/to-f", link("/f")),
        ("f", file()),
        ("g", file()),
        ("to-f", link("f")),
    ];
    entries.into_iter().map(|(name, entry)| (name.to_owned(), entry)).collect()
}

/// Holds two processes to a number of executions.
#[track_caller]
fn pair(
    what: &str,
    complete: u64,
    one: impl Fn() + Send + Sync + 'static,
    other: impl Fn() + Send + Sync + 'static,
) {
    let body = |act: Box<dyn Fn() + Send + Sync>| {
        process(move || {
            act();
            0
        })
    };
    let seen = classes(&[body(Box::new(one)), body(Box::new(other))], &initial());
    assert_counts(what, &seen, complete, 0);
    for outcome in &seen.outcomes {
        assert!(outcome.exits.iter().flatten().all(|exit| exit.is_success()), "{what}: {outcome:?}");
    }
}

fn read(name: &'static str, at: u64) -> impl Fn() + Send + Sync + 'static {
    move || {
        let _ = open(name).read_at(&mut [0; 10], at).expect("a file can be read");
    }
}

fn write(name: &'static str, at: u64) -> impl Fn() + Send + Sync + 'static {
    move || {
        let _ = open(name).write_at(&[b'x'; 10], at).expect("a file can be written");
    }
}

#[test]
fn allocations() {
    let allocate = |mode: FallocateFlags, start: u64, length: u64| {
        move || rustix::fs::fallocate(open("f"), mode, start, length).expect("fallocate")
    };
    let punch = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    pair("a hole, and a read elsewhere", 1, allocate(punch, 0, 50), read("f", 50));
    pair("a hole, and a read of it", 2, allocate(punch, 0, 50), read("f", 45));
    pair(
        "space kept beyond the end, and a read that ends there",
        2,
        allocate(FallocateFlags::KEEP_SIZE, 0, 300),
        read("f", 195),
    );
    pair(
        "a file that grows, and a read past its end",
        2,
        allocate(FallocateFlags::empty(), 0, 300),
        read("f", 195),
    );
    pair(
        "a file that grows, and a read before its end",
        1,
        allocate(FallocateFlags::empty(), 0, 300),
        read("f", 150),
    );
}

#[test]
fn copies_by_the_kernel() {
    let copy = || {
        let (from, to) = (open("f"), open("g"));
        let (mut at_from, mut at_to) = (20, 40);
        let copied = rustix::fs::copy_file_range(from, Some(&mut at_from), to, Some(&mut at_to), 10);
        assert_eq!(copied, Ok(10));
    };
    let send = || {
        let (from, to) = (open("f"), open("g"));
        assert_eq!(rustix::fs::sendfile(to, from, Some(&mut 20), 10), Ok(10));
    };
    pair("a copy, and a write before its source", 1, copy, write("f", 10));
    pair("a copy, and a write into its source", 2, copy, write("f", 25));
    pair("a copy, and a read of its source", 1, copy, read("f", 20));
    pair("a copy, and a read of its target", 2, copy, read("g", 45));
    pair("a copy, and a read past its target", 1, copy, read("g", 50));
    pair("a file sent, and a write into it", 2, send, write("f", 25));
    pair("a file sent, and a read of where it goes", 2, send, read("g", 5));
    pair("a file sent, and a read of elsewhere", 1, send, read("g", 10));
}

#[test]
fn writes_with_flags() {
    let write_with = |flags: ReadWriteFlags, append: bool| {
        move || {
            let file = OpenOptions::new().write(true).append(append).open("f").expect("f");
            let wrote = rustix::io::pwritev2(file, &[IoSlice::new(b"0123456789")], 0, flags);
            assert_eq!(wrote, Ok(10));
        }
    };
    let append = write_with(ReadWriteFlags::APPEND, false);
    pair("a write at the end, and a read of the beginning", 1, append, read("f", 0));
    pair("a write at the end, and a read there", 2, append, read("f", 195));
    let no_append = write_with(ReadWriteFlags::from_bits_retain(0x20), true);
    pair("a write that is not at the end, and a read there", 1, no_append, read("f", 195));
    pair("a write that is not at the end, and a read of it", 2, no_append, read("f", 5));
}

#[test]
fn renames_with_flags() {
    let rename = |from: &'static str, to: &'static str, flags: RenameFlags| {
        move || {
            let _ = rustix::fs::renameat_with(CWD, from, CWD, to, flags);
        }
    };
    let exchange = rename("f", "g", RenameFlags::EXCHANGE);
    pair("an exchange, and a look at one name", 2, exchange, read("g", 0));
    pair("an exchange, and a look at a third name", 1, exchange, read("d/f", 0));
    let keep = || rename("f", "g", RenameFlags::NOREPLACE);
    pair("two that do not replace what is there", 1, keep(), keep());
    let onto_new = |from| rename(from, "new", RenameFlags::NOREPLACE);
    pair("two for one name", 2, onto_new("f"), onto_new("g"));
    let whiteout = rename("f", "new", RenameFlags::WHITEOUT);
    pair("a whiteout left, and a look there", 2, whiteout, || drop(fs::symlink_metadata("f")));
}

/// A file without a name, with the name of what wrote it in it.
fn unnamed(text: &'static str) -> OwnedFd {
    let flags = OFlags::TMPFILE | OFlags::RDWR;
    let mut file = File::from(rustix::fs::open(".", flags, Mode::from_raw_mode(0o644)).expect("O_TMPFILE"));
    file.write_all(text.as_bytes()).expect("a file without a name can be written");
    file.into()
}

#[test]
fn files_without_a_name() {
    let by_proc = |text: &'static str, name: &'static str| {
        move || {
            let file = unnamed(text);
            let path = format!("/proc/self/fd/{}", file.as_raw_fd());
            let _ = rustix::fs::linkat(CWD, path, CWD, name, AtFlags::SYMLINK_FOLLOW);
        }
    };
    pair("two that come to have one name", 2, by_proc("a", "new"), by_proc("b", "new"));
    pair("two that come to have names", 1, by_proc("a", "new-a"), by_proc("b", "new-b"));
    let late = || {
        let file = File::from(unnamed("a"));
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        rustix::fs::linkat(CWD, path, CWD, "new", AtFlags::SYMLINK_FOLLOW).expect("a link");
        file.write_all_at(b"more", 0).expect("a write");
    };
    // Before the link, between the two, and after both.
    let read = || drop(File::open("new").map(|file| file.read_at(&mut [0; 10], 0)));
    pair("a write behind the link, and a read by the name", 3, late, read);
}

#[test]
fn extended_attributes() {
    let set =
        |name: &'static str| move || rustix::fs::setxattr("f", name, b"x", XattrFlags::CREATE).expect("set");
    let get = || {
        let _ = rustix::fs::getxattr("f", "user.a", &mut [0u8; 10][..]);
    };
    let list = || {
        let _ = rustix::fs::listxattr("g", &mut [0u8; 99][..]);
    };
    pair("an attribute, and a look at it", 2, set("user.a"), get);
    pair("an attribute, and a look at the mode", 1, set("user.a"), || drop(fs::metadata("f")));
    pair("an attribute, and a read", 1, set("user.a"), read("f", 0));
    pair("an attribute of another file", 1, set("user.a"), list);
}

#[test]
fn times_of_links_are_not_those_of_files() {
    let set = |flags: AtFlags| {
        move || {
            let time = rustix::fs::Timespec { tv_sec: 5, tv_nsec: 0 };
            let times = rustix::fs::Timestamps { last_access: time, last_modification: time };
            rustix::fs::utimensat(CWD, "to-f", &times, flags).expect("utimensat");
        }
    };
    pair("the times of a link, and a look at its target", 1, set(AtFlags::SYMLINK_NOFOLLOW), || {
        drop(fs::metadata("f"));
    });
    pair("the times of its target", 2, set(AtFlags::empty()), || drop(fs::metadata("f")));
}

#[test]
fn a_directory_for_the_root() {
    let empty = || {
        let directory = File::open("d").expect("d");
        let flags = OFlags::WRONLY | OFlags::TRUNC;
        rustix::fs::openat2(directory, "to-f", flags, Mode::empty(), ResolveFlags::IN_ROOT).expect("openat2");
    };
    pair("a link to /f within a directory, and the f of another", 1, empty, read("f", 0));
    pair("a link to /f within a directory, and its f", 2, empty, read("d/f", 0));
}

#[test]
fn ways_round_a_name() {
    let again = || {
        let file = open("f");
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        OpenOptions::new().write(true).truncate(true).open(path).expect("opened again");
    };
    pair("a file emptied by another of its descriptors", 2, again, read("f", 0));
    // Between the two, before both, and behind both.
    let emptied = || {
        rustix::fs::open("f", OFlags::RDONLY | OFlags::TRUNC, Mode::empty())
            .expect("opened to be read, and emptied");
    };
    pair("a file emptied that is opened to be read", 2, emptied, read("f", 0));
    pair("where one is, and a rename of that", 3, within_d, || fs::rename("d", "e").expect("a rename"));
    let path_alone = || {
        let file = OpenOptions::new().read(true).custom_flags(libc_path()).open("f").expect("O_PATH");
        rustix::fs::statat(&file, "", AtFlags::EMPTY_PATH).expect("a status");
    };
    pair("a status by an empty path, and a write", 2, path_alone, write("f", 195));
    pair("a status by an empty path, and a read", 1, path_alone, read("f", 0));
}

#[test]
fn paths_lead_from_where_the_process_is() {
    let by_path = || rustix::process::chdir("d").expect("a directory");
    let by_descriptor = || rustix::process::fchdir(File::open("d").expect("it opens")).expect("a directory");
    // The threads of a process are in one directory, also where each has descriptors of its own.
    let by_a_thread_apart = || {
        let thread = std::thread::spawn(|| {
            nix::sched::unshare(CloneFlags::CLONE_FILES).expect("descriptors of its own");
            rustix::process::chdir("d").expect("a directory");
        });
        thread.join().expect("it ends");
    };
    for (what, enter) in
        [("chdir", by_path as fn()), ("fchdir", by_descriptor), ("by a thread apart", by_a_thread_apart)]
    {
        let there = move || {
            enter();
            write("f", 195)();
        };
        pair(&format!("{what}, and a write of what has that name above"), 1, there, write("f", 195));
        pair(&format!("{what}, and a write of the same"), 2, there, write("d/f", 195));
    }
}

fn libc_path() -> i32 {
    OFlags::PATH.bits().cast_signed()
}

/// Enters `d`, if it is there by then, and asks where it is.
fn within_d() {
    if rustix::process::chdir("d").is_ok() {
        rustix::process::getcwd(Vec::new()).expect("a directory");
    }
}
