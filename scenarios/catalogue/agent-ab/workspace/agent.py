"""An agent as it was before the repair.

Its own lock keeps a second instance of the same agent out. The metadata file is shared by all agents, and nothing protects it.
"""

import fcntl
import json
import sys

METADATA = "agent_metadata.json"


def load_metadata():
    with open(METADATA) as file:
        return json.load(file)


def save_metadata(metadata):
    with open(METADATA, "w") as file:
        json.dump(metadata, file, indent=2)


def process_update(agent_id):
    with open(f"{agent_id}.lock", "r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        metadata = load_metadata()
        metadata[agent_id] = {"status": "active"}
        save_metadata(metadata)


process_update(sys.argv[1])
