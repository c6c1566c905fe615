//! Streams and whole answers under a policy: what goes on, what does not, and what is told.

use super::choices::TELL_AFTER;
use super::*;
use crate::exchange::filtering::Asked;
use crate::policy::{Lexicon, ReadyPolicy};
use crate::snapshot::Task;
use crate::snapshot::content::{ContentPolicy, FilterMode};
use crate::surface::Surface;
use crate::wire::envelope::Envelope;
use crate::wire::sse::DONE;
use alloc::format;
use alloc::rc::Rc;
use alloc::string::ToString;
use alloc::vec;
use proptest::prelude::*;
use serde_json::Value;

const SAFE: &str = r#"{"hate":{"filtered":false,"severity":"safe"},"self_harm":{"filtered":false,"severity":"safe"},"sexual":{"filtered":false,"severity":"safe"},"violence":{"filtered":false,"severity":"safe"}}"#;

fn filtering(surface: Surface, mode: FilterMode) -> Filtering {
    let policy = ContentPolicy { mode, ..ContentPolicy::default_v2() };
    let policy = Rc::new(ReadyPolicy::new(policy, &[]));
    let lexicon = Rc::new(Lexicon::built_in());
    let body = br#"{"messages":[{"role":"user","content":"hi"}]}"#;
    let envelope = Envelope::parse(body, Some(Task::Chat)).unwrap();
    Filtering::begin(&policy, &lexicon, surface, &Asked::of(Task::Chat, &envelope)).unwrap()
}

/// A chat stream of these deltas, each of choice 0.
fn stream(deltas: &[&str]) -> String {
    let event = |delta: &str, finish: &str| {
        let delta = serde_json::to_string(delta).unwrap();
        format!(
            "data: {{\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":7,\"model\":\"m\",\"choices\":[{{\"index\":0,\"delta\":{{\"content\":{delta}}},\"finish_reason\":{finish}}}]}}\n\n"
        )
    };
    let mut text: String = deltas.iter().map(|delta| event(delta, "null")).collect();
    text.push_str(&event("", "\"stop\""));
    text.push_str("data: [DONE]\n\n");
    text
}

/// What goes on of `stream`, piece by piece of whole events, and whether it was filtered.
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
    let data = out.split("\n\n").filter_map(|event| event.strip_prefix("data: "));
    data.filter(|data| *data != "[DONE]").map(|data| serde_json::from_str(data).unwrap()).collect()
}

fn content(out: &str) -> String {
    events(out)
        .iter()
        .filter_map(|event| event["choices"][0]["delta"]["content"].as_str().map(ToString::to_string))
        .collect()
}

#[test]
fn a_clean_stream_goes_on_with_what_was_found_in_it() {
    let mut filtering = filtering(Surface::AzureOpenAi, FilterMode::Buffered);
    let (out, filtered) = vet(&mut filtering, &stream(&["One ", "two", " three."]), 1);
    assert!(!filtered && out.ends_with(DONE.escape_ascii().to_string().replace("\\n", "\n").as_str()));
    let events = events(&out);
    assert_eq!(events[0]["prompt_filter_results"][0]["prompt_index"], 0);
    assert_eq!((&events[0]["id"], &events[0]["choices"]), (&Value::from(""), &Value::from(vec![0; 0])));
    assert_eq!(content(&out), "One two three.");
    let told: Vec<String> =
        events[1..].iter().map(|event| event["choices"][0]["content_filter_results"].to_string()).collect();
    assert_eq!(told, [SAFE, "{}", "{}", "{}"]);
}

#[test]
fn where_nothing_is_told_a_stream_stays_as_it_is() {
    for mode in [FilterMode::Buffered, FilterMode::Asynchronous] {
        let text = stream(&["One ", "two", " three."]);
        let (out, filtered) = vet(&mut filtering(Surface::OpenAi, mode), &text, 2);
        assert_eq!((out, filtered), (text, false), "{mode:?}");
    }
}

#[test]
fn nothing_of_a_violation_goes_on() {
    for (surface, told) in
        [(Surface::AzureOpenAi, true), (Surface::ModelInference, true), (Surface::OpenAi, false)]
    {
        let text = stream(&["Well", ", ki", "ll you", "rse", "lf", " today", " and more"]);
        let (out, filtered) = vet(&mut filtering(surface, FilterMode::Buffered), &text, 1);
        assert!(filtered && out.ends_with("data: [DONE]\n\n"), "{surface:?}");
        assert_eq!(content(&out), "Well", "{surface:?}");
        let last = events(&out).pop().unwrap();
        assert_eq!(last["choices"][0]["finish_reason"], "content_filter");
        assert_eq!((&last["id"], &last["model"]), (&Value::from("c"), &Value::from("m")));
        let results = &last["choices"][0]["content_filter_results"];
        assert_eq!(results["self_harm"]["filtered"].as_bool(), told.then_some(true), "{surface:?}");
    }
}

