//! Whole answers of the simulated model: tables for what callers ask and what is directed.

mod properties;

use super::*;
use crate::time::Millis;
use crate::wire::sse::{SseDecoder, SseEvent};
use alloc::vec;
use serde_json::json;

const NOW: UnixMillis = UnixMillis(1_763_760_001_500);

fn config(directives: &Value) -> SimulatorConfig {
    let config: SimulatorConfig = serde_json::from_value(directives.clone()).unwrap();
    config.check().unwrap();
    config
}

fn ask(directives: &Value, task: Task, request: &Value) -> Script {
    answer(&config(directives), "weir-simulator-chat", task, request.to_string().as_bytes(), NOW, 7)
}

#[track_caller]
fn body(script: &Script) -> Value {
    serde_json::from_slice(&script.body()).unwrap()
}

/// The events of a stream that keeps to the strict grammar: each chunk is `data: `, one line, a blank line.
#[track_caller]
fn events(script: &Script) -> Vec<SseEvent> {
    let mut decoder = SseDecoder::default();
    for chunk in &script.chunks {
        let text = core::str::from_utf8(&chunk.bytes).unwrap();
        assert!(
            text.starts_with("data: ") && text.ends_with("\n\n") && text.matches('\n').count() == 2,
            "{text}"
        );
        decoder.push(&chunk.bytes).unwrap();
    }
    core::iter::from_fn(|| decoder.next_event()).collect()
}

/// Text or calls, and the finish reason, of a plain answer's choices.
fn plain(answer: &Value) -> Vec<Value> {
    let choices = answer["choices"].as_array().unwrap().iter();
    choices
        .map(|choice| {
            let text = choice.get("text").unwrap_or(&choice["message"]["content"]);
            let mut calls = choice["message"].get("tool_calls").cloned().unwrap_or_else(|| json!([]));
            // Ids depend on the request's bytes, and those on whether a stream is asked for.
            for call in calls.as_array_mut().unwrap() {
                assert!(call.as_object_mut().unwrap().remove("id").is_some());
            }
            json!({"text": text.as_str().unwrap_or(""), "calls": calls, "finish_reason": choice["finish_reason"]})
        })
        .collect()
}

fn user(text: &str) -> Value {
    json!([{"role": "user", "content": text}])
}

#[test]
fn a_plain_chat_answer_has_the_members_of_the_dialect() {
    let script = ask(&json!({"reply": "Hello, {last}!"}), Task::Chat, &json!({"messages": user("you")}));
    let mut answer = body(&script);
    assert!(answer["id"].take().as_str().unwrap().starts_with("chatcmpl-sim"));
    let wanted = json!({
        "id": null, "object": "chat.completion", "created": 1_763_760_001, "model": "weir-simulator-chat",
        "system_fingerprint": "fp_weir_simulator",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello, you!", "refusal": null},
            "logprobs": null, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 8, "completion_tokens": 4, "total_tokens": 12},
    });
    assert_eq!(answer, wanted);
    assert_eq!((script.status, script.header("content-type")), (200, Some("application/json")));
}

