//! What all resources of Azure Resource Manager have in common (`azure.md`, C0).
//!
//! Decides api-versions, error envelopes, lists and their pages, the headers and status resources of asynchronous
//! operations, `systemData`, tags, regions and preconditions; not what a resource is. Every command is complete when
//! it is answered, so an operation that is asked for has succeeded: its status says so.

use super::super::answer::{Answer, Location, ManagementRequest};
use super::super::command::{Desk, Outcome};
use super::super::document::{self, DocumentError, Faults, Members};
use super::{AccountPath, Provider};
use crate::ledger::calendar::format_rfc3339;
use crate::sorted::SortedMap;
use crate::time::UnixMillis;
use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use serde_json::{Map, Value, json};

/// Items of one page of a list.
pub const PAGE: usize = 100;
/// Most tags of a resource, as in ARM.
const TAGS_MAX: usize = 50;
/// The region of resources that were never written.
pub const REGION: &str = "eastus2";

/// The api-versions of `Microsoft.CognitiveServices` that are answered: from the first with `sku.capacity` on.
pub const COGNITIVE_SERVICES: [&str; 12] = [
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

/// The api-versions of `Microsoft.MachineLearningServices` that are answered; clients ask for a workspace in older
/// ones than for its endpoints.
pub const MACHINE_LEARNING: [&str; 26] = [
    "2022-02-01-preview",
    "2022-05-01",
    "2022-10-01",
    "2022-10-01-preview",
    "2023-02-01-preview",
    "2023-04-01",
    "2023-04-01-preview",
    "2023-06-01-preview",
    "2023-08-01-preview",
    "2023-10-01",
    "2024-01-01-preview",
    "2024-04-01",
    "2024-04-01-preview",
    "2024-07-01-preview",
    "2024-10-01",
    "2024-10-01-preview",
    "2025-01-01-preview",
    "2025-04-01",
    "2025-04-01-preview",
    "2025-06-01",
    "2025-07-01-preview",
    "2025-09-01",
    "2025-10-01-preview",
    "2025-12-01",
    "2026-03-01",
    "2026-03-15-preview",
];

/// An error in ARM's envelope.
pub fn error(status: u16, code: &str, message: &str) -> Answer {
    Answer::json(status, &json!({"error": {"code": code, "message": message}}))
}

/// An error about one member of the request, in ARM's envelope; `target` is its path.
pub fn error_at(status: u16, code: &str, target: &str, message: &str) -> Answer {
    let details = details(&fault(target, message));
    Answer::json(
        status,
        &json!({"error": {"code": code, "message": message, "target": target, "details": details}}),
    )
}

/// One fault alone.
pub fn fault(path: &str, problem: &str) -> Faults {
    let mut faults = Faults::default();
    faults.note(path, problem);
    faults
}

/// An error as Machine Learning tells it: `UserError` outside, what it is inside.
pub fn user_error(status: u16, inner: &str, message: &str, faults: &Faults) -> Answer {
    let category = match status {
        404 => "NotFound",
        409 => "Conflict",
        _ => "BadArgument",
    };
    let inner = json!({"code": category, "innerError": {"code": inner, "innerError": null}});
    Answer::json(
        status,
        &json!({"error": {
            "code": "UserError", "message": message, "details": details(faults),
            "additionalInfo": [
                {"type": "ComponentName", "info": {"value": "managementfrontend"}},
                {"type": "InnerError", "info": {"value": inner}},
            ],
        }}),
    )
}

/// Each fault as an inner error.
pub fn details(faults: &Faults) -> Vec<Value> {
    let detail = |fault: &document::Fault| json!({"code": "InvalidValue", "target": fault.path, "message": fault.problem});
    faults.0.iter().map(detail).collect()
}

/// Refuses a body with faults in it, in the provider's form.
///
/// # Errors
/// 400 with one detail for each fault; its `target` is the path.
pub fn refuse(provider: Provider, faults: &Faults) -> Result<(), Answer> {
    if faults.none() {
        return Ok(());
    }
    let text = format!("The request content was invalid: {}.", faults.sentence());
    Err(match provider {
        Provider::MachineLearning => user_error(400, "InvalidRequestContent", &text, faults),
        Provider::CognitiveServices => Answer::json(
            400,
            &json!({"error": {"code": "InvalidRequestContent", "message": text, "details": details(faults)}}),
        ),
    })
}

/// 404 for a resource by its id.
pub fn not_found(id: &str) -> Answer {
    error(404, "ResourceNotFound", &format!("The resource '{id}' was not found."))
}

/// 405.
pub fn wrong_method(allowed: &str) -> Answer {
    error(405, "MethodNotAllowed", &format!("This resource answers to {allowed} only."))
        .with("allow", allowed)
}

/// Checks that the request names an api-version of `provider`.
///
/// # Errors
/// 400 `MissingApiVersionParameter`; `NoRegisteredProviderFound` for a version of the other provider only;
/// `InvalidApiVersionParameter` for one of none.
pub fn check_version(location: &Location, provider: Provider) -> Result<(), Answer> {
    let versions = provider.versions();
    let version = api_version(location);
    if version.is_empty() {
        let text = "The api-version query parameter (?api-version=) is required for all requests.";
        return Err(error(400, "MissingApiVersionParameter", text));
    }
    if versions.iter().any(|known| known.eq_ignore_ascii_case(version)) {
        return Ok(());
    }
    let mut all = COGNITIVE_SERVICES.iter().chain(&MACHINE_LEARNING);
    if all.any(|known| known.eq_ignore_ascii_case(version)) {
        let (namespace, kind) = (provider.namespace(), provider.kind());
        let text = format!(
            "No registered resource provider found for API version '{version}' and type '{kind}' in the namespace \
             '{namespace}'. The supported api-versions are '{}'.",
            versions.join(", ")
        );
        return Err(error(400, "NoRegisteredProviderFound", &text));
    }
    let (shown, supported) = (version.chars().take(40).collect::<String>(), versions.join(", "));
    let text = format!("The api-version '{shown}' is invalid. The supported versions are '{supported}'.");
    Err(error(400, "InvalidApiVersionParameter", &text))
}

fn api_version(location: &Location) -> &str {
    let mut members = location.query.iter();
    members.find(|(name, _)| name.eq_ignore_ascii_case("api-version")).map_or("", |(_, version)| version)
}

/// The body, a JSON object.
///
/// # Errors
/// 400, or 413 when it is too large.
pub fn body(request: &ManagementRequest) -> Result<Map<String, Value>, Answer> {
    document::parse(request.body.as_bytes()).map_err(|problem| {
        let status = if problem == DocumentError::TooLarge { 413 } else { 400 };
        error(status, "InvalidRequestContent", &format!("The request content was invalid: {problem}."))
    })
}

/// A page of a list: `$skip` items are left out, and `nextLink` asks for the next page.
///
/// # Errors
/// 400 when `$skip` is no number.
pub fn listed(desk: &Desk<'_>, location: &Location, items: Vec<Value>) -> Result<Outcome, Answer> {
    let skip = match location.query("$skip") {
        None | Some("") => 0,
        Some(text) => text.parse::<usize>().map_err(|_| {
            error(400, "InvalidQueryParameter", "The query parameter '$skip' must be a number from 0 on.")
        })?,
    };
    let end = skip.saturating_add(PAGE);
    let more = items.len() > end;
    let value: Vec<Value> = items.into_iter().skip(skip).take(PAGE).collect();
    let mut list = json!({ "value": value });
    if let (true, Some(members)) = (more, list.as_object_mut()) {
        let (origin, path, version) = (&desk.origin, &location.path, api_version(location));
        let link = format!("{origin}{path}?api-version={version}&%24skip={end}");
        members.insert("nextLink".to_owned(), link.into());
    }
    Ok(Outcome::reading(Answer::json(200, &list)))
}

/// `answer` with the headers of an operation that this command began: `Azure-AsyncOperation` to a status, or else
/// `Location` to its result.
pub fn began(
    answer: Answer,
    desk: &Desk<'_>,
    path: &AccountPath,
    location: &Location,
    region: &str,
    status: bool,
) -> Answer {
    let words = match (path.provider, status) {
        (Provider::MachineLearning, true) => "mfeOperationsStatus",
        (Provider::MachineLearning, false) => "mfeOperationResults",
        (Provider::CognitiveServices, true) => "operationsStatus",
        (Provider::CognitiveServices, false) => "operationResults",
    };
    let (origin, subscription, namespace) = (&desk.origin, &path.subscription, path.provider.namespace());
    let (account, number) = (&desk.state.account, desk.next_version());
    let version = api_version(location);
    let url = format!(
        "{origin}/subscriptions/{subscription}/providers/{namespace}/locations/{region}/{words}/{account}:{number}\
         ?api-version={version}"
    );
    let answer = answer.with(if status { "azure-asyncoperation" } else { "location" }, &url);
    let answer = answer.with("retry-after", "1");
    if status { answer.with("x-ms-async-operation-timeout", "PT1H") } else { answer }
}

/// The account that an operation's id names: `{account}:{number}`.
pub fn operation_account(id: &str) -> Option<&str> {
    Some(id.split_once(':')?.0)
}

/// The status resource of an operation, or its result.
///
/// # Errors
/// 404 for an operation that never was.
pub fn operation(desk: &Desk<'_>, path: &str, id: &str, status: bool) -> Result<Outcome, Answer> {
    let number = id.split_once(':').and_then(|(_, number)| number.parse::<u64>().ok());
    let number = number.filter(|number| (1..=desk.state.version).contains(number));
    let number = number.ok_or_else(|| not_found(path))?;
    if !status {
        return Ok(Outcome::reading(Answer::empty(204)));
    }
    let mut body = json!({"id": path, "name": id, "status": "Succeeded", "percentComplete": 100});
    if let (Some(line), Some(members)) = (desk.state.audit.get(&number), body.as_object_mut()) {
        for member in ["startTime", "endTime"] {
            members.insert(member.to_owned(), format_rfc3339(line.at).into());
        }
    }
    Ok(Outcome::reading(Answer::json(200, &body)))
}

/// Who made a resource and who changed it last, and when.
pub fn system_data(creator: &str, created: UnixMillis, changed_by: &str, changed: UnixMillis) -> Value {
    json!({
        "createdBy": creator, "createdByType": "User", "createdAt": format_rfc3339(created),
        "lastModifiedBy": changed_by, "lastModifiedByType": "User", "lastModifiedAt": format_rfc3339(changed),
    })
}

/// Reads `tags`: at most 50 texts, none where a caller's text is not one.
pub fn read_tags(members: &Members<'_>, faults: &mut Faults) -> SortedMap<String, String> {
    let mut tags = SortedMap::new();
    let Some(map) = members.members("tags", faults) else { return tags };
    for name in map.names() {
        if let Some(text) = map.text(name, faults) {
            if name.len() > 512 || text.len() > 256 {
                faults.note(&map.path(name), "must have at most 512 bytes of name and 256 of value");
            }
            tags.insert(name.to_owned(), text.to_owned());
        }
    }
    if tags.len() > TAGS_MAX {
        faults.note("tags", "must be at most 50");
    }
    tags
}

/// A region's short form: `East US 2` is `eastus2`.
pub fn region(text: &str) -> String {
    text.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

/// Reads `location`, a region in any of its forms.
pub fn read_region(members: &Members<'_>, faults: &mut Faults) -> Option<String> {
    let text = members.required_text("location", faults)?;
    let short = region(text);
    let legal = |c: char| c.is_ascii_alphanumeric() || c == ' ';
    if short.is_empty() || short.len() > 40 || !text.chars().all(legal) {
        faults.note("location", "must be the name of a region, e.g. eastus2");
        return None;
    }
    Some(short)
}

/// Reads a text that must be one of `words`; its spelling there is the answer. Compares without case.
pub fn read_word(
    members: &Members<'_>,
    name: &str,
    words: &[&'static str],
    faults: &mut Faults,
) -> Option<&'static str> {
    let text = members.text(name, faults)?;
    let word = words.iter().copied().find(|word| word.eq_ignore_ascii_case(text));
    if word.is_none() {
        faults.note(&members.path(name), format!("must be one of {}", words.join(", ")));
    }
    word
}

/// Whether `If-Match` and `If-None-Match` let a write of a resource with this `etag` go ahead.
///
/// # Errors
/// 412.
pub fn precondition(request: &ManagementRequest, etag: Option<u64>) -> Result<(), Answer> {
    let named = |header: &str, etag: u64| {
        header
            .split(',')
            .map(str::trim)
            .any(|tag| tag == "*" || tag.trim_start_matches("W/") == format!("\"{etag}\""))
    };
    let text = match (request.if_match.as_deref(), request.if_none_match.as_deref(), etag) {
        (Some(header), _, Some(etag)) if !named(header, etag) => "was changed since it was read",
        (Some(_), _, None) => "does not exist",
        (_, Some(header), Some(etag)) if named(header, etag) => "exists already",
        _ => return Ok(()),
    };
    Err(error(
        412,
        "PreconditionFailed",
        &format!("The precondition of the request failed: the resource {text}."),
    ))
}
