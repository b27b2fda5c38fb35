//! Calls that are refused, and calls that are let pass and reported.

use libc::{ENOSYS, EOPNOTSUPP, EPERM};

use super::{About, NONE, Row, refused, reported};
use crate::model::GapKind;

pub(super) const ROWS: &[Row] = &[
    // What would change the machine, the mounts, or the way to the workspace: as for an ordinary user.
    refused("ptrace", 101, 117, EPERM),
    refused("syslog", 103, 116, EPERM),
    refused("vhangup", 153, 58, EPERM),
    refused("pivot_root", 155, 41, EPERM),
    refused("adjtimex", 159, 171, EPERM),
    refused("chroot", 161, 51, EPERM),
    refused("acct", 163, 89, EPERM),
    refused("settimeofday", 164, 170, EPERM),
    refused("mount", 165, 40, EPERM),
    refused("umount2", 166, 39, EPERM),
    refused("swapon", 167, 224, EPERM),
    refused("swapoff", 168, 225, EPERM),
    refused("reboot", 169, 142, EPERM),
    refused("sethostname", 170, 161, EPERM),
    refused("setdomainname", 171, 162, EPERM),
    refused("iopl", 172, NONE, EPERM),
    refused("ioperm", 173, NONE, EPERM),
    refused("init_module", 175, 105, EPERM),
    refused("delete_module", 176, 106, EPERM),
    refused("quotactl", 179, 60, EPERM),
    refused("clock_settime", 227, 112, EPERM),
    refused("kexec_load", 246, 104, EPERM),
    refused("perf_event_open", 298, 241, EPERM),
    refused("fanotify_init", 300, 262, EPERM),
    refused("fanotify_mark", 301, 263, EPERM),
    refused("open_by_handle_at", 304, 265, EPERM),
    refused("clock_adjtime", 305, 266, EPERM),
    refused("setns", 308, 268, EPERM),
    refused("finit_module", 313, 273, EPERM),
    refused("kexec_file_load", 320, 294, EPERM),
    refused("bpf", 321, 280, EPERM),
    refused("userfaultfd", 323, 282, EPERM),
    refused("open_tree", 428, 428, EPERM),
    refused("move_mount", 429, 429, EPERM),
    refused("fsopen", 430, 430, EPERM),
    refused("fsconfig", 431, 431, EPERM),
    refused("fsmount", 432, 432, EPERM),
    refused("fspick", 433, 433, EPERM),
    refused("pidfd_getfd", 438, 438, EPERM),
    refused("mount_setattr", 442, 442, EPERM),
    refused("quotactl_fd", 443, 443, EPERM),
    refused("open_tree_attr", 467, 467, EPERM),
    // What works beside the calls that are scheduled: programs fall back to those. And what Linux no longer has.
    refused("uselib", 134, NONE, ENOSYS),
    refused("sysfs", 139, NONE, ENOSYS),
    refused("_sysctl", 156, NONE, ENOSYS),
    refused("create_module", 174, NONE, ENOSYS),
    refused("get_kernel_syms", 177, NONE, ENOSYS),
    refused("query_module", 178, NONE, ENOSYS),
    refused("nfsservctl", 180, 42, ENOSYS),
    refused("getpmsg", 181, NONE, ENOSYS),
    refused("putpmsg", 182, NONE, ENOSYS),
    refused("afs_syscall", 183, NONE, ENOSYS),
    refused("tuxcall", 184, NONE, ENOSYS),
    refused("security", 185, NONE, ENOSYS),
    refused("io_setup", 206, 0, ENOSYS),
    refused("io_destroy", 207, 1, ENOSYS),
    refused("io_getevents", 208, 4, ENOSYS),
    refused("io_submit", 209, 2, ENOSYS),
    refused("io_cancel", 210, 3, ENOSYS),
    refused("ustat", 136, NONE, ENOSYS),
    refused("lookup_dcookie", 212, 18, ENOSYS),
    refused("epoll_ctl_old", 214, NONE, ENOSYS),
    refused("epoll_wait_old", 215, NONE, ENOSYS),
    refused("vserver", 236, NONE, ENOSYS),
    refused("io_pgetevents", 333, 292, ENOSYS),
    refused("io_uring_setup", 425, 425, ENOSYS),
    refused("io_uring_enter", 426, 426, ENOSYS),
    refused("io_uring_register", 427, 427, ENOSYS),
    refused("cachestat", 451, 451, ENOSYS),
    // A handle holds an inode number: as on a file system that has none.
    refused("name_to_handle_at", 303, 264, EOPNOTSUPP),
];

