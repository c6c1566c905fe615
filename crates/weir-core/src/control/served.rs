//! What endpoints served when: the rows of `system.serving.served_entities` (`databricks.md`, 7.6).
//!
//! Decides when a row is kept (with each configuration that begins to serve, and when an endpoint goes), how many, and
//! the table's columns. What is served now is there in any case. Dates of a configuration are those of its entities'
//! history; `entity_version` and the structs that Weir has nothing to say in are null.

use super::answer::{Answer, Location};
use super::command::{Change, Desk, Outcome};
use super::external_model::task_text;
use super::state::{AccountState, DeploymentRow, EndpointConfig, EntityRow};
use crate::ledger::calendar::format_rfc3339;
use crate::ledger::tables::csv;
use crate::time::UnixMillis;
use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use serde_json::{Map, Value, json};

/// Kind of the documents; their names are versions of the account, so that they are in order.
const KIND: &str = "served/";
/// Most changes that are kept; the oldest go.
const KEPT_MAX: usize = 500;
const COLUMNS: [&str; 18] = [
    "served_entity_id",
    "account_id",
    "workspace_id",
    "created_by",
    "endpoint_name",
    "endpoint_id",
    "served_entity_name",
    "entity_type",
    "entity_name",
    "entity_version",
    "endpoint_config_version",
    "task",
    "external_model_config",
    "foundation_model_config",
    "custom_model_config",
    "feature_spec_config",
    "change_time",
    "endpoint_delete_time",
];

/// What is kept beside `changes`: the configurations that begin to serve by them, and the endpoints that go.
pub fn history(state: &AccountState, changes: &[Change], now: UnixMillis) -> Vec<Change> {
    let mut rows = Vec::new();
    for change in changes {
        if let Change::Deployment(row) = change {
            let serving = |row: &DeploymentRow| row.endpoint()?.active.as_ref().map(|config| config.version);
            let before = state.deployments.get(&row.name.folded()).and_then(serving);
            if let Some(config) = row.endpoint().and_then(|spec| spec.active.as_ref())
                && before != Some(config.version)
            {
                rows.extend(entities(row, config, now, None));
            }
        } else if let Change::DropDeployment(name) = change
            && let Some(row) = state.deployments.get(name)
            && let Some(config) = row.endpoint().and_then(|spec| spec.active.as_ref())
        {
            rows.extend(entities(row, config, now, Some(now)));
        }
    }
    if rows.is_empty() {
        return Vec::new();
    }
    let key = format!("{KIND}{:016}", state.version.saturating_add(1));
    let mut kept: Vec<Change> = Vec::from([Change::Document(key, Value::Array(rows))]);
    let known = documents(state).count();
    let over = known.saturating_add(1).saturating_sub(KEPT_MAX);
    kept.extend(documents(state).take(over).map(|(key, _)| Change::DropDocument(key.clone())));
    kept
}

/// `GET /api/weir/v1/databricks/served_entities[?format=csv]`.
///
/// # Errors
/// 400 for another format.
pub fn list(desk: &Desk<'_>, location: &Location) -> Result<Outcome, Answer> {
    let rows = shown(desk.state);
    match location.query("format") {
        None | Some("json") => Ok(Outcome::reading(Answer::json(200, &json!({"rows": rows})))),
        Some("csv") => {
            let mut answer = Answer::empty(200).with("content-type", "text/csv; charset=utf-8");
            answer.body = csv(&COLUMNS, &rows);
            Ok(Outcome::reading(answer))
        }
        Some(_) => {
            let mut faults = super::document::Faults::default();
            faults.note("format", "is neither json nor csv");
            Err(super::weir::invalid(&faults))
        }
    }
}

fn documents(state: &AccountState) -> impl Iterator<Item = (&String, &Value)> {
    state.documents.range(KIND.to_owned()..).take_while(|(key, _)| key.starts_with(KIND))
}

/// The kept rows, the oldest first, and those that serve now if nothing was kept of them.
fn shown(state: &AccountState) -> Vec<Map<String, Value>> {
    let kept = documents(state).filter_map(|(_, rows)| rows.as_array()).flatten();
    let mut rows: Vec<Map<String, Value>> = kept.filter_map(|row| row.as_object().cloned()).collect();
    let same = |row: &Map<String, Value>, now: &Value| {
        ["served_entity_id", "endpoint_id", "endpoint_config_version"]
            .iter()
            .all(|column| row.get(*column) == now.get(*column))
    };
    for row in state.deployments.values() {
        let Some(config) = row.endpoint().and_then(|spec| spec.active.as_ref()) else { continue };
        for now in entities(row, config, row.updated_at, None) {
            if !rows.iter().any(|row| same(row, &now)) {
                rows.extend(now.as_object().cloned());
            }
        }
    }
    for row in &mut rows {
        for column in ["account_id", "workspace_id"] {
            row.insert(column.to_owned(), json!(state.account));
        }
    }
    rows
}

fn entities(
    row: &DeploymentRow,
    config: &EndpointConfig,
    at: UnixMillis,
    gone: Option<UnixMillis>,
) -> Vec<Value> {
    let entity = |entity: &EntityRow| {
        let external = entity.backend.as_ref().map(|backend| &backend.entity);
        let name = external.map_or(entity.model(), |model| Some(model.upstream_model.as_str()));
        let model = external.map(|model| json!({"name": model.upstream_model, "provider": model.provider}));
        let kind = if external.is_some() { "EXTERNAL_MODEL" } else { "FOUNDATION_MODEL" };
        json!({
            "served_entity_id": format!("{}/{}", row.name, entity.name), "created_by": entity.creator,
            "endpoint_name": row.name, "endpoint_id": row.id, "served_entity_name": entity.name,
            "entity_type": kind, "entity_name": name, "entity_version": entity.shown.get("entity_version"),
            "endpoint_config_version": config.version.to_string(), "task": task_text(entity.task),
            "external_model_config": model, "foundation_model_config": null,
            "custom_model_config": null, "feature_spec_config": null,
            "change_time": format_rfc3339(at), "endpoint_delete_time": gone.map(format_rfc3339),
        })
    };
    config.entities.iter().map(entity).collect()
}
