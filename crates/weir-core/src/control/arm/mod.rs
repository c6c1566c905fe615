//! Azure Resource Manager's wire over the same commands (`azure.md`, C).
//!
//! Decides which resource a path names and which command a verb on it is; not what a resource is (one file each), and
//! not what all of them have in common (`convention`). Names and types in paths compare without case. A workspace of
//! `Microsoft.MachineLearningServices` and an account of `Microsoft.CognitiveServices` of the same name are one
//! account of Weir.

pub mod absent;
pub mod account;
mod assignments;
pub mod authorization;
pub mod capacity;
pub mod connections;
pub mod convention;
pub mod deleted;
pub mod deployments;
pub mod offers;
pub mod rai_blocklists;
pub mod rai_policies;
pub mod resource;
mod roles;
pub mod serverless;
pub mod subscription;
pub mod subscriptions;

use super::access::caller::Caller;
use super::answer::{Answer, Denied, Location, ManagementRequest};
use super::command::{Desk, Outcome};
use crate::id::{AccountId, InvalidName};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use convention::body;

pub use convention::{error, error_at, wrong_method};

/// A resource provider of ARM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provider {
    /// `Microsoft.CognitiveServices`.
    CognitiveServices,
    /// `Microsoft.MachineLearningServices`.
    MachineLearning,
}

impl Provider {
    /// The provider's namespace.
    pub const fn namespace(self) -> &'static str {
        match self {
            Self::CognitiveServices => "Microsoft.CognitiveServices",
            Self::MachineLearning => "Microsoft.MachineLearningServices",
        }
    }

    /// The type of its top resources.
    pub const fn kind(self) -> &'static str {
        match self {
            Self::CognitiveServices => "accounts",
            Self::MachineLearning => "workspaces",
        }
    }

    const fn versions(self) -> &'static [&'static str] {
        match self {
            Self::CognitiveServices => &convention::COGNITIVE_SERVICES,
            Self::MachineLearning => &convention::MACHINE_LEARNING,
        }
    }
}

/// Where a path of the two providers leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// To an account or workspace, or below it.
    Resource,
    /// To all of them, of a resource group or of a subscription.
    Collection,
    /// To a region: `…/locations/{region}/…`.
    Region,
    /// To something of a whole subscription.
    Subscription,
}

/// A path of one of the two providers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountPath {
    /// Whose Registry answers.
    pub account: AccountId,
    /// Whose resources these are.
    pub provider: Provider,
    /// What the path leads to.
    pub place: Place,
    /// As the caller wrote it.
    pub subscription: String,
    /// As the caller wrote it; empty without one.
    pub group: String,
    /// The account's or workspace's resource id as the caller wrote it, in canonical form; empty for another place.
    pub id: String,
    /// What follows; types in lower case, names as written.
    pub rest: Vec<String>,
}

/// Takes a path of the two providers apart; `None` for every other path, and the reason when a name cannot be an
/// account's.
pub fn account_path(location: &Location) -> Option<Result<AccountPath, InvalidName>> {
    let parts = location.parts();
    let [subscriptions, subscription, rest @ ..] = parts.as_slice() else { return None };
    let (group, rest) = match rest {
        [groups, group, rest @ ..] if groups.eq_ignore_ascii_case("resourcegroups") => (*group, rest),
        rest => ("", rest),
    };
    let [providers, provider, kind, rest @ ..] = rest else { return None };
    let words =
        subscriptions.eq_ignore_ascii_case("subscriptions") && providers.eq_ignore_ascii_case("providers");
    let known = [Provider::CognitiveServices, Provider::MachineLearning];
    let provider = known.into_iter().find(|known| known.namespace().eq_ignore_ascii_case(provider));
    let provider = provider.filter(|_| words)?;
    let subscription = String::from(*subscription);
    let folded = |(at, part): (usize, &&str)| {
        if at % 2 == 0 { part.to_ascii_lowercase() } else { String::from(*part) }
    };
    let path = |account, place, id, rest: &[&str]| AccountPath {
        account,
        provider,
        place,
        subscription: subscription.clone(),
        group: String::from(group),
        id,
        rest: rest.iter().enumerate().map(folded).collect(),
    };
    if kind.eq_ignore_ascii_case("locations") {
        // An operation is asked of the account that began it, a deleted account of itself.
        let operation = match rest {
            [_, _, _, deleted, name] if deleted.eq_ignore_ascii_case("deletedAccounts") => Some(*name),
            _ => rest.get(2).and_then(|id| convention::operation_account(id)),
        };
        let account = operation.map_or_else(|| Ok(AccountId::default_account()), AccountId::parse);
        return Some(
            account.map(|account| {
                path(account, Place::Region, String::new(), rest.get(1..).unwrap_or_default())
            }),
        );
    }
    let of_all = provider == Provider::CognitiveServices
        && subscription::KINDS.iter().any(|known| known.eq_ignore_ascii_case(kind));
    if of_all {
        let words: Vec<&str> = [&[*kind], rest].concat();
        return Some(Ok(path(AccountId::default_account(), Place::Subscription, String::new(), &words)));
    }
    if !kind.eq_ignore_ascii_case(provider.kind()) {
        return None;
    }
    let [name, rest @ ..] = rest else {
        return Some(Ok(path(AccountId::default_account(), Place::Collection, String::new(), &[])));
    };
    if group.is_empty() {
        return None;
    }
    let (namespace, kind) = (provider.namespace(), provider.kind());
    let id =
        format!("/subscriptions/{subscription}/resourceGroups/{group}/providers/{namespace}/{kind}/{name}");
    Some(AccountId::parse(name).map(|account| path(account, Place::Resource, id, rest)))
}

