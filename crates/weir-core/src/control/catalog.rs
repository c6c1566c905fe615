//! The model catalog: which models can be deployed, and how each is really served.
//!
//! Decides what an entry must hold (`design.md`, section 5), which entries a fresh installation has, and how one is
//! found (by name, without regard to case). An operator's entry stands instead of a bundled one of the same name.

mod bundled;
mod routing;

use super::answer::position;
use super::command::Desk;
use super::databricks::foundation;
use super::document::{Faults, Members};
use super::external_model::{self, read_task};
use super::state::{AccountState, Backend, CatalogRow};
use crate::id::DeploymentName;
use crate::snapshot::routing::Routing;
use crate::snapshot::{Deadlines, Price, Task};
use crate::units::Money;
use alloc::borrow::{Cow, ToOwned};
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use serde_json::{Map, Value, json};

/// The member of an entry that says what a provisioned throughput unit is worth (`azure.md`, C3).
const PROVISIONED_UNIT: &str = "provisioned_tokens_per_unit";
/// Where an entry does not say: what Azure gives for `gpt-4o`.
const PROVISIONED_UNIT_DEFAULT: u64 = 2_500;
/// Most tokens a minute that one unit can be worth.
const PROVISIONED_UNIT_MAX: u64 = 10_000_000;
/// Most backends of one entry.
const BACKENDS_MAX: usize = 16;

/// The entry of this name.
pub fn find<'a>(state: &'a AccountState, name: &str) -> Option<Cow<'a, CatalogRow>> {
    let folded = name.to_ascii_lowercase();
    if let Some(row) = state.catalog.get(&folded) {
        return Some(Cow::Borrowed(row));
    }
    bundled::find(&folded).map(Cow::Owned)
}

/// All entries, by folded name.
pub fn all(state: &AccountState) -> Vec<Cow<'_, CatalogRow>> {
    let mut entries: Vec<_> = state.catalog.values().map(Cow::Borrowed).collect();
    let fresh = bundled::all().filter(|row| !state.catalog.contains_key(&row.name.to_ascii_lowercase()));
    entries.extend(fresh.map(Cow::Owned));
    entries.sort_by_key(|row| row.name.to_ascii_lowercase());
    entries
}

/// The price of a provider's model, from the first entry that serves it.
pub fn price(state: &AccountState, provider: &str, model: &str) -> Option<Price> {
    let serves = |row: &&CatalogRow| {
        row.backends.iter().any(|b| b.entity.provider == provider && b.entity.upstream_model == model)
    };
    state.catalog.values().find(serves).and_then(|row| row.price.clone())
}

/// The entry of a registry's model, by its id without a version. Compares without case.
pub fn by_registry_id<'a>(state: &'a AccountState, id: &str) -> Option<Cow<'a, CatalogRow>> {
    all(state)
        .into_iter()
        .find(|row| text(row, "registry_id").is_some_and(|known| known.eq_ignore_ascii_case(id)))
}

/// The member `name` of an entry, where it is a text.
pub fn text<'a>(row: &'a CatalogRow, name: &str) -> Option<&'a str> {
    row.shown.get(name)?.as_str()
}

/// The marketplace offer that an entry's deployments need a subscription to.
pub fn offer(row: &CatalogRow) -> Option<&Map<String, Value>> {
    row.shown.get("offer")?.as_object()
}

/// What one provisioned throughput unit of the model is worth, in tokens a minute.
pub fn provisioned_unit(row: &CatalogRow) -> u64 {
    row.shown.get(PROVISIONED_UNIT).and_then(Value::as_u64).unwrap_or(PROVISIONED_UNIT_DEFAULT)
}

/// How an entry's backends share its traffic, and how long their parts may take.
pub fn routing(row: &CatalogRow) -> (Routing, Deadlines) {
    routing::read(&Members::root(&row.shown), &mut Faults::default())
}

/// Whether an entry can be deployed in a region, given in its short form: anywhere, if it names none.
pub fn in_region(row: &CatalogRow, region: &str) -> bool {
    let regions = row.shown.get("regions").and_then(Value::as_array);
    regions.is_none_or(|list| list.is_empty() || list.iter().any(|known| known.as_str() == Some(region)))
}

