"""A server that counts under the lock, and starts a helper meanwhile, which outlives it: it waits until the client is done, which holds a
lock of its own while it works. The helper gets a copy of every descriptor, the counter's lock as well."""

import fcntl
import os

lock = os.open("counter.lock", os.O_RDWR)
fcntl.flock(lock, fcntl.LOCK_EX)
counter = os.open("counter", os.O_RDWR)
os.pwrite(counter, b"%d\n" % (int(os.pread(counter, 16, 0)) + 1), 0)
if os.fork() == 0:
    fcntl.flock(os.open("client.lock", os.O_RDWR), fcntl.LOCK_EX)
    os._exit(0)
os.close(lock)
