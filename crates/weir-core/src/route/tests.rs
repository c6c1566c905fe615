//! Where the name comes from, per surface, and what stands against a deployment.

use super::*;
use crate::auth::{Presented, authenticate};
use crate::id::{AccountId, DeploymentName, PrincipalId};
use crate::seal::key_hash;
use crate::snapshot::content::ContentRules;
use crate::snapshot::routing::Routing;
use crate::snapshot::{Deadlines, Deployment, DeploymentKind, KeyEntry, Snapshot};
use crate::surface::{Disposition, HEADER_COUNT, HEADERS, classify};
use crate::time::UnixMillis;
use alloc::string::ToString;
use alloc::{format, vec};

/// Path, headers, body, and the deployment found.
type Row<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a str, Result<&'a str, &'a str>);

fn deployment(name: &str, task: Task) -> Deployment {
    Deployment {
        name: DeploymentName::parse(name).unwrap(),
        kind: DeploymentKind::Account,
        task,
        model: "m".into(),
        created_at: UnixMillis(0),
        entities: vec![],
        limits: vec![],
        limiter_fail_open: false,
        deadlines: Deadlines::default(),
        publisher: String::new(),
        version: String::new(),
        serverless: None,
        spillover: None,
        fallback: true,
        routing: Routing::default(),
        content_policy: None,
        payload_sampling: None,
        payload_table: None,
        usage_tracking: false,
    }
}

fn index() -> SnapshotIndex {
    let key = |text: &str, deployments: Option<&str>| KeyEntry {
        hash: key_hash(text),
        id: PrincipalId::parse("k").unwrap(),
        principal: PrincipalId::parse("p").unwrap(),
        deployments: deployments.map(|name| vec![name.to_string()]),
        expires_at: None,
    };
    let snapshot = Snapshot {
        account: AccountId::default_account(),
        version: 1,
        keys: vec![key("ALL", None), key("BOUND", Some("chat-b"))],
        deployments: vec![
            deployment("Chat-A", Task::Chat),
            deployment("chat-b", Task::Chat),
            deployment("embed", Task::Embeddings),
        ],
        unready: vec![],
        network: None,
        content: ContentRules::default(),
        access: crate::snapshot::access::Access::default(),
    };
    SnapshotIndex::build(snapshot, None).unwrap()
}

fn found(key: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Result<String, String> {
    let index = index();
    let presented = Presented { api_key: Some(key), ..Presented::default() };
    let caller = authenticate(&index, None, &presented, UnixMillis(0)).unwrap();
    let url = format!("http://h{path}");
    let Disposition::Data(route) = classify("POST", &url) else {
        panic!("{path} is not a data route");
    };
    let mut slots = [None; HEADER_COUNT];
    for (name, value) in headers {
        let at = HEADERS.iter().position(|known| known == name).unwrap();
        slots[at] = Some(*value);
    }
    let envelope = Envelope::parse(body.as_bytes(), route.task).unwrap();
    find(&index, &caller, &route, &HeaderValues::new(slots), &envelope)
        .map(|ready| ready.folded.clone())
        .map_err(|error| error.label().to_string())
}

#[test]
fn the_name_comes_from_where_the_surface_says() {
    const MODELS: &str = "/models/chat/completions?api-version=2024-05-01-preview";
    const DATED: &str = "/openai/deployments/CHAT-a/chat/completions?api-version=2024-10-21";
    let mesh = ("x-ms-model-mesh-model-name", "chat-b");
    let azureml = ("azureml-model-deployment", "chat-a");
    let a = r#"{"model":"chat-A","messages":[1]}"#;
    let b = r#"{"model":"chat-b","messages":[1]}"#;
    let none = r#"{"messages":[1]}"#;
    let rows: [Row<'_>; 22] = [
        (MODELS, &[], a, Ok("chat-a")),
        (MODELS, &[mesh], a, Ok("chat-a")),
        (MODELS, &[mesh], none, Ok("chat-b")),
        (MODELS, &[mesh, azureml], none, Ok("chat-b")),
        (MODELS, &[azureml], none, Ok("chat-a")),
        (MODELS, &[mesh], r#"{"model":"","messages":[1]}"#, Ok("chat-b")),
        (MODELS, &[], none, Err("no_model")),
        (MODELS, &[("x-ms-model-mesh-model-name", " ")], none, Err("no_model")),
        (DATED, &[], b, Ok("chat-a")),
        (DATED, &[], none, Ok("chat-a")),
        ("/openai/v1/chat/completions", &[], b, Ok("chat-b")),
        ("/openai/v1/chat/completions", &[mesh], none, Err("no_model")),
        ("/v1/chat/completions", &[], r#"{"model":"\u0063hat-b","messages":[1]}"#, Ok("chat-b")),
        ("/v1/chat/completions", &[], r#"{"model":"nope","messages":[1]}"#, Err("unknown_deployment")),
        (
            "/v1/chat/completions",
            &[],
            r#"{"model":"chat-b\u0000","messages":[1]}"#,
            Err("unknown_deployment"),
        ),
        ("/serverless/chat-a/chat/completions", &[], b, Ok("chat-a")),
        ("/serving-endpoints/chat-a/invocations", &[], b, Ok("chat-a")),
        ("/serving-endpoints/chat/completions", &[], b, Ok("chat-b")),
        ("/serving-endpoints/../invocations", &[], b, Err("unknown_deployment")),
        ("/serving-endpoints/embed/invocations", &[], b, Err("task_mismatch")),
        ("/serving-endpoints/embed/invocations", &[], r#"{"input":"x"}"#, Ok("embed")),
        ("/v1/chat/completions", &[], r#"{"model":"embed","messages":[1]}"#, Err("task_mismatch")),
    ];
    for (path, headers, body, expected) in rows {
        let got = found("ALL", path, headers, body);
        assert_eq!(got.as_deref().map_err(String::as_str), expected, "{path} {headers:?} {body}");
    }
}

#[test]
fn a_bound_key_reaches_its_own_deployments() {
    let path = "/v1/chat/completions";
    assert_eq!(found("BOUND", path, &[], r#"{"model":"Chat-B","messages":[1]}"#), Ok("chat-b".into()));
    let other = found("BOUND", path, &[], r#"{"model":"chat-a","messages":[1]}"#);
    assert_eq!(other, Err("not_allowed".into()));
}
