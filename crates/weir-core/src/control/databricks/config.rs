//! An endpoint's configuration: what it must hold, and how one replaces another (`databricks.md`, 3, 4 and 5.3).
//!
//! Decides validation and the life of an update: while the new upstreams are probed the old configuration serves
//! and a second update is refused; the outcomes of the probes commit the update or fail it. A configuration of
//! simulated models only, or one that changes shares of traffic only, needs no probe and serves at once.

use super::super::answer::{Answer, position};
use super::super::command::{Change, Desk, Outcome};
use super::super::document::{Faults, Members};
use super::super::external_model;
use super::super::probe::{self, Probed, UPDATE_MILLIS};
use super::super::state::{
    AccountState, DeploymentRow, DeploymentSpec, EndpointConfig, EndpointSpec, EntityRow, PendingConfig,
    UpdateFailure,
};
use super::endpoints::find;
use super::{error, rate_limits, refuse, show};
use crate::snapshot::Target;
use crate::time::UnixMillis;
use alloc::borrow::ToOwned;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use serde_json::{Map, Value, json};

/// Most served entities of an endpoint (`databricks.md`, 2.4: 15 are accepted by the service).
const ENTITIES_MAX: usize = 15;

/// What a body asks for.
pub struct Wish {
    config: EndpointConfig,
    probed: bool,
}

/// `PUT …/{name}/config`.
///
/// # Errors
/// 404; 409 while an update is in progress; 400 naming every fault. Nothing is changed then.
pub fn update(desk: &mut Desk<'_>, name: &str, body: &Map<String, Value>) -> Result<Outcome, Answer> {
    let (row, spec) = find(desk, name)?;
    if spec.is_updating() {
        let text = format!("Endpoint {} is currently updating. Wait for the update to finish.", row.name);
        return Err(error(409, "RESOURCE_CONFLICT", &text));
    }
    let mut faults = Faults::default();
    let members = Members::root(body);
    let mut spec = spec.clone();
    let limits = rate_limits::read(&members, &mut faults);
    let has_limits = limits.is_some();
    if let Some(limits) = limits {
        spec.rate_limits = limits;
    }
    // MLflow sends `{"served_entities":[],"rate_limits":[…]}` when only the limits shall change.
    let entities = members.list("served_entities", &mut faults);
    let limits_only = has_limits
        && entities.is_none_or(Vec::is_empty)
        && members.get("traffic_config").is_none()
        && spec.active.is_some();
    if limits_only {
        refuse(&faults)?;
        let answer = Answer::json(200, &show::endpoint(row, &spec));
        return Ok(super::endpoints::changed(desk, row, spec, answer, "endpoint.rate_limits"));
    }
    let version = spec.newest_version().saturating_add(1);
    let wish = read(desk, &members, spec.active.as_ref(), version, &mut faults);
    refuse(&faults)?;
    let Some(wish) = wish else {
        return Err(error(400, "INVALID_PARAMETER_VALUE", "Invalid request: no configuration was given."));
    };
    begin(desk, row, spec, wish, "endpoint.config")
}

/// Makes `wish` the endpoint's next configuration: at once, or once its upstreams were probed.
///
/// # Errors
/// 400 when a stored credential does not open.
pub fn begin(
    desk: &Desk<'_>,
    row: &DeploymentRow,
    mut spec: EndpointSpec,
    wish: Wish,
    action: &'static str,
) -> Result<Outcome, Answer> {
    let update = format!("{}/{}/{}", row.name.folded(), row.id, wish.config.version);
    let probes = if wish.probed { probe::plan(desk, &update, &wish.config) } else { Ok(Vec::new()) };
    let probes = probes.map_err(|fault| {
        error(400, "INVALID_PARAMETER_VALUE", &format!("A credential of the endpoint {fault}."))
    })?;
    if probes.is_empty() {
        spec.active = Some(wish.config);
        spec.pending = None;
    } else {
        spec.pending = Some(PendingConfig { config: wish.config, started_at: desk.now, failure: None });
    }
    let row = DeploymentRow {
        updated_at: desk.now,
        spec: DeploymentSpec::ServingEndpoint(spec.clone()),
        ..row.clone()
    };
    let (answer, target) = (Answer::json(200, &show::endpoint(&row, &spec)), row.name.as_str().to_owned());
    let mut outcome = Outcome::writing(answer, action, &target, Vec::from([Change::Deployment(row)]));
    outcome.probes = probes;
    Ok(outcome)
}

