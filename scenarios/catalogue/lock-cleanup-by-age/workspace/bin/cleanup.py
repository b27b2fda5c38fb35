"""The job that cleans up: a lock file that is older than a minute is taken for left behind."""

import glob
import os
import sys
import time

time.sleep(float(sys.argv[1]))
for lock in glob.glob("locks/*.lock"):
    if time.time() - os.stat(lock).st_mtime > 60:
        os.unlink(lock)
