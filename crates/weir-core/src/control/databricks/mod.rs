//! Databricks' management wire over the same commands (`databricks.md`, 1.1, 1.3, 1.4, 5 and 9).
//!
//! Decides routes and the error envelope; not what an endpoint is (`endpoints`, `config`, `entity`, `update`, `rate_limits`,
//! `gateway`, `details`, `foundation`), a
//! secret (`secrets`) or a token (`tokens`), nor who there is (`scim`) and what each may do (`permissions`). A trailing slash changes nothing and is never redirected.

pub mod acl;
pub mod config;
pub mod details;
pub mod endpoints;
pub mod entity;
pub mod foundation;
pub mod gateway;
pub mod oauth;
pub mod openapi;
pub mod permissions;
pub mod rate_limits;
pub mod scim;
pub mod scim_filter;
pub mod scim_patch;
pub mod secret_acls;
pub mod secrets;
pub mod show;
pub mod token_management;
pub mod tokens;
pub mod update;

use super::answer::{Answer, Denied, Location, ManagementRequest};
use super::command::{Desk, Outcome};
use super::document::{self, DocumentError, Faults};
use alloc::format;
use alloc::string::String;
use serde_json::{Map, Value, json};

/// Answers one request whose path begins with `/api/2.0`.
///
/// # Errors
/// The refusal, rendered; nothing is changed then.
pub fn handle(
    desk: &mut Desk<'_>,
    request: &ManagementRequest,
    location: &Location,
) -> Result<Outcome, Answer> {
    let parts = location.parts();
    if oauth::is_token_route(&parts) {
        return oauth::token(desk, request);
    }
    let method = request.method.as_str();
    match parts.get(1..).unwrap_or_default() {
        ["2.0", "serving-endpoints", rest @ ..] => {
            permissions::guarded(desk, request, rest, |desk| serving_endpoints(desk, request, location, rest))
        }
        ["2.0", "permissions", "serving-endpoints", id, rest @ ..] => match (method, rest) {
            ("GET", []) => permissions::get(desk, id),
            ("PUT", []) => permissions::set(desk, id, &body(request)?, true),
            ("PATCH", []) => permissions::set(desk, id, &body(request)?, false),
            ("GET", ["permissionLevels"]) => Ok(permissions::levels()),
            _ => Err(no_such_route(method, &location.path)),
        },
        ["2.0", "preview", "scim", "v2", rest @ ..] => scim::handle(desk, request, location, rest),
        ["2.0", "accounts", "servicePrincipals", id, "credentials", "secrets", rest @ ..]
        | ["2.0", "accounts", _, "servicePrincipals", id, "credentials", "secrets", rest @ ..] => {
            oauth::secrets(desk, request, location, id, rest)
        }
        ["2.0", "token-management", rest @ ..] => match (method, rest) {
            ("POST", ["on-behalf-of", "tokens"]) => token_management::create(desk, &body(request)?),
            ("GET", ["tokens"]) => Ok(token_management::list(desk, location)),
            ("GET", ["tokens", id]) => token_management::get(desk, id),
            ("DELETE", ["tokens", id]) => token_management::delete(desk, id),
            _ => Err(no_such_route(method, &location.path)),
        },
        ["2.0", "secrets", rest @ ..] => secret_calls(desk, request, location, rest),
        ["2.0", "token", rest @ ..] => match (request.method.as_str(), rest) {
            ("POST", ["create"]) => tokens::create(desk, &body(request)?),
            ("GET", ["list"]) => Ok(tokens::list(desk)),
            ("POST", ["delete"]) => tokens::delete(desk, &body(request)?),
            _ => Err(no_such_route(&request.method, &location.path)),
        },
        _ => Err(not_supported(&request.method, &location.path)),
    }
}

fn serving_endpoints(
    desk: &mut Desk<'_>,
    request: &ManagementRequest,
    location: &Location,
    rest: &[&str],
) -> Result<Outcome, Answer> {
    match (request.method.as_str(), rest) {
        ("GET", []) => Ok(endpoints::list(desk)),
        ("POST", []) => endpoints::create(desk, &body(request)?, false),
        ("POST", ["pt"]) => endpoints::create(desk, &body(request)?, true),
        ("PUT", ["pt", name, "config"]) => endpoints::update_units(desk, name, &body(request)?),
        ("GET", ["get-model-optimization-info", model, _version]) => foundation::optimization(desk, model),
        ("GET", [name]) => endpoints::get(desk, name),
        ("DELETE", [name]) => endpoints::delete(desk, name),
        ("PUT", [name, "config"]) => update::update(desk, name, &body(request)?),
        ("PUT", [name, "rate-limits"]) => rate_limits::put(desk, name, &body(request)?),
        ("PUT", [name, "ai-gateway"]) => gateway::put(desk, name, &body(request)?),
        ("PATCH", [name, "tags"]) => details::patch_tags(desk, name, &body(request)?),
        ("PATCH", [name, "notifications"]) => details::patch_notifications(desk, name, &body(request)?),
        ("PATCH", [name, "telemetry-config"]) => details::patch_telemetry(desk, name, &body(request)?),
        ("GET", [name, "openapi"]) => openapi::document(desk, name),
        ("GET", [name, "served-models", entity, "logs" | "build-logs"]) => update::logs(desk, name, entity),
        ("GET", [name, "metrics"]) => {
            endpoints::find(desk, name)?;
            Ok(Outcome::reading(Answer::of_ledger()))
        }
        _ => Err(no_such_route(&request.method, &location.path)),
    }
}

