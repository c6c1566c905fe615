//! `/api/weir/v1/classifiers`: external classifiers that content policies may name.
//!
//! Decides what one must hold, what is shown of it, when it may go, and what isolates get of it; not what it is asked
//! (`policy::classifier`). A classifier is a document of the account; its key is sealed for the service's address and
//! never shown again. The one named `default` is asked for the system's policies and for guardrails, which cannot name
//! one themselves.

use super::super::address;
use super::super::answer::Answer;
use super::super::command::{Change, Desk, Outcome, SecretFault};
use super::super::content::{self, POLICY, filter, key};
use super::super::document::{Faults, Members};
use super::super::external_model::credential::{Form, credential, seal};
use super::super::external_model::is_header_value;
use super::super::state::{AccountState, ServerlessSpec};
use super::{conflict, invalid, not_found};
use crate::id::DeploymentName;
use crate::snapshot::content::{Classifier, Filter, Service};
use crate::time::Millis;
use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use serde_json::{Map, Value, json};

/// Kind of the documents of classifiers; their names are the classifiers', folded.
const CLASSIFIER: &str = "classifier/";
/// Most classifiers of an account.
const CLASSIFIERS_MAX: usize = 100;
/// How long one answer may take, in milliseconds: unless it is set, at least, at most.
const DEADLINE: (u64, u64, u64) = (2_000, 100, 30_000);
/// Longest instructions, in bytes.
const INSTRUCTIONS_BYTES_MAX: usize = 16 * 1_024;
/// Most categories that an operator gives a meaning to.
const HAZARDS_MAX: usize = 64;

const SERVICES: [(&str, Service); 3] = [
    ("azure-content-safety", Service::ContentSafety),
    ("openai-moderation", Service::Moderation),
    ("deployment", Service::Deployment),
];
/// Members of every classifier, and those of each service alone.
const COMMON: [&str; 4] = ["name", "service", "deadline_ms", "on_failure"];
const OF_CONTENT_SAFETY: [&str; 4] = ["endpoint", "api_key", "api_key_plaintext", "prompt_shield"];
const OF_MODERATION: [&str; 4] = ["endpoint", "api_key", "api_key_plaintext", "model"];
const OF_DEPLOYMENT: [&str; 3] = ["deployment", "instructions", "hazards"];

/// `GET …/classifiers`.
pub fn list(desk: &Desk<'_>) -> Outcome {
    let rows: Vec<&Value> = content::all(desk.state, CLASSIFIER).filter_map(|row| row.get("shown")).collect();
    Outcome::reading(Answer::json(200, &json!({"classifiers": rows})))
}

/// `GET …/classifiers/{name}`.
///
/// # Errors
/// 404.
pub fn get(desk: &Desk<'_>, name: &str) -> Result<Outcome, Answer> {
    let row = desk.state.documents.get(&key(CLASSIFIER, name));
    let shown = row.and_then(|row| row.get("shown")).ok_or_else(|| not_found("classifier", name))?;
    Ok(Outcome::reading(Answer::json(200, shown)))
}

/// `PUT …/classifiers/{name}`: 201 when it is new, else 200.
///
/// # Errors
/// 400 with the path of each fault, 409 when the account has too many.
pub fn put(desk: &mut Desk<'_>, name: &str, body: &Map<String, Value>) -> Result<Outcome, Answer> {
    let mut faults = Faults::default();
    let row = read_row(desk, name, &Members::root(body), &mut faults);
    let Some(row) = row.filter(|_| faults.none()) else { return Err(invalid(&faults)) };
    let known = desk.state.documents.contains_key(&key(CLASSIFIER, name));
    if !known && content::all(desk.state, CLASSIFIER).count() >= CLASSIFIERS_MAX {
        return Err(conflict("The account has 100 classifiers already; delete some first."));
    }
    let shown = row.get("shown").unwrap_or(&Value::Null);
    let answer = Answer::json(if known { 200 } else { 201 }, shown);
    let changes = [Change::Document(key(CLASSIFIER, name), row)].into();
    Ok(Outcome::writing(answer, "classifier.put", name, changes))
}