#[test]
#[expect(clippy::too_many_lines, reason = "one table")]
fn texts_follow_the_request_and_the_directives() {
    let weather = json!([{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"},
        {"type": "image_url", "image_url": {"url": "https://example.com/"}}]}]);
    let rows: [(Value, Value, &[&str], &str, u64); 13] = [
        (
            json!({}),
            json!({"messages": user("Hi")}),
            &[
                "This is weir-simulator-chat, a simulator and no language model. It read 8 tokens in 1 messages. \
               The last one says: Hi",
            ],
            "stop",
            31,
        ),
        (json!({"reply": "{last}"}), json!({"messages": weather}), &["a\nb"], "stop", 3),
        (
            json!({"reply": "{\"a\": {unknown} {"}),
            json!({"messages": user("Hi")}),
            &["{\"a\": {unknown} {"],
            "stop",
            11,
        ),
        (
            json!({"reply": "one two three"}),
            json!({"messages": user("Hi"), "max_tokens": 2}),
            &["one two"],
            "length",
            2,
        ),
        (
            json!({"reply": "one two"}),
            json!({"messages": user("Hi"), "max_tokens": 2}),
            &["one two"],
            "stop",
            2,
        ),
        (
            json!({"reply": "one two three"}),
            json!({"messages": user("Hi"), "max_tokens": 9, "max_completion_tokens": 1}),
            &["one"],
            "length",
            1,
        ),
        (
            json!({"reply": "one two three"}),
            json!({"messages": user("Hi"), "stop": "two"}),
            &["one "],
            "stop",
            2,
        ),
        (
            json!({"reply": "one two three"}),
            json!({"messages": user("Hi"), "stop": ["x", "e t", "ne"]}),
            &["o"],
            "stop",
            1,
        ),
        (
            json!({"reply": "one two three"}),
            json!({"messages": user("Hi"), "stop": "three", "max_tokens": 1}),
            &["one"],
            "length",
            1,
        ),
        (
            json!({"reply": "{choice} of {choices}"}),
            json!({"messages": user("Hi"), "n": 2}),
            &["1 of 2", "2 of 2"],
            "stop",
            6,
        ),
        (
            json!({"reply": "a b", "reply_tokens": 5}),
            json!({"messages": user("Hi")}),
            &["a b a b "],
            "stop",
            5,
        ),
        (
            json!({"reply": "x"}),
            json!({"messages": user("Hi"), "response_format": {"type": "json_object"}}),
            &["{\"reply\":\"x\"}"],
            "stop",
            9,
        ),
        (
            json!({"reply": "{\"a\":1}"}),
            json!({"messages": user("Hi"), "response_format": {"type": "json_object"}}),
            &["{\"a\":1}"],
            "stop",
            7,
        ),
    ];
    for (directives, request, texts, finish_reason, tokens) in rows {
        let answer = body(&ask(&directives, Task::Chat, &request));
        let got = plain(&answer);
        let wanted: Vec<Value> = texts
            .iter()
            .map(|text| json!({"text": text, "calls": [], "finish_reason": finish_reason}))
            .collect();
        assert_eq!(got, wanted, "{directives} {request}");
        assert_eq!(answer["usage"]["completion_tokens"], tokens, "{directives} {request}");
    }
}

#[test]
fn an_answer_in_a_schema_is_an_instance_of_it() {
    let schema = json!({"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer",
        "minimum": 3}}, "required": ["city", "days"], "additionalProperties": false});
    let format =
        json!({"type": "json_schema", "json_schema": {"name": "trip", "strict": true, "schema": schema}});
    let request = json!({"messages": user("Paris"), "response_format": format});
    let text = plain(&body(&ask(&json!({"reply": "x"}), Task::Chat, &request)))[0]["text"].clone();
    assert_eq!(text, "{\"city\":\"Paris\",\"days\":3}");
}

