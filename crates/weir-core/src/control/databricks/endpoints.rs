//! Serving endpoints: create, get, list, delete (`databricks.md`, 2; routes M1 to M4).
//!
//! Decides what a create body must hold and when a name is free; not what a configuration must hold (`config`), and
//! not what is only told about an endpoint (`details`).

use super::super::answer::Answer;
use super::super::command::{Change, Desk, Outcome};
use super::super::document::{Faults, Members};
use super::super::guardrails;
use super::super::state::{DeploymentRow, DeploymentSpec, EndpointSpec};
use super::{config, details, error, foundation, gateway, rate_limits, refuse, show, update};
use crate::id::DeploymentName;
use alloc::borrow::{Cow, ToOwned};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use serde_json::{Map, Value, json};

/// Longest name of an endpoint (`databricks.md`, 2.4).
const NAME_BYTES_MAX: usize = 63;
/// Names that are words of routes.
const RESERVED: [&str; 2] = ["pt", "get-model-optimization-info"];

/// An endpoint: its row and what it is.
pub type Found<'a> = (Cow<'a, DeploymentRow>, Cow<'a, EndpointSpec>);

/// `GET /api/2.0/serving-endpoints`: those that exist by themselves first.
pub fn list(desk: &Desk<'_>) -> Outcome {
    let system = foundation::endpoints(desk.state);
    let mut endpoints: Vec<Value> = system.iter().map(|(row, spec)| show::summary(desk, row, spec)).collect();
    let own = desk.state.deployments.values().filter_map(|row| Some((row, row.endpoint()?)));
    endpoints.extend(own.map(|(row, spec)| show::summary(desk, row, spec)));
    Outcome::reading(Answer::json(200, &json!({"endpoints": endpoints})))
}

/// `GET …/{name}`.
///
/// # Errors
/// 404.
pub fn get(desk: &Desk<'_>, name: &str) -> Result<Outcome, Answer> {
    let (row, spec) = find(desk, name)?;
    Ok(Outcome::reading(Answer::json(200, &show::endpoint(desk, &row, &spec))))
}

/// `POST /api/2.0/serving-endpoints`, and `…/pt` with `sized_by_units`: its entities are sized by model units, and
/// it serves at once.
///
/// # Errors
/// 400 naming every fault; 409 when the name is taken, by whichever kind of deployment.
pub fn create(
    desk: &mut Desk<'_>,
    body: &Map<String, Value>,
    sized_by_units: bool,
) -> Result<Outcome, Answer> {
    let mut faults = Faults::default();
    let members = Members::root(body);
    let name = members.required_text("name", &mut faults).and_then(|name| read_name(name, &mut faults));
    refuse(&faults)?;
    let Some(name) = name else { return Err(error(400, "INVALID_PARAMETER_VALUE", "'name' is required.")) };
    if desk.state.deployments.contains_key(&name.folded()) {
        let text = format!("Endpoint with name '{name}' already exists.");
        return Err(error(409, "RESOURCE_ALREADY_EXISTS", &text));
    }
    let mut spec = EndpointSpec {
        description: details::read_description(&members, &mut faults),
        tags: details::read_tags(&members, "tags", &mut faults),
        rate_limits: rate_limits::read(&members, &mut faults).unwrap_or_default(),
        kept: details::read_kept(&members, &mut faults),
        ..EndpointSpec::default()
    };
    if let Some(wish) = members.members("ai_gateway", &mut faults) {
        spec.gateway = gateway::read(&wish, name.as_str(), &mut faults);
        guardrails::check(desk.state, &spec.gateway, "ai_gateway.", &mut faults);
    }
    let wish = members.required_members("config", &mut faults).and_then(|members| {
        if sized_by_units {
            config::read_units(&members, &mut faults);
        }
        config::read(desk, &members, &spec, &mut faults)
    });
    if let Some(wish) = &wish
        && wish.is_external()
    {
        // The telemetry of external models is accepted and not kept.
        spec.kept.remove("telemetry_config");
        if spec.kept.contains_key("route_optimized") {
            faults.note("route_optimized", "must not be true with an external model");
        }
    }
    refuse(&faults)?;
    let Some(mut wish) = wish else {
        return Err(error(400, "INVALID_PARAMETER_VALUE", "'config' is required."));
    };
    wish.probed &= !sized_by_units;
    let row = DeploymentRow {
        name,
        id: desk.entropy.identifier(),
        creator: desk.actor.to_owned(),
        created_at: desk.now,
        updated_at: desk.now,
        spec: DeploymentSpec::ServingEndpoint(spec.clone()),
    };
    update::begin(desk, &row, spec, wish, "endpoint.create")
}

