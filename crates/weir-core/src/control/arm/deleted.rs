//! Accounts that were deleted and can be restored or purged (`azure.md`, C3 and C0).
//!
//! Decides how long a deleted account is kept, what of it is, and what restoring gives back: the resource with its
//! rules, deployments, policies, blocklists and keys. Until it is restored or purged its name cannot be used again
//! without saying which is wanted, as in Azure. What is kept stands under `deleted/` in the account's own Registry, where
//! nothing else looks; the directory remembers which accounts there are.

use super::super::answer::{Answer, Location, ManagementRequest};
use super::super::command::{Change, Desk, Outcome};
use super::super::content;
use super::super::errand::{self, Entry, Errand};
use super::super::state::{AccountKeyRow, AccountState, DeploymentRow};
use super::super::weir::classifiers;
use super::convention::{listed, not_found, region, wrong_method};
use super::{AccountPath, Provider, error, resource};
use crate::id::AccountId;
use crate::ledger::calendar::format_rfc3339;
use crate::time::{Millis, UnixMillis};
use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use serde_json::{Value, json};

/// How long a deleted account can be restored, as in Azure.
const KEPT: Millis = Millis::from_secs(48 * 3600);
/// What all that is kept of it stands under.
const ALL: &str = "deleted/";
/// The resource itself, with `deleted_at`.
const RESOURCE: &str = "deleted/account";
const DEPLOYMENT: &str = "deleted/deployment/";
const DOCUMENT: &str = "deleted/document/";
const KEY: &str = "deleted/key/";
/// Kind of the directory's entries.
const LISTED: &str = "deletedAccounts";

fn until(row: &Value) -> UnixMillis {
    UnixMillis(row["deleted_at"].as_u64().unwrap_or(0)).plus(KEPT)
}

/// The deleted resource, while it is kept.
pub(super) fn kept(state: &AccountState, now: UnixMillis) -> Option<&Value> {
    state.documents.get(RESOURCE).filter(|row| now < until(row))
}

fn documents(state: &AccountState) -> impl Iterator<Item = (&String, &Value)> {
    state.documents.range(ALL.to_owned()..).take_while(|(key, _)| key.starts_with(ALL))
}

/// Whether a document goes with the account.
pub(super) fn is_below(key: &str) -> bool {
    [content::POLICY, content::BLOCKLIST, "account-connection/"].iter().any(|kind| key.starts_with(kind))
}

/// What of `row`, a resource that is being deleted, is put by.
pub(super) fn put_by(desk: &Desk<'_>, row: &Value, deployments: &[&DeploymentRow]) -> Vec<Change> {
    let state = desk.state;
    let mut row = row.clone();
    if let Some(members) = row.as_object_mut() {
        members.insert("deleted_at".to_owned(), desk.now.0.into());
    }
    let mut changes = Vec::from([Change::Document(RESOURCE.to_owned(), row)]);
    let deployment =
        |row: &&DeploymentRow| Change::Document(format!("{DEPLOYMENT}{}", row.name.folded()), json!(row));
    changes.extend(deployments.iter().map(deployment));
    let below = state.documents.iter().filter(|(key, _)| is_below(key));
    changes.extend(below.map(|(key, row)| Change::Document(format!("{DOCUMENT}{key}"), row.clone())));
    let keys = state.account_keys.iter();
    changes.extend(keys.map(|(name, row)| Change::Document(format!("{KEY}{name}"), json!(row))));
    changes
}

/// The row of the deleted resource, if a change puts it by.
pub(super) fn resource_in(change: &Change) -> Option<&Value> {
    if let Change::Document(key, row) = change
        && key == RESOURCE
    {
        return Some(row);
    }
    None
}

/// Forgets what is kept.
pub(super) fn forget(state: &AccountState) -> Vec<Change> {
    documents(state).map(|(key, _)| Change::DropDocument(key.clone())).collect()
}

/// The directory's entry of a deleted account; none drops it.
pub(super) fn entry(desk: &Desk<'_>, row: Option<&Value>) -> Entry {
    let value = row.map(|row| json!({"shown": shown(row), "until": until(row)}));
    Entry { key: format!("{LISTED}/{}", desk.state.account), owner: desk.state.account.clone(), value }
}

/// 409 for a name whose account waits to be restored or purged.
pub(super) fn must_say(id: &str) -> Answer {
    let text = format!(
        "The resource '{id}' was deleted and can be restored. Set 'properties.restore' to true to restore it, or purge \
         it first."
    );
    error(409, "FlagMustBeSetForRestore", &text)
}

