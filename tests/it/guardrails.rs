//! Guardrails of serving endpoints: what they stop, what they mask, and what callers read (`databricks.md`, 7.2, 7.3).

use crate::classifier::world::{Got, World, snapshot};
use serde_json::{Value, json};

const INVOCATIONS: &str = "https://weir.example/serving-endpoints/chat/invocations";
const AZURE: &str = "https://weir.example/openai/deployments/chat/chat/completions?api-version=2024-10-21";
const MAIL: &str = "mail jane@example.org";

/// A world whose deployment has these guardrails, beside personal data that is stopped where `stops` says.
fn world(guard: &Value, stops: [bool; 2], service: &str) -> World {
    let mut snapshot = snapshot(service, "closed", "buffered");
    let personal = json!([{"filter": "personal_data", "threshold": "low", "blocking": true}]);
    let rules = |stops: bool| if stops { personal.clone() } else { json!([]) };
    snapshot["content"]["policies"][0] = json!({"name": "P", "mode": "buffered", "prompt": rules(stops[0]),
        "completion": rules(stops[1]), "guard": guard});
    snapshot["content"]["classifiers"][0]["name"] = json!("default");
    World::of(&snapshot)
}

/// The JSON in a guardrail's message.
fn message(got: &Got) -> Value {
    assert_eq!(got.status, 400, "{}", got.body);
    let body = got.json();
    assert_eq!(body["error_code"], "BAD_REQUEST");
    serde_json::from_str(body["message"].as_str().unwrap()).unwrap()
}

#[test]
fn personal_data_is_stopped_in_the_form_of_the_service() {
    let mut world = world(&json!({}), [true, true], "moderation");
    let got = world.exchange_at(INVOCATIONS, MAIL, None, &[]);
    let expected = json!({"usage": {"prompt_tokens": 0, "total_tokens": 0}, "input_guardrail": [{
        "flagged": false, "categories": null, "category_scores": null, "pii_detection": true,
        "anonymized_input": [{"role": "user", "content": "mail <EMAIL_ADDRESS>"}]}],
        "finishReason": "input_guardrail_triggered"});
    assert_eq!(message(&got), expected);
    assert!(world.sent.is_empty());
    world.says = vec![MAIL.into()];
    let got = message(&world.exchange_at(INVOCATIONS, "hello", None, &[]));
    assert_eq!(got["finishReason"], "output_guardrail_triggered");
    assert_eq!(got["usage"], json!({"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}));
    assert_eq!(got["output_guardrail"][0]["anonymized_output"][0]["content"], "mail <EMAIL_ADDRESS>");
    let got = world.exchange_at(INVOCATIONS, "hello", Some(&["mail jane@ex", "ample.org"]), &[]);
    assert_eq!(
        message(&got)["output_guardrail"][0]["pii_detection"],
        true,
        "a stream is judged before it begins"
    );
    let got = world.exchange_at(INVOCATIONS, "hello", Some(&["fi", "ne"]), &[]);
    assert_eq!((got.status, got.said().as_str()), (200, "fine"));
    assert!(got.body.ends_with("data: [DONE]\n\n") && !got.broken);
    let got = world.exchange_at(AZURE, MAIL, None, &[]);
    assert_eq!((got.status, &got.json()["error"]["code"]), (400, &json!("content_filter")), "{}", got.body);
}

#[test]
fn personal_data_is_masked_on_its_way() {
    for url in [INVOCATIONS, AZURE] {
        let guard = json!({"mask_prompt": true, "mask_completion": true});
        let mut world = world(&guard, [false, false], "moderation");
        world.says = vec!["card 4111 1111 1111 1111 it is".into()];
        let got = world.exchange_at(url, MAIL, None, &[]);
        assert_eq!(
            got.json()["choices"][0]["message"]["content"],
            "card <CREDIT_CARD> it is",
            "{}",
            got.body
        );
        let sent: Value = serde_json::from_str(&world.sent[0]).unwrap();
        assert_eq!(sent["messages"][0]["content"], "mail <EMAIL_ADDRESS>");
        assert_eq!((&sent["model"], &sent["messages"][0]["role"]), (&json!("chat"), &json!("user")));
        let got = world.exchange_at(url, "hello", Some(&["I am ja", "ne@exam", "ple.org."]), &[]);
        assert_eq!(got.said(), "I am <EMAIL_ADDRESS>.", "{}", got.body);
    }
}

#[test]
fn topics_are_judged_by_a_deployment() {
    let mut world = world(&json!({"prompt_topics": ["rivers", "dams"]}), [false, false], "deployment");
    let got = world.exchange_at(INVOCATIONS, "tell me of BAD things", None, &[]);
    let told = message(&got);
    assert_eq!(told["input_guardrail"][0]["flagged"], true);
    assert_eq!(told["input_guardrail"][0]["categories"], json!({"invalid_topic": true}));
    assert_eq!(world.exchange_at(INVOCATIONS, "tell me of rivers", None, &[]).status, 200);
    assert_eq!(world.exchange_at(INVOCATIONS, "BROKEN", None, &[]).status, 503);
    let mut other = self::world(&json!({"prompt_topics": ["rivers"]}), [false, false], "moderation");
    assert_eq!(
        other.exchange_at(INVOCATIONS, "rivers", None, &[]).status,
        503,
        "a moderation knows no topics"
    );
}
