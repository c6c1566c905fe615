//! Anthropic Messages in front of an upstream of the same dialect: what either says goes on byte by byte, and is counted
//! and judged all the same.

use serde_json::{Value, json};
use weir_core::exchange::{Settings, StreamEnd};
use weir_core::seal::key_hash;
use weir_tests::lone::{Lone, Reply, Seen};

/// A deployment whose upstream speaks the caller's own dialect.
fn own_words() -> Lone {
    at("anthropic", &json!({}))
}

/// The same at this provider, in this place.
fn at(provider: &str, place: &Value) -> Lone {
    let deployment = json!({"name": "claude", "kind": "account", "task": "llm/v1/chat", "model": "m", "entities": [
        {"name": "e", "provider": provider, "upstream_model": "claude-up", "weight": 0,
            "target": {"http": {"base": "https://claude.example", "paths": {"native": place}, "auth": "none"}}}]});
    let document = json!({"account": "default", "version": 1, "deployments": [deployment],
        "keys": [{"hash": key_hash("K"), "id": "k", "principal": "p"}]});
    Lone::new(Settings::default(), &document.to_string())
}

const STREAM: [&str; 8] = [
    r#"{"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"claude-up","content":[],"usage":{"input_tokens":7,"cache_read_input_tokens":2,"output_tokens":1},"beta":[1]}}"#,
    r#"{"type":"ping"}"#,
    r#"{"type":"content_block_start","index":0,"content_block":{"type":"server_tool_use","id":"s1","name":"web_search","input":{}}}"#,
    r#"{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"{}"}}"#,
    r#"{"type":"content_block_stop","index":0}"#,
    r#"{"type":"content_block_delta","index":1,"delta":{"type":"citations_delta","citation":{"url":"u"}}}"#,
    r#"{"type":"message_delta","delta":{"stop_reason":"pause_turn","container":{"id":"c"}},"usage":{"output_tokens":5,"server_tool_use":{"web_search_requests":1}}}"#,
    r#"{"type":"message_stop"}"#,
];

fn events(count: usize) -> String {
    let event = |data: &&str| {
        let kind = serde_json::from_str::<Value>(data).unwrap()["type"].as_str().unwrap().to_owned();
        format!("event: {kind}\ndata: {data}\n\n")
    };
    STREAM.iter().take(count).map(event).collect()
}

const BODY: &str = r#"{"model": "claude", "max_tokens": 9, "stream": STREAMS, "temperature": 0.10,
    "tools": [{"type": "web_search_20250305", "name": "web_search", "max_uses": 1e0}], "context_management": {"edits": []},
    "messages": [{"role": "user", "content": [{"type": "text", "text": "caf\u00e9", "cache_control": {"type": "ephemeral"}}]}]}"#;

fn asked(lone: &mut Lone, streams: bool) -> Seen {
    let body = BODY.replace("STREAMS", if streams { "true" } else { "false" });
    let headers = [("x-api-key", "K"), ("anthropic-beta", "one,two"), ("anthropic-version", "2026-10-21")];
    lone.exchange("https://weir.example/v1/messages", &headers, &body)
}

#[test]
fn an_upstream_of_the_same_dialect_hears_and_says_everything_as_it_is() {
    let whole = r#"{"id":"msg_1","type":"message","role":"assistant","model":"claude-up","content":[{"type":"server_tool_use","id":"s","name":"web_search","input":{}},{"type":"text","text":"hi","citations":[1]}],"stop_reason":"end_turn","usage":{"input_tokens":7,"cache_read_input_tokens":2,"output_tokens":5,"x":1}}"#;
    let mut lone = own_words();
    let page = |status: u16, text: &str| Reply::Answer {
        status,
        kind: "application/json",
        retry_after: None,
        body: Ok(text.as_bytes().to_vec()),
    };
    lone.upstream("claude.example", &[page(200, whole)]);
    let seen = asked(&mut lone, false);
    assert_eq!((seen.status, String::from_utf8(seen.body).unwrap()), (200, whole.to_owned()));
    let (headers, sent) = &seen.sent[0];
    let wanted = BODY.replace("STREAMS", "false").replace("\"claude\"", "\"claude-up\"");
    assert_eq!(String::from_utf8(sent.clone()).unwrap(), wanted, "only the model's name is another");
    assert_eq!((&*headers["anthropic-version"], &*headers["anthropic-beta"]), ("2026-10-21", "one,two"));
    assert_eq!(lone.records()[0].usage.total(), 14);
    let refused =
        r#"{"type":"error","error":{"type":"invalid_request_error","message":"max_tokens: too large"}}"#;
    lone.upstream("claude.example", &[page(400, refused)]);
    let seen = asked(&mut lone, false);
    let error: Value = serde_json::from_slice(&seen.body).unwrap();
    assert_eq!((seen.status, &error["error"]["type"]), (400, &json!("invalid_request_error")), "{error}");
}

/// What a request with this body is sent as to Claude at Vertex AI.
fn sent_to_vertex(version: &str, body: &str) -> (String, String, Seen) {
    let mut lone = at("google-cloud-vertex-ai", &json!({"project_id": "proj", "region": "eu"}));
    let whole = r#"{"id":"msg_1","type":"message","role":"assistant","model":"claude-up","content":[{"type":"text","text":"hi","citations":[1]}],"stop_reason":"end_turn","usage":{"input_tokens":7,"output_tokens":5,"x":1}}"#;
    let body_of = Ok(whole.as_bytes().to_vec());
    lone.upstream(
        "claude.example",
        &[Reply::Answer { status: 200, kind: "application/json", retry_after: None, body: body_of }],
    );
    let headers = [("x-api-key", "K"), ("anthropic-beta", "one"), ("anthropic-version", version)];
    let seen = lone.exchange("https://weir.example/v1/messages", &headers, body);
    assert_eq!(seen.status, 200, "{body}: {}", String::from_utf8_lossy(&seen.body));
    assert_eq!(lone.records()[0].usage.total(), 12);
    let (headers, sent) = &seen.sent[0];
    assert!(!headers.contains_key("anthropic-version"), "the version is in the body there");
    (seen.urls[0].clone(), String::from_utf8(sent.clone()).unwrap(), seen)
}

