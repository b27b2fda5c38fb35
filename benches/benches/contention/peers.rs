//! Two databases that do what the store does: parts of agents, changed by several processes, durably.

use std::path::Path;
use std::time::Duration;

use cooks_benches::crowd;
use lmdb::{Database, DatabaseFlags, Environment, Transaction, WriteFlags};
use rusqlite::{Connection, OptionalExtension};
use serde_json::Value;

use crate::durable::Keeper;

pub const SQLITE: Keeper =
    Keeper { name: "SQLite WAL FULL", prepare: sqlite::prepare, open: sqlite::open, stored: sqlite::stored };

pub const LMDB: Keeper = Keeper {
    name: "LMDB sync",
    prepare: lmdb_sync::prepare,
    open: lmdb_sync::open,
    stored: lmdb_sync::stored,
};

/// One row for each agent, its part as JSON.
mod sqlite {
    use super::*;

    /// Longer than any run: who waits is served at last.
    const BUSY: Duration = Duration::from_secs(600);

    const SELECT: &str = "SELECT part FROM metadata WHERE agent = ?1";

    pub fn prepare(dir: &Path) {
        let mut connection = connect(dir);
        connection
            .execute("CREATE TABLE metadata (agent TEXT PRIMARY KEY, part TEXT NOT NULL) WITHOUT ROWID", ())
            .expect("a table");
        let all = connection.transaction().expect("a transaction");
        for number in 0..crowd::AGENTS {
            let row = (crowd::id(number), crowd::part(number).to_string());
            all.execute("INSERT INTO metadata VALUES (?1, ?2)", row).expect("a row");
        }
        all.commit().expect("committed");
    }

    pub fn open(dir: &Path, number: usize) -> Box<dyn FnMut()> {
        let (connection, agent) = (connect(dir), crowd::id(number));
        Box::new(move || update(&connection, &agent).expect("an update"))
    }

    fn update(connection: &Connection, agent: &str) -> rusqlite::Result<()> {
        let run = |sql| connection.prepare_cached(sql)?.execute(());
        run("BEGIN IMMEDIATE")?;
        let text = connection.prepare_cached(SELECT)?.query_row([agent], |row| row.get::<_, String>(0))?;
        let mut part: Value = serde_json::from_str(&text).expect("JSON");
        crowd::count(&mut part);
        let row = (agent, part.to_string());
        connection.prepare_cached("UPDATE metadata SET part = ?2 WHERE agent = ?1")?.execute(row)?;
        run("COMMIT")?;
        Ok(())
    }

    pub fn stored(dir: &Path, number: usize) -> Value {
        let text: Option<String> = connect(dir)
            .query_row(SELECT, [crowd::id(number)], |row| row.get(0))
            .optional()
            .expect("a query");
        serde_json::from_str(&text.expect("the agent has a row")).expect("JSON")
    }

    fn connect(dir: &Path) -> Connection {
        let connection = Connection::open(dir.join("metadata.sqlite")).expect("the database opens");
        connection.busy_timeout(BUSY).expect("a busy timeout");
        let mode: String =
            connection.query_row("PRAGMA journal_mode = WAL", (), |row| row.get(0)).expect("a journal mode");
        assert_eq!(mode, "wal");
        connection.pragma_update(None, "synchronous", "FULL").expect("flushed at each commit");
        connection
    }
}

/// One key for each agent, its part as JSON. Every commit is flushed: the default.
mod lmdb_sync {
    use super::*;

    /// Address space, not disk.
    const MAP_BYTES: usize = 64 << 20;

    pub fn prepare(dir: &Path) {
        let environment = environment(dir);
        let database = environment.create_db(None, DatabaseFlags::empty()).expect("a database");
        let mut all = environment.begin_rw_txn().expect("a transaction");
        for number in 0..crowd::AGENTS {
            let part = crowd::part(number).to_string();
            all.put(database, &crowd::id(number), &part, WriteFlags::empty()).expect("put");
        }
        all.commit().expect("committed");
    }

    pub fn open(dir: &Path, number: usize) -> Box<dyn FnMut()> {
        let (environment, agent) = (environment(dir), crowd::id(number));
        let database = environment.open_db(None).expect("the database opens");
        Box::new(move || update(&environment, database, &agent).expect("an update"))
    }

    fn update(environment: &Environment, database: Database, agent: &str) -> lmdb::Result<()> {
        let mut transaction = environment.begin_rw_txn()?;
        let mut part: Value = serde_json::from_slice(transaction.get(database, &agent)?).expect("JSON");
        crowd::count(&mut part);
        transaction.put(database, &agent, &part.to_string(), WriteFlags::empty())?;
        transaction.commit()
    }

    pub fn stored(dir: &Path, number: usize) -> Value {
        let environment = environment(dir);
        let database = environment.open_db(None).expect("the database opens");
        let reading = environment.begin_ro_txn().expect("a transaction");
        serde_json::from_slice(reading.get(database, &crowd::id(number)).expect("the agent has a key"))
            .expect("JSON")
    }

    fn environment(dir: &Path) -> Environment {
        Environment::new().set_map_size(MAP_BYTES).open(dir).expect("the database opens")
    }
}
