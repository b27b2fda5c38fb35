import json, os, sys, threading
name = sys.argv[1]
def count(part):
    path = f"{name}-{part}.part"
    with open(path, "w") as f: f.write(str(part))
threads = [threading.Thread(target=count, args=(n,)) for n in range(2)]
for t in threads: t.start()
for t in threads: t.join()
total = 0
for n in range(2):
    total += int(open(f"{name}-{n}.part").read())
with open("totals.json") as f: data = json.load(f)
data[name] = total
tmp = f"totals.{name}.tmp"
with open(tmp, "w") as f: json.dump(data, f)
os.replace(tmp, "totals.json")
