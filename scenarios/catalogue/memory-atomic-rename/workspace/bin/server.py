"""The same, repaired once: a temporary file of its own, renamed over the store."""

import json
import os
import sys

STORE = "memory.json"


def read_graph():
    with open(STORE) as file:
        return json.load(file)


def write_graph(graph):
    temporary = f"{STORE}.{os.getpid()}.tmp"
    with open(temporary, "w") as file:
        file.write(json.dumps(graph))
    os.replace(temporary, STORE)


def create_entity(name):
    graph = read_graph()
    graph[name] = {"observations": []}
    write_graph(graph)


create_entity(sys.argv[1])
