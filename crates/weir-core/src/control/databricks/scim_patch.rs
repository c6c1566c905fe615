//! `PATCH` of a SCIM document: its operations applied one after the other (RFC 7644, 3.5.2).
//!
//! Decides what a document is afterwards; whether that is a legal principal is `scim`'s. Operation names compare
//! without case, because clients write `Add` as well as `add`.

use super::scim_filter::Filter;
use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use serde_json::{Map, Value};

/// Most operations of one request.
const OPERATIONS_MAX: usize = 100;

/// Applies `Operations`.
///
/// # Errors
/// A sentence that says which operation is wrong; the document is half changed then and must not be used.
pub fn apply(document: &mut Value, body: &Map<String, Value>) -> Result<(), String> {
    let operations = body.get("Operations").and_then(Value::as_array).ok_or("Operations is required.")?;
    if operations.len() > OPERATIONS_MAX {
        return Err(format!("There may be at most {OPERATIONS_MAX} operations."));
    }
    for operation in operations {
        let text = |name: &str| operation.get(name).and_then(Value::as_str);
        let path = text("path").unwrap_or_default();
        let value = operation.get("value").filter(|value| !value.is_null());
        match (text("op").unwrap_or_default().to_ascii_lowercase().as_str(), value) {
            ("add", Some(value)) => set(document, path, value, true)?,
            ("replace", Some(value)) => set(document, path, value, false)?,
            ("remove", value) => remove(document, path, value)?,
            ("add" | "replace", None) => return Err("An operation lacks its value.".to_owned()),
            (other, _) => return Err(format!("'{other}' is not an operation; use add, replace or remove.")),
        }
    }
    Ok(())
}

/// Adds to a list or an object, or sets; without a path each member of `value`.
fn set(document: &mut Value, path: &str, value: &Value, add: bool) -> Result<(), String> {
    if path.is_empty() {
        let members = value.as_object().ok_or("An operation without a path needs an object.")?;
        return members.iter().try_for_each(|(name, value)| set(document, name, value, add));
    }
    let (name, filter, rest) = taken_apart(path)?;
    let Some(members) = document.as_object_mut() else { return Err(format!("'{path}' is not there.")) };
    let slot = members.entry(named(members, name)).or_insert(Value::Null);
    if let Some(filter) = filter {
        let items = slot.as_array_mut().map(Vec::as_mut_slice).unwrap_or_default();
        for item in items.iter_mut().filter(|item| filter.holds(item)) {
            if rest.is_empty() {
                merge(item, value);
            } else {
                set(item, rest, value, add)?;
            }
        }
        return Ok(());
    }
    if !rest.is_empty() {
        if !slot.is_object() {
            *slot = Value::Object(Map::new());
        }
        return set(slot, rest, value, add);
    }
    match slot {
        Value::Array(items) if add => {
            let new = value.as_array().cloned().unwrap_or_else(|| Vec::from([value.clone()]));
            for item in new {
                if !items.iter().any(|known| same(known, &item)) {
                    items.push(item);
                }
            }
        }
        Value::Object(_) if add => merge(slot, value),
        Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::String(_)
        | Value::Array(_)
        | Value::Object(_) => {
            let lists = ["members", "entitlements", "roles", "emails", "groups"];
            let alone = lists.contains(&name) && !value.is_array();
            *slot = if alone { Value::Array(Vec::from([value.clone()])) } else { value.clone() };
        }
    }
    Ok(())
}

/// Removes a member, the entries of a list that a filter means, or those that `value` names.
fn remove(document: &mut Value, path: &str, value: Option<&Value>) -> Result<(), String> {
    if path.is_empty() {
        return Err("Removing needs a path.".to_owned());
    }
    let (name, filter, rest) = taken_apart(path)?;
    let Some(members) = document.as_object_mut() else { return Ok(()) };
    let name = named(members, name);
    let Some(slot) = members.get_mut(&name) else { return Ok(()) };
    match (filter, value, slot.as_array_mut()) {
        (Some(filter), _, Some(items)) => items.retain(|item| !filter.holds(item)),
        (None, Some(value), Some(items)) => {
            let gone = value.as_array().cloned().unwrap_or_else(|| Vec::from([value.clone()]));
            items.retain(|item| !gone.iter().any(|other| same(item, other)));
        }
        _ if !rest.is_empty() => return remove(slot, rest, value),
        _ => _ = members.remove(&name),
    }
    Ok(())
}

