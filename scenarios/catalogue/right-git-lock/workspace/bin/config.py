"""A change as git makes it: the new content is written into the lock file, which is renamed over the old one. Who finds the lock
file there gives up."""

import os
import sys

CONFIG = "config"
LOCK = CONFIG + ".lock"


def set_value(line):
    try:
        lock = os.open(LOCK, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    except FileExistsError:
        raise SystemExit(f"could not lock {CONFIG}: {LOCK} exists")
    old = os.open(CONFIG, os.O_RDONLY)
    os.write(lock, os.read(old, 4096) + line.encode() + b"\n")
    os.close(lock)
    os.rename(LOCK, CONFIG)


set_value(sys.argv[1])
