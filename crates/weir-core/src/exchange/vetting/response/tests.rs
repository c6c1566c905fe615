//! Responses under a policy, whole and streamed: what goes on, what does not, and what is told.

use crate::exchange::filtering::{Asked, Filtering, Form};
use crate::exchange::vetting::Vetted;
use crate::policy::{Lexicon, ReadyPolicy};
use crate::snapshot::content::{ContentPolicy, FilterMode, Guard};
use crate::surface::Surface;
use crate::time::UnixMillis;
use alloc::borrow::ToOwned;
use alloc::format;
use alloc::rc::Rc;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use proptest::prelude::*;
use serde_json::{Value, json};

fn filtering(surface: Surface, edit: impl FnOnce(&mut ContentPolicy)) -> Filtering {
    let mut policy = ContentPolicy::default_v2();
    edit(&mut policy);
    let (policy, lexicon) = (Rc::new(ReadyPolicy::new(policy, &[])), Rc::new(Lexicon::built_in()));
    let asked = Asked { form: Form::Response, parts: Vec::new(), answers: 1, tells: true };
    Filtering::begin(&policy, &lexicon, surface, &asked).unwrap()
}

fn plain(surface: Surface) -> Filtering {
    filtering(surface, |_| {})
}

fn event(kind: &str, mut members: Value) -> String {
    let data = members.as_object_mut().unwrap();
    data.extend([("type".to_owned(), kind.into()), ("sequence_number".to_owned(), 3.into())]);
    let data = Value::from(data.clone());
    format!("event: {kind}\ndata: {data}\n\n")
}

fn response(output: impl Into<Value>, status: &str) -> Value {
    let output = output.into();
    json!({"id": "resp_1", "object": "response", "status": status, "instructions": "heil hitler", "error": null,
        "incomplete_details": null, "output": output})
}

fn message(text: &str) -> Value {
    json!([{"type": "message", "id": "msg_1", "role": "assistant", "status": "completed",
        "content": [{"type": "output_text", "text": text, "annotations": []}]}])
}

/// The stream of a response that says these pieces.
fn stream(deltas: &[&str]) -> String {
    let at = |mut members: Value| {
        let place = json!({"item_id": "msg_1", "output_index": 0, "content_index": 0});
        members.as_object_mut().unwrap().extend(place.as_object().unwrap().clone());
        members
    };
    let text = deltas.concat();
    let mut out = event("response.created", json!({"response": response(json!([]), "in_progress")}));
    out += &event(
        "response.output_item.added",
        json!({"output_index": 0, "item": {"type": "message", "id": "msg_1", "content": []}}),
    );
    for delta in deltas {
        out +=
            &event("response.output_text.delta", at(json!({"delta": delta, "obfuscation": "heil hitler"})));
    }
    out += &event("response.output_text.done", at(json!({"text": text})));
    out += &event("response.content_part.done", at(json!({"part": {"type": "output_text", "text": text}})));
    out += &event("response.output_item.done", json!({"output_index": 0, "item": message(&text)[0]}));
    out + &event("response.completed", json!({"response": response(message(&text), "completed")}))
}

fn vet(filtering: &mut Filtering, stream: &str, events_at_once: usize) -> (String, bool) {
    let mut out = Vec::new();
    let events: Vec<&str> = stream.split_inclusive("\n\n").collect();
    for piece in events.chunks(events_at_once.max(1)) {
        match filtering.push(UnixMillis(1), piece.concat().as_bytes()) {
            Vetted::Pass(bytes) => out.extend(bytes),
            Vetted::Filtered(bytes) => {
                out.extend(bytes);
                return (String::from_utf8(out).unwrap(), true);
            }
            Vetted::Stuck => panic!("stuck"),
        }
    }
    out.extend(filtering.finish());
    (String::from_utf8(out).unwrap(), false)
}

