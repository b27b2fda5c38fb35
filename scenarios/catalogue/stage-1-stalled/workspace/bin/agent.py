"""An agent of stage 1 that starts and loads: under the shared lock, for which it waits as long as it takes."""

import fcntl
import json
import os
import sys

METADATA = "agent_metadata.json"


def locked(mode):
    lock = os.open(".metadata.lock", os.O_RDWR)
    fcntl.flock(lock, mode)
    return lock


def load_metadata():
    lock = locked(fcntl.LOCK_SH)
    with open(METADATA) as file:
        metadata = json.load(file)
    os.close(lock)
    return metadata


load_metadata()
os.close(os.open(f"{sys.argv[1]}.ready", os.O_CREAT | os.O_WRONLY, 0o644))
