//! Endpoints as Databricks' clients see them (`databricks.md`, 2.2, 3.2, 6.1 and 13).
//!
//! Decides the members of the answers. Secrets given in plain text are not in the state's `shown` objects, so they
//! cannot appear here.

use super::super::access::needed::account_scope;
use super::super::command::Desk;
use super::super::external_model::task_text;
use super::super::state::{
    AccountState, DeploymentRow, EndpointConfig, EndpointSpec, EntityRow, PendingConfig, RateLimit,
};
use super::foundation;
use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use serde_json::{Map, Value, json};

/// The endpoint as `EndpointDetailed`.
pub fn endpoint(desk: &Desk<'_>, row: &DeploymentRow, spec: &EndpointSpec) -> Value {
    let mut shown = common(desk.state, row, spec);
    let may = desk.caller.may("Weir/servingEndpoints/write", &account_scope(desk.state));
    let level = if may { "CAN_MANAGE" } else { "CAN_VIEW" };
    let kind = if spec.is_external() == Some(false) { "FOUNDATION_MODEL_API" } else { "EXTERNAL_MODEL" };
    set(&mut shown, "permission_level", level.into());
    set(&mut shown, "endpoint_type", kind.into());
    let optimized = spec.kept.contains_key("route_optimized");
    set(&mut shown, "route_optimized", optimized.into());
    if let Some(lists) = spec.kept.get("email_notifications") {
        set(&mut shown, "email_notifications", lists.clone());
    }
    if optimized {
        let url = format!("{}/serving-endpoints/{}/invocations", desk.origin, row.name);
        let details = json!([{"type": "workspace_permission",
            "privileges": ["query_inference_endpoint"], "object_type": "serving-endpoints", "object_path": row.id}]);
        let query = json!({"endpoint_url": url, "authorization_details": details.to_string()});
        set(&mut shown, "data_plane_info", json!({"query_info": query}));
        set(&mut shown, "endpoint_url", url.into());
    }
    if let Some(active) = &spec.active {
        set(&mut shown, "config", config(desk.state, active, |_| ("DEPLOYMENT_READY", "")));
    }
    if let Some(pending) = &spec.pending {
        set(&mut shown, "pending_config", pending_config(desk.state, pending));
    }
    shown
}

/// The endpoint as an item of the list.
pub fn summary(desk: &Desk<'_>, row: &DeploymentRow, spec: &EndpointSpec) -> Value {
    let mut shown = common(desk.state, row, spec);
    let entity = |row: &EntityRow| {
        let mut shown = json!({"name": row.name});
        if let Some(backend) = &row.backend {
            set(&mut shown, "external_model", Value::Object(backend.shown.clone()));
        } else {
            for name in ["entity_name", "entity_version"] {
                row.shown.get(name).into_iter().for_each(|value| set(&mut shown, name, value.clone()));
            }
            foundation_model(desk.state, row, &mut shown);
        }
        shown
    };
    if let Some(active) = &spec.active {
        let entities: Vec<Value> = active.entities.iter().map(entity).collect();
        set(&mut shown, "config", json!({"served_entities": entities}));
    }
    shown
}

/// What list and details both have. An endpoint that exists by itself has neither id nor creator. One is not ready
/// whose model of the catalog lost its backends.
fn common(state: &AccountState, row: &DeploymentRow, spec: &EndpointSpec) -> Value {
    let serves = |row: &EntityRow| {
        let entry = row.model().and_then(|name| foundation::model(state, name));
        row.backend.is_some() || entry.is_some_and(|entry| !entry.backends.is_empty())
    };
    let ready = spec.active.as_ref().is_some_and(|active| active.entities.iter().any(serves));
    let ready = if ready { "READY" } else { "NOT_READY" };
    let update = match spec.pending.as_ref().map(|pending| &pending.failure) {
        None => "NOT_UPDATING",
        Some(None) => "IN_PROGRESS",
        Some(Some(failure)) if failure.canceled => "UPDATE_CANCELED",
        Some(Some(_)) => "UPDATE_FAILED",
    };
    let mut shown = json!({
        "name": row.name, "creation_timestamp": row.created_at, "last_updated_timestamp": row.updated_at,
        "state": {"ready": ready, "config_update": update},
        "tags": tags(spec), "description": spec.description,
    });
    if !row.id.is_empty() {
        for (name, text) in [
            ("id", row.id.as_str()),
            ("creator", &row.creator),
            ("creator_display_name", &row.creator),
            ("creator_kind", "User"),
        ] {
            set(&mut shown, name, text.into());
        }
    }
    if let Some(task) = spec.task() {
        set(&mut shown, "task", task_text(task).into());
    }
    for name in ["budget_policy_id", "usage_policy_id", "telemetry_config"] {
        spec.kept.get(name).into_iter().for_each(|value| set(&mut shown, name, value.clone()));
    }
    if !spec.gateway.is_none() {
        set(&mut shown, "ai_gateway", Value::Object(spec.gateway.0.clone()));
    }
    shown
}

