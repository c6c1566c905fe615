//! What `Microsoft.CognitiveServices` answers about a whole subscription: SKUs, capacities, names (`azure.md`, C3).
//!
//! Decides the routes directly below the provider; resources have files of their own.

use super::super::answer::{Answer, Location, ManagementRequest};
use super::super::command::{Desk, Outcome};
use super::super::document::{Faults, Members};
use super::super::errand;
use super::convention::{REGION, body, listed, refuse, wrong_method};
use super::{AccountPath, Provider, absent, deleted, not_supported, offers};
use crate::id::AccountId;
use alloc::string::String;
use alloc::vec::Vec;
use serde_json::{Value, json};

/// The kinds of paths that are answered here, in lower case.
pub const KINDS: [&str; 7] = [
    "skus",
    "modelcapacities",
    "deletedaccounts",
    "checkdomainavailability",
    "calculatemodelcapacity",
    "commitmentplans",
    "quotatiers",
];

/// Answers one request directly below the provider.
///
/// # Errors
/// The refusal, rendered.
pub fn handle(
    desk: &Desk<'_>,
    request: &ManagementRequest,
    location: &Location,
    path: &AccountPath,
) -> Result<Outcome, Answer> {
    let words: Vec<&str> = path.rest.iter().map(String::as_str).collect();
    let method = request.method.as_str();
    match (method, words.as_slice()) {
        ("GET", ["skus"]) => skus(desk, location),
        ("GET", ["modelcapacities"]) => offers::capacities(desk, location),
        ("GET", ["deletedaccounts"]) => deleted::list(desk, location, &path.subscription),
        ("POST", ["checkdomainavailability"]) => domain(desk, request),
        (_, ["skus" | "modelcapacities" | "deletedaccounts"]) => Err(wrong_method("GET")),
        (_, ["checkdomainavailability"]) => Err(wrong_method("POST")),
        (_, [kind, rest @ ..]) => absent::handle(desk, method, location, kind, rest)
            .unwrap_or_else(|| Err(not_supported(method, &location.path))),
        (_, []) => Err(not_supported(method, &location.path)),
    }
}

/// The one SKU of accounts.
fn skus(desk: &Desk<'_>, location: &Location) -> Result<Outcome, Answer> {
    let item = json!({
        "resourceType": "accounts", "name": "S0", "tier": "Standard", "kind": "AIServices",
        "locations": [REGION], "restrictions": [],
    });
    listed(desk, location, Vec::from([item]))
}

/// `checkDomainAvailability`: whether an account can have a name, which is its host's label.
fn domain(desk: &Desk<'_>, request: &ManagementRequest) -> Result<Outcome, Answer> {
    let body = body(request)?;
    let members = Members::root(&body);
    let mut faults = Faults::default();
    let name = members.required_text("subdomainName", &mut faults).unwrap_or_default();
    members.required_text("type", &mut faults);
    members.text("kind", &mut faults);
    refuse(Provider::CognitiveServices, &faults)?;
    let same = |row: &Value| {
        let id = row["id"].as_str().unwrap_or_default();
        id.rsplit('/').next().is_some_and(|own| own.eq_ignore_ascii_case(name))
    };
    let taken = name.eq_ignore_ascii_case(AccountId::default_account().as_str())
        || errand::listed(desk.state, Provider::CognitiveServices.kind()).any(same);
    let reason = match AccountId::parse(name) {
        Err(_) => Some("The name cannot be an account's."),
        Ok(_) if taken => Some("The name is an account's already."),
        Ok(_) => None,
    };
    Ok(Outcome::reading(Answer::json(
        200,
        &json!({
            "isSubdomainAvailable": reason.is_none(), "subdomainName": name, "reason": reason,
            "type": body.get("type"),
        }),
    )))
}

/// `…/locations/{region}/checkSkuAvailability`: which of the SKUs asked for an account can have.
///
/// # Errors
/// 400 with the path of each fault.
pub fn sku_availability(request: &ManagementRequest) -> Result<Outcome, Answer> {
    let body = body(request)?;
    let members = Members::root(&body);
    let mut faults = Faults::default();
    members.required_text("kind", &mut faults);
    members.required_text("type", &mut faults);
    let list = members.list("skus", &mut faults).map(Vec::as_slice).unwrap_or_default();
    let mut value = Vec::new();
    for (at, sku) in list.iter().enumerate() {
        let Some(name) = sku.as_str() else {
            faults.note(&super::super::answer::position("skus", at), "must be a text");
            continue;
        };
        let has = name.eq_ignore_ascii_case("S0");
        let reason = if has { Value::Null } else { "NotAvailableForSubscription".into() };
        let message = if has { Value::Null } else { "Accounts have the SKU S0.".into() };
        value.push(json!({
            "kind": body.get("kind"), "type": body.get("type"), "skuName": name, "skuAvailable": has,
            "reason": reason, "message": message,
        }));
    }
    refuse(Provider::CognitiveServices, &faults)?;
    Ok(Outcome::reading(Answer::json(200, &json!({"value": value}))))
}
