//! Content policies and blocklists as an account stores them, and what isolates get of them.
//!
//! Decides what a stored policy compiles to and which deployments have which policy; not how a body is read
//! (`arm::rai_policies`, `arm::rai_blocklists`). Both are documents of the account. Source: `azure.md`, C4.

use super::guardrails;
use super::state::{AccountState, DeploymentRow, DeploymentSpec};
use crate::snapshot::content::{
    Blocklist, ContentPolicy, ContentRules, Filter, FilterMode, ListRule, Rule, SYSTEM_POLICIES, Severity,
};
use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use serde_json::Value;

/// Kind of the documents of policies; their names are the policies', folded.
pub const POLICY: &str = "raipolicy/";
/// Kind of the documents of blocklists, likewise.
pub const BLOCKLIST: &str = "raiblocklist/";

/// A content filter that a policy may name.
#[derive(Clone, Copy, Debug)]
pub struct KnownFilter {
    /// Its name, folded: lower case, without spaces and signs.
    pub folded: &'static str,
    /// Its name as it is shown.
    pub shown: &'static str,
    /// What looks for it here; nothing does for protected material, which is accepted and never told.
    pub filter: Option<Filter>,
    /// Whether it has severities.
    pub levels: bool,
    /// Whether it may look at prompts, and at answers.
    pub sides: (bool, bool),
}

const fn known(
    folded: &'static str,
    shown: &'static str,
    filter: Option<Filter>,
    sides: (bool, bool),
) -> KnownFilter {
    let levels = matches!(filter, Some(Filter::Hate | Filter::Sexual | Filter::Violence | Filter::SelfHarm));
    KnownFilter { folded, shown, filter, levels, sides }
}

/// Every content filter (`azure.md`, C4), and Weir's own for personal data.
pub const FILTERS: [KnownFilter; 11] = [
    known("hate", "Hate", Some(Filter::Hate), (true, true)),
    known("sexual", "Sexual", Some(Filter::Sexual), (true, true)),
    known("violence", "Violence", Some(Filter::Violence), (true, true)),
    known("selfharm", "Selfharm", Some(Filter::SelfHarm), (true, true)),
    known("jailbreak", "Jailbreak", Some(Filter::Jailbreak), (true, false)),
    known("indirectattack", "Indirect Attack", Some(Filter::IndirectAttack), (true, false)),
    known("profanity", "Profanity", Some(Filter::Profanity), (true, true)),
    known("pii", "PII", Some(Filter::PersonalData), (true, true)),
    known(
        "personallyidentifiableinformation",
        "Personally Identifiable Information",
        Some(Filter::PersonalData),
        (true, true),
    ),
    known("protectedmaterialtext", "Protected Material Text", None, (false, true)),
    known("protectedmaterialcode", "Protected Material Code", None, (false, true)),
];

/// The filter of this name, compared as C4 says.
pub fn filter(name: &str) -> Option<&'static KnownFilter> {
    let folded: String =
        name.chars().filter(|c| !matches!(c, ' ' | '_' | '-')).map(|c| c.to_ascii_lowercase()).collect();
    FILTERS.iter().find(|known| known.folded == folded)
}

/// The name of a policy that exists, as it was written when it was made.
pub fn policy_name(state: &AccountState, name: &str) -> Option<String> {
    let system = SYSTEM_POLICIES.iter().find(|known| known.eq_ignore_ascii_case(name));
    let own = || state.documents.get(&key(POLICY, name))?["name"].as_str();
    system.copied().or_else(own).map(ToOwned::to_owned)
}

/// The policy of a deployment: an account deployment without one has the default, a serverless endpoint if its content
/// safety is on, a serving endpoint its guardrails, if it has some (`design.md`, section 8).
pub fn policy_of(row: &DeploymentRow) -> Option<String> {
    let default = || SYSTEM_POLICIES.last().map(|name| (*name).to_owned());
    match &row.spec {
        DeploymentSpec::Account(spec) => spec.rai_policy.clone().or_else(default),
        DeploymentSpec::Serverless(spec) if spec.content_safety && spec.classifier.is_some() => {
            Some(serverless_name(row))
        }
        DeploymentSpec::Serverless(spec) if spec.content_safety => default(),
        DeploymentSpec::ServingEndpoint(spec) => guardrails::exist(spec).then(|| guardrails::name(row)),
        DeploymentSpec::Serverless(_) => None,
    }
}

/// The name of the policy of an endpoint that names a classifier; no other can be called so.
fn serverless_name(row: &DeploymentRow) -> String {
    format!("serverless/{}", row.name.folded())
}

/// The default policy with the classifier that a serverless endpoint names.
fn of_serverless(row: &DeploymentRow) -> Option<ContentPolicy> {
    let classifier = row.serverless().filter(|spec| spec.content_safety)?.classifier.clone()?;
    let (name, classifier) = (serverless_name(row), Some(classifier));
    Some(ContentPolicy { name, classifier, ..ContentPolicy::default_v2() })
}

/// The deployments that have a policy.
pub fn users<'a>(state: &'a AccountState, policy: &'a str) -> impl Iterator<Item = &'a str> {
    let has =
        move |row: &&DeploymentRow| policy_of(row).is_some_and(|name| name.eq_ignore_ascii_case(policy));
    state.deployments.values().filter(has).map(|row| row.name.as_str())
}

