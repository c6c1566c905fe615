//! `/api/weir/v1/keys`: data keys (`design.md`, section 8, "Principals, keys, tokens").
//!
//! Decides what a key may be told and when its text is shown: once, in the answer to the request that made it.
//! Only its hash is kept (promise 7).

use super::super::access::{AccessRow, PrincipalKind};
use super::super::answer::Answer;
use super::super::command::{Change, Desk, Outcome};
use super::super::document::{Faults, Members};
use super::super::state::KeyRow;
use super::{conflict, forbidden, invalid, not_found};
use crate::id::{AccountId, DeploymentName, PrincipalId};
use crate::ledger::calendar::{self, format_rfc3339};
use crate::seal::key_hash;
use crate::time::UnixMillis;
use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use serde_json::{Map, Value, json};

/// Most data keys of one account.
const KEYS_MAX: usize = 100_000;
/// Most deployments that one key can be confined to.
const DEPLOYMENTS_MAX: usize = 1000;
/// Longest name of a key, in characters.
const NAME_CHARS_MAX: usize = 128;
/// Ids that mean something else.
const RESERVED_IDS: [&str; 3] = ["admin", "key1", "key2"];

/// `GET …/keys`: without their texts.
pub fn list(desk: &Desk<'_>) -> Outcome {
    let keys: Vec<Value> = desk.state.keys.values().map(|row| shown(row, None)).collect();
    Outcome::reading(Answer::json(200, &json!({"keys": keys})))
}

/// `POST …/keys`: 201 with the text.
///
/// # Errors
/// 400 with the path of each fault, 409 when a given text is another key's or there are too many.
pub fn create(desk: &mut Desk<'_>, body: &Map<String, Value>) -> Result<Outcome, Answer> {
    let id = format!("key-{}", desk.entropy.identifier().get(..16).unwrap_or_default());
    let id = PrincipalId::parse(&id).map_err(|problem| conflict(&format!("The new key's id {problem}.")))?;
    make(desk, id, body)
}

/// `PUT …/keys/{id}`: makes the key (201, with its text) or changes what it may do (200).
///
/// # Errors
/// As [`create`].
pub fn put(desk: &mut Desk<'_>, id: &str, body: &Map<String, Value>) -> Result<Outcome, Answer> {
    let mut faults = Faults::default();
    let parsed = PrincipalId::parse(id).map_err(|problem| faults.note("id", format!("{problem}"))).ok();
    if RESERVED_IDS.contains(&id) {
        faults.note("id", "is reserved");
    }
    let Some(parsed) = parsed.filter(|_| faults.none()) else { return Err(invalid(&faults)) };
    let Some(known) = desk.state.keys.get(id) else { return make(desk, parsed, body) };
    let Some(wish) = read(desk, body, &mut faults) else { return Err(invalid(&faults)) };
    may_act_for(desk, principal_of(known))?;
    if let Some(principal) = &wish.principal {
        may_act_for(desk, principal.as_str())?;
    }
    let mut row = KeyRow {
        name: wish.name,
        principal: wish.principal.or_else(|| known.principal.clone()),
        deployments: wish.deployments,
        expires_at: wish.expires_at,
        ..known.clone()
    };
    if let Some(text) = wish.text.filter(|text| key_hash(text) != known.hash) {
        refuse_taken(desk, &text)?;
        set_text(&mut row, &text, desk.now);
    }
    if row == *known {
        return Ok(Outcome::reading(Answer::json(200, &shown(&row, None))));
    }
    let answer = Answer::json(200, &shown(&row, None));
    Ok(Outcome::writing(answer, "key.put", id, Vec::from([Change::Key(row)])))
}

/// `DELETE …/keys/{id}`: 204; the key opens nothing from then on.
///
/// # Errors
/// 404.
pub fn delete(desk: &Desk<'_>, id: &str) -> Result<Outcome, Answer> {
    if !desk.state.keys.contains_key(id) {
        return Err(not_found("key", id));
    }
    let mut changes = Vec::from([Change::DropKey(id.to_owned())]);
    // What was given to the key itself goes with it: its id can be taken again.
    let given = desk.state.access.assignments.values().filter(|row| row.principal == id);
    changes.extend(given.map(|row| Change::DropAccess(AccessRow::Assignment(row.clone()).key())));
    Ok(Outcome::writing(Answer::empty(204), "key.delete", id, changes))
}