fn set(shown: &mut Value, name: &str, value: Value) {
    if let Some(members) = shown.as_object_mut() {
        members.insert(name.to_owned(), value);
    }
}

/// The tags as a list.
pub fn tags(spec: &EndpointSpec) -> Vec<Value> {
    let tag = |(key, value): (&String, &Option<String>)| match value {
        Some(value) => json!({"key": key, "value": value}),
        None => json!({"key": key}),
    };
    spec.tags.iter().map(tag).collect()
}

/// One rate limit of either family.
pub fn rate_limit(limit: &RateLimit) -> Value {
    let mut shown = Map::new();
    shown.insert("key".to_owned(), limit.key.as_str().into());
    shown.insert("renewal_period".to_owned(), "minute".into());
    for (name, amount) in [("calls", limit.calls), ("tokens", limit.tokens)] {
        amount.map(|amount| shown.insert(name.to_owned(), amount.into()));
    }
    if let Some(principal) = &limit.principal {
        shown.insert("principal".to_owned(), principal.as_str().into());
    }
    Value::Object(shown)
}

fn pending_config(state: &AccountState, pending: &PendingConfig) -> Value {
    let mut shown = config(state, &pending.config, |entity| match &pending.failure {
        None => ("DEPLOYMENT_CREATING", ""),
        Some(failure) => match failure.entities.get(&entity.name) {
            Some(problem) => ("DEPLOYMENT_FAILED", problem.as_str()),
            None => ("DEPLOYMENT_ABORTED", ""),
        },
    });
    set(&mut shown, "start_time", json!(pending.started_at));
    shown
}

fn foundation_model(state: &AccountState, row: &EntityRow, shown: &mut Value) {
    if let Some(entry) = row.model().and_then(|name| foundation::model(state, name)) {
        set(shown, "foundation_model", foundation::shown(&entry));
    }
}

fn config<'a>(
    accounts: &AccountState,
    config: &'a EndpointConfig,
    state: impl Fn(&'a EntityRow) -> (&'a str, &'a str),
) -> Value {
    let entity = |row: &'a EntityRow| {
        let (deployment, message) = state(row);
        let mut shown = Value::Object(row.shown.clone());
        set(&mut shown, "name", row.name.as_str().into());
        set(&mut shown, "state", json!({"deployment": deployment, "deployment_state_message": message}));
        if !row.creator.is_empty() {
            set(&mut shown, "creator", row.creator.as_str().into());
            set(&mut shown, "creation_timestamp", json!(row.created_at));
        }
        match &row.backend {
            Some(backend) => set(&mut shown, "external_model", Value::Object(backend.shown.clone())),
            None => foundation_model(accounts, row, &mut shown),
        }
        shown
    };
    let route = |row: &EntityRow| json!({"served_model_name": row.name, "served_entity_name": row.name, "traffic_percentage": row.share});
    let entities: Vec<Value> = config.entities.iter().map(entity).collect();
    let models: Vec<Value> = entities.iter().filter_map(as_model).collect();
    let mut shown = json!({
        "served_entities": entities,
        "traffic_config": {"routes": config.entities.iter().map(route).collect::<Vec<_>>()},
        "config_version": config.version,
    });
    if !models.is_empty() {
        set(&mut shown, "served_models", Value::Array(models));
    }
    if let Some(capture) = &config.auto_capture {
        set(&mut shown, "auto_capture_config", Value::Object(capture.clone()));
    }
    shown
}

/// The deprecated mirror of a model of the catalog.
fn as_model(entity: &Value) -> Option<Value> {
    let mut shown = entity.as_object()?.clone();
    for (new, old) in [("entity_name", "model_name"), ("entity_version", "model_version")] {
        let value = shown.remove(new)?;
        shown.insert(old.to_owned(), value);
    }
    shown.remove("foundation_model");
    Some(Value::Object(shown))
}
