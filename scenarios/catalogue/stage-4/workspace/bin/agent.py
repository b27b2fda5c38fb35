"""Stage 4: before each acquisition a probe. A lock file whose lock can be had is in nobody's use, and is unlinked."""

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


def probe():
    """Removes the lock file where nobody holds it."""
    try:
        lock = os.open(LOCK, os.O_RDWR)
    except FileNotFoundError:
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return
    fcntl.flock(lock, fcntl.LOCK_UN)
    os.close(lock)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(LOCK)


def acquire():
    probe()
    lock = os.open(LOCK, os.O_CREAT | os.O_RDWR)
    for _ in range(50):
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return lock
        except BlockingIOError:
            time.sleep(0.1)
    raise SystemExit("could not lock the metadata")


def process_update(agent_id):
    lock = acquire()
    metadata = read()
    metadata[agent_id]["updates"] += 1
    write(metadata)
    os.close(lock)


process_update(sys.argv[1])
