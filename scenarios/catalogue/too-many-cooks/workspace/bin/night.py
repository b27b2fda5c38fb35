"""The server of that night. When it starts, and before each update, it ends all other servers that it takes for dead: those without a
heartbeat in the last 300 s. A heartbeat is written after an update, and only then."""

import contextlib
import os
import signal
import time

from session import locked_update, run

HEARTBEAT = 300


def clean_up(me):
    for server in os.listdir("servers"):
        pid, _, heartbeat = server.partition(".")
        if heartbeat or pid == me:
            continue
        try:
            alive = time.time() - os.stat(f"servers/{pid}.heartbeat").st_mtime <= HEARTBEAT
        except FileNotFoundError:
            alive = False
        if not alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGTERM)
            forget(pid)


def forget(pid):
    for entry in (f"servers/{pid}", f"servers/{pid}.heartbeat"):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(entry)


def touch(path):
    file = os.open(path, os.O_CREAT | os.O_WRONLY, 0o644)
    os.utime(file)
    os.close(file)


def serve(agent, requests, answer):
    me = str(os.getpid())
    clean_up(me)
    touch(f"servers/{me}")
    for request in requests:
        clean_up(me)
        done = locked_update(agent, request)
        touch(f"servers/{me}.heartbeat")
        answer(done)
    forget(me)


run(serve)
