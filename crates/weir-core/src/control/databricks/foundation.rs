//! Foundation models: models of the catalog by their names in Unity Catalog, and the endpoints that exist by themselves
//! (`databricks.md`, 10.8).
//!
//! Decides which catalog entry a name means, and which entries are pay-per-token endpoints: those whose member
//! `foundation_model` says `"pay_per_token": true` and that somebody serves. Such an endpoint is called `databricks-…`,
//! has no id, and cannot be deleted or reconfigured; only its limits and its AI gateway are stored.

use super::super::answer::Answer;
use super::super::catalog;
use super::super::command::{Change, Desk, Outcome};
use super::super::document::{Faults, Members};
use super::super::state::{
    AccountState, CatalogRow, DeploymentRow, DeploymentSpec, EndpointConfig, EndpointSpec, EntityRow,
};
use super::error;
use crate::id::DeploymentName;
use crate::time::UnixMillis;
use alloc::borrow::{Cow, ToOwned};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use serde_json::{Map, Value, json};

/// How the names of endpoints that exist by themselves begin.
pub const PREFIX: &str = "databricks-";
/// How names of foundation models begin.
const SCHEMA: &str = "system.ai.";
/// The member of a catalog entry that says how Databricks knows the model.
const MEMBER: &str = "foundation_model";
/// Kind of the documents that hold what was set on an endpoint that exists by itself.
const KIND: &str = "foundation/";
/// Tokens per second that throughput is provisioned in, where the entry names no other.
const CHUNK: u64 = 980;

/// The catalog entry that `name` means: `catalog.schema.model`. It is the entry's own name, the one in its
/// `foundation_model`, or of `system.ai.` an entry whose name is the same but for case, signs and `databricks-`.
pub fn model<'a>(state: &'a AccountState, name: &str) -> Option<Cow<'a, CatalogRow>> {
    if let Some(row) = catalog::find(state, name) {
        return Some(row);
    }
    let wanted = name.strip_prefix(SCHEMA).map(plain);
    let means = |row: &Cow<'_, CatalogRow>| {
        let called = member(row).and_then(|member| member.get("name")?.as_str());
        called.is_some_and(|called| called.eq_ignore_ascii_case(name))
            || wanted.as_ref().is_some_and(|wanted| *wanted == plain(&row.name))
    };
    catalog::all(state).into_iter().find(means)
}

/// What is left of a name without case, signs and `databricks-`.
fn plain(name: &str) -> String {
    let folded = name.to_ascii_lowercase();
    let rest = folded.strip_prefix(PREFIX).unwrap_or(&folded);
    rest.chars().filter(char::is_ascii_alphanumeric).collect()
}

fn member(row: &CatalogRow) -> Option<&Map<String, Value>> {
    row.shown.get(MEMBER)?.as_object()
}

/// The tokens per second in whose multiples throughput of a model is provisioned.
pub fn chunk(row: &CatalogRow) -> u64 {
    let set = member(row).and_then(|member| member.get("throughput_chunk_size")?.as_u64());
    set.filter(|chunk| *chunk > 0).unwrap_or(CHUNK)
}

/// The output member `foundation_model` of an entity.
pub fn shown(row: &CatalogRow) -> Value {
    let text = |name: &str| member(row).and_then(|member| member.get(name)?.as_str());
    json!({
        "name": text("name").map_or_else(|| called(&row.name), ToOwned::to_owned),
        "display_name": text("display_name").unwrap_or(&row.name),
        "docs": text("docs").unwrap_or_default(),
        "description": text("description").unwrap_or_default(),
    })
}

/// The name in `system.ai` that an entry has unless it says another.
fn called(name: &str) -> String {
    let folded = name.to_ascii_lowercase();
    let rest = folded.strip_prefix(PREFIX).unwrap_or(&folded);
    format!("{SCHEMA}{}", rest.replace(['-', '.'], "_"))
}

