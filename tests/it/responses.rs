//! The Responses API in front of chats: what a caller says becomes the chat that it means, whatever comes back becomes a
//! response, whole or event by event alike, and its items mean the same when they are sent back.

use proptest::prelude::*;
use serde_json::{Value, json};
use std::fmt::Write as _;
use weir_core::snapshot::{Dialect, Task};
use weir_core::translate::caller::{self, CallerDialect, Heard, Teller};
use weir_core::translate::{self, Decoder, Form};
use weir_core::wire::WireError;
use weir_core::wire::raw::Raw;

fn form() -> Form {
    Form { id: "0a-1".into(), created: 7, model: "m".into(), ..Form::default() }
}

fn heard(body: &Value) -> Result<Heard, WireError> {
    caller::hear(CallerDialect::Responses, Raw::parse(&body.to_string()).unwrap())
}

fn canonical(body: &Value) -> Value {
    serde_json::from_str(&heard(body).unwrap().canonical).unwrap()
}

pub(crate) fn teller() -> Teller {
    heard(&json!({"input": "x"})).unwrap().teller(&form())
}

#[test]
fn requests_are_the_chats_that_they_mean() {
    let user = |content: Value| json!([{"role": "user", "content": content}]);
    let function = json!({"type": "function", "name": "weather", "description": "d", "parameters": {"type": "object"}, "strict": true});
    let other = json!({"type": "function", "name": "time", "parameters": {}, "strict": null});
    let tool = json!({"type": "function", "function": {"name": "weather", "description": "d", "parameters": {"type": "object"}, "strict": true}});
    let schema = json!({"type": "object", "properties": {"b": {}, "a": {}}});
    let rows = [
        (json!({"input": "Hi"}), json!({"messages": user(json!("Hi"))})),
        (
            json!({"input": "Hi", "instructions": "Be brief.", "max_output_tokens": 9, "temperature": 0.50, "top_p": 1, "user": "u",
                "stream": true, "store": true, "metadata": {"a": "b"}, "include": ["reasoning.encrypted_content"], "truncation": "disabled",
                "background": false, "previous_response_id": null, "stream_options": {"include_obfuscation": false}, "seed": 7}),
            json!({"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}], "max_tokens": 9,
                "temperature": 0.50, "top_p": 1, "user": "u", "stream": true, "seed": 7}),
        ),
        (
            json!({"input": [{"role": "developer", "content": "D"}, {"type": "message", "role": "user", "content": [
                {"type": "input_text", "text": "see"}, {"type": "input_image", "image_url": "https://x.example/a", "detail": "auto"},
                {"type": "input_image", "image_url": "data:image/png;base64,AA", "detail": "low"},
                {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,BB"}]}]}),
            json!({"messages": [{"role": "system", "content": "D"}, {"role": "user", "content": [
                {"type": "text", "text": "see"}, {"type": "image_url", "image_url": {"url": "https://x.example/a"}},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA", "detail": "low"}},
                {"type": "file", "file": {"file_data": "data:application/pdf;base64,BB", "filename": "a.pdf"}}]}]}),
        ),
        (
            json!({"input": [{"role": "user", "content": "Hi"}, {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "theirs"},
                {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [{"type": "output_text", "text": "I look.", "annotations": []}]},
                {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "weather", "arguments": "{\"n\":1.50}", "status": "completed"},
                {"type": "function_call", "call_id": "c2", "name": "weather", "arguments": "{}"},
                {"type": "function_call_output", "call_id": "c1", "output": "21"},
                {"type": "function_call_output", "call_id": "c2", "output": [{"type": "input_text", "text": "2"}, {"type": "input_text", "text": "2"}]}],
                "tools": [function], "tool_choice": "required", "parallel_tool_calls": false}),
            json!({"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "I look.", "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": "{\"n\":1.50}"}},
                {"id": "c2", "type": "function", "function": {"name": "weather", "arguments": "{}"}}]},
                {"role": "tool", "tool_call_id": "c1", "content": "21"}, {"role": "tool", "tool_call_id": "c2", "content": "22"}],
                "tools": [tool], "tool_choice": "required", "parallel_tool_calls": false}),
        ),
        (
            json!({"input": "Hi", "tools": [function, other], "tool_choice": {"type": "function", "name": "time"}}),
            json!({"messages": user(json!("Hi")), "tools": [tool, {"type": "function", "function": {"name": "time", "parameters": {}}}],
                "tool_choice": {"type": "function", "function": {"name": "time"}}}),
        ),
        (
            json!({"input": "Hi", "tools": [function, other], "tool_choice": {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "weather"}]}}),
            json!({"messages": user(json!("Hi")), "tools": [tool], "tool_choice": "required"}),
        ),
        (
            json!({"input": "Hi", "text": {"format": {"type": "json_schema", "name": "n", "schema": schema, "strict": true}, "verbosity": "low"},
                "reasoning": {"effort": "high", "summary": "auto"}, "top_logprobs": 2}),
            json!({"messages": user(json!("Hi")), "verbosity": "low", "reasoning_effort": "high", "top_logprobs": 2, "logprobs": true,
                "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": schema, "strict": true}}}),
        ),
        (
            json!({"input": "Hi", "text": {"format": {"type": "json_object"}}, "tools": [], "tool_choice": "none"}),
            json!({"messages": user(json!("Hi")), "response_format": {"type": "json_object"}}),
        ),
    ];
    for (body, chat) in rows {
        assert_eq!(canonical(&body), chat, "{body}");
    }
    let dropped = heard(&json!({"input": "x", "truncation": "auto", "moderation": {"model": "m"}})).unwrap();
    assert_eq!(dropped.notes.dropped, ["moderation", "truncation"]);
}

