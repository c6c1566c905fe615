//! Serving endpoints: create, get, list, delete, tags (`databricks.md`, 2; routes M1 to M4 and M7).
//!
//! Decides what a create body must hold and when a name is free; not what a configuration must hold (`config`).

use super::super::answer::{Answer, position};
use super::super::command::{Change, Desk, Outcome};
use super::super::document::{Faults, Members};
use super::super::state::{DeploymentRow, DeploymentSpec, EndpointSpec, Gateway};
use super::{config, error, rate_limits, refuse, show};
use crate::id::DeploymentName;
use alloc::borrow::ToOwned;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use serde_json::{Map, Value, json};

/// Longest name of an endpoint (`databricks.md`, 2.4).
const NAME_BYTES_MAX: usize = 63;
/// Most tags of an endpoint.
const TAGS_MAX: usize = 50;
/// Longest description in bytes.
const DESCRIPTION_BYTES_MAX: usize = 4096;

/// `GET /api/2.0/serving-endpoints`.
pub fn list(desk: &Desk<'_>) -> Outcome {
    let rows = desk.state.deployments.values();
    let endpoints: Vec<Value> = rows.filter_map(|row| Some(show::endpoint(row, row.endpoint()?))).collect();
    Outcome::reading(Answer::json(200, &json!({"endpoints": endpoints})))
}

/// `GET …/{name}`.
///
/// # Errors
/// 404.
pub fn get(desk: &Desk<'_>, name: &str) -> Result<Outcome, Answer> {
    let (row, spec) = find(desk, name)?;
    Ok(Outcome::reading(Answer::json(200, &show::endpoint(row, spec))))
}

/// `POST /api/2.0/serving-endpoints`.
///
/// # Errors
/// 400 naming every fault; 409 when the name is taken, by whichever kind of deployment.
pub fn create(desk: &mut Desk<'_>, body: &Map<String, Value>) -> Result<Outcome, Answer> {
    let mut faults = Faults::default();
    let members = Members::root(body);
    let name = members.required_text("name", &mut faults).and_then(|name| read_name(name, &mut faults));
    refuse(&faults)?;
    let Some(name) = name else { return Err(error(400, "INVALID_PARAMETER_VALUE", "'name' is required.")) };
    if desk.state.deployments.contains_key(&name.folded()) {
        let text = format!("Endpoint with name '{name}' already exists.");
        return Err(error(409, "RESOURCE_ALREADY_EXISTS", &text));
    }
    let spec = EndpointSpec {
        description: read_description(&members, &mut faults),
        tags: members
            .list("tags", &mut faults)
            .map(|list| read_tags(list, "tags", &mut faults))
            .unwrap_or_default(),
        rate_limits: rate_limits::read(&members, &mut faults).unwrap_or_default(),
        gateway: Gateway::default(),
        active: None,
        pending: None,
    };
    refuse_unsupported(&members, &mut faults);
    let wish = members
        .required_members("config", &mut faults)
        .and_then(|members| config::read(desk, &members, None, 1, &mut faults));
    refuse(&faults)?;
    let Some(wish) = wish else { return Err(error(400, "INVALID_PARAMETER_VALUE", "'config' is required.")) };
    let row = DeploymentRow {
        name,
        id: desk.entropy.identifier(),
        creator: desk.actor.to_owned(),
        created_at: desk.now,
        updated_at: desk.now,
        spec: DeploymentSpec::ServingEndpoint(spec.clone()),
    };
    config::begin(desk, &row, spec, wish, "endpoint.create")
}

/// `DELETE …/{name}`: `{}`.
///
/// # Errors
/// 404.
pub fn delete(desk: &Desk<'_>, name: &str) -> Result<Outcome, Answer> {
    let (row, _) = find(desk, name)?;
    let changes = Vec::from([Change::DropDeployment(row.name.folded())]);
    Ok(Outcome::writing(Answer::json(200, &json!({})), "endpoint.delete", row.name.as_str(), changes))
}

