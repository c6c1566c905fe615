//! The demo: two deployments of the built-in simulator and a key for them, created through the management API.
//!
//! Decides what the demo is. Each call is a PUT, so creating it again changes nothing. Stage: tooling.
//! Source: design.md section 5 for the catalog; `Microsoft.CognitiveServices` 2025-09-01 for deployments.

use anyhow::{Result, bail};
use serde_json::{Value, json};

use crate::http;

/// The demo's data key. Only a Worker in development takes a key that is not of its own making.
pub(crate) const KEY: &str = "weir-dev-key";

/// The account that a development address means without further words.
const ACCOUNT: &str = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/weir\
                       /providers/Microsoft.CognitiveServices/accounts/default";

/// Creates the demo, or finds it there.
///
/// # Errors
/// When a call is refused; shows the call and the answer.
pub(crate) fn create(port: u16, admin_token: &str) -> Result<()> {
    for (path, body) in calls() {
        let answer = http::send(port, "PUT", &path, Some(admin_token), Some(&body.to_string()))?;
        if !(200..300).contains(&answer.status) {
            bail!("PUT {path} answers {}: {}", answer.status, answer.body);
        }
    }
    Ok(())
}

/// The calls in their order: a deployment needs its model in the catalog.
fn calls() -> Vec<(String, Value)> {
    vec![
        model("simulator-chat", "llm/v1/chat"),
        model("simulator-embed", "llm/v1/embeddings"),
        deployment("demo-chat", "simulator-chat"),
        deployment("demo-embed", "simulator-embed"),
        ("/api/weir/v1/keys/dev".to_owned(), json!({ "name": "dev", "key": KEY })),
    ]
}

fn model(name: &str, task: &str) -> (String, Value) {
    let entry = json!({
        "format": "Weir",
        "publisher": "Weir",
        "task": task,
        "versions": ["1"],
        "default_version": "1",
        "registry_id": format!("azureml://registries/weir/models/{name}"),
        "offer": null,
        "price": { "currency": "USD", "input_per_1m": "0", "output_per_1m": "0" },
        "backends": [{
            "external_model": {
                "name": name,
                "provider": "simulator",
                "task": task,
                "simulator_config": {},
            },
        }],
    });
    (format!("/api/weir/v1/catalog/models/{name}"), entry)
}

fn deployment(name: &str, model: &str) -> (String, Value) {
    let body = json!({
        "sku": { "name": "GlobalStandard", "capacity": 1000 },
        "properties": { "model": { "format": "Weir", "name": model, "version": "1" } },
    });
    let path = format!("{ACCOUNT}/deployments/{name}?api-version=2025-09-01");
    (path, body)
}
