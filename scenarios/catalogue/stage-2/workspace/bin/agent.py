"""Stage 2, the repair as it was committed: nobody waits for ever. A load that cannot have the lock in 2 s reads without it, and a file that
does not parse has no agents; a save that cannot have the lock in 5 s writes without it, and without the merge."""

import fcntl
import json
import os
import sys
import time

METADATA = "agent_metadata.json"
LOCK = ".metadata.lock"


def read():
    try:
        with open(METADATA) as file:
            return json.load(file)
    except json.JSONDecodeError:
        return {}


def write(metadata):
    with open(METADATA, "w") as file:
        file.write(json.dumps(metadata))
        file.flush()
        os.fsync(file.fileno())


def try_lock(lock, mode, every, limit):
    begun = time.monotonic()
    while time.monotonic() - begun < limit:
        try:
            fcntl.flock(lock, mode | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            time.sleep(every)
    return False


def load_metadata():
    lock = os.open(LOCK, os.O_CREAT | os.O_RDWR)
    try_lock(lock, fcntl.LOCK_SH, 0.05, 2.0)
    metadata = read()
    os.close(lock)
    return metadata


def save_metadata(memory):
    lock = os.open(LOCK, os.O_CREAT | os.O_RDWR)
    if try_lock(lock, fcntl.LOCK_EX, 0.1, 5.0):
        merged = read()
        merged.update(memory)
        write(merged)
    else:
        print("could not lock the metadata: written without", file=sys.stderr)
        write(memory)
    os.close(lock)


def process_update(agent_id):
    metadata = load_metadata()
    agent = metadata.setdefault(agent_id, {"updates": 0, "status": "active"})
    agent["updates"] += 1
    save_metadata(metadata)


process_update(sys.argv[1])
