//! Envelopes of good and bad bodies; edits.

use super::super::bounds::DEPTH_MAX;
use super::*;
use alloc::format;
use alloc::string::String;
use proptest::prelude::*;
use serde_json::{Map, Value};

fn chat(body: &str) -> Result<Envelope<'_>, WireError> {
    Envelope::parse(body.as_bytes(), Some(Task::Chat))
}

#[test]
fn members_are_read_and_borrowed() {
    let body = r#" { "model" : "gpt-4o", "stream":true, "max_tokens": 7, "n":2, "stream_options":{"include_usage":true},
        "messages":[{"role":"user","content":"hello"}], "x":{"y":[1,2]} } "#;
    let envelope = chat(body).unwrap();
    assert_eq!(envelope.model.unwrap().text().as_deref(), Some("gpt-4o"));
    assert!(envelope.stream && envelope.include_usage);
    assert_eq!((envelope.max_tokens, envelope.n, envelope.best_of), (Some(7), 2, 1));
    assert_eq!(envelope.messages.unwrap().raw, r#"[{"role":"user","content":"hello"}]"#);
    assert_eq!(envelope.prompt_chars(), 9);
    let model = envelope.model.unwrap();
    assert_eq!(&body[model.start as usize..model.end as usize], r#""gpt-4o""#);
}

#[test]
fn null_is_absent_and_max_completion_tokens_wins() {
    let body = r#"{"messages":[1],"model":null,"stream":null,"n":null,"max_tokens":5,"max_completion_tokens":9,
        "stream_options":null}"#;
    let envelope = chat(body).unwrap();
    assert!(envelope.model.is_none() && !envelope.stream);
    assert_eq!((envelope.max_tokens, envelope.n), (Some(9), 1));
    let envelope = chat(r#"{"messages":[1],"max_completion_tokens":null,"max_tokens":5}"#).unwrap();
    assert_eq!(envelope.max_tokens, Some(5));
}

#[test]
fn prompts_are_weighed_without_inline_images() {
    let rows = [
        (Task::Embeddings, r#"{"input":"abcd"}"#, 4),
        (Task::Embeddings, r#"{"input":["ab","cd"]}"#, 4),
        (Task::Embeddings, r#"{"input":[1,2,3]}"#, 12),
        (Task::Completions, r#"{"prompt":"abc"}"#, 3),
        (Task::Chat, r#"{"messages":[{"url":"data:image/png;base64,AAAAAAAAAAAAAAAA"}]}"#, 0),
        (Task::Chat, r#"{"messages":[{"content":"ab"}],"tools":[{"name":"cd"}],"user":"x"}"#, 4),
    ];
    for (task, body, chars) in rows {
        assert_eq!(Envelope::parse(body.as_bytes(), Some(task)).unwrap().prompt_chars(), chars, "{body}");
    }
}

#[test]
fn bad_bodies_are_refused_with_the_reason() {
    let deep = format!(r#"{{"messages":[1],"x":{}1{}}}"#, "[".repeat(200), "]".repeat(200));
    let many: Vec<String> = (0..300).map(|i| format!(r#""m{i}":1,"#)).collect();
    let many = many.concat();
    let many = format!(r#"{{{many}"messages":[1]}}"#);
    let named = format!(r#"{{"{}":1,"messages":[1]}}"#, "k".repeat(300));
    let rows: [(&str, &str); 37] = [
        ("", "not_json"),
        ("   ", "not_json"),
        ("[]", "not_an_object"),
        ("\"text\"", "not_an_object"),
        ("null", "not_an_object"),
        ("hello", "not_json"),
        ("{", "not_json"),
        (r#"{"messages":[1]"#, "not_json"),
        (r#"{"messages":[1],}"#, "not_json"),
        (r#"{"messages":[1]} x"#, "not_json"),
        (r#"{"messages":[1}"#, "not_json"),
        (r#"{"messages":[1],"x":01}"#, "not_json"),
        (r#"{"messages":[1],"x":"\q"}"#, "not_json"),
        (r#"{"messages":[1],"\ud800":1}"#, "not_json"),
        ("\u{feff}{}", "not_json"),
        ("{'messages':[1]}", "not_json"),
        (&deep, "too_deep"),
        (&many, "too_many_members"),
        (&named, "member_name_too_long"),
        (r#"{"model":"a","messages":[1],"model":"b"}"#, "duplicate_member"),
        (r#"{"model":"a","messages":[1],"\u006dodel":"b"}"#, "duplicate_member"),
        (r#"{"x":1,"messages":[1],"x":1}"#, "duplicate_member"),
        (
            r#"{"messages":[1],"stream_options":{"include_usage":true,"include_usage":false}}"#,
            "duplicate_member",
        ),
        ("{}", "missing_member"),
        (r#"{"messages":null}"#, "missing_member"),
        (r#"{"messages":[ ]}"#, "wrong_type"),
        (r#"{"messages":"hello"}"#, "wrong_type"),
        (r#"{"messages":[1],"model":5}"#, "wrong_type"),
        (r#"{"messages":[1],"stream":"yes"}"#, "wrong_type"),
        (r#"{"messages":[1],"stream_options":[]}"#, "wrong_type"),
        (r#"{"messages":[1],"max_tokens":"7"}"#, "wrong_type"),
        (r#"{"messages":[1],"max_tokens":1.5}"#, "wrong_type"),
        (r#"{"messages":[1],"max_tokens":1e400}"#, "wrong_type"),
        (r#"{"messages":[1],"max_tokens":-1}"#, "out_of_range"),
        (r#"{"messages":[1],"max_tokens":99999999999999999999999999}"#, "out_of_range"),
        (r#"{"messages":[1],"n":0}"#, "out_of_range"),
        (r#"{"messages":[1],"n":129}"#, "out_of_range"),
    ];
    for (body, label) in rows {
        assert_eq!(chat(body).err().map(|error| error.label()), Some(label), "{body:.80}");
    }
    assert_eq!(
        Envelope::parse(b"{\"messages\":[\"\xff\"]}", None).err(),
        Some(WireError::NotUtf8 { at: 14 })
    );
    let large = alloc::vec![b' '; BODY_BYTES_MAX as usize + 1];
    assert_eq!(Envelope::parse(&large, None).err(), Some(WireError::BodyTooLarge { max: BODY_BYTES_MAX }));
    assert_eq!(chat(&deep).err(), Some(WireError::TooDeep { max: DEPTH_MAX }));
}

#[test]
fn the_task_of_an_invocation_is_told_by_its_members() {
    let rows = [
        (r#"{"messages":[1]}"#, Some(Task::Chat)),
        (r#"{"input":"x"}"#, Some(Task::Embeddings)),
        (r#"{"prompt":"x"}"#, Some(Task::Completions)),
        (r#"{"dataframe_records":[]}"#, None),
    ];
    for (body, task) in rows {
        let found = Envelope::parse(body.as_bytes(), None);
        assert_eq!(found.ok().and_then(|envelope| envelope.task()), task, "{body}");
    }
}

#[test]
fn extras_stand_where_extra_params_stood() {
    let ask = Rewrite { extras: Some("\"top_p\":0.5,\"x\":1"), ..Rewrite::default() };
    let rows = [
        (r#"{"extra_params":{"x":"1"},"messages":[1]}"#, r#"{"top_p":0.5,"x":1,"messages":[1]}"#),
        (r#"{"messages":[1], "extra_params" : {}}"#, r#"{"messages":[1], "top_p":0.5,"x":1}"#),
        (r#"{"messages":[1]}"#, r#"{"messages":[1]}"#),
    ];
    for (body, expected) in rows {
        let after = Edit::apply(body.as_bytes(), &chat(body).unwrap().edits(&ask));
        assert_eq!(core::str::from_utf8(&after).unwrap(), expected);
    }
}

#[test]
fn the_maximum_gets_the_name_that_reasoning_models_know() {
    let none = Rewrite::default();
    let rows: [(&str, Rewrite<'_>, &str); 4] = [
        (
            r#"{"max_tokens":5,"messages":[1]}"#,
            Rewrite { completion_tokens: true, model: Some("o1"), ..none },
            r#"{"model":"o1","max_completion_tokens":5,"messages":[1]}"#,
        ),
        (
            r#"{"messages":[1],"max_tokens":null}"#,
            Rewrite { completion_tokens: true, max_tokens: Some(16), ..none },
            r#"{"messages":[1],"max_completion_tokens":16}"#,
        ),
        (
            r#"{"messages":[1]}"#,
            Rewrite { completion_tokens: true, max_tokens: Some(16), ..none },
            r#"{"max_completion_tokens":16,"messages":[1]}"#,
        ),
        (
            r#"{"max_tokens":5,"max_completion_tokens":6,"messages":[1]}"#,
            Rewrite { completion_tokens: true, ..none },
            r#"{"max_tokens":5,"max_completion_tokens":6,"messages":[1]}"#,
        ),
    ];
    for (body, ask, wanted) in rows {
        let edited = Edit::apply(body.as_bytes(), &chat(body).unwrap().edits(&ask));
        assert_eq!(String::from_utf8(edited).unwrap(), wanted, "{body}");
    }
}

#[test]
fn edits_replace_put_in_and_take_out() {
    let none = Rewrite::default();
    let rows: [(&str, Rewrite<'_>, &str); 14] = [
        (r#"{"messages":[1]}"#, none, r#"{"messages":[1]}"#),
        (
            r#"{ "model" : "a" , "messages":[1]}"#,
            Rewrite { model: Some("b\"c"), ..none },
            r#"{ "model" : "b\"c" , "messages":[1]}"#,
        ),
        (r#"{"messages":[1]}"#, Rewrite { model: Some("b"), ..none }, r#"{"model":"b","messages":[1]}"#),
        (
            r#"{"model":null,"messages":[1]}"#,
            Rewrite { model: Some("b"), ..none },
            r#"{"model":"b","messages":[1]}"#,
        ),
        (
            r#"{"\u006dodel":"a","messages":[1]}"#,
            Rewrite { model: Some("b"), ..none },
            r#"{"\u006dodel":"b","messages":[1]}"#,
        ),
        (
            r#"{"messages":[1]}"#,
            Rewrite { include_usage: true, ..none },
            r#"{"stream_options":{"include_usage":true},"messages":[1]}"#,
        ),
        (
            r#"{"messages":[1],"stream_options":null}"#,
            Rewrite { include_usage: true, ..none },
            r#"{"messages":[1],"stream_options":{"include_usage":true}}"#,
        ),
        (
            r#"{"messages":[1],"stream_options":{ }}"#,
            Rewrite { include_usage: true, ..none },
            r#"{"messages":[1],"stream_options":{"include_usage":true }}"#,
        ),
        (
            r#"{"messages":[1],"stream_options":{"a":{"include_usage":false}}}"#,
            Rewrite { include_usage: true, ..none },
            r#"{"messages":[1],"stream_options":{"include_usage":true,"a":{"include_usage":false}}}"#,
        ),
        (
            r#"{"messages":[1],"stream_options":{"a":1,"include_usage": false}}"#,
            Rewrite { include_usage: true, ..none },
            r#"{"messages":[1],"stream_options":{"a":1,"include_usage": true}}"#,
        ),
        (
            r#"{"messages":[1],"stream_options":{"include_usage":true}}"#,
            Rewrite { include_usage: true, ..none },
            r#"{"messages":[1],"stream_options":{"include_usage":true}}"#,
        ),
        (
            r#"{"a":1, "b":2 ,"messages":[1], "c":3 }"#,
            Rewrite { drop: &["a", "b", "c"], ..none },
            r#"{"messages":[1] }"#,
        ),
        (
            r#"{"messages":[1],"b":2,"c":3,"d":4}"#,
            Rewrite { drop: &["b", "c"], model: Some("m"), ..none },
            r#"{"model":"m","messages":[1],"d":4}"#,
        ),
        (
            r#"{"messages":[1]}"#,
            Rewrite { drop: &["messages"], model: Some("m"), ..none },
            r#"{"model":"m"}"#,
        ),
    ];
    for (body, ask, expected) in rows {
        let edits = chat(body).unwrap().edits(&ask);
        let after = Edit::apply(body.as_bytes(), &edits);
        assert_eq!(String::from_utf8(after).unwrap(), expected, "{body}");
    }
}

#[test]
fn a_body_that_is_already_as_asked_has_no_edits() {
    let body = r#"{"model":"m","stream_options":{"include_usage":true},"messages":[1]}"#;
    let ask =
        Rewrite { model: Some("m"), include_usage: true, drop: &["client_request_id"], ..Rewrite::default() };
    assert_eq!(chat(body).unwrap().edits(&ask), []);
}

/// Any JSON object of bounded size, with the members that edits touch often among them.
fn object() -> impl Strategy<Value = Map<String, Value>> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[a-z\"\\\\\n\u{1}é ]{0,12}".prop_map(Value::from),
    ];
    let value = leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec(("[a-z\"é]{0,4}", inner), 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    });
    let name = prop_oneof![
        Just(String::from("client_request_id")),
        Just(String::from("usage_context")),
        "[a-z\"\\\\é]{1,6}",
    ];
    prop::collection::vec((name, value), 0..8).prop_map(|members| members.into_iter().collect())
}

fn legal(mut body: Map<String, Value>, model: Option<String>, options: Option<bool>) -> Map<String, Value> {
    body.remove("n");
    body.insert("messages".into(), serde_json::json!([{"role":"user","content":"x"}]));
    if let Some(model) = model {
        body.insert("model".into(), model.into());
    }
    if let Some(include) = options {
        body.insert("stream_options".into(), serde_json::json!({"include_usage": include, "other": 1}));
    }
    body
}

#[test]
fn a_maximum_is_put_in_where_the_caller_set_none() {
    let rows = [
        (r#"{"prompt":"a"}"#, r#"{"max_tokens":16,"prompt":"a"}"#),
        (r#"{"prompt":"a","max_tokens":null}"#, r#"{"prompt":"a","max_tokens":16}"#),
        (r#"{"prompt":"a","max_tokens":3}"#, r#"{"prompt":"a","max_tokens":3}"#),
        (r#"{"prompt":"a","max_completion_tokens":3}"#, r#"{"prompt":"a","max_completion_tokens":3}"#),
    ];
    for (body, expected) in rows {
        let envelope = Envelope::parse(body.as_bytes(), Some(Task::Completions)).unwrap();
        let edits = envelope.edits(&Rewrite { max_tokens: Some(16), ..Rewrite::default() });
        assert_eq!(core::str::from_utf8(&Edit::apply(body.as_bytes(), &edits)).unwrap(), expected);
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Envelope::parse(&body, Some(Task::Chat));
    }

    #[test]
    fn near_json_never_panics(body in "[{}\\[\\]:,\"\\\\a0-9eE.+\\- ntf]{0,60}") {
        if let Ok(envelope) = Envelope::parse(body.as_bytes(), None) {
            let _ = envelope.edits(&Rewrite { model: Some("m"), include_usage: true, drop: &["a"], ..Rewrite::default() });
        }
    }

    /// After edits the body is the same object but for what was asked, however it was spaced.
    #[test]
    fn edits_change_what_was_asked_and_nothing_else(
        body in object(),
        model in proptest::option::of("[a-z\"é]{0,6}"),
        options in proptest::option::of(any::<bool>()),
        ask_model in proptest::option::of("[a-z\"\\\\]{0,6}"),
        include_usage in any::<bool>(),
        pretty in any::<bool>(),
    ) {
        let body = legal(body, model, options);
        let text = if pretty { serde_json::to_string_pretty(&body) } else { serde_json::to_string(&body) }.unwrap();
        let ask = Rewrite {
            model: ask_model.as_deref(),
            include_usage,
            drop: &["client_request_id", "usage_context"],
            max_tokens: None,
            extras: None,
            completion_tokens: false,
        };
        let envelope = chat(&text).unwrap();
        let edits = envelope.edits(&ask);
        let ordered = edits.windows(2).all(|pair| pair[0].end <= pair[1].start);
        prop_assert!(ordered, "{:?}", edits);
        let after = Edit::apply(text.as_bytes(), &edits);

        let mut expected = body;
        expected.remove("client_request_id");
        expected.remove("usage_context");
        if let Some(model) = ask_model {
            expected.insert("model".into(), model.into());
        }
        if include_usage {
            let options = expected.entry("stream_options").or_insert_with(|| Value::Object(Map::new()));
            options["include_usage"] = true.into();
        }
        let got: Value = serde_json::from_slice(&after).unwrap();
        prop_assert_eq!(got, Value::Object(expected));
    }
}