/// Reads the catalog's member `foundation_model`; null without one.
pub fn read(members: &Members<'_>, faults: &mut Faults) -> Value {
    let Some(wish) = members.members(MEMBER, faults) else { return Value::Null };
    let mut shown = Map::new();
    for name in ["name", "display_name", "docs", "description"] {
        if let Some(text) = wish.text(name, faults) {
            if text.len() > 1024 {
                faults.note(&wish.path(name), "must be at most 1024 bytes");
            }
            shown.insert(name.to_owned(), text.into());
        }
    }
    if let Some(flag) = wish.boolean("pay_per_token", faults) {
        shown.insert("pay_per_token".to_owned(), flag.into());
    }
    if let Some(chunk) = wish.integer("throughput_chunk_size", faults) {
        shown.insert("throughput_chunk_size".to_owned(), chunk.into());
    }
    Value::Object(shown)
}

/// All endpoints that exist by themselves, by name.
pub fn endpoints(state: &AccountState) -> Vec<(DeploymentRow, EndpointSpec)> {
    let rows = catalog::all(state);
    rows.iter().filter_map(|row| of_entry(state, row)).collect()
}

/// The endpoint of this name, if it exists by itself.
pub fn endpoint(state: &AccountState, name: &str) -> Option<(DeploymentRow, EndpointSpec)> {
    if !name.get(..PREFIX.len())?.eq_ignore_ascii_case(PREFIX) {
        return None;
    }
    endpoints(state).into_iter().find(|(row, _)| row.name.as_str().eq_ignore_ascii_case(name))
}

fn of_entry(state: &AccountState, entry: &CatalogRow) -> Option<(DeploymentRow, EndpointSpec)> {
    if member(entry)?.get("pay_per_token") != Some(&Value::Bool(true)) || entry.backends.is_empty() {
        return None;
    }
    let folded = entry.name.to_ascii_lowercase().replace('.', "-");
    let name = if folded.starts_with(PREFIX) { folded } else { format!("{PREFIX}{folded}") };
    if state.deployments.contains_key(&name) {
        return None;
    }
    let set = state.documents.get(&format!("{KIND}{name}"));
    let set = set.and_then(|set| serde_json::from_value::<EndpointSpec>(set.clone()).ok());
    let name = DeploymentName::parse(&name).ok()?;
    let text = |value: &Value| value["name"].as_str().map(ToOwned::to_owned);
    let entity_name = text(&shown(entry)).unwrap_or_else(|| called(&entry.name));
    let members = [("entity_name", entity_name), ("entity_version", entry.default_version.clone())];
    let entity = EntityRow {
        name: name.as_str().to_owned(),
        share: 100,
        task: entry.task,
        backend: None,
        shown: members.into_iter().map(|(name, text)| (name.to_owned(), text.into())).collect(),
        creator: String::new(),
        created_at: UnixMillis(0),
    };
    let config = EndpointConfig { version: 1, entities: Vec::from([entity]), auto_capture: None };
    let spec = EndpointSpec { active: Some(config), pending: None, ..set.unwrap_or_default() };
    let row = DeploymentRow {
        name,
        id: String::new(),
        creator: String::new(),
        created_at: UnixMillis(0),
        updated_at: UnixMillis(0),
        spec: DeploymentSpec::ServingEndpoint(EndpointSpec::default()),
    };
    Some((row, spec))
}

/// What is stored of a change to an endpoint that exists by itself.
pub fn stored(row: &DeploymentRow, spec: &EndpointSpec) -> Change {
    let kept = EndpointSpec {
        rate_limits: spec.rate_limits.clone(),
        gateway: spec.gateway.clone(),
        ..EndpointSpec::default()
    };
    let value = serde_json::to_value(kept).unwrap_or(Value::Null);
    Change::Document(format!("{KIND}{}", row.name.folded()), value)
}

/// `GET …/get-model-optimization-info/{model}/{version}`: whether throughput can be provisioned, and in which steps.
///
/// # Errors
/// 404 for a model that the catalog does not have.
pub fn optimization(desk: &Desk<'_>, name: &str) -> Result<Outcome, Answer> {
    let Some(row) = model(desk.state, name) else {
        return Err(error(404, "RESOURCE_DOES_NOT_EXIST", &format!("Model '{name}' does not exist.")));
    };
    let body = json!({"optimizable": !row.backends.is_empty(), "throughput_chunk_size": chunk(&row)});
    Ok(Outcome::reading(Answer::json(200, &body)))
}
