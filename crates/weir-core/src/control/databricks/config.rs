//! An endpoint's configuration: what it must hold (`databricks.md`, 3 and 5.3).
//!
//! Decides validation of the whole; not what an entity must hold (`entity`), nor how one configuration replaces
//! another (`update`).

use super::super::answer::position;
use super::super::command::Desk;
use super::super::defaults;
use super::super::document::{Faults, Members};
use super::super::state::{EndpointConfig, EndpointSpec, EntityRow};
use super::entity;
use crate::sorted::SortedMap;
use alloc::borrow::ToOwned;
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use serde_json::{Map, Value};

/// Most served entities of an endpoint (`databricks.md`, 2.4: 15 are accepted by the service).
const ENTITIES_MAX: usize = 15;

/// What a body asks for.
pub struct Wish {
    /// The configuration.
    pub config: EndpointConfig,
    /// Whether its upstreams must be probed before it serves.
    pub probed: bool,
}

impl Wish {
    /// Whether its entities are external models.
    pub fn is_external(&self) -> bool {
        self.config.entities.first().is_some_and(|row| row.backend.is_some())
    }
}

/// Reads a `CoreConfigInput` for an endpoint as it is; every fault is noted. Entities that are not given stay as they
/// are.
pub fn read(
    desk: &mut Desk<'_>,
    members: &Members<'_>,
    spec: &EndpointSpec,
    faults: &mut Faults,
) -> Option<Wish> {
    let active = spec.active.as_ref();
    let given = given_entities(members, faults);
    let traffic = members.members("traffic_config", faults);
    let (mut entities, probed) = match (given, active) {
        (Some((list, path, model)), _) => (read_entities(desk, list, &path, model, faults), true),
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
        row.share = shares.get(&row.name).copied().unwrap_or(0);
    }
    check_kind(desk, &entities, spec, &members.path("served_entities"), faults);
    let external = entities.first().is_some_and(|row| row.backend.is_some());
    let kept = active.and_then(|active| active.auto_capture.clone());
    let auto_capture = read_auto_capture(members, external, faults).or(kept);
    let version = spec.newest_version().saturating_add(1);
    Some(Wish { config: EndpointConfig { version, entities, auto_capture }, probed })
}

/// Requires what the provisioned-throughput variants size their entities by.
pub fn read_units(members: &Members<'_>, faults: &mut Faults) {
    let list = members.list("served_entities", faults).map(Vec::as_slice).unwrap_or_default();
    for (at, item) in list.iter().enumerate() {
        let path = position(&members.path("served_entities"), at);
        let Some(entity) = Members::of(item, &path, faults) else { continue };
        for name in ["entity_name", "entity_version", "provisioned_model_units"] {
            if entity.get(name).is_none() {
                faults.note(&entity.path(name), "is required");
            }
        }
    }
}

/// The list of entities with its path, and whether it is the deprecated one, whose members have other names.
fn given_entities<'a>(members: &Members<'a>, faults: &mut Faults) -> Option<(&'a [Value], String, bool)> {
    let models = members.list("served_models", faults).filter(|list| !list.is_empty());
    let entities = members.list("served_entities", faults);
    match (entities, models) {
        (Some(list), Some(_)) if !list.is_empty() => {
            faults.note(&members.path("served_models"), "must not be given beside served_entities");
            Some((list, members.path("served_entities"), false))
        }
        (_, Some(list)) => Some((list, members.path("served_models"), true)),
        (Some(list), None) => Some((list, members.path("served_entities"), false)),
        (None, None) => None,
    }
}

fn read_entities(
    desk: &mut Desk<'_>,
    list: &[Value],
    path: &str,
    model: bool,
    faults: &mut Faults,
) -> Vec<EntityRow> {
    if list.is_empty() || list.len() > ENTITIES_MAX {
        faults.note(path, format!("must hold 1 to {ENTITIES_MAX} entities"));
        return Vec::new();
    }
    let (mut rows, mut names): (Vec<EntityRow>, _) = (Vec::new(), BTreeSet::new());
    for (at, item) in list.iter().enumerate() {
        let path = position(path, at);
        let Some(row) = entity::read(desk, item, &path, model, faults) else { continue };
        if let Some(first) = rows.first() {
            if first.task != row.task {
                faults.note(&path, "has another task than the first entity; all must have the same");
            }
            if first.backend.is_some() != row.backend.is_some() {
                faults.note(&path, "must be an external model if and only if the other entities are");
            }
        }
        if !names.insert(row.name.clone()) {
            faults.note(&path, format!("has the name '{}', which is not unique", row.name));
        }
        rows.push(row);
    }
    rows
}

/// An endpoint of external models stays one, and one without never gets one (`databricks.md`, 3.4).
fn check_kind(desk: &Desk<'_>, entities: &[EntityRow], spec: &EndpointSpec, path: &str, faults: &mut Faults) {
    let Some(first) = entities.first() else { return };
    match (spec.is_external(), first.backend.is_some()) {
        (Some(true), false) => faults.note(path, "must have an external model: the endpoint has one"),
        (Some(false), true) => {
            faults.note(path, "must not have an external model: the endpoint was made without one");
        }
        (Some(_) | None, _) => {}
    }
    if first.backend.is_some() && entities.len() > 1 && defaults::one_external_model(desk.state) {
        faults.note(path, "must hold exactly one entity with an external model (a setting of the account)");
    }
}

/// The legacy inference table; none without a member that says something.
fn read_auto_capture(
    members: &Members<'_>,
    external: bool,
    faults: &mut Faults,
) -> Option<Map<String, Value>> {
    let wish = members.members("auto_capture_config", faults)?;
    if wish.map().is_empty() {
        return None;
    }
    if external {
        let text = "is not supported with external models; use ai_gateway.inference_table_config";
        faults.note(&members.path("auto_capture_config"), text);
    }
    let mut shown = Map::new();
    if let Some(enabled) = wish.boolean("enabled", faults) {
        shown.insert("enabled".to_owned(), enabled.into());
    }
    for name in ["catalog_name", "schema_name", "table_name_prefix"] {
        if let Some(text) = wish.text(name, faults) {
            if text.is_empty() || text.len() > 255 {
                faults.note(&wish.path(name), "must be 1 to 255 bytes");
            }
            shown.insert(name.to_owned(), text.into());
        }
    }
    Some(shown)
}

fn read_routes(
    routes: &[Value],
    path: &str,
    entities: &[EntityRow],
    faults: &mut Faults,
) -> SortedMap<String, u32> {
    let mut shares: SortedMap<String, u32> = SortedMap::new();
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
        if !entities.is_empty() && !entities.iter().any(|row| row.name == name) {
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
) -> SortedMap<String, u32> {
    if let [only] = entities {
        return SortedMap::from([(only.name.clone(), 100)]);
    }
    let exists = |name: &String| entities.iter().any(|row| row.name == *name);
    let kept: SortedMap<String, u32> = active
        .iter()
        .flat_map(|config| &config.entities)
        .map(|row| (row.name.clone(), row.share))
        .filter(|(_, share)| *share > 0)
        .collect();
    if kept.is_empty() || !kept.keys().all(exists) {
        if !entities.is_empty() {
            faults.note(path, "is required with more than one served entity");
        }
        return SortedMap::new();
    }
    kept
}
