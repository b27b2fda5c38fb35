//! Calls that may be operations, or that see a source of chance, each with its meaning.

use super::{NONE, Row, decoded};
use crate::tracer::decode::data::{Transfer, offset_of};
use crate::tracer::decode::descriptors::TERMINAL;
use crate::tracer::decode::messages::{Message, address_of};
use crate::tracer::decode::rights::COMMON_CONTROLS;
use crate::tracer::decode::undecided::Early;
use crate::tracer::decode::{Decision, descriptor as fd};
use crate::tracer::signals::To;

/// Instead of a directory's descriptor: the current directory.
const HERE: i32 = libc::AT_FDCWD;
/// Families of sockets of which none is followed.
const NETWORK: &[u32] = &[libc::AF_INET as u32, libc::AF_INET6 as u32];
const NO_FOLLOW: u64 = libc::AT_SYMLINK_NOFOLLOW as u64;
const PRIO_PROCESS: i32 = libc::PRIO_PROCESS as i32;
const IOPRIO_WHO_PROCESS: i32 = 1;
const EMPTY: u64 = libc::AT_EMPTY_PATH as u64;

fn how(number: u64, at: Option<u64>, written: bool, flags: u64) -> Transfer {
    Transfer { number: fd(number), at, written, flags: flags as i32 }
}

