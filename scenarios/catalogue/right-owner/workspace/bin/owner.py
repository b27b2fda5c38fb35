"""Owns the metadata: the only process that reads and writes the file. Agents ask it, one request a connection.

    get            what the file holds
    set JSON       put this in its place
    add AGENT      put an agent into what is there
"""
import json, os, socket, sys

FILE = "agent_metadata.json"
listener = socket.socket(socket.AF_UNIX)
listener.bind("owner.new")
listener.listen()
os.rename("owner.new", "owner.sock")
for _ in range(int(sys.argv[1])):
    connection, _ = listener.accept()
    request, _, rest = connection.makefile().readline().strip().partition(" ")
    with open(FILE) as file:
        data = json.load(file)
    if request == "set":
        data = json.loads(rest)
    elif request == "add":
        data[rest] = {"status": "active"}
    if request != "get":
        with open("new.json", "w") as file:
            json.dump(data, file)
        os.rename("new.json", FILE)
    connection.sendall(json.dumps(data).encode() + b"\n")
    connection.close()
os.unlink("owner.sock")
