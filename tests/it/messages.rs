//! Anthropic Messages there and back: what a caller of `/v1/messages` says is what an Anthropic upstream hears, and what
//! such an upstream answers is what the caller gets, on all that both dialects can say.

use serde_json::{Value, json};
use std::fmt::Write as _;
use weir_core::snapshot::{Dialect, Task};
use weir_core::sorted::SortedMap;
use weir_core::translate::messages::{self, Encoder};
use weir_core::translate::{self, Ask, Decoder, Form, Notes};
use weir_core::wire::WireError;
use weir_core::wire::raw::Raw;

fn form() -> Form {
    Form { id: "weir-1".into(), created: 1, model: "m".into(), ..Form::default() }
}

/// The body as an Anthropic upstream gets it by way of the canonical dialect.
fn there_and_back(body: &Value) -> Value {
    let (canonical, _) = messages::request(Raw::parse(&body.to_string()).unwrap()).unwrap();
    let (place, mut notes) = (SortedMap::new(), Notes::default());
    let body = Raw::parse(&canonical).unwrap();
    let stream = body.get("stream").is_some_and(|stream| stream.is_true());
    let ask = Ask { task: Task::Chat, model: "m", place: &place, stream, body };
    let sent = translate::request(translate::provider(Dialect::Anthropic), &ask, &mut notes).unwrap();
    assert_eq!(notes, Notes::default(), "{canonical}");
    serde_json::from_str(&sent.body).unwrap()
}

#[test]
fn requests_come_back_as_they_were() {
    let text = |text: &str| json!({"type": "text", "text": text});
    let tool =
        json!({"name": "weather", "description": "d", "input_schema": {"type": "object", "properties": {}}});
    let call =
        json!({"type": "tool_use", "id": "c1", "name": "weather", "input": {"city": "Faro", "n": 1.50}});
    let result = json!({"type": "tool_result", "tool_use_id": "c1", "content": [text("21")]});
    let user = |content: Value| json!({"role": "user", "content": content});
    let rows = [
        json!({"messages": [user(json!([text("Hi")]))]}),
        json!({"messages": [user(json!([text("Hi")]))], "system": "Be brief.", "temperature": 0.5, "stop_sequences": ["END"], "top_k": 5, "stream": true, "metadata": {"user_id": "u"}}),
        json!({"messages": [user(json!([text("Hi")]))], "top_p": 0.9, "tools": [tool], "tool_choice": {"type": "any", "disable_parallel_tool_use": true}}),
        json!({"messages": [user(json!([text("Hi")])), {"role": "assistant", "content": [text("I look."), call]}, user(json!([result, text("So?")]))], "tools": [tool], "tool_choice": {"type": "tool", "name": "weather"}}),
        json!({"messages": [user(json!([{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}, {"type": "image", "source": {"type": "url", "url": "https://x.example/a"}}, {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "BBBB"}, "title": "a.pdf"}]))]}),
        json!({"messages": [user(json!([text("Hi")])), {"role": "assistant", "content": [{"type": "thinking", "thinking": "Hm", "signature": "S"}, call]}, user(json!([result]))], "thinking": {"type": "enabled", "budget_tokens": 1024}}),
        json!({"messages": [user(json!([text("Hi")]))], "output_config": {"format": {"type": "json_schema", "schema": {"type": "object", "properties": {"b": {"type": "string"}, "a": {"type": "string"}}, "additionalProperties": false}}}}),
    ];
    for mut row in rows {
        row["model"] = json!("m");
        row["max_tokens"] = json!(4000);
        assert_eq!(there_and_back(&row), row);
    }
}