/// What the outcomes of probes change: the update is committed or failed. `None` when it is not pending any more.
pub fn settle(state: &AccountState, now: UnixMillis, probed: &Probed) -> Option<DeploymentRow> {
    let mut parts = probed.update.splitn(3, '/');
    let (name, id, version) = (parts.next()?, parts.next()?, parts.next()?.parse::<u64>().ok()?);
    let row = state.deployments.get(name).filter(|row| row.id == id)?;
    let spec = row.endpoint()?;
    let pending = spec.pending.as_ref()?;
    if pending.config.version != version || pending.failure.is_some() {
        return None;
    }
    let mut problems = BTreeMap::new();
    for entity in pending.config.entities.iter().map(|row| &row.backend.entity) {
        if matches!(entity.target, Target::Simulator(_)) {
            continue;
        }
        let outcome = probed.outcomes.iter().find(|outcome| outcome.entity == entity.name);
        let problem = match outcome {
            Some(outcome) => outcome.problem(),
            None => Some("the upstream was not probed".to_owned()),
        };
        if let Some(problem) = problem {
            problems.insert(entity.name.clone(), problem);
        }
    }
    Some(ended(row, spec, pending, problems, now))
}

/// Endpoints whose update was never settled in time, failed.
pub fn lapsed(state: &AccountState, now: UnixMillis) -> Vec<DeploymentRow> {
    let lapse = |row: &DeploymentRow| {
        let spec = row.endpoint()?;
        let pending = spec.pending.as_ref().filter(|pending| pending.failure.is_none())?;
        if now < pending.started_at.plus(UPDATE_MILLIS) {
            return None;
        }
        let text = "the upstream was not probed in time; update the endpoint again";
        let names = pending.config.entities.iter().map(|row| row.backend.entity.name.clone());
        let problems = names.map(|name| (name, text.to_owned())).collect();
        Some(ended(row, spec, pending, problems, now))
    };
    state.deployments.values().filter_map(lapse).collect()
}

fn ended(
    row: &DeploymentRow,
    spec: &EndpointSpec,
    pending: &PendingConfig,
    problems: BTreeMap<String, String>,
    now: UnixMillis,
) -> DeploymentRow {
    let mut spec = spec.clone();
    if problems.is_empty() {
        spec.active = Some(pending.config.clone());
        spec.pending = None;
    } else {
        let failure = Some(UpdateFailure { entities: problems });
        spec.pending = Some(PendingConfig { failure, ..pending.clone() });
    }
    DeploymentRow { updated_at: now, spec: DeploymentSpec::ServingEndpoint(spec), ..row.clone() }
}

/// Reads a `CoreConfigInput`; every fault is noted. Entities that are not given stay as they are.
pub fn read(
    desk: &mut Desk<'_>,
    members: &Members<'_>,
    active: Option<&EndpointConfig>,
    version: u64,
    faults: &mut Faults,
) -> Option<Wish> {
    for member in ["served_models", "auto_capture_config"] {
        let value = members.get(member);
        let empty = |value: &Value| {
            value.as_array().is_some_and(Vec::is_empty) || value.as_object().is_some_and(Map::is_empty)
        };
        if value.is_some_and(|value| !empty(value)) {
            let text = "is not supported with external models; use served_entities";
            faults.note(&members.path(member), text);
        }
    }
    let list = members.list("served_entities", faults);
    let traffic = members.members("traffic_config", faults);
    let (mut entities, probed) = match (list, active) {
        (Some(list), _) => (read_entities(desk, list, &members.path("served_entities"), faults), true),
        (None, Some(active)) if traffic.is_some() => (active.entities.clone(), false),
        (None, _) => {
            faults.note(&members.path("served_entities"), "is required");
            return None;
        }
    };
    let path = members.path("traffic_config");
    let shares = match traffic.as_ref().and_then(|traffic| traffic.list("routes", faults)) {
        Some(routes) => read_routes(routes, &format!("{path}.routes"), &entities, faults),
        None => default_shares(&entities, active, &path, faults),
    };
    for row in &mut entities {
        row.backend.entity.weight = shares.get(&row.backend.entity.name).copied().unwrap_or(0);
    }
    Some(Wish { config: EndpointConfig { version, entities }, probed })
}

fn read_entities(desk: &mut Desk<'_>, list: &[Value], path: &str, faults: &mut Faults) -> Vec<EntityRow> {
    if list.is_empty() || list.len() > ENTITIES_MAX {
        faults.note(path, format!("must hold 1 to {ENTITIES_MAX} entities"));
        return Vec::new();
    }
    let (mut rows, mut names): (Vec<EntityRow>, _) = (Vec::new(), BTreeSet::new());
    for (at, item) in list.iter().enumerate() {
        let Some(row) = read_entity(desk, item, &position(path, at), faults) else { continue };
        if rows.first().is_some_and(|first| first.backend.task != row.backend.task) {
            faults
                .note(&position(path, at), "has another task than the first entity; all must have the same");
        }
        if !names.insert(row.backend.entity.name.clone()) {
            let text = format!("has the name '{}', which is not unique", row.backend.entity.name);
            faults.note(&position(path, at), text);
        }
        rows.push(row);
    }
    rows
}

