//! Account deployments (`azure.md`, C3): a model of the catalog with a capacity.
//!
//! Decides what a deployment's body must hold and what is shown of it. Creation is complete at once, so
//! `provisioningState` is always `Succeeded`.

use super::super::answer::Answer;
use super::super::catalog;
use super::super::command::{Change, Desk, Outcome};
use super::super::content;
use super::super::document::{Faults, Members};
use super::super::snapshot::{REQUESTS_PER_CAPACITY, TOKENS_PER_CAPACITY};
use super::super::state::{AccountSpec, DeploymentRow, DeploymentSpec};
use super::convention::{error, read_tags, refuse, system_data};
use super::{AccountPath, Provider};
use crate::id::DeploymentName;
use crate::snapshot::Task;
use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use serde_json::{Map, Value, json};

/// SKUs whose capacity is thousands of tokens per minute.
const SKUS: [&str; 4] = ["Standard", "GlobalStandard", "DataZoneStandard", "DeveloperTier"];
/// Largest capacity: a thousand million tokens a minute.
const CAPACITY_MAX: u64 = 1_000_000;
const UPGRADE_OPTIONS: [&str; 3] =
    ["OnceNewDefaultVersionAvailable", "OnceCurrentVersionExpired", "NoAutoUpgrade"];

/// `GET A/deployments`.
pub fn list(desk: &Desk<'_>, _path: &AccountPath) -> Outcome {
    let rows = desk.state.deployments.values();
    let value: Vec<Value> = rows.filter_map(|row| Some(shown(desk, row, row.account()?))).collect();
    Outcome::reading(Answer::json(200, &json!({"value": value})))
}

/// `GET A/deployments/{d}`.
///
/// # Errors
/// 404.
pub fn get(desk: &Desk<'_>, path: &AccountPath, name: &str) -> Result<Outcome, Answer> {
    let (row, spec) =
        find(desk, name).ok_or_else(|| not_found(&format!("{}/deployments/{name}", path.id)))?;
    Ok(Outcome::reading(Answer::json(200, &shown(desk, row, spec))))
}

/// `PUT A/deployments/{d}`: 201 when it is new, else 200.
///
/// # Errors
/// 400 naming every fault or the model that is not in the catalog; 409 when the name is another kind's.
pub fn put(
    desk: &mut Desk<'_>,
    path: &AccountPath,
    name: &str,
    body: &Map<String, Value>,
) -> Result<Outcome, Answer> {
    let parsed = DeploymentName::parse(name)
        .map_err(|problem| error(400, "InvalidResourceName", &format!("The deployment's name {problem}.")))?;
    let known = desk.state.deployments.get(&parsed.folded());
    if known.is_some_and(|row| row.account().is_none()) {
        let text = format!("The name '{name}' belongs to a deployment of another kind in this account.");
        return Err(error(409, "Conflict", &text));
    }
    let spec = read(desk, &format!("{}/deployments/{name}", path.id), body)?;
    let status = if known.is_some() { 200 } else { 201 };
    let row = match known {
        Some(row) => {
            let resource_id = row.account().map_or_else(String::new, |spec| spec.resource_id.clone());
            let spec = AccountSpec { resource_id, ..spec };
            DeploymentRow { updated_at: desk.now, spec: DeploymentSpec::Account(spec), ..row.clone() }
        }
        None => DeploymentRow {
            name: parsed,
            id: desk.entropy.identifier(),
            creator: desk.actor.to_owned(),
            created_at: desk.now,
            updated_at: desk.now,
            spec: DeploymentSpec::Account(spec),
        },
    };
    Ok(stored(desk, status, "deployment.put", row))
}

