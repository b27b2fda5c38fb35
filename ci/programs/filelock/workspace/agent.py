import json
import sys

from filelock import FileLock

with FileLock("memory.json.lock"):
    with open("memory.json") as file:
        memory = json.load(file)
    memory[sys.argv[1]] = "seen"
    with open("memory.json", "w") as file:
        json.dump(memory, file)