/// `DELETE …/classifiers/{name}`: 204.
///
/// # Errors
/// 404, or 409 while a policy names it.
pub fn delete(desk: &Desk<'_>, name: &str) -> Result<Outcome, Answer> {
    if !exists(desk.state, name) {
        return Err(not_found("classifier", name));
    }
    let names = |row: &&Value| {
        let named = row.get("properties").map_or("", |properties| text(properties, "weirClassifier"));
        named.eq_ignore_ascii_case(name)
    };
    if let Some(policy) = content::all(desk.state, POLICY).find(names).and_then(|row| row["name"].as_str()) {
        return Err(conflict(&format!("The content filter policy '{policy}' uses this classifier.")));
    }
    let has = |spec: &ServerlessSpec| {
        spec.classifier.as_ref().is_some_and(|named| named.eq_ignore_ascii_case(name))
    };
    let mut endpoints = desk.state.deployments.values();
    if let Some(row) = endpoints.find(|row| row.serverless().is_some_and(has)) {
        return Err(conflict(&format!("The serverless endpoint '{}' uses this classifier.", row.name)));
    }
    let changes = [Change::DropDocument(key(CLASSIFIER, name))].into();
    Ok(Outcome::writing(Answer::empty(204), "classifier.delete", name, changes))
}

/// Reads `weirClassifier`, the member by which what has a content filter names one.
pub fn read<'a>(state: &AccountState, members: &Members<'a>, faults: &mut Faults) -> Option<&'a str> {
    let name = members.text("weirClassifier", faults)?;
    if !exists(state, name) {
        let text = "names a classifier that does not exist; make it with PUT /api/weir/v1/classifiers/{name}";
        faults.note(&members.path("weirClassifier"), text);
    }
    Some(name)
}

/// Whether there is a classifier of this name.
pub fn exists(state: &AccountState, name: &str) -> bool {
    state.documents.contains_key(&key(CLASSIFIER, name))
}

/// What isolates get: all of them, for there are few.
pub fn compiled(state: &AccountState) -> Vec<Classifier> {
    content::all(state, CLASSIFIER).filter_map(compile).collect()
}

/// Those whose key is the secret `secret`, sealed anew with its `value`.
///
/// # Errors
/// [`SecretFault::NoSealKey`]; [`SecretFault::Unsendable`] if it cannot go into a header.
pub fn renewed(desk: &mut Desk<'_>, secret: &str, value: &str) -> Result<Vec<Change>, SecretFault> {
    let state = desk.state;
    let mut changes = Vec::new();
    for row in content::all(state, CLASSIFIER).filter(|row| text(row, "reference") == secret) {
        if !is_header_value(value) {
            return Err(SecretFault::Unsendable);
        }
        let sealed = desk.seal(text(row, "place"), value)?;
        let mut row = row.clone();
        set(&mut row, "sealed", sealed.into());
        let name = row.get("shown").map_or("", |shown| text(shown, "name"));
        changes.push(Change::Document(key(CLASSIFIER, name), row));
    }
    Ok(changes)
}

fn compile(row: &Value) -> Option<Classifier> {
    let shown = row.get("shown")?;
    let service = service_of(text(shown, "service"))?;
    let named =
        |(code, name): (&String, &Value)| Some((code.clone(), name.as_str().and_then(filter)?.filter?));
    let hazards: Vec<(String, Filter)> =
        shown.get("hazards").and_then(Value::as_object).into_iter().flatten().filter_map(named).collect();
    Some(Classifier {
        name: text(shown, "name").to_owned(),
        service,
        place: text(row, "place").to_owned(),
        sealed: row.get("sealed").and_then(Value::as_str).map(ToOwned::to_owned),
        model: text(shown, "model").to_owned(),
        instructions: text(shown, "instructions").to_owned(),
        hazards,
        shield: shown.get("prompt_shield").and_then(Value::as_bool).unwrap_or(false),
        deadline: Millis(shown.get("deadline_ms").and_then(Value::as_u64).unwrap_or(DEADLINE.0)),
        open: text(shown, "on_failure") == "open",
    })
}

fn service_of(word: &str) -> Option<Service> {
    SERVICES.iter().find(|(known, _)| *known == word).map(|(_, service)| *service)
}

