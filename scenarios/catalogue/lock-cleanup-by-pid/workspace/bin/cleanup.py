"""The clean-up of a server that starts: a lock file that names a process which is gone is taken for left behind."""

import os

LOCK = ".metadata.lock"


def is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


with open(LOCK) as file:
    holder = file.read()
if not holder or not is_alive(int(holder)):
    os.unlink(LOCK)
