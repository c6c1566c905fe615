//! Guardrails of serving endpoints as content policies (`databricks.md`, 7.1 and 7.2).
//!
//! Decides what `safety`, `pii`, `invalid_keywords` and `valid_topics` compile to, and when topics can be had; not how
//! the configuration is read (`databricks::gateway`). `safety` is the four categories at *Medium*, and attacks on
//! prompts; keywords are found as items of a blocklist are. Topics need a classifier that understands a text: the one
//! named `default`, if it is a deployment.

use super::document::Faults;
use super::state::{AccountState, DeploymentRow, EndpointSpec, Gateway};
use super::weir::classifiers;
use crate::snapshot::content::{
    Blocklist, ContentPolicy, DEFAULT_CLASSIFIER, Filter, FilterMode, Guard, ListRule, Rule, Service,
    Severity,
};
use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use serde_json::Value;

const SIDES: [&str; 2] = ["input", "output"];

/// The name of an endpoint's guardrails among policies; no policy can be called so.
pub fn name(row: &DeploymentRow) -> String {
    format!("guardrails/{}", row.name.folded())
}

/// Whether an endpoint has guardrails that do something.
pub fn exist(spec: &EndpointSpec) -> bool {
    SIDES.iter().filter_map(|side| spec.gateway.guardrails()?.get(side)).any(|wish| {
        flag(wish)
            || behavior(wish) != "NONE"
            || !words(wish, "invalid_keywords").is_empty()
            || !words(wish, "valid_topics").is_empty()
    })
}

/// All of an account: the policies, and the blocklists of their keywords.
pub fn all(state: &AccountState) -> (Vec<ContentPolicy>, Vec<Blocklist>) {
    let (mut policies, mut lists) = (Vec::new(), Vec::new());
    for row in state.deployments.values() {
        if let Some(spec) = row.endpoint().filter(|spec| exist(spec)) {
            policies.push(compiled(&name(row), spec, &mut lists));
        }
    }
    (policies, lists)
}

/// Notes a fault for topics that nothing can judge. `path` is where the gateway stands, with its full stop.
pub fn check(state: &AccountState, gateway: &Gateway, path: &str, faults: &mut Faults) {
    let known = classifiers::compiled(state);
    let judged = known.iter().any(|known| {
        known.name.eq_ignore_ascii_case(DEFAULT_CLASSIFIER) && known.service == Service::Deployment
    });
    for side in SIDES {
        let wish = gateway.guardrails().and_then(|guardrails| guardrails.get(side));
        if !judged && wish.is_some_and(|wish| !words(wish, "valid_topics").is_empty()) {
            let text = "need a model that tells what a text is about: make the classifier 'default' over a chat \
                        deployment first (PUT /api/weir/v1/classifiers/default)";
            faults.note(&format!("{path}guardrails.{side}.valid_topics"), text);
        }
    }
}

fn compiled(name: &str, spec: &EndpointSpec, lists: &mut Vec<Blocklist>) -> ContentPolicy {
    let mut policy = ContentPolicy {
        name: name.to_owned(),
        mode: FilterMode::Buffered,
        prompt: Vec::new(),
        completion: Vec::new(),
        lists: Vec::new(),
        classifier: None,
        guard: None,
    };
    let mut guard = Guard::default();
    for (side, prompt) in SIDES.iter().zip([true, false]) {
        let Some(wish) = spec.gateway.guardrails().and_then(|guardrails| guardrails.get(side)) else {
            continue;
        };
        let mut rules = Vec::new();
        if flag(wish) {
            let default = ContentPolicy::default_v2();
            rules = if prompt { default.prompt } else { default.completion };
        }
        if behavior(wish) == "BLOCK" {
            rules.push(Rule { filter: Filter::PersonalData, threshold: Severity::Low, blocking: true });
        }
        let masks = behavior(wish) == "MASK";
        let topics = words(wish, "valid_topics");
        if prompt {
            (policy.prompt, guard.mask_prompt, guard.prompt_topics) = (rules, masks, topics);
        } else {
            (policy.completion, guard.mask_completion, guard.completion_topics) = (rules, masks, topics);
        }
        let keywords = words(wish, "invalid_keywords");
        if !keywords.is_empty() {
            let list = format!("{name}/{side}");
            policy.lists.push(ListRule { list: list.clone(), blocking: true, prompt, completion: !prompt });
            lists.push(Blocklist { name: list, items: keywords, patterns: Vec::new() });
        }
    }
    policy.guard = Some(guard);
    policy
}

fn flag(wish: &Value) -> bool {
    wish.get("safety").and_then(Value::as_bool).unwrap_or(false)
}

fn behavior(wish: &Value) -> &str {
    wish.get("pii").and_then(|pii| pii.get("behavior")).and_then(Value::as_str).unwrap_or("NONE")
}

fn words(wish: &Value, member: &str) -> Vec<String> {
    let words = wish.get(member).and_then(Value::as_array).into_iter().flatten();
    words.filter_map(Value::as_str).map(ToOwned::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn guardrails_are_policies() {
        let guardrails = json!({"guardrails": {
            "input": {"safety": true, "pii": {"behavior": "MASK"}, "invalid_keywords": ["nimbus"], "valid_topics": ["rivers"]},
            "output": {"pii": {"behavior": "BLOCK"}},
        }});
        let gateway = Gateway(guardrails.as_object().unwrap().clone());
        let spec = EndpointSpec { gateway, ..EndpointSpec::default() };
        let mut lists = Vec::new();
        let policy = compiled("guardrails/e", &spec, &mut lists);
        assert!(exist(&spec) && !exist(&EndpointSpec::default()));
        assert_eq!((policy.prompt.len(), policy.completion.len()), (5, 1));
        assert_eq!(policy.completion[0].filter, Filter::PersonalData);
        let guard = policy.guard.unwrap();
        assert_eq!((guard.mask_prompt, guard.mask_completion), (true, false));
        assert_eq!((guard.prompt_topics.len(), guard.completion_topics.len()), (1, 0));
        assert_eq!(policy.lists[0].list, lists[0].name);
        assert!(policy.lists[0].prompt && !policy.lists[0].completion);
        let nothing = json!({"guardrails": {"input": {"safety": false, "pii": {"behavior": "NONE"}}}});
        let gateway = Gateway(nothing.as_object().unwrap().clone());
        assert!(!exist(&EndpointSpec { gateway, ..EndpointSpec::default() }));
    }
}
