"""A change under a lock on the very file that is then replaced by a rename."""

import fcntl
import json
import os
import sys

STATE = "state.json"


def update(key):
    with open(STATE) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        state = json.load(file)
        state[key] = True
        temporary = f"{STATE}.{key}.tmp"
        with open(temporary, "w") as new:
            new.write(json.dumps(state))
        os.replace(temporary, STATE)


update(sys.argv[1])
