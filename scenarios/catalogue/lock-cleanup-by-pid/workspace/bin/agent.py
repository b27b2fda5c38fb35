"""An update under a lock whose file names the process that holds it."""

import fcntl
import json
import os
import sys

METADATA = "agent_metadata.json"
LOCK = ".metadata.lock"


def acquire():
    lock = os.open(LOCK, os.O_CREAT | os.O_RDWR)
    fcntl.flock(lock, fcntl.LOCK_EX)
    os.ftruncate(lock, 0)
    os.write(lock, b"%d" % os.getpid())
    return lock


def process_update(agent_id):
    lock = acquire()
    with open(METADATA) as file:
        metadata = json.load(file)
    metadata[agent_id]["updates"] += 1
    temporary = f"{METADATA}.{agent_id}"
    with open(temporary, "w") as file:
        file.write(json.dumps(metadata))
    os.replace(temporary, METADATA)
    os.close(lock)


process_update(sys.argv[1])