#[test]
fn what_cannot_be_had_is_refused_where_it_stands() {
    let with = |member: &str, value: Value| {
        let mut body = json!({"input": "x"});
        body[member] = value;
        body
    };
    let rows = [
        (with("previous_response_id", json!("resp_1")), "previous_response_id"),
        (with("conversation", json!("conv_1")), "conversation"),
        (with("prompt", json!({"id": "p"})), "prompt"),
        (with("background", json!(true)), "background"),
        (with("tools", json!([{"type": "web_search"}])), "tools.0"),
        (with("tools", json!([{"type": "function", "name": "a"}, {"type": "mcp"}])), "tools.1"),
        (with("messages", json!([])), "messages"),
        (with("n", json!(2)), "n"),
        (with("text", json!({"format": {"type": "grammar"}})), "text.format"),
        (with("instructions", json!([])), "instructions"),
        (with("input", json!(1)), "input"),
        (with("input", json!([])), "input"),
        (with("input", json!([{"type": "item_reference", "id": "msg_1"}])), "input.0"),
        (with("input", json!([{"role": "user", "content": "x"}, {"type": "web_search_call"}])), "input.1"),
        (with("input", json!([{"role": "tool", "content": "x"}])), "input.0.role"),
        (with("input", json!([{"role": "user"}])), "input.0.content"),
        (
            with(
                "input",
                json!([{"role": "user", "content": [{"type": "input_image", "file_id": "file-1"}]}]),
            ),
            "input.0.content.0",
        ),
        (with("input", json!([{"type": "function_call", "name": "a", "arguments": "{}"}])), "input.0"),
        (with("input", json!([{"type": "function_call_output", "output": "x"}])), "input.0.call_id"),
        (
            with("input", json!([{"type": "function_call_output", "call_id": "c", "output": 1}])),
            "input.0.output",
        ),
    ];
    for (body, place) in rows {
        match heard(&body) {
            Err(WireError::NotSupported { member, .. }) => assert_eq!(member, place, "{body}"),
            other => panic!("{body}: {other:?}"),
        }
    }
    assert!(matches!(heard(&json!({})), Err(WireError::MissingMember { member: "input" })));
}