fn events(out: &str) -> Vec<Value> {
    let data = out.lines().filter_map(|line| line.strip_prefix("data: "));
    data.map(|data| serde_json::from_str(data).unwrap()).collect()
}

fn said(out: &str) -> String {
    events(out).iter().filter_map(|event| event["delta"].as_str().map(ToString::to_string)).collect()
}

#[test]
fn a_clean_stream_goes_on_as_it_is_and_azure_is_told() {
    for mode in [FilterMode::Buffered, FilterMode::Asynchronous] {
        let text = stream(&["One ", "two", " three."]);
        let mut open = filtering(Surface::OpenAi, |policy| policy.mode = mode);
        assert_eq!(vet(&mut open, &text, 2), (text.clone(), false), "{mode:?}");
        let crlf = text.replace('\n', "\r\n");
        assert_eq!(vet(&mut plain(Surface::OpenAi), &crlf, 1), (text.clone(), false));
        let mut azure = filtering(Surface::AzureOpenAiV1, |policy| policy.mode = mode);
        let (out, filtered) = vet(&mut azure, &text, 1);
        assert!(!filtered);
        let (all, was) = (events(&out), events(&text));
        let (last, before) = all.split_last().unwrap();
        assert_eq!(before, &was[..before.len()]);
        let filters = &last["response"]["content_filters"];
        assert_eq!(filters[0]["source_type"], "prompt");
        assert_eq!(filters[0]["content_filter_results"]["jailbreak"]["detected"], false);
        assert_eq!(
            (&filters[1]["source_type"], &filters[1]["blocked"]),
            (&json!("completion"), &json!(false))
        );
        assert_eq!(filters[1]["content_filter_results"]["violence"]["severity"], "safe");
    }
}

#[test]
fn nothing_of_a_violation_goes_on() {
    for (surface, told) in [(Surface::AzureOpenAi, true), (Surface::OpenAi, false)] {
        let text = stream(&["Well", ", ki", "ll you", "rse", "lf", " today"]);
        let (out, filtered) = vet(&mut plain(surface), &text, 1);
        assert!(filtered, "{surface:?}");
        assert_eq!(said(&out), "Well", "{surface:?}");
        let last = events(&out).pop().unwrap();
        assert!(out.contains("event: response.incomplete\n"));
        assert_eq!((&last["type"], &last["sequence_number"]), (&json!("response.incomplete"), &json!(4)));
        let response = &last["response"];
        assert_eq!((&response["id"], &response["status"]), (&json!("resp_1"), &json!("incomplete")));
        assert_eq!(response["incomplete_details"], json!({"reason": "content_filter"}));
        assert_eq!(response["output"], json!([]));
        let blocked = response["content_filters"][1]["blocked"].as_bool();
        assert_eq!(blocked, told.then_some(true), "{surface:?}");
    }
}

#[test]
fn a_violation_in_any_event_is_found() {
    let bad = "heil hitler";
    for (kind, members) in [
        ("response.output_text.done", json!({"output_index": 0, "content_index": 0, "text": bad})),
        (
            "response.output_item.added",
            json!({"item": {"type": "function_call", "name": "f", "arguments": bad}}),
        ),
        ("response.output_item.done", json!({"item": message(bad)[0]})),
        (
            "response.reasoning_summary_text.delta",
            json!({"output_index": 0, "summary_index": 0, "delta": bad}),
        ),
        ("response.function_call_arguments.delta", json!({"output_index": 2, "delta": bad})),
        ("response.function_call_arguments.done", json!({"output_index": 2, "arguments": bad})),
        ("response.refusal.delta", json!({"output_index": 0, "content_index": 0, "delta": bad})),
        ("response.output_text.annotation.added", json!({"annotation": {"title": bad}})),
        ("response.something.new", json!({"deep": [{"er": bad}]})),
        ("response.completed", json!({"response": response(message(bad), "completed")})),
        ("response.failed", json!({"response": response(message(bad), "failed")})),
    ] {
        let end = event("response.completed", json!({"response": response(json!([]), "completed")}));
        let text = [
            event("response.created", json!({"response": response(json!([]), "in_progress")})),
            event(kind, members),
            end,
        ];
        let (out, filtered) = vet(&mut plain(Surface::OpenAi), &text.concat(), 1);
        let shown: String = events(&out)
            .iter()
            .map(|event| {
                let mut event = event.clone();
                event["response"]["instructions"] = Value::Null;
                event.to_string()
            })
            .collect();
        assert!(filtered && !shown.contains("heil"), "{kind}: {out}");
    }
}

