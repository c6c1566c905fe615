//! What users of other gateways had to complain about, each as a test where no other one here shows it: the fault matrix
//! has streams that lie and fallbacks that stop at the first byte, the fleet has quick refusals that attract traffic.

use serde_json::{Value, json};
use weir_core::exchange::{Failure, Settings, StreamEnd};
use weir_core::seal::key_hash;
use weir_tests::lone::{Lone, Reply, Seen};

const ROLE: &str = "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":null}]}\n\n";

/// Two upstreams behind one name, the second for when the first fails; `members` of the deployment beside.
fn lone(members: &Value) -> Lone {
    let entity = |name: &str, priority: u32| {
        json!({"name": name, "provider": "openai", "upstream_model": "m", "weight": 0, "priority": priority,
            "target": {"http": {"base": format!("https://{name}.example/v1"), "paths": "open_ai", "auth": "none"}}})
    };
    let mut deployment = json!({"name": "two", "kind": "account", "task": "llm/v1/chat", "model": "m",
        "entities": [entity("bad", 0), entity("good", 1)]});
    deployment.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    let document = json!({"account": "default", "version": 1, "deployments": [deployment],
        "keys": [{"hash": key_hash("K"), "id": "k", "principal": "p"}]});
    Lone::new(Settings::default(), &document.to_string())
}

fn answer(status: u16, kind: &'static str, retry_after: Option<&'static str>, body: &str) -> Reply {
    Reply::Answer { status, kind, retry_after, body: Ok(body.as_bytes().to_vec()) }
}

fn ask(lone: &mut Lone, path: &str, body: &Value) -> Seen {
    lone.exchange(&format!("https://weir.example{path}"), &[("authorization", "Bearer K")], &body.to_string())
}

fn chat(stream: bool) -> Value {
    json!({"model": "two", "stream": stream, "messages": [{"role": "user", "content": "hello"}]})
}

#[test]
fn fallback_that_is_off_is_off_at_every_point() {
    let faults = [
        Reply::Fail(5, Failure::Unreachable),
        answer(429, "application/json", None, "{}"),
        answer(500, "application/json", None, "{}"),
        Reply::Stream(vec![(5, ROLE.as_bytes().to_vec())], (5, StreamEnd::Broken)),
    ];
    for fault in faults {
        let mut lone = lone(&json!({"fallback": false}));
        lone.upstream("bad.example", &[fault]);
        let seen = ask(&mut lone, "/v1/chat/completions", &chat(true));
        assert!(seen.status >= 429 && seen.calls.iter().all(|host| host == "bad.example"), "{seen:?}");
    }
}

#[test]
fn calls_that_are_passed_on_fall_over_as_well() {
    let rows = [
        ("/v1/audio/speech", json!({"model": "two", "input": "x", "voice": "v"}), "audio/mpeg", "sound"),
        (
            "/v1/images/generations",
            json!({"model": "two", "prompt": "x"}),
            "application/json",
            "{\"data\":[]}",
        ),
        (
            "/v1/responses",
            json!({"model": "two", "input": "x"}),
            "application/json",
            "{\"object\":\"response\"}",
        ),
    ];
    for (path, body, kind, good) in rows {
        for status in [500, 502, 503, 429] {
            let mut lone = lone(&json!({}));
            lone.upstream("bad.example", &[answer(status, "application/json", Some("9"), "{}")]);
            lone.upstream("good.example", &[answer(200, kind, None, good)]);
            let seen = ask(&mut lone, path, &body);
            assert_eq!((seen.status, seen.calls.len()), (200, 2), "{path} {status}");
            assert_eq!(String::from_utf8(seen.body).unwrap(), good);
            assert!(
                !seen.headers.contains_key("retry-after"),
                "a failed attempt's headers are nobody's: {path}"
            );
        }
    }
}

#[test]
fn what_is_held_back_is_bounded() {
    for size in [ROLE.len(), 40_000] {
        let mut lone = lone(&json!({}));
        let piece = format!(": {}\n\n{ROLE}", "x".repeat(size - ROLE.len().min(size)));
        let pieces = (0..100).map(|_| (5, piece.as_bytes().to_vec())).collect();
        lone.upstream("bad.example", &[Reply::Stream(pieces, (5, StreamEnd::Broken))]);
        lone.upstream("good.example", &[answer(500, "application/json", None, "{}")]);
        let seen = ask(&mut lone, "/v1/chat/completions", &chat(true));
        assert_eq!(
            (seen.status, seen.cut, seen.calls.len()),
            (200, true, 1),
            "{size}: it is the answer by then"
        );
    }
}