/// Gives back the deleted account, as it was.
///
/// # Errors
/// 404 when there is none; 409 when a deployment's name was taken meanwhile.
pub(super) fn restore(desk: &Desk<'_>, path: &AccountPath) -> Result<Outcome, Answer> {
    let state = desk.state;
    let Some(row) = kept(state, desk.now) else {
        let text = format!("There is no deleted account '{}' that could be restored.", path.id);
        return Err(error(404, "ResourceNotFound", &text));
    };
    let mut changes = forget(state);
    for (key, value) in documents(state) {
        if let Some(name) = key.strip_prefix(DEPLOYMENT) {
            if state.deployments.contains_key(name) {
                let text = format!(
                    "The name of its deployment '{name}' is taken by another one now; delete or rename that first."
                );
                return Err(error(409, "Conflict", &text));
            }
            let row: Option<DeploymentRow> = crate::json::read(&value.to_string()).ok();
            changes.extend(row.map(Change::Deployment));
        } else if let Some(name) = key.strip_prefix(KEY) {
            let row: Option<AccountKeyRow> = crate::json::read(&value.to_string()).ok();
            changes.extend(row.map(|row| Change::AccountKey(name.to_owned(), row)));
        } else if let Some(name) = key.strip_prefix(DOCUMENT) {
            let classifier = value.pointer("/properties/weirClassifier").and_then(Value::as_str);
            if let Some(gone) = classifier.filter(|classifier| !classifiers::exists(state, classifier)) {
                let text =
                    format!("Its policies ask the classifier '{gone}', which is gone; make it again first.");
                return Err(error(409, "Conflict", &text));
            }
            changes.push(Change::Document(name.to_owned(), value.clone()));
        }
    }
    let mut row = row.clone();
    if let Some(members) = row.as_object_mut() {
        members.remove("deleted_at");
        members.insert("changed_by".to_owned(), desk.actor.into());
        members.insert("changed_at".to_owned(), desk.now.0.into());
        members.insert("etag".to_owned(), desk.next_version().into());
    }
    let (answer, own) = resource::restored(desk, &row);
    changes.push(own);
    let entries = [entry(desk, None), resource::listing(desk, &row)];
    Ok(Outcome::writing(after(desk, answer, &entries), "resource.restore", &path.id, changes))
}

/// `answer`, after which the directory is told; that of `default` lists its own account itself.
fn after(desk: &Desk<'_>, answer: Answer, entries: &[Entry]) -> Answer {
    if desk.state.account == AccountId::default_account() {
        return answer;
    }
    answer.after(Errand::directory(entries, false))
}

/// A verb on `…/locations/{location}/resourceGroups/{group}/deletedAccounts/{name}`.
///
/// # Errors
/// 404 when it is not there; 405.
pub fn handle(
    desk: &Desk<'_>,
    request: &ManagementRequest,
    location: &Location,
    group: &str,
) -> Result<Outcome, Answer> {
    let here = region(location.segments.get(5).map_or("", String::as_str));
    let of_group = |row: &&Value| {
        let parts: Vec<&str> = row["id"].as_str().unwrap_or_default().split('/').collect();
        parts.get(4).is_some_and(|own| own.eq_ignore_ascii_case(group))
    };
    let row = kept(desk.state, desk.now).filter(|row| row["location"] == here.as_str()).filter(of_group);
    match (request.method.as_str(), row) {
        ("GET", Some(row)) => Ok(Outcome::reading(Answer::json(200, &shown(row)))),
        ("GET", None) => Err(not_found(&location.path)),
        ("DELETE", None) => Ok(Outcome::reading(Answer::empty(204))),
        ("DELETE", Some(row)) => {
            let id = row["id"].as_str().unwrap_or_default();
            let answer = after(desk, Answer::empty(200), &[entry(desk, None)]);
            Ok(Outcome::writing(answer, "resource.purge", id, forget(desk.state)))
        }
        _ => Err(wrong_method("GET, DELETE")),
    }
}

/// `GET /subscriptions/{s}/providers/Microsoft.CognitiveServices/deletedAccounts`.
///
/// # Errors
/// 400 when `$skip` is no number.
pub fn list(desk: &Desk<'_>, location: &Location, subscription: &str) -> Result<Outcome, Answer> {
    let within = |shown: &Value| {
        let mut parts = shown["id"].as_str().unwrap_or_default().split('/');
        parts.nth(2).is_some_and(|own| own.eq_ignore_ascii_case(subscription))
    };
    let others = errand::listed(desk.state, LISTED)
        .filter(|entry| entry["until"].as_u64().is_some_and(|until| desk.now.0 < until))
        .filter_map(|entry| entry.get("shown").cloned());
    let own = kept(desk.state, desk.now).map(shown);
    listed(desk, location, own.into_iter().chain(others).filter(within).collect())
}

/// A deleted account in its own type.
fn shown(row: &Value) -> Value {
    let id = row["id"].as_str().unwrap_or_default();
    let parts: Vec<&str> = id.split('/').collect();
    let (subscription, group) =
        (parts.get(2).copied().unwrap_or_default(), parts.get(4).copied().unwrap_or_default());
    let (name, namespace) =
        (parts.last().copied().unwrap_or_default(), Provider::CognitiveServices.namespace());
    let region = row["location"].as_str().unwrap_or_default();
    let mut properties = row["properties"].as_object().cloned().unwrap_or_default();
    let deleted = UnixMillis(row["deleted_at"].as_u64().unwrap_or(0));
    properties.insert("provisioningState".to_owned(), "Succeeded".into());
    properties.insert("deletionDate".to_owned(), format_rfc3339(deleted).into());
    properties.insert("scheduledPurgeDate".to_owned(), format_rfc3339(until(row)).into());
    json!({
        "id": format!(
            "/subscriptions/{subscription}/providers/{namespace}/locations/{region}/resourceGroups/{group}\
             /deletedAccounts/{name}"
        ),
        "name": name, "type": format!("{namespace}/locations/resourceGroups/deletedAccounts"),
        "kind": row["kind"], "sku": row["sku"], "location": row["location"], "tags": row["tags"],
        "properties": properties,
    })
}