#[test]
fn a_violation_at_the_very_end_is_found() {
    for end in ["kill yourself", "k i l l y o u r s e l f"] {
        let (out, filtered) =
            vet(&mut filtering(Surface::OpenAi, FilterMode::Buffered), &stream(&["so ", end]), 1);
        assert!(filtered, "{end}");
        assert_eq!(content(&out).trim_end(), "so", "{end}");
    }
}

#[test]
fn a_violation_in_any_member_is_found() {
    for delta in [
        r#"{"reasoning_content":"heil hitler"}"#,
        r#"{"refusal":"heil hitler"}"#,
        r#"{"tool_calls":[{"index":0,"function":{"arguments":"{\"a\":\"heil hitler\"}"}}]}"#,
        r#"{"content":"heil hit\u006cer"}"#,
        r#"{"new_member":{"parts":["heil hitler"]}}"#,
    ] {
        let text = format!(
            "data: {{\"choices\":[{{\"index\":0,\"delta\":{delta},\"finish_reason\":\"stop\"}}]}}\n\ndata: [DONE]\n\n"
        );
        let (out, filtered) = vet(&mut filtering(Surface::OpenAi, FilterMode::Buffered), &text, 1);
        assert!(filtered && !out.contains("heil"), "{delta}");
    }
}

#[test]
fn an_asynchronous_filter_tells_beside_the_text() {
    let long: Vec<String> = (0..100).map(|at| format!("word{at} ")).collect();
    let mut deltas: Vec<&str> = long.iter().map(String::as_str).collect();
    deltas.extend(["kill ", "yourself ", "now"]);
    let (out, filtered) =
        vet(&mut filtering(Surface::AzureOpenAi, FilterMode::Asynchronous), &stream(&deltas), 1);
    assert!(filtered);
    let notes: Vec<Value> = events(&out)
        .into_iter()
        .flat_map(|event| event["choices"].as_array().cloned().unwrap())
        .filter(|choice| choice.get("content_filter_offsets").is_some())
        .collect();
    assert!(notes.len() >= 3, "{}", notes.len());
    assert!(notes.iter().all(|note| note.get("delta").is_none()));
    let checked: Vec<u64> =
        notes.iter().map(|note| note["content_filter_offsets"]["check_offset"].as_u64().unwrap()).collect();
    assert!(checked.is_sorted() && checked[0] >= TELL_AFTER);
    assert_eq!(notes.last().unwrap()["finish_reason"], "content_filter");
    assert!(content(&out).starts_with(&long.concat()), "text goes on at once");
}

/// Of three choices the one in the middle is filtered: the others go on to their end.
#[test]
fn a_violation_ends_its_choice_alone() {
    let part = |index: u32, text: &str, finish: &str| {
        format!("{{\"index\":{index},\"delta\":{{\"content\":\"{text}\"}},\"finish_reason\":{finish}}}")
    };
    let event = |parts: &[String]| format!("data: {{\"id\":\"c\",\"choices\":[{}]}}\n\n", parts.join(" , "));
    let three = |texts: [&str; 3], finish: &str| {
        let parts: Vec<String> = texts
            .iter()
            .enumerate()
            .map(|(at, text)| part(u32::try_from(at).unwrap(), text, finish))
            .collect();
        event(&parts)
    };
    let text = [
        three(["One ", "kill ", "uno "], "null"),
        three(["two ", "yourself ", "due "], "null"),
        event(&[part(1, "more", "null")]),
        three(["three", "again", "tre"], "\"stop\""),
        "data: {\"id\":\"c\",\"choices\":[],\"usage\":{\"total_tokens\":3}}\n\ndata: [DONE]\n\n".into(),
    ]
    .concat();
    for (mode, surface) in [
        (FilterMode::Buffered, Surface::OpenAi),
        (FilterMode::Buffered, Surface::ModelInference),
        (FilterMode::Asynchronous, Surface::OpenAi),
    ] {
        for at_once in 1..6 {
            let mut filtering = filtering(surface, mode);
            filtering.answers = 3;
            let (out, filtered) = vet(&mut filtering, &text, at_once);
            assert!(!filtered && out.ends_with("data: [DONE]\n\n"), "{mode:?} {at_once}: {out}");
            let said = |index: u64| -> (String, Vec<Value>) {
                let all = events(&out);
                let choices = all.iter().flat_map(|event| event["choices"].as_array().unwrap());
                let own: Vec<&Value> = choices.filter(|choice| choice["index"] == index).collect();
                let text = own.iter().filter_map(|choice| choice["delta"]["content"].as_str()).collect();
                let ends = own.iter().map(|choice| choice["finish_reason"].clone());
                (text, ends.filter(|end| !end.is_null()).collect())
            };
            assert_eq!(said(0), ("One two three".into(), vec!["stop".into()]), "{mode:?} {at_once}");
            assert_eq!(said(2), ("uno due tre".into(), vec!["stop".into()]), "{mode:?} {at_once}");
            let (text, ends) = said(1);
            assert_eq!(ends, vec![Value::from("content_filter")], "{mode:?} {at_once}");
            assert!(text.is_empty() || mode == FilterMode::Asynchronous, "{text}");
            assert!(out.contains("total_tokens"));
        }
    }
    let both = [three(["heil hitler ", "heil hitler ", "x"], "null"), "data: [DONE]\n\n".into()].concat();
    let mut filtering = filtering(Surface::OpenAi, FilterMode::Buffered);
    filtering.answers = 2;
    assert!(vet(&mut filtering, &both, 1).1, "with the last choice the stream ends");
}