/// Two entries are the same if they have the same `value`.
fn same(one: &Value, other: &Value) -> bool {
    let value = |item: &Value| item.get("value").cloned().unwrap_or_else(|| item.clone());
    value(one) == value(other)
}

fn merge(slot: &mut Value, value: &Value) {
    match (slot.as_object_mut(), value.as_object()) {
        (Some(members), Some(new)) => members.extend(new.clone()),
        _ => *slot = value.clone(),
    }
}

/// The member's name as it is written in the document: names compare without case.
fn named(members: &Map<String, Value>, name: &str) -> String {
    let known = members.keys().find(|known| known.eq_ignore_ascii_case(name));
    known.map_or_else(|| name.to_owned(), ToOwned::to_owned)
}

/// `name[filter].rest`.
fn taken_apart(path: &str) -> Result<(&str, Option<Filter>, &str), String> {
    if let Some((name, rest)) = path.split_once('[') {
        let (filter, rest) = rest.split_once(']').ok_or_else(|| format!("'{path}' has an open bracket."))?;
        return Ok((name, Some(Filter::parse(filter)?), rest.strip_prefix('.').unwrap_or(rest)));
    }
    let (name, rest) = path.split_once('.').unwrap_or((path, ""));
    Ok((name, None, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn operations_change_documents_as_their_standard_says() {
        let before = json!({"displayName": "g", "members": [{"value": "a"}, {"value": "b"}], "name": {"givenName": "x"}});
        let rows = [
            (
                json!([{"op": "add", "path": "members", "value": [{"value": "c"}, {"value": "a"}]}]),
                "/members",
                json!([{"value": "a"}, {"value": "b"}, {"value": "c"}]),
            ),
            (json!([{"op": "Add", "value": {"members": [{"value": "c"}]}}]), "/members/2/value", json!("c")),
            (
                json!([{"op": "remove", "path": "members[value eq \"a\"]"}]),
                "/members",
                json!([{"value": "b"}]),
            ),
            (
                json!([{"op": "remove", "path": "members", "value": [{"value": "b"}]}]),
                "/members",
                json!([{"value": "a"}]),
            ),
            (json!([{"op": "remove", "path": "members"}]), "/members", Value::Null),
            (
                json!([{"op": "replace", "path": "members", "value": [{"value": "z"}]}]),
                "/members",
                json!([{"value": "z"}]),
            ),
            (json!([{"op": "replace", "path": "displayname", "value": "h"}]), "/displayName", json!("h")),
            (json!([{"op": "replace", "value": {"displayName": "h"}}]), "/displayName", json!("h")),
            (
                json!([{"op": "replace", "path": "name.familyName", "value": "y"}]),
                "/name",
                json!({"givenName": "x", "familyName": "y"}),
            ),
            (
                json!([{"op": "add", "path": "entitlements", "value": {"value": "w"}}]),
                "/entitlements",
                json!([{"value": "w"}]),
            ),
            (json!([{"op": "remove", "path": "name.givenName"}]), "/name", json!({})),
        ];
        for (operations, pointer, expected) in rows {
            let mut document = before.clone();
            let body = json!({"Operations": operations});
            apply(&mut document, body.as_object().unwrap()).unwrap();
            assert_eq!(document.pointer(pointer).cloned().unwrap_or_default(), expected, "{body}");
        }
        for bad in [
            json!({}),
            json!({"Operations": [{"op": "move"}]}),
            json!({"Operations": [{"op": "add", "path": "x"}]}),
            json!({"Operations": [{"op": "remove"}]}),
            json!({"Operations": [{"op": "add", "path": "a[b", "value": 1}]}),
        ] {
            assert!(apply(&mut before.clone(), bad.as_object().unwrap()).is_err(), "{bad}");
        }
    }
}
