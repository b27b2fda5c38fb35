import ctypes, errno, fcntl, os, random, stat, struct

choose = random.Random(SEED)
os.umask(0o22)
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
opened = []


def call(number, *arguments):
    result = libc.syscall(number, *[ctypes.c_long(x) if isinstance(x, int) else x for x in arguments])
    if result < 0:
        raise OSError(ctypes.get_errno(), "")
    return result


def pick(*values):
    return choose.choice(values)


def path():
    names = ["a", "b", "c", "new", "d", "d/x", "d/../a", "link", "link/..", "./d/.", "d/", "a/", "none/x", "", "dangling", "../" + os.path.basename(os.getcwd()) + "/a"]
    return choose.choice(names)


def descriptor():
    return choose.choice(opened) if opened and choose.random() < 0.95 else 99


def offset():
    return pick(0, 1, 5, 10, 4096, 100)


def keep(number):
    opened.append(number)
    return len(opened)


def shown(status):
    of_file = (status.st_nlink, status.st_size)
    return (stat.filemode(status.st_mode), "-" if stat.S_ISDIR(status.st_mode) else of_file)


def open_one():
    access = pick(os.O_RDONLY, os.O_WRONLY, os.O_RDWR, os.O_RDWR)
    flags = sum({pick(0, os.O_CREAT), pick(0, 0, os.O_EXCL), pick(0, 0, os.O_TRUNC), pick(0, 0, os.O_APPEND)})
    flags |= pick(0, 0, 0, os.O_NOFOLLOW, os.O_DIRECTORY, os.O_PATH, os.O_SYNC, os.O_NONBLOCK)
    return keep(os.open(path(), access | flags, pick(0o644, 0o600)))


def open_how():
    flags, resolve = pick(os.O_RDONLY, os.O_RDWR, os.O_RDWR | os.O_CREAT), pick(0, 1, 2, 4, 8, 0x10, 0x40)
    how = struct.pack("QQQ", flags, 0o644 if flags & os.O_CREAT else 0, resolve)
    return keep(call(437, -100, path().encode(), how, 24))


def unnamed():
    number = os.open(pick(".", "d"), os.O_TMPFILE | os.O_RDWR, 0o600)
    os.write(number, b"unnamed")
    return keep(number)


def again():
    return keep(os.open(f"/proc/self/fd/{descriptor()}", pick(os.O_RDONLY, os.O_RDWR, os.O_RDWR | os.O_TRUNC)))


def close_one():
    os.close(opened.pop(choose.randrange(len(opened)))) if opened else None


def lock():
    kind = pick(fcntl.F_RDLCK, fcntl.F_WRLCK, fcntl.F_UNLCK)
    region = struct.pack("hhqqi4x", kind, pick(0, 1, 2), offset(), pick(0, 1, 10), 0)
    # None that waits: a process can wait for itself, with locks of both families.
    answer = fcntl.fcntl(descriptor(), pick(fcntl.F_SETLK, fcntl.F_GETLK, 37), region)
    return struct.unpack("hhqqi4x", answer)[:4]


def attribute():
    name = pick("user.a", "user.b", "user.c")
    return pick(
        lambda: os.setxattr(path(), name, b"value", pick(0, os.XATTR_CREATE, os.XATTR_REPLACE)),
        lambda: os.getxattr(path(), name, follow_symlinks=pick(True, False)),
        lambda: sorted(os.listxattr(path())),
        lambda: os.removexattr(path(), name),
        lambda: os.setxattr(descriptor(), name, b"other"),
        lambda: os.getxattr(descriptor(), name),
    )()


def metadata():
    return pick(
        lambda: shown(os.stat(path(), follow_symlinks=pick(True, False))),
        lambda: shown(os.fstat(descriptor())),
        lambda: os.access(path(), pick(os.F_OK, os.R_OK, os.W_OK)),
        lambda: os.chmod(path(), pick(0o644, 0o600, 0o755)),
        lambda: os.fchmod(descriptor(), pick(0o644, 0o600)),
        lambda: os.chown(path(), -1, -1, follow_symlinks=pick(True, False)),
        lambda: os.readlink(path()),
        lambda: sorted(os.listdir(pick(".", "d", path()))),
        lambda: call(452, -100, path().encode(), 0o640, pick(0, 0x100, 0x1000)),
        lambda: call(268, -100, path().encode(), 0o644),
        lambda: call(468, -100, path().encode(), ctypes.create_string_buffer(24), 24, 0),
    )()


