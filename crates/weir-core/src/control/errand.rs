//! Errands: messages from one account's Registry to another's, and the directory that they are for.
//!
//! Most of a configuration is one account's own. Two things are the installation's: the names of serverless endpoints,
//! which are unique in a region because they are host labels (`azure.md`, C1.4), and the list of accounts and
//! workspaces. Both stand in the directory, which the Registry of the account `default` keeps. A command that needs it
//! answers with an errand; the shell runs it and, where the command depends on it, repeats the request with the reply.
//!
//! Decides who owns an entry; not what entries mean. An entry belongs to the account that wrote it first until that
//! account drops it; a request that was lost between errand and answer leaves an entry that its owner can use again.

use super::access::needed;
use super::command::Change;
use super::state::AccountState;
use crate::id::AccountId;
use alloc::borrow::ToOwned;
use alloc::collections::BTreeSet;
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
    /// Writes or drops entries of the directory, all or none.
    pub fn directory(entries: &[Entry], resume: bool) -> Self {
        Self { to: AccountId::default_account(), message: json!({ "directory": entries }), resume }
    }
}

/// What the directory of `state` does with entries: whether all are granted, and what changes.
pub fn settle(state: &AccountState, entries: &[Entry]) -> (Granted, Vec<Change>) {
    let mut changes = Vec::new();
    for entry in entries {
        let key = format!("directory/{}", entry.key);
        let known = state.documents.get(&key);
        if known.is_some_and(|row| row["owner"].as_str() != Some(entry.owner.as_str())) {
            return (Granted { granted: false }, Vec::new());
        }
        match entry.value.as_ref().map(|value| json!({"owner": entry.owner, "value": value})) {
            Some(row) if known == Some(&row) => {}
            Some(row) => changes.push(Change::Document(key, row)),
            None if known.is_some() => changes.push(Change::DropDocument(key)),
            None => {}
        }
    }
    (Granted { granted: true }, changes)
}

/// Which accounts of the installation are asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountsAsk {
    /// The subscription that they stand in; any, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subscription: Option<String>,
    /// The resource group that they stand in; any, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
}

/// The accounts that stand there, by name. One stands where it was first written under.
pub fn accounts(state: &AccountState, ask: &AccountsAsk) -> Vec<AccountId> {
    let same = |wanted: &Option<String>, has: &str| {
        wanted.as_ref().is_none_or(|wanted| wanted.eq_ignore_ascii_case(has))
    };
    let mut found = BTreeSet::new();
    let home = needed::home_of(state);
    if same(&ask.subscription, &home.subscription) && same(&ask.group, &home.group) {
        found.insert(state.account.clone());
    }
    for kind in ["directory/accounts/", "directory/workspaces/"] {
        let range = state.documents.range(kind.to_owned()..);
        for (key, row) in range.take_while(|(key, _)| key.starts_with(kind)) {
            let Some(id) = row.pointer("/value/id") else { continue };
            let parts: Vec<&str> = id.as_str().unwrap_or_default().split('/').collect();
            let ["", _, subscription, _, group, ..] = parts.as_slice() else { continue };
            let name = key.strip_prefix(kind).and_then(|name| AccountId::parse(name).ok());
            if same(&ask.subscription, subscription) && same(&ask.group, group) {
                found.extend(name);
            }
        }
    }
    found.into_iter().collect()
}

/// The values of all entries of a kind, in key order.
pub fn listed<'a>(state: &'a AccountState, kind: &str) -> impl Iterator<Item = &'a Value> {
    let from = format!("directory/{kind}/");
    let range = state.documents.range(from.clone()..);
    range.take_while(move |(key, _)| key.starts_with(&from)).filter_map(|(_, row)| row.get("value"))
}
