import ctypes, errno, os, socket
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long

def call(*arguments):
    result = libc.syscall(*[ctypes.c_long(x) if isinstance(x, int) else x for x in arguments])
    return errno.errorcode[ctypes.get_errno()] if result < 0 else result

# Calls
# The last bytes of memory behind which there is none.
whole = ctypes.CDLL(None)
whole.mmap.restype = ctypes.c_void_p
pages = whole.mmap(None, 8192, 3, 0x22, -1, 0)
ctypes.memset(pages, 97, 4096)
whole.munmap(ctypes.c_void_p(pages + 4096), 4096)
EDGE = pages + 4096 - 4

HERE = -100
buffer = ctypes.create_string_buffer(8192)
long_path = b'a' * 5000
f = os.open('f', os.O_RDWR)
g = os.open('g', os.O_RDWR)
d = os.open('.', os.O_RDONLY)
stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM).detach()
datagrams = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).detach()
timer = call(283, 1, 0)

for bad in (8, EDGE):
    for arguments in (
        # Names.
        (2, bad, 0), (257, HERE, bad, 0), (257, d, bad, 0), (437, HERE, b'f', bad, 24), (437, HERE, bad, buffer, 24),
        (85, bad, 0o600), (21, bad, 0), (269, HERE, bad, 0), (89, bad, buffer, 10), (267, HERE, bad, buffer, 10),
        (80, bad), (59, bad, 0, 0), (322, HERE, bad, 0, 0, 0), (87, bad), (84, bad), (263, HERE, bad, 0),
        (82, b'f', bad), (82, bad, b'f'), (82, b'nothing', bad), (316, HERE, b'f', HERE, bad, 0),
        (86, b'f', bad), (86, bad, b'new'), (265, HERE, bad, HERE, b'new', 0), (88, bad, b'new'), (88, b'x', bad),
        (83, bad, 0o700), (258, d, bad, 0o700), (133, bad, 0o600, 0),
        # Status.
        (4, bad, buffer), (6, bad, buffer), (262, HERE, bad, buffer, 0), (332, HERE, bad, 0, 0x7ff, buffer),
        (137, bad, buffer), (90, bad, 0o600), (268, HERE, bad, 0o600), (92, bad, 0, 0), (94, bad, 0, 0),
        (188, bad, b'user.a', b'v', 1, 0), (191, bad, b'user.a', buffer, 9), (194, bad, buffer, 9),
        (280, HERE, bad, 0, 0), (280, HERE, b'f', bad, 0), (132, bad, 0), (132, b'f', bad), (235, b'f', bad),
        (76, bad, 0),
        # Bytes.
        (19, f, bad, 1), (20, f, bad, 1), (295, f, bad, 1, 0), (296, f, bad, 1, 0), (40, f, g, bad, 1),
        (326, f, bad, g, 0, 4, 0), (7, bad, 1, 0),
        # Locks and the like.
        (72, f, 5, bad), (72, f, 6, bad), (72, f, 37, bad), (16, f, 0x4020940d, bad),
        # Sockets.
        (49, stream, bad, 20), (42, stream, bad, 20), (42, datagrams, bad, 20), (44, datagrams, b'x', 1, 0, bad, 20),
        (46, datagrams, bad, 0), (46, stream, bad, 0), (307, datagrams, bad, 1, 0),
        # Tasks and times.
        (435, bad, 64), (35, bad, 0), (230, 1, 0, bad, 0), (228, 1, bad), (38, 0, bad, 0), (286, timer, 0, bad, 0),
        (222, 1, bad, buffer), (99, bad), (98, 0, bad),
    ):
        print(bad == 8, arguments[0], [x == bad for x in arguments].index(True) if bad in arguments else '-', call(*arguments))

# What is told at a bad address.
for arguments in (
    (4, b'f', 8), (5, f, 8), (332, HERE, b'f', 0, 0x7ff, 8), (137, b'.', 8), (0, f, 8, 4), (1, f, 8, 4), (217, d, 8, 100),
    (79, 8, 100), (96, 8, 0), (100, 8), (228, 1, 0), (318, 8, 8, 0), (191, b'f', 8, buffer, 9), (188, b'f', 8, b'v', 1, 0),
):
    print(arguments[0], call(*arguments))

# Descriptors that are not there, or are not for this.
closed = 99
written = os.open('f', os.O_WRONLY)
for arguments in (
    (257, closed, b'x', 0), (257, f, b'x', 0), (263, closed, b'x', 0), (262, closed, b'x', buffer, 0), (0, closed, buffer, 1),
    (0, written, buffer, 1), (17, stream, buffer, 1, 0), (19, closed, 8, 1), (72, closed, 6, buffer), (73, closed, 2),
    (73, f, 16), (72, f, 99, 0), (42, closed, buffer, 20), (42, stream, b'\1\0', 1), (44, closed, b'x', 1, 0, 0, 0),
    (286, f, 0, buffer, 0), (226, 99), (223, 99, 0, buffer, 0), (424, f, 0, 0, 0), (424, closed, 0, 0, 0), (62, -(1 << 31), 0),
):
    print(arguments[0], call(*arguments))

# More than the kernel takes.
parts = (ctypes.c_long * 2050)()
message = (ctypes.c_long * 7)()
message[2], message[3] = ctypes.addressof(parts), 1025
for arguments in (
    (19, f, parts, 1024), (19, f, parts, 1025), (20, f, parts, 1025), (46, datagrams, message, 0), (2, long_path, 0),
    (87, long_path), (2, b'', 0), (4, b'', buffer), (35, (ctypes.c_long * 2)(0, 1 << 40), 0), (35, (ctypes.c_long * 2)(-1, 0), 0),
):
    print(arguments[0], call(*arguments))