/// `PATCH A/deployments/{d}` with `sku` and `tags`.
///
/// # Errors
/// 404; 400 naming every fault.
pub fn patch(desk: &Desk<'_>, name: &str, body: &Map<String, Value>) -> Result<Outcome, Answer> {
    let (row, spec) = find(desk, name).ok_or_else(|| not_found(name))?;
    let mut faults = Faults::default();
    let members = Members::root(body);
    let mut spec = AccountSpec { etag: desk.next_version(), ..spec.clone() };
    if let Some(sku) = members.members("sku", &mut faults) {
        (spec.sku, spec.capacity) = read_sku(&sku, Some((&spec.sku, spec.capacity)), &mut faults);
    }
    if members.get("tags").is_some() {
        spec.tags = read_tags(&members, &mut faults);
    }
    refuse(Provider::CognitiveServices, &faults)?;
    let row = DeploymentRow { updated_at: desk.now, spec: DeploymentSpec::Account(spec), ..row.clone() };
    Ok(stored(desk, 200, "deployment.patch", row))
}

/// `DELETE A/deployments/{d}`: 200, or 204 when there is none.
pub fn delete(desk: &Desk<'_>, name: &str) -> Outcome {
    let Some((row, _)) = find(desk, name) else { return Outcome::reading(Answer::empty(204)) };
    let changes = Vec::from([Change::DropDeployment(row.name.folded())]);
    Outcome::writing(Answer::empty(200), "deployment.delete", row.name.as_str(), changes)
}

fn stored(desk: &Desk<'_>, status: u16, action: &'static str, row: DeploymentRow) -> Outcome {
    let body = row.account().map_or(Value::Null, |spec| shown(desk, &row, spec));
    let target = row.name.as_str().to_owned();
    Outcome::writing(Answer::json(status, &body), action, &target, Vec::from([Change::Deployment(row)]))
}

fn find<'a>(desk: &Desk<'a>, name: &str) -> Option<(&'a DeploymentRow, &'a AccountSpec)> {
    let row = desk.state.deployments.get(&name.to_ascii_lowercase())?;
    Some((row, row.account()?))
}

fn not_found(resource: &str) -> Answer {
    error(404, "ResourceNotFound", &format!("The deployment '{resource}' was not found."))
}

fn read(desk: &Desk<'_>, resource_id: &str, body: &Map<String, Value>) -> Result<AccountSpec, Answer> {
    let mut faults = Faults::default();
    let members = Members::root(body);
    let sku = members.required_members("sku", &mut faults);
    let (sku, capacity) = sku.map_or((String::new(), 0), |sku| read_sku(&sku, None, &mut faults));
    let properties = members.required_members("properties", &mut faults);
    let model = properties.as_ref().and_then(|properties| properties.required_members("model", &mut faults));
    let mut part = |name: &str| {
        let text = model.as_ref().and_then(|model| model.required_text(name, &mut faults));
        text.unwrap_or_default().to_owned()
    };
    let (format, name) = (part("format"), part("name"));
    let version = model.as_ref().and_then(|model| model.text("version", &mut faults));
    let (version_upgrade, rai_policy) = properties
        .as_ref()
        .map_or_else(Default::default, |properties| read_options(desk, properties, &mut faults));
    let tags = read_tags(&members, &mut faults);
    refuse(Provider::CognitiveServices, &faults)?;
    let unsupported = || {
        let version = version.map(|version| format!(", Version:{version}")).unwrap_or_default();
        let text = format!(
            "The model 'Format:{format}, Name:{name}{version}' of account deployment is not supported: \
             it is not in this installation's catalog (GET /api/weir/v1/catalog/models)."
        );
        error(400, "DeploymentModelNotSupported", &text)
    };
    let entry = catalog::find(desk.state, &name).ok_or_else(unsupported)?;
    let version = version.unwrap_or(&entry.default_version).to_owned();
    if !entry.versions.is_empty() && !entry.versions.contains(&version) {
        return Err(unsupported());
    }
    Ok(AccountSpec {
        resource_id: resource_id.to_owned(),
        sku,
        capacity,
        format,
        model: entry.name.clone(),
        model_version: version,
        version_upgrade,
        rai_policy,
        tags,
        etag: desk.next_version(),
    })
}