/// Answers one request.
///
/// # Errors
/// The refusal, rendered; nothing is changed then.
pub fn handle(
    desk: &mut Desk<'_>,
    request: &ManagementRequest,
    location: &Location,
) -> Result<Outcome, Answer> {
    if authorization::is_about(location) {
        return authorization::handle(desk, request, location);
    }
    let path = account_path(location).ok_or_else(|| no_such_route(&request.method, &location.path))?;
    let path = path.map_err(invalid_account)?;
    convention::check_version(location, path.provider)?;
    let announced = resource::announced(desk, &path);
    let mut outcome = match (path.place, path.provider) {
        (Place::Resource, _) if path.rest.is_empty() => resource::handle(desk, request, &path),
        (Place::Resource, Provider::CognitiveServices) => below_account(desk, request, location, &path),
        (Place::Resource, Provider::MachineLearning) => below_workspace(desk, request, location, &path),
        (Place::Collection, _) if request.method == "GET" => resource::list(desk, location, &path),
        (Place::Collection, _) => Err(wrong_method("GET")),
        (Place::Region, _) => in_region(desk, request, location, &path),
        (Place::Subscription, _) => subscription::handle(desk, request, location, &path),
    }?;
    if !outcome.changes.is_empty() && outcome.answer.errand.is_none() {
        outcome.answer.errand = announced;
    }
    Ok(outcome)
}

fn below_account(
    desk: &mut Desk<'_>,
    request: &ManagementRequest,
    location: &Location,
    path: &AccountPath,
) -> Result<Outcome, Answer> {
    resource::parent(desk, path)?;
    let words: Vec<&str> = path.rest.iter().map(String::as_str).collect();
    match (request.method.as_str(), words.as_slice()) {
        ("POST", ["listkeys"]) => account::list_keys(desk, path),
        ("POST", ["regeneratekey"]) => account::regenerate_key(desk, path, &body(request)?),
        ("GET", ["models"]) => offers::models(desk, location, None),
        ("GET", ["skus"]) => offers::account_skus(desk, location),
        ("GET", ["usages"]) => offers::usages(desk, location),
        ("GET", ["deployments"]) => deployments::list(desk, location),
        ("GET", ["deployments", name]) => deployments::get(desk, path, name),
        ("GET", ["deployments", name, "skus"]) => deployments::skus(desk, location, path, name),
        ("PUT", ["deployments", name]) => deployments::put(desk, request, path, name),
        ("PATCH", ["deployments", name]) => deployments::patch(desk, request, path, name),
        ("DELETE", ["deployments", name]) => deployments::delete(desk, request, name),
        (_, ["raipolicies", rest @ ..]) => rai_policies::handle(desk, request, location, path, rest),
        (_, ["raiblocklists", rest @ ..]) => rai_blocklists::handle(desk, request, location, path, rest),
        (_, ["connections", rest @ ..]) => connections::handle(desk, request, location, path, rest),
        (_, ["listkeys" | "regeneratekey"]) => Err(wrong_method("POST")),
        (_, ["deployments" | "models" | "skus" | "usages"] | ["deployments", _, "skus"]) => {
            Err(wrong_method("GET"))
        }
        (_, ["deployments", _]) => Err(wrong_method("GET, PUT, PATCH, DELETE")),
        (method, [kind, rest @ ..]) => absent::handle(desk, method, location, kind, rest)
            .unwrap_or_else(|| Err(not_supported(method, &location.path))),
        (method, []) => Err(not_supported(method, &location.path)),
    }
}

