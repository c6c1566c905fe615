//! Account deployments (`azure.md`, C3): a model of the catalog with a capacity.
//!
//! Decides what a deployment's body must hold and what is shown of it. Creation is complete at once, so
//! `provisioningState` is always `Succeeded`.

use super::super::answer::{Answer, Location, ManagementRequest};
use super::super::catalog;
use super::super::command::{Change, Desk, Outcome};
use super::super::content;
use super::super::document::{Faults, Members};
use super::super::state::{AccountSpec, CatalogRow, DeploymentRow, DeploymentSpec};
use super::capacity::{check_quota, provisioned, rate_limits, read_sku};
use super::convention::{
    body, error, error_at, listed, not_found, precondition, read_tags, refuse, system_data,
};
use super::{AccountPath, Provider, offers};
use crate::id::DeploymentName;
use alloc::borrow::{Cow, ToOwned};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use serde_json::{Map, Value, json};

const UPGRADE_OPTIONS: [&str; 3] =
    ["OnceNewDefaultVersionAvailable", "OnceCurrentVersionExpired", "NoAutoUpgrade"];

/// `GET A/deployments`.
///
/// # Errors
/// 400 when `$skip` is no number.
pub fn list(desk: &Desk<'_>, location: &Location) -> Result<Outcome, Answer> {
    let rows = desk.state.deployments.values();
    listed(desk, location, rows.filter_map(|row| Some(shown(desk, row, row.account()?))).collect())
}

/// `GET A/deployments/{d}/skus`.
///
/// # Errors
/// 404.
pub fn skus(desk: &Desk<'_>, location: &Location, path: &AccountPath, name: &str) -> Result<Outcome, Answer> {
    find(desk, name).ok_or_else(|| missing(path, name))?;
    offers::deployment_skus(desk, location)
}

/// `GET A/deployments/{d}`.
///
/// # Errors
/// 404.
pub fn get(desk: &Desk<'_>, path: &AccountPath, name: &str) -> Result<Outcome, Answer> {
    let (row, spec) = find(desk, name).ok_or_else(|| missing(path, name))?;
    Ok(Outcome::reading(Answer::json(200, &shown(desk, row, spec))))
}

