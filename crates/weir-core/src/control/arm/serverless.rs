//! Serverless endpoints (`azure.md`, C1): the newest version of a model, behind a host name and two keys of its own.
//!
//! Decides which endpoints may be made and what each verb answers; not how subscriptions come and go
//! (`subscriptions`) and not how an endpoint is called (`surface`). An endpoint's state follows from its
//! subscription: without one it is `Suspended`, with one again `Online`.

mod keys;
mod show;
mod wish;

use super::super::answer::{Answer, Location, ManagementRequest};
use super::super::command::{Change, Desk, Outcome};
use super::super::document::{Faults, Members};
use super::super::errand::{Entry, Errand};
use super::super::state::{CatalogRow, DeploymentRow, DeploymentSpec, ServerlessSpec};
use super::super::{catalog, defaults};
use super::convention::{began, body, fault, listed, not_found, refuse, user_error, wrong_method};
use super::{AccountPath, Provider, not_supported, subscriptions};
use crate::id::DeploymentName;
use alloc::borrow::{Cow, ToOwned};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use serde_json::{Map, Value, json};
use wish::{Wish, read_shown};

pub use wish::check_model_id;

/// The member that names the model.
const MODEL: &str = "properties.modelSettings.modelId";

/// Answers one request below `W/serverlessEndpoints`.
///
/// # Errors
/// The refusal, rendered; nothing is changed then.
pub fn handle(
    desk: &mut Desk<'_>,
    request: &ManagementRequest,
    location: &Location,
    path: &AccountPath,
    rest: &[&str],
) -> Result<Outcome, Answer> {
    match (request.method.as_str(), rest) {
        ("GET", []) => list(desk, location),
        ("GET", [name]) => get(desk, path, name),
        ("PUT", [name]) => put(desk, request, location, path, name),
        ("PATCH", [name]) => patch(desk, path, name, &body(request)?),
        ("DELETE", [name]) => delete(desk, location, path, name),
        ("POST", [name, "listkeys"]) => {
            let (_, spec) = existing(desk, path, name)?;
            keys::shown(desk, name, spec).map(Outcome::reading)
        }
        ("POST", [name, "regeneratekeys"]) => keys::regenerate(desk, path, name, &body(request)?),
        (_, []) => Err(wrong_method("GET")),
        (_, [_]) => Err(wrong_method("GET, PUT, PATCH, DELETE")),
        (_, [_, "listkeys" | "regeneratekeys"]) => Err(wrong_method("POST")),
        (method, _) => Err(not_supported(method, &location.path)),
    }
}

fn list(desk: &Desk<'_>, location: &Location) -> Result<Outcome, Answer> {
    let rows = desk.state.deployments.values();
    let items = rows.filter_map(|row| Some(show::shown(desk, row, row.serverless()?))).collect();
    listed(desk, location, items)
}

fn get(desk: &Desk<'_>, path: &AccountPath, name: &str) -> Result<Outcome, Answer> {
    let (row, spec) = find(desk, name).ok_or_else(|| missing(path, name))?;
    Ok(Outcome::reading(Answer::json(200, &show::shown(desk, row, spec))))
}

fn put(
    desk: &mut Desk<'_>,
    request: &ManagementRequest,
    location: &Location,
    path: &AccountPath,
    name: &str,
) -> Result<Outcome, Answer> {
    let row_name = new_name(name)?;
    let wish = wish::read(desk.state, &body(request)?)?;
    if let Some((row, spec)) = find(desk, name) {
        return update(desk, location, path, row, spec, wish);
    }
    let entry = deployable(desk, &wish)?;
    refuse_second(desk, &entry, name)?;
    if desk.state.deployments.contains_key(&row_name.folded()) {
        return Err(taken(name, &wish.location));
    }
    let entry_wanted = claim(desk, &wish.location, name, Some(json!({})));
    match request.granted {
        // The name is asked for only once everything else is in order.
        None => {
            let errand = Errand::directory(&[entry_wanted], true);
            return Ok(Outcome::reading(Answer::empty(503).after(errand)));
        }
        Some(false) => return Err(taken(name, &wish.location)),
        Some(true) => {}
    }
    let keys = [keys::draw(desk, &row_name.folded(), 0)?, keys::draw(desk, &row_name.folded(), 1)?];
    let spec = ServerlessSpec {
        resource_id: format!("{}/serverlessEndpoints/{name}", path.id),
        location: wish.location,
        model: entry.name.clone(),
        model_id: wish.model_id,
        auth_mode: wish.auth_mode,
        content_safety: wish.content_safety,
        classifier: wish.classifier,
        keys,
        shown: wish.shown,
        modified_by: desk.actor.to_owned(),
    };
    let row = DeploymentRow {
        name: row_name,
        id: desk.entropy.identifier(),
        creator: desk.actor.to_owned(),
        created_at: desk.now,
        updated_at: desk.now,
        spec: DeploymentSpec::Serverless(spec),
    };
    let region = row.serverless().map_or("", |spec| spec.location.as_str());
    let answer = began(answer(desk, 201, &row), desk, path, location, region, true);
    Ok(stored(answer, "serverless_endpoint.create", row))
}

