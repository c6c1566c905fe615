//! What a PUT of a serverless endpoint asks for (`azure.md`, C1.3).
//!
//! Decides how its body is read and which faults it has; not whether the endpoint may be made.

use super::super::super::answer::Answer;
use super::super::super::document::{Faults, Members};
use super::super::super::state::AccountState;
use super::super::super::weir::classifiers;
use super::super::Provider;
use super::super::convention::{read_region, read_tags, read_word, refuse};
use super::MODEL;
use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;
use serde_json::{Map, Value, json};

const AUTH_MODES: [&str; 3] = ["Key", "AAD", "KeyAndAAD"];
const CLASSIFIER: &str = "properties.contentSafety.weirClassifier";

/// What a PUT asks for.
pub(super) struct Wish {
    pub(super) location: String,
    pub(super) model_id: String,
    pub(super) auth_mode: String,
    pub(super) content_safety: bool,
    /// Whether anything is said of content safety. Clients that do not know its classifier say nothing, and keep it.
    pub(super) says_safety: bool,
    /// The classifier of its content safety.
    pub(super) classifier: Option<String>,
    pub(super) shown: Map<String, Value>,
}

/// Reads the body of a PUT.
///
/// # Errors
/// 400 with the path of each fault.
pub(super) fn read(state: &AccountState, body: &Map<String, Value>) -> Result<Wish, Answer> {
    let mut faults = Faults::default();
    let members = Members::root(body);
    let location = read_region(&members, &mut faults).unwrap_or_default();
    let properties = members.required_members("properties", &mut faults);
    let of = |name: &str, faults: &mut Faults| properties.as_ref().and_then(|map| map.members(name, faults));
    let settings = of("modelSettings", &mut faults);
    let model_id = settings.as_ref().and_then(|map| map.required_text("modelId", &mut faults));
    if settings.is_none() && properties.is_some() {
        faults.note("properties.modelSettings", "is required");
    }
    if let Some(id) = model_id {
        check_model_id(id, MODEL, &mut faults);
    }
    let auth_mode = properties.as_ref().and_then(|map| read_word(map, "authMode", &AUTH_MODES, &mut faults));
    let safety = of("contentSafety", &mut faults);
    let words = ["Enabled", "Disabled"];
    let status = safety.as_ref().and_then(|map| read_word(map, "contentSafetyStatus", &words, &mut faults));
    let content_safety = status != Some("Disabled");
    let says_safety = safety.is_some();
    let classifier = safety.and_then(|map| {
        let name = classifiers::read(state, &map, &mut faults).map(ToOwned::to_owned);
        if name.is_some() && !content_safety {
            faults.note(CLASSIFIER, "needs contentSafetyStatus Enabled");
        }
        name
    });
    let mut shown = read_shown(&members, &mut faults);
    if let Some(kind) = members.text("kind", &mut faults) {
        shown.insert("kind".to_owned(), kind.into());
    }
    refuse(Provider::MachineLearning, &faults)?;
    Ok(Wish {
        location,
        model_id: model_id.unwrap_or_default().to_owned(),
        auth_mode: auth_mode.unwrap_or("Key").to_owned(),
        content_safety,
        says_safety,
        classifier,
        shown,
    })
}

/// A model is named without a version: the newest is deployed (C1.4).
pub fn check_model_id(id: &str, path: &str, faults: &mut Faults) {
    let parts: Vec<&str> = id.split('/').collect();
    match parts.as_slice() {
        ["azureml:", "", "registries", registry, "models", model]
            if !registry.is_empty() && !model.is_empty() => {}
        ["azureml:", "", "registries", _, "models", _, "versions" | "labels", ..] => {
            faults.note(path, "must not name a version: the newest one is deployed");
        }
        _ => faults.note(path, "must have the form azureml://registries/{registry}/models/{model}"),
    }
}

pub(super) fn read_shown(members: &Members<'_>, faults: &mut Faults) -> Map<String, Value> {
    let mut shown = Map::new();
    if members.get("tags").is_some() {
        shown.insert("tags".to_owned(), json!(read_tags(members, faults)));
    }
    for member in ["identity", "sku"] {
        if let Some(map) = members.members(member, faults) {
            shown.insert(member.to_owned(), Value::Object(map.map().clone()));
        }
    }
    if let Some(sku) = members.members("sku", faults) {
        sku.required_text("name", faults);
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_named_without_a_version() {
        let rows = [
            ("azureml://registries/azureml-meta/models/Meta-Llama-3-8B-Instruct", None),
            ("azureml://registries/azureml-meta/models/Meta-Llama-3-8B-Instruct/versions/3", Some("version")),
            (
                "azureml://registries/azureml-meta/models/Meta-Llama-3-8B-Instruct/labels/latest",
                Some("version"),
            ),
            ("azureml://registries//models/x", Some("form")),
            ("azureml://registries/a/models/", Some("form")),
            ("Meta-Llama-3-8B-Instruct", Some("form")),
        ];
        for (id, expected) in rows {
            let mut faults = Faults::default();
            check_model_id(id, "m", &mut faults);
            assert_eq!(faults.none(), expected.is_none(), "{id}");
            assert!(faults.sentence().contains(expected.unwrap_or_default()), "{id}");
        }
    }
}