#[test]
fn what_the_api_does_not_have_is_refused_where_it_stands() {
    let rows = [
        (json!({"messages": [{"role": "user", "content": "x"}], "seed": 1}), "seed"),
        (json!({"messages": [{"role": "system", "content": "x"}]}), "messages.0.role"),
        (json!({"messages": [{"role": "user"}]}), "messages.0.content"),
        (json!({"messages": [{"role": "user", "content": [{"type": "video"}]}]}), "messages.0.content.0"),
        (
            json!({"messages": [{"role": "user", "content": [{"type": "tool_use", "id": "a", "name": "b", "input": {}}]}]}),
            "messages.0.content.0",
        ),
        (
            json!({"messages": [{"role": "user", "content": "x"}], "tools": [{"type": "web_search_20250305", "name": "web_search"}]}),
            "tools.0",
        ),
        (
            json!({"messages": [{"role": "user", "content": "x"}], "tools": [{"name": "a", "input_schema": {}}], "tool_choice": {"type": "some"}}),
            "tool_choice",
        ),
    ];
    for (body, place) in rows {
        match messages::request(Raw::parse(&body.to_string()).unwrap()) {
            Err(WireError::NotSupported { member, .. }) => assert_eq!(member, place, "{body}"),
            other => panic!("{body}: {other:?}"),
        }
    }
    assert!(messages::request(Raw::parse("{}").unwrap()).is_err());
}

/// The message that a client puts together from a stream's events.
fn assembled(events: &str) -> Value {
    let mut message = Value::Null;
    for event in events.split("\n\n").filter(|event| !event.is_empty()) {
        let (name, data) = event.strip_prefix("event: ").unwrap().split_once("\ndata: ").unwrap();
        let data: Value = serde_json::from_str(data).unwrap();
        assert_eq!(data["type"], name);
        let at = data["index"].as_u64().and_then(|at| usize::try_from(at).ok()).unwrap_or(0);
        match name {
            "message_start" => message = data["message"].clone(),
            "content_block_start" => {
                assert_eq!(message["content"].as_array().unwrap().len(), at, "blocks come in their order");
                message["content"].as_array_mut().unwrap().push(data["content_block"].clone());
            }
            "content_block_delta" => {
                let (block, delta) = (&mut message["content"][at], &data["delta"]);
                for (from, to) in [
                    ("text", "text"),
                    ("thinking", "thinking"),
                    ("signature", "signature"),
                    ("partial_json", "json"),
                ] {
                    if let Some(piece) = delta[from].as_str() {
                        block[to] = json!(block[to].as_str().unwrap_or_default().to_owned() + piece);
                    }
                }
            }
            "message_delta" => {
                message["stop_reason"] = data["delta"]["stop_reason"].clone();
                message["usage"] = data["usage"].clone();
            }
            "content_block_stop" => {
                if let Some(text) = message["content"][at]["json"].as_str() {
                    message["content"][at]["input"] = serde_json::from_str(text).unwrap();
                    message["content"][at].as_object_mut().unwrap().remove("json");
                }
            }
            "message_stop" | "ping" => {}
            other => panic!("{other}"),
        }
    }
    message
}

/// A stream of Anthropic's with this content.
fn events(content: &[Value], stop: &str) -> String {
    let mut out = String::new();
    let mut put = |value: Value| {
        write!(out, "event: {}\ndata: {value}\n\n", value["type"].as_str().unwrap()).unwrap();
    };
    put(
        json!({"type": "message_start", "message": {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [], "stop_reason": null, "stop_sequence": null, "usage": {"input_tokens": 3, "output_tokens": 1}}}),
    );
    for (index, block) in content.iter().enumerate() {
        let (empty, deltas) = match block["type"].as_str().unwrap() {
            "text" => (
                json!({"type": "text", "text": ""}),
                vec![json!({"type": "text_delta", "text": block["text"]})],
            ),
            "thinking" => (
                json!({"type": "thinking", "thinking": "", "signature": ""}),
                vec![
                    json!({"type": "thinking_delta", "thinking": block["thinking"]}),
                    json!({"type": "signature_delta", "signature": block["signature"]}),
                ],
            ),
            _ => (
                json!({"type": "tool_use", "id": block["id"], "name": block["name"], "input": {}}),
                vec![json!({"type": "input_json_delta", "partial_json": block["input"].to_string()})],
            ),
        };
        put(json!({"type": "content_block_start", "index": index, "content_block": empty}));
        for delta in deltas {
            put(json!({"type": "content_block_delta", "index": index, "delta": delta}));
        }
        put(json!({"type": "content_block_stop", "index": index}));
    }
    put(
        json!({"type": "message_delta", "delta": {"stop_reason": stop, "stop_sequence": null}, "usage": {"output_tokens": 9}}),
    );
    put(json!({"type": "message_stop"}));
    out
}

