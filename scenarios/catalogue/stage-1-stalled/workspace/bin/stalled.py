"""An agent of stage 1 that saves, and stalls in the middle of it: its output has stopped (Ctrl-S in its terminal), until whoever sits there
has seen the other agent come up."""

import fcntl
import json
import os
import time

lock = os.open(".metadata.lock", os.O_RDWR)
fcntl.flock(lock, fcntl.LOCK_EX)
with open("agent_metadata.json") as file:
    metadata = json.load(file)
metadata["agent-a"]["updates"] += 1
while not os.path.exists("agent-b.ready"):
    time.sleep(1)
with open("agent_metadata.json", "w") as file:
    file.write(json.dumps(metadata))
os.close(lock)
