//! Marketplace subscriptions (`azure.md`, C2): a project's consent to the terms of an offer.
//!
//! Decides which models need one, what each verb answers and whether an offer is covered; the endpoints of an offer
//! follow from that (`serverless`, `control::snapshot`): they are suspended while no subscription covers it.

use super::super::answer::{Answer, Location, ManagementRequest};
use super::super::catalog;
use super::super::command::{Change, Desk, Outcome};
use super::super::document::{Faults, Members};
use super::super::state::{AccountState, CatalogRow};
use super::convention::{
    REGION, began, body, fault, listed, not_found, refuse, system_data, user_error, wrong_method,
};
use super::serverless::check_model_id;
use super::{AccountPath, Provider, not_supported};
use crate::time::UnixMillis;
use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use serde_json::{Map, Value, json};

const TYPE: &str = "Microsoft.MachineLearningServices/workspaces/marketplaceSubscriptions";
/// Kind of the documents; their names are the subscriptions', folded.
const KIND: &str = "marketplace/";
/// Most subscriptions of a workspace.
const SUBSCRIPTIONS_MAX: usize = 1000;

/// Whether an entry's endpoints may be used: its offer is subscribed to, or it needs none.
pub fn covered(state: &AccountState, entry: &CatalogRow) -> bool {
    catalog::offer(entry).is_none() || of(state, entry).is_some()
}

/// The resource id of the subscription that covers an entry's offer.
pub fn of<'a>(state: &'a AccountState, entry: &CatalogRow) -> Option<&'a str> {
    let offer = catalog::offer(entry)?;
    let covers = |row: &&Value| row["plan"].as_object() == Some(offer);
    all(state).find(covers)?["id"].as_str()
}

fn all(state: &AccountState) -> impl Iterator<Item = &Value> {
    let documents = state.documents.range(KIND.to_owned()..);
    documents.take_while(|(key, _)| key.starts_with(KIND)).map(|(_, row)| row)
}

/// Answers one request below `W/marketplaceSubscriptions`.
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
    let known = |name: &str| desk.state.documents.get(&key(name));
    match (request.method.as_str(), rest) {
        ("GET", []) => listed(desk, location, all(desk.state).map(shown).collect()),
        ("GET", [name]) => match known(name) {
            Some(row) => Ok(Outcome::reading(Answer::json(200, &shown(row)))),
            None => Err(not_found(&format!("{}/marketplaceSubscriptions/{name}", path.id))),
        },
        ("PUT", [name]) => put(desk, location, path, name, &body(request)?),
        ("DELETE", [name]) if known(name).is_none() => Ok(Outcome::reading(Answer::empty(204))),
        ("DELETE", [name]) => {
            let answer = began(Answer::empty(202), desk, path, location, REGION, false);
            let changes = [Change::DropDocument(key(name))].into();
            Ok(Outcome::writing(answer, "marketplace_subscription.delete", name, changes))
        }
        (_, []) => Err(wrong_method("GET")),
        (_, [_]) => Err(wrong_method("GET, PUT, DELETE")),
        (method, _) => Err(not_supported(method, &location.path)),
    }
}

fn key(name: &str) -> String {
    format!("{KIND}{}", name.to_ascii_lowercase())
}

fn put(
    desk: &Desk<'_>,
    location: &Location,
    path: &AccountPath,
    name: &str,
    body: &Map<String, Value>,
) -> Result<Outcome, Answer> {
    let mut faults = Faults::default();
    let legal = (1..=255).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    if !legal {
        faults.note("name", "must be 1 to 255 letters, digits, '-', '_' and '.', the first no sign");
    }
    let properties = Members::root(body).required_members("properties", &mut faults);
    let model = properties.as_ref().and_then(|map| map.required_text("modelId", &mut faults));
    if let Some(model) = model {
        check_model_id(model, "properties.modelId", &mut faults);
    }
    refuse(Provider::MachineLearning, &faults)?;
    let model = model.unwrap_or_default();
    let Some(entry) = catalog::by_registry_id(desk.state, model) else {
        let text = format!("The model '{model}' is not offered: it is not in this installation's catalog.");
        return Err(user_error(400, "ServerlessOfferNotFound", &text, &fault("properties.modelId", &text)));
    };
    let Some(plan) = catalog::offer(&entry) else {
        let text = format!("The model '{}' has no offer: it is deployed without a subscription.", entry.name);
        return Err(user_error(400, "MarketplaceOfferNotFound", &text, &fault("properties.modelId", &text)));
    };
    let known = desk.state.documents.get(&key(name));
    if known.is_some_and(|row| row["plan"].as_object() != Some(plan)) {
        let text = format!("The subscription '{name}' is for another offer; delete it or use another name.");
        return Err(user_error(409, "SubscriptionNameTaken", &text, &fault("name", &text)));
    }
    if known.is_none() && all(desk.state).count() >= SUBSCRIPTIONS_MAX {
        return Err(user_error(
            409,
            "TooManySubscriptions",
            "The workspace has 1000 subscriptions already.",
            &Faults::default(),
        ));
    }
    let id = format!("{}/marketplaceSubscriptions/{name}", path.id);
    let kept = |member: &str, fresh: Value| known.map_or(fresh, |row| row[member].clone());
    let row = json!({
        "id": kept("id", id.into()), "name": kept("name", name.into()), "model": model, "plan": plan,
        "by": kept("by", desk.actor.into()), "at": kept("at", desk.now.0.into()),
        "changed_by": desk.actor, "changed_at": desk.now,
    });
    let answer = Answer::json(if known.is_some() { 200 } else { 201 }, &shown(&row));
    let answer = began(answer, desk, path, location, REGION, true);
    let changes = [Change::Document(key(name), row)].into();
    Ok(Outcome::writing(answer, "marketplace_subscription.put", name, changes))
}

/// `marketplacePlan` is always an object: clients rely on it.
fn shown(row: &Value) -> Value {
    let (plan, at) = (&row["plan"], |member: &str| UnixMillis(row[member].as_u64().unwrap_or(0)));
    let by = |member: &str| row[member].as_str().unwrap_or_default();
    json!({
        "id": row["id"], "name": row["name"], "type": TYPE,
        "properties": {
            "modelId": row["model"],
            "marketplacePlan": {
                "publisherId": plan["publisher_id"], "offerId": plan["offer_id"], "planId": plan["plan_id"],
            },
            "marketplaceSubscriptionStatus": "Subscribed", "provisioningState": "Succeeded",
        },
        "systemData": system_data(by("by"), at("at"), by("changed_by"), at("changed_at")),
    })
}