/// Reads an entry; every fault is noted. `None` when there was one. What the body leaves out of a model that is
/// bundled, the bundled entry gives: its backends are enough.
pub fn read(
    name: &str,
    body: &Map<String, Value>,
    desk: &mut Desk<'_>,
    faults: &mut Faults,
) -> Option<CatalogRow> {
    let bundled = bundled::find(name);
    let mut whole = bundled.as_ref().map(|row| row.shown.clone()).unwrap_or_default();
    whole.extend(body.iter().map(|(name, value)| (name.clone(), value.clone())));
    if bundled.is_some() && body.contains_key("versions") && !body.contains_key("default_version") {
        whole.remove("default_version");
    }
    let body = &whole;
    if let Err(problem) = DeploymentName::parse(name) {
        faults.note("name", format!("{problem}"));
    }
    let members = Members::root(body);
    let mut shown = Map::new();
    for member in ["format", "publisher"] {
        if let Some(text) = members.required_text(member, faults) {
            shown.insert(member.to_owned(), text.into());
        }
    }
    let task = members.required_text("task", faults).and_then(|text| read_task(text, "task", faults));
    let (versions, default_version) = read_versions(&members, faults);
    if let Some(id) = members.text("registry_id", faults) {
        shown.insert("registry_id".to_owned(), id.into());
    }
    shown.insert("regions".to_owned(), read_regions(&members, faults));
    shown.insert("offer".to_owned(), read_offer(&members, faults));
    shown.insert("foundation_model".to_owned(), foundation::read(&members, faults));
    if let Some(unit) = members.integer(PROVISIONED_UNIT, faults) {
        if !(1..=PROVISIONED_UNIT_MAX).contains(&unit) {
            faults.note(PROVISIONED_UNIT, format!("must be 1 to {PROVISIONED_UNIT_MAX} tokens a minute"));
        }
        shown.insert(PROVISIONED_UNIT.to_owned(), unit.into());
    }
    let (price_shown, price) = read_price(&members, faults);
    shown.insert("price".to_owned(), price_shown);
    let (backends_shown, backends) = read_backends(&members, task, desk, faults);
    let _checked = routing::read(&members, faults);
    if !faults.none() {
        return None;
    }
    let task = task?;
    shown.insert("task".to_owned(), external_model::task_text(task).into());
    shown.insert("versions".to_owned(), json!(versions));
    shown.insert("default_version".to_owned(), json!(default_version));
    shown.insert("backends".to_owned(), Value::Array(backends_shown));
    if let Some(routing) = body.get("routing") {
        shown.insert("routing".to_owned(), routing.clone());
    }
    Some(CatalogRow { name: name.to_owned(), shown, task, versions, default_version, price, backends })
}

fn read_versions(members: &Members<'_>, faults: &mut Faults) -> (Vec<String>, String) {
    let versions: Vec<String> =
        members.texts("versions", faults).unwrap_or_default().into_iter().map(ToOwned::to_owned).collect();
    let legal = |text: &String| {
        (1..=64).contains(&text.len()) && text.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
    };
    if !versions.iter().all(legal) {
        faults.note("versions", "must hold texts of 1 to 64 letters, digits, '.', '_' or '-'");
    }
    let default = match members.text("default_version", faults) {
        Some(text) => text.to_owned(),
        None => versions.first().cloned().unwrap_or_else(|| "1".to_owned()),
    };
    if !versions.is_empty() && !versions.contains(&default) {
        faults.note("default_version", "must be one of versions");
    }
    (versions, default)
}

fn read_regions(members: &Members<'_>, faults: &mut Faults) -> Value {
    let regions = members.texts("regions", faults).unwrap_or_default();
    if !regions
        .iter()
        .all(|text| (1..=40).contains(&text.len()) && super::arm::convention::region(text) == **text)
    {
        faults.note("regions", "must hold regions in their short form, e.g. eastus2");
    }
    json!(regions)
}

fn read_offer(members: &Members<'_>, faults: &mut Faults) -> Value {
    let Some(offer) = members.members("offer", faults) else { return Value::Null };
    let mut shown = Map::new();
    for member in ["publisher_id", "offer_id", "plan_id"] {
        if let Some(text) = offer.required_text(member, faults) {
            shown.insert(member.to_owned(), text.into());
        }
    }
    Value::Object(shown)
}

fn read_price(members: &Members<'_>, faults: &mut Faults) -> (Value, Option<Price>) {
    let Some(price) = members.members("price", faults) else { return (Value::Null, None) };
    let mut shown = Map::new();
    let currency = price.required_text("currency", faults).unwrap_or_default();
    let is_code = currency.len() == 3 && currency.bytes().all(|byte| byte.is_ascii_uppercase());
    if !currency.is_empty() && !is_code {
        faults.note("price.currency", "must be an ISO 4217 code such as USD");
    }
    shown.insert("currency".to_owned(), currency.into());
    let mut amount = |member: &str, required: bool| {
        if !required && price.get(member).is_none() {
            return None;
        }
        let text = price.required_text(member, faults)?;
        let amount = per_token(text);
        if amount.is_none() {
            let text = "must be a decimal text such as \"2.50\" with at most 6 places";
            faults.note(&price.path(member), text);
        }
        shown.insert(member.to_owned(), text.into());
        amount
    };
    let (input, output) = (amount("input_per_1m", true), amount("output_per_1m", true));
    let cached_input = amount("cached_input_per_1m", false);
    let price = match (input, output) {
        (Some(input), Some(output)) => {
            Some(Price { currency: currency.to_owned(), input, cached_input, output })
        }
        (None, _) | (_, None) => None,
    };
    (Value::Object(shown), price)
}