/// `PUT /api/2.0/serving-endpoints/pt/{name}/config`: applies at once.
///
/// # Errors
/// As an update; 400 for an endpoint of external models.
pub fn update_units(desk: &mut Desk<'_>, name: &str, body: &Map<String, Value>) -> Result<Outcome, Answer> {
    let (row, spec) = find(desk, name)?;
    let (row, spec) = (row.into_owned(), spec.into_owned());
    update::refuse_system(&row)?;
    update::refuse_busy(&row, &spec)?;
    let mut faults = Faults::default();
    let members = Members::root(body).required_members("config", &mut faults);
    let wish = members.and_then(|members| {
        config::read_units(&members, &mut faults);
        config::read(desk, &members, &spec, &mut faults)
    });
    refuse(&faults)?;
    let Some(mut wish) = wish else {
        return Err(error(400, "INVALID_PARAMETER_VALUE", "'config' is required."));
    };
    wish.probed = false;
    update::begin(desk, &row, spec, wish, "endpoint.config")
}

/// `DELETE …/{name}`: `{}`.
///
/// # Errors
/// 404; 400 for one that exists by itself.
pub fn delete(desk: &Desk<'_>, name: &str) -> Result<Outcome, Answer> {
    let (row, _) = find(desk, name)?;
    update::refuse_system(&row)?;
    let changes = Vec::from([Change::DropDeployment(row.name.folded())]);
    Ok(Outcome::writing(Answer::json(200, &json!({})), "endpoint.delete", row.name.as_str(), changes))
}

/// The endpoint of this name.
///
/// # Errors
/// 404 in Databricks' wording.
pub fn find<'a>(desk: &Desk<'a>, name: &str) -> Result<Found<'a>, Answer> {
    if let Some(row) = desk.state.deployments.get(&name.to_ascii_lowercase()) {
        if let Some(spec) = row.endpoint() {
            return Ok((Cow::Borrowed(row), Cow::Borrowed(spec)));
        }
    } else if let Some((row, spec)) = foundation::endpoint(desk.state, name) {
        return Ok((Cow::Owned(row), Cow::Owned(spec)));
    }
    Err(error(404, "RESOURCE_DOES_NOT_EXIST", &format!("Endpoint with name '{name}' does not exist.")))
}

/// The outcome of a change to an endpoint. Of one that exists by itself only its limits and its gateway can change.
pub fn changed(
    desk: &Desk<'_>,
    row: &DeploymentRow,
    spec: EndpointSpec,
    answer: Answer,
    action: &'static str,
) -> Outcome {
    let change = if row.id.is_empty() {
        foundation::stored(row, &spec)
    } else {
        let spec = DeploymentSpec::ServingEndpoint(spec);
        Change::Deployment(DeploymentRow { updated_at: desk.now, spec, ..row.clone() })
    };
    Outcome::writing(answer, action, row.name.as_str(), Vec::from([change]))
}

fn read_name(text: &str, faults: &mut Faults) -> Option<DeploymentName> {
    if text.len() > NAME_BYTES_MAX || text.contains('.') {
        faults.note("name", "must be 1 to 63 letters, digits, '-' or '_'");
        return None;
    }
    let folded = text.to_ascii_lowercase();
    if RESERVED.contains(&folded.as_str()) || folded.starts_with(foundation::PREFIX) {
        faults.note("name", "is reserved: words of routes, and names that begin with 'databricks-'");
        return None;
    }
    DeploymentName::parse(text).map_err(|problem| faults.note("name", format!("{problem}"))).ok()
}
