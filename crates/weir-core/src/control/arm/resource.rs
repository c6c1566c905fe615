//! Accounts and workspaces as resources (`azure.md`, C3 and C7).
//!
//! Decides when one exists, what may be set on it and what it shows; not what is below it. One exists when it was
//! written, when anything below it was, or when it is `default` (`design.md`, section 8, "Accounts"). Deleting one
//! deletes what is below it. Their network rules go into the snapshot.

use super::super::answer::{Answer, Location, ManagementRequest};
use super::super::command::{Change, Desk, Outcome};
use super::super::document::{Faults, Members};
use super::super::errand::{self, Entry, Errand};
use super::super::state::{AccountState, DeploymentRow};
use super::convention::{
    REGION, body, listed, not_found, precondition, read_region, read_tags, read_word, refuse, system_data,
    wrong_method,
};
use super::{AccountPath, Provider, deleted, error};
use crate::id::AccountId;
use crate::snapshot::network::{ADDRESS_RULES_MAX, Access, AddressRule, Network};
use crate::time::UnixMillis;
use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use serde_json::{Map, Value, json};

/// Members of `properties` that are answers only, and one that is about the command.
const READ_ONLY: [&str; 7] = [
    "provisioningState",
    "endpoint",
    "endpoints",
    "customSubDomainName",
    "workspaceId",
    "discoveryUrl",
    "restore",
];

const fn key(provider: Provider) -> &'static str {
    match provider {
        Provider::CognitiveServices => "resource/account",
        Provider::MachineLearning => "resource/workspace",
    }
}

/// The stored form; null once it was deleted.
fn stored(state: &AccountState, provider: Provider) -> Option<&Value> {
    state.documents.get(key(provider))
}

/// Whether it exists, written or not.
pub fn exists(state: &AccountState, provider: Provider) -> bool {
    match stored(state, provider) {
        Some(row) => !row.is_null(),
        None => state.version > 0 || state.account == AccountId::default_account(),
    }
}

/// What isolates must know of the account's rules; nothing, if there are none.
pub fn network(state: &AccountState) -> Option<Network> {
    let of = |provider| stored(state, provider).map(|row| &row["properties"]);
    let (account, workspace) = (of(Provider::CognitiveServices), of(Provider::MachineLearning));
    let network = Network {
        account: access(account),
        workspace: access(workspace),
        keys_disabled: account.is_some_and(|properties| properties["disableLocalAuth"] == true),
    };
    (network != Network::default()).then_some(network)
}

fn access(properties: Option<&Value>) -> Access {
    let Some(properties) = properties else { return Access::Open };
    let rules = &properties["networkAcls"];
    if properties["publicNetworkAccess"] == "Disabled" {
        Access::Closed
    } else if rules["defaultAction"] == "Deny" {
        let list = rules["ipRules"].as_array().map(Vec::as_slice).unwrap_or_default();
        Access::Only(list.iter().filter_map(|rule| rule["value"].as_str().map(ToOwned::to_owned)).collect())
    } else {
        Access::Open
    }
}

/// A verb on the account or workspace itself.
///
/// # Errors
/// The refusal, rendered; nothing is changed then.
pub fn handle(desk: &Desk<'_>, request: &ManagementRequest, path: &AccountPath) -> Result<Outcome, Answer> {
    let exists = exists(desk.state, path.provider);
    match request.method.as_str() {
        "GET" if exists => {
            let row = current(desk, path);
            Ok(Outcome::reading(Answer::json(200, &shown(desk, path.provider, &row))))
        }
        "PUT" if !exists && path.provider == Provider::CognitiveServices => create(desk, request, path),
        "PUT" | "PATCH" => write(desk, request, path, exists),
        "DELETE" if exists => Ok(delete(desk, path)),
        "DELETE" => Ok(Outcome::reading(Answer::empty(204))),
        "GET" => Err(not_found(&path.id)),
        _ => Err(wrong_method("GET, PUT, PATCH, DELETE")),
    }
}