fn below_workspace(
    desk: &mut Desk<'_>,
    request: &ManagementRequest,
    location: &Location,
    path: &AccountPath,
) -> Result<Outcome, Answer> {
    resource::parent(desk, path)?;
    let words: Vec<&str> = path.rest.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["connections", rest @ ..] => connections::handle(desk, request, location, path, rest),
        ["serverlessendpoints", rest @ ..] => serverless::handle(desk, request, location, path, rest),
        ["marketplacesubscriptions", rest @ ..] => subscriptions::handle(desk, request, location, path, rest),
        _ => Err(not_supported(&request.method, &location.path)),
    }
}

fn in_region(
    desk: &Desk<'_>,
    request: &ManagementRequest,
    location: &Location,
    path: &AccountPath,
) -> Result<Outcome, Answer> {
    let words: Vec<&str> = path.rest.iter().map(String::as_str).collect();
    // `rest` begins after the region, so types and names have changed places.
    let [kind, rest @ ..] = words.as_slice() else { return Err(convention::not_found(&location.path)) };
    match (request.method.as_str(), kind.to_ascii_lowercase().as_str(), rest) {
        ("GET", "mfeoperationsstatus" | "operationsstatus", [id]) => {
            convention::operation(desk, &location.path, id, true)
        }
        ("GET", "mfeoperationresults" | "operationresults", [id]) => {
            convention::operation(desk, &location.path, id, false)
        }
        ("GET", "raicontentfilters", rest) => rai_policies::filters(desk, location, rest),
        ("GET", "models", []) if path.provider == Provider::CognitiveServices => {
            let region = location.segments.get(5).map(|text| convention::region(text));
            offers::models(desk, location, Some(region.as_deref().unwrap_or(convention::REGION)))
        }
        ("GET", "modelcapacities", []) if path.provider == Provider::CognitiveServices => {
            offers::capacities(desk, location)
        }
        ("GET", "usages", []) if path.provider == Provider::CognitiveServices => {
            offers::usages(desk, location)
        }
        (_, "resourcegroups", [group, deleted, _]) if deleted.eq_ignore_ascii_case("deletedaccounts") => {
            deleted::handle(desk, request, location, group)
        }
        ("POST", "checkskuavailability", []) if path.provider == Provider::CognitiveServices => {
            subscription::sku_availability(request)
        }
        ("GET", "commitmenttiers", []) => absent::handle(desk, "GET", location, "commitmenttiers", rest)
            .unwrap_or_else(|| Err(not_supported("GET", &location.path))),
        (method, _, _) => Err(not_supported(method, &location.path)),
    }
}

/// The answer for a name that cannot be an account's.
pub fn invalid_account(problem: InvalidName) -> Answer {
    error_at(400, "InvalidResourceName", "name", &format!("The account's name {problem}."))
}

/// The answer to a caller who may not command.
pub fn denied(denied: Denied) -> Answer {
    if denied == Denied::Unavailable {
        return error(503, "ServiceUnavailable", denied.message()).with("retry-after", "5");
    }
    let (code, challenge) = match denied {
        Denied::Missing => ("AuthenticationFailed", "Bearer realm=\"weir\""),
        Denied::Expired => ("ExpiredAuthenticationToken", "Bearer realm=\"weir\", error=\"invalid_token\""),
        Denied::Wrong | Denied::NotConfigured | Denied::Unavailable => {
            ("InvalidAuthenticationToken", "Bearer realm=\"weir\", error=\"invalid_token\"")
        }
    };
    error(401, code, denied.message()).with("www-authenticate", challenge)
}

/// The answer to a caller who is known and may not (`azure.md`, C0).
pub fn forbidden(caller: &Caller, action: &str, scope: &str) -> Answer {
    let scope = if scope.is_empty() { "/" } else { scope };
    let text = format!(
        "The client '{}' with object id '{}' does not have authorization to perform action '{action}' over scope \
         '{scope}' or the scope is invalid. If access was recently granted, please refresh your credentials.",
        caller.name, caller.id
    );
    error(403, "AuthorizationFailed", &text).with("x-ms-failure-cause", "gateway")
}

/// The answer for an operation of ARM that is not built yet.
pub fn not_supported(method: &str, path: &str) -> Answer {
    error(501, "NotImplemented", &format!("The operation {method} {path} is not supported yet."))
}

/// The answer for a path that is no resource.
pub fn no_such_route(method: &str, path: &str) -> Answer {
    error(404, "ResourceNotFound", &format!("No resource or operation answers to {method} {path}."))
}