/// `PUT A/deployments/{d}`: 201 when it is new, else 200.
///
/// # Errors
/// 400 naming every fault or the model that is not in the catalog, or for want of quota; 409 when the name is another
/// kind's; 412 when it was changed since.
pub fn put(
    desk: &mut Desk<'_>,
    request: &ManagementRequest,
    path: &AccountPath,
    name: &str,
) -> Result<Outcome, Answer> {
    let parsed = DeploymentName::parse(name)
        .map_err(|problem| format!("The deployment's name {problem}."))
        .map_err(|text| error_at(400, "InvalidResourceName", "name", &text))?;
    let body = &body(request)?;
    let known = desk.state.deployments.get(&parsed.folded());
    if known.is_some_and(|row| row.account().is_none()) {
        let text = format!("The name '{name}' belongs to a deployment of another kind in this account.");
        return Err(error(409, "Conflict", &text));
    }
    precondition(request, known.and_then(DeploymentRow::account).map(|spec| spec.etag))?;
    let spec = read(desk, &format!("{}/deployments/{name}", path.id), name, body)?;
    check_quota(desk, name, &spec)?;
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
/// 404; 400 naming every fault, or for want of quota; 412 when it was changed since.
pub fn patch(
    desk: &Desk<'_>,
    request: &ManagementRequest,
    path: &AccountPath,
    name: &str,
) -> Result<Outcome, Answer> {
    let (row, spec) = find(desk, name).ok_or_else(|| missing(path, name))?;
    precondition(request, Some(spec.etag))?;
    let body = body(request)?;
    let mut faults = Faults::default();
    let members = Members::root(&body);
    for member in members.names().filter(|name| !["tags", "sku"].contains(name)) {
        faults.note(member, "cannot be changed by PATCH, only tags and sku; use PUT");
    }
    let mut spec =
        AccountSpec { etag: desk.next_version(), modified_by: Some(desk.actor.to_owned()), ..spec.clone() };
    if let Some(sku) = members.members("sku", &mut faults) {
        (spec.sku, spec.capacity) = read_sku(&sku, Some((&spec.sku, spec.capacity)), &mut faults);
        if spec.spillover.is_some() && !provisioned(&spec.sku) {
            faults.note("sku.name", "must reserve throughput, because the deployment spills over");
        }
    }
    if members.get("tags").is_some() {
        spec.tags = read_tags(&members, &mut faults);
    }
    refuse(Provider::CognitiveServices, &faults)?;
    check_quota(desk, name, &spec)?;
    let row = DeploymentRow { updated_at: desk.now, spec: DeploymentSpec::Account(spec), ..row.clone() };
    Ok(stored(desk, 200, "deployment.patch", row))
}

/// `DELETE A/deployments/{d}`: 200, or 204 when there is none.
///
/// # Errors
/// 409 while another deployment spills over to it; 412 when it was changed since.
pub fn delete(desk: &Desk<'_>, request: &ManagementRequest, name: &str) -> Result<Outcome, Answer> {
    let found = find(desk, name);
    precondition(request, found.map(|(_, spec)| spec.etag))?;
    let Some((row, _)) = found else { return Ok(Outcome::reading(Answer::empty(204))) };
    let spills = |other: &&DeploymentRow| {
        let target = other.account().and_then(|spec| spec.spillover.as_deref());
        target.is_some_and(|target| target.eq_ignore_ascii_case(name))
    };
    if let Some(other) = desk.state.deployments.values().find(spills) {
        let text = format!("Deployment '{}' spills over to '{name}'; change it first.", other.name);
        return Err(error(409, "Conflict", &text));
    }
    let changes = Vec::from([Change::DropDeployment(row.name.folded())]);
    Ok(Outcome::writing(Answer::empty(200), "deployment.delete", row.name.as_str(), changes))
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

fn missing(path: &AccountPath, name: &str) -> Answer {
    not_found(&format!("{}/deployments/{name}", path.id))
}

fn read(
    desk: &Desk<'_>,
    resource_id: &str,
    own: &str,
    body: &Map<String, Value>,
) -> Result<AccountSpec, Answer> {
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
    let target = properties.as_ref().and_then(|map| map.text("spilloverDeploymentName", &mut faults));
    let spillover = target.map(|target| check_spillover(desk, own, &sku, target, &mut faults));
    let entry = (!name.is_empty()).then(|| model_of(desk, &format, &name, version));
    let entry = match entry {
        Some(Err((path, text))) if faults.none() => {
            return Err(error_at(400, "DeploymentModelNotSupported", path, &text));
        }
        Some(Err((path, text))) => {
            faults.note(path, text);
            None
        }
        Some(Ok(entry)) => Some(entry),
        None => None,
    };
    refuse(Provider::CognitiveServices, &faults)?;
    let Some(entry) = entry else {
        return Err(error(400, "DeploymentModelNotSupported", "No model is named."));
    };
    let version = version.unwrap_or(&entry.default_version).to_owned();
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
        spillover,
        default_version: entry.default_version.clone(),
        modified_by: Some(desk.actor.to_owned()),
    })
}

/// The catalog's entry for a model that can be deployed; else the member that is wrong, and why.
fn model_of<'a>(
    desk: &Desk<'a>,
    format: &str,
    name: &str,
    version: Option<&str>,
) -> Result<Cow<'a, CatalogRow>, (&'static str, String)> {
    const NAME: &str = "properties.model.name";
    let unsupported = |path| {
        let version = version.map(|version| format!(", Version:{version}")).unwrap_or_default();
        let text = format!(
            "The model 'Format:{format}, Name:{name}{version}' of account deployment is not supported: \
             it is not in this installation's catalog (GET /api/weir/v1/catalog/models)."
        );
        Err((path, text))
    };
    let Some(entry) = catalog::find(desk.state, name) else { return unsupported(NAME) };
    let known = |version: &str| entry.versions.iter().any(|known| known == version);
    if version.is_some_and(|version| !entry.versions.is_empty() && !known(version)) {
        return unsupported("properties.model.version");
    }
    if entry.backends.is_empty() {
        let text = format!(
            "The model '{0}' has no upstream in this installation yet: an administrator must name its backends first \
             (PUT /api/weir/v1/catalog/models/{0}).",
            entry.name
        );
        return Err((NAME, text));
    }
    Ok(entry)
}