/// What an event adds to an open item.
fn grow(item: &mut Value, name: &str, data: &Value) {
    let place = |name: &str| usize::try_from(data[name].as_u64().unwrap()).unwrap();
    let grow = |text: &mut Value| {
        *text = json!(text.as_str().unwrap().to_owned() + data["delta"].as_str().unwrap());
    };
    assert_eq!(item["id"], data["item_id"]);
    match name {
        "response.content_part.added" => {
            assert_eq!(item["content"].as_array().unwrap().len(), place("content_index"));
            item["content"].as_array_mut().unwrap().push(data["part"].clone());
        }
        "response.output_text.delta" => {
            let part = &mut item["content"][place("content_index")];
            grow(&mut part["text"]);
            let more = data["logprobs"].as_array().unwrap().clone();
            part["logprobs"].as_array_mut().unwrap().extend(more);
        }
        "response.refusal.delta" => grow(&mut item["content"][place("content_index")]["refusal"]),
        "response.output_text.annotation.added" => {
            let list = item["content"][place("content_index")]["annotations"].as_array_mut().unwrap();
            assert_eq!(list.len(), place("annotation_index"));
            list.push(data["annotation"].clone());
        }
        "response.output_text.done" => {
            assert_eq!(item["content"][place("content_index")]["text"], data["text"]);
        }
        "response.refusal.done" => {
            assert_eq!(item["content"][place("content_index")]["refusal"], data["refusal"]);
        }
        "response.content_part.done" => {
            assert_eq!(item["content"][place("content_index")], data["part"]);
        }
        "response.function_call_arguments.delta" => grow(&mut item["arguments"]),
        "response.function_call_arguments.done" => {
            if item["arguments"] == "" {
                item["arguments"] = json!("{}");
            }
            assert_eq!((&item["arguments"], &item["name"]), (&data["arguments"], &data["name"]));
        }
        "response.reasoning_summary_part.added" => item["summary"] = json!([data["part"]]),
        "response.reasoning_summary_text.delta" => grow(&mut item["summary"][0]["text"]),
        "response.reasoning_summary_text.done" => {
            assert_eq!(item["summary"][0]["text"], data["text"]);
        }
        "response.reasoning_summary_part.done" => assert_eq!(item["summary"][0], data["part"]),
        other => panic!("{other}"),
    }
}

/// The response that a client puts together from a stream's events, by their grammar; and the last one's own.
pub(crate) fn assembled(events: &str) -> (Value, Value) {
    let (mut output, mut last) = (Vec::<Value>::new(), Value::Null);
    let mut open: Vec<Option<Value>> = Vec::new();
    for (number, event) in events.split("\n\n").filter(|event| !event.is_empty()).enumerate() {
        let (name, data) = event.strip_prefix("event: ").unwrap().split_once("\ndata: ").unwrap();
        let data: Value = serde_json::from_str(data).unwrap();
        assert_eq!((&data["type"], &data["sequence_number"]), (&json!(name), &json!(number)), "{events}");
        let at = data["output_index"].as_u64().and_then(|at| usize::try_from(at).ok()).unwrap_or(0);
        assert!(last.is_null(), "nothing follows the last event: {events}");
        match name {
            "response.created" | "response.in_progress" => {
                assert_eq!((&data["response"]["status"], number < 2), (&json!("in_progress"), true));
            }
            "response.output_item.added" => {
                assert_eq!(open.len(), at, "items come in their order");
                assert!(data["item"]["id"].is_string());
                open.push(Some(data["item"].clone()));
                output.push(Value::Null);
            }
            "response.output_item.done" => {
                let grown = open[at].take().expect("an item ends once");
                let item = &data["item"];
                for member in ["content", "arguments", "id", "call_id", "name", "summary"] {
                    let same = grown[member] == item[member]
                        || (grown["type"] == "reasoning" && grown["summary"] == json!([]));
                    assert!(same, "{member} of {item} is what grew: {grown}");
                }
                output[at] = item.clone();
            }
            "response.completed" | "response.incomplete" => {
                assert!(open.iter().all(Option::is_none), "all items are over: {events}");
                last = data["response"].clone();
            }
            _ => grow(open[at].as_mut().expect("an open item"), name, &data),
        }
    }
    (json!(output), last)
}