/// Two texts that come in turns are two: what is in neither is not found, and what is in one is.
#[test]
fn texts_that_come_in_turns_are_read_apart() {
    let piece = |index: u32, delta: &str| {
        event(
            "response.output_text.delta",
            json!({"output_index": index, "content_index": 0, "delta": delta}),
        )
    };
    let end = event("response.completed", json!({"response": response(json!([]), "completed")}));
    for (pieces, harmful) in [
        ([piece(0, "kill "), piece(1, "yourself "), piece(0, "time "), piece(1, "out ")], false),
        ([piece(0, "kill "), piece(1, "one "), piece(0, "yourself "), piece(1, "two ")], true),
    ] {
        let text = [pieces.concat(), end.clone()].concat();
        let (out, filtered) = vet(&mut plain(Surface::OpenAi), &text, 1);
        assert_eq!(filtered, harmful, "{out}");
        assert!(!harmful || !out.contains("kill"), "{out}");
    }
}

#[test]
fn an_asynchronous_filter_ends_the_stream_after_the_text() {
    let text = stream(&["so ", "kill ", "yourself ", "now"]);
    let mut along = filtering(Surface::OpenAi, |policy| policy.mode = FilterMode::Asynchronous);
    let (out, filtered) = vet(&mut along, &text, 1);
    assert!(filtered && said(&out).starts_with("so kill ") && !out.contains("response.completed"), "{out}");
    assert_eq!(events(&out).pop().unwrap()["response"]["incomplete_details"]["reason"], "content_filter");
}

#[test]
fn a_mask_withholds_the_pieces_of_a_text_until_it_is_over() {
    let guard = |policy: &mut ContentPolicy| {
        policy.guard = Some(Guard { mask_completion: true, ..Guard::default() });
        policy.completion.clear();
    };
    let text = stream(&["I am ja", "ne@exam", "ple.org."]);
    let (out, filtered) = vet(&mut filtering(Surface::OpenAi, guard), &text, 1);
    assert!(!filtered && !out.contains("jane") && !out.contains("ja\""), "{out}");
    assert_eq!(said(&out), "I am <EMAIL_ADDRESS>.");
    let all = events(&out);
    assert_eq!(all.last().unwrap()["response"]["output"][0]["content"][0]["text"], "I am <EMAIL_ADDRESS>.");
    assert_eq!(all.iter().filter(|event| event["type"] == "response.output_text.done").count(), 1);
}

