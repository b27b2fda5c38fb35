"""Stage 3, "auto-healing" locks: three attempts that wait longer each time, and before each a lock file that names no process is taken for
left behind, and unlinked."""

import contextlib
import fcntl
import json
import os
import sys
import time

METADATA = "agent_metadata.json"
LOCK = ".metadata.lock"


def read():
    with open(METADATA) as file:
        return json.load(file)


def write(metadata):
    with open(METADATA, "w") as file:
        file.write(json.dumps(metadata))


def heal():
    """Removes the lock file where it names nobody."""
    try:
        with open(LOCK) as file:
            int(file.read())
    except FileNotFoundError:
        pass
    except ValueError:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(LOCK)


def acquire():
    for attempt in range(3):
        heal()
        lock = os.open(LOCK, os.O_CREAT | os.O_RDWR)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            time.sleep(0.2 * 2**attempt)
            continue
        os.ftruncate(lock, 0)
        os.write(lock, b"%d" % os.getpid())
        return lock
    raise SystemExit("could not lock the metadata")


def process_update(agent_id):
    lock = acquire()
    metadata = read()
    metadata[agent_id]["updates"] += 1
    write(metadata)
    os.close(lock)


process_update(sys.argv[1])