const SHARED_MEMORY: &str = "System V shared memory";
const SEMAPHORES: &str = "System V semaphores";
const MESSAGE_QUEUES: &str = "System V message queues";
const POSIX_QUEUES: &str = "POSIX message queues";
const KEYRINGS: &str = "kernel keyrings";
const MEMORY: &str = "the memory of other processes";
const WATCHES: &str = "file watches (inotify)";

/// A descriptor of a POSIX message queue or of file watches is judged when it is opened: by a name, or alone.
pub(super) const REPORTED: &[Row] = &[
    reported("shmget", (29, 194), (GapKind::SharedMemory, SHARED_MEMORY, About::Key(0))),
    reported("shmat", (30, 196), (GapKind::SharedMemory, SHARED_MEMORY, About::Number(0))),
    reported("shmctl", (31, 195), (GapKind::SharedMemory, SHARED_MEMORY, About::Number(0))),
    reported("shmdt", (67, 197), (GapKind::SharedMemory, SHARED_MEMORY, About::Own)),
    reported("semget", (64, 190), (GapKind::KernelObject, SEMAPHORES, About::Key(0))),
    reported("semop", (65, 193), (GapKind::KernelObject, SEMAPHORES, About::Number(0))),
    reported("semtimedop", (220, 192), (GapKind::KernelObject, SEMAPHORES, About::Number(0))),
    reported("semctl", (66, 191), (GapKind::KernelObject, SEMAPHORES, About::Number(0))),
    reported("msgget", (68, 186), (GapKind::KernelObject, MESSAGE_QUEUES, About::Key(0))),
    reported("msgsnd", (69, 189), (GapKind::KernelObject, MESSAGE_QUEUES, About::Number(0))),
    reported("msgrcv", (70, 188), (GapKind::KernelObject, MESSAGE_QUEUES, About::Number(0))),
    reported("msgctl", (71, 187), (GapKind::KernelObject, MESSAGE_QUEUES, About::Number(0))),
    reported("mq_open", (240, 180), (GapKind::KernelObject, POSIX_QUEUES, About::Name(0))),
    reported("mq_unlink", (241, 181), (GapKind::KernelObject, POSIX_QUEUES, About::Name(0))),
    reported("mq_timedsend", (242, 182), (GapKind::KernelObject, POSIX_QUEUES, About::Own)),
    reported("mq_timedreceive", (243, 183), (GapKind::KernelObject, POSIX_QUEUES, About::Own)),
    reported("mq_notify", (244, 184), (GapKind::KernelObject, POSIX_QUEUES, About::Own)),
    reported("mq_getsetattr", (245, 185), (GapKind::KernelObject, POSIX_QUEUES, About::Own)),
    reported("add_key", (248, 217), (GapKind::KernelObject, KEYRINGS, About::Same)),
    reported("request_key", (249, 218), (GapKind::KernelObject, KEYRINGS, About::Same)),
    reported("keyctl", (250, 219), (GapKind::KernelObject, KEYRINGS, About::Same)),
    reported("process_vm_readv", (310, 270), (GapKind::OtherProcess, MEMORY, About::Process(0))),
    reported("process_vm_writev", (311, 271), (GapKind::OtherProcess, MEMORY, About::Process(0))),
    reported("process_madvise", (440, 440), (GapKind::OtherProcess, MEMORY, About::Unknown)),
    reported("process_mrelease", (448, 448), (GapKind::OtherProcess, MEMORY, About::Unknown)),
    reported("inotify_init", (253, NONE), (GapKind::FileWatch, WATCHES, About::Own)),
    reported("inotify_init1", (294, 26), (GapKind::FileWatch, WATCHES, About::Own)),
    reported("inotify_add_watch", (254, 27), (GapKind::FileWatch, WATCHES, About::Unknown)),
    reported("inotify_rm_watch", (255, 28), (GapKind::FileWatch, WATCHES, About::Own)),
];
