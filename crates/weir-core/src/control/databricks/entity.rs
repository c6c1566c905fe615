//! One served entity: an external model, or a model of the catalog with its sizes (`databricks.md`, 3.1 and 5.3, points
//! 3 and 13).
//!
//! Decides what an entity must hold; not what an external model is (`external_model`) and which models there are
//! (`foundation`). Sizes are checked and shown again: how much a catalog model can take is its backends' business.

use super::super::command::Desk;
use super::super::document::{Faults, Members};
use super::super::external_model::{self, parse_reference};
use super::super::state::EntityRow;
use super::foundation;
use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use serde_json::{Map, Value, json};

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
const WORKLOAD_TYPES: [&str; 9] = [
    "CPU",
    "CPU_MEDIUM",
    "CPU_LARGE",
    "GPU_SMALL",
    "GPU_MEDIUM",
    "GPU_LARGE",
    "GPU_XLARGE",
    "GPU_XLARGE_8",
    "MULTIGPU_MEDIUM",
];
/// Longest text of a member that is only shown again.
const TEXT_BYTES_MAX: usize = 1024;
/// Most environment variables.
const VARIABLES_MAX: usize = 100;

/// Reads the entity at `path`; every fault is noted. `model`: it has the members of the deprecated `served_models`.
pub fn read(
    desk: &mut Desk<'_>,
    item: &Value,
    path: &str,
    model: bool,
    faults: &mut Faults,
) -> Option<EntityRow> {
    let given = Members::of(item, path, faults)?;
    let mut renamed = given.map().clone();
    if model {
        for (old, new) in [("model_name", "entity_name"), ("model_version", "entity_version")] {
            renamed.remove(new);
            if let Some(value) = renamed.remove(old) {
                renamed.insert(new.to_owned(), value);
            }
        }
    }
    let item = Value::Object(renamed);
    let entity = Members::of(&item, path, faults)?;
    // Some clients send explicit zeros and empty texts for what they do not mean.
    let meant = |name: &str| {
        let void = |value: &Value| [json!(0), json!(""), json!(false)].contains(value);
        entity.get(name).is_some_and(|value| !void(value))
    };
    let name = read_name(&entity, faults).ok()?;
    let Some(external) = entity.get("external_model") else {
        if meant("entity_name") {
            return of_catalog(desk, &entity, name, faults);
        }
        faults.note(&entity.path("external_model"), "is required, or entity_name");
        return None;
    };
    for member in SIZING.into_iter().filter(|member| meant(member)) {
        let text = match member {
            "min_provisioned_throughput" | "max_provisioned_throughput" | "provisioned_model_units" => {
                "must not be given: provisioned throughput is not supported for endpoints with external models"
            }
            _ => "must not be given with an external model",
        };
        faults.note(&entity.path(member), text);
    }
    let backend = external_model::read(external, &entity.path("external_model"), desk, faults)?;
    Some(EntityRow {
        name: name.map_or_else(|| backend.entity.name.clone(), ToOwned::to_owned),
        share: 0,
        task: backend.task,
        backend: Some(backend),
        shown: Map::new(),
        creator: desk.actor.to_owned(),
        created_at: desk.now,
    })
}

fn of_catalog(
    desk: &Desk<'_>,
    entity: &Members<'_>,
    name: Option<&str>,
    faults: &mut Faults,
) -> Option<EntityRow> {
    let model = entity.required_text("entity_name", faults)?;
    let before = faults.0.len();
    let mut shown = Map::new();
    shown.insert("entity_name".to_owned(), model.into());
    let entry = foundation::model(desk.state, model);
    match &entry {
        None => faults.note(&entity.path("entity_name"), "names a model that the catalog does not have"),
        Some(entry) if entry.backends.is_empty() => {
            let text = "names a model that nobody serves; give it backends with PUT /api/weir/v1/catalog/models/{name}";
            faults.note(&entity.path("entity_name"), text);
        }
        Some(_) => {}
    }
    let version = entity.text("entity_version", faults).filter(|text| !text.is_empty());
    let version = version.map_or_else(|| "1".to_owned(), ToOwned::to_owned);
    if version.len() > 64 {
        faults.note(&entity.path("entity_version"), "must be at most 64 bytes");
    }
    shown.insert("entity_version".to_owned(), version.as_str().into());
    let chunk = entry.as_ref().map_or(1, |entry| foundation::chunk(entry));
    read_sizes(entity, chunk, &mut shown, faults);
    read_texts(desk, entity, &mut shown, faults);
    let entry = entry.filter(|_| faults.0.len() == before)?;
    Some(EntityRow {
        name: name.map_or_else(|| format!("{model}-{version}"), ToOwned::to_owned),
        share: 0,
        task: entry.task,
        backend: None,
        shown,
        creator: desk.actor.to_owned(),
        created_at: desk.now,
    })
}