/// All accounts or workspaces of a resource group or subscription that the directory knows, and `default`.
///
/// # Errors
/// 400 when `$skip` is no number.
pub fn list(desk: &Desk<'_>, location: &Location, path: &AccountPath) -> Result<Outcome, Answer> {
    let group = if path.group.is_empty() { "weir" } else { &path.group };
    let (namespace, kind) = (path.provider.namespace(), path.provider.kind());
    let id = format!(
        "/subscriptions/{}/resourceGroups/{group}/providers/{namespace}/{kind}/default",
        path.subscription
    );
    let own = AccountPath { id, ..path.clone() };
    let within = |row: &&Value| {
        let parts: Vec<&str> = row["id"].as_str().unwrap_or_default().split('/').collect();
        let [_, _, subscription, _, group, ..] = parts.as_slice() else { return false };
        subscription.eq_ignore_ascii_case(&path.subscription)
            && (path.group.is_empty() || group.eq_ignore_ascii_case(&path.group))
    };
    let others = errand::listed(desk.state, kind).filter(within).cloned();
    let default = exists(desk.state, path.provider).then(|| current(desk, &own));
    let default = default.filter(|row| within(&row)).map(|row| shown(desk, path.provider, &row));
    listed(desk, location, default.into_iter().chain(others).collect())
}

/// Tells the directory of an account that is first written under.
pub fn announced(desk: &Desk<'_>, path: &AccountPath) -> Option<Errand> {
    if desk.state.version > 0 || desk.state.account == AccountId::default_account() {
        return None;
    }
    let entry = directory(desk, path.provider, Some(shown(desk, path.provider, &fresh(desk, path))));
    Some(Errand::directory(&[entry], false))
}

fn directory(desk: &Desk<'_>, provider: Provider, value: Option<Value>) -> Entry {
    Entry {
        key: format!("{}/{}", provider.kind(), desk.state.account),
        owner: desk.state.account.clone(),
        value,
    }
}

/// As it is stored, or as it is when nothing was.
fn current(desk: &Desk<'_>, path: &AccountPath) -> Value {
    stored(desk.state, path.provider)
        .filter(|row| !row.is_null())
        .map_or_else(|| fresh(desk, path), Clone::clone)
}

fn fresh(desk: &Desk<'_>, path: &AccountPath) -> Value {
    let (kind, sku) = match path.provider {
        Provider::CognitiveServices => ("AIServices", "S0"),
        Provider::MachineLearning => ("Default", "Basic"),
    };
    json!({
        "id": path.id, "kind": kind, "sku": {"name": sku}, "location": REGION, "tags": {}, "properties": {},
        "by": desk.actor, "at": desk.now, "changed_by": desk.actor, "changed_at": desk.now, "etag": 0,
    })
}

/// Makes an account that is not there; one that was deleted and is kept is restored, or must be purged first.
fn create(desk: &Desk<'_>, request: &ManagementRequest, path: &AccountPath) -> Result<Outcome, Answer> {
    let body = body(request)?;
    let mut faults = Faults::default();
    let properties = Members::root(&body).members("properties", &mut faults);
    let restores = properties.and_then(|members| members.boolean("restore", &mut faults));
    if restores == Some(true) || deleted::kept(desk.state, desk.now).is_some() {
        refuse(path.provider, &faults)?;
        return if restores == Some(true) {
            deleted::restore(desk, path)
        } else {
            Err(deleted::must_say(&path.id))
        };
    }
    let mut outcome = write(desk, request, path, false)?;
    outcome.changes.extend(deleted::forget(desk.state));
    Ok(outcome)
}

/// The answer for an account that was given back, and its row.
pub(super) fn restored(desk: &Desk<'_>, row: &Value) -> (Answer, Change) {
    let provider = Provider::CognitiveServices;
    let answer = Answer::json(201, &shown(desk, provider, row));
    (answer, Change::Document(key(provider).to_owned(), row.clone()))
}

/// The directory's entry of an account.
pub(super) fn listing(desk: &Desk<'_>, row: &Value) -> Entry {
    let provider = Provider::CognitiveServices;
    directory(desk, provider, Some(shown(desk, provider, row)))
}

