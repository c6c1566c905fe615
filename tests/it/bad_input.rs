//! What bad input gets: every row of `vectors/reply/weir/bad_input.json` through the stages that a request
//! passes before limits, and the reply in the form of the surface that was called.

use serde_json::Value;
use std::collections::BTreeMap;
use weir_core::auth::{Presented, authenticate};
use weir_core::error::WeirError;
use weir_core::exchange::Settings;
use weir_core::id::{AccountId, DeploymentName, PrincipalId, RequestId};
use weir_core::reply::{Reply, render};
use weir_core::route;
use weir_core::seal::key_hash;
use weir_core::simulate::SimulatorConfig;
use weir_core::snapshot::access::Access;
use weir_core::snapshot::content::ContentRules;
use weir_core::snapshot::index::SnapshotIndex;
use weir_core::snapshot::routing::Routing;
use weir_core::snapshot::{
    Deadlines, Deployment, DeploymentKind, KeyEntry, ServedEntity, Snapshot, Target, Task,
};
use weir_core::surface::{DataRoute, Disposition, HEADER_COUNT, HEADERS, HeaderValues, classify, wanted};
use weir_core::time::{Millis, UnixMillis};
use weir_core::wire::bounds::BODY_BYTES_MAX;
use weir_core::wire::envelope::Envelope;
use weir_core::wire::invocations;
use weir_tests::lone::Lone;

#[derive(serde::Deserialize)]
struct Vectors {
    rows: Vec<Row>,
}

#[derive(serde::Deserialize)]
struct Row {
    name: String,
    method: String,
    path: String,
    headers: BTreeMap<String, String>,
    #[serde(default)]
    body: String,
    make: Option<String>,
    status: u16,
    has: BTreeMap<String, Value>,
}