/// A canonical message in pieces, as chunks.
pub(crate) fn chunks(message: &Value, finish: &str, usage: &Value, piece: usize) -> String {
    let mut out = String::new();
    let mut put = |delta: Value, finish: Value| {
        let chunk = json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "up",
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]});
        write!(out, "data: {chunk}\n\n").unwrap();
    };
    put(json!({"role": "assistant", "content": ""}), Value::Null);
    let pieces = |text: &str| {
        let chars: Vec<char> = text.chars().collect();
        chars.chunks(piece.max(1)).map(|some| some.iter().collect::<String>()).collect::<Vec<_>>()
    };
    if let Some(blocks) = message["thinking_blocks"].as_array() {
        for block in blocks {
            for text in pieces(block["thinking"].as_str().unwrap_or_default()) {
                put(json!({"reasoning_content": text}), Value::Null);
            }
            put(json!({"thinking_blocks": [block]}), Value::Null);
        }
    } else {
        for text in pieces(message["reasoning_content"].as_str().unwrap_or_default()) {
            put(json!({"reasoning_content": text}), Value::Null);
        }
    }
    for name in ["content", "refusal"] {
        for text in pieces(message[name].as_str().unwrap_or_default()) {
            put(json!({name: text}), Value::Null);
        }
    }
    let calls = message["tool_calls"].as_array().cloned().unwrap_or_default();
    for (index, call) in calls.iter().enumerate() {
        let mut begun = call.clone();
        (begun["index"], begun["function"]["arguments"]) = (json!(index), json!(""));
        put(json!({"tool_calls": [begun]}), Value::Null);
    }
    // The arguments come in turns.
    let told: Vec<Vec<String>> =
        calls.iter().map(|call| pieces(call["function"]["arguments"].as_str().unwrap())).collect();
    for turn in 0..told.iter().map(Vec::len).max().unwrap_or(0) {
        for (index, own) in told.iter().enumerate() {
            if let Some(text) = own.get(turn) {
                put(json!({"tool_calls": [{"index": index, "function": {"arguments": text}}]}), Value::Null);
            }
        }
    }
    put(json!({}), json!(finish));
    let last = json!({"id": "c", "model": "up", "choices": [], "usage": usage});
    write!(out, "data: {last}\n\ndata: [DONE]\n\n").unwrap();
    out
}

fn whole(message: &Value, finish: &str, usage: &Value) -> Value {
    let body = json!({"id": "c", "object": "chat.completion", "created": 1, "model": "up", "usage": usage,
        "choices": [{"index": 0, "message": message, "finish_reason": finish, "logprobs": null}]});
    serde_json::from_str(&teller().answer(Raw::parse(&body.to_string()).unwrap())).unwrap()
}

fn messages() -> impl Strategy<Value = Value> {
    let text = || "[a-z\u{e9}\u{1f600}\"\\\\\n ]{0,12}";
    let call = |(name, n): (String, u32)| json!({"type": "function", "function": {"name": name, "arguments": json!({"n": n}).to_string()}});
    let calls = proptest::collection::vec(("[a-z]{1,5}", any::<u32>()).prop_map(call), 0..3);
    let thoughts = proptest::collection::vec("[a-z]{1,9}", 0..3);
    (text(), text(), thoughts, any::<bool>(), calls).prop_map(
        |(content, refusal, thoughts, signed, calls)| {
            let mut message = json!({"role": "assistant", "content": content});
            if !refusal.is_empty() && calls.is_empty() {
                message["refusal"] = json!(refusal);
            }
            if signed && !thoughts.is_empty() {
                message["thinking_blocks"] = thoughts
                    .iter()
                    .map(|text| json!({"type": "thinking", "thinking": text, "signature": "S="}))
                    .collect();
            }
            if !thoughts.is_empty() {
                message["reasoning_content"] = json!(thoughts.concat());
            }
            let named = |(at, mut call): (usize, Value)| {
                call["id"] = json!(format!("call_{at}"));
                call
            };
            if !calls.is_empty() {
                message["tool_calls"] = calls.into_iter().enumerate().map(named).collect();
            }
            message
        },
    )
}

