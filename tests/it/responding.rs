//! Whole exchanges of the Responses API: on every surface, before upstreams that have it, that have it not, and that break
//! off.

use crate::responses::{assembled, chunks};
use serde_json::{Value, json};
use weir_core::exchange::{Settings, StreamEnd};
use weir_core::seal::key_hash;
use weir_tests::lone::{Lone, Reply};

const ADDRESSES: [&str; 6] = [
    "/v1/responses",
    "/openai/v1/responses",
    "/openai/responses?api-version=2025-03-01-preview",
    "/serving-endpoints/responses",
    "/ai-gateway/mlflow/v1/responses",
    "/ai-gateway/openai/v1/responses",
];

fn world(provider: &str) -> Lone {
    let http = json!({"base": "https://up.example/v1", "paths": "open_ai", "auth": "none"});
    let entity = json!({"name": "up", "provider": provider, "upstream_model": "m", "weight": 0, "target": {"http": http}});
    let simulated = json!({"name": "sim", "provider": "simulator", "upstream_model": "m", "weight": 0, "target": {"simulator": {}}});
    let deployment = |name: &str, task: &str, entity: &Value| json!({"name": name, "kind": "account", "task": task, "model": "m", "entities": [entity]});
    let snapshot = json!({"account": "default", "version": 1, "keys": [{"hash": key_hash("K"), "id": "k", "principal": "p"}],
        "deployments": [deployment("d", "llm/v1/chat", &entity), deployment("v", "llm/v1/embeddings", &simulated)]});
    Lone::new(Settings::default(), &snapshot.to_string())
}

/// The address of a surface, the exchange with it.
fn exchange(lone: &mut Lone, address: &str, body: &Value) -> (u16, String, bool) {
    let url = format!("https://weir.example{address}");
    let seen = lone.exchange(&url, &[("authorization", "Bearer K"), ("api-key", "K")], &body.to_string());
    (seen.status, String::from_utf8(seen.body).unwrap(), seen.cut)
}

/// On every surface: whole; streamed, cut after every event of the upstream's; and errors in the surface's form.
#[test]
fn every_surface_has_it_and_no_broken_stream_looks_complete() {
    let message = json!({"role": "assistant", "content": "Hello"});
    let usage = json!({"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5});
    let stream = chunks(&message, "stop", &usage, 2);
    let pieces: Vec<(u64, Vec<u8>)> =
        stream.split_inclusive("\n\n").map(|event| (5, event.as_bytes().to_vec())).collect();
    for address in ADDRESSES {
        let mut lone = world("custom");
        let body = json!({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}], "id": "c", "object": "chat.completion", "created": 1, "model": "m", "usage": usage});
        let answer = Reply::Answer {
            status: 200,
            kind: "application/json",
            retry_after: None,
            body: Ok(body.to_string().into_bytes()),
        };
        lone.upstream("up.example", &[answer]);
        let (status, text, _) =
            exchange(&mut lone, address, &json!({"model": "d", "input": "x", "metadata": {"k": "v"}}));
        let told: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            (status, &told["object"], &told["output"][0]["content"][0]["text"]),
            (200, &json!("response"), &json!("Hello")),
            "{text}"
        );
        assert_eq!((&told["store"], &told["metadata"]), (&json!(false), &json!({"k": "v"})));
        assert_eq!(lone.records()[0].usage.total(), 5);
        for upto in 0..=pieces.len() {
            for end in [StreamEnd::Closed, StreamEnd::Broken] {
                let mut lone = world("custom");
                lone.upstream("up.example", &[Reply::Stream(pieces[..upto].to_vec(), (5, end))]);
                let (status, text, cut) =
                    exchange(&mut lone, address, &json!({"model": "d", "input": "x", "stream": true}));
                // A server of anyone's make may end without its terminal event once it said why the answer ended.
                let whole = upto == pieces.len() || (upto + 2 >= pieces.len() && end == StreamEnd::Closed);
                assert_eq!(
                    text.contains("event: response.completed"),
                    whole,
                    "{address} {upto} {end:?}: {text}"
                );
                if whole {
                    assert!(!cut && text.starts_with("event: response.created\n"), "{text}");
                    assembled(&text);
                } else if status == 200 {
                    assert!(cut && text.starts_with("event: response.created\n"), "{text}");
                    let last = text.trim_end().rsplit("\n\n").next().unwrap();
                    let data: Value =
                        serde_json::from_str(last.strip_prefix("event: error\ndata: ").unwrap()).unwrap();
                    let number = text.matches("event: response.").count();
                    assert_eq!((&data["type"], &data["sequence_number"]), (&json!("error"), &json!(number)));
                    assert!(data["error"]["message"].is_string(), "clients raise on it");
                } else {
                    assert!(status >= 500, "{status}: {text}");
                }
            }
        }
        let mut lone = world("custom");
        let refused = exchange(
            &mut lone,
            address,
            &json!({"model": "d", "input": "x", "previous_response_id": "resp_1"}),
        );
        assert_eq!(refused.0, 400, "{}", refused.1);
        assert!(refused.1.contains("not stored"), "{}", refused.1);
        assert_eq!(exchange(&mut lone, address, &json!({"model": "v", "input": "x"})).0, 400);
        assert_eq!(exchange(&mut lone, address, &json!({"model": "nobody", "input": "x"})).0, 404);
    }
}