/// Streams of Anthropic's come back as the same message, however they are cut on their way.
#[test]
fn streams_come_back_as_the_same_message() {
    let call =
        |id: &str| json!({"type": "tool_use", "id": id, "name": "weather", "input": {"city": "Faro \u{e9}"}});
    let rows = [
        (vec![json!({"type": "text", "text": "Hello \"there\"\n"})], "end_turn"),
        (
            vec![
                json!({"type": "thinking", "thinking": "Hm", "signature": "S="}),
                json!({"type": "text", "text": "Yes"}),
            ],
            "max_tokens",
        ),
        (vec![json!({"type": "text", "text": "I look."}), call("c1"), call("c2")], "tool_use"),
        (vec![], "refusal"),
    ];
    for (content, stop) in rows {
        let stream = events(&content, stop);
        for step in [1, 7, 64, stream.len()] {
            let mut decoder = Decoder::new(translate::provider(Dialect::Anthropic), Task::Chat, form());
            let (mut encoder, mut out) = (Encoder::new(5), Vec::new());
            for piece in stream.as_bytes().chunks(step) {
                out.extend(encoder.push(&decoder.push(piece)));
            }
            let message = assembled(std::str::from_utf8(&out).unwrap());
            assert_eq!(message["content"], json!(content), "{step}");
            assert_eq!((&message["stop_reason"], &message["id"]), (&json!(stop), &json!("msg_1")));
            assert_eq!(
                message["usage"],
                json!({"input_tokens": 3, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0, "output_tokens": 9})
            );
        }
    }
}

#[test]
fn answers_come_back_as_they_were() {
    let message = json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [
        {"type": "thinking", "thinking": "Hm", "signature": "S="}, {"type": "text", "text": "I look."},
        {"type": "tool_use", "id": "c1", "name": "weather", "input": {"city": "Faro"}}], "stop_reason": "tool_use", "stop_sequence": null,
        "usage": {"input_tokens": 3, "cache_creation_input_tokens": 2, "cache_read_input_tokens": 4, "output_tokens": 9}});
    let provider = translate::provider(Dialect::Anthropic);
    let canonical = translate::answer(provider, Task::Chat, &form(), message.to_string().as_bytes()).unwrap();
    let back = Encoder::new(5).answer(Raw::parse(&canonical).unwrap());
    assert_eq!(serde_json::from_str::<Value>(&back).unwrap(), message);
}

#[test]
fn the_signature_of_a_thought_comes_back_with_its_call() {
    let call = json!({"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{\"a\":1}"},
        "extra_content": {"google": {"thought_signature": "c2ln+/=="}}});
    let answer = json!({"id": "x", "choices": [{"message": {"role": "assistant", "tool_calls": [call]}, "finish_reason": "tool_calls"}]});
    let told: Value =
        serde_json::from_str(&Encoder::new(1).answer(Raw::parse(&answer.to_string()).unwrap())).unwrap();
    let block = &told["content"][0];
    let mut encoder = Encoder::new(1);
    let mut delta = call.clone();
    delta["index"] = json!(0);
    let chunk = json!({"id": "x", "choices": [{"index": 0, "delta": {"tool_calls": [delta]}}]});
    let streamed = String::from_utf8(encoder.push(format!("data: {chunk}\n\n").as_bytes())).unwrap();
    let id = block["id"].as_str().unwrap();
    assert!(streamed.contains(&format!("\"id\":\"{id}\"")), "{streamed}");
    let back = json!({"messages": [
        {"role": "assistant", "content": [block]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": id, "content": "ok"}]}]});
    let (canonical, _) = messages::request(Raw::parse(&back.to_string()).unwrap()).unwrap();
    let canonical: Value = serde_json::from_str(&canonical).unwrap();
    assert_eq!(canonical["messages"][0]["tool_calls"][0], call);
    assert_eq!(canonical["messages"][1]["tool_call_id"], "call_1");
}
