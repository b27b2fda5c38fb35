"""The load of stage 2: who cannot have the lock in 2 s reads without it, and takes a file that it cannot parse for one without agents.
The save is right: under the lock, however long that takes, it lays its own agent, and no other, over what is there."""

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


def try_lock(lock):
    deadline = time.monotonic() + 2
    while time.monotonic() < deadline:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            time.sleep(0.05)


def load_metadata():
    lock = os.open(LOCK, os.O_RDWR)
    try_lock(lock)
    try:
        return read()
    except json.JSONDecodeError:
        return {}
    finally:
        os.close(lock)


def save_metadata(memory, agent_id):
    lock = os.open(LOCK, os.O_RDWR)
    fcntl.flock(lock, fcntl.LOCK_EX)
    merged = read()
    merged[agent_id] = memory[agent_id]
    with open(METADATA, "w") as file:
        file.write(json.dumps(merged))
    os.close(lock)


def process_update(agent_id):
    memory = load_metadata()
    agent = memory.setdefault(agent_id, {"updates": 0})
    agent["updates"] += 1
    save_metadata(memory, agent_id)


process_update(sys.argv[1])
