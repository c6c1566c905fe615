//! Exchanges under a policy that names a classifier: three services, prompts, whole answers and streams, verdicts that
//! come late and verdicts that never come. A text with `BAD` in it is violent to every classifier, one with `ATTACK` is
//! an attack to the shield, and one with `BROKEN` breaks the classifier.

pub(crate) mod world;

use proptest::prelude::*;
use serde_json::{Value, json};
use weir_core::time::Millis;
use world::{RESPONSES, World};

const SERVICES: [&str; 3] = ["content_safety", "moderation", "deployment"];

#[test]
fn a_prompt_is_judged_before_the_model_is_asked() {
    for service in SERVICES {
        let mut world = World::new(service, "closed", "buffered");
        let got = world.exchange("something BAD", None, &[]);
        assert_eq!((got.status, world.calls.0), (400, 0), "{service}: {}", got.body);
        let result = &got.json()["error"]["innererror"]["content_filter_result"];
        assert_eq!(result["violence"], json!({"filtered": true, "severity": "high"}), "{service}");
        let got = world.exchange("something good", None, &[]);
        assert_eq!((got.status, world.calls.0), (200, 1), "{service}: {}", got.body);
        assert_eq!(got.json()["choices"][0]["message"]["content"], "fine");
        let told = &got.json()["choices"][0]["content_filter_results"];
        assert_eq!(told["violence"], json!({"filtered": false, "severity": "safe"}), "{service}");
    }
    let mut world = World::new("content_safety", "closed", "buffered");
    let got = world.exchange("an ATTACK", None, &[]);
    let result = &got.json()["error"]["innererror"]["content_filter_result"];
    assert_eq!(result["jailbreak"], json!({"filtered": true, "detected": true}));
    assert_eq!(world.calls, (0, 2));
}

#[test]
fn a_whole_answer_is_judged_choice_by_choice() {
    for service in SERVICES {
        let mut world = World::new(service, "closed", "buffered");
        world.says = vec!["good".into(), "it is BAD".into()];
        let got = world.exchange("hello", None, &[]).json();
        let choices = got["choices"].as_array().unwrap();
        assert_eq!(choices[0]["message"]["content"], "good", "{service}");
        assert_eq!(choices[1]["message"]["content"], "", "{service}");
        assert_eq!(choices[1]["finish_reason"], "content_filter");
        assert_eq!(choices[1]["content_filter_results"]["violence"]["severity"], "high");
    }
}

#[test]
fn a_classifier_that_fails_closes_or_opens_as_it_is_set() {
    for service in SERVICES {
        let mut closed = World::new(service, "closed", "buffered");
        let got = closed.exchange("BROKEN", None, &[]);
        assert_eq!((got.status, closed.calls.0), (503, 0), "{service}");
        assert_eq!(got.json()["error"]["code"], "content_filter_error", "{service}");
        closed.says = vec!["BROKEN".into()];
        let got = closed.exchange("hello", None, &[]);
        assert_eq!((got.status, closed.calls.0), (503, 1), "{service}");
        assert!(!got.body.contains("BROKEN") && !got.body.contains("example"), "{}", got.body);
        let got = closed.exchange("hello", Some(&["so BROKEN", " it is"]), &[0]);
        assert!(got.broken && got.said().is_empty(), "{service}: {}", got.body);
        assert!(got.body.contains("content_filter_error"), "{service}: {}", got.body);

        let mut open = World::new(service, "open", "buffered");
        open.says = vec!["so BROKEN".into()];
        let got = open.exchange("BROKEN", None, &[]);
        assert_eq!((got.status, open.calls.0), (200, 1), "{service}: {}", got.body);
        let error = json!({"code": "content_filter_error", "message": "The contents are not filtered"});
        assert_eq!(got.json()["choices"][0]["content_filter_results"]["error"], error, "{service}");
        assert_eq!(got.json()["prompt_filter_results"][0]["content_filter_results"]["error"], error);
        let got = open.exchange("hello", Some(&["so BROKEN", " it is"]), &[0]);
        assert!(!got.broken && got.said() == "so BROKEN it is", "{service}: {}", got.body);
    }
}

