"""An update that takes its time, under a lock that says since when it is held: its file's age."""

import fcntl
import json
import os
import sys
import time

METADATA = "agent_metadata.json"
LOCK = "locks/metadata.lock"


def acquire():
    lock = os.open(LOCK, os.O_CREAT | os.O_RDWR)
    fcntl.flock(lock, fcntl.LOCK_EX)
    os.utime(lock)
    return lock


def process_update(agent_id):
    lock = acquire()
    with open(METADATA) as file:
        metadata = json.load(file)
    metadata[agent_id]["updates"] += 1
    # A model is asked, which may take a minute and a half.
    time.sleep(90)
    temporary = f"{METADATA}.{agent_id}"
    with open(temporary, "w") as file:
        file.write(json.dumps(metadata))
    os.replace(temporary, METADATA)
    os.close(lock)


# An agent may begin later than another.
for seconds in sys.argv[2:]:
    time.sleep(float(seconds))
process_update(sys.argv[1])