#[test]
fn a_whole_response_is_told_about_or_emptied() {
    let body = |text: &str| response(message(text), "completed").to_string();
    let azure = plain(Surface::AzureOpenAiV1);
    let told: Value = serde_json::from_str(&azure.whole(body("fine").as_bytes(), &[]).unwrap()).unwrap();
    assert_eq!(told["output"], message("fine"));
    assert_eq!(told["content_filters"].as_array().map(Vec::len), Some(2));
    let own = json!({"output": [], "content_filters": []}).to_string();
    assert_eq!(azure.whole(own.as_bytes(), &[]), None, "an upstream's own findings stay");
    let open = plain(Surface::OpenAi);
    assert_eq!(open.whole(body("fine").as_bytes(), &[]), None);
    let left: Value =
        serde_json::from_str(&open.whole(body("heil hitler").as_bytes(), &[]).unwrap()).unwrap();
    let mut expected = response(message(""), "incomplete");
    expected["incomplete_details"] = json!({"reason": "content_filter"});
    expected["output"][0]["status"] = "incomplete".into();
    assert_eq!(left, expected);
    for item in [
        json!({"type": "function_call", "name": "f", "arguments": "heil hitler"}),
        json!({"type": "reasoning", "summary": [{"type": "summary_text", "text": "heil hitler"}]}),
    ] {
        let body = response(json!([item]), "completed").to_string();
        let left: Value = serde_json::from_str(&open.whole(body.as_bytes(), &[]).unwrap()).unwrap();
        assert_eq!((&left["output"], &left["status"]), (&json!([]), &json!("incomplete")));
    }
    for odd in
        ["", "{}", "[]", "{\"output\":null}", "{\"output\":[]}", "{\"data\":[{\"text\":\"heil hitler\"}]}"]
    {
        assert_eq!(open.whole(odd.as_bytes(), &[]), None, "{odd}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// How a text is cut into events, and events into pieces, changes neither the verdict nor, of a text that is
    /// clean, a byte; of a violation nothing goes on.
    #[test]
    fn cuts_change_nothing(
        words in proptest::collection::vec(prop_oneof![
            4 => Just("river "), 4 => Just("kill the process "), 1 => Just("kill yourself "), 3 => Just("kill "),
            3 => Just("k i l l "), 2 => Just("ünï "), 2 => Just("漢字"), 2 => Just(". "),
        ], 0..12),
        cuts in proptest::collection::vec(0usize..200, 0..12),
        at_once in 1usize..5,
    ) {
        let text: String = words.concat();
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| text.floor_char_boundary(cut)).chain([text.len()]).collect();
        cuts.sort_unstable();
        let (mut from, mut deltas) = (0, Vec::new());
        for cut in cuts {
            deltas.push(&text[from..cut]);
            from = cut;
        }
        let harmful = text.contains("kill yourself");
        let (out, filtered) = vet(&mut plain(Surface::OpenAi), &stream(&deltas), at_once);
        prop_assert_eq!(filtered, harmful);
        if harmful {
            prop_assert!(said(&out).len() <= text.find("kill yourself").unwrap(), "{}", out);
            prop_assert!(text.starts_with(&said(&out)) && !out.contains("kill yourself"));
        } else {
            prop_assert_eq!(out, stream(&deltas));
        }
    }

    #[test]
    fn arbitrary_events_are_vetted_without_harm(
        datas in proptest::collection::vec("\\{\"type\":\"response\\.(a|b)\\.(delta|done)\",\"(delta|text|response)\":(\"[a-c ]{0,3}\"|\\{\\}|\\[\"x\"\\]|7)\\}|[\\[\\]{},:\"a\\\\ ]{0,12}", 0..6),
        masks: bool,
    ) {
        let text: Vec<String> = datas.iter().map(|data| format!("data: {data}\n\n")).collect();
        let text = text.concat();
        let guard = |policy: &mut ContentPolicy| policy.guard = masks.then(|| Guard { mask_completion: true, ..Guard::default() });
        let _ = vet(&mut filtering(Surface::AzureOpenAi, guard), &text, 2);
    }
}

/// Keeps the names of helpers honest: a stream of this file is what its reader takes for one.
#[test]
fn the_streams_of_these_tests_are_responses() {
    let all = events(&stream(&["a", "b"]));
    let kinds: Vec<String> = all.iter().map(|event| event["type"].as_str().unwrap().to_owned()).collect();
    assert_eq!(
        kinds,
        vec![
            "response.created",
            "response.output_item.added",
            "response.output_text.delta",
            "response.output_text.delta",
            "response.output_text.done",
            "response.content_part.done",
            "response.output_item.done",
            "response.completed"
        ]
    );
}
