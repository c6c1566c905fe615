//! Connections of a workspace or an account (`azure.md`, C8): where another project's endpoint is, and the key to it.
//!
//! Decides what a connection holds and when its credentials are shown: only by `listsecrets`. They are stored sealed.

use super::super::answer::{Answer, Location, ManagementRequest};
use super::super::command::{Change, Desk, Outcome};
use super::super::document::{Faults, Members};
use super::convention::{body, error, listed, not_found, refuse, system_data, wrong_method};
use super::{AccountPath, Provider, not_supported};
use crate::time::UnixMillis;
use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use serde_json::{Map, Value, json};

/// Kind of the documents; their names are the connections', folded.
const fn kind(provider: Provider) -> &'static str {
    match provider {
        Provider::MachineLearning => "connection/",
        Provider::CognitiveServices => "account-connection/",
    }
}

/// Most connections of a workspace or an account.
const CONNECTIONS_MAX: usize = 1000;

/// Answers one request below `W/connections` or `A/connections`.
///
/// # Errors
/// The refusal, rendered; nothing is changed then.
pub fn handle(
    desk: &mut Desk<'_>,
    request: &ManagementRequest,
    location: &Location,
    path: &AccountPath,
    rest: &[&str],
) -> Result<Outcome, Answer> {
    let state = desk.state;
    let provider = path.provider;
    let key = |name: &str| key(provider, name);
    let shown = |row: &Value, credentials: &Value| shown(provider, row, credentials);
    let known = |name: &str| {
        let row = state.documents.get(&key(name));
        row.ok_or_else(|| not_found(&format!("{}/connections/{name}", path.id)))
    };
    match (request.method.as_str(), rest) {
        ("GET", []) => list(desk, location, provider),
        ("GET", [name]) => Ok(Outcome::reading(Answer::json(200, &shown(known(name)?, &Value::Null)))),
        ("PUT", [name]) => put(desk, path, name, &body(request)?, None),
        ("PATCH", [name]) => {
            let before = known(name)?;
            put(desk, path, name, &body(request)?, Some(before))
        }
        ("DELETE", [name]) if known(name).is_err() => Ok(Outcome::reading(Answer::empty(204))),
        ("DELETE", [name]) => {
            let changes = [Change::DropDocument(key(name))].into();
            Ok(Outcome::writing(Answer::empty(200), "connection.delete", name, changes))
        }
        ("POST", [name, "listsecrets"]) => {
            let row = known(name)?;
            let secrets = secrets(desk, provider, name, row)?;
            Ok(Outcome::reading(Answer::json(200, &shown(row, &secrets))))
        }
        (_, []) => Err(wrong_method("GET")),
        (_, [_]) => Err(wrong_method("GET, PUT, PATCH, DELETE")),
        (_, [_, "listsecrets"]) => Err(wrong_method("POST")),
        (method, _) => Err(not_supported(method, &location.path)),
    }
}

fn key(provider: Provider, name: &str) -> String {
    format!("{}{}", kind(provider), name.to_ascii_lowercase())
}

fn place(desk: &Desk<'_>, provider: Provider, name: &str) -> String {
    let kind = kind(provider).trim_end_matches('/');
    format!("{kind}:{}:{}", desk.state.account, name.to_ascii_lowercase())
}

/// All, or those of a `category` or a `target`.
fn list(desk: &Desk<'_>, location: &Location, provider: Provider) -> Result<Outcome, Answer> {
    let kind = kind(provider);
    let wanted = |row: &&Value| {
        ["category", "target"].iter().all(|member| {
            let has = row["properties"].get(member).and_then(Value::as_str).unwrap_or_default();
            location.query(member).is_none_or(|wanted| wanted.eq_ignore_ascii_case(has))
        })
    };
    let documents =
        desk.state.documents.range(kind.to_owned()..).take_while(|(key, _)| key.starts_with(kind));
    let items =
        documents.map(|(_, row)| row).filter(wanted).map(|row| shown(provider, row, &Value::Null)).collect();
    listed(desk, location, items)
}

