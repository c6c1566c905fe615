//! What a model says arrives the same whether it is answered whole or streamed, whatever the provider's dialect.
//!
//! A saying (text, reasoning, calls, why it ended, counts) is written as each provider would write it, both ways; both
//! translations must give it back: nothing lost, nothing twice, nothing added. Where a dialect cannot say a part of it,
//! that part is left out on the way in.

use crate::translate::{bytes_of, form};
use proptest::prelude::*;
use serde_json::{Value, json};
use weir_core::snapshot::{Dialect, Task};
use weir_core::translate::{self, Decoder};

/// What a model says.
#[derive(Clone, Debug, PartialEq)]
struct Said {
    text: String,
    reasoning: String,
    calls: Vec<(String, Value)>,
    length: bool,
    counts: (u64, u64),
}

impl Said {
    fn finish(&self, length: &'static str, calls: &'static str, stop: &'static str) -> &'static str {
        match (self.length, self.calls.is_empty()) {
            (true, _) => length,
            (false, false) => calls,
            (false, true) => stop,
        }
    }

    fn openai_calls(&self) -> Vec<Value> {
        let calls = self.calls.iter().enumerate();
        calls
            .map(|(at, (name, input))| json!({"index": at, "id": format!("c{at}"), "type": "function", "function": {"name": name, "arguments": input.to_string()}}))
            .collect()
    }
}

fn said() -> impl Strategy<Value = Said> {
    let input = prop_oneof![
        Just(json!({})),
        ("[a-zé\"\\\\]{0,6}", any::<i32>())
            .prop_map(|(text, number)| json!({"a": text, "b": [number, null, {"c": true}]})),
    ];
    let text = prop_oneof![Just(String::new()), "[^\u{0}]{1,30}", "[ \n\ta-c\u{1F600}é\"\\\\]{1,20}"];
    let calls = prop::collection::vec(("[a-z_]{1,8}", input), 0..3);
    (text, "[a-zé\n\"]{0,12}", calls, any::<bool>(), (0u64..1_000, 0u64..1_000))
        .prop_map(|(text, reasoning, calls, length, counts)| Said { text, reasoning, calls, length, counts })
}

/// `text` in pieces, none of them empty.
fn pieces(text: &str, every: usize) -> Vec<String> {
    let chars: Vec<char> = text.chars().collect();
    chars.chunks(every.max(1)).map(|piece| piece.iter().collect()).collect()
}

/// What a dialect makes of it: the saying as far as it can say it, the whole answer, the events of the stream, and
/// whether `[DONE]` follows.
type Written = (Said, Value, Vec<Value>, bool);
/// How a dialect writes a saying whose stream has pieces of so many characters.
type Write = fn(&Said, usize) -> Written;

fn bedrock(said: &Said, every: usize) -> Written {
    let said = said.clone();
    let (mut blocks, mut events) =
        (Vec::new(), vec![json!({"frame": "messageStart", "payload": {"role": "assistant"}})]);
    let delta = |at: usize, delta: Value| json!({"frame": "contentBlockDelta", "payload": {"contentBlockIndex": at, "delta": delta}});
    let stop = |at: usize| json!({"frame": "contentBlockStop", "payload": {"contentBlockIndex": at}});
    if !said.reasoning.is_empty() {
        blocks
            .push(json!({"reasoningContent": {"reasoningText": {"text": said.reasoning, "signature": "S"}}}));
        events.extend(
            pieces(&said.reasoning, every)
                .into_iter()
                .map(|piece| delta(0, json!({"reasoningContent": {"text": piece}}))),
        );
        events.extend([delta(0, json!({"reasoningContent": {"signature": "S"}})), stop(0)]);
    }
    if !said.text.is_empty() {
        let at = blocks.len();
        blocks.push(json!({"text": said.text}));
        events.extend(pieces(&said.text, every).into_iter().map(|piece| delta(at, json!({"text": piece}))));
        events.push(stop(at));
    }
    for (number, (name, input)) in said.calls.iter().enumerate() {
        let (at, id) = (blocks.len(), format!("c{number}"));
        blocks.push(json!({"toolUse": {"toolUseId": id, "name": name, "input": input}}));
        let start = json!({"toolUse": {"toolUseId": id, "name": name}});
        events.push(
            json!({"frame": "contentBlockStart", "payload": {"contentBlockIndex": at, "start": start}}),
        );
        let text = if *input == json!({}) { String::new() } else { input.to_string() };
        events.extend(
            pieces(&text, every).into_iter().map(|piece| delta(at, json!({"toolUse": {"input": piece}}))),
        );
        events.push(stop(at));
    }
    let reason = said.finish("max_tokens", "tool_use", "end_turn");
    let usage = json!({"inputTokens": said.counts.0, "outputTokens": said.counts.1, "totalTokens": said.counts.0 + said.counts.1});
    events.push(json!({"frame": "messageStop", "payload": {"stopReason": reason}}));
    events.push(json!({"frame": "metadata", "payload": {"usage": usage}}));
    let whole = json!({"output": {"message": {"role": "assistant", "content": blocks}}, "stopReason": reason, "usage": usage});
    (said, whole, events, false)
}

fn mistral(said: &Said, every: usize) -> Written {
    let said = said.clone();
    let thought = |text: &str| json!({"type": "thinking", "thinking": [{"type": "text", "text": text}]});
    let content = if said.reasoning.is_empty() {
        json!(said.text)
    } else {
        json!([thought(&said.reasoning), {"type": "text", "text": said.text}])
    };
    let reason = said.finish("model_length", "tool_calls", "stop");
    let usage =
        json!({"prompt_tokens": said.counts.0, "completion_tokens": said.counts.1, "total_tokens": 0});
    let message = json!({"role": "assistant", "content": content, "tool_calls": said.openai_calls()});
    let whole = json!({"id": "m", "model": "m", "choices": [{"index": 0, "message": message, "finish_reason": reason}], "usage": usage});
    let chunk = |delta: Value, reason: Value| json!({"id": "m", "model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]});
    let mut events = vec![chunk(json!({"role": "assistant", "content": ""}), Value::Null)];
    events.extend(
        pieces(&said.reasoning, every)
            .iter()
            .map(|piece| chunk(json!({"content": [thought(piece)]}), Value::Null)),
    );
    events
        .extend(pieces(&said.text, every).iter().map(|piece| chunk(json!({"content": piece}), Value::Null)));
    events.extend(
        said.openai_calls().into_iter().map(|call| chunk(json!({"tool_calls": [call]}), Value::Null)),
    );
    let mut last = chunk(json!({"content": ""}), json!(reason));
    last["usage"] = usage;
    events.push(last);
    (said, whole, events, true)
}

/// A careless server: nothing but what must be there, calls in pieces and without an index.
fn careless(said: &Said, every: usize) -> Written {
    let said = said.clone();
    let reason = said.finish("length", "tool_calls", "eos");
    let usage = json!({"prompt_tokens": said.counts.0, "completion_tokens": said.counts.1});
    let bare = |(at, (name, input)): (usize, &(String, Value))| json!({"id": format!("c{at}"), "function": {"name": name, "arguments": input}});
    let calls: Vec<Value> = said.calls.iter().enumerate().map(bare).collect();
    let message = json!({"content": said.text, "reasoning": said.reasoning, "tool_calls": calls});
    let whole = json!({"choices": [{"message": message, "finish_reason": reason}], "usage": usage});
    let chunk = |delta: Value| json!({"choices": [{"delta": delta, "finish_reason": ""}]});
    let mut events = vec![chunk(json!({}))];
    events.extend(pieces(&said.reasoning, every).iter().map(|piece| chunk(json!({"thinking": piece}))));
    events.extend(pieces(&said.text, every).iter().map(|piece| chunk(json!({"content": piece}))));
    for (at, (name, input)) in said.calls.iter().enumerate() {
        events.push(chunk(
            json!({"tool_calls": [{"id": format!("c{at}"), "function": {"name": name, "arguments": ""}}]}),
        ));
        let text = input.to_string();
        events.extend(
            pieces(&text, every)
                .iter()
                .map(|piece| chunk(json!({"tool_calls": [{"function": {"arguments": piece}}]}))),
        );
    }
    events.push(json!({"choices": [{"delta": {}, "finish_reason": reason}]}));
    events.push(json!({"choices": [], "usage": usage}));
    (said, whole, events, false)
}

/// The native form tells no reasoning, no length, and no ids of calls.
fn native(said: &Said, every: usize) -> Written {
    let said = Said { reasoning: String::new(), length: false, ..said.clone() };
    let calls: Vec<Value> =
        said.calls.iter().map(|(name, input)| json!({"name": name, "arguments": input})).collect();
    let usage = json!({"prompt_tokens": said.counts.0, "completion_tokens": said.counts.1});
    let whole =
        json!({"result": {"response": said.text, "tool_calls": calls, "usage": usage}, "success": true});
    let mut events: Vec<Value> =
        pieces(&said.text, every).iter().map(|piece| json!({"response": piece})).collect();
    events.extend(calls.iter().map(|call| json!({"response": "", "tool_calls": [call]})));
    events.push(json!({"response": "", "usage": usage}));
    (said, whole, events, true)
}

fn anthropic(said: &Said, every: usize) -> Written {
    let said = said.clone();
    let usage = json!({"input_tokens": said.counts.0, "output_tokens": said.counts.1});
    let start = json!({"id": "m", "type": "message", "model": "m", "role": "assistant", "content": [], "usage": usage});
    let (mut blocks, mut events) = (Vec::new(), vec![json!({"type": "message_start", "message": start})]);
    let mut put = |first: Value, deltas: Vec<Value>, whole: Value| {
        let at = blocks.len();
        blocks.push(whole);
        events.push(json!({"type": "content_block_start", "index": at, "content_block": first}));
        events.extend(
            deltas
                .into_iter()
                .map(|delta| json!({"type": "content_block_delta", "index": at, "delta": delta})),
        );
        events.push(json!({"type": "content_block_stop", "index": at}));
    };
    if !said.reasoning.is_empty() {
        let mut deltas: Vec<Value> = pieces(&said.reasoning, every)
            .iter()
            .map(|piece| json!({"type": "thinking_delta", "thinking": piece}))
            .collect();
        deltas.push(json!({"type": "signature_delta", "signature": "S"}));
        put(
            json!({"type": "thinking", "thinking": ""}),
            deltas,
            json!({"type": "thinking", "thinking": said.reasoning, "signature": "S"}),
        );
    }
    if !said.text.is_empty() {
        let deltas = pieces(&said.text, every)
            .iter()
            .map(|piece| json!({"type": "text_delta", "text": piece}))
            .collect();
        put(json!({"type": "text", "text": ""}), deltas, json!({"type": "text", "text": said.text}));
    }
    for (at, (name, input)) in said.calls.iter().enumerate() {
        let deltas = pieces(&input.to_string(), every)
            .iter()
            .map(|piece| json!({"type": "input_json_delta", "partial_json": piece}))
            .collect();
        let block =
            |input: &Value| json!({"type": "tool_use", "id": format!("c{at}"), "name": name, "input": input});
        put(block(&json!({})), deltas, block(input));
    }
    let reason = said.finish("max_tokens", "tool_use", "end_turn");
    events.push(json!({"type": "message_delta", "delta": {"stop_reason": reason}, "usage": usage}));
    events.push(json!({"type": "message_stop"}));
    let whole = json!({"id": "m", "type": "message", "model": "m", "role": "assistant", "content": blocks, "stop_reason": reason, "usage": usage});
    (said, whole, events, false)
}

/// A canonical answer as a saying.
fn of_answer(answer: &Value) -> Said {
    let choice = &answer["choices"][0];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let calls = choice["message"]["tool_calls"].as_array().into_iter().flatten();
    Said {
        text: text(&choice["message"]["content"]),
        reasoning: text(&choice["message"]["reasoning_content"]),
        calls: calls
            .map(|call| call_of(&text(&call["function"]["name"]), &text(&call["function"]["arguments"])))
            .collect(),
        length: choice["finish_reason"] == "length",
        counts: counts_of(&answer["usage"]),
    }
}

fn call_of(name: &str, arguments: &str) -> (String, Value) {
    (name.to_owned(), serde_json::from_str(arguments).expect("arguments are JSON"))
}

fn counts_of(usage: &Value) -> (u64, u64) {
    (usage["prompt_tokens"].as_u64().unwrap(), usage["completion_tokens"].as_u64().unwrap())
}

/// Canonical chunks as a saying, by the rules of every stream: the role first and once, a dense index of calls that begin
/// with id and name, one reason, the counts after it.
fn of_chunks(chunks: &[Value]) -> Said {
    let mut said = Said {
        text: String::new(),
        reasoning: String::new(),
        calls: Vec::new(),
        length: false,
        counts: (0, 0),
    };
    let mut calls: Vec<(String, String)> = Vec::new();
    let (mut reasons, mut roles) = (0, 0);
    for (at, chunk) in chunks.iter().enumerate() {
        if let Some(usage) = chunk.get("usage") {
            assert_eq!(
                (at, chunk["choices"].as_array().map(Vec::len)),
                (chunks.len() - 1, Some(0)),
                "counts come last"
            );
            said.counts = counts_of(usage);
            continue;
        }
        let (delta, reason) = (&chunk["choices"][0]["delta"], &chunk["choices"][0]["finish_reason"]);
        roles += usize::from(!delta["role"].is_null());
        assert_eq!(roles, 1, "the role is told once, and first");
        said.text += delta["content"].as_str().unwrap_or_default();
        said.reasoning += delta["reasoning_content"].as_str().unwrap_or_default();
        for call in delta["tool_calls"].as_array().into_iter().flatten() {
            let index = usize::try_from(call["index"].as_u64().unwrap()).unwrap();
            if index == calls.len() {
                assert!(!call["id"].as_str().unwrap().is_empty() && call["type"] == "function");
                calls.push((call["function"]["name"].as_str().unwrap().to_owned(), String::new()));
            }
            calls[index].1 += call["function"]["arguments"].as_str().unwrap_or_default();
        }
        reasons += usize::from(!reason.is_null());
        said.length |= reason == "length";
    }
    assert_eq!(reasons, 1, "one reason");
    said.calls = calls.iter().map(|(name, arguments)| call_of(name, arguments)).collect();
    said
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn whole_and_streamed_answers_say_the_same(said in said(), every in 1usize..8) {
        let rows: [(Dialect, Write); 6] = [
            (Dialect::Anthropic, anthropic),
            (Dialect::Bedrock, bedrock),
            (Dialect::Mistral, mistral),
            (Dialect::WorkersAi, careless),
            (Dialect::Ai21, careless),
            (Dialect::WorkersAiNative, native),
        ];
        for (dialect, write) in rows {
            let (wanted, whole, events, done) = write(&said, every);
            let provider = translate::provider(dialect);
            let answer = translate::answer(provider, Task::Chat, &form(), whole.to_string().as_bytes()).expect("an answer");
            prop_assert_eq!(&of_answer(&serde_json::from_str(&answer).unwrap()), &wanted, "{:?} whole", dialect);
            let mut decoder = Decoder::new(provider, Task::Chat, form());
            let mut out = decoder.push(&bytes_of(&events, done));
            out.extend(decoder.end());
            let text = String::from_utf8(out).unwrap();
            prop_assert!(text.ends_with("data: [DONE]\n\n") && !decoder.is_broken(), "{:?} {}", dialect, text);
            let chunks: Vec<Value> = text.split("\n\n").filter_map(|event| event.strip_prefix("data: "))
                .filter(|data| *data != "[DONE]").map(|data| serde_json::from_str(data).unwrap()).collect();
            prop_assert_eq!(&of_chunks(&chunks), &wanted, "{:?} streamed", dialect);
        }
    }
}
