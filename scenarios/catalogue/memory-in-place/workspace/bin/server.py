"""A memory server's tool call as it was first: the whole file is read, changed, and written back in place."""

import json
import sys

STORE = "memory.json"


def read_graph():
    with open(STORE) as file:
        return json.load(file)


def write_graph(graph):
    with open(STORE, "w") as file:
        file.write(json.dumps(graph))


def create_entity(name):
    graph = read_graph()
    graph[name] = {"observations": []}
    write_graph(graph)


create_entity(sys.argv[1])
