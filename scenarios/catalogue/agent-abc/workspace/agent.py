"""The agent before the repair, with the fewest system calls: one read, one write."""

import fcntl
import json
import os
import sys

METADATA = "agent_metadata.json"

agent_id = sys.argv[1]
lock = os.open(f"{agent_id}.lock", os.O_RDWR)
fcntl.flock(lock, fcntl.LOCK_EX)
source = os.open(METADATA, os.O_RDONLY)
metadata = json.loads(os.read(source, 4096))
metadata[agent_id] = {"status": "active"}
target = os.open(METADATA, os.O_WRONLY | os.O_TRUNC)
os.write(target, json.dumps(metadata, indent=2).encode())