fn put(
    desk: &mut Desk<'_>,
    path: &AccountPath,
    name: &str,
    body: &Map<String, Value>,
    before: Option<&Value>,
) -> Result<Outcome, Answer> {
    let (mut faults, provider) = (Faults::default(), path.provider);
    let legal = (3..=33).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    if !legal {
        faults.note("name", "must be 3 to 33 letters, digits, '-', '_' and '.', the first no sign");
    }
    let given = Members::root(body).required_members("properties", &mut faults);
    let mut properties = before.and_then(|row| row["properties"].as_object().cloned()).unwrap_or_default();
    let mut credentials = None;
    if let Some(given) = &given {
        for member in ["category", "target", "authType"] {
            if before.is_none() || given.get(member).is_some() {
                given.required_text(member, &mut faults);
            }
        }
        given.members("metadata", &mut faults);
        given.boolean("isSharedToAll", &mut faults);
        let wants_key = given.get("authType").and_then(Value::as_str) == Some("ApiKey");
        credentials = given.members("credentials", &mut faults);
        // A key that is there must be one, whatever is wrong beside it.
        match &credentials {
            Some(credentials) if wants_key => credentials.required_text("key", &mut faults),
            Some(credentials) => credentials.text("key", &mut faults),
            None => None,
        };
        for member in given.names().filter(|member| *member != "credentials") {
            properties.insert(member.to_owned(), given.map().get(member).cloned().unwrap_or_default());
        }
    }
    refuse(provider, &faults)?;
    let known = desk.state.documents.get(&key(provider, name));
    if known.is_none()
        && desk.state.documents.keys().filter(|key| key.starts_with(kind(provider))).count()
            >= CONNECTIONS_MAX
    {
        return Err(error(409, "Conflict", "There are 1000 connections already; delete some first."));
    }
    let sealed = match credentials {
        Some(credentials) => {
            let text = format!("{}", Value::Object(credentials.map().clone()));
            let sealed = desk.seal(&place(desk, provider, name), &text);
            Value::from(sealed.map_err(|fault| error(409, "Conflict", &format!("The credential {fault}.")))?)
        }
        None => before.map_or(Value::Null, |row| row["sealed"].clone()),
    };
    let id = format!("{}/connections/{name}", path.id);
    let kept = |member: &str, fresh: Value| known.map_or(fresh, |row| row[member].clone());
    let row = json!({
        "id": kept("id", id.into()), "name": kept("name", name.into()), "properties": properties, "sealed": sealed,
        "by": kept("by", desk.actor.into()), "at": kept("at", desk.now.0.into()),
        "changed_by": desk.actor, "changed_at": desk.now,
    });
    let answer = Answer::json(200, &shown(provider, &row, &Value::Null));
    Ok(Outcome::writing(
        answer,
        "connection.put",
        name,
        Vec::from([Change::Document(key(provider, name), row)]),
    ))
}

fn secrets(desk: &Desk<'_>, provider: Provider, name: &str, row: &Value) -> Result<Value, Answer> {
    let Some(sealed) = row["sealed"].as_str() else { return Ok(Value::Null) };
    let text = desk.open(&place(desk, provider, name), sealed);
    let text = text.map_err(|fault| error(409, "Conflict", &format!("The credential {fault}.")))?;
    Ok(serde_json::from_str(&text).unwrap_or_default())
}

fn shown(provider: Provider, row: &Value, credentials: &Value) -> Value {
    let kind = format!("{}/{}/connections", provider.namespace(), provider.kind());
    let mut properties = row["properties"].as_object().cloned().unwrap_or_default();
    properties.insert("credentials".to_owned(), credentials.clone());
    let (at, by) = (
        |member: &str| UnixMillis(row[member].as_u64().unwrap_or(0)),
        |member: &str| row[member].as_str().unwrap_or_default(),
    );
    json!({
        "id": row["id"], "name": row["name"], "type": kind, "properties": properties,
        "systemData": system_data(by("by"), at("at"), by("changed_by"), at("changed_at")),
    })
}
