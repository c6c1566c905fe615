//! Blocklists and their items, as azure-mgmt-cognitiveservices 14.1.0 calls them.
//!
//! Decides what a list and an item must hold and when they may go. An item is a word or a phrase, found without
//! regard to case, accents and disguises, or a regular expression of the kind that `policy::pattern` reads. A list is one document with its items in it.

use super::super::answer::{Answer, Location, ManagementRequest, position};
use super::super::command::{Change, Desk, Outcome};
use super::super::content::{self, BLOCKLIST, POLICY, key};
use super::super::document::{self, Faults, Members};
use super::convention::{body, error, listed, not_found, precondition, read_tags, refuse, wrong_method};
use super::rai_policies::{check_name, shown, stamped};
use super::{AccountPath, Provider, not_supported};
use crate::policy::pattern_steps;
use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use serde_json::{Map, Value, json};

/// Most blocklists of an account.
const LISTS_MAX: usize = 100;
/// Most items of a list: with the longest patterns a list stays well below the bound of a stored row.
const ITEMS_MAX: usize = 1_000;
/// Longest pattern in characters, as in Azure.
const PATTERN_CHARS_MAX: usize = 128;
/// Most regular expressions of a list, and their steps together: each step may cost at each character of a text.
const REGEXES_MAX: usize = 100;
const STEPS_MAX: usize = 4_000;

/// Answers one request below `A/raiBlocklists`.
///
/// # Errors
/// The refusal, rendered; nothing is changed then.
pub fn handle(
    desk: &Desk<'_>,
    request: &ManagementRequest,
    location: &Location,
    path: &AccountPath,
    rest: &[&str],
) -> Result<Outcome, Answer> {
    let list = |name: &str| {
        desk.state
            .documents
            .get(&key(BLOCKLIST, name))
            .ok_or_else(|| not_found(&format!("{}/raiBlocklists/{name}", path.id)))
    };
    match (request.method.as_str(), rest) {
        ("GET", []) => {
            let lists = content::all(desk.state, BLOCKLIST).map(|row| shown(row, "raiBlocklists"));
            listed(desk, location, lists.collect())
        }
        ("GET", [name]) => Ok(Outcome::reading(Answer::json(200, &shown(list(name)?, "raiBlocklists")))),
        ("PUT", [name]) => put(desk, request, path, name),
        ("DELETE", [name]) => delete(desk, name),
        ("GET", [name, "raiblocklistitems"]) => {
            let items = items(list(name)?);
            listed(desk, location, items.map(show_item).collect())
        }
        ("GET", [name, "raiblocklistitems", item]) => {
            let row = item_of(list(name)?, item).ok_or_else(|| not_found(&location.path))?;
            Ok(Outcome::reading(Answer::json(200, &show_item(row))))
        }
        ("PUT", [name, "raiblocklistitems", item]) => put_item(desk, request, list(name)?, item),
        ("DELETE", [name, "raiblocklistitems", item]) => {
            Ok(drop_items(desk, list(name)?, &[item.to_ascii_lowercase()]))
        }
        ("POST", [name, "addraiblocklistitems"]) => add_items(desk, request, list(name)?),
        ("POST", [name, "deleteraiblocklistitems"]) => delete_items(desk, request, list(name)?),
        (_, [] | [_, "raiblocklistitems"]) => Err(wrong_method("GET")),
        (_, [_] | [_, "raiblocklistitems", _]) => Err(wrong_method("GET, PUT, DELETE")),
        (_, [_, "addraiblocklistitems" | "deleteraiblocklistitems"]) => Err(wrong_method("POST")),
        (method, _) => Err(not_supported(method, &location.path)),
    }
}

fn put(
    desk: &Desk<'_>,
    request: &ManagementRequest,
    path: &AccountPath,
    name: &str,
) -> Result<Outcome, Answer> {
    let known = desk.state.documents.get(&key(BLOCKLIST, name));
    precondition(request, known.and_then(|row| row["etag"].as_u64()))?;
    let body = body(request)?;
    let mut faults = Faults::default();
    check_name(name, &mut faults);
    let members = Members::root(&body);
    let tags = read_tags(&members, &mut faults);
    let properties = members.members("properties", &mut faults);
    let description = properties.and_then(|map| map.text("description", &mut faults)).unwrap_or_default();
    refuse(Provider::CognitiveServices, &faults)?;
    if known.is_none() && content::all(desk.state, BLOCKLIST).count() >= LISTS_MAX {
        return Err(error(409, "QuotaExceeded", "The account has 100 blocklists already."));
    }
    let mut row = stamped(desk, known, &format!("{}/raiBlocklists/{name}", path.id), name);
    if let Some(members) = row.as_object_mut() {
        members.insert("tags".to_owned(), json!(tags));
        members.insert("properties".to_owned(), json!({ "description": description }));
        members.insert("items".to_owned(), known.map_or_else(|| json!({}), |row| row["items"].clone()));
    }
    let answer = Answer::json(if known.is_some() { 200 } else { 201 }, &shown(&row, "raiBlocklists"));
    Ok(stored(answer, "rai_blocklist.put", row))
}

