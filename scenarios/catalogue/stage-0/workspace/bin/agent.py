"""Stage 0, before the repair: a plain read, and everything in memory written back in place."""

import json
import sys

METADATA = "agent_metadata.json"


def load_metadata():
    with open(METADATA) as file:
        return json.load(file)


def save_metadata(metadata):
    with open(METADATA, "w") as file:
        json.dump(metadata, file)


def process_update(agent_id):
    metadata = load_metadata()
    metadata[agent_id]["updates"] += 1
    save_metadata(metadata)


process_update(sys.argv[1])
