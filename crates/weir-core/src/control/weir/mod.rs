//! Weir's own management API: what the clouds have no API for (`design.md`, section 5).
//!
//! Decides its routes and its error form `{"error":{"code","message","details":[{"path","problem"}]}}`; not what
//! the commands change (`catalog`, `classifiers`, `keys`, `principals`, `audit`).

pub mod audit;
pub mod catalog;
pub mod classifiers;
pub mod keys;
pub mod principals;

use super::answer::{Answer, Denied, Location, ManagementRequest};
use super::command::{Change, Desk, Outcome};
use super::document::{self, DocumentError, Faults};
use super::{databricks, defaults, served};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use serde_json::{Map, Value, json};

/// Answers one request whose path begins with `/api/weir/v1`.
///
/// # Errors
/// The refusal, rendered; nothing is changed then.
pub fn handle(
    desk: &mut Desk<'_>,
    request: &ManagementRequest,
    location: &Location,
) -> Result<Outcome, Answer> {
    let parts = location.parts();
    let method = request.method.as_str();
    match (method, parts.get(3..).unwrap_or_default()) {
        ("GET", ["catalog", "models"]) => Ok(catalog::list(desk)),
        ("GET", ["catalog", "models", name]) => catalog::get(desk, name),
        ("PUT", ["catalog", "models", name]) => catalog::put(desk, name, &body(request)?),
        ("DELETE", ["catalog", "models", name]) => catalog::delete(desk, name),
        ("GET", ["classifiers"]) => Ok(classifiers::list(desk)),
        ("GET", ["classifiers", name]) => classifiers::get(desk, name),
        ("PUT", ["classifiers", name]) => classifiers::put(desk, name, &body(request)?),
        ("DELETE", ["classifiers", name]) => classifiers::delete(desk, name),
        ("GET", ["defaults"]) => Ok(Outcome::reading(Answer::json(200, &defaults::shown(desk.state)))),
        ("PUT", ["defaults"]) => put_defaults(&body(request)?),
        ("GET", ["keys"]) => Ok(keys::list(desk)),
        ("POST", ["keys"]) => keys::create(desk, &body(request)?),
        ("PUT", ["keys", id]) => keys::put(desk, id, &body(request)?),
        ("DELETE", ["keys", id]) => keys::delete(desk, id),
        ("POST", ["keys", id, "rotate"]) => keys::rotate(desk, id),
        (_, ["principals", rest @ ..]) => principals::handle(desk, request, location, rest),
        ("GET", ["audit"]) => audit::list(desk, location),
        ("POST", ["serving-endpoints", name, "cancel-update"]) => cancel_update(desk, name),
        ("GET", ["databricks", "served_entities"]) => served::list(desk, location),
        ("GET", ["databricks", "inference_table"]) => {
            databricks::permissions::payloads(desk, request, location)
        }
        (
            _,
            ["catalog", "models"]
            | ["audit" | "classifiers"]
            | ["databricks", "served_entities" | "inference_table"],
        ) => Err(wrong_method("GET")),
        (_, ["defaults"]) => Err(wrong_method("GET, PUT")),
        (_, ["keys"]) => Err(wrong_method("GET, POST")),
        (_, ["catalog", "models", _] | ["classifiers", _]) => Err(wrong_method("GET, PUT, DELETE")),
        (_, ["keys", _]) => Err(wrong_method("PUT, DELETE")),
        (_, ["keys", _, "rotate"] | ["serving-endpoints", _, "cancel-update"]) => Err(wrong_method("POST")),
        (_, ["requests" | "config", ..]) => Err(not_supported(method, &location.path)),
        _ => Err(no_such_route(method, &location.path)),
    }
}

/// `PUT …/defaults`: replaces what the administrator set.
fn put_defaults(body: &Map<String, Value>) -> Result<Outcome, Answer> {
    let mut faults = Faults::default();
    let document = defaults::read(body, &mut faults);
    if !faults.none() {
        return Err(invalid(&faults));
    }
    let answer = Answer::json(200, &document);
    let changes = Vec::from([Change::Document(String::from(defaults::KEY), document)]);
    Ok(Outcome::writing(answer, "defaults.put", "", changes))
}

/// `POST /api/weir/v1/serving-endpoints/{name}/cancel-update`: Databricks has this in its console only.
fn cancel_update(desk: &Desk<'_>, name: &str) -> Result<Outcome, Answer> {
    let canceled =
        databricks::update::cancel(desk, name).ok_or_else(|| not_found("serving endpoint", name))?;
    canceled.map_err(|()| conflict(&format!("No update of the endpoint '{name}' is in progress.")))
}

/// An error in this surface's form.
pub fn error(status: u16, code: &str, message: &str, faults: &Faults) -> Answer {
    let details: Vec<Value> =
        faults.0.iter().map(|fault| json!({"path": fault.path, "problem": fault.problem})).collect();
    Answer::json(status, &json!({"error": {"code": code, "message": message, "details": details}}))
}

/// The answer to a caller who may not command.
pub fn denied(denied: Denied) -> Answer {
    if denied == Denied::Unavailable {
        return error(503, "Unavailable", denied.message(), &Faults::default());
    }
    error(401, "Unauthorized", denied.message(), &Faults::default()).with("www-authenticate", "Bearer")
}

/// The answer to a caller who is known and may not.
pub fn forbidden(action: &str, scope: &str) -> Answer {
    let message =
        format!("The caller may not do this: it needs a role with the action '{action}' at '{scope}'.");
    error(403, "Forbidden", &message, &Faults::default())
}

/// The answer for a route that is part of the product but not built yet.
pub fn not_supported(method: &str, path: &str) -> Answer {
    error(501, "NotSupported", &format!("{method} {path} is not supported yet."), &Faults::default())
}

/// The answer for a route that does not exist.
pub fn no_such_route(method: &str, path: &str) -> Answer {
    error(404, "NotFound", &format!("There is no route {method} {path}."), &Faults::default())
}

pub(in crate::control) fn wrong_method(allowed: &str) -> Answer {
    let message = format!("This route answers to {allowed} only.");
    error(405, "MethodNotAllowed", &message, &Faults::default()).with("allow", allowed)
}

fn not_found(what: &str, name: &str) -> Answer {
    error(404, "NotFound", &format!("There is no {what} '{name}'."), &Faults::default())
}

fn conflict(message: &str) -> Answer {
    error(409, "Conflict", message, &Faults::default())
}

/// The refusal of a body with faults in it.
pub(in crate::control) fn invalid(faults: &Faults) -> Answer {
    error(400, "InvalidRequest", &format!("The request was refused: {}.", faults.sentence()), faults)
}

fn body(request: &ManagementRequest) -> Result<Map<String, Value>, Answer> {
    document::parse(request.body.as_bytes()).map_err(|problem| {
        let status = if problem == DocumentError::TooLarge { 413 } else { 400 };
        error(status, "InvalidRequest", &format!("{problem}"), &Faults::default())
    })
}
