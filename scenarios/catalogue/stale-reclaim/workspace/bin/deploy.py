"""A change under a lock folder. One that is older than an hour is taken for left behind, and removed."""

import contextlib
import os
import sys
import time

LOCK = "deploy.lock"
LOG = "deploys"
STALE = 3600


def acquire():
    while True:
        try:
            os.mkdir(LOCK)
            return
        except FileExistsError:
            pass
        try:
            age = time.time() - os.stat(LOCK).st_mtime
        except FileNotFoundError:
            continue
        if age < STALE:
            raise SystemExit("somebody else is at it")
        with contextlib.suppress(FileNotFoundError):
            os.rmdir(LOCK)


def release():
    with contextlib.suppress(FileNotFoundError):
        os.rmdir(LOCK)


# The next deploys, two hours later.
time.sleep(7200)
acquire()
log = os.open(LOG, os.O_RDWR)
number = len(os.pread(log, 100, 0).split())
os.pwrite(log, b"%d:%s\n" % (number, sys.argv[1].encode()), 4 * number)
release()
