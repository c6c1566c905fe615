//! An object's rows in its `SQLite`: read and written as core asks.
//!
//! Decides only the tables' form: one table per core table, key and value as text. All statements of one message
//! run without an await between them, which the platform makes one transaction, durable before the answer leaves
//! (Durable Objects, "output gates"). Stage: shell.

use serde::Deserialize;
use weir_core::object::{Read, Row, Write};
use worker::{Result, SqlStorage, SqlStorageValue, State};

pub(super) struct Rows {
    sql: SqlStorage,
}

#[derive(Deserialize)]
struct Stored {
    key: String,
    value: String,
}

impl From<Stored> for Row {
    fn from(Stored { key, value }: Stored) -> Self {
        Self { key, value }
    }
}

impl Rows {
    /// The object's storage with these tables. Their names are core's constants, never a caller's text. A table
    /// that cannot be made is reported by the first statement that needs it.
    pub(super) fn open(state: &State, tables: &[&'static str]) -> Self {
        let sql = state.storage().sql();
        for table in tables {
            let statement = format!(
                "CREATE TABLE IF NOT EXISTS \"{table}\" (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID"
            );
            if let Err(problem) = sql.exec(&statement, None) {
                worker::console_error!("table {table} could not be made: {problem}");
            }
        }
        Self { sql }
    }

    /// All rows of a table, in key order.
    pub(super) fn all(&self, table: &'static str) -> Result<Vec<Row>> {
        let cursor = self.sql.exec(&format!("SELECT key, value FROM \"{table}\" ORDER BY key"), None)?;
        Ok(cursor.to_array::<Stored>()?.into_iter().map(Row::from).collect())
    }

    /// The rows that core wants to see.
    pub(super) fn read(&self, read: &Read) -> Result<Vec<Row>> {
        let order = if read.descending { "DESC" } else { "ASC" };
        let statement = format!(
            "SELECT key, value FROM \"{}\" WHERE key >= ? AND key < ? ORDER BY key {order} LIMIT ?",
            read.table
        );
        let bindings = vec![
            SqlStorageValue::String(read.from.clone()),
            SqlStorageValue::String(read.to.clone()),
            SqlStorageValue::Integer(i64::from(read.limit)),
        ];
        let cursor = self.sql.exec(&statement, Some(bindings))?;
        Ok(cursor.to_array::<Stored>()?.into_iter().map(Row::from).collect())
    }

    /// Stores what core decided. Rows put into one table one after the other are one statement: each statement
    /// costs tens of microseconds, a row of it one or two.
    pub(super) fn write(&self, writes: &[Write]) -> Result<()> {
        let mut puts: Vec<(&str, &str)> = Vec::new();
        let mut puts_to = "";
        for write in writes {
            match write {
                Write::Put { table, key, value } => {
                    if puts_to != *table {
                        self.put(puts_to, &mut puts)?;
                        puts_to = table;
                    }
                    puts.push((key, value));
                }
                Write::Delete { table, key } => {
                    self.put(puts_to, &mut puts)?;
                    let statement = format!("DELETE FROM \"{table}\" WHERE key = ?");
                    self.sql.exec(&statement, Some(vec![SqlStorageValue::String(key.clone())]))?;
                }
                Write::DeleteFirst { table, before, limit } => {
                    self.put(puts_to, &mut puts)?;
                    let statement = format!(
                        "DELETE FROM \"{table}\" WHERE key IN \
                         (SELECT key FROM \"{table}\" WHERE key < ? ORDER BY key LIMIT ?)"
                    );
                    let bindings = vec![
                        SqlStorageValue::String(before.clone()),
                        SqlStorageValue::Integer(i64::from(*limit)),
                    ];
                    self.sql.exec(&statement, Some(bindings))?;
                }
            }
        }
        self.put(puts_to, &mut puts)
    }

    /// Stores `puts` and empties it. The pairs travel as one JSON text, which `SQLite` takes apart.
    fn put(&self, table: &str, puts: &mut Vec<(&str, &str)>) -> Result<()> {
        if puts.is_empty() {
            return Ok(());
        }
        let statement = format!(
            "INSERT OR REPLACE INTO \"{table}\" (key, value) \
             SELECT value ->> 0, value ->> 1 FROM json_each(?)"
        );
        let pairs = serde_json::to_string(&puts)?;
        puts.clear();
        self.sql.exec(&statement, Some(vec![SqlStorageValue::String(pairs)]))?;
        Ok(())
    }
}
