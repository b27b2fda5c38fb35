"""A shared lock to look, made exclusive to write: flock gives the shared one up before it waits for the exclusive one."""

import fcntl
import json
import os
import sys

STATE = "state.json"


def update(key):
    lock = os.open("state.lock", os.O_RDWR)
    fcntl.flock(lock, fcntl.LOCK_SH)
    file = os.open(STATE, os.O_RDWR)
    state = json.loads(os.pread(file, 4096, 0))
    state[key] = True
    fcntl.flock(lock, fcntl.LOCK_EX)
    os.pwrite(file, json.dumps(state).encode(), 0)


update(sys.argv[1])
