"""An agent that puts itself into the metadata: `agent.py NAME`, by one request; `agent.py NAME twice`, by a get and a set."""
import json, socket, sys, time


def ask(request):
    connection = socket.socket(socket.AF_UNIX)
    while True:
        try:
            connection.connect("owner.sock")
            break
        except FileNotFoundError:
            time.sleep(0.1)
    connection.sendall(request.encode() + b"\n")
    return json.loads(connection.makefile().readline())


name = sys.argv[1]
if "twice" in sys.argv:
    data = ask("get")
    data[name] = {"status": "active"}
    ask("set " + json.dumps(data))
else:
    ask("add " + name)
