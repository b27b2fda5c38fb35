"""The same, repaired twice: a mutex around the whole change. Each client starts a process of its own, with a mutex of its own."""

import json
import os
import sys
import threading

STORE = "memory.json"
MUTEX = threading.Lock()


def read_graph():
    with open(STORE) as file:
        return json.load(file)


def write_graph(graph):
    temporary = f"{STORE}.{os.getpid()}.tmp"
    with open(temporary, "w") as file:
        file.write(json.dumps(graph))
    os.replace(temporary, STORE)


def create_entity(name):
    with MUTEX:
        graph = read_graph()
        graph[name] = {"observations": []}
        write_graph(graph)


create_entity(sys.argv[1])
