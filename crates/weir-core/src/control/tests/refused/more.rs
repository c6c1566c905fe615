//! Commands whose bodies are broken: those about an account's surroundings (names, connections, items, classifiers).

use super::super::azure::{ACCOUNT, VERSION};
use super::commands::{Command, arm, own, seventeen};
use super::*;

const PROVIDER: &str = "/subscriptions/s/providers/Microsoft.CognitiveServices";

/// All of them.
pub(super) fn all() -> Vec<Command> {
    let connection = json!({"properties": {"category": "ApiKey", "target": "https://x", "authType": "ApiKey",
        "credentials": {"key": "CANARY"}, "metadata": {}}});
    let of_connection = seventeen(&[
        "properties",
        "properties.category",
        "properties.target",
        "properties.authType",
        "properties.credentials",
        "properties.credentials.key",
        "properties.metadata",
    ]);
    let domain =
        json!({"subdomainName": "rivers", "type": "Microsoft.CognitiveServices/accounts", "kind": "OpenAI"});
    let sku = json!({"kind": "AIServices", "type": "accounts", "skus": ["S0", "F0"]});
    let mut of_sku = seventeen(&["kind", "type", "skus", "skus.0"]);
    of_sku.push(("skus.1", json!({})));
    let classifier = json!({"service": "azure-content-safety", "endpoint": "https://safety.example",
        "api_key_plaintext": "CANARY", "prompt_shield": true, "deadline_ms": 1000, "on_failure": "open"});
    let mut of_classifier =
        seventeen(&["service", "endpoint", "api_key_plaintext", "prompt_shield", "on_failure", "deployment"]);
    of_classifier.extend([
        ("service", json!("a-friend")),
        ("endpoint", json!("http://169.254.169.254/")),
        ("deadline_ms", json!(1)),
        ("on_failure", json!("perhaps")),
    ]);
    // What a service has follows from which it is.
    let guard = json!({"service": "deployment", "deployment": "standard"});
    let of_guard =
        vec![("deployment", json!(17)), ("deployment", json!("nobody")), ("deadline_ms", json!("soon"))];
    let (service, of_service): (Vec<_>, Vec<_>) =
        of_classifier.into_iter().partition(|(path, _)| *path == "service");
    vec![
        arm("PUT", &format!("{ACCOUNT}/connections/other"), connection.clone(), of_connection.clone()),
        arm(
            "POST",
            &format!("{PROVIDER}/checkDomainAvailability"),
            domain,
            seventeen(&["subdomainName", "type", "kind"]),
        ),
        arm("POST", &format!("{PROVIDER}/locations/eastus2/checkSkuAvailability"), sku, of_sku),
        own("PUT", "/classifiers/service", classifier.clone(), service),
        own("PUT", "/classifiers/safety", classifier, of_service),
        own("PUT", "/classifiers/guard", guard, of_guard),
    ]
}

#[test]
fn names_of_items_to_delete_are_texts() {
    let mut world = ready();
    let path = format!("{ACCOUNT}/raiBlocklists/names/deleteRaiBlocklistItems{VERSION}");
    let before = world.registry.state().clone();
    let (status, answer) = world.admin("POST", &path, &json!(["a", 17, {}]));
    assert_eq!(status, 400, "{answer}");
    assert!(named(&answer, "1") && named(&answer, "2") && !named(&answer, "0"), "{answer}");
    assert!(before == *world.registry.state());
}