/// `PATCH …/{name}/tags` with `add_tags` and `delete_tags`: all tags after the change.
///
/// # Errors
/// 404; 400 naming every fault.
pub fn patch_tags(desk: &Desk<'_>, name: &str, body: &Map<String, Value>) -> Result<Outcome, Answer> {
    let (row, spec) = find(desk, name)?;
    let mut faults = Faults::default();
    let members = Members::root(body);
    let mut spec = spec.clone();
    for key in members.texts("delete_tags", &mut faults).unwrap_or_default() {
        spec.tags.remove(key);
    }
    if let Some(list) = members.list("add_tags", &mut faults) {
        spec.tags.extend(read_tags(list, "add_tags", &mut faults));
    }
    if spec.tags.len() > TAGS_MAX {
        faults.note("add_tags", format!("would make more than {TAGS_MAX} tags"));
    }
    refuse(&faults)?;
    let answer = Answer::json(200, &json!({"tags": show::tags(&spec)}));
    Ok(changed(desk, row, spec, answer, "endpoint.tags"))
}

/// The endpoint of this name.
///
/// # Errors
/// 404 in Databricks' wording.
pub fn find<'a>(desk: &Desk<'a>, name: &str) -> Result<(&'a DeploymentRow, &'a EndpointSpec), Answer> {
    let row = desk.state.deployments.get(&name.to_ascii_lowercase());
    row.and_then(|row| Some((row, row.endpoint()?))).ok_or_else(|| {
        error(404, "RESOURCE_DOES_NOT_EXIST", &format!("Endpoint with name '{name}' does not exist."))
    })
}

/// The outcome of a change to an endpoint that leaves its configuration as it is.
pub fn changed(
    desk: &Desk<'_>,
    row: &DeploymentRow,
    spec: EndpointSpec,
    answer: Answer,
    action: &'static str,
) -> Outcome {
    let row =
        DeploymentRow { updated_at: desk.now, spec: DeploymentSpec::ServingEndpoint(spec), ..row.clone() };
    let target = row.name.as_str().to_owned();
    Outcome::writing(answer, action, &target, Vec::from([Change::Deployment(row)]))
}

fn read_name(text: &str, faults: &mut Faults) -> Option<DeploymentName> {
    if text.len() > NAME_BYTES_MAX || text.contains('.') {
        faults.note("name", "must be 1 to 63 letters, digits, '-' or '_'");
        return None;
    }
    if text.eq_ignore_ascii_case("pt") || text.to_ascii_lowercase().starts_with("databricks-") {
        faults.note("name", "is reserved: 'pt' and names that begin with 'databricks-'");
        return None;
    }
    DeploymentName::parse(text).map_err(|problem| faults.note("name", format!("{problem}"))).ok()
}

fn read_description(members: &Members<'_>, faults: &mut Faults) -> String {
    let text = members.text("description", faults).unwrap_or_default();
    if text.len() > DESCRIPTION_BYTES_MAX {
        faults.note("description", "must be at most 4096 bytes");
    }
    text.to_owned()
}

fn read_tags(list: &[Value], path: &str, faults: &mut Faults) -> BTreeMap<String, Option<String>> {
    let mut tags = BTreeMap::new();
    for (at, item) in list.iter().enumerate() {
        let path = position(path, at);
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
        faults.note(path, format!("must be at most {TAGS_MAX}"));
    }
    tags
}

fn refuse_unsupported(members: &Members<'_>, faults: &mut Faults) {
    if members.boolean("route_optimized", faults) == Some(true) {
        faults.note("route_optimized", "must not be true with an external model");
    }
    let gateway = members.get("ai_gateway");
    if gateway.is_some_and(|value| value.as_object().is_none_or(|map| !map.is_empty())) {
        faults.note("ai_gateway", "is not supported yet; use rate_limits");
    }
}
