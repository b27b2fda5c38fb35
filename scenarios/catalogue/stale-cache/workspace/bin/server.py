"""A server of stage 1, one for each client. It loads the metadata once, when it starts. A save loads again under the lock and lays over it
what is in memory, all of it: "memory takes precedence"."""

import fcntl
import json
import os
import sys

METADATA = "agent_metadata.json"
LOCK = ".metadata.lock"


def locked(mode):
    lock = os.open(LOCK, os.O_RDWR)
    fcntl.flock(lock, mode)
    return lock


def read():
    with open(METADATA) as file:
        return json.load(file)


def load_metadata():
    lock = locked(fcntl.LOCK_SH)
    metadata = read()
    os.close(lock)
    return metadata


def save_metadata(memory, deleted=None):
    lock = locked(fcntl.LOCK_EX)
    merged = read()
    merged.update(memory)
    merged.pop(deleted, None)
    with open(METADATA, "w") as file:
        file.write(json.dumps(merged))
    os.close(lock)


def update(agent_id):
    metadata[agent_id]["updates"] += 1
    save_metadata(metadata)


def archive(agent_id):
    metadata[agent_id]["status"] = "archived"
    save_metadata(metadata)


def delete(agent_id):
    del metadata[agent_id]
    save_metadata(metadata, deleted=agent_id)


metadata = load_metadata()
for request in sys.stdin:
    verb, agent = request.split()
    {"update": update, "archive": archive, "delete": delete}[verb](agent)