/// An endpoint that exists keeps its model and its place; the rest is replaced.
fn update(
    desk: &Desk<'_>,
    location: &Location,
    path: &AccountPath,
    row: &DeploymentRow,
    spec: &ServerlessSpec,
    wish: Wish,
) -> Result<Outcome, Answer> {
    let mut faults = Faults::default();
    if !wish.model_id.eq_ignore_ascii_case(&spec.model_id) {
        faults.note(MODEL, "cannot change; delete the endpoint and make another");
    }
    if wish.location != spec.location {
        faults.note("location", "cannot change; delete the endpoint and make another");
    }
    refuse(Provider::MachineLearning, &faults)?;
    let changed = ServerlessSpec {
        auth_mode: wish.auth_mode,
        content_safety: wish.content_safety,
        classifier: if wish.says_safety { wish.classifier } else { spec.classifier.clone() },
        shown: wish.shown,
        modified_by: desk.actor.to_owned(),
        ..spec.clone()
    };
    let row =
        DeploymentRow { updated_at: desk.now, spec: DeploymentSpec::Serverless(changed), ..row.clone() };
    let answer = began(answer(desk, 200, &row), desk, path, location, &spec.location, true);
    Ok(stored(answer, "serverless_endpoint.put", row))
}

fn patch(
    desk: &Desk<'_>,
    path: &AccountPath,
    name: &str,
    body: &Map<String, Value>,
) -> Result<Outcome, Answer> {
    let (row, spec) = existing(desk, path, name)?;
    let mut faults = Faults::default();
    let members = Members::root(body);
    for member in members.names().filter(|name| !["tags", "identity", "sku"].contains(name)) {
        faults.note(member, "cannot be changed by PATCH, only tags, identity and sku; use PUT");
    }
    let mut shown = spec.shown.clone();
    shown.extend(read_shown(&members, &mut faults));
    refuse(Provider::MachineLearning, &faults)?;
    let spec = ServerlessSpec { shown, modified_by: desk.actor.to_owned(), ..spec.clone() };
    let row = DeploymentRow { updated_at: desk.now, spec: DeploymentSpec::Serverless(spec), ..row.clone() };
    Ok(stored(answer(desk, 200, &row), "serverless_endpoint.patch", row))
}

fn delete(desk: &Desk<'_>, location: &Location, path: &AccountPath, name: &str) -> Result<Outcome, Answer> {
    old_name(name)?;
    let Some((row, spec)) = find(desk, name) else { return Ok(Outcome::reading(Answer::empty(204))) };
    let entry = claim(desk, &spec.location, name, None);
    let answer = began(Answer::empty(202), desk, path, location, &spec.location, false);
    let answer = answer.after(Errand::directory(&[entry], false));
    let changes = Vec::from([Change::DropDeployment(row.name.folded())]);
    Ok(Outcome::writing(answer, "serverless_endpoint.delete", row.name.as_str(), changes))
}

/// The catalog entry that a new endpoint is for, if it can have one.
fn deployable<'a>(desk: &Desk<'a>, wish: &Wish) -> Result<Cow<'a, CatalogRow>, Answer> {
    let Some(entry) = catalog::by_registry_id(desk.state, &wish.model_id) else {
        let text = format!(
            "The model '{}' is not offered: it is not in this installation's catalog (GET /api/weir/v1/catalog/models).",
            wish.model_id
        );
        return Err(user_error(400, "ServerlessOfferNotFound", &text, &fault(MODEL, &text)));
    };
    if !catalog::in_region(&entry, &wish.location) {
        let text = format!("The model '{}' is not offered in the region '{}'.", entry.name, wish.location);
        return Err(user_error(400, "ModelNotSupportedInRegion", &text, &fault("location", &text)));
    }
    if entry.backends.is_empty() {
        let text = format!(
            "The model '{0}' has no upstream in this installation yet: an administrator must name its backends first \
             (PUT /api/weir/v1/catalog/models/{0}).",
            entry.name
        );
        return Err(user_error(400, "ModelHasNoBackends", &text, &fault(MODEL, &text)));
    }
    if !subscriptions::covered(desk.state, &entry) {
        let text = format!(
            "The model '{}' needs a marketplace subscription in this workspace before it can be deployed \
             (PUT …/marketplaceSubscriptions/{{name}}).",
            entry.name
        );
        return Err(user_error(400, "MarketplaceSubscriptionRequired", &text, &fault(MODEL, &text)));
    }
    Ok(entry)
}

