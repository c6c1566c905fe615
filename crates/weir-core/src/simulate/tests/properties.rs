//! What plain and streamed answers of the simulated model have in common, for any request.

use super::*;
use crate::account::observe::StreamObserver;
use proptest::prelude::*;

/// What a stream's parts join to: a plain answer's choices and usage. Checks the rules of `providers.md` 1.7.
#[track_caller]
fn joined(script: &Script) -> (Vec<Value>, Option<Value>) {
    let mut events = events(script);
    assert_eq!(events.pop().map(|event| event.data).as_deref(), Some("[DONE]"));
    let (mut choices, mut usage, mut heads) = (Vec::<Value>::new(), None, Vec::new());
    for event in &events {
        let chunk: Value = crate::json::read(&event.data).unwrap();
        heads.push((chunk["id"].clone(), chunk["created"].clone(), chunk["model"].clone()));
        if chunk["usage"].is_object() {
            usage = Some(chunk["usage"].clone());
        }
        for part in chunk["choices"].as_array().unwrap() {
            let index = usize::try_from(part["index"].as_u64().unwrap()).unwrap();
            while choices.len() <= index {
                choices.push(json!({"text": "", "calls": [], "finish_reason": null, "started": false}));
            }
            join(&mut choices[index], part);
        }
    }
    assert!(heads.windows(2).all(|pair| pair[0] == pair[1]), "one id, created and model");
    (choices, usage)
}

#[track_caller]
fn join(choice: &mut Value, part: &Value) {
    assert!(choice["finish_reason"].is_null(), "nothing follows a finish reason");
    choice["finish_reason"] = part["finish_reason"].clone();
    let push = |to: &mut Value, text: &Value| {
        *to = Value::from([to.as_str().unwrap(), text.as_str().unwrap_or_default()].concat());
    };
    if part.get("text").is_some() {
        return push(&mut choice["text"], &part["text"]);
    }
    let delta = &part["delta"];
    assert_eq!(delta.get("role").is_some(), choice["started"] == false, "the role comes first, once");
    choice["started"] = Value::Bool(true);
    push(&mut choice["text"], &delta["content"]);
    for call in delta["tool_calls"].as_array().into_iter().flatten() {
        let calls = choice["calls"].as_array_mut().unwrap();
        let index = usize::try_from(call["index"].as_u64().unwrap()).unwrap();
        if call.get("id").is_some() {
            assert_eq!(index, calls.len(), "indexes are dense");
            let (name, arguments) = (&call["function"]["name"], &call["function"]["arguments"]);
            assert!(call["id"].as_str().unwrap().starts_with("call_"));
            calls.push(json!({"type": call["type"],
                "function": {"name": name, "arguments": arguments}}));
        } else {
            push(&mut calls[index]["function"]["arguments"], &call["function"]["arguments"]);
        }
    }
}

fn request() -> impl Strategy<Value = (Value, Value)> {
    let text = "[a-c é\n\"{}東]{0,30}";
    let tool = json!([{"type": "function", "function": {"name": "f", "parameters": {"properties":
        {"a": {"type": "string"}}}}}, {"type": "function", "function": {"name": "g"}}]);
    let members = (text, 1u64..20, 1u64..4, "[a-c ]{1,2}", any::<[bool; 6]>());
    let directives = (proptest::option::of("[a-c {}é]{1,20}"), 1u64..4, any::<bool>());
    (members, directives).prop_map(move |((last, max, n, stop, flags), (reply, chunk, every))| {
        let [bounded, stopped, tools, usage, object, call] = flags;
        let mut request = json!({"messages": user(&last), "prompt": last, "n": n});
        if bounded {
            request["max_tokens"] = json!(max);
        }
        if stopped {
            request["stop"] = json!(stop);
        }
        if tools {
            request["tools"] = tool.clone();
            request["tool_choice"] = json!(if call { "required" } else { "auto" });
        }
        if object {
            request["response_format"] = json!({"type": "json_object"});
        }
        let mut directives = json!({"chunk_tokens": chunk});
        if let Some(reply) = reply {
            directives["reply"] = json!(reply);
        }
        if every {
            directives["usage"] = json!("every_event");
        }
        request["stream_options"] = json!({"include_usage": usage});
        (directives, request)
    })
}

proptest! {
    #[test]
    fn a_stream_joins_to_the_plain_answer(
        (directives, mut request) in request(),
        task in prop_oneof![Just(Task::Chat), Just(Task::Completions)],
    ) {
        request["stream"] = json!(true);
        let streamed = ask(&directives, task, &request);
        let told = request["stream_options"]["include_usage"] == true || directives.get("usage").is_some();
        request.as_object_mut().unwrap().remove("stream");
        request.as_object_mut().unwrap().remove("stream_options");
        let answer = body(&ask(&directives, task, &request));
        prop_assert_eq!(streamed.end, ScriptEnd::Complete);
        let (mut choices, usage) = joined(&streamed);
        for choice in &mut choices {
            choice.as_object_mut().unwrap().remove("started");
        }
        prop_assert_eq!(choices, plain(&answer));
        prop_assert_eq!(usage.as_ref(), told.then_some(&answer["usage"]));

        let output = answer["usage"]["completion_tokens"].as_u64().unwrap();
        let max = request["max_tokens"].as_u64().or((task == Task::Completions).then_some(16));
        prop_assert!(max.is_none_or(|max| output <= max * request["n"].as_u64().unwrap()));

        let mut observer = StreamObserver::new();
        for chunk in &streamed.chunks {
            observer.push(&chunk.bytes);
        }
        let seen = observer.finish();
        prop_assert!(seen.terminal && seen.finished && !seen.error && !seen.garbage);
        prop_assert_eq!(seen.usage.map(|usage| usage.output), told.then_some(output));
        let chars: usize = plain(&answer).iter().map(|choice| {
            let calls = choice["calls"].as_array().unwrap().iter();
            choice["text"].as_str().unwrap().chars().count()
                + calls.map(|call| call["function"]["arguments"].as_str().unwrap().chars().count()).sum::<usize>()
        }).sum();
        prop_assert_eq!(seen.output_chars, chars as u64);
    }

    #[test]
    fn any_body_gets_an_answer_and_always_the_same(body in ".{0,60}", member in "[a-z_]{1,12}", value in ".{0,9}") {
        for task in [Task::Chat, Task::Completions, Task::Embeddings] {
            let mut request = json!({"messages": user("x"), "prompt": "x", "input": "x"});
            request[&member] = crate::json::read(&value).unwrap_or(Value::String(value.clone()));
            for body in [body.clone(), request.to_string()] {
                let script = answer(&SimulatorConfig::default(), "m", task, body.as_bytes(), NOW, 1);
                prop_assert!(script.status == 200 || script.status == 400);
                prop_assert_eq!(&script, &answer(&SimulatorConfig::default(), "m", task, body.as_bytes(), NOW, 2));
            }
        }
    }
}
