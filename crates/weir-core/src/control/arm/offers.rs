//! What an account offers: models, SKUs, and what is used of quotas (`azure.md`, C3).
//!
//! Decides what `A/models`, `A/skus`, `A/usages`, their forms by region and `A/deployments/{d}/skus` list. A model is
//! listed when it can be deployed: when its catalog entry has backends.

use super::super::catalog;
use super::super::command::Desk;
use super::super::external_model::task_text;
use super::super::state::CatalogRow;
use super::super::{answer::Answer, answer::Location, command::Outcome, defaults};
use super::capacity::{CAPACITY_MAX, PROVISIONED, STANDARD, used};
use super::convention::{REGION, error, listed, region};
use crate::snapshot::Task;
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use serde_json::{Value, json};

/// `A/models`, and `…/locations/{region}/models`, where each stands beside its kind and SKU.
///
/// # Errors
/// 400 when `$skip` is no number.
pub fn models(desk: &Desk<'_>, location: &Location, region: Option<&str>) -> Result<Outcome, Answer> {
    let mut items = Vec::new();
    for row in catalog::all(desk.state).iter().filter(|row| !row.backends.is_empty()) {
        if !catalog::in_region(row, region.unwrap_or(REGION)) {
            continue;
        }
        let versions =
            if row.versions.is_empty() { core::slice::from_ref(&row.default_version) } else { &row.versions };
        for version in versions {
            let model = model(row, version);
            items.push(match region {
                Some(_) => json!({"kind": "AIServices", "skuName": "S0", "model": model}),
                None => model,
            });
        }
    }
    listed(desk, location, items)
}

fn model(row: &CatalogRow, version: &str) -> Value {
    let format = catalog::text(row, "format").unwrap_or_default();
    let skus: Vec<Value> = STANDARD
        .iter()
        .chain(&PROVISIONED)
        .map(|sku| json!({"name": sku, "usageName": usage_name(format, sku, &row.name), "capacity": capacity()}))
        .collect();
    json!({
        "format": format, "name": row.name, "version": version, "publisher": catalog::text(row, "publisher"),
        "isDefaultVersion": version == row.default_version, "skus": skus, "maxCapacity": CAPACITY_MAX,
        "capabilities": capabilities(row.task), "lifecycleStatus": "GenerallyAvailable",
        "registryId": catalog::text(row, "registry_id"), "task": task_text(row.task),
    })
}

/// `…/locations/{region}/modelCapacities`: what is left of each SKU for the model that the query names.
///
/// # Errors
/// 400 when no model is named, or `$skip` is no number.
pub fn capacities(desk: &Desk<'_>, location: &Location) -> Result<Outcome, Answer> {
    let asked = |name: &str| {
        let mut members = location.query.iter();
        members.find(|(member, _)| member.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    };
    let (Some(format), Some(name)) = (asked("modelFormat"), asked("modelName")) else {
        let text = "The query parameters 'modelFormat', 'modelName' and 'modelVersion' are required.";
        return Err(error(400, "InvalidQueryParameter", text));
    };
    let entry = catalog::find(desk.state, name).filter(|row| !row.backends.is_empty());
    let entry = entry.filter(|row| catalog::text(row, "format") == Some(format));
    let version = asked("modelVersion").unwrap_or_default();
    let version =
        entry.as_ref().map(|row| if version.is_empty() { row.default_version.as_str() } else { version });
    let region = location.segments.get(5).map_or(String::new(), |text| region(text));
    let quotas = defaults::quotas(desk.state);
    let mut items = Vec::new();
    for (row, version) in entry.iter().zip(version) {
        if !row.versions.is_empty() && !row.versions.iter().any(|known| known == version) {
            continue;
        }
        for sku in STANDARD.iter().chain(&PROVISIONED) {
            let of = |(model, of, quota): &(String, Option<String>, u64)| {
                let same = model.eq_ignore_ascii_case(name) && of.as_ref().is_none_or(|of| of == sku);
                same.then(|| quota.saturating_sub(used(desk, model, of.as_deref(), "")))
            };
            let left = quotas.iter().filter_map(of).min().unwrap_or(CAPACITY_MAX);
            items.push(json!({
                "id": format!("{}/{sku}", location.path), "name": sku, "location": region,
                "type": "Microsoft.CognitiveServices/locations/modelCapacities",
                "properties": {"model": {"format": format, "name": row.name, "version": version},
                    "skuName": sku, "availableCapacity": left, "availableFinetuneCapacity": 0},
            }));
        }
    }
    listed(desk, location, items)
}

/// `properties.capabilities` of a deployment, and of its model.
pub fn capabilities(task: Task) -> Value {
    match task {
        Task::Chat => json!({"chatCompletion": "true"}),
        Task::Completions => json!({"completion": "true"}),
        Task::Embeddings => json!({"embeddings": "true"}),
    }
}

fn capacity() -> Value {
    json!({"minimum": 1, "maximum": CAPACITY_MAX, "step": 1, "default": 1})
}

fn usage_name(format: &str, sku: &str, model: &str) -> String {
    format!("{format}.{sku}.{model}")
}

/// `A/usages`: for each model that is deployed or has a quota, what is used of it.
///
/// # Errors
/// 400 when `$skip` is no number.
pub fn usages(desk: &Desk<'_>, location: &Location) -> Result<Outcome, Answer> {
    let mut rows: BTreeSet<(String, Option<String>)> = BTreeSet::new();
    let deployed = desk.state.deployments.values().filter_map(|row| row.account());
    rows.extend(deployed.map(|spec| (spec.model.clone(), Some(spec.sku.clone()))));
    let quotas = defaults::quotas(desk.state);
    rows.extend(quotas.iter().map(|(model, sku, _)| (model.clone(), sku.clone())));
    let item = |(model, sku): (String, Option<String>)| {
        let entry = catalog::find(desk.state, &model);
        let format = entry.as_ref().and_then(|row| catalog::text(row, "format")).unwrap_or("Any");
        let name = usage_name(format, sku.as_deref().unwrap_or("All"), &model);
        let quota = quotas.iter().find(|(known, of, _)| known.eq_ignore_ascii_case(&model) && *of == sku);
        json!({
            "name": {"value": name, "localizedValue": name}, "unit": "Count",
            "currentValue": used(desk, &model, sku.as_deref(), ""),
            "limit": quota.map_or(CAPACITY_MAX, |(_, _, capacity)| *capacity), "status": "Included",
        })
    };
    listed(desk, location, rows.into_iter().map(item).collect())
}

/// `A/skus`.
///
/// # Errors
/// 400 when `$skip` is no number.
pub fn account_skus(desk: &Desk<'_>, location: &Location) -> Result<Outcome, Answer> {
    let item = json!({"resourceType": "accounts", "sku": {"name": "S0", "tier": "Standard"}});
    listed(desk, location, Vec::from([item]))
}

/// `A/deployments/{d}/skus`: what the deployment's SKU can be changed to.
///
/// # Errors
/// 400 when `$skip` is no number.
pub fn deployment_skus(desk: &Desk<'_>, location: &Location) -> Result<Outcome, Answer> {
    let item = |sku: &&str| {
        json!({"resourceType": "Microsoft.CognitiveServices/accounts/deployments", "sku": {"name": sku},
            "capacity": capacity()})
    };
    listed(desk, location, STANDARD.iter().chain(&PROVISIONED).map(item).collect())
}
