//! What callers of other dialects are told beside the texts of an answer, and where what stands against their requests is
//! said to stand.

use crate::responses::{assembled, teller};
use serde_json::{Value, json};
use std::fmt::Write as _;
use weir_core::translate::caller::{self, CallerDialect};
use weir_core::wire::WireError;
use weir_core::wire::raw::Raw;

#[test]
fn what_a_text_refers_to_is_told_whole_and_streamed() {
    let cited = json!({"type": "url_citation", "url_citation": {"start_index": 0, "end_index": 2, "title": "W", "url": "https://w.example"}});
    let flat = json!({"type": "url_citation", "start_index": 0, "end_index": 2, "title": "W", "url": "https://w.example"});
    let whole = json!({"choices": [{"message": {"role": "assistant", "content": "hi", "annotations": [cited]}, "finish_reason": "stop"}]});
    let told: Value =
        serde_json::from_str(&teller().answer(Raw::parse(&whole.to_string()).unwrap())).unwrap();
    assert_eq!(told["output"][0]["content"][0]["annotations"], json!([flat]));
    let chunk = |delta: Value| format!("data: {}\n\n", json!({"choices": [{"index": 0, "delta": delta}]}));
    let stream = [
        chunk(json!({"content": "hi"})),
        chunk(json!({"annotations": [cited, cited]})),
        "data: [DONE]\n\n".into(),
    ];
    let events = String::from_utf8(teller().push(stream.concat().as_bytes())).unwrap();
    assert_eq!(events.matches("event: response.output_text.annotation.added").count(), 2, "{events}");
    let (output, _) = assembled(&events);
    assert_eq!(output[0]["content"][0]["annotations"], json!([flat, flat]));
}

#[test]
fn findings_and_uncounted_usage_are_told_whole_and_streamed_alike() {
    let found = json!({"violence": {"filtered": true, "severity": "high"}});
    let prompt = json!([{"prompt_index": 0, "content_filter_results": {"hate": {"filtered": false}}}]);
    let whole = json!({"prompt_filter_results": prompt, "choices": [
        {"message": {"role": "assistant", "content": "sixteen letters."}, "finish_reason": "content_filter", "content_filter_results": found}]});
    let told: Value =
        serde_json::from_str(&teller().answer(Raw::parse(&whole.to_string()).unwrap())).unwrap();
    let events = [
        json!({"id": "", "model": "", "choices": [], "prompt_filter_results": prompt}),
        json!({"choices": [{"index": 0, "delta": {"content": "sixteen "}, "content_filter_results": {}}]}),
        json!({"choices": [{"index": 0, "delta": {"content": "letters."}}]}),
        json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "content_filter", "content_filter_results": found}]}),
    ];
    let mut stream = String::new();
    for event in &events {
        write!(stream, "data: {event}\n\n").unwrap();
    }
    stream.push_str("data: [DONE]\n\n");
    let (_, last) = assembled(std::str::from_utf8(&teller().push(stream.as_bytes())).unwrap());
    for response in [told, last] {
        assert_eq!(response["incomplete_details"]["reason"], "content_filter");
        let blocked: Vec<&Value> =
            response["content_filters"].as_array().unwrap().iter().map(|one| &one["blocked"]).collect();
        assert_eq!(blocked, [false, true]);
        assert_eq!(response["content_filters"][1]["content_filter_results"], found);
        assert_eq!(response["usage"]["output_tokens"], 4, "nobody counted: a quarter of the characters");
    }
}

#[test]
fn what_stands_against_the_chat_is_said_of_the_request() {
    let places = |caller: CallerDialect, body: Value, rows: &[(&str, &str)]| {
        let heard = caller::hear(caller, Raw::parse(&body.to_string()).unwrap()).unwrap();
        for (chat, own) in rows {
            let error = WireError::NotSupported { member: (*chat).into(), expected: "x".into(), got: None };
            let WireError::NotSupported { member, .. } = heard.placed(error) else { unreachable!() };
            assert_eq!(member, *own, "{chat} of {}", heard.canonical);
        }
    };
    let parts = json!([{"type": "input_text", "text": "x"}, {"type": "input_text", "text": "y"}]);
    places(
        CallerDialect::Responses,
        json!({"instructions": "I", "input": [{"role": "user", "content": parts}, {"type": "reasoning", "summary": []},
            {"role": "assistant", "content": "a"}, {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c", "output": "o"}, {"role": "user", "content": "z"}]}),
        &[
            ("messages.0", "instructions"),
            ("messages.1.content.1", "input.0.content.1"),
            ("messages.2.content.0", "input.2"),
            ("messages.3.content", "input.4"),
            ("messages.4", "input.5"),
            ("messages.9", "messages.9"),
            ("max_tokens", "max_output_tokens"),
            ("tools.0", "tools.0"),
        ],
    );
    places(CallerDialect::Responses, json!({"input": "x"}), &[("messages.0.content", "input")]);
    let result = json!({"type": "tool_result", "tool_use_id": "c", "content": "o"});
    let text = json!({"type": "text", "text": "x"});
    places(
        CallerDialect::Messages,
        json!({"system": "S", "max_tokens": 1, "messages": [{"role": "user", "content": [text, text]}, {"role": "user", "content": [result, text]}]}),
        &[
            ("messages.0", "system"),
            ("messages.1.content.1", "messages.0.content.1"),
            ("messages.2", "messages.1"),
            ("messages.3.content.0", "messages.1"),
            ("stop", "stop_sequences"),
        ],
    );
}