const ENDS: [(&str, &str, Option<&str>); 4] = [
    ("stop", "completed", None),
    ("tool_calls", "completed", None),
    ("length", "incomplete", Some("max_output_tokens")),
    ("content_filter", "incomplete", Some("content_filter")),
];

proptest! {
    /// A stream tells what the whole answer does, by the grammar of its events.
    #[test]
    fn streams_tell_what_whole_answers_do(message in messages(), end in 0usize..4, piece in 1usize..6, cut in 1usize..4) {
        let (finish, status, reason) = ENDS[end];
        let usage = json!({"prompt_tokens": 9, "completion_tokens": 5, "total_tokens": 14,
            "prompt_tokens_details": {"cached_tokens": 4}, "completion_tokens_details": {"reasoning_tokens": 2}});
        let (mut teller, mut events) = (teller(), Vec::new());
        let stream = chunks(&message, finish, &usage, piece);
        let all: Vec<&str> = stream.split_inclusive("\n\n").collect();
        for some in all.chunks(cut) {
            events.extend(teller.push(some.concat().as_bytes()));
        }
        let (output, last) = assembled(std::str::from_utf8(&events).unwrap());
        prop_assert_eq!(&output, &last["output"]);
        let whole = whole(&message, finish, &usage);
        // A call of an answer that was cut off is not said to be whole in a stream.
        let plain = |value: &Value| serde_json::from_str::<Value>(&value.to_string().replace("\"status\":\"incomplete\"", "\"status\":\"completed\"")).unwrap();
        prop_assert_eq!(plain(&last), plain(&whole));
        prop_assert_eq!(&last["status"], status);
        prop_assert_eq!(last["incomplete_details"]["reason"].as_str(), reason);
        prop_assert_eq!(&last["usage"], &json!({"input_tokens": 9, "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 0},
            "output_tokens": 5, "output_tokens_details": {"reasoning_tokens": 2}, "total_tokens": 14}));
    }

    /// What was answered means the same as a part of the next question.
    #[test]
    fn items_sent_back_are_the_message_that_they_were(message in messages()) {
        let mut input = whole(&message, "stop", &json!({}))["output"].clone();
        if input == json!([]) {
            return Ok(());
        }
        input.as_array_mut().unwrap().push(json!({"role": "user", "content": "Go on."}));
        let chat = canonical(&json!({"input": input}));
        let back = &chat["messages"][0];
        if back["role"] == "user" {
            // Only reasoning that nobody needs back.
            prop_assert_eq!((&message["content"], &message["refusal"]), (&json!(""), &Value::Null));
            return Ok(());
        }
        prop_assert_eq!(&back["tool_calls"], &message["tool_calls"]);
        prop_assert_eq!(&back["thinking_blocks"], &message["thinking_blocks"]);
        let text = |kind: &str| match &back["content"] {
            Value::Array(parts) => parts.iter().filter_map(|part| part[kind].as_str()).collect::<String>(),
            Value::String(text) if kind == "text" => text.clone(),
            _ => String::new(),
        };
        prop_assert_eq!(text("text"), message["content"].as_str().unwrap());
        prop_assert_eq!(text("refusal"), message["refusal"].as_str().unwrap_or_default());
    }

    /// Anything is survived, and what comes out is JSON.
    #[test]
    fn any_request_is_refused_or_heard(text in "[\\[\\]{}:,\"a-f0-9 ]{0,40}", place in 0usize..6) {
        let Some(value) = Raw::parse(&text) else { return Ok(()) };
        let member = ["input", "tools", "tool_choice", "text", "include", "reasoning"][place];
        let body = format!("{{\"input\":[{{\"role\":\"user\",\"content\":[{}]}}],\"x\":0,\"{member}\":{}}}", value.as_str(), value.as_str());
        let body = if place == 0 { format!("{{\"input\":[{}]}}", value.as_str()) } else { body };
        if let Ok(heard) = caller::hear(CallerDialect::Responses, Raw::parse(&body).unwrap()) {
            prop_assert!(Raw::object(heard.canonical.as_bytes()).is_some(), "{}", heard.canonical);
        }
    }
}