fn deployment(name: &str, task: Task) -> Deployment {
    let entity = ServedEntity {
        name: "simulated".into(),
        provider: "simulator".into(),
        upstream_model: "simulator".into(),
        weight: 100,
        priority: 0,
        target: Target::Simulator(SimulatorConfig::default()),
        price: None,
    };
    Deployment {
        name: DeploymentName::parse(name).unwrap(),
        kind: DeploymentKind::Account,
        task,
        model: "simulator".into(),
        created_at: UnixMillis(1_764_000_000_000),
        entities: vec![entity],
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
    let key = |text: &str, only: Option<&str>, expires_at| KeyEntry {
        hash: key_hash(text),
        id: PrincipalId::parse(text).unwrap(),
        principal: PrincipalId::parse(text).unwrap(),
        deployments: only.map(|name| vec![name.to_owned()]),
        expires_at,
    };
    let snapshot = Snapshot {
        account: AccountId::default_account(),
        version: 1,
        keys: vec![
            key("weir-dev-key", None, None),
            key("embed-key", Some("demo-embed"), None),
            key("old-key", None, Some(UnixMillis(1))),
        ],
        deployments: vec![deployment("demo-chat", Task::Chat), deployment("demo-embed", Task::Embeddings)],
        unready: Vec::new(),
        network: None,
        content: ContentRules::default(),
        access: Access::default(),
    };
    SnapshotIndex::build(snapshot, None).unwrap()
}

fn body(row: &Row) -> Vec<u8> {
    let chat = |extra: &str| format!(r#"{{"model":"demo-chat","messages":[1],{extra}}}"#).into_bytes();
    match row.make.as_deref() {
        None => row.body.clone().into_bytes(),
        Some("deep") => chat(&format!(r#""x":{}{}"#, "[".repeat(100_000), "]".repeat(100_000))),
        Some("invalid_utf8") => b"{\"model\":\"demo-chat\",\"messages\":[\"\xc3\x28\"]}".to_vec(),
        Some("many_members") => {
            let members: Vec<String> = (0..10_000).map(|i| format!(r#""m{i}":1"#)).collect();
            chat(&members.join(","))
        }
        Some("long_member_name") => chat(&format!(r#""{}":1"#, "k".repeat(100_000))),
        Some("large") => {
            let padding = usize::try_from(BODY_BYTES_MAX).unwrap();
            chat(&format!(r#""x":"{}""#, "y".repeat(padding)))
        }
        Some(other) => panic!("no such body: {other}"),
    }
}

/// The stages before limits, in their order.
fn admit(
    index: &SnapshotIndex,
    route: &DataRoute<'_>,
    headers: &HeaderValues<'_>,
    body: &[u8],
) -> Result<String, WeirError> {
    let caller = authenticate(index, None, &Presented::of(headers), UnixMillis(1_000))?;
    let envelope = Envelope::parse(body, route.task)?;
    let ready = route::find(index, &caller, route, headers, &envelope)?;
    if route.task.is_none() {
        invocations::check(&envelope, ready.deployment.task)?;
    }
    Ok(ready.folded.clone())
}

fn answer(index: &SnapshotIndex, row: &Row) -> Result<String, Reply> {
    let url = format!("http://127.0.0.1:8787{}", row.path);
    let id = RequestId::from_random(7);
    let disposition = classify(&row.method, &url);
    let bits = wanted(&disposition);
    match &disposition {
        Disposition::Refused { surface, operation, error } => {
            Err(render(&error.clone().into(), *surface, operation, id))
        }
        Disposition::Data(route) => {
            let mut slots = [None; HEADER_COUNT];
            for (at, name) in HEADERS.iter().enumerate() {
                if bits & (1 << at) != 0 {
                    slots[at] = row.headers.get(*name).map(String::as_str);
                }
            }
            admit(index, route, &HeaderValues::new(slots), &body(row))
                .map_err(|error| render(&error, route.surface, route.operation, id))
        }
        Disposition::Management(_) | Disposition::Infra(_) => panic!("{}: no data route", row.name),
    }
}

#[test]
fn bad_input_gets_a_clear_error_in_the_surfaces_own_form() {
    let vectors: Vectors =
        serde_json::from_str(include_str!("../vectors/reply/weir/bad_input.json")).unwrap();
    let index = index();
    let mut faults = Vec::new();
    for row in &vectors.rows {
        let Err(reply) = answer(&index, row) else {
            faults.push(format!("{}: was admitted", row.name));
            continue;
        };
        let body: Value = serde_json::from_str(&reply.body).unwrap();
        if reply.status != row.status {
            faults.push(format!("{}: {} instead of {}: {}", row.name, reply.status, row.status, reply.body));
        }
        for (pointer, expected) in &row.has {
            if body.pointer(pointer) != Some(expected) {
                faults.push(format!("{}: {pointer} is not {expected} in {}", row.name, reply.body));
            }
        }
        assert!(reply.body.len() < 2000, "{}: an error is bounded", row.name);
        for (name, value) in &reply.headers {
            assert!(value.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{}: {name}", row.name);
        }
    }
    assert!(faults.is_empty(), "{} of {}:\n{}", faults.len(), vectors.rows.len(), faults.join("\n"));
    assert!(vectors.rows.len() > 200, "the table is there");
}

#[test]
fn good_input_is_admitted_by_the_same_stages() {
    let rows = [
        ("/models/chat/completions?api-version=2024-05-01-preview", "demo-chat"),
        ("/openai/deployments/DEMO-chat/chat/completions?api-version=2024-10-21", "demo-chat"),
        ("/openai/v1/chat/completions", "demo-chat"),
        ("/v1/chat/completions", "demo-chat"),
        ("/serverless/demo-chat/v1/chat/completions", "demo-chat"),
        ("/serving-endpoints/demo%2Dchat/invocations", "demo-chat"),
        ("/serving-endpoints/chat/completions", "demo-chat"),
    ];
    let index = index();
    for (path, expected) in rows {
        let row = Row {
            name: path.into(),
            method: "POST".into(),
            path: path.into(),
            headers: [("authorization".into(), "Bearer weir-dev-key".into())].into(),
            body: r#"{"model":"Demo-Chat","messages":[{"role":"user","content":"hi"}]}"#.into(),
            make: None,
            status: 200,
            has: BTreeMap::new(),
        };
        assert_eq!(answer(&index, &row).as_deref().ok(), Some(expected), "{path}");
    }
}

#[test]
fn an_installation_in_which_nothing_was_made_refuses_strangers() {
    let mut lone = Lone::new(Settings { admin_token_hash: None, seal_key: None, region: None }, "");
    for key in ["Bearer stranger", ""] {
        let seen = lone.exchange(
            "https://weir.example/v1/chat/completions",
            &[("authorization", key)],
            r#"{"model":"chat","messages":[{"role":"user","content":"hello"}]}"#,
        );
        assert_eq!(seen.status, 401, "{}", String::from_utf8_lossy(&seen.body));
        assert!(seen.took < Millis(2_000), "{:?}", seen.took);
    }
}