fn delete(desk: &Desk<'_>, name: &str) -> Result<Outcome, Answer> {
    if !desk.state.documents.contains_key(&key(BLOCKLIST, name)) {
        return Ok(Outcome::reading(Answer::empty(204)));
    }
    let names = |list: &Value| text(list, "blocklistName").eq_ignore_ascii_case(name);
    let uses = |row: &&Value| {
        let lists = row.get("properties").and_then(|properties| properties.get("customBlocklists"));
        lists.and_then(Value::as_array).into_iter().flatten().any(names)
    };
    if let Some(policy) = content::all(desk.state, POLICY).find(uses).and_then(|row| row["name"].as_str()) {
        let text = format!("The blocklist '{name}' is used by the content filter policy '{policy}'.");
        return Err(error(409, "RaiBlocklistInUse", &text));
    }
    let changes = [Change::DropDocument(key(BLOCKLIST, name))].into();
    Ok(Outcome::writing(Answer::empty(204), "rai_blocklist.delete", name, changes))
}

fn put_item(
    desk: &Desk<'_>,
    request: &ManagementRequest,
    list: &Value,
    name: &str,
) -> Result<Outcome, Answer> {
    let known = item_of(list, name);
    precondition(request, known.and_then(|row| row["etag"].as_u64()))?;
    let body = body(request)?;
    let mut faults = Faults::default();
    let item = read_item(desk, list, name, &Members::root(&body), &mut faults);
    let status = if known.is_some() { 200 } else { 201 };
    let row = with_items(desk, list, [item].into_iter().collect(), &mut faults)?;
    let answer = Answer::json(status, &show_item(item_of(&row, name).unwrap_or(&Value::Null)));
    Ok(stored(answer, "rai_blocklist_item.put", row))
}

/// `POST …/addRaiBlocklistItems`: all of them or none.
fn add_items(desk: &Desk<'_>, request: &ManagementRequest, list: &Value) -> Result<Outcome, Answer> {
    let body = list_body(request)?;
    let mut faults = Faults::default();
    let mut items = Vec::new();
    for (at, value) in body.iter().enumerate() {
        let Some(members) = Members::of(value, &format!("[{at}]"), &mut faults) else { continue };
        let name = members.required_text("name", &mut faults).unwrap_or_default();
        items.push(read_item(desk, list, name, &members, &mut faults));
    }
    let row = with_items(desk, list, items, &mut faults)?;
    let answer = Answer::json(200, &shown(&row, "raiBlocklists"));
    Ok(stored(answer, "rai_blocklist_item.add", row))
}

/// `POST …/deleteRaiBlocklistItems` with the items' names.
fn delete_items(desk: &Desk<'_>, request: &ManagementRequest, list: &Value) -> Result<Outcome, Answer> {
    let body = list_body(request)?;
    let (mut faults, mut names) = (Faults::default(), Vec::new());
    for (at, name) in body.iter().enumerate() {
        match name.as_str() {
            Some(name) => names.push(name.to_ascii_lowercase()),
            None => faults.note(&position("", at), "must be the name of an item"),
        }
    }
    refuse(Provider::CognitiveServices, &faults)?;
    Ok(drop_items(desk, list, &names))
}

/// 204, whether they were there or not.
fn drop_items(desk: &Desk<'_>, list: &Value, names: &[String]) -> Outcome {
    let mut row = list.clone();
    let Some(items) = row.get_mut("items").and_then(Value::as_object_mut) else {
        return Outcome::reading(Answer::empty(204));
    };
    let before = items.len();
    items.retain(|name, _| !names.contains(name));
    if items.len() == before {
        return Outcome::reading(Answer::empty(204));
    }
    set(&mut row, "etag", desk.next_version().into());
    stored(Answer::empty(204), "rai_blocklist_item.delete", row)
}