/// Anthropic's streams, cut at every byte, are one response.
#[test]
fn a_cut_at_any_byte_changes_nothing() {
    let events = [
        json!({"type": "message_start", "message": {"id": "msg_1", "type": "message", "role": "assistant", "model": "up", "content": [], "usage": {"input_tokens": 3, "output_tokens": 1}}}),
        json!({"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": "", "signature": ""}}),
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "Hm \u{e9}"}}),
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "S="}}),
        json!({"type": "content_block_stop", "index": 0}),
        json!({"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": ""}}),
        json!({"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "I \"look\".\n"}}),
        json!({"type": "content_block_stop", "index": 1}),
        json!({"type": "content_block_start", "index": 2, "content_block": {"type": "tool_use", "id": "c1", "name": "weather", "input": {}}}),
        json!({"type": "content_block_delta", "index": 2, "delta": {"type": "input_json_delta", "partial_json": "{\"city\":"}}),
        json!({"type": "content_block_delta", "index": 2, "delta": {"type": "input_json_delta", "partial_json": "\"Faro\"}"}}),
        json!({"type": "content_block_stop", "index": 2}),
        json!({"type": "message_delta", "delta": {"stop_reason": "tool_use", "stop_sequence": null}, "usage": {"output_tokens": 9}}),
        json!({"type": "message_stop"}),
    ];
    let mut stream = String::new();
    for event in &events {
        write!(stream, "event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap()).unwrap();
    }
    let told = |pieces: &[&[u8]]| {
        let mut decoder = Decoder::new(translate::provider(Dialect::Anthropic), Task::Chat, form());
        let (mut teller, mut out) = (teller(), Vec::new());
        for piece in pieces {
            out.extend(teller.push(&decoder.push(piece)));
        }
        String::from_utf8(out).unwrap()
    };
    let whole = told(&[stream.as_bytes()]);
    let (output, last) = assembled(&whole);
    let kinds: Vec<&str> =
        output.as_array().unwrap().iter().map(|item| item["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["reasoning", "message", "function_call"]);
    assert_eq!(last["usage"]["total_tokens"], 12);
    let chat = canonical(&json!({"input": output}));
    let block = json!({"type": "thinking", "thinking": "Hm \u{e9}", "signature": "S="});
    assert_eq!(chat["messages"][0]["thinking_blocks"], json!([block]), "a tool's loop has its signature");
    for at in 0..=stream.len() {
        let (head, tail) = stream.as_bytes().split_at(at);
        assert_eq!(told(&[head, tail]), whole, "cut at {at}");
        let cut = told(&[head]);
        assert!(at == stream.len() || !cut.contains("response.completed") || cut == whole, "{at}: {cut}");
    }
}

#[test]
fn log_probabilities_are_told_where_they_were_asked_for() {
    let one = |token: &str| json!({"token": token, "logprob": -0.5, "bytes": [104], "top_logprobs": []});
    let chunk = |text: &str| json!({"choices": [{"index": 0, "delta": {"content": text}, "logprobs": {"content": [one(text)]}, "finish_reason": null}]});
    let mut teller = teller();
    let stream = format!("data: {}\n\ndata: {}\n\ndata: [DONE]\n\n", chunk("h"), chunk("i"));
    let events = teller.push(stream.as_bytes());
    let (output, _) = assembled(std::str::from_utf8(&events).unwrap());
    assert_eq!(output[0]["content"][0]["logprobs"], json!([one("h"), one("i")]));
}
