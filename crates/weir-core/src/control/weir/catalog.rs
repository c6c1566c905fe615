//! `/api/weir/v1/catalog/models`: the catalog on the wire.
//!
//! Decides when an entry may be replaced or removed; not what is in it (`control::catalog`).

use super::super::answer::Answer;
use super::super::catalog;
use super::super::command::{Change, Desk, Outcome};
use super::super::document::Faults;
use super::super::state::{CatalogRow, DeploymentRow};
use super::{conflict, invalid, not_found};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use serde_json::{Map, Value, json};

/// Most entries of a catalog beside the bundled ones.
const ENTRIES_MAX: usize = 2000;

/// `GET …/catalog/models`.
pub fn list(desk: &Desk<'_>) -> Outcome {
    let models: Vec<Value> = catalog::all(desk.state).iter().map(|row| shown(row)).collect();
    Outcome::reading(Answer::json(200, &json!({"models": models})))
}

/// `GET …/catalog/models/{name}`.
///
/// # Errors
/// 404.
pub fn get(desk: &Desk<'_>, name: &str) -> Result<Outcome, Answer> {
    let row = catalog::find(desk.state, name).ok_or_else(|| not_found("model", name))?;
    Ok(Outcome::reading(Answer::json(200, &shown(&row))))
}

/// `PUT …/catalog/models/{name}`: 201 when it is new, else 200. Deployments of the model follow at once.
///
/// # Errors
/// 400 with the path of each fault, 409 when deployments have another task or the catalog is full.
pub fn put(desk: &mut Desk<'_>, name: &str, body: &Map<String, Value>) -> Result<Outcome, Answer> {
    let mut faults = Faults::default();
    let Some(row) = catalog::read(name, body, desk, &mut faults) else { return Err(invalid(&faults)) };
    let known = catalog::find(desk.state, name);
    let other_task = known.as_ref().is_some_and(|known| known.task != row.task);
    if let Some(user) = users(desk, name).first().filter(|_| other_task) {
        let text = format!("The task cannot change while deployment '{}' uses the model.", user.name);
        return Err(conflict(&text));
    }
    if known.is_none() && desk.state.catalog.len() >= ENTRIES_MAX {
        return Err(conflict(&format!(
            "The catalog holds {ENTRIES_MAX} entries already; delete some first."
        )));
    }
    let status = if known.is_some() { 200 } else { 201 };
    let answer = Answer::json(status, &shown(&row));
    Ok(Outcome::writing(answer, "catalog.put", name, Vec::from([Change::Catalog(row)])))
}

/// `DELETE …/catalog/models/{name}`: 204; a bundled entry of the same name stands again.
///
/// # Errors
/// 404, or 409 while deployments use the model or when it is bundled.
pub fn delete(desk: &Desk<'_>, name: &str) -> Result<Outcome, Answer> {
    let folded = name.to_ascii_lowercase();
    if !desk.state.catalog.contains_key(&folded) {
        let bundled = catalog::find(desk.state, name).is_some();
        let text = "This entry is bundled with Weir and cannot be deleted; PUT one of the same name instead.";
        return Err(if bundled { conflict(text) } else { not_found("model", name) });
    }
    if let Some(user) = users(desk, name).first() {
        return Err(conflict(&format!(
            "Deployment '{}' uses this model; delete the deployment first.",
            user.name
        )));
    }
    let changes = Vec::from([Change::DropCatalog(folded)]);
    Ok(Outcome::writing(Answer::empty(204), "catalog.delete", name, changes))
}

fn users<'a>(desk: &Desk<'a>, name: &str) -> Vec<&'a DeploymentRow> {
    let uses = |row: &&DeploymentRow| row.model().is_some_and(|model| model.eq_ignore_ascii_case(name));
    desk.state.deployments.values().filter(uses).collect()
}

fn shown(row: &CatalogRow) -> Value {
    let mut entry = row.shown.clone();
    entry.insert("name".into(), row.name.as_str().into());
    Value::Object(entry)
}