fn write(
    desk: &Desk<'_>,
    request: &ManagementRequest,
    path: &AccountPath,
    exists: bool,
) -> Result<Outcome, Answer> {
    let partly = request.method == "PATCH";
    if partly && !exists {
        return Err(not_found(&path.id));
    }
    let before = current(desk, path);
    precondition(request, before.get("etag").and_then(Value::as_u64).filter(|_| exists))?;
    let body = body(request)?;
    let members = Members::root(&body);
    let mut faults = Faults::default();
    let mut row = if exists { before } else { fresh(desk, path) };
    let Some(map) = row.as_object_mut() else { return Err(not_found(&path.id)) };
    let mut set = |name: &str, value: Value| _ = map.insert(name.to_owned(), value);
    if !partly || members.get("location").is_some() {
        let region = read_region(&members, &mut faults);
        set("location", region.into());
    }
    if !partly || members.get("tags").is_some() {
        set("tags", json!(read_tags(&members, &mut faults)));
    }
    if let Some(kind) = members.text("kind", &mut faults) {
        set("kind", kind.into());
    }
    if let Some(sku) = members.members("sku", &mut faults) {
        sku.required_text("name", &mut faults);
        set("sku", Value::Object(sku.map().clone()));
    }
    if let Some(identity) = members.members("identity", &mut faults) {
        set("identity", Value::Object(identity.map().clone()));
    }
    for (member, value) in [("changed_by", desk.actor.into()), ("changed_at", json!(desk.now))] {
        set(member, value);
    }
    set("etag", desk.next_version().into());
    let mut properties =
        if partly { map["properties"].as_object().cloned().unwrap_or_default() } else { Map::new() };
    if let Some(given) = members.members("properties", &mut faults) {
        read_properties(&given, &mut properties, &mut faults);
    }
    map.insert("properties".to_owned(), Value::Object(properties));
    refuse(path.provider, &faults)?;
    let status = if exists { 200 } else { 201 };
    let shown = shown(desk, path.provider, &row);
    let answer = Answer::json(status, &shown);
    let entry = directory(desk, path.provider, Some(shown));
    let answer = if desk.state.account == AccountId::default_account() {
        answer
    } else {
        answer.after(Errand::directory(&[entry], false))
    };
    let changes = Vec::from([Change::Document(key(path.provider).to_owned(), row)]);
    Ok(Outcome::writing(answer, "resource.put", &path.id, changes))
}

/// Reads what is acted on, and keeps the rest as it is.
fn read_properties(given: &Members<'_>, properties: &mut Map<String, Value>, faults: &mut Faults) {
    given.boolean("restore", faults);
    for name in given.names().filter(|name| !READ_ONLY.contains(name)) {
        if let Some(value) = given.get(name) {
            properties.insert(name.to_owned(), value.clone());
        }
    }
    if let Some(word) = read_word(given, "publicNetworkAccess", &["Enabled", "Disabled"], faults) {
        properties.insert("publicNetworkAccess".to_owned(), word.into());
    }
    given.boolean("disableLocalAuth", faults);
    if let Some(rules) = given.members("networkAcls", faults) {
        properties.insert("networkAcls".to_owned(), read_rules(&rules, faults));
    }
}

fn read_rules(rules: &Members<'_>, faults: &mut Faults) -> Value {
    let action = read_word(rules, "defaultAction", &["Allow", "Deny"], faults);
    let bypass = read_word(rules, "bypass", &["None", "AzureServices"], faults);
    let list = rules.list("ipRules", faults).map(Vec::as_slice).unwrap_or_default();
    if list.len() > ADDRESS_RULES_MAX {
        faults.note(&rules.path("ipRules"), format!("must be at most {ADDRESS_RULES_MAX}"));
    }
    let mut addresses = Vec::new();
    for (at, item) in list.iter().enumerate() {
        let path = super::super::answer::position(&rules.path("ipRules"), at);
        let Some(rule) = Members::of(item, &path, faults) else { continue };
        let Some(text) = rule.required_text("value", faults) else { continue };
        if AddressRule::parse(text).is_none() {
            faults
                .note(&rule.path("value"), "must be an IPv4 or IPv6 address or a block, e.g. 203.0.113.0/24");
        }
        addresses.push(json!({"value": text}));
    }
    if rules.list("virtualNetworkRules", faults).is_some_and(|list| !list.is_empty()) {
        let text =
            "cannot be kept: a gateway at the edge is in no virtual network; name the addresses in ipRules";
        faults.note(&rules.path("virtualNetworkRules"), text);
    }
    json!({
        "defaultAction": action.unwrap_or("Allow"), "bypass": bypass.unwrap_or("AzureServices"),
        "ipRules": addresses, "virtualNetworkRules": [],
    })
}

