//! Errands: messages from one account's Registry to another's, and the directory that they are for.
//!
//! Most of a configuration is one account's own. Two things are the installation's: the names of serverless endpoints,
//! which are unique in a region because they are host labels (`azure.md`, C1.4), and the list of accounts and
//! workspaces. Both stand in the directory, which the Registry of the account `default` keeps. A command that needs it
//! answers with an errand; the shell runs it and, where the command depends on it, repeats the request with the reply.
//!
//! Decides who owns an entry; not what entries mean. An entry belongs to the account that wrote it first until that
//! account drops it; a request that was lost between errand and answer leaves an entry that its owner can use again.

use super::command::Change;
use super::state::AccountState;
use crate::id::AccountId;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// A message to another Registry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Errand {
    /// Whose Registry.
    pub to: AccountId,
    /// The message.
    pub message: Value,
    /// Whether the request is to be sent again, with [`Granted`]'s value in `granted`; else the answer stands.
    pub resume: bool,
}

/// A Registry's answer to an errand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Granted {
    /// Whether the entry is now as the sender wants it.
    pub granted: bool,
}

/// An entry of the directory, as an account wants it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Entry {
    /// Kind and name, e.g. `serverless/eastus2/llama`.
    pub key: String,
    /// The account that has or wants it.
    pub owner: AccountId,
    /// What to remember; drops the entry, if absent.
    #[serde(default)]
    pub value: Option<Value>,
}

impl Errand {
    /// Writes `value` under `key` for `owner`, or drops the entry.
    pub fn directory(key: String, owner: &AccountId, value: Option<Value>, resume: bool) -> Self {
        let entry = Entry { key, owner: owner.clone(), value };
        Self { to: AccountId::default_account(), message: json!({ "directory": entry }), resume }
    }
}

/// What the directory of `state` does with an entry: whether it is granted, and what changes.
pub fn settle(state: &AccountState, entry: &Entry) -> (Granted, Vec<Change>) {
    let key = format!("directory/{}", entry.key);
    let known = state.documents.get(&key);
    if known.is_some_and(|row| row["owner"].as_str() != Some(entry.owner.as_str())) {
        return (Granted { granted: false }, Vec::new());
    }
    let row = entry.value.as_ref().map(|value| json!({"owner": entry.owner, "value": value}));
    let changes = match row {
        Some(row) if known == Some(&row) => Vec::new(),
        Some(row) => Vec::from([Change::Document(key, row)]),
        None if known.is_some() => Vec::from([Change::DropDocument(key)]),
        None => Vec::new(),
    };
    (Granted { granted: true }, changes)
}

/// The values under all keys of the directory that begin with `prefix`, in key order.
pub fn listed<'a>(state: &'a AccountState, prefix: &str) -> impl Iterator<Item = &'a Value> {
    let from = format!("directory/{prefix}");
    let range = state.documents.range(from.clone()..);
    range.take_while(move |(key, _)| key.starts_with(&from)).filter_map(|(_, row)| row.get("value"))
}