/// `POST …/keys/{id}/rotate`: 200 with a new text; the old one opens nothing from then on.
///
/// # Errors
/// 404.
pub fn rotate(desk: &mut Desk<'_>, id: &str) -> Result<Outcome, Answer> {
    let Some(known) = desk.state.keys.get(id) else { return Err(not_found("key", id)) };
    may_act_for(desk, principal_of(known))?;
    let text = desk.entropy.key_text(desk.state.account.as_str());
    let mut row = known.clone();
    set_text(&mut row, &text, desk.now);
    let answer = Answer::json(200, &shown(&row, Some(&text)));
    Ok(Outcome::writing(answer, "key.rotate", id, Vec::from([Change::Key(row)])))
}

fn make(desk: &mut Desk<'_>, id: PrincipalId, body: &Map<String, Value>) -> Result<Outcome, Answer> {
    let mut faults = Faults::default();
    let Some(wish) = read(desk, body, &mut faults) else { return Err(invalid(&faults)) };
    may_act_for(desk, wish.principal.as_ref().map_or(id.as_str(), PrincipalId::as_str))?;
    if desk.state.keys.len() >= KEYS_MAX {
        return Err(conflict(&format!("The account has {KEYS_MAX} keys already; delete some first.")));
    }
    let text = match wish.text {
        Some(text) => text,
        None => desk.entropy.key_text(desk.state.account.as_str()),
    };
    refuse_taken(desk, &text)?;
    let mut row = KeyRow {
        id,
        principal: wish.principal,
        name: wish.name,
        hash: String::new(),
        ends_with: String::new(),
        deployments: wish.deployments,
        expires_at: wish.expires_at,
        creator: desk.actor.to_owned(),
        created_at: desk.now,
        rotated_at: desk.now,
    };
    set_text(&mut row, &text, desk.now);
    let target = row.id.as_str().to_owned();
    let answer = Answer::json(201, &shown(&row, Some(&text)));
    Ok(Outcome::writing(answer, "key.create", &target, Vec::from([Change::Key(row)])))
}

fn set_text(row: &mut KeyRow, text: &str, now: UnixMillis) {
    row.hash = key_hash(text);
    row.ends_with = text.chars().skip(text.chars().count().saturating_sub(4)).collect();
    row.rotated_at = now;
}

/// Whose a key is.
pub fn principal_of(row: &KeyRow) -> &str {
    row.principal.as_ref().unwrap_or(&row.id).as_str()
}

/// Whoever learns a key's text can act for its principal: that takes more than the right to manage keys, if the
/// principal is somebody.
fn may_act_for(desk: &Desk<'_>, principal: &str) -> Result<(), Answer> {
    let access = &desk.state.access;
    let somebody = !desk.state.keys.contains_key(principal)
        && (access.principals.contains_key(principal) || RESERVED_IDS.contains(&principal))
        || access.assignments.values().any(|row| row.principal == principal);
    if !somebody || desk.caller.may_act_for(principal) {
        return Ok(());
    }
    Err(forbidden("Microsoft.Authorization/principals/tokens/write", "/"))
}

fn refuse_taken(desk: &Desk<'_>, text: &str) -> Result<(), Answer> {
    let hash = key_hash(text);
    let data = desk.state.keys.values().any(|row| row.hash == hash);
    let account = desk.state.account_keys.values().any(|row| row.hash == hash);
    let token = desk.state.access.tokens.values().any(|row| row.hash == hash);
    if data || account || token { Err(conflict("Another key has this text.")) } else { Ok(()) }
}

/// What a body asks for.
struct Wish {
    name: String,
    principal: Option<PrincipalId>,
    deployments: Option<Vec<String>>,
    expires_at: Option<UnixMillis>,
    text: Option<String>,
}