#[test]
fn tokens_are_counted_without_a_call() {
    let mut lone = world("custom");
    let (status, text, _) =
        exchange(&mut lone, "/v1/responses/input_tokens", &json!({"model": "d", "input": "x".repeat(400)}));
    let told: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((status, &told["object"]), (200, &json!("response.input_tokens")), "{text}");
    assert!((80..=120).contains(&told["input_tokens"].as_u64().unwrap()), "{text}");
}

#[test]
fn an_upstream_that_has_the_api_is_asked_as_before() {
    let mut lone = world("openai");
    let body = json!({"id": "resp_abcdefgh", "object": "response", "output": [], "usage": {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}});
    let answer = Reply::Answer {
        status: 200,
        kind: "application/json",
        retry_after: None,
        body: Ok(body.to_string().into_bytes()),
    };
    lone.upstream("up.example", &[answer]);
    let (status, text, _) = exchange(
        &mut lone,
        "/v1/responses",
        &json!({"model": "d", "input": "x", "previous_response_id": "resp_1"}),
    );
    assert_eq!(status, 200);
    assert!(text.contains("\"resp_abcdefgh-w"), "{text}");
}

/// Two entities behind one name: the first has the API, the second only chats.
fn mixed(fallback: bool) -> Lone {
    let entity = |name: &str, provider: &str| {
        let http = json!({"base": format!("https://{name}.example/v1"), "paths": "open_ai", "auth": "none"});
        json!({"name": name, "provider": provider, "upstream_model": "m", "weight": if name == "chats" { 99 } else { 1 }, "target": {"http": http}})
    };
    let snapshot = json!({"account": "default", "version": 1, "keys": [{"hash": key_hash("K"), "id": "k", "principal": "p"}],
        "deployments": [{"name": "d", "kind": "account", "task": "llm/v1/chat", "model": "m", "fallback": fallback,
            "entities": [entity("chats", "custom"), entity("has", "openai")]}]});
    Lone::new(Settings::default(), &snapshot.to_string())
}

#[test]
fn what_one_entity_is_asked_as_it_came_another_answers_by_way_of_a_chat() {
    let usage = json!({"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5});
    let message = json!({"role": "assistant", "content": "Hello"});
    let json_of = |body: Value| Reply::Answer {
        status: 200,
        kind: "application/json",
        retry_after: None,
        body: Ok(body.to_string().into_bytes()),
    };
    let chat = json!({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}], "id": "c", "object": "chat.completion", "created": 1, "model": "m", "usage": usage});
    let own = json!({"id": "resp_abcdefgh", "object": "response", "output": [], "usage": {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}});
    let stream = chunks(&message, "stop", &usage, 2);
    let pieces: Vec<(u64, Vec<u8>)> =
        stream.split_inclusive("\n\n").map(|event| (5, event.as_bytes().to_vec())).collect();
    let fails =
        Reply::Answer { status: 500, kind: "application/json", retry_after: None, body: Ok(b"{}".to_vec()) };
    let begun = b"event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"id\":\"resp_abcdefgh\"}}\n\n".to_vec();
    let asks = |more: Value| {
        let mut body = json!({"model": "d", "input": "x"});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    let run = |lone: &mut Lone, body: &Value| {
        let headers = [("authorization", "Bearer K")];
        let seen = lone.exchange("https://weir.example/v1/responses", &headers, &body.to_string());
        (seen.status, String::from_utf8(seen.body).unwrap(), seen.calls)
    };

    let mut lone = mixed(true);
    lone.upstream("has.example", &[json_of(own.clone()), fails.clone()]);
    lone.upstream("chats.example", &[json_of(chat)]);
    let (status, text, calls) = run(&mut lone, &asks(json!({})));
    assert_eq!(
        (status, calls),
        (200, vec!["has.example".to_owned()]),
        "who has it is asked first, whatever its share"
    );
    assert!(text.contains("\"resp_abcdefgh-w"), "{text}");
    let (status, text, calls) = run(&mut lone, &asks(json!({})));
    assert_eq!(status, 200, "{text}");
    assert_eq!(calls.last().map(String::as_str), Some("chats.example"));
    let told: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&told["object"], &told["usage"]["total_tokens"]), (&json!("response"), &json!(5)), "{text}");
    // What needs a memory, or tools of the provider's own, is only for who has them.
    for more in [json!({"previous_response_id": "resp_1"}), json!({"tools": [{"type": "web_search"}]})] {
        let (status, _, calls) = run(&mut lone, &asks(more));
        assert!(status >= 500 && calls.iter().all(|host| host == "has.example"), "{calls:?}");
    }

    let mut lone = mixed(true);
    lone.upstream("has.example", &[Reply::Stream(vec![(5, begun)], (5, StreamEnd::Broken))]);
    lone.upstream("chats.example", &[Reply::Stream(pieces, (5, StreamEnd::Closed))]);
    let (status, text, calls) = run(&mut lone, &asks(json!({"stream": true})));
    assert_eq!((status, calls.last().map(String::as_str)), (200, Some("chats.example")), "{text}");
    assert!(!text.contains("abcdefgh"), "nothing of the first: {text}");
    assembled(&text);
    assert_eq!(lone.records()[0].usage.total(), 5);

    let mut lone = mixed(false);
    lone.upstream("has.example", &[fails]);
    let (status, _, calls) = run(&mut lone, &asks(json!({})));
    assert!(
        status >= 500 && calls.iter().all(|host| host == "has.example"),
        "no fallback, no stand-in: {calls:?}"
    );
}
