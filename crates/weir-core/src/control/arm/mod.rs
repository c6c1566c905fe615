//! Azure Resource Manager's wire over the same commands (`azure.md`, C0 and C3).
//!
//! Decides routes, api-versions and the error envelope of `Microsoft.CognitiveServices`; not what a deployment is
//! (`deployments`) or an account (`account`). Names and types in paths compare without case.

pub mod account;
pub mod deployments;

use super::answer::{Answer, Denied, Location, ManagementRequest};
use super::command::{Desk, Outcome};
use super::document::{self, DocumentError};
use crate::id::{AccountId, InvalidName};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use serde_json::{Map, Value, json};

/// The api-versions of `Microsoft.CognitiveServices` that are answered: from the first with `sku.capacity` on.
pub const API_VERSIONS: [&str; 12] = [
    "2023-05-01",
    "2023-10-01-preview",
    "2024-04-01-preview",
    "2024-06-01-preview",
    "2024-10-01",
    "2025-04-01-preview",
    "2025-06-01",
    "2025-07-01-preview",
    "2025-09-01",
    "2025-10-01-preview",
    "2025-12-01",
    "2026-03-01",
];

/// A path below an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountPath {
    /// The account.
    pub account: AccountId,
    /// The account's resource id as the caller wrote it, in canonical form.
    pub id: String,
    /// What follows, as written.
    pub rest: Vec<String>,
}

/// The account that a path of `Microsoft.CognitiveServices` names; `None` for every other path, and the reason
/// when the name cannot be an account's.
pub fn account_path(location: &Location) -> Option<Result<AccountPath, InvalidName>> {
    let parts = location.parts();
    let [subscriptions, subscription, groups, group, providers, provider, accounts, account, rest @ ..] =
        parts.as_slice()
    else {
        return None;
    };
    let words = [
        (subscriptions, "subscriptions"),
        (groups, "resourcegroups"),
        (providers, "providers"),
        (provider, "microsoft.cognitiveservices"),
        (accounts, "accounts"),
    ];
    if !words.iter().all(|(word, expected)| word.eq_ignore_ascii_case(expected)) {
        return None;
    }
    let id = format!(
        "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.CognitiveServices/accounts/{account}"
    );
    let rest = rest.iter().map(|part| String::from(*part)).collect();
    Some(AccountId::parse(account).map(|account| AccountPath { account, id, rest }))
}

/// Answers one request below an account.
///
/// # Errors
/// The refusal, rendered; nothing is changed then.
pub fn handle(
    desk: &mut Desk<'_>,
    request: &ManagementRequest,
    location: &Location,
) -> Result<Outcome, Answer> {
    let path = account_path(location).ok_or_else(|| no_such_route(&request.method, &location.path))?;
    let path = path.map_err(invalid_account)?;
    check_version(location)?;
    let lower: Vec<String> = path.rest.iter().take(1).map(|part| part.to_ascii_lowercase()).collect();
    let words: Vec<&str> = lower.iter().chain(path.rest.iter().skip(1)).map(String::as_str).collect();
    match (request.method.as_str(), words.as_slice()) {
        ("GET", []) => Ok(account::get(desk, &path)),
        ("POST", ["listkeys"]) => account::list_keys(desk),
        ("POST", ["regeneratekey"]) => account::regenerate_key(desk, &body(request)?),
        ("GET", ["deployments"]) => Ok(deployments::list(desk, &path)),
        ("GET", ["deployments", name]) => deployments::get(desk, &path, name),
        ("PUT", ["deployments", name]) => deployments::put(desk, &path, name, &body(request)?),
        ("PATCH", ["deployments", name]) => deployments::patch(desk, name, &body(request)?),
        ("DELETE", ["deployments", name]) => Ok(deployments::delete(desk, name)),
        (_, ["listkeys" | "regeneratekey"]) => Err(wrong_method("POST")),
        (_, ["deployments"]) => Err(wrong_method("GET")),
        (_, ["deployments", _]) => Err(wrong_method("GET, PUT, PATCH, DELETE")),
        (method, _) => Err(not_supported(method, &location.path)),
    }
}

/// An error in ARM's envelope.
pub fn error(status: u16, code: &str, message: &str) -> Answer {
    Answer::json(status, &json!({"error": {"code": code, "message": message}}))
}

/// The answer for a name that cannot be an account's.
pub fn invalid_account(problem: InvalidName) -> Answer {
    error(400, "InvalidResourceName", &format!("The account's name {problem}."))
}

/// The answer to a caller who may not command.
pub fn denied(denied: Denied) -> Answer {
    let (code, challenge) = match denied {
        Denied::Missing => ("AuthenticationFailed", "Bearer realm=\"weir\""),
        Denied::Wrong | Denied::NotConfigured => {
            ("InvalidAuthenticationToken", "Bearer realm=\"weir\", error=\"invalid_token\"")
        }
    };
    error(401, code, denied.message()).with("www-authenticate", challenge)
}

/// The answer for an operation of ARM that is not built yet.
pub fn not_supported(method: &str, path: &str) -> Answer {
    error(501, "NotImplemented", &format!("The operation {method} {path} is not supported yet."))
}

/// The answer for a path that is no resource.
pub fn no_such_route(method: &str, path: &str) -> Answer {
    error(404, "ResourceNotFound", &format!("No resource or operation answers to {method} {path}."))
}

fn wrong_method(allowed: &str) -> Answer {
    error(405, "MethodNotAllowed", &format!("This resource answers to {allowed} only."))
        .with("allow", allowed)
}

fn check_version(location: &Location) -> Result<(), Answer> {
    let supported = API_VERSIONS.join(", ");
    let version = location.query.iter().find(|(name, _)| name.eq_ignore_ascii_case("api-version"));
    match version.map(|(_, version)| version.as_str()) {
        None | Some("") => {
            let text = "The api-version query parameter (?api-version=) is required for all requests.";
            Err(error(400, "MissingApiVersionParameter", text))
        }
        Some(version) if API_VERSIONS.iter().any(|known| known.eq_ignore_ascii_case(version)) => Ok(()),
        Some(version) => {
            let shown: String = version.chars().take(40).collect();
            let text =
                format!("The api-version '{shown}' is invalid. The supported versions are '{supported}'.");
            Err(error(400, "InvalidApiVersionParameter", &text))
        }
    }
}

fn body(request: &ManagementRequest) -> Result<Map<String, Value>, Answer> {
    document::parse(request.body.as_bytes()).map_err(|problem| {
        let status = if problem == DocumentError::TooLarge { 413 } else { 400 };
        error(status, "InvalidRequestContent", &format!("The request content was invalid: {problem}."))
    })
}