/// The price of one token from the decimal price of a million: six places make one unit of [`Money`].
fn per_token(text: &str) -> Option<Money> {
    let (whole, places) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(places) || places.len() > 6 || whole.len() > 9 {
        return None;
    }
    let padded: String = places.chars().chain("000000".chars()).take(6).collect();
    whole.parse::<u64>().ok()?.checked_mul(1_000_000)?.checked_add(padded.parse().ok()?).map(Money)
}

/// Reads `backends` in order of preference: by weight, else by priority, else as they stand.
fn read_backends(
    members: &Members<'_>,
    task: Option<Task>,
    desk: &mut Desk<'_>,
    faults: &mut Faults,
) -> (Vec<Value>, Vec<Backend>) {
    let list = members.list("backends", faults).map(Vec::as_slice).unwrap_or_default();
    if list.is_empty() || list.len() > BACKENDS_MAX {
        faults.note("backends", format!("must hold 1 to {BACKENDS_MAX} backends"));
        return (Vec::new(), Vec::new());
    }
    let (mut shown, mut ranked, mut names) = (Vec::new(), Vec::new(), BTreeSet::new());
    let (mut weights, mut weighted) = (0u64, 0usize);
    for (at, item) in list.iter().enumerate() {
        let path = position("backends", at);
        let Some(backend) = Members::of(item, &path, faults) else { continue };
        let (weight, priority) = (backend.integer("weight", faults), backend.integer("priority", faults));
        if weight.is_some() && priority.is_some() {
            faults.note(&backend.path("priority"), "must not be given beside weight");
        }
        weights = weights.saturating_add(weight.unwrap_or(0));
        weighted = weighted.saturating_add(usize::from(weight.is_some()));
        if backend.required_members("external_model", faults).is_none() {
            continue;
        }
        let Some(model) = backend.get("external_model") else { continue };
        let Some(mut read) = external_model::read(model, &backend.path("external_model"), desk, faults)
        else {
            continue;
        };
        if task.is_some_and(|task| task != read.task) {
            faults.note(&backend.path("external_model.task"), "must be the task of the entry");
        }
        read.entity.name = unique(&mut names, &read.entity.name);
        let mut item = Map::new();
        item.insert("external_model".to_owned(), Value::Object(read.shown.clone()));
        for (member, value) in [("weight", weight), ("priority", priority)] {
            value.map(|value| item.insert(member.to_owned(), value.into()));
        }
        shown.push(Value::Object(item));
        ranked.push((priority.unwrap_or(0), weight, read));
    }
    if weighted > 0 && (weighted != list.len() || weights != 100) {
        faults.note("backends", "must all have a weight when one has, and the weights must sum to 100");
    }
    (shown, ordered(ranked))
}

fn ordered(mut ranked: Vec<(u64, Option<u64>, Backend)>) -> Vec<Backend> {
    // With neither weight nor priority the order is the priority.
    if ranked.iter().all(|(priority, weight, _)| *priority == 0 && weight.is_none()) {
        for (at, (priority, ..)) in ranked.iter_mut().enumerate() {
            *priority = u64::try_from(at).unwrap_or(u64::MAX);
        }
    }
    // Stable: equal priorities keep the order in which they stand.
    ranked.sort_by_key(|(priority, ..)| *priority);
    let compiled = ranked.into_iter().map(|(priority, weight, mut backend)| {
        backend.entity.weight = u32::try_from(weight.unwrap_or(0)).unwrap_or(100);
        backend.entity.priority = u32::try_from(priority).unwrap_or(u32::MAX);
        backend
    });
    compiled.collect()
}

/// `name`, or `name-2` and so on when it is taken.
fn unique(names: &mut BTreeSet<String>, name: &str) -> String {
    let mut candidate = name.to_owned();
    let mut number = 2u32;
    while !names.insert(candidate.clone()) {
        candidate = format!("{name}-{number}");
        number = number.saturating_add(1);
    }
    candidate
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_per_million_becomes_an_exact_price_per_token() {
        let rows = [
            ("2.50", Some(2_500_000)),
            ("10", Some(10_000_000)),
            ("0.000001", Some(1)),
            ("0", Some(0)),
            ("0.0000001", None),
            ("-1", None),
            ("1e3", None),
            (".5", None),
            ("1.", None),
            ("9999999999", None),
        ];
        for (text, expected) in rows {
            assert_eq!(per_token(text).map(|money| money.0), expected, "{text}");
        }
    }
}
