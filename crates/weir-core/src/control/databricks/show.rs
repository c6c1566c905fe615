//! Endpoints as Databricks' clients see them (`databricks.md`, 2.2, 3.2, 6.1 and 13).
//!
//! Decides the members of the answers. Secrets given in plain text are not in the state's `shown` objects, so they
//! cannot appear here.

use super::super::external_model::task_text;
use super::super::state::{DeploymentRow, EndpointConfig, EndpointSpec, EntityRow, PendingConfig};
use alloc::borrow::ToOwned;
use alloc::vec::Vec;
use serde_json::{Value, json};

/// The endpoint as `EndpointDetailed`.
pub fn endpoint(row: &DeploymentRow, spec: &EndpointSpec) -> Value {
    let ready = if spec.active.is_some() { "READY" } else { "NOT_READY" };
    let update = match &spec.pending {
        None => "NOT_UPDATING",
        Some(PendingConfig { failure: None, .. }) => "IN_PROGRESS",
        Some(PendingConfig { failure: Some(_), .. }) => "UPDATE_FAILED",
    };
    let mut shown = json!({
        "name": row.name, "id": row.id, "creator": row.creator, "creator_kind": "User",
        "creation_timestamp": row.created_at, "last_updated_timestamp": row.updated_at,
        "state": {"ready": ready, "config_update": update},
        "tags": tags(spec), "permission_level": "CAN_MANAGE", "route_optimized": false,
        "description": spec.description, "endpoint_type": "EXTERNAL_MODEL",
    });
    let Some(members) = shown.as_object_mut() else { return shown };
    if let Some(task) = spec.task() {
        members.insert("task".to_owned(), task_text(task).into());
    }
    if let Some(active) = &spec.active {
        members.insert("config".to_owned(), config(active, |_| ("DEPLOYMENT_READY", "")));
    }
    if let Some(pending) = &spec.pending {
        members.insert("pending_config".to_owned(), pending_config(pending));
    }
    shown
}

/// The tags as a list.
pub fn tags(spec: &EndpointSpec) -> Vec<Value> {
    let tag = |(key, value): (&alloc::string::String, &Option<alloc::string::String>)| match value {
        Some(value) => json!({"key": key, "value": value}),
        None => json!({"key": key}),
    };
    spec.tags.iter().map(tag).collect()
}

/// The legacy rate limits as a list.
pub fn rate_limits(spec: &EndpointSpec) -> Vec<Value> {
    let limit = |row: &super::super::state::RateLimit| json!({"key": row.key, "renewal_period": "minute", "calls": row.calls});
    spec.rate_limits.iter().map(limit).collect()
}

fn pending_config(pending: &PendingConfig) -> Value {
    let mut shown = config(&pending.config, |entity| match &pending.failure {
        None => ("DEPLOYMENT_CREATING", ""),
        Some(failure) => match failure.entities.get(&entity.backend.entity.name) {
            Some(problem) => ("DEPLOYMENT_FAILED", problem.as_str()),
            None => ("DEPLOYMENT_ABORTED", ""),
        },
    });
    if let Some(members) = shown.as_object_mut() {
        members.insert("start_time".to_owned(), json!(pending.started_at));
    }
    shown
}

fn config<'a>(config: &'a EndpointConfig, state: impl Fn(&'a EntityRow) -> (&'a str, &'a str)) -> Value {
    let entity = |row: &'a EntityRow| {
        let (deployment, message) = state(row);
        json!({
            "name": row.backend.entity.name, "external_model": row.backend.shown,
            "state": {"deployment": deployment, "deployment_state_message": message},
            "creator": row.creator, "creation_timestamp": row.created_at,
        })
    };
    let route = |row: &EntityRow| {
        let name = &row.backend.entity.name;
        let share = row.backend.entity.weight;
        json!({"served_model_name": name, "served_entity_name": name, "traffic_percentage": share})
    };
    json!({
        "served_entities": config.entities.iter().map(entity).collect::<Vec<_>>(),
        "traffic_config": {"routes": config.entities.iter().map(route).collect::<Vec<_>>()},
        "config_version": config.version,
    })
}