#[test]
fn a_whole_answer_is_told_about_or_emptied() {
    let answer = |content: &str| {
        format!(
            r#"{{"id":"c","big":12345678901234567890.5,"choices":[{{"index":0,"message":{{"role":"assistant","content":"{content}"}},"logprobs":{{"content":[{{"token":"secret"}}]}},"finish_reason":"stop"}}]}}"#
        )
    };
    let azure = filtering(Surface::ModelInference, FilterMode::Buffered);
    let told = azure.whole(answer("fine").as_bytes(), &[]).unwrap();
    let prompt = &azure.prompt_results;
    let expected =
        answer("fine").replace("\"stop\"}", &format!("\"stop\",\"content_filter_results\":{SAFE}}}"));
    let expected = format!("{},\"prompt_filter_results\":{prompt}}}", expected.strip_suffix('}').unwrap());
    assert_eq!(told, expected);
    let open = filtering(Surface::OpenAi, FilterMode::Buffered);
    assert_eq!(open.whole(answer("fine").as_bytes(), &[]), None);
    let emptied = open.whole(answer("heil hitler").as_bytes(), &[]).unwrap();
    let expected = r#"{"id":"c","big":12345678901234567890.5,"choices":[{"index":0,"message":{"role":"assistant","content":""},"logprobs":null,"finish_reason":"content_filter"}]}"#;
    assert_eq!(emptied, expected);
    for odd in ["", "{}", "[]", "{\"choices\":[]}", "{\"choices\":[{}]}", "\u{0}"] {
        assert_eq!(open.whole(odd.as_bytes(), &[]), None, "{odd}");
    }
    assert_eq!(open.whole(b"\xff", &[]), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// How a text is cut into events, and events into pieces, changes neither the verdict nor, of a text that is
    /// clean, a byte; of a violation nothing goes on.
    #[test]
    fn cuts_change_nothing(
        words in proptest::collection::vec(prop_oneof![
            4 => Just("river "), 4 => Just("kill the process "), 1 => Just("kill yourself "), 3 => Just("kill "), 3 => Just("k i l l "),
            2 => Just("ünï "), 2 => Just("漢字"), 2 => Just(". "),
        ], 0..12),
        cuts in proptest::collection::vec(0usize..200, 0..12),
        at_once in 1usize..5,
    ) {
        let text: String = words.concat();
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| text.floor_char_boundary(cut)).chain([text.len()]).collect();
        cuts.sort_unstable();
        let mut from = 0;
        let mut deltas = Vec::new();
        for cut in cuts {
            deltas.push(&text[from..cut]);
            from = cut;
        }
        let mut filtering = filtering(Surface::OpenAi, FilterMode::Buffered);
        let harmful = text.contains("kill yourself");
        let (out, filtered) = vet(&mut filtering, &stream(&deltas), at_once);
        prop_assert_eq!(filtered, harmful);
        let shown = content(&out);
        if harmful {
            let before = text.find("kill yourself").unwrap();
            prop_assert!(shown.len() <= before, "{:?} of {:?}", shown, text);
            prop_assert!(text.starts_with(&shown));
        } else {
            prop_assert_eq!(out, stream(&deltas));
        }
    }

    #[test]
    fn arbitrary_events_are_vetted_without_harm(stream in "(data: [\\[\\]{},:\"a-c\\\\ ]{0,30}\n\n|data: \\{\"choices\":\\[\\{\"index\":[0-9]{1,9}\\}\\]\\}\n\n){0,6}") {
        let _ = vet(&mut filtering(Surface::AzureOpenAi, FilterMode::Buffered), &stream, 2);
    }
}