#[test]
fn at_vertex_only_the_models_name_makes_room_for_the_version() {
    const VERSION: &str = r#""anthropic_version":"vertex-2023-10-16""#;
    let path = "https://claude.example/v1/projects/proj/locations/eu/publishers/anthropic/models/claude-up:rawPredict";
    let body = BODY.replace("STREAMS", "false");
    let (url, sent, seen) = sent_to_vertex("2023-06-01", &body);
    assert_eq!((url.as_str(), sent), (path, body.replace("\"model\": \"claude\"", VERSION)));
    assert_eq!(seen.sent[0].0["anthropic-beta"], "one");
    assert!(String::from_utf8(seen.body).unwrap().contains(r#""citations":[1]"#), "the answer is as it came");
    let (_, sent, _) = sent_to_vertex("2026-10-21", &body);
    assert!(sent.contains(r#""anthropic_version":"2026-10-21""#), "a later version is the caller's: {sent}");
    // However the member is written, no model is named in the body there, and the version is named once.
    let plain = r#""max_tokens":9,"messages":[{"role":"user","content":"hi"}]"#;
    for (members, as_it_came) in [
        (r#""model" :NL "claude","x":{"model":"y"}"#, true),
        (r#""mod\u0065l":"claude","temperature":1"#, false),
    ] {
        let members = members.replace("NL", "\n");
        let (_, sent, _) = sent_to_vertex("", &format!("{{{members},{plain}}}"));
        let told: Value = serde_json::from_str(&sent).unwrap();
        assert!(told.get("model").is_none() && sent.matches("anthropic_version").count() == 1, "{sent}");
        assert_eq!(sent.ends_with(&format!("{plain}}}")), as_it_came, "{sent}");
    }
}

#[test]
fn its_stream_goes_on_as_it_is_however_it_is_cut_and_never_ends_well_when_it_broke() {
    let stream = events(STREAM.len());
    for step in [7, 50, 10_000] {
        for (count, end) in
            [(STREAM.len(), StreamEnd::Closed), (6, StreamEnd::Closed), (5, StreamEnd::Broken)]
        {
            let mut lone = own_words();
            let text =
                if count == STREAM.len() { stream.clone() } else { events(count) + "event: content_bl" };
            let pieces = text.as_bytes().chunks(step).map(|piece| (1, piece.to_vec())).collect();
            lone.upstream("claude.example", &[Reply::Stream(pieces, (1, end))]);
            let seen = asked(&mut lone, true);
            let told = String::from_utf8(seen.body).unwrap();
            let whole = count == STREAM.len();
            assert_eq!((seen.status, seen.cut), (200, !whole), "{told}");
            let record = &lone.records()[0];
            assert_eq!(record.complete, whole);
            if whole {
                assert_eq!(told, stream);
                assert_eq!((record.usage.input, record.usage.output), (9, 5));
            } else {
                let (before, error) = told.split_at(events(count).len());
                assert_eq!(before, events(count), "whole events only");
                assert!(
                    error.trim_start().starts_with("event: error\ndata: ") && !error.contains("content_bl"),
                    "{error}"
                );
            }
        }
    }
}

#[test]
fn its_service_counts_and_nobody_is_left_without_a_count() {
    let page = |status: u16, text: &str| Reply::Answer {
        status,
        kind: "application/json",
        retry_after: None,
        body: Ok(text.as_bytes().to_vec()),
    };
    let refused =
        r#"{"type":"error","error":{"type":"invalid_request_error","message":"messages: too odd"}}"#;
    let body = BODY.replace("\"stream\": STREAMS, ", "");
    for (reply, status, want) in [
        (page(200, r#"{"input_tokens":1234,"new":true}"#), 200, r#"{"input_tokens":1234,"new":true}"#),
        (
            page(404, r#"{"type":"error","error":{"type":"not_found_error","message":"x"}}"#),
            200,
            "{\"input_tokens\":",
        ),
        (
            page(429, r#"{"type":"error","error":{"type":"rate_limit_error","message":"x"}}"#),
            200,
            "{\"input_tokens\":",
        ),
        (page(200, "<html>"), 200, "{\"input_tokens\":"),
        (page(400, refused), 400, "messages: too odd"),
    ] {
        let mut lone = own_words();
        lone.upstream("claude.example", &[reply]);
        let headers = [("x-api-key", "K"), ("anthropic-version", "2026-10-21")];
        let seen = lone.exchange("https://weir.example/v1/messages/count_tokens", &headers, &body);
        let told = String::from_utf8(seen.body).unwrap();
        assert!(seen.status == status && told.contains(want), "{}: {told}", seen.status);
        assert_eq!(seen.calls[0], "claude.example");
        assert_eq!(
            String::from_utf8(seen.sent[0].1.clone()).unwrap(),
            body.replace("\"claude\"", "\"claude-up\"")
        );
        assert!(lone.records().iter().all(|record| record.usage.total() == 0), "a count is free");
    }
}