pub(super) const ROWS: &[Row] = &[
    // Names.
    decoded("open", 2, NONE, |call, [a, b, ..]| call.open(HERE, a, b as i32)),
    decoded("openat", 257, 56, |call, [a, b, c, ..]| call.open(fd(a), b, c as i32)),
    decoded("openat2", 437, 437, |call, [a, b, c, d, ..]| call.open_how(fd(a), b, c, d)),
    decoded("creat", 85, NONE, |call, [a, ..]| {
        call.open(HERE, a, libc::O_CREAT | libc::O_WRONLY | libc::O_TRUNC)
    }),
    decoded("access", 21, NONE, |call, [a, ..]| call.look(HERE, a, true)),
    decoded("faccessat", 269, 48, |call, [a, b, ..]| call.look(fd(a), b, true)),
    decoded("faccessat2", 439, 439, |call, [a, b, _, d, ..]| call.look_at(fd(a), b, d)),
    decoded("readlink", 89, NONE, |call, [a, ..]| call.read_link(HERE, a, NO_FOLLOW)),
    decoded("readlinkat", 267, 78, |call, [a, b, ..]| call.read_link(fd(a), b, NO_FOLLOW | EMPTY)),
    decoded("chdir", 80, 49, |call, [a, ..]| call.go_to(a)),
    decoded("fchdir", 81, 50, |call, [a, ..]| call.leave(fd(a))),
    decoded("getcwd", 79, 17, |call, _| call.current_directory()),
    decoded("execve", 59, 221, |call, [a, ..]| call.exec(HERE, a, 0)),
    decoded("execveat", 322, 281, |call, [a, b, _, _, e, ..]| call.exec(fd(a), b, e)),
    decoded("unlink", 87, NONE, |call, [a, ..]| call.remove(HERE, a, false)),
    decoded("rmdir", 84, NONE, |call, [a, ..]| call.remove(HERE, a, true)),
    decoded("unlinkat", 263, 35, |call, [a, b, c, ..]| {
        call.remove(fd(a), b, c as i32 & libc::AT_REMOVEDIR != 0)
    }),
    decoded("rename", 82, NONE, |call, [a, b, ..]| call.rename((HERE, a), (HERE, b), 0)),
    decoded("renameat", 264, 38, |call, [a, b, c, d, ..]| call.rename((fd(a), b), (fd(c), d), 0)),
    decoded("renameat2", 316, 276, |call, [a, b, c, d, e, ..]| call.rename((fd(a), b), (fd(c), d), e as u32)),
    decoded("link", 86, NONE, |call, [a, b, ..]| call.link((HERE, a), (HERE, b), 0)),
    decoded("linkat", 265, 37, |call, [a, b, c, d, e, ..]| call.link((fd(a), b), (fd(c), d), e)),
    decoded("symlink", 88, NONE, |call, [a, b, ..]| call.make(HERE, b, Some(a))),
    decoded("symlinkat", 266, 36, |call, [a, b, c, ..]| call.make(fd(b), c, Some(a))),
    decoded("mkdir", 83, NONE, |call, [a, ..]| call.make(HERE, a, None)),
    decoded("mkdirat", 258, 34, |call, [a, b, ..]| call.make(fd(a), b, None)),
    decoded("mknod", 133, NONE, |call, [a, ..]| call.make(HERE, a, None)),
    decoded("mknodat", 259, 33, |call, [a, b, ..]| call.make(fd(a), b, None)),
    // Status, mode, attributes.
    decoded("stat", 4, NONE, |call, [a, b, ..]| call.status_at(HERE, a, 0, b, false)),
    decoded("lstat", 6, NONE, |call, [a, b, ..]| call.status_at(HERE, a, NO_FOLLOW, b, false)),
    decoded("fstat", 5, 80, |call, [a, b, ..]| call.status_of(fd(a), b, false)),
    decoded("newfstatat", 262, 79, |call, [a, b, c, d, ..]| call.status_at(fd(a), b, d, c, false)),
    decoded("statx", 332, 291, |call, [a, b, c, _, e, ..]| call.status_at(fd(a), b, c, e, true)),
    decoded("statfs", 137, 43, |call, [a, b, ..]| call.space_at(a, b)),
    decoded("fstatfs", 138, 44, |call, [a, b, ..]| call.space_of(fd(a), b)),
    decoded("chmod", 90, NONE, |call, [a, b, ..]| call.change_mode_at(HERE, a, 0, Some(b))),
    decoded("fchmod", 91, 52, |call, [a, b, ..]| call.change_mode_of(fd(a), Some(b))),
    decoded("fchmodat", 268, 53, |call, [a, b, c, ..]| call.change_mode_at(fd(a), b, 0, Some(c))),
    decoded("fchmodat2", 452, 452, |call, [a, b, c, d, ..]| call.change_mode_at(fd(a), b, d, Some(c))),
    decoded("chown", 92, NONE, |call, [a, ..]| call.change_mode_at(HERE, a, 0, None)),
    decoded("lchown", 94, NONE, |call, [a, ..]| call.change_mode_at(HERE, a, NO_FOLLOW, None)),
    decoded("fchown", 93, 55, |call, [a, ..]| call.change_mode_of(fd(a), None)),
    decoded("fchownat", 260, 54, |call, [a, b, _, _, e, ..]| call.change_mode_at(fd(a), b, e, None)),
    decoded("file_getattr", 468, 468, |call, [a, b, _, _, e, ..]| call.look_at(fd(a), b, e)),
    decoded("file_setattr", 469, 469, |call, [a, b, _, _, e, ..]| call.change_flags_at(fd(a), b, e)),
    decoded("getxattr", 191, 8, |call, [a, b, ..]| call.attribute_at(HERE, a, 0, b, false)),
    decoded("lgetxattr", 192, 9, |call, [a, b, ..]| call.attribute_at(HERE, a, NO_FOLLOW, b, false)),
    decoded("fgetxattr", 193, 10, |call, [a, b, ..]| call.attribute_of(fd(a), b, false)),
    decoded("getxattrat", 464, 464, |call, [a, b, c, d, ..]| call.attribute_at(fd(a), b, c, d, false)),
    decoded("setxattr", 188, 5, |call, [a, b, ..]| call.attribute_at(HERE, a, 0, b, true)),
    decoded("lsetxattr", 189, 6, |call, [a, b, ..]| call.attribute_at(HERE, a, NO_FOLLOW, b, true)),
    decoded("fsetxattr", 190, 7, |call, [a, b, ..]| call.attribute_of(fd(a), b, true)),
    decoded("setxattrat", 463, 463, |call, [a, b, c, d, ..]| call.attribute_at(fd(a), b, c, d, true)),
    decoded("removexattr", 197, 14, |call, [a, b, ..]| call.attribute_at(HERE, a, 0, b, true)),
    decoded("lremovexattr", 198, 15, |call, [a, b, ..]| call.attribute_at(HERE, a, NO_FOLLOW, b, true)),
    decoded("fremovexattr", 199, 16, |call, [a, b, ..]| call.attribute_of(fd(a), b, true)),
    decoded("removexattrat", 466, 466, |call, [a, b, c, d, ..]| call.attribute_at(fd(a), b, c, d, true)),
    decoded("listxattr", 194, 11, |call, [a, ..]| call.attribute_at(HERE, a, 0, 0, false)),
    decoded("llistxattr", 195, 12, |call, [a, ..]| call.attribute_at(HERE, a, NO_FOLLOW, 0, false)),
    decoded("flistxattr", 196, 13, |call, [a, ..]| call.attribute_of(fd(a), 0, false)),
    decoded("listxattrat", 465, 465, |call, [a, b, c, ..]| call.attribute_at(fd(a), b, c, 0, false)),
    decoded("utime", 132, NONE, |call, [a, b, ..]| call.set_times(HERE, a, 0, b)),
    decoded("utimes", 235, NONE, |call, [a, b, ..]| call.set_times(HERE, a, 0, b)),
    decoded("futimesat", 261, NONE, |call, [a, b, c, ..]| call.set_times(fd(a), b, 0, c)),
    decoded("utimensat", 280, 88, |call, [a, b, c, d, ..]| call.set_times(fd(a), b, d, c)),
    decoded("truncate", 76, 45, |call, [a, b, ..]| call.truncate(a, b)),
    decoded("ftruncate", 77, 46, |call, [a, b, ..]| call.truncate_of(fd(a), b)),
    decoded("fallocate", 285, 47, |call, [a, b, c, d, ..]| call.allocate(fd(a), b as i32, c, d)),
    decoded("getdents", 78, NONE, |call, [a, b, c, ..]| call.list(fd(a), b, c, true)),
    decoded("getdents64", 217, 61, |call, [a, b, c, ..]| call.list(fd(a), b, c, false)),
    decoded("fsync", 74, 82, |call, [a, ..]| call.sync(fd(a))),
    decoded("fdatasync", 75, 83, |call, [a, ..]| call.sync(fd(a))),
    decoded("sync_file_range", 277, 84, |call, [a, ..]| call.sync(fd(a))),
    decoded("syncfs", 306, 267, |call, [a, ..]| call.sync(fd(a))),
    decoded("sync", 162, 81, |_, _| Err(Early::Local("all that is written back is there already"))),
    // Bytes.
    decoded("read", 0, 63, |call, [a, b, c, ..]| call.read(a, (b, c), None)),
    decoded("write", 1, 64, |call, [a, b, c, ..]| call.write(a, (b, c), None)),
    decoded("pread64", 17, 67, |call, [a, b, c, d, ..]| call.read(a, (b, c), Some(d))),
    decoded("pwrite64", 18, 68, |call, [a, b, c, d, ..]| call.write(a, (b, c), Some(d))),
    decoded("readv", 19, 65, |call, [a, b, c, ..]| call.vector(how(a, None, false, 0), b, c)),
    decoded("writev", 20, 66, |call, [a, b, c, ..]| call.vector(how(a, None, true, 0), b, c)),
    decoded("preadv", 295, 69, |call, [a, b, c, d, ..]| call.vector(how(a, offset_of(d), false, 0), b, c)),
    decoded("pwritev", 296, 70, |call, [a, b, c, d, ..]| call.vector(how(a, offset_of(d), true, 0), b, c)),
    decoded("preadv2", 327, 286, |call, [a, b, c, d, _, f]| {
        call.vector(how(a, offset_of(d), false, f), b, c)
    }),
    decoded("pwritev2", 328, 287, |call, [a, b, c, d, _, f]| {
        call.vector(how(a, offset_of(d), true, f), b, c)
    }),
    decoded("lseek", 8, 62, |call, [a, _, c, ..]| call.seek(fd(a), c as i32)),
    decoded("mmap", 9, 222, |call, [_, _, c, d, e, _]| call.map(c, d, fd(e))).local_with(4, &[u32::MAX]),
    decoded("sendfile", 40, 71, |call, [a, b, c, d, ..]| call.between((fd(b), c), (fd(a), 0), d)),
    decoded("copy_file_range", 326, 285, |call, [a, b, c, d, e, _]| call.between((fd(a), b), (fd(c), d), e)),
    decoded("splice", 275, 76, |call, [a, b, c, d, e, _]| call.between((fd(a), b), (fd(c), d), e)),
    decoded("tee", 276, 77, |call, [a, b, ..]| call.refuses_streams(&[fd(a), fd(b)])),
    decoded("vmsplice", 278, 75, |call, [a, ..]| call.refuses_streams(&[fd(a)])),
    decoded("poll", 7, NONE, |call, [a, b, ..]| call.poll(a, b)),
    decoded("ppoll", 271, 73, |call, [a, b, ..]| call.poll(a, b)),
    decoded("select", 23, NONE, |call, [a, b, c, ..]| call.select(a, [b, c])),
    decoded("pselect6", 270, 72, |call, [a, b, c, ..]| call.select(a, [b, c])),
    decoded("epoll_create", 213, NONE, |call, _| call.open_epoll(0)),
    decoded("epoll_create1", 291, 20, |call, [a, ..]| call.open_epoll(a as i32)),
    decoded("epoll_ctl", 233, 21, |call, [a, b, c, ..]| call.control_epoll(fd(a), b as i32, fd(c))),
    decoded("epoll_wait", 232, NONE, |call, [a, ..]| call.wait_for_epoll(fd(a))),
    decoded("epoll_pwait", 281, 22, |call, [a, ..]| call.wait_for_epoll(fd(a))),
    decoded("epoll_pwait2", 441, 441, |call, [a, ..]| call.wait_for_epoll(fd(a))),
    // Descriptors and locks.
    decoded("close", 3, 57, |call, [a, ..]| Ok(call.close(vec![fd(a)]))),
    decoded("close_range", 436, 436, |call, [a, b, c, ..]| call.close_range(a, b, c as u32)),
    decoded("dup", 32, 23, |call, [a, ..]| Ok(call.copy(fd(a), None, false))),
    decoded("dup2", 33, NONE, |call, [a, b, ..]| call.dup2(fd(a), fd(b))),
    decoded("dup3", 292, 24, |call, [a, b, c, ..]| {
        Ok(call.copy(fd(a), Some(fd(b)), c as i32 & libc::O_CLOEXEC != 0))
    }),
    decoded("fcntl", 72, 25, |call, _| call.control()),
    decoded("flock", 73, 32, |call, _| call.flock()),
    decoded("ioctl", 16, 29, |call, [a, b, c, ..]| call.device(fd(a), b as u32, c)).local_with(1, TERMINAL),
    // Sockets.
    decoded("socket", 41, 198, |call, [a, b, c, ..]| call.socket(a as i32, b as i32, c as i32))
        .local_with(0, NETWORK),
    decoded("bind", 49, 200, |call, [a, b, c, ..]| call.bind(fd(a), b, c)),
    decoded("listen", 50, 201, |call, [a, ..]| call.listen(fd(a))),
    decoded("connect", 42, 203, |call, [a, b, c, ..]| call.connect(fd(a), b, c)),
    decoded("accept", 43, 202, |call, [a, ..]| call.accept(fd(a), 0)),
    decoded("accept4", 288, 242, |call, [a, _, _, d, ..]| call.accept(fd(a), d as i32)),
    decoded("shutdown", 48, 210, |call, [a, b, ..]| call.shut(fd(a), b as i32)),
    decoded("setsockopt", 54, 208, |call, [a, b, c, ..]| call.set_option(fd(a), b as i32, c as i32)),
    decoded("getsockopt", 55, 209, |call, [a, b, c, ..]| call.option(fd(a), b as i32, c as i32)),
    decoded("sendto", 44, 206, |call, [a, b, length, d, e, f]| {
        call.send(fd(a), b, Message { length, flags: d as i32, to: address_of(e, f) })
    }),
    decoded("recvfrom", 45, 207, |call, [a, _, length, d, ..]| {
        call.message(fd(a), Message { length, flags: d as i32, to: None }, false)
    }),
    decoded("sendmsg", 46, 211, |call, [a, b, c, ..]| call.messages((fd(a), b), None, c as i32, true)),
    decoded("recvmsg", 47, 212, |call, [a, b, c, ..]| call.messages((fd(a), b), None, c as i32, false)),
    decoded("sendmmsg", 307, 269, |call, [a, b, c, ..]| call.messages((fd(a), b), Some(c), 0, true)),
    decoded("recvmmsg", 299, 243, |call, [a, b, c, ..]| call.messages((fd(a), b), Some(c), 0, false)),
    // Tasks, signals.
    decoded("clone", 56, 220, |call, [a, ..]| call.fork(a)),
    decoded("clone3", 435, 435, |call, [a, ..]| call.fork_by(a)),
    decoded("fork", 57, NONE, |_, _| Ok(Decision::Fork)),
    decoded("vfork", 58, NONE, |_, _| Ok(Decision::Fork)),
    decoded("unshare", 272, 97, |call, [a, ..]| call.unshare(a)),
    decoded("exit_group", 231, 94, |_, [a, ..]| Ok(Decision::End(a as i32))),
    decoded("kill", 62, 129, |call, [a, b, ..]| call.signal(a as i32, b as i32)),
    decoded("tkill", 200, 130, |call, [a, b, ..]| call.signal_to(To::Task(a as i32), b as i32, 0)),
    decoded("tgkill", 234, 131, |call, [_, b, c, ..]| call.signal_to(To::Task(b as i32), c as i32, 0)),
    decoded("rt_sigqueueinfo", 129, 138, |call, [a, b, c, ..]| {
        call.signal_to(To::Group(a as i32), b as i32, c)
    }),
    decoded("rt_tgsigqueueinfo", 297, 240, |call, [_, b, c, d, ..]| {
        call.signal_to(To::Task(b as i32), c as i32, d)
    }),
    decoded("pidfd_send_signal", 424, 424, |call, [a, b, c, ..]| call.signal_by(fd(a), b as i32, c)),
    decoded("pidfd_open", 434, 434, |call, [a, ..]| call.watch(a as i32)),
    // Rights.
    decoded("setuid", 105, 146, |call, _| call.changes_rights()),
    decoded("setgid", 106, 144, |call, _| call.changes_rights()),
    decoded("setreuid", 113, 145, |call, _| call.changes_rights()),
    decoded("setregid", 114, 143, |call, _| call.changes_rights()),
    decoded("setgroups", 116, 159, |call, _| call.changes_rights()),
    decoded("setresuid", 117, 147, |call, _| call.changes_rights()),
    decoded("setresgid", 119, 149, |call, _| call.changes_rights()),
    decoded("setfsuid", 122, 151, |call, _| call.changes_rights()),
    decoded("setfsgid", 123, 152, |call, _| call.changes_rights()),
    decoded("capset", 126, 91, |call, _| call.changes_rights()),
    decoded("prctl", 157, 167, |call, [a, ..]| call.control_process(a as i32)).local_with(0, COMMON_CONTROLS),
    // What is known of a process, and what concerns it.
    decoded("getpgid", 121, 155, |call, [a, ..]| call.asks_of(&[a])).local_with(0, &[0]),
    decoded("getsid", 124, 156, |call, [a, ..]| call.asks_of(&[a])).local_with(0, &[0]),
    decoded("sched_getparam", 143, 121, |call, [a, ..]| call.asks_of(&[a])).local_with(0, &[0]),
    decoded("sched_getscheduler", 145, 120, |call, [a, ..]| call.asks_of(&[a])).local_with(0, &[0]),
    decoded("sched_rr_get_interval", 148, 127, |call, [a, ..]| call.asks_of(&[a])).local_with(0, &[0]),
    decoded("sched_getaffinity", 204, 123, |call, [a, ..]| call.asks_of(&[a])).local_with(0, &[0]),
    decoded("sched_getattr", 315, 275, |call, [a, ..]| call.asks_of(&[a])).local_with(0, &[0]),
    decoded("get_robust_list", 274, 100, |call, [a, ..]| call.asks_of(&[a])).local_with(0, &[0]),
    decoded("getpriority", 140, 141, |call, [a, b, ..]| call.asks_of_kind(a, PRIO_PROCESS, b)),
    decoded("ioprio_get", 252, 31, |call, [a, b, ..]| call.asks_of_kind(a, IOPRIO_WHO_PROCESS, b)),
    decoded("kcmp", 312, 272, |call, [a, b, ..]| call.asks_of(&[a, b])),
    decoded("prlimit64", 302, 261, |call, [a, _, c, ..]| call.limit_of(a, c)).local_with(0, &[0]),
    decoded("sched_setparam", 142, 118, |call, [a, ..]| call.sets_of(a)).local_with(0, &[0]),
    decoded("sched_setscheduler", 144, 119, |call, [a, ..]| call.sets_of(a)).local_with(0, &[0]),
    decoded("sched_setaffinity", 203, 122, |call, [a, ..]| call.sets_of(a)).local_with(0, &[0]),
    decoded("sched_setattr", 314, 274, |call, [a, ..]| call.sets_of(a)).local_with(0, &[0]),
    decoded("setpgid", 109, 154, |call, [a, ..]| call.sets_of(a)).local_with(0, &[0]),
    decoded("migrate_pages", 256, 238, |call, [a, ..]| call.sets_of(a)).local_with(0, &[0]),
    decoded("move_pages", 279, 239, |call, [a, ..]| call.sets_of(a)).local_with(0, &[0]),
    decoded("setpriority", 141, 140, |call, [a, b, ..]| call.sets_of_kind(a, PRIO_PROCESS, b)),
    decoded("ioprio_set", 251, 30, |call, [a, b, ..]| call.sets_of_kind(a, IOPRIO_WHO_PROCESS, b)),
    // Time and chance.
    decoded("clock_gettime", 228, 113, |call, [a, b, ..]| call.clock(a, b)),
    decoded("gettimeofday", 96, 169, |call, [a, ..]| call.time_of_day(a)),
    decoded("time", 201, NONE, |call, [a, ..]| call.seconds(a)),
    decoded("nanosleep", 35, 101, |call, [a, ..]| call.sleep(a, None)),
    decoded("clock_nanosleep", 230, 115, |call, [a, b, c, ..]| call.sleep_by(a, b, c)),
    decoded("getrandom", 318, 278, |call, [a, b, ..]| call.random_bytes(a, b)),
    decoded("alarm", 37, NONE, |call, [a, ..]| call.set_alarm(a)),
    decoded("getitimer", 36, 102, |call, [a, b, ..]| call.interval_timer(a, b)),
    decoded("setitimer", 38, 103, |call, [a, b, c, ..]| call.set_interval_timer(a, b, c)),
    decoded("timer_create", 222, 107, |call, [a, b, c, ..]| call.make_timer(a as i32, b, c)),
    decoded("timer_settime", 223, 110, |call, [a, b, c, d, ..]| call.arm_timer(a, b, c, d)),
    decoded("timer_gettime", 224, 108, |call, [a, b, ..]| call.timer_left(a, b)),
    decoded("timer_getoverrun", 225, 109, |call, [a, ..]| call.timer_overrun(a)),
    decoded("timer_delete", 226, 111, |call, [a, ..]| call.delete_timer(a)),
    decoded("timerfd_create", 283, 85, |call, [a, b, ..]| call.open_timer(a, b)),
    decoded("timerfd_settime", 286, 86, |call, [a, b, c, d, ..]| call.arm_open_timer(a, b, c, d)),
    decoded("timerfd_gettime", 287, 87, |call, [a, b, ..]| call.open_timer_left(a, b)),
    decoded("times", 100, 153, |call, [a, ..]| call.processor_times(a)),
    decoded("getrusage", 98, 165, |call, [a, b, ..]| call.usage(a as i32, b)),
    decoded("sysinfo", 99, 179, |call, [a, ..]| call.machine(a)),
];
