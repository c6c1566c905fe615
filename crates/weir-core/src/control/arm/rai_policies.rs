//! Content filter policies (`azure.md`, C4), and the content filters that they are made of.
//!
//! Decides what a policy's body must hold, what is shown of it and when it may go; what it does is compiled in
//! `control::content`. Answers are synchronous. The system's policies are shown and never written.

use super::super::answer::{Answer, Location, ManagementRequest};
use super::super::command::{Change, Desk, Outcome};
use super::super::content::{self, BLOCKLIST, FILTERS, POLICY, filter, key};
use super::super::document::{Faults, Members};
use super::super::weir::classifiers;
use super::convention::{
    body, error, listed, not_found, precondition, read_tags, read_word, refuse, system_data, wrong_method,
};
use super::{AccountPath, Provider, not_supported};
use crate::snapshot::content::{SYSTEM_POLICIES, Severity};
use crate::time::UnixMillis;
use alloc::borrow::ToOwned;
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use serde_json::{Map, Value, json};

/// Most policies of an account.
const POLICIES_MAX: usize = 100;
/// Most blocklists of a policy, counted for each side.
const LISTS_MAX: usize = 16;
const LEVELS: [&str; 3] = ["Low", "Medium", "High"];
const SOURCES: [&str; 2] = ["Prompt", "Completion"];
const MODES: [&str; 4] = ["Default", "Deferred", "Blocking", "Asynchronous_filter"];

/// Answers one request below `A/raiPolicies`.
///
/// # Errors
/// The refusal, rendered; nothing is changed then.
pub fn handle(
    desk: &Desk<'_>,
    request: &ManagementRequest,
    location: &Location,
    path: &AccountPath,
    rest: &[&str],
) -> Result<Outcome, Answer> {
    match (request.method.as_str(), rest) {
        ("GET", []) => {
            let system = SYSTEM_POLICIES.iter().map(|name| system(path, name));
            let own = content::all(desk.state, POLICY).map(|row| shown(row, "raiPolicies"));
            listed(desk, location, system.chain(own).collect())
        }
        ("GET", [name]) => {
            let known = SYSTEM_POLICIES.iter().find(|known| known.eq_ignore_ascii_case(name));
            let own = || desk.state.documents.get(&key(POLICY, name)).map(|row| shown(row, "raiPolicies"));
            let policy = known.map(|name| system(path, name)).or_else(own);
            let policy = policy.ok_or_else(|| not_found(&format!("{}/raiPolicies/{name}", path.id)))?;
            Ok(Outcome::reading(Answer::json(200, &policy)))
        }
        ("PUT", [name]) => put(desk, request, path, name),
        ("DELETE", [name]) => delete(desk, name),
        (_, []) => Err(wrong_method("GET")),
        (_, [_]) => Err(wrong_method("GET, PUT, DELETE")),
        (method, _) => Err(not_supported(method, &location.path)),
    }
}

/// `GET …/locations/{region}/raiContentFilters[/{name}]`: the filters that policies may name.
///
/// # Errors
/// 404 for a filter that is not.
pub fn filters(desk: &Desk<'_>, location: &Location, rest: &[&str]) -> Result<Outcome, Answer> {
    let mut all = Vec::new();
    for known in &FILTERS {
        for (source, has) in SOURCES.iter().zip([known.sides.0, known.sides.1]) {
            let name = known.shown;
            let wanted =
                rest.first().is_none_or(|wanted| filter(wanted).is_some_and(|it| it.folded == known.folded));
            if has && wanted {
                all.push(json!({
                    "id": location.path, "name": name, "type": "Microsoft.CognitiveServices/locations/raiContentFilters",
                    "properties": {"name": name, "isMultiLevelFilter": known.levels, "source": source},
                }));
            }
        }
    }
    match (rest, all.first()) {
        ([], _) => listed(desk, location, all),
        ([_], Some(one)) => Ok(Outcome::reading(Answer::json(200, one))),
        _ => Err(not_found(&location.path)),
    }
}

fn put(
    desk: &Desk<'_>,
    request: &ManagementRequest,
    path: &AccountPath,
    name: &str,
) -> Result<Outcome, Answer> {
    refuse_system(name)?;
    let known = desk.state.documents.get(&key(POLICY, name));
    precondition(request, known.and_then(|row| row["etag"].as_u64()))?;
    let body = body(request)?;
    let mut faults = Faults::default();
    check_name(name, &mut faults);
    let members = Members::root(&body);
    let tags = read_tags(&members, &mut faults);
    let properties = members.required_members("properties", &mut faults);
    let properties = properties.map(|properties| read(desk, &properties, &mut faults));
    refuse(Provider::CognitiveServices, &faults)?;
    if known.is_none() && content::all(desk.state, POLICY).count() >= POLICIES_MAX {
        return Err(error(409, "QuotaExceeded", "The account has 100 content filter policies already."));
    }
    let mut row = stamped(desk, known, &format!("{}/raiPolicies/{name}", path.id), name);
    if let Some(members) = row.as_object_mut() {
        members.insert("tags".to_owned(), json!(tags));
        members.insert("properties".to_owned(), properties.unwrap_or_default());
    }
    let answer = Answer::json(if known.is_some() { 200 } else { 201 }, &shown(&row, "raiPolicies"));
    Ok(Outcome::writing(answer, "rai_policy.put", name, [Change::Document(key(POLICY, name), row)].into()))
}

