//! A serverless endpoint as clients see it (`azure.md`, C1.3).
//!
//! Decides the members of the resource and the address that it is called at; every member is always there, because
//! clients of several versions rely on each.

use super::super::super::catalog;
use super::super::super::command::Desk;
use super::super::super::state::{DeploymentRow, ServerlessSpec};
use super::super::convention::system_data;
use super::super::subscriptions;
use alloc::format;
use alloc::string::String;
use serde_json::{Value, json};

const TYPE: &str = "Microsoft.MachineLearningServices/workspaces/serverlessEndpoints";

/// An endpoint as a resource.
pub(super) fn shown(desk: &Desk<'_>, row: &DeploymentRow, spec: &ServerlessSpec) -> Value {
    let entry = catalog::find(desk.state, &spec.model);
    let online = entry.as_ref().is_some_and(|entry| subscriptions::covered(desk.state, entry));
    let subscription = entry.as_ref().and_then(|entry| subscriptions::of(desk.state, entry));
    let words = if online { ("Online", "Healthy") } else { ("Suspended", "Unhealthy") };
    let mut resource = json!({
        "id": spec.resource_id, "name": row.name, "type": TYPE, "location": spec.location,
        "tags": {}, "sku": {"name": "Consumption"},
        "properties": {
            "authMode": spec.auth_mode, "modelSettings": {"modelId": spec.model_id},
            "contentSafety": {"contentSafetyStatus": if spec.content_safety { "Enabled" } else { "Disabled" }},
            "inferenceEndpoint": {"uri": uri(&desk.origin, row.name.as_str(), &spec.location), "headers": {}},
            "endpointState": words.0, "healthStatus": words.1, "provisioningState": "Succeeded",
            "marketplaceSubscriptionId": subscription,
        },
        "systemData": system_data(&row.creator, row.created_at, &spec.modified_by, row.updated_at),
    });
    if let Some(members) = resource.as_object_mut() {
        members.extend(spec.shown.clone());
    }
    let safety = resource.pointer_mut("/properties/contentSafety").and_then(Value::as_object_mut);
    if let (Some(safety), Some(name)) = (safety, &spec.classifier) {
        safety.insert("weirClassifier".into(), name.as_str().into());
    }
    resource
}

/// Where an endpoint answers (`design.md`, section 5): its own host below a domain, a path where there is none below
/// which hosts could be: on addresses of development and on `workers.dev`.
fn uri(origin: &str, name: &str, region: &str) -> String {
    let name = name.to_ascii_lowercase();
    let (scheme, authority) = origin.split_once("://").unwrap_or(("https", origin));
    let host = authority.rsplit_once(':').map_or(authority, |(host, port)| {
        if port.bytes().all(|byte| byte.is_ascii_digit()) { host } else { authority }
    });
    let numeric = host.starts_with('[') || host.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let local =
        numeric || !host.contains('.') || host.ends_with(".localhost") || host.ends_with(".workers.dev");
    if local {
        format!("{scheme}://{authority}/serverless/{name}")
    } else {
        format!("{scheme}://{name}.{region}.models.{authority}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_has_a_host_below_a_domain_and_a_path_elsewhere() {
        let rows = [
            ("https://weir.example.com", "https://llama.eastus2.models.weir.example.com"),
            ("https://weir.example.com:8443", "https://llama.eastus2.models.weir.example.com:8443"),
            ("http://127.0.0.1:8787", "http://127.0.0.1:8787/serverless/llama"),
            ("http://[::1]:8787", "http://[::1]:8787/serverless/llama"),
            ("http://localhost:8787", "http://localhost:8787/serverless/llama"),
            ("https://weir.team.workers.dev", "https://weir.team.workers.dev/serverless/llama"),
        ];
        for (origin, expected) in rows {
            assert_eq!(uri(origin, "Llama", "eastus2"), expected);
        }
    }
}
