"""A process that does what it is told, a line at a time, and answers each line when it is done."""
import fcntl
import json
import os
import struct
import sys

files = {}


def kind_of(mode):
    return fcntl.F_WRLCK if mode == "exclusive" else fcntl.F_RDLCK


def ofd(file, mode):
    fcntl.fcntl(file, 38, struct.pack("hhqqi4x", kind_of(mode), os.SEEK_SET, 0, 0, 0))


def do(words):
    verb, name = words[0], words[1] if len(words) > 1 else ""
    if verb == "open":
        flags = {"read": os.O_RDONLY, "write": os.O_RDWR, "append": os.O_WRONLY | os.O_APPEND}[words[2]]
        files[name] = os.open(name, flags | os.O_CREAT, 0o644)
    elif verb == "flock":
        fcntl.flock(files[name], fcntl.LOCK_EX if words[2] == "exclusive" else fcntl.LOCK_SH)
    elif verb == "posix":
        fcntl.lockf(files[name], fcntl.LOCK_EX if words[2] == "exclusive" else fcntl.LOCK_SH)
    elif verb == "ofd":
        ofd(files[name], words[2])
    elif verb == "close":
        os.close(files.pop(name))
    elif verb == "write":
        os.write(files[name], " ".join(words[2:]).encode())
    elif verb == "fork":
        # The child keeps what is open, and ends when nobody can give orders any more.
        pid = os.fork()
        if pid:
            return pid
        os.read(0, 1)
        os._exit(0)
    elif verb == "child":
        # A child takes the lock on the descriptor that it shares, and ends: as in `exec 9>f; flock 9`.
        pid = os.fork()
        if pid == 0:
            fcntl.flock(files[name], fcntl.LOCK_EX)
            os._exit(0)
        os.waitpid(pid, 0)
    return 0


for line in sys.stdin:
    print(json.dumps(do(line.split())), flush=True)
