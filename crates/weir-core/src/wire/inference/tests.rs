//! The schema as a table of bodies; extra members taken out as byte ranges.

use super::*;
use crate::snapshot::Task;
use crate::wire::envelope::{Edit, Rewrite};
use alloc::format;
use alloc::string::ToString;
use proptest::prelude::*;

/// Members beside a good message or input, and the member at fault.
type Row<'a> = (&'a str, Option<&'a str>);

fn fault(schema: Schema, body: &str) -> Option<String> {
    let task = if matches!(schema, Schema::Chat) { Task::Chat } else { Task::Embeddings };
    let parsed = Envelope::parse(body.as_bytes(), Some(task));
    match parsed.and_then(|envelope| schema.check(&envelope, Extra::Refuse)) {
        Ok(dropped) => {
            assert!(dropped.is_empty());
            None
        }
        Err(WireError::NotSupported { member, .. } | WireError::ExtraMembers { names: member }) => {
            Some(member)
        }
        Err(
            WireError::WrongType { member, .. }
            | WireError::OutOfRange { member, .. }
            | WireError::MissingMember { member },
        ) => Some(member.to_string()),
        Err(other) => panic!("{other:?}"),
    }
}

#[test]
#[rustfmt::skip]
fn members_of_chat() {
    let rows: [Row<'_>; 42] = [
        (r#""temperature":2,"top_p":1.0,"frequency_penalty":-2,"presence_penalty":1e0,"seed":-9223372036854775808,"max_tokens":0"#, None),
        (r#""temperature":null,"stop":null,"tools":null,"response_format":null,"seed":null"#, None),
        (r#""temperature":2.0001"#, Some("temperature")),
        (r#""temperature":-0.1"#, Some("temperature")),
        (r#""temperature":1e999"#, Some("temperature")),
        (r#""temperature":"1""#, Some("temperature")),
        (r#""top_p":1.5"#, Some("top_p")),
        (r#""frequency_penalty":-2.5"#, Some("frequency_penalty")),
        (r#""presence_penalty":3"#, Some("presence_penalty")),
        (r#""max_tokens":-1"#, Some("max_tokens")),
        (r#""max_tokens":1.5"#, Some("max_tokens")),
        (r#""stream":"yes""#, Some("stream")),
        (r#""stream":true,"stream_options":{"include_usage":true}"#, None),
        (r#""seed":9223372036854775808"#, Some("seed")),
        (r#""seed":1.5"#, Some("seed")),
        (r#""stop":"\n""#, None),
        (r#""stop":["a","b"]"#, None),
        (r#""stop":[]"#, Some("stop")),
        (r#""stop":["a",1]"#, Some("stop.1")),
        (r#""tools":[]"#, Some("tools")),
        (r#""tools":[{"type":"function","function":{"name":"f","parameters":{}}}]"#, None),
        (r#""tools":[{"type":"function","function":{"name":"f"}},{"type":"retrieval"}]"#, Some("tools.1.type")),
        (r#""tools":[{"type":"function","function":{"name":"a b"}}]"#, Some("tools.0.function.name")),
        (r#""tools":[{"type":"function"}]"#, Some("tools.0.function")),
        (r#""tool_choice":"required""#, None),
        (r#""tool_choice":"any""#, Some("tool_choice")),
        (r#""tool_choice":{"type":"function","function":{"name":"f"}}"#, None),
        (r#""tool_choice":{"function":{"name":"f"}}"#, Some("tool_choice.type")),
        (r#""response_format":{"type":"text"}"#, None),
        (r#""response_format":{"type":"json_schema","json_schema":{"name":"n","schema":{},"strict":true}}"#, None),
        (r#""response_format":{"type":"json_schema","json_schema":{"name":"n"}}"#, Some("response_format.json_schema.schema")),
        (r#""response_format":{"type":"json_schema","json_schema":{"name":"n","schema":{},"strict":1}}"#, Some("response_format.json_schema.strict")),
        (r#""response_format":"json_object""#, Some("response_format")),
        (r#""response_format":{"type":"xml"}"#, Some("response_format.type")),
        (r#""modalities":["text","audio"]"#, None),
        (r#""modalities":["video"]"#, Some("modalities.0")),
        (r#""n":2"#, Some("n")),
        (r#""user":"u","logprobs":true"#, Some("user, logprobs")),
        (r#""\u0074emperature":9"#, Some("temperature")),
        (r#""max_completion_tokens":5"#, Some("max_completion_tokens")),
        (r#""model":5"#, Some("model")),
        (r#""model":null"#, None),
    ];
    for (members, expected) in rows {
        let body = format!(r#"{{"messages":[{{"role":"user","content":"hi"}}],{members}}}"#);
        assert_eq!(fault(Schema::Chat, &body).as_deref(), expected, "{members}");
    }
}

#[test]
#[rustfmt::skip]
fn messages() {
    let rows: [Row<'_>; 29] = [
        (r#"{"role":"system","content":"s"}"#, None),
        (r#"{"content":"s","role":"developer"}"#, None),
        (r#"{"role":"system"}"#, Some("messages.0.content")),
        (r#"{"role":"system","content":null}"#, Some("messages.0.content")),
        (r#"{"role":"system","content":[{"type":"text","text":"s"}]}"#, Some("messages.0.content")),
        (r#"{"role":"user","content":"hi","name":"n"}"#, None),
        (r#"{"role":"user"}"#, Some("messages.0.content")),
        (r#"{"role":"user","content":7}"#, Some("messages.0.content")),
        (r#"{"role":"user","content":[]}"#, Some("messages.0.content")),
        (r#"{"role":"user","content":[{"type":"text","text":"a"},{"type":"image_url","image_url":{"url":"data:image/png;base64,AA","detail":"low"}}]}"#, None),
        (r#"{"role":"user","content":[{"type":"image_url","image_url":{"url":"u","detail":"huge"}}]}"#, Some("messages.0.content.0.image_url.detail")),
        (r#"{"role":"user","content":[{"type":"image_url"}]}"#, Some("messages.0.content.0.image_url")),
        (r#"{"role":"user","content":[{"type":"input_audio","input_audio":{"data":"AA","format":"wav"}}]}"#, None),
        (r#"{"role":"user","content":[{"type":"input_audio","input_audio":{"data":"AA","format":"ogg"}}]}"#, Some("messages.0.content.0.input_audio.format")),
        (r#"{"role":"user","content":[{"type":"audio_url","audio_url":{"url":"u"}}]}"#, None),
        (r#"{"role":"user","content":[{"type":"video"}]}"#, Some("messages.0.content.0.type")),
        (r#"{"role":"user","content":["a"]}"#, Some("messages.0.content.0")),
        (r#"{"role":"assistant"}"#, None),
        (r#"{"role":"assistant","content":null,"tool_calls":[{"id":"1","type":"function","function":{"name":"f","arguments":"{}"}}]}"#, None),
        (r#"{"role":"assistant","tool_calls":[{"id":"1","type":"function","function":{"name":"f","arguments":{}}}]}"#, Some("messages.0.tool_calls.0.function.arguments")),
        (r#"{"role":"tool","tool_call_id":"1","content":"x"}"#, None),
        (r#"{"role":"tool","content":"x"}"#, Some("messages.0.tool_call_id")),
        (r#"{"role":"robot","content":"x"}"#, Some("messages.0.role")),
        (r#"{"content":"x"}"#, Some("messages.0.role")),
        (r#"{"role":"user","content":"a"},{"role":1,"content":"x"}"#, Some("messages.1.role")),
        (r#""hi""#, Some("messages.0")),
        ("null", Some("messages.0")),
        ("7", Some("messages.0")),
        ("", Some("messages")),
    ];
    for (messages, expected) in rows {
        let body = format!(r#"{{"messages":[{messages}]}}"#);
        assert_eq!(fault(Schema::Chat, &body).as_deref(), expected, "{messages}");
    }
}

#[test]
#[rustfmt::skip]
fn embeddings_and_text_completions() {
    let rows: [(Schema, &str, Option<&str>); 15] = [
        (Schema::Embeddings, r#"{"input":"a"}"#, None),
        (Schema::Embeddings, r#"{"input":["a","b"],"dimensions":4,"encoding_format":"ubinary","input_type":"document","model":"m"}"#, None),
        (Schema::Embeddings, r#"{"input":[1,2]}"#, Some("input.0")),
        (Schema::Embeddings, r#"{"input":[]}"#, Some("input")),
        (Schema::Embeddings, r#"{"input":null}"#, Some("input")),
        (Schema::Embeddings, r#"{"input":"a","dimensions":0}"#, Some("dimensions")),
        (Schema::Embeddings, r#"{"input":"a","encoding_format":"hex"}"#, Some("encoding_format")),
        (Schema::Embeddings, r#"{"input":"a","input_type":"passage"}"#, Some("input_type")),
        (Schema::Embeddings, r#"{"input":"a","user":"u"}"#, Some("user")),
        (Schema::ImageEmbeddings, r#"{"input":[{"image":"data:image/png;base64,AA","text":"a"},{"image":"i"}]}"#, None),
        (Schema::ImageEmbeddings, r#"{"input":["a"]}"#, Some("input.0")),
        (Schema::ImageEmbeddings, r#"{"input":[{"text":"a"}]}"#, Some("input.0.image")),
        (Schema::Completions, r#"{"input":"x","prompt":"p"}"#, Some("input")),
        (Schema::Completions, r#"{"prompt":"p","input":null,"best_of":2,"n":1,"ignore_eos":true,"stop_token_ids":[1]}"#, Some("input")),
        (Schema::Embeddings, r#"{"input":{"a":1}}"#, Some("input")),
    ];
    for (schema, body, expected) in rows {
        assert_eq!(fault(schema, body).as_deref(), expected, "{body}");
    }
}

#[test]
fn the_header_has_three_words() {
    let rows = [
        (None, Some(Extra::Refuse)),
        (Some("error"), Some(Extra::Refuse)),
        (Some("drop"), Some(Extra::Drop)),
        (Some("Pass-Through"), Some(Extra::PassThrough)),
        (Some("ignore"), None),
        (Some("allow"), None),
        (Some("drop, error"), None),
    ];
    for (header, expected) in rows {
        assert_eq!(Extra::parse(header).ok(), expected, "{header:?}");
    }
}

proptest! {
    /// What is taken out is exactly the extra members; every other byte stays.
    #[test]
    fn dropping_leaves_the_other_bytes(picks in proptest::collection::vec(0usize..7, 0..7)) {
        const PARTS: [&str; 7] = [
            "\"messages\" : [{\"role\":\"user\",\"content\":\"a\"}]", " \"n\": 3", "\"safe_prompt\":true ",
            "\"temperature\":1.0E-1", "\"\\u0075ser\":\"u\"", "\"logit_bias\":{\"1\":[2,{}]}", "\"seed\":7",
        ];
        let mut used: Vec<usize> = Vec::new();
        for pick in picks.into_iter().chain([0]) {
            if !used.contains(&pick) {
                used.push(pick);
            }
        }
        let body = format!("{{{}}}", used.iter().map(|at| PARTS[*at]).collect::<Vec<_>>().join(","));
        let envelope = Envelope::parse(body.as_bytes(), Some(Task::Chat)).unwrap();
        let names = Schema::Chat.check(&envelope, Extra::Drop).unwrap();
        let drop: Vec<&str> = names.iter().map(String::as_str).collect();
        let edits = envelope.edits(&Rewrite { drop: &drop, ..Rewrite::default() });
        let after: serde_json::Value = serde_json::from_slice(&Edit::apply(body.as_bytes(), &edits)).unwrap();
        let mut expected: serde_json::Value = serde_json::from_str(&body).unwrap();
        for name in ["n", "safe_prompt", "user", "logit_bias"] {
            expected.as_object_mut().unwrap().remove(name);
        }
        prop_assert_eq!(after, expected);
        let passed = Schema::Chat.check(&envelope, Extra::PassThrough).unwrap();
        prop_assert!(passed.is_empty());
    }
}
