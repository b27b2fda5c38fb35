"""The same, repaired a third time: a lock that all processes share, around the write."""

import fcntl
import json
import os
import sys

STORE = "memory.json"
LOCK = "memory.lock"


def read_graph():
    with open(STORE) as file:
        return json.load(file)


def write_graph(graph):
    with open(LOCK, "r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        temporary = f"{STORE}.{os.getpid()}.tmp"
        with open(temporary, "w") as file:
            file.write(json.dumps(graph))
        os.replace(temporary, STORE)


def create_entity(name):
    graph = read_graph()
    graph[name] = {"observations": []}
    write_graph(graph)


create_entity(sys.argv[1])