/// 204 whether it was there or not: any other good answer of a synchronous deletion is refused by the client.
fn delete(desk: &Desk<'_>, name: &str) -> Result<Outcome, Answer> {
    refuse_system(name)?;
    if !desk.state.documents.contains_key(&key(POLICY, name)) {
        return Ok(Outcome::reading(Answer::empty(204)));
    }
    if let Some(user) = content::users(desk.state, name).next() {
        let text = format!(
            "The content filter policy '{name}' is used by the deployment '{user}'. Give the deployment another \
             policy, or delete it, first."
        );
        return Err(error(409, "RaiPolicyInUse", &text));
    }
    let changes = [Change::DropDocument(key(POLICY, name))].into();
    Ok(Outcome::writing(Answer::empty(204), "rai_policy.delete", name, changes))
}

fn refuse_system(name: &str) -> Result<(), Answer> {
    if name.get(..10).is_some_and(|head| head.eq_ignore_ascii_case("microsoft.")) {
        let text =
            "Names that begin with 'Microsoft.' are those of the system's policies, which cannot be changed.";
        return Err(error(400, "SystemPolicyReadOnly", text));
    }
    Ok(())
}

/// `properties` as it is stored: names and words in one spelling, defaults written out.
fn read(desk: &Desk<'_>, properties: &Members<'_>, faults: &mut Faults) -> Value {
    let mode = read_word(properties, "mode", &MODES, faults).unwrap_or("Default");
    let base = read_word(properties, "basePolicyName", &SYSTEM_POLICIES, faults);
    let filters = each(properties, "contentFilters", faults, read_filter);
    let lists = each(properties, "customBlocklists", faults, |list, faults| read_list(desk, list, faults));
    if lists.len() > LISTS_MAX {
        faults.note(&properties.path("customBlocklists"), "must be at most 16");
    }
    if properties.list("customTopics", faults).is_some_and(|topics| !topics.is_empty()) {
        faults
            .note(&properties.path("customTopics"), "is not supported: no classifier of topics is built in");
    }
    let classifier = classifiers::read(desk.state, properties, faults);
    let mut read = json!({"mode": mode, "contentFilters": filters, "customBlocklists": lists});
    if let (Some(base), Some(members)) = (base, read.as_object_mut()) {
        members.insert("basePolicyName".to_owned(), base.into());
    }
    if let (Some(name), Some(members)) = (classifier, read.as_object_mut()) {
        members.insert("weirClassifier".to_owned(), name.into());
    }
    read
}