def names():
    # No whiteout: a device that can be opened, or cannot, as the file system was mounted.
    rename = lambda: call(316, -100, path().encode(), -100, path().encode(), pick(0, 0, 1, 2, 3, 8))
    return pick(
        lambda: os.mkdir(path()),
        lambda: os.mkdir("d"),
        lambda: os.rmdir(path()),
        lambda: os.unlink(path()),
        lambda: os.symlink(pick("a", "d", "none", "d/../a", "link"), pick("link", "dangling", path())),
        lambda: os.link(path(), path(), follow_symlinks=pick(True, False)),
        lambda: call(265, descriptor(), b"", -100, path().encode(), 0x1000),
        lambda: call(265, -100, f"/proc/self/fd/{descriptor()}".encode(), -100, path().encode(), 0x400),
        lambda: os.mkfifo("fifo"),
        lambda: os.mknod(path(), 0o644 | stat.S_IFREG),
        rename,
        rename,
        lambda: os.rename(path(), path()),
    )()


def sizes():
    return pick(
        lambda: os.truncate(path(), offset()),
        lambda: os.ftruncate(descriptor(), offset()),
        lambda: call(285, descriptor(), pick(0, 1, 3, 8, 16, 32, 64, 0x100), offset(), pick(0, 10, 4096)),
    )()


def move():
    to, source = descriptor(), descriptor()
    pointer = lambda: pick(None, ctypes.byref(ctypes.c_long(offset())))
    number = pick("copy", "send", "splice")
    if number == "copy":
        return call(326, source, pointer(), to, pointer(), pick(0, 5, 100), 0)
    if number == "send":
        return call(40, to, source, pointer(), pick(0, 5, 100))
    first, second = os.pipe()
    try:
        os.write(second, b"through a pipe")
        return call(275, first, None, to, pointer(), 5, 0)
    finally:
        os.close(first), os.close(second)


def transfer():
    data = bytes(choose.randrange(65, 90) for _ in range(pick(0, 1, 10, 30)))
    return pick(
        lambda: os.read(descriptor(), pick(0, 5, 100)),
        lambda: os.write(descriptor(), data),
        lambda: os.pread(descriptor(), 10, offset()),
        lambda: os.pwrite(descriptor(), data, offset()),
        lambda: os.readv(descriptor(), [bytearray(3), bytearray(5)]),
        lambda: os.writev(descriptor(), [data, b"-", data]),
        lambda: os.pwritev(descriptor(), [data, data], offset(), pick(0, 2, 4, 16, 32, 1 << 20)),
        lambda: call(328, descriptor(), struct.pack("QQ", 0, 0), 1, pick(-1, 5), 0, pick(0, 16)),
        lambda: os.lseek(descriptor(), offset(), pick(0, 1, 2, 3, 4)),
    )()


def descriptors():
    return pick(
        lambda: keep(os.dup(descriptor())),
        lambda: os.dup2(descriptor(), opened[0]) == opened[0] if opened else None,
        lambda: keep(fcntl.fcntl(descriptor(), fcntl.F_DUPFD, 50)) and None,
        lambda: fcntl.fcntl(descriptor(), fcntl.F_GETFL),
        lambda: fcntl.fcntl(descriptor(), fcntl.F_SETFL, pick(0, os.O_APPEND)),
        lambda: fcntl.fcntl(descriptor(), fcntl.F_SETFD, pick(0, 1)),
        lambda: fcntl.flock(descriptor(), pick(1, 2, 8) | fcntl.LOCK_NB),
        lambda: fcntl.ioctl(descriptor(), pick(0x541B, 0x5401, 0x1234, 0x5451, 2), bytes(64))[:4],
        lambda: fcntl.ioctl(descriptor(), 0x40049409, descriptor()),
        lambda: call(277, descriptor(), 0, 0, 0),
        lambda: os.fsync(descriptor()),
        lambda: call(306, descriptor()),
        lambda: call(436, 60, 70, pick(0, 4, 2)),
        lambda: (os.chdir(pick("d", ".", path())), os.path.relpath(os.getcwd(), TOP), os.chdir(TOP))[1],
    )()


TOP = os.getcwd()
for number in range(CALLS):
    act = pick(open_one, open_one, open_how, unnamed, again, close_one, lock, attribute, metadata, names, names, sizes, move, transfer, transfer, descriptors)
    try:
        result = act()
    except OSError as error:
        result = errno.errorcode.get(error.errno, error.errno)
    print(act.__name__, result, flush=True)
