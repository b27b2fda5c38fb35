"""Stage 1, the repair as it was printed: one lock for the metadata, shared to load and exclusive to save. A save loads again and merges,
and what is in memory takes precedence."""

import fcntl
import json
import os
import sys

METADATA = "agent_metadata.json"
LOCK = ".metadata.lock"


def read():
    with open(METADATA) as file:
        return json.load(file)


def load_metadata():
    lock = os.open(LOCK, os.O_CREAT | os.O_RDWR)
    try:
        fcntl.flock(lock, fcntl.LOCK_SH)
        return read()
    finally:
        fcntl.flock(lock, fcntl.LOCK_UN)
        os.close(lock)


def save_metadata(memory):
    lock = os.open(LOCK, os.O_CREAT | os.O_RDWR)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        merged = read()
        merged.update(memory)
        with open(METADATA, "w") as file:
            file.write(json.dumps(merged))
            file.flush()
            os.fsync(file.fileno())
    finally:
        fcntl.flock(lock, fcntl.LOCK_UN)
        os.close(lock)


def process_update(agent_id):
    metadata = load_metadata()
    metadata[agent_id]["updates"] += 1
    save_metadata(metadata)


process_update(sys.argv[1])