/// One endpoint for each model and project, unless the administrator allows more.
fn refuse_second(desk: &Desk<'_>, entry: &CatalogRow, name: &str) -> Result<(), Answer> {
    let same = |row: &&DeploymentRow| row.serverless().is_some_and(|spec| spec.model == entry.name);
    let known: Vec<&DeploymentRow> = desk.state.deployments.values().filter(same).collect();
    let most = defaults::serverless(desk.state, &name.to_ascii_lowercase()).endpoints_per_model;
    let (Some(first), true) = (known.first(), u64::try_from(known.len()).unwrap_or(u64::MAX) >= most) else {
        return Ok(());
    };
    let text = format!(
        "The model '{}' is deployed in this workspace already, as '{}'; a workspace has {most} endpoint for each model.",
        entry.name, first.name
    );
    Err(user_error(409, "EndpointLimitReached", &text, &fault(MODEL, &text)))
}

fn taken(name: &str, region: &str) -> Answer {
    let text =
        format!("The endpoint name '{name}' is not available in the region '{region}'; choose another.");
    user_error(409, "EndpointNameNotAvailable", &text, &fault("name", &text))
}

/// The endpoint's entry in the directory: names are unique in a region, across workspaces.
pub fn claim(desk: &Desk<'_>, region: &str, name: &str, value: Option<Value>) -> Entry {
    let key = format!("serverless/{region}/{}", name.to_ascii_lowercase());
    Entry { key, owner: desk.state.account.clone(), value }
}

/// C1.4, the name on PUT: `^[a-zA-Z][a-zA-Z0-9-]{0,51}$`.
fn new_name(name: &str) -> Result<DeploymentName, Answer> {
    let legal = name.len() <= 52
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let parsed = DeploymentName::parse(name).ok().filter(|_| legal);
    parsed.ok_or_else(|| illegal_name("1 to 52 letters, digits and '-', the first a letter"))
}

/// C1.4, the name on the other verbs but GET: `^[a-zA-Z0-9][a-zA-Z0-9\-_]{0,254}$`.
fn old_name(name: &str) -> Result<(), Answer> {
    let legal = (1..=255).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    if legal { Ok(()) } else { Err(illegal_name("1 to 255 letters, digits, '-' and '_', the first no sign")) }
}

fn illegal_name(rule: &str) -> Answer {
    let text = format!("The endpoint's name must be {rule}.");
    user_error(400, "InvalidEndpointName", &text, &fault("name", &text))
}

fn find<'a>(desk: &Desk<'a>, name: &str) -> Option<(&'a DeploymentRow, &'a ServerlessSpec)> {
    let row = desk.state.deployments.get(&name.to_ascii_lowercase())?;
    Some((row, row.serverless()?))
}

fn existing<'a>(
    desk: &Desk<'a>,
    path: &AccountPath,
    name: &str,
) -> Result<(&'a DeploymentRow, &'a ServerlessSpec), Answer> {
    old_name(name)?;
    find(desk, name).ok_or_else(|| missing(path, name))
}

fn missing(path: &AccountPath, name: &str) -> Answer {
    not_found(&format!("{}/serverlessEndpoints/{name}", path.id))
}

fn stored(answer: Answer, action: &'static str, row: DeploymentRow) -> Outcome {
    let target = row.name.as_str().to_owned();
    Outcome::writing(answer, action, &target, Vec::from([Change::Deployment(row)]))
}

fn answer(desk: &Desk<'_>, status: u16, row: &DeploymentRow) -> Answer {
    Answer::json(status, &row.serverless().map_or(Value::Null, |spec| show::shown(desk, row, spec)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_narrower_when_they_are_new() {
        let (long, longer) = ("a".repeat(52), "a".repeat(53));
        let rows = [
            ("a", true, true),
            ("llama-3", true, true),
            (long.as_str(), true, true),
            (longer.as_str(), false, true),
            ("3-llama", false, true),
            ("a_b", false, true),
            ("a.b", false, false),
            ("-a", false, false),
            ("", false, false),
        ];
        for (name, new, old) in rows {
            assert_eq!((new_name(name).is_ok(), old_name(name).is_ok()), (new, old), "{name:?}");
        }
    }
}
