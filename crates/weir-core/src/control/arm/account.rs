//! The two keys of an account (`azure.md`, C3).
//!
//! Decides when `key1` and `key2` are drawn: both at the first `listKeys` or
//! `regenerateKey`. Their texts are kept sealed, because Azure's clients list them.

use super::super::answer::Answer;
use super::super::command::{Change, Desk, Outcome};
use super::super::document::{Faults, Members};
use super::super::state::AccountKeyRow;
use super::convention::{not_found, refuse};
use super::{AccountPath, Provider, error, resource};
use crate::seal::key_hash;
use crate::sorted::SortedMap;
use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use serde_json::{Map, Value, json};

const KEY_NAMES: [&str; 2] = ["key1", "key2"];

/// `POST A/listKeys`.
///
/// # Errors
/// 409 when the installation has no seal key, or another than the keys were sealed under.
pub fn list_keys(desk: &mut Desk<'_>, path: &AccountPath) -> Result<Outcome, Answer> {
    keys(desk, path, None)
}

/// `POST A/regenerateKey` with `{"keyName":"Key1"|"Key2"}`.
///
/// # Errors
/// 400 for another name, 409 as [`list_keys`].
pub fn regenerate_key(
    desk: &mut Desk<'_>,
    path: &AccountPath,
    body: &Map<String, Value>,
) -> Result<Outcome, Answer> {
    let mut faults = Faults::default();
    let name = Members::root(body).required_text("keyName", &mut faults).map(str::to_ascii_lowercase);
    let name = name.unwrap_or_default();
    if !name.is_empty() && !KEY_NAMES.contains(&name.as_str()) {
        faults.note("keyName", "must be Key1 or Key2");
    }
    refuse(Provider::CognitiveServices, &faults)?;
    keys(desk, path, Some(&name))
}

/// Lists both keys, after drawing those that are missing and the one to be replaced.
fn keys(desk: &mut Desk<'_>, path: &AccountPath, replace: Option<&str>) -> Result<Outcome, Answer> {
    if !resource::exists(desk.state, path.provider) {
        return Err(not_found(&path.id));
    }
    if resource::network(desk.state).is_some_and(|network| network.keys_disabled) {
        let text = "Keys are off for this account: its disableLocalAuth is true.";
        return Err(error(400, "BadRequest", text));
    }
    let mut texts: SortedMap<&str, String> = SortedMap::new();
    let mut changes = Vec::new();
    for name in KEY_NAMES {
        let place = format!("account-key:{}:{name}", desk.state.account);
        let known = desk.state.account_keys.get(name).filter(|_| replace != Some(name));
        let text = if let Some(row) = known {
            desk.open(&place, &row.sealed)
        } else {
            let text = desk.entropy.key_text(desk.state.account.as_str());
            desk.seal(&place, &text).map(|sealed| {
                let row = AccountKeyRow { hash: key_hash(&text), sealed, created_at: desk.now };
                changes.push(Change::AccountKey(name.to_owned(), row));
                text
            })
        };
        let text = text.map_err(|fault| error(409, "Conflict", &format!("The account's key {fault}.")))?;
        texts.insert(name, text);
    }
    let answer = Answer::json(200, &json!(texts));
    let action = if replace.is_some() { "account_key.regenerate" } else { "account_key.create" };
    Ok(Outcome::writing(answer, action, replace.unwrap_or("key1, key2"), changes))
}
