"""A change under an fcntl lock, which ends as soon as the process closes the file anywhere: a library looks at it in between."""

import fcntl
import json
import os
import sys

STATE = "state.json"


def is_valid(path):
    """Some library's check."""
    with open(path) as file:
        return bool(file.read())


def update(key):
    file = os.open(STATE, os.O_RDWR)
    fcntl.lockf(file, fcntl.LOCK_EX)
    if not is_valid(STATE):
        raise SystemExit(1)
    state = json.loads(os.pread(file, 4096, 0))
    state[key] = True
    os.pwrite(file, json.dumps(state).encode(), 0)
    os.close(file)


update(sys.argv[1])