fn read_entity(desk: &mut Desk<'_>, item: &Value, path: &str, faults: &mut Faults) -> Option<EntityRow> {
    /// Members that size or name a model of Unity Catalog, which an external model is not.
    const SIZING: [&str; 11] = [
        "entity_name",
        "entity_version",
        "workload_size",
        "workload_type",
        "scale_to_zero_enabled",
        "min_provisioned_throughput",
        "max_provisioned_throughput",
        "provisioned_model_units",
        "min_provisioned_concurrency",
        "max_provisioned_concurrency",
        "instance_profile_arn",
    ];
    let entity = Members::of(item, path, faults)?;
    // Some clients send explicit zeros and empty texts for what they do not mean.
    let meant = |name: &str| {
        let void = |value: &Value| [json!(0), json!(""), json!(false)].contains(value);
        entity.get(name).is_some_and(|value| !void(value))
    };
    let Some(model) = entity.get("external_model") else {
        let text = if meant("entity_name") {
            "is required: other models are not supported yet"
        } else {
            "is required"
        };
        faults.note(&entity.path("external_model"), text);
        return None;
    };
    for member in SIZING.into_iter().filter(|member| meant(member)) {
        faults.note(&entity.path(member), "must not be given with an external model");
    }
    let name = entity.text("name", faults);
    let legal = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if name.is_some_and(|name| name.is_empty() || name.len() > 128 || !name.chars().all(legal)) {
        faults.note(&entity.path("name"), "must be 1 to 128 letters, digits, '-' or '_'");
        return None;
    }
    let mut backend = external_model::read(model, &entity.path("external_model"), desk, faults)?;
    if let Some(name) = name {
        name.clone_into(&mut backend.entity.name);
    }
    Some(EntityRow { backend, creator: desk.actor.to_owned(), created_at: desk.now })
}

fn read_routes(
    routes: &[Value],
    path: &str,
    entities: &[EntityRow],
    faults: &mut Faults,
) -> BTreeMap<String, u32> {
    let mut shares: BTreeMap<String, u32> = BTreeMap::new();
    let mut sum = 0u64;
    if routes.len() > ENTITIES_MAX {
        faults.note(path, format!("must be at most {ENTITIES_MAX}"));
        return shares;
    }
    for (at, item) in routes.iter().enumerate() {
        let Some(route) = Members::of(item, &position(path, at), faults) else { continue };
        let (old, new) = (route.text("served_model_name", faults), route.text("served_entity_name", faults));
        let Some(name) = new.or(old) else {
            faults.note(&route.path("served_entity_name"), "is required");
            continue;
        };
        if !entities.is_empty() && !entities.iter().any(|row| row.backend.entity.name == name) {
            faults.note(
                &route.path("served_entity_name"),
                format!("names '{name}', which is no served entity"),
            );
        }
        if route.get("traffic_percentage").is_none() {
            faults.note(&route.path("traffic_percentage"), "is required");
        }
        let share = route.integer("traffic_percentage", faults).unwrap_or(0);
        if share > 100 {
            faults.note(&route.path("traffic_percentage"), "must be 0 to 100");
        }
        sum = sum.saturating_add(share);
        let share = u32::try_from(share).unwrap_or(u32::MAX);
        if shares.insert(name.to_owned(), share).is_some() {
            faults.note(&position(path, at), format!("is a second route for '{name}'"));
        }
    }
    if sum != 100 {
        faults.note(path, "must have traffic percentages that sum to 100");
    }
    shares
}

fn default_shares(
    entities: &[EntityRow],
    active: Option<&EndpointConfig>,
    path: &str,
    faults: &mut Faults,
) -> BTreeMap<String, u32> {
    if let [only] = entities {
        return BTreeMap::from([(only.backend.entity.name.clone(), 100)]);
    }
    let exists = |name: &String| entities.iter().any(|row| row.backend.entity.name == *name);
    let kept: BTreeMap<String, u32> = active
        .iter()
        .flat_map(|config| &config.entities)
        .map(|row| (row.backend.entity.name.clone(), row.backend.entity.weight))
        .filter(|(_, share)| *share > 0)
        .collect();
    if kept.is_empty() || !kept.keys().all(exists) {
        if !entities.is_empty() {
            faults.note(path, "is required with more than one served entity");
        }
        return BTreeMap::new();
    }
    kept
}