/// The version that a deployment serves now, by its upgrade option: a newer default, or the default once its own
/// version is no longer offered.
pub fn version_in_force<'a>(spec: &'a AccountSpec, entry: &'a CatalogRow) -> &'a str {
    let newer_default = !spec.default_version.is_empty() && spec.default_version != entry.default_version;
    let expired = !entry.versions.is_empty() && !entry.versions.contains(&spec.model_version);
    let upgrade = match spec.version_upgrade.as_str() {
        "OnceNewDefaultVersionAvailable" => newer_default || expired,
        "OnceCurrentVersionExpired" => expired,
        _ => false,
    };
    if upgrade { &entry.default_version } else { &spec.model_version }
}

/// Only reserved throughput spills over, to a deployment of this account that is charged by use (C3).
fn check_spillover(desk: &Desk<'_>, own: &str, sku: &str, target: &str, faults: &mut Faults) -> String {
    let path = "properties.spilloverDeploymentName";
    let known = find(desk, target);
    if !provisioned(sku) {
        faults.note(path, "is for deployments that reserve throughput; use a provisioned SKU");
    }
    if target.eq_ignore_ascii_case(own) || known.is_none() {
        faults.note(path, "must name another deployment of this account");
    } else if known.is_some_and(|(_, spec)| provisioned(&spec.sku)) {
        faults.note(path, "must name a deployment that does not reserve throughput itself");
    }
    target.to_owned()
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
    if properties.get("parentDeploymentName").is_some() {
        let text = "is not supported: a deployment serves a model of the catalog, not another deployment's";
        faults.note(&properties.path("parentDeploymentName"), text);
    }
    (upgrade.to_owned(), policy)
}

fn shown(desk: &Desk<'_>, row: &DeploymentRow, spec: &AccountSpec) -> Value {
    let entry = catalog::find(desk.state, &spec.model);
    let capabilities = entry.as_ref().map_or_else(|| json!({}), |entry| offers::capabilities(entry.task));
    let version = entry.as_ref().map_or(spec.model_version.as_str(), |entry| version_in_force(spec, entry));
    let unit = entry.as_ref().map_or(0, |entry| catalog::provisioned_unit(entry));
    let mut properties = json!({
        "model": {"format": spec.format, "name": spec.model, "version": version},
        "versionUpgradeOption": spec.version_upgrade, "provisioningState": "Succeeded",
        "currentCapacity": spec.capacity, "capabilities": capabilities, "dynamicThrottlingEnabled": false,
        "rateLimits": rate_limits(&spec.sku, spec.capacity, unit),
    });
    if let (Some(members), Some(target)) = (properties.as_object_mut(), &spec.spillover) {
        members.insert("spilloverDeploymentName".to_owned(), target.as_str().into());
    }
    if let (Some(members), Some(policy)) = (properties.as_object_mut(), &spec.rai_policy) {
        members.insert("raiPolicyName".to_owned(), policy.as_str().into());
    }
    json!({
        "id": spec.resource_id, "name": row.name, "type": "Microsoft.CognitiveServices/accounts/deployments",
        "etag": format!("\"{}\"", spec.etag), "sku": {"name": spec.sku, "capacity": spec.capacity},
        "tags": spec.tags, "properties": properties,
        "systemData": system_data(
            &row.creator,
            row.created_at,
            spec.modified_by.as_ref().unwrap_or(&row.creator),
            row.updated_at,
        ),
    })
}