/// The row as it is stored: what is shown of it, and what is not.
fn read_row(desk: &mut Desk<'_>, name: &str, members: &Members<'_>, faults: &mut Faults) -> Option<Value> {
    if DeploymentName::parse(name).is_err() {
        faults.note("name", "must be 1 to 64 letters, digits, '-', '_' or '.', the first a letter or digit");
    }
    let word = members.required_text("service", faults)?;
    let Some(service) = service_of(word) else {
        faults.note("service", "must be azure-content-safety, openai-moderation or deployment");
        return None;
    };
    let own: &[&str] = match service {
        Service::ContentSafety => &OF_CONTENT_SAFETY,
        Service::Moderation => &OF_MODERATION,
        Service::Deployment => &OF_DEPLOYMENT,
    };
    for member in members.names().filter(|name| !COMMON.contains(name) && !own.contains(name)) {
        faults.note(member, format!("is no member of a classifier of the service {word}"));
    }
    let mut shown = json!({"name": name, "service": word});
    read_common(members, &mut shown, faults);
    match service {
        Service::ContentSafety | Service::Moderation => {
            let place = read_service(desk, service, members, &mut shown, faults);
            let shown = shown.as_object_mut()?;
            let key = credential(members, "api_key", Form::Header, desk, faults, shown);
            let (place, key) = (place?, key?);
            let sealed = seal(&key, &place, "api_key", desk, faults)?;
            Some(json!({"shown": shown, "place": place, "sealed": sealed, "reference": key.reference}))
        }
        Service::Deployment => {
            let place = read_deployment(desk, members, &mut shown, faults)?;
            Some(json!({"shown": shown, "place": place}))
        }
    }
}

fn read_common(members: &Members<'_>, shown: &mut Value, faults: &mut Faults) {
    let (unset, least, most) = DEADLINE;
    let deadline = members.integer("deadline_ms", faults).unwrap_or(unset);
    if !(least..=most).contains(&deadline) {
        faults.note("deadline_ms", format!("must be {least} to {most}"));
    }
    let choice = members.text("on_failure", faults).unwrap_or("closed");
    if !matches!(choice, "open" | "closed") {
        faults.note("on_failure", "must be closed (refuse what was not judged) or open (let it pass)");
    }
    set(shown, "deadline_ms", deadline.into());
    set(shown, "on_failure", choice.into());
}

/// A service's own members; its address.
fn read_service(
    desk: &Desk<'_>,
    service: Service,
    members: &Members<'_>,
    shown: &mut Value,
    faults: &mut Faults,
) -> Option<String> {
    let endpoint = if service == Service::ContentSafety {
        set(shown, "prompt_shield", members.boolean("prompt_shield", faults).unwrap_or(true).into());
        members.required_text("endpoint", faults)
    } else {
        let model = members.text("model", faults).unwrap_or("omni-moderation-latest");
        if model.is_empty() || model.len() > 256 {
            faults.note("model", "must be 1 to 256 bytes");
        }
        set(shown, "model", model.into());
        Some(members.text("endpoint", faults).unwrap_or("https://api.openai.com/v1"))
    };
    let place = endpoint.and_then(|endpoint| {
        let checked = address::check(endpoint, desk.settings.allow_private_upstreams);
        checked.map_err(|fault| faults.note("endpoint", fault.to_string())).ok()
    });
    if let Some(place) = &place {
        set(shown, "endpoint", place.as_str().into());
    }
    place
}

fn read_deployment(
    desk: &Desk<'_>,
    members: &Members<'_>,
    shown: &mut Value,
    faults: &mut Faults,
) -> Option<String> {
    let named = members.required_text("deployment", faults)?;
    let folded = named.to_ascii_lowercase();
    if !desk.state.deployments.contains_key(&folded) {
        faults.note("deployment", "names a deployment that does not exist in this account");
    }
    set(shown, "deployment", named.into());
    if let Some(instructions) = members.text("instructions", faults) {
        if instructions.len() > INSTRUCTIONS_BYTES_MAX {
            faults.note("instructions", "must be at most 16 KiB");
        }
        set(shown, "instructions", instructions.into());
    }
    if let Some(hazards) = members.members("hazards", faults) {
        if hazards.map().len() > HAZARDS_MAX {
            faults.note("hazards", "must be at most 64");
        }
        for (code, name) in hazards.map() {
            let known = name.as_str().and_then(filter).and_then(|known| known.filter);
            if known.is_none() || code.is_empty() || code.contains(|c: char| c.is_whitespace() || c == ',') {
                let text =
                    "must give a category's code one of the content filters, e.g. \"S2\": \"Violence\"";
                faults.note(&hazards.path(code), text);
            }
        }
        set(shown, "hazards", Value::Object(hazards.map().clone()));
    }
    Some(folded)
}

fn text<'a>(row: &'a Value, member: &str) -> &'a str {
    row.get(member).and_then(Value::as_str).unwrap_or_default()
}

fn set(row: &mut Value, member: &str, value: Value) {
    if let Some(members) = row.as_object_mut() {
        members.insert(member.to_owned(), value);
    }
}