#[test]
fn a_response_that_passes_is_judged_like_a_chat() {
    for service in SERVICES {
        let mut world = World::new(service, "closed", "buffered");
        let got = world.exchange_at(RESPONSES, "something BAD", None, &[]);
        assert_eq!((got.status, world.calls.0), (400, 0), "{service}: {}", got.body);
        assert_eq!(got.json()["error"]["content_filters"][0]["blocked"], true);
        let got = world.exchange_at(RESPONSES, "hello", None, &[]).json();
        assert_eq!(got["output"][0]["content"][0]["text"], "fine", "{service}");
        assert_eq!(got["content_filters"][1]["blocked"], false);
        world.says = vec!["it is BAD".into()];
        let got = world.exchange_at(RESPONSES, "hello", None, &[]).json();
        assert_eq!(got["incomplete_details"]["reason"], "content_filter", "{service}: {got}");
        assert_eq!(got["output"][0]["content"][0]["text"], "");
        let filters = &got["content_filters"][1];
        assert_eq!(
            (&filters["blocked"], &filters["content_filter_results"]["violence"]["severity"]),
            (&json!(true), &json!("high"))
        );
        world.says = vec!["it is BROKEN".into()];
        let got = world.exchange_at(RESPONSES, "hello", None, &[]);
        assert_eq!(got.status, 503, "{service}: {}", got.body);
        let got = world.exchange_at(RESPONSES, "hello", Some(&["so BROKEN", " it is"]), &[0]);
        assert!(
            got.broken && got.said().is_empty() && got.body.contains("content_filter_error"),
            "{service}"
        );
        let mut open = World::new(service, "open", "buffered");
        open.says = vec!["so BROKEN".into()];
        let got = open.exchange_at(RESPONSES, "hello", None, &[]).json();
        let error = &got["content_filters"][1]["content_filter_results"]["error"];
        assert_eq!(error["code"], "content_filter_error", "{service}: {got}");
        let got = open.exchange_at(RESPONSES, "hello", Some(&["so BROKEN", " it is"]), &[0]);
        assert!(!got.broken && got.said() == "so BROKEN it is" && got.body.contains("response.completed"));
    }
}

#[test]
fn what_a_passed_stream_used_is_recorded_whoever_ends_it() {
    for (text, whole) in [("fine words, ", true), ("BAD words, ", false)] {
        let mut world = World::new("moderation", "closed", "buffered");
        world.exchange_at(RESPONSES, "hello", Some(&[text; 60]), &[0]);
        world.now = world.now.plus(Millis(1_000));
        world.calls();
        let records = world.records.last().unwrap().to_string();
        assert_eq!(records.matches("\"deployment\":\"chat\"").count(), 1, "{records}");
        assert_eq!(records.contains("\"estimated\":false"), whole, "{records}");
        assert!(!records.contains("\"output\":0"), "what came before the end is counted: {records}");
    }
}

#[test]
fn a_deployment_that_judges_is_metered() {
    let mut world = World::new("deployment", "closed", "buffered");
    world.exchange("hello", None, &[]);
    world.now = world.now.plus(Millis(1_000));
    world.calls();
    let text = Value::from(world.records.clone()).to_string();
    assert!(text.contains("guard") && text.contains("chat"), "{text}");
    assert_eq!(world.calls, (1, 2), "one question about the prompt, one about the answer");
}

#[test]
fn a_stream_is_judged_in_windows() {
    for (mode, service) in
        [("buffered", "moderation"), ("asynchronous", "moderation"), ("buffered", "deployment")]
    {
        let mut world = World::new(service, "closed", mode);
        let words: Vec<String> = (0..100).map(|at| format!("word{at} ")).collect();
        let mut pieces: Vec<&str> = words.iter().map(String::as_str).collect();
        let got = world.exchange("hello", Some(&pieces), &[0, 3]);
        assert!(
            !got.broken && got.said() == words.concat() && got.body.ends_with("data: [DONE]\n\n"),
            "{mode}"
        );
        let asked = world.calls.1;
        assert!((3..9).contains(&asked), "{mode}: {asked} questions");
        pieces.insert(90, "BAD ");
        let got = world.exchange("hello", Some(&pieces), &[0, 3]);
        assert!(!got.broken && got.body.ends_with("data: [DONE]\n\n"), "{mode}: {}", got.body);
        assert!(got.body.contains("\"finish_reason\":\"content_filter\""), "{mode}");
        assert!(mode == "asynchronous" || !got.said().contains("BAD"), "{mode}");
        assert!(got.said().starts_with("word0 word1 "), "{mode}: what was judged before goes on");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    /// Whatever the text, and however late the verdicts: a clean stream comes whole, of one that is not nothing of the
    /// violation goes on.
    #[test]
    fn nothing_goes_on_unjudged(
        words in proptest::collection::vec(prop_oneof![6 => Just("river "), 4 => Just("a longer run of harmless words, "), 1 => Just("BAD "), 3 => Just("ünï 漢字 ")], 0..80),
        late in proptest::collection::vec(0usize..12, 1..5),
        passes: bool,
    ) {
        let mut world = World::new("moderation", "closed", "buffered");
        let whole = words.concat();
        let got = if passes { world.exchange_at(RESPONSES, "hello", Some(&words), &late) } else { world.exchange("hello", Some(&words), &late) };
        let ends = if passes { "response.completed" } else { "data: [DONE]\n\n" };
        prop_assert!(!got.broken && (got.body.contains(ends) || got.body.contains("response.incomplete")));
        if whole.contains("BAD") {
            prop_assert!(!got.body.contains("BAD ") && got.body.contains("content_filter\""));
            prop_assert!(whole.starts_with(&got.said()));
        } else {
            prop_assert_eq!(got.said(), whole);
        }
    }
}
