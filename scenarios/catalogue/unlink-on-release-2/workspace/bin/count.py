"""A change under a lock whose file is made by who needs it, and unlinked by who is done, to leave nothing behind."""

import contextlib
import fcntl
import os

LOCK = "counter.lock"
COUNTER = "counter"


def count():
    lock = os.open(LOCK, os.O_CREAT | os.O_RDWR)
    fcntl.flock(lock, fcntl.LOCK_EX)
    counter = os.open(COUNTER, os.O_RDWR)
    number = int(os.pread(counter, 16, 0))
    os.pwrite(counter, b"%d" % (number + 1), 0)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(LOCK)
    os.close(lock)


count()