#[test]
fn tools_are_called_by_the_documented_rule() {
    let function = |name: &str| {
        json!({"type": "function", "function": {"name": name, "parameters":
        {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}})
    };
    let tools =
        json!([function("get_weather"), function("book"), {"type": "function", "function": {"name": "now"}}]);
    let forced = json!({"type": "function", "function": {"name": "book"}});
    let rows: [(&str, Value, Value, &[&str]); 9] = [
        ("mentioned", json!({"messages": user("Get weather!")}), json!(null), &["get_weather"]),
        (
            "two mentioned",
            json!({"messages": user("get_weather and book")}),
            json!("auto"),
            &["get_weather", "book"],
        ),
        (
            "not parallel",
            json!({"messages": user("book, get_weather"), "parallel_tool_calls": false}),
            json!("auto"),
            &["get_weather"],
        ),
        ("within a word", json!({"messages": user("booking")}), json!(null), &[]),
        ("none", json!({"messages": user("get_weather")}), json!("none"), &[]),
        ("required", json!({"messages": user("Hi")}), json!("required"), &["get_weather"]),
        ("required, mentioned", json!({"messages": user("Book!")}), json!("required"), &["book"]),
        ("named", json!({"messages": user("get_weather")}), forced, &["book"]),
        (
            "after a result",
            json!({"messages": [{"role": "user", "content": "book"}, {"role": "assistant",
            "content": null, "tool_calls": [{"id": "c", "type": "function", "function": {"name": "book",
            "arguments": "{}"}}]}, {"role": "tool", "tool_call_id": "c", "content": "book"}]}),
            json!(null),
            &[],
        ),
    ];
    for (name, mut request, choice, wanted) in rows {
        request["tools"] = tools.clone();
        request["tool_choice"] = choice;
        let answer = body(&ask(&json!({}), Task::Chat, &request));
        let choice = &plain(&answer)[0];
        let calls = choice["calls"].as_array().unwrap();
        let names: Vec<&str> = calls.iter().map(|call| call["function"]["name"].as_str().unwrap()).collect();
        assert_eq!(names, wanted, "{name}");
        assert_eq!(choice["finish_reason"], if wanted.is_empty() { "stop" } else { "tool_calls" }, "{name}");
        for call in calls {
            let arguments: Value =
                serde_json::from_str(call["function"]["arguments"].as_str().unwrap()).unwrap();
            assert!(arguments["city"].is_string(), "{name}");
        }
    }
}

#[test]
fn wrong_requests_are_told_what_is_wrong() {
    let tool = json!({"type": "function", "function": {"name": "f"}});
    let chat = |members: &Value| {
        let mut request = json!({"messages": user("Hi")});
        request.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        request
    };
    let rows: Vec<(Task, Value, Option<&str>)> = vec![
        (Task::Chat, json!([]), None),
        (Task::Chat, json!({}), Some("messages")),
        (Task::Chat, json!({"messages": []}), Some("messages")),
        (Task::Chat, json!({"messages": "Hi"}), Some("messages")),
        (Task::Chat, json!({"messages": ["Hi"]}), Some("messages[0]")),
        (Task::Chat, json!({"messages": [{"role": "wizard", "content": "Hi"}]}), Some("messages[0].role")),
        (Task::Chat, json!({"messages": [{"role": "user"}]}), Some("messages[0].content")),
        (Task::Chat, json!({"messages": [{"role": "user", "content": 5}]}), Some("messages[0].content")),
        (
            Task::Chat,
            json!({"messages": [{"role": "user", "content": [{}]}]}),
            Some("messages[0].content[0]"),
        ),
        (Task::Chat, chat(&json!({"max_tokens": 0})), Some("max_tokens")),
        (Task::Chat, chat(&json!({"tools": {}})), Some("tools")),
        (Task::Chat, chat(&json!({"tools": [{"type": "x"}]})), Some("tools[0].type")),
        (
            Task::Chat,
            chat(&json!({"tools": [{"type": "function", "function": {"name": "a b"}}]})),
            Some("tools[0].function"),
        ),
        (Task::Chat, chat(&json!({"tool_choice": "required"})), Some("tool_choice")),
        (Task::Chat, chat(&json!({"tools": [tool], "tool_choice": "sometimes"})), Some("tool_choice")),
        (
            Task::Chat,
            chat(&json!({"tools": [tool], "tool_choice": {"function": {"name": "g"}}})),
            Some("tool_choice"),
        ),
        (Task::Chat, chat(&json!({"response_format": {"type": "xml"}})), Some("response_format.type")),
        (
            Task::Chat,
            chat(&json!({"response_format": {"type": "json_schema"}})),
            Some("response_format.json_schema"),
        ),
        (Task::Completions, json!({}), Some("prompt")),
        (Task::Completions, json!({"prompt": {}}), Some("prompt")),
        (Task::Completions, json!({"prompt": [[-1]]}), Some("prompt")),
        (Task::Completions, json!({"prompt": "a", "n": 3, "best_of": 2}), Some("best_of")),
        (Task::Completions, json!({"prompt": vec!["a"; 17], "n": 128}), Some("n")),
        (Task::Completions, json!({"prompt": "a".repeat(40_000), "n": 128, "echo": true}), Some("echo")),
        (Task::Embeddings, json!({}), Some("input")),
        (Task::Embeddings, json!({"input": ""}), Some("input")),
        (Task::Embeddings, json!({"input": []}), Some("input")),
        (Task::Embeddings, json!({"input": [{"picture": "data:"}]}), Some("input")),
        (Task::Embeddings, json!({"input": vec!["a"; 2049]}), Some("input")),
        (Task::Embeddings, json!({"input": "a", "dimensions": 0}), Some("dimensions")),
        (Task::Embeddings, json!({"input": vec!["a"; 2048], "dimensions": 4096}), Some("dimensions")),
        (Task::Embeddings, json!({"input": "a", "encoding_format": "int8"}), Some("encoding_format")),
    ];
    for (task, request, param) in rows {
        let script = ask(&json!({}), task, &request);
        let error = body(&script)["error"].take();
        assert_eq!(script.status, 400, "{request}");
        assert_eq!(error["type"], "invalid_request_error", "{request}");
        assert_eq!(error["param"].as_str(), param, "{request}: {error}");
    }
    let script = answer(&SimulatorConfig::default(), "m", Task::Chat, b"{\"messages\":", NOW, 0);
    assert!(
        script.status == 400
            && body(&script)["error"]["message"].as_str().unwrap().contains("not valid JSON")
    );
    let script = ask(&json!({"context_tokens": 5}), Task::Embeddings, &json!({"input": "a b c d e f"}));
    assert_eq!(body(&script)["error"]["code"], "context_length_exceeded");
}

#[test]
fn completions_answer_every_prompt() {
    let choices = |request: Value| {
        let answer = body(&ask(&json!({"reply": "re: {last}"}), Task::Completions, &request));
        let texts = answer["choices"].as_array().unwrap().iter().map(|choice| choice["text"].clone());
        (texts.collect::<Value>(), answer["usage"].clone())
    };
    let usage = |prompt: u64, output: u64| json!({"prompt_tokens": prompt, "completion_tokens": output, "total_tokens": prompt + output});
    let rows = [
        (json!({"prompt": "a"}), json!(["re: a"]), usage(1, 3)),
        (json!({"prompt": ["a", "b"], "n": 2}), json!(["re: a", "re: a", "re: b", "re: b"]), usage(2, 12)),
        (json!({"prompt": [1, 2]}), json!(["re: 1 2"]), usage(2, 4)),
        (json!({"prompt": [[1], [2]]}), json!(["re: 1", "re: 2"]), usage(2, 6)),
        (json!({"prompt": "a", "echo": true, "max_tokens": 1}), json!(["are"]), usage(1, 1)),
        (json!({"prompt": "x ".repeat(30)}), json!([format!("re:{}", " x".repeat(14))]), usage(31, 16)),
    ];
    for (request, texts, usage) in rows {
        assert_eq!(choices(request.clone()), (texts, usage), "{request}");
    }
}

#[test]
fn embeddings_come_in_both_encodings_and_any_size() {
    let ask = |request: &Value| body(&ask(&json!({"dimensions": 8}), Task::Embeddings, request));
    let floats = ask(&json!({"input": ["a cat", "a dog"]}));
    let vector = |answer: &Value, index: usize| -> Vec<f64> {
        answer["data"][index]["embedding"].as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()
    };
    assert_eq!((floats["object"].as_str(), &floats["data"][1]["index"]), (Some("list"), &json!(1)));
    assert_eq!(floats["usage"], json!({"prompt_tokens": 4, "total_tokens": 4}));
    assert_eq!(vector(&floats, 0).len(), 8);
    let base64 = ask(&json!({"input": "a cat", "encoding_format": "base64"}));
    let bytes = {
        use base64::Engine;
        let text = base64["data"][0]["embedding"].as_str().unwrap();
        base64::engine::general_purpose::STANDARD.decode(text).unwrap()
    };
    let decoded: Vec<f64> =
        bytes.chunks(4).map(|four| f64::from(f32::from_le_bytes(four.try_into().unwrap()))).collect();
    for (a, b) in decoded.iter().zip(vector(&floats, 0)) {
        assert!((a - b).abs() < 1e-6, "{a} {b}");
    }
    for (request, size) in [(json!({"input": [5, 6], "dimensions": 3}), 3), (json!({"input": [[5], [6]]}), 8)]
    {
        assert_eq!(vector(&ask(&request), 0).len(), size, "{request}");
    }
}

#[test]
fn faults_strike_as_directed() {
    let request = json!({"messages": user("Hi")});
    let ask = |directives: Value| ask(&directives, Task::Chat, &request);
    let script = ask(json!({"fail": {"status": 503, "message": "down", "code": "x", "retry_after_s": 3}}));
    assert_eq!((script.status, script.header("retry-after")), (503, Some("3")));
    assert_eq!(
        body(&script),
        json!({"error": {"message": "down", "type": "overloaded_error", "param": null, "code": "x"}})
    );
    let script = ask(json!({"rate_limit": {}, "fail": {"status": 500}}));
    assert_eq!((script.status, script.header("retry-after")), (429, Some("1")));
    assert_eq!(body(&script)["error"]["code"], "rate_limit_exceeded");
    let script = ask(json!({"garbage": true}));
    assert!(script.status == 200 && serde_json::from_slice::<Value>(&script.body()).is_err());
    let script = ask(json!({"hang": "before_answer"}));
    assert_eq!((script.first_delay, script.end, script.chunks.len()), (Script::NEVER, ScriptEnd::Never, 0));
    let script = ask(json!({"hang": "before_end"}));
    assert!(script.end == ScriptEnd::Never && serde_json::from_slice::<Value>(&script.body()).is_err());
    let script = ask(json!({"break_after_events": 0}));
    assert!(script.end == ScriptEnd::Broken && serde_json::from_slice::<Value>(&script.body()).is_err());
    assert!(body(&ask(json!({"usage": "omit"}))).get("usage").is_none());
    let fails = (0..1000u64).filter(|random| {
        let config = config(&json!({"fail": {"status": 500, "when": {"percent": 20}}}));
        answer(&config, "m", Task::Chat, request.to_string().as_bytes(), NOW, *random).status == 500
    });
    let fails = fails.count();
    assert!((150..250).contains(&fails), "{fails} of 1000 at 20 percent");
}

#[test]
fn every_event_of_a_stream_names_its_shape() {
    let usage = json!({"include_usage": true});
    let rows = [
        (Task::Chat, json!({"messages": user("Hi")}), "chat.completion.chunk"),
        (Task::Completions, json!({"prompt": "Hi"}), "text_completion"),
    ];
    for (task, mut request, object) in rows {
        request["stream"] = json!(true);
        request["stream_options"] = usage.clone();
        let script = ask(&json!({}), task, &request);
        let all = events(&script);
        let told: Vec<Value> =
            all.iter().filter_map(|event| serde_json::from_str(&event.data).ok()).collect();
        assert!(told.len() > 3 && told.last().is_some_and(|last| last["choices"] == json!([])));
        assert!(told.iter().all(|event| event["object"] == object), "{told:?}");
    }
}

#[test]
fn streams_break_off_fall_silent_and_take_time_as_directed() {
    let request = json!({"messages": user("Hi"), "stream": true, "stream_options": {"include_usage": true}});
    // Role, "one", " two", finish, usage, [DONE].
    let rows = [
        (json!({}), 6, ScriptEnd::Complete),
        (json!({"break_after_events": 0}), 0, ScriptEnd::Broken),
        (json!({"break_after_events": 3}), 3, ScriptEnd::Broken),
        (json!({"break_after_events": 99}), 5, ScriptEnd::Broken),
        (json!({"hang": "before_end"}), 3, ScriptEnd::Never),
        (json!({"chunk_tokens": 2}), 5, ScriptEnd::Complete),
        (json!({"usage": "omit"}), 5, ScriptEnd::Complete),
    ];
    for (mut directives, count, end) in rows {
        directives["reply"] = json!("one two");
        let script = ask(&directives, Task::Chat, &request);
        assert_eq!((script.chunks.len(), script.end), (count, end), "{directives}");
        assert_eq!(events(&script).len(), count, "{directives}");
    }
    let timed = json!({"reply": "one two three", "first_token_ms": 100, "token_ms": 10});
    let script = ask(&timed, Task::Chat, &request);
    let delays: Vec<u64> = script.chunks.iter().map(|chunk| chunk.delay.0).collect();
    assert_eq!((script.first_delay, delays), (Millis(100), vec![0, 0, 10, 10, 0, 0, 0]));
    let plain = ask(&timed, Task::Chat, &json!({"messages": user("Hi")}));
    assert_eq!(plain.first_delay, Millis(120), "a plain answer takes as long as its stream");
}

#[test]
fn the_largest_answers_are_bounded() {
    let request = json!({"messages": user("Hi"), "n": 128, "stream": true, "max_tokens": u64::MAX});
    let script = ask(&json!({"reply_tokens": 16384}), Task::Chat, &request);
    assert_eq!(script.chunks.len(), 128 * (128 + 2) + 1);
    let braces = "{".repeat(65_536);
    let script = ask(&json!({"reply": braces}), Task::Chat, &json!({"messages": user("Hi")}));
    assert_eq!(plain(&body(&script))[0]["finish_reason"], "length");
}
