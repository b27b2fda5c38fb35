"""A change in SQLite: a transaction that begins with the write lock. Who cannot have the lock in time gives up."""

import sqlite3

base = sqlite3.connect("agents.db", timeout=5, isolation_level=None)
base.execute("BEGIN IMMEDIATE")
updates = base.execute("SELECT updates FROM agents WHERE id = 'shared'").fetchone()[0]
base.execute("UPDATE agents SET updates = ? WHERE id = 'shared'", (updates + 1,))
base.execute("COMMIT")
