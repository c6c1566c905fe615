//! How core speaks with Durable Objects: calls that an isolate wants made, and rows that an object stores.
//!
//! Base file. Decides the shape of calls and rows; not what is in them (`control`, `limit::limiter`, `ledger`),
//! and not how they travel (the drivers).

use crate::sorted::SortedMap;
use alloc::string::String;
use alloc::vec::Vec;

/// The kinds of Durable Object (`design.md`, section 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ObjectKind {
    /// The truth of one account's configuration.
    Registry,
    /// The arrival times and outstanding leases of one limit scope.
    Limiter,
    /// The usage records of one shard of an account.
    Ledger,
}

/// A call that core wants made: the driver sends `body` to the object and hands the answer back under `id`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectCall {
    /// Names the call within its isolate.
    pub id: u64,
    /// Which kind of object.
    pub kind: ObjectKind,
    /// The object's name: the same name is the same object everywhere.
    pub name: String,
    /// The message, JSON.
    pub body: Vec<u8>,
}

/// What became of an [`ObjectCall`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallOutcome<'a> {
    /// The object answered with this message.
    Answered(&'a [u8]),
    /// No answer came: whether the object acted is unknown.
    Lost,
}

/// A change of an object's stored rows. All writes of one message are stored in one transaction, before the
/// answer leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    /// Insert or replace.
    Put {
        /// Which table of the object; a short constant.
        table: &'static str,
        /// Primary key; rows are ordered by it.
        key: String,
        /// The row, JSON.
        value: String,
    },
    /// Remove, if there.
    Delete {
        /// Which table of the object.
        table: &'static str,
        /// Primary key.
        key: String,
    },
    /// Remove the first rows in key order, without having read them.
    DeleteFirst {
        /// Which table of the object.
        table: &'static str,
        /// Rows from this key on stay.
        before: String,
        /// At most so many rows go.
        limit: u32,
    },
}

impl Write {
    /// Makes the change in tables that are kept in memory, by name, as native drivers have them.
    pub fn apply(self, tables: &mut SortedMap<&'static str, SortedMap<String, String>>) {
        match self {
            Self::Put { table, key, value } => _ = tables.entry(table).or_default().insert(key, value),
            Self::Delete { table, key } => _ = tables.entry(table).or_default().remove(&key),
            Self::DeleteFirst { table, before, limit } => {
                let rows = tables.entry(table).or_default();
                let limit = usize::try_from(limit).unwrap_or(usize::MAX);
                let keys: Vec<String> =
                    rows.range(..before).take(limit).map(|(key, _)| key.clone()).collect();
                for key in keys {
                    rows.remove(&key);
                }
            }
        }
    }
}

/// Rows that an object must be given before it can act: `from` inclusive, `to` exclusive, in key order (byte
/// by byte, as `SQLite`'s BINARY collation).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read {
    /// Which table of the object.
    pub table: &'static str,
    /// First key.
    pub from: String,
    /// First key that is not wanted.
    pub to: String,
    /// At most so many rows.
    pub limit: u32,
    /// From the last key down instead of from the first up.
    pub descending: bool,
}

/// One stored row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Primary key.
    pub key: String,
    /// The row, JSON.
    pub value: String,
}

/// What an object answers to one message, and what must be stored before the answer leaves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Handled {
    /// The answer, JSON.
    pub reply: Vec<u8>,
    /// Changes to store, in order, in one transaction.
    pub writes: Vec<Write>,
}
