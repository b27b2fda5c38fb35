"""The database as it is before."""

import sqlite3

base = sqlite3.connect("agents.db")
base.execute("CREATE TABLE agents(id TEXT PRIMARY KEY, updates INTEGER)")
base.execute("INSERT INTO agents VALUES ('shared', 0)")
base.commit()