/// Reads each object of a list; what is named twice for one source is a fault.
fn each(
    properties: &Members<'_>,
    name: &str,
    faults: &mut Faults,
    mut read: impl FnMut(&Members<'_>, &mut Faults) -> Option<(String, Value)>,
) -> Vec<Value> {
    let mut all = Vec::new();
    let mut seen = BTreeSet::new();
    for (at, item) in properties.list(name, faults).into_iter().flatten().enumerate() {
        let path = super::super::answer::position(&properties.path(name), at);
        let Some(members) = Members::of(item, &path, faults) else { continue };
        let source = read_word(&members, "source", &SOURCES, faults);
        if members.get("source").is_none() {
            faults.note(&members.path("source"), "is required: Prompt or Completion");
        }
        let blocking = members.boolean("blocking", faults).unwrap_or(true);
        let Some((name, mut item)) = read(&members, faults) else { continue };
        if source.is_some() && !seen.insert((name, source)) {
            faults.note(&path, "is there already for this source");
        }
        if let Some(item) = item.as_object_mut() {
            item.insert("blocking".to_owned(), blocking.into());
            item.insert("source".to_owned(), json!(source));
        }
        all.push(item);
    }
    all
}

fn read_filter(members: &Members<'_>, faults: &mut Faults) -> Option<(String, Value)> {
    let name = members.required_text("name", faults);
    let enabled = members.boolean("enabled", faults).unwrap_or(true);
    // Api-versions of 2023 call it `allowedContentLevel`.
    let member =
        if members.get("severityThreshold").is_some() { "severityThreshold" } else { "allowedContentLevel" };
    let level = read_word(members, member, &LEVELS, faults);
    let name = name?;
    let Some(known) = filter(name) else {
        let names: Vec<&str> = FILTERS.iter().map(|known| known.shown).collect();
        faults.note(&members.path("name"), format!("must be one of {}", names.join(", ")));
        return None;
    };
    let source = members.get("source").and_then(Value::as_str).unwrap_or_default();
    let (prompt, completion) = known.sides;
    if (!prompt && source.eq_ignore_ascii_case("prompt"))
        || (!completion && source.eq_ignore_ascii_case("completion"))
    {
        let only = if prompt { "Prompt" } else { "Completion" };
        faults.note(&members.path("source"), format!("must be {only} for the filter {}", known.shown));
    }
    if known.levels && enabled && members.get(member).is_none() {
        faults.note(&members.path("severityThreshold"), "is required: Low, Medium or High");
    }
    let mut item = json!({"name": name, "enabled": enabled});
    if let (Some(level), Some(item)) = (level, item.as_object_mut()) {
        item.insert("severityThreshold".to_owned(), level.into());
    }
    Some((known.folded.to_owned(), item))
}

fn read_list(desk: &Desk<'_>, members: &Members<'_>, faults: &mut Faults) -> Option<(String, Value)> {
    let name = members.required_text("blocklistName", faults)?;
    let Some(row) = desk.state.documents.get(&key(BLOCKLIST, name)) else {
        faults.note(&members.path("blocklistName"), "names a blocklist that does not exist");
        return None;
    };
    Some((name.to_ascii_lowercase(), json!({"blocklistName": row["name"]})))
}

/// Notes a fault unless `name` is one as `Microsoft.CognitiveServices` wants it.
pub(super) fn check_name(name: &str, faults: &mut Faults) {
    let legal = (1..=64).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte));
    if !legal {
        faults.note("name", "must be 1 to 64 letters, digits, '_', '.' and '-', the first no sign");
    }
}

/// What a stored resource has beside its own members: who made and changed it, when, and its version.
pub(super) fn stamped(desk: &Desk<'_>, known: Option<&Value>, id: &str, name: &str) -> Value {
    let kept = |member: &str, fresh: Value| known.map_or(fresh, |row| row[member].clone());
    json!({
        "id": kept("id", id.into()), "name": kept("name", name.into()), "etag": desk.next_version(),
        "by": kept("by", desk.actor.into()), "at": kept("at", desk.now.0.into()),
        "changed_by": desk.actor, "changed_at": desk.now,
    })
}

/// A stored resource as ARM shows it; `kind` is its type below accounts.
pub(super) fn shown(row: &Value, kind: &str) -> Value {
    let at = |member: &str| UnixMillis(row[member].as_u64().unwrap_or(0));
    let by = |member: &str| row[member].as_str().unwrap_or_default();
    let mut properties = row["properties"].clone();
    if let Some(members) = properties.as_object_mut().filter(|_| kind == "raiPolicies") {
        members.insert("type".to_owned(), "UserManaged".into());
    }
    let tags = if row["tags"].is_object() { row["tags"].clone() } else { Map::new().into() };
    json!({
        "id": row["id"], "name": row["name"], "type": format!("Microsoft.CognitiveServices/accounts/{kind}"),
        "etag": format!("\"{}\"", row["etag"]), "tags": tags, "properties": properties,
        "systemData": system_data(by("by"), at("at"), by("changed_by"), at("changed_at")),
    })
}

/// A policy of the system.
fn system(path: &AccountPath, name: &str) -> Value {
    let policy = crate::snapshot::content::ContentPolicy::system(name);
    let mut filters = Vec::new();
    for (source, rules) in
        policy.iter().flat_map(|policy| [("Prompt", &policy.prompt), ("Completion", &policy.completion)])
    {
        for rule in rules {
            let Some(known) = FILTERS.iter().find(|known| known.filter == Some(rule.filter)) else {
                continue;
            };
            let mut filter =
                json!({"name": known.shown, "enabled": true, "blocking": rule.blocking, "source": source});
            if let Some(members) = filter.as_object_mut().filter(|_| known.levels) {
                let level = rule.threshold.rank().saturating_sub(Severity::Low.rank());
                let level = usize::from(level);
                members.insert("severityThreshold".to_owned(), json!(LEVELS.get(level)));
            }
            filters.push(filter);
        }
    }
    json!({
        "id": format!("{}/raiPolicies/{name}", path.id), "name": name,
        "type": "Microsoft.CognitiveServices/accounts/raiPolicies",
        "properties": {"type": "SystemManaged", "mode": "Default", "contentFilters": filters, "customBlocklists": []},
    })
}