/// Drops the resource with all that is below it; what an account had is put by, so that it can be restored. What belongs
/// to the account of Weir as a whole stays: data keys, secrets, serving endpoints, the catalog.
fn delete(desk: &Desk<'_>, path: &AccountPath) -> Outcome {
    let state = desk.state;
    let workspace = path.provider == Provider::MachineLearning;
    let below =
        |row: &&DeploymentRow| if workspace { row.serverless().is_some() } else { row.account().is_some() };
    let rows: Vec<&DeploymentRow> = state.deployments.values().filter(below).collect();
    let mut entries = Vec::from([directory(desk, path.provider, None)]);
    let mut changes = Vec::new();
    if !workspace {
        let row = current(desk, path);
        changes = deleted::put_by(desk, &row, &rows);
        changes.extend(state.account_keys.keys().map(|key| Change::DropAccountKey(key.clone())));
        if state.account != AccountId::default_account() {
            let listed = changes.iter().find_map(deleted::resource_in);
            entries.push(deleted::entry(desk, listed));
        }
    }
    changes.extend(rows.iter().map(|row| Change::DropDeployment(row.name.folded())));
    let of_workspace = |key: &str| ["marketplace/", "connection/"].iter().any(|kind| key.starts_with(kind));
    let goes = |key: &&String| if workspace { of_workspace(key) } else { deleted::is_below(key) };
    let documents = state.documents.keys().filter(goes);
    changes.extend(documents.map(|key| Change::DropDocument(key.clone())));
    changes.push(Change::Document(key(path.provider).to_owned(), Value::Null));
    entries.extend(rows.iter().filter_map(|row| {
        Some(super::serverless::claim(desk, &row.serverless()?.location, row.name.as_str(), None))
    }));
    let answer = Answer::empty(200).after(Errand::directory(&entries, false));
    Outcome::writing(answer, "resource.delete", &path.id, changes)
}

/// Refuses what is below a deleted account.
///
/// # Errors
/// 404.
pub fn parent(desk: &Desk<'_>, path: &AccountPath) -> Result<(), Answer> {
    if stored(desk.state, path.provider).is_some_and(Value::is_null) {
        let text = format!("The parent resource '{}' was deleted; create it again first.", path.id);
        return Err(error(404, "ParentResourceNotFound", &text));
    }
    Ok(())
}

fn shown(desk: &Desk<'_>, provider: Provider, row: &Value) -> Value {
    let id = row["id"].as_str().unwrap_or_default();
    let name = id.rsplit('/').next().unwrap_or_default();
    let (at, by) = (
        |member: &str| UnixMillis(row[member].as_u64().unwrap_or(0)),
        |member: &str| row[member].as_str().unwrap_or_default(),
    );
    let base = format!("{}/", desk.origin);
    let mut properties = match provider {
        Provider::CognitiveServices => json!({
            "customSubDomainName": name, "endpoint": base,
            "endpoints": {"AI Model Inference API": base, "OpenAI Language Model Instance API": base},
            "disableLocalAuth": false,
        }),
        Provider::MachineLearning => json!({
            "friendlyName": name, "description": "", "workspaceId": desk.state.account, "hbiWorkspace": false,
            "v1LegacyMode": false,
        }),
    };
    if let Some(members) = properties.as_object_mut() {
        members.insert("publicNetworkAccess".to_owned(), "Enabled".into());
        members.extend(row["properties"].as_object().cloned().unwrap_or_default());
        members.insert("provisioningState".to_owned(), "Succeeded".into());
    }
    let mut resource = json!({
        "id": id, "name": name, "type": format!("{}/{}", provider.namespace(), provider.kind()),
        "kind": row["kind"], "sku": row["sku"], "location": row["location"], "tags": row["tags"],
        "etag": format!("\"{}\"", row["etag"]), "properties": properties,
        "systemData": system_data(by("by"), at("at"), by("changed_by"), at("changed_at")),
    });
    if let (Some(members), false) = (resource.as_object_mut(), row["identity"].is_null()) {
        members.insert("identity".to_owned(), row["identity"].clone());
    }
    resource
}