fn secret_calls(
    desk: &mut Desk<'_>,
    request: &ManagementRequest,
    location: &Location,
    rest: &[&str],
) -> Result<Outcome, Answer> {
    match (request.method.as_str(), rest) {
        ("POST", ["scopes", "create"]) => secrets::create_scope(desk, &body(request)?),
        ("GET", ["scopes", "list"]) => Ok(secrets::list_scopes(desk)),
        ("POST", ["scopes", "delete"]) => secrets::delete_scope(desk, &body(request)?),
        ("POST", ["put"]) => secrets::put(desk, &body(request)?),
        ("GET", ["list"]) => secrets::list(desk, location),
        ("POST", ["delete"]) => secrets::delete(desk, &body(request)?),
        ("GET", ["get"]) => {
            Err(error(400, "BAD_REQUEST", "Secret values are never returned; reference them instead."))
        }
        ("POST", ["acls", "put"]) => secret_acls::put(desk, &body(request)?),
        ("GET", ["acls", "get"]) => secret_acls::get(desk, location),
        ("GET", ["acls", "list"]) => secret_acls::list(desk, location),
        ("POST", ["acls", "delete"]) => secret_acls::delete(desk, &body(request)?),
        _ => Err(no_such_route(&request.method, &location.path)),
    }
}

/// An error in Databricks' envelope: the form that all its clients understand (`databricks.md`, 10.6, D).
pub fn error(status: u16, code: &str, message: &str) -> Answer {
    let kind = match status {
        401 => "authentication_error",
        403 => "permission_error",
        429 => "rate_limit_error",
        500.. => "server_error",
        _ => "invalid_request_error",
    };
    let body = json!({"error_code": code, "message": message, "code": code, "type": kind, "param": null});
    Answer::json(status, &body)
}

/// The answer to a caller who may not command.
pub fn denied(denied: Denied) -> Answer {
    match denied {
        Denied::Missing | Denied::NotConfigured => {
            error(401, "UNAUTHENTICATED", denied.message()).with("www-authenticate", "Bearer")
        }
        Denied::Unavailable => error(503, "TEMPORARILY_UNAVAILABLE", denied.message()),
        Denied::Wrong | Denied::Expired => error(403, "PERMISSION_DENIED", denied.message()),
    }
}

/// The answer to a caller who is known and may not.
pub fn forbidden(action: &str) -> Answer {
    error(403, "PERMISSION_DENIED", &format!("User does not have permission '{action}'."))
}

/// The answer for a route of Databricks that is not built yet.
pub fn not_supported(method: &str, path: &str) -> Answer {
    error(501, "NOT_IMPLEMENTED", &format!("'{method} {path}' is not supported yet."))
}

/// The answer for a path that is no route.
pub fn no_such_route(method: &str, path: &str) -> Answer {
    error(404, "ENDPOINT_NOT_FOUND", &format!("No API found for '{method} {path}'."))
}

/// Refuses a body with faults in it. Codes are those that every client knows (`databricks.md`, 11.4).
fn refuse(faults: &Faults) -> Result<(), Answer> {
    if faults.none() {
        return Ok(());
    }
    Err(error(400, "INVALID_PARAMETER_VALUE", &format!("Invalid request: {}.", faults.sentence())))
}

fn body(request: &ManagementRequest) -> Result<Map<String, Value>, Answer> {
    // An empty body is an empty object: clients send none where every member is optional.
    let text = if request.body.is_empty() { "{}" } else { request.body.as_str() };
    document::parse(text.as_bytes()).map_err(|problem| match problem {
        DocumentError::TooLarge => error(413, "BAD_REQUEST", &format!("Invalid request: {problem}.")),
        DocumentError::Malformed(_) | DocumentError::NotAnObject => {
            error(400, "BAD_REQUEST", &format!("Malformed request: {problem}."))
        }
    })
}
