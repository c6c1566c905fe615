//! What is told about an endpoint: tags, notifications, telemetry, description (`databricks.md`, 2.1; routes M7, M13
//! and M14).
//!
//! Decides what such members must hold. E-mails and telemetry are not sent: they are kept to be shown again.

use super::super::answer::{Answer, position};
use super::super::command::{Desk, Outcome};
use super::super::document::{Faults, Members};
use super::endpoints::{changed, find};
use super::{error, refuse, show, update};
use crate::sorted::SortedMap;
use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::{String, ToString};
use serde_json::{Map, Value, json};

/// Most tags of an endpoint.
const TAGS_MAX: usize = 50;
/// Longest description in bytes.
const DESCRIPTION_BYTES_MAX: usize = 4096;
/// Most addresses of a notification.
const ADDRESSES_MAX: usize = 50;
/// Longest text of a member that is only kept.
const KEPT_BYTES_MAX: usize = 1024;

/// `PATCH …/{name}/tags` with `add_tags` and `delete_tags`: all tags after the change.
///
/// # Errors
/// 404; 400 naming every fault.
pub fn patch_tags(desk: &Desk<'_>, name: &str, body: &Map<String, Value>) -> Result<Outcome, Answer> {
    let (row, spec) = find(desk, name)?;
    update::refuse_system(&row)?;
    let mut faults = Faults::default();
    let members = Members::root(body);
    let mut spec = spec.into_owned();
    for key in members.texts("delete_tags", &mut faults).unwrap_or_default() {
        spec.tags.remove(key);
    }
    spec.tags.extend(read_tags(&members, "add_tags", &mut faults));
    if spec.tags.len() > TAGS_MAX {
        faults.note("add_tags", format!("would make more than {TAGS_MAX} tags"));
    }
    refuse(&faults)?;
    let answer = Answer::json(200, &json!({"tags": show::tags(&spec)}));
    Ok(changed(desk, &row, spec, answer, "endpoint.tags"))
}

/// `PATCH …/{name}/notifications`: `{"name","email_notifications"}`.
///
/// # Errors
/// 404; 400 naming every fault.
pub fn patch_notifications(
    desk: &Desk<'_>,
    name: &str,
    body: &Map<String, Value>,
) -> Result<Outcome, Answer> {
    let (row, spec) = find(desk, name)?;
    update::refuse_system(&row)?;
    let mut faults = Faults::default();
    let read = read_kept(&Members::root(body), &mut faults);
    refuse(&faults)?;
    let mut spec = spec.into_owned();
    let wish = read.get("email_notifications").cloned();
    match &wish {
        Some(wish) => _ = spec.kept.insert("email_notifications".to_owned(), wish.clone()),
        None => _ = spec.kept.remove("email_notifications"),
    }
    let body = json!({"name": row.name, "email_notifications": wish.unwrap_or_else(|| json!({}))});
    Ok(changed(desk, &row, spec, Answer::json(200, &body), "endpoint.notifications"))
}

/// `PATCH …/{name}/telemetry-config`.
///
/// # Errors
/// 404; 409 while an update is in progress; 400 for external models.
pub fn patch_telemetry(desk: &Desk<'_>, name: &str, body: &Map<String, Value>) -> Result<Outcome, Answer> {
    let (row, spec) = find(desk, name)?;
    update::refuse_system(&row)?;
    update::refuse_busy(&row, &spec)?;
    if spec.is_external() == Some(true) {
        let text = "Telemetry is not supported for endpoints with external models.";
        return Err(error(400, "INVALID_PARAMETER_VALUE", text));
    }
    let mut faults = Faults::default();
    let read = read_kept(&Members::root(body), &mut faults);
    refuse(&faults)?;
    let mut spec = spec.into_owned();
    match read.get("telemetry_config").cloned() {
        Some(wish) => _ = spec.kept.insert("telemetry_config".to_owned(), wish),
        None => _ = spec.kept.remove("telemetry_config"),
    }
    let answer = Answer::json(200, &show::endpoint(desk, &row, &spec));
    Ok(changed(desk, &row, spec, answer, "endpoint.telemetry"))
}

/// The member `description`; empty without one.
pub fn read_description(members: &Members<'_>, faults: &mut Faults) -> String {
    let text = members.text("description", faults).unwrap_or_default();
    if text.len() > DESCRIPTION_BYTES_MAX {
        faults.note("description", "must be at most 4096 bytes");
    }
    text.to_owned()
}

/// The members that are only shown again; `route_optimized` if it is true.
pub fn read_kept(members: &Members<'_>, faults: &mut Faults) -> Map<String, Value> {
    let mut kept = Map::new();
    if members.boolean("route_optimized", faults) == Some(true) {
        kept.insert("route_optimized".to_owned(), true.into());
    }
    for name in ["budget_policy_id", "usage_policy_id"] {
        if let Some(text) = members.text(name, faults).filter(|text| !text.is_empty()) {
            if text.len() > KEPT_BYTES_MAX {
                faults.note(name, "must be at most 1024 bytes");
            }
            kept.insert(name.to_owned(), text.into());
        }
    }
    if let Some(wish) = members.members("email_notifications", faults) {
        let mut lists = Map::new();
        for name in ["on_update_success", "on_update_failure"] {
            let Some(list) = wish.texts(name, faults) else { continue };
            if list.len() > ADDRESSES_MAX || list.iter().any(|text| text.len() > KEPT_BYTES_MAX) {
                faults.note(&wish.path(name), "must be at most 50 addresses");
            }
            lists.insert(name.to_owned(), json!(list));
        }
        kept.insert("email_notifications".to_owned(), Value::Object(lists));
    }
    if let Some(wish) = members.members("telemetry_config", faults) {
        if Value::Object(wish.map().clone()).to_string().len() > KEPT_BYTES_MAX {
            faults.note("telemetry_config", "must be at most 1024 bytes");
        }
        kept.insert("telemetry_config".to_owned(), Value::Object(wish.map().clone()));
    }
    kept
}

/// The tags of the list `member`; none without it.
pub fn read_tags(
    members: &Members<'_>,
    member: &str,
    faults: &mut Faults,
) -> SortedMap<String, Option<String>> {
    let mut tags = SortedMap::new();
    let list = members.list(member, faults).map(alloc::vec::Vec::as_slice).unwrap_or_default();
    for (at, item) in list.iter().enumerate() {
        let path = position(member, at);
        let Some(tag) = Members::of(item, &path, faults) else { continue };
        let (key, value) = (tag.required_text("key", faults), tag.text("value", faults));
        let Some(key) = key else { continue };
        if key.len() > 255 || value.is_some_and(|value| value.len() > 1024) {
            faults.note(&path, "must have at most 255 bytes of key and 1024 of value");
        }
        if tags.insert(key.to_owned(), value.map(ToOwned::to_owned)).is_some() {
            faults.note(&path, "names a key that was named before");
        }
    }
    if tags.len() > TAGS_MAX {
        faults.note(member, format!("must be at most {TAGS_MAX}"));
    }
    tags
}
