"""What is in the database."""

import sqlite3

print(sqlite3.connect("agents.db").execute("SELECT * FROM agents").fetchall())
