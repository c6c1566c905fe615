//! The two keys of a serverless endpoint (`azure.md`, C1.5).
//!
//! Decides how they are drawn, listed and replaced. Their texts are kept sealed beside their hashes, because Azure's
//! clients list them.

use super::super::super::answer::Answer;
use super::super::super::command::{Desk, Outcome};
use super::super::super::document::{Faults, Members};
use super::super::super::state::{AccountKeyRow, DeploymentRow, DeploymentSpec, ServerlessSpec};
use super::super::convention::{refuse, user_error};
use super::super::{AccountPath, Provider};
use super::{existing, stored};
use crate::seal::key_hash;
use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use serde_json::{Map, Value};

const KEY_NAMES: [&str; 2] = ["primary", "secondary"];

/// C1.5: the other key stays. A `keyValue` that is the current key is an echo, so a new one is drawn.
pub(super) fn regenerate(
    desk: &mut Desk<'_>,
    path: &AccountPath,
    name: &str,
    body: &Map<String, Value>,
) -> Result<Outcome, Answer> {
    let (row, spec) = existing(desk, path, name)?;
    let mut faults = Faults::default();
    let members = Members::root(body);
    let kind = members.required_text("keyType", &mut faults).unwrap_or_default();
    let slot = KEY_NAMES.iter().position(|known| known.eq_ignore_ascii_case(kind));
    if slot.is_none() && !kind.is_empty() {
        faults.note("keyType", "must be Primary or Secondary");
    }
    let wished = members.text("keyValue", &mut faults).filter(|text| !text.is_empty());
    let echo = |text: &&str| spec.keys.iter().any(|key| key.hash == key_hash(text));
    let wished = wished.filter(|text| !echo(text));
    if let Some(text) = wished {
        let ours = format!("wk_{}_", desk.state.account);
        if !(32..=256).contains(&text.len()) || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            faults.note(
                "keyValue",
                "must be 32 to 256 visible ASCII characters; leave it out to get a new key",
            );
        } else if !text.starts_with(&ours) {
            // The account in a key is how its snapshot is found.
            faults.note("keyValue", format!("must begin with {ours}; leave it out to get a new key"));
        }
    }
    refuse(Provider::MachineLearning, &faults)?;
    let slot = slot.unwrap_or(0);
    let fresh = match wished {
        Some(text) => sealed(desk, &row.name.folded(), slot, text)?,
        None => draw(desk, &row.name.folded(), slot)?,
    };
    let mut spec = spec.clone();
    if let Some(key) = spec.keys.get_mut(slot) {
        *key = fresh;
    }
    let answer = shown(desk, name, &spec)?;
    let row = DeploymentRow { spec: DeploymentSpec::Serverless(spec), ..row.clone() };
    Ok(stored(answer, "serverless_endpoint.regenerate_key", row))
}

fn key_place(desk: &Desk<'_>, folded: &str, slot: usize) -> String {
    let name = KEY_NAMES.get(slot).copied().unwrap_or_default();
    format!("endpoint-key:{}:{folded}:{name}", desk.state.account)
}

/// A new key.
pub(super) fn draw(desk: &mut Desk<'_>, folded: &str, slot: usize) -> Result<AccountKeyRow, Answer> {
    let text = desk.entropy.key_text(desk.state.account.as_str());
    sealed(desk, folded, slot, &text)
}

fn sealed(desk: &mut Desk<'_>, folded: &str, slot: usize, text: &str) -> Result<AccountKeyRow, Answer> {
    let place = key_place(desk, folded, slot);
    let sealed = desk.seal(&place, text).map_err(|fault| no_key(&format!("{fault}")))?;
    Ok(AccountKeyRow { hash: key_hash(text), sealed, created_at: desk.now })
}

fn no_key(fault: &str) -> Answer {
    let text = format!("The endpoint's key {fault}.");
    user_error(409, "KeyNotAvailable", &text, &Faults::default())
}

/// `listKeys`.
pub(super) fn shown(desk: &Desk<'_>, name: &str, spec: &ServerlessSpec) -> Result<Answer, Answer> {
    let mut texts = Map::new();
    for (slot, (key, member)) in spec.keys.iter().zip(["primaryKey", "secondaryKey"]).enumerate() {
        let place = key_place(desk, &name.to_ascii_lowercase(), slot);
        let text = desk.open(&place, &key.sealed).map_err(|fault| no_key(&format!("{fault}")))?;
        texts.insert(member.to_owned(), text.into());
    }
    Ok(Answer::json(200, &Value::Object(texts)))
}
