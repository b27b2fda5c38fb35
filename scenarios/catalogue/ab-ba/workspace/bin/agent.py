"""Two locks, agent and metadata, in an order that nobody wrote down."""

import fcntl
import os
import sys


def locked(name):
    lock = os.open(name, os.O_RDWR)
    fcntl.flock(lock, fcntl.LOCK_EX)
    return lock


def update():
    """An update: the agent first, then the metadata."""
    locked("agent-a.lock")
    locked(".metadata.lock")


def archive():
    """Archiving goes through the metadata, and locks each agent that it comes to."""
    locked(".metadata.lock")
    locked("agent-a.lock")


{"update": update, "archive": archive}[sys.argv[1]]()