fn read_sku(sku: &Members<'_>, known: Option<(&String, u64)>, faults: &mut Faults) -> (String, u64) {
    let name = match known {
        Some((name, _)) if sku.get("name").is_none() => Some(name.as_str()),
        Some(_) | None => sku.required_text("name", faults),
    };
    let canonical = name.and_then(|name| SKUS.iter().find(|sku| sku.eq_ignore_ascii_case(name)));
    if let (Some(name), None) = (name, canonical) {
        let text = format!("is '{name}', which is not supported yet; use one of {}", SKUS.join(", "));
        faults.note(&sku.path("name"), text);
    }
    let capacity =
        sku.integer("capacity", faults).unwrap_or_else(|| known.map_or(1, |(_, capacity)| capacity));
    if !(1..=CAPACITY_MAX).contains(&capacity) {
        faults.note(&sku.path("capacity"), format!("must be 1 to {CAPACITY_MAX}"));
    }
    (canonical.map_or_else(String::new, |name| (*name).to_owned()), capacity)
}

fn read_options(desk: &Desk<'_>, properties: &Members<'_>, faults: &mut Faults) -> (String, Option<String>) {
    let upgrade = properties.text("versionUpgradeOption", faults).unwrap_or("OnceNewDefaultVersionAvailable");
    if !UPGRADE_OPTIONS.contains(&upgrade) {
        let text = format!("must be one of {}", UPGRADE_OPTIONS.join(", "));
        faults.note(&properties.path("versionUpgradeOption"), text);
    }
    let named = properties.text("raiPolicyName", faults);
    let policy = named.and_then(|name| content::policy_name(desk.state, name));
    if named.is_some() && policy.is_none() {
        let text = "names a content filter policy that does not exist";
        faults.note(&properties.path("raiPolicyName"), text);
    }
    for member in ["spilloverDeploymentName", "parentDeploymentName"] {
        if properties.get(member).is_some() {
            faults.note(&properties.path(member), "is not supported yet");
        }
    }
    (upgrade.to_owned(), policy)
}

fn shown(desk: &Desk<'_>, row: &DeploymentRow, spec: &AccountSpec) -> Value {
    let task = catalog::find(desk.state, &spec.model).map(|entry| entry.task);
    let capability = match task {
        Some(Task::Chat) => json!({"chatCompletion": "true"}),
        Some(Task::Completions) => json!({"completion": "true"}),
        Some(Task::Embeddings) => json!({"embeddings": "true"}),
        None => json!({}),
    };
    let (requests, tokens) = (
        spec.capacity.saturating_mul(REQUESTS_PER_CAPACITY) / 6,
        spec.capacity.saturating_mul(TOKENS_PER_CAPACITY),
    );
    let mut properties = json!({
        "model": {"format": spec.format, "name": spec.model, "version": spec.model_version},
        "versionUpgradeOption": spec.version_upgrade, "provisioningState": "Succeeded",
        "currentCapacity": spec.capacity, "capabilities": capability,
        "rateLimits": [
            {"key": "request", "renewalPeriod": 10, "count": requests},
            {"key": "token", "renewalPeriod": 60, "count": tokens},
        ],
    });
    if let (Some(members), Some(policy)) = (properties.as_object_mut(), &spec.rai_policy) {
        members.insert("raiPolicyName".to_owned(), policy.as_str().into());
    }
    json!({
        "id": spec.resource_id, "name": row.name, "type": "Microsoft.CognitiveServices/accounts/deployments",
        "etag": format!("\"{}\"", spec.etag), "sku": {"name": spec.sku, "capacity": spec.capacity},
        "tags": spec.tags, "properties": properties,
        "systemData": system_data(&row.creator, row.created_at, &row.creator, row.updated_at),
    })
}