fn read(desk: &Desk<'_>, body: &Map<String, Value>, faults: &mut Faults) -> Option<Wish> {
    let members = Members::root(body);
    let name = members.required_text("name", faults).map(ToOwned::to_owned);
    if name
        .as_ref()
        .is_some_and(|name| name.chars().count() > NAME_CHARS_MAX || name.chars().any(char::is_control))
    {
        faults.note("name", "must be at most 128 characters without control characters");
    }
    let deployments = members.texts("deployments", faults).map(|names| read_deployments(&names, faults));
    let expires_at = members.get("expires_at").and_then(|value| {
        let text = value.as_str().unwrap_or_default();
        calendar::parse(text).map_err(|problem| faults.note("expires_at", format!("{problem}"))).ok()
    });
    for member in ["limits", "budget"] {
        let empty = members.get(member).is_none_or(|value| value.as_array().is_some_and(Vec::is_empty));
        if !empty {
            faults.note(member, "is not supported yet");
        }
    }
    let principal = members.text("principal_id", faults).and_then(|id| read_principal(desk, id, faults));
    let text = members.text("key", faults).map(ToOwned::to_owned);
    if let Some(text) = &text {
        check_text(desk, text, faults);
    }
    let name = name.filter(|_| faults.none())?;
    Some(Wish { name, principal, deployments, expires_at, text })
}

/// A principal that a key shall be of. In other accounts than the directory's it is not known whether it is there.
fn read_principal(desk: &Desk<'_>, id: &str, faults: &mut Faults) -> Option<PrincipalId> {
    let parsed =
        PrincipalId::parse(id).map_err(|problem| faults.note("principal_id", format!("{problem}"))).ok()?;
    let directory = desk.state.account == AccountId::default_account();
    let row = desk.state.access.principals.get(id);
    if row.is_some_and(|row| row.kind == PrincipalKind::Group) {
        faults.note("principal_id", "is a group; a key must be a user's or service principal's");
    } else if directory && row.is_none() && id != "admin" {
        faults.note("principal_id", "is no principal");
    }
    Some(parsed)
}

fn read_deployments(names: &[&str], faults: &mut Faults) -> Vec<String> {
    if names.len() > DEPLOYMENTS_MAX {
        faults.note("deployments", format!("must be at most {DEPLOYMENTS_MAX}"));
        return Vec::new();
    }
    let mut folded = Vec::new();
    for (at, name) in names.iter().enumerate() {
        match DeploymentName::parse(name) {
            Ok(name) => folded.push(name.folded()),
            Err(problem) => faults.note(&format!("deployments[{at}]"), format!("{problem}")),
        }
    }
    folded.sort();
    folded.dedup();
    folded
}

/// A text of one's own choice is for development only: everywhere else keys are drawn, so that none is weak.
fn check_text(desk: &Desk<'_>, text: &str, faults: &mut Faults) {
    if !desk.settings.dev {
        faults.note("key", "can be chosen on a development installation only; leave it out to get one");
    } else if !(8..=256).contains(&text.len()) || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        faults.note("key", "must be 8 to 256 visible ASCII characters");
    }
    let tag = text.strip_prefix("wk_").and_then(|rest| rest.rsplit_once('_')).map(|(account, _)| account);
    if tag.is_some_and(|account| account != desk.state.account.as_str()) {
        faults.note("key", "names another account");
    }
}

fn shown(row: &KeyRow, text: Option<&str>) -> Value {
    let mut key = json!({
        "id": row.id, "name": row.name, "principal_id": principal_of(row), "ends_with": row.ends_with,
        "created_at": format_rfc3339(row.created_at), "created_by": row.creator,
        "rotated_at": format_rfc3339(row.rotated_at),
        "expires_at": row.expires_at.map(format_rfc3339),
    });
    if let Some(members) = key.as_object_mut() {
        if let Some(deployments) = &row.deployments {
            members.insert("deployments".to_owned(), json!(deployments));
        }
        if let Some(text) = text {
            members.insert("key".to_owned(), text.into());
        }
    }
    key
}
