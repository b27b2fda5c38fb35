"""The save of stage 2, right in all but one thing: who cannot have the lock in 5 s writes without it, what is in its memory."""

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


def try_lock(lock):
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            time.sleep(0.1)
    return False


def save(memory, agent_id):
    lock = os.open(LOCK, os.O_RDWR)
    if try_lock(lock):
        merged = read()
        merged[agent_id] = memory[agent_id]
        write(merged)
    else:
        write(memory)
    os.close(lock)


# What it remembers from its start: the file as it is before the day begins.
memory = {"agent-a": {"updates": 0}, "agent-b": {"updates": 0}}
memory[sys.argv[1]]["updates"] += 1
save(memory, sys.argv[1])