/// The key of a document.
pub fn key(kind: &str, name: &str) -> String {
    format!("{kind}{}", name.to_ascii_lowercase())
}

/// All documents of a kind.
pub fn all<'a>(state: &'a AccountState, kind: &'a str) -> impl Iterator<Item = &'a Value> {
    let documents = state.documents.range(kind.to_owned()..);
    documents.take_while(move |(key, _)| key.starts_with(kind)).map(|(_, row)| row)
}

/// What isolates need: the policies that deployments have, and the blocklists that those name.
pub fn rules(state: &AccountState) -> ContentRules {
    let used = all(state, POLICY)
        .filter(|row| row["name"].as_str().is_some_and(|name| users(state, name).next().is_some()));
    let (guards, keywords) = guardrails::all(state);
    let own = state.deployments.values().filter_map(of_serverless);
    let policies: Vec<ContentPolicy> = used.map(compiled).chain(guards).chain(own).collect();
    let named = |row: &&Value| {
        policies.iter().flat_map(|policy| &policy.lists).any(|rule| row["name"] == rule.list.as_str())
    };
    let list = |row: &Value| {
        let of = |regex: bool| -> Vec<String> {
            let items = row["items"].as_object().into_iter().flat_map(|items| items.values());
            let chosen = items.filter(|item| (item["regex"] == true) == regex);
            chosen.filter_map(|item| item["pattern"].as_str().map(ToOwned::to_owned)).collect()
        };
        let name = row["name"].as_str().unwrap_or_default().to_owned();
        Blocklist { name, items: of(false), patterns: of(true) }
    };
    let blocklists = all(state, BLOCKLIST).filter(named).map(list).chain(keywords).collect();
    ContentRules { policies, blocklists, classifiers: super::weir::classifiers::compiled(state) }
}

/// A stored policy as isolates get it. Filters that it does not speak of are those of its base.
fn compiled(row: &Value) -> ContentPolicy {
    let properties = &row["properties"];
    let base = properties["basePolicyName"].as_str().and_then(ContentPolicy::system);
    let asynchronous = matches!(properties["mode"].as_str(), Some("Deferred" | "Asynchronous_filter"));
    let mut policy = ContentPolicy {
        name: row["name"].as_str().unwrap_or_default().to_owned(),
        mode: if asynchronous { FilterMode::Asynchronous } else { FilterMode::Buffered },
        prompt: base.as_ref().map(|base| base.prompt.clone()).unwrap_or_default(),
        completion: base.map(|base| base.completion).unwrap_or_default(),
        lists: Vec::new(),
        classifier: properties["weirClassifier"].as_str().map(ToOwned::to_owned),
        guard: None,
    };
    for written in properties["contentFilters"].as_array().into_iter().flatten() {
        let Some(filter) = written["name"].as_str().and_then(filter).and_then(|known| known.filter) else {
            continue;
        };
        let side = if is_prompt(written) { &mut policy.prompt } else { &mut policy.completion };
        side.retain(|rule| rule.filter != filter);
        if written["enabled"] != false {
            let threshold = severity(written["severityThreshold"].as_str());
            side.push(Rule { filter, threshold, blocking: written["blocking"] != false });
        }
    }
    for written in properties["customBlocklists"].as_array().into_iter().flatten() {
        let (list, prompt) = (written["blocklistName"].as_str().unwrap_or_default(), is_prompt(written));
        let blocking = written["blocking"] != false;
        policy.lists.push(ListRule { list: list.to_owned(), blocking, prompt, completion: !prompt });
    }
    policy
}

fn is_prompt(written: &Value) -> bool {
    written["source"] == "Prompt"
}

/// A filter without severities filters whatever it finds.
fn severity(level: Option<&str>) -> Severity {
    match level {
        Some("High") => Severity::High,
        Some("Medium") => Severity::Medium,
        _ => Severity::Low,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_stored_policy_is_its_base_with_its_own_filters() {
        let row = json!({"name": "Strict", "properties": {
            "mode": "Asynchronous_filter", "basePolicyName": "Microsoft.DefaultV2",
            "contentFilters": [
                {"name": "Hate", "enabled": true, "blocking": false, "severityThreshold": "Low", "source": "Prompt"},
                {"name": "Self-harm", "enabled": false, "blocking": true, "source": "Prompt"},
                {"name": "Protected Material Text", "enabled": true, "blocking": true, "source": "Completion"},
                {"name": "PII", "enabled": true, "blocking": true, "source": "Completion"},
            ],
            "customBlocklists": [{"blocklistName": "names", "blocking": true, "source": "Completion"}],
        }});
        let policy = compiled(&row);
        let rule = |filter, threshold, blocking| Rule { filter, threshold, blocking };
        assert_eq!(policy.mode, FilterMode::Asynchronous);
        assert_eq!(
            policy.prompt,
            [
                rule(Filter::Sexual, Severity::Medium, true),
                rule(Filter::Violence, Severity::Medium, true),
                rule(Filter::Jailbreak, Severity::Medium, true),
                rule(Filter::Hate, Severity::Low, false),
            ]
        );
        assert_eq!(policy.completion.len(), 5);
        assert_eq!(policy.completion.last(), Some(&rule(Filter::PersonalData, Severity::Low, true)));
        let lists: Vec<_> =
            policy.lists.iter().map(|list| (list.list.as_str(), list.prompt, list.completion)).collect();
        assert_eq!(lists, [("names", false, true)]);
    }
}
