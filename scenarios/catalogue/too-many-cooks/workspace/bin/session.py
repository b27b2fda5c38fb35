"""A client session: it starts a server of its own, asks it over a pipe, and has the answers over another one."""

import contextlib
import fcntl
import os
import signal
import sys
import time


def locked_update(agent, request):
    """An update under the agent's own lock, as on that night: tried every 0.1 s, given up after 5 s. A `crash` ends in the middle of one."""
    lock = os.open(f"locks/{agent}.lock", os.O_CREAT | os.O_RDWR)
    deadline = time.monotonic() + 5
    while True:
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        if time.monotonic() > deadline:
            return b"stuck acquiring state lock"
        time.sleep(0.1)
    if request == b"crash":
        os.kill(os.getpid(), signal.SIGKILL)
    state = os.open(f"{agent}.updates", os.O_CREAT | os.O_RDWR, 0o644)
    updates = int(os.read(state, 16) or 0)
    os.pwrite(state, b"%d\n" % (updates + 1), 0)
    os.close(state)
    os.close(lock)
    return b"done"


def run(serve):
    """What the client does: `session AGENT [SECONDS | update | crash]…`, a pause or a request each."""
    agent, *acts = sys.argv[1:]
    server = None
    for act in acts:
        if act.isdigit():
            time.sleep(int(act))
            continue
        server = server or start(serve, agent)
        answer = ask(server, act.encode())
        if answer != (b"" if act == "crash" else b"done"):
            raise SystemExit(answer.decode() or "the server is gone: nobody will ever answer")


def ask(server, request):
    requests, answers = server
    try:
        os.write(requests, request)
        return os.read(answers, 100)
    except BrokenPipeError:
        return b""


def start(serve, agent):
    theirs, requests = os.pipe()
    answers, ours = os.pipe()
    if os.fork() == 0:
        os.close(requests)
        os.close(answers)
        serve(agent, iter(lambda: os.read(theirs, 100), b""), lambda answer: os.write(ours, answer))
        os._exit(0)
    os.close(theirs)
    os.close(ours)
    return requests, answers