/// Throughput in multiples of the model's chunk, concurrency, model units. Zero is none.
fn read_sizes(entity: &Members<'_>, chunk: u64, shown: &mut Map<String, Value>, faults: &mut Faults) {
    let mut amount = |name: &str, faults: &mut Faults| {
        let amount = entity.integer(name, faults).filter(|amount| *amount > 0)?;
        shown.insert(name.to_owned(), amount.into());
        Some(amount)
    };
    let least = amount("min_provisioned_throughput", faults);
    let most = amount("max_provisioned_throughput", faults);
    if least.zip(most).is_some_and(|(least, most)| least > most) {
        let text = "must be at most max_provisioned_throughput";
        faults.note(&entity.path("min_provisioned_throughput"), text);
    }
    for (name, amount) in [("min_provisioned_throughput", least), ("max_provisioned_throughput", most)] {
        if amount.is_some_and(|amount| amount.checked_rem(chunk) != Some(0)) {
            faults.note(&entity.path(name), format!("must be a multiple of the model's chunk size, {chunk}"));
        }
    }
    amount("provisioned_model_units", faults);
    let (fewest, highest) =
        (amount("min_provisioned_concurrency", faults), amount("max_provisioned_concurrency", faults));
    if fewest.zip(highest).is_some_and(|(fewest, highest)| fewest > highest) {
        let text = "must be at most max_provisioned_concurrency";
        faults.note(&entity.path("min_provisioned_concurrency"), text);
    }
    let sized = entity.text("workload_size", faults).is_some_and(|text| !text.is_empty());
    if sized && (fewest.is_some() || highest.is_some()) {
        faults.note(&entity.path("workload_size"), "must not be given beside a provisioned concurrency");
    }
}

fn read_texts(desk: &Desk<'_>, entity: &Members<'_>, shown: &mut Map<String, Value>, faults: &mut Faults) {
    for name in ["workload_size", "workload_type", "instance_profile_arn"] {
        let Some(text) = entity.text(name, faults).filter(|text| !text.is_empty()) else { continue };
        if text.len() > TEXT_BYTES_MAX {
            faults.note(&entity.path(name), "must be at most 1024 bytes");
        }
        if name == "workload_type" && !WORKLOAD_TYPES.contains(&text) {
            faults.note(&entity.path(name), format!("must be one of {}", WORKLOAD_TYPES.join(", ")));
        }
        shown.insert(name.to_owned(), text.into());
    }
    if let Some(flag) = entity.boolean("scale_to_zero_enabled", faults) {
        shown.insert("scale_to_zero_enabled".to_owned(), flag.into());
    }
    // Accepted, and never shown.
    entity.boolean("burst_scaling_enabled", faults);
    let Some(variables) = entity.members("environment_vars", faults) else { return };
    let mut kept = Map::new();
    for name in variables.names().take(VARIABLES_MAX) {
        let Some(text) = variables.text(name, faults) else { continue };
        if text.len() > TEXT_BYTES_MAX {
            faults.note(&variables.path(name), "must be at most 1024 bytes");
        }
        let known = |secret: &String| desk.state.secrets.contains_key(secret);
        if text.starts_with("{{secrets/") && !parse_reference(text).as_ref().is_some_and(known) {
            faults.note(&variables.path(name), "names a secret that does not exist");
        }
        kept.insert(name.to_owned(), text.into());
    }
    shown.insert("environment_vars".to_owned(), Value::Object(kept));
}

/// The entity's name; `Err` if it is not legal.
fn read_name<'a>(entity: &Members<'a>, faults: &mut Faults) -> Result<Option<&'a str>, ()> {
    let name = entity.text("name", faults);
    let legal = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if name.is_some_and(|name| name.is_empty() || name.len() > 128 || !name.chars().all(legal)) {
        faults.note(&entity.path("name"), "must be 1 to 128 letters, digits, '-' or '_'");
        return Err(());
    }
    Ok(name)
}

/// The name by which an entity is served where one endpoint's entity has several backends.
pub fn backend_name(entity: &str, at: usize) -> String {
    if at == 0 { entity.to_owned() } else { format!("{entity}-{}", at.saturating_add(1)) }
}