/// The list with these items put into it.
fn with_items(
    desk: &Desk<'_>,
    list: &Value,
    items: Vec<Value>,
    faults: &mut Faults,
) -> Result<Value, Answer> {
    let mut row = list.clone();
    if let Some(all) = row.get_mut("items").and_then(Value::as_object_mut) {
        for item in items {
            let name = text(&item, "name").to_ascii_lowercase();
            all.insert(name, item);
        }
        if all.len() > ITEMS_MAX {
            faults.note("", format!("gives the blocklist more than {ITEMS_MAX} items"));
        }
        let regexes = || all.values().filter(|item| is_regex(item));
        let steps: usize = regexes()
            .filter_map(|item| pattern_steps(text(item, "pattern")).ok())
            .fold(0, usize::saturating_add);
        if regexes().count() > REGEXES_MAX || steps > STEPS_MAX {
            let text = format!(
                "gives the blocklist more than {REGEXES_MAX} regular expressions, or such that have more than \
                 {STEPS_MAX} steps together"
            );
            faults.note("", text);
        }
    }
    refuse(Provider::CognitiveServices, faults)?;
    set(&mut row, "etag", desk.next_version().into());
    Ok(row)
}

fn read_item(desk: &Desk<'_>, list: &Value, name: &str, members: &Members<'_>, faults: &mut Faults) -> Value {
    check_name(name, faults);
    let properties = members.required_members("properties", faults);
    let pattern =
        properties.as_ref().and_then(|map| map.required_text("pattern", faults)).unwrap_or_default();
    let mut regex = false;
    if let Some(properties) = &properties {
        let wants = properties.boolean("isRegex", faults) == Some(true);
        if pattern.chars().count() > PATTERN_CHARS_MAX {
            faults.note(&properties.path("pattern"), "must have at most 128 characters");
        } else if wants {
            if let Some(fault) = pattern_steps(pattern).err().filter(|_| !pattern.is_empty()) {
                faults.note(&properties.path("pattern"), fault);
            }
            regex = true;
        } else if !pattern.is_empty() && !crate::policy::is_term(pattern) {
            faults.note(
                &properties.path("pattern"),
                "must have a letter or a digit, and at most 128 bytes of them",
            );
        }
    }
    let known = item_of(list, name);
    let id = format!("{}/raiBlocklistItems/{name}", list["id"].as_str().unwrap_or_default());
    let mut row = stamped(desk, known, &id, name);
    set(&mut row, "pattern", pattern.into());
    if regex {
        set(&mut row, "regex", true.into());
    }
    row
}

fn is_regex(item: &Value) -> bool {
    item.get("regex").and_then(Value::as_bool).unwrap_or(false)
}

fn show_item(row: &Value) -> Value {
    let mut item = shown(row, "raiBlocklists/raiBlocklistItems");
    set(&mut item, "properties", json!({"pattern": text(row, "pattern"), "isRegex": is_regex(row)}));
    item
}

/// A body that is a list.
fn list_body(request: &ManagementRequest) -> Result<Vec<Value>, Answer> {
    let invalid = |text: &str| {
        error(400, "InvalidRequestContent", &format!("The request content was invalid: {text}."))
    };
    let wrapped = format!("{{\"items\":{}}}", request.body);
    let mut map = document::parse(wrapped.as_bytes()).map_err(|problem| invalid(&format!("{problem}")))?;
    match map.remove("items") {
        Some(Value::Array(items)) if map.is_empty() => Ok(items),
        _ => Err(invalid("the body must be a JSON list")),
    }
}

fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list.get("items").and_then(Value::as_object).into_iter().flat_map(Map::values)
}

fn item_of<'a>(list: &'a Value, name: &str) -> Option<&'a Value> {
    list.get("items")?.get(name.to_ascii_lowercase())
}

fn text<'a>(row: &'a Value, member: &str) -> &'a str {
    row.get(member).and_then(Value::as_str).unwrap_or_default()
}

fn set(row: &mut Value, member: &str, value: Value) {
    if let Some(members) = row.as_object_mut() {
        members.insert(member.to_owned(), value);
    }
}

fn stored(answer: Answer, action: &'static str, row: Value) -> Outcome {
    let name = text(&row, "name").to_owned();
    Outcome::writing(answer, action, &name, [Change::Document(key(BLOCKLIST, &name), row)].into())
}
