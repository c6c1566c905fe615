//! Answers of servers that claim to speak the canonical dialect and nearly do, put right in place.
//!
//! Stage 6. Decides what is filled in and what is spelt anew (`providers.md`, 13), event by event or in a whole answer;
//! all other members stay as they came, in their order. Whether anything is wrong at all is seen elsewhere, in passing:
//! for streams by `account::observe`, for whole answers by [`is_odd`]. An answer that is as it should be is never
//! touched, and upstreams that keep the dialect (OpenAI's and Azure's own) are not looked at.

use super::answer::arguments;
use crate::snapshot::Dialect;
use crate::translate::Form;
use crate::translate::stop;
use crate::wire::object::{Array, Object};
use crate::wire::raw::Raw;
use alloc::borrow::Cow;
use alloc::string::{String, ToString};

/// Reasons that clients of the dialect know.
const REASONS: [&str; 5] = ["stop", "length", "tool_calls", "content_filter", "function_call"];

/// Puts the events of one stream right.
#[derive(Clone, Debug)]
pub struct Mender {
    form: Form,
    /// Choices whose role was told; one bit each.
    told: u128,
}

impl Mender {
    /// For a stream that has `form` where the server says nothing.
    pub const fn new(form: Form) -> Self {
        Self { form, told: 0 }
    }

    /// Roles were told before the first event that comes here.
    pub const fn roles_told(&mut self) {
        self.told = u128::MAX;
    }

    /// One event; errors and what is no chat or completion stay as they are.
    pub fn event(&mut self, data: Raw<'_>) -> String {
        if data.get("choices").is_none() || data.get("error").is_some() {
            return data.as_str().to_string();
        }
        let completes = data
            .get("choices")
            .into_iter()
            .flat_map(|list| list.items())
            .any(|item| item.get("text").is_some());
        let object = if completes { "text_completion" } else { "chat.completion.chunk" };
        let mut choices = Array::default();
        let list = data.get("choices").into_iter().flat_map(|list| list.items());
        for (place, raw) in (0u32..).zip(list) {
            let index = raw
                .get("index")
                .and_then(|index| index.count(127))
                .and_then(|index| u32::try_from(index).ok());
            let bit = 1u128.checked_shl(index.unwrap_or(place)).unwrap_or(0);
            let role = !completes && self.told & bit == 0;
            self.told |= bit;
            choices.put(&choice(raw, place, &Asked { form: &self.form, role, streamed: true }));
        }
        whole(data, object, &self.form, &choices.end())
    }
}

/// A whole chat or completion answer, put right.
pub fn answer(body: Raw<'_>, completes: bool, form: &Form) -> String {
    let object = if completes { "text_completion" } else { "chat.completion" };
    let mut choices = Array::default();
    let list = body.get("choices").into_iter().flat_map(|list| list.items());
    for (place, raw) in (0u32..).zip(list) {
        choices.put(&choice(raw, place, &Asked { form, role: !completes, streamed: false }));
    }
    whole(body, object, form, &choices.end())
}

/// Whether a whole chat or completion answer needs it. What has no choices is no answer, which others say.
pub fn is_odd(body: Raw<'_>) -> bool {
    let Some(choices) = body.get("choices").filter(Raw::is_array) else { return false };
    let there = |name: &str| body.get(name).is_some();
    let odd = |choice: Raw<'_>| {
        let reason = choice.get("finish_reason").and_then(|word| word.text());
        let message = choice.get("message");
        let calls = message.and_then(|message| message.get("tool_calls"));
        let call = |call: Raw<'_>| {
            !call.at("function.arguments").is_some_and(|text| text.is_text()) || call.get("id").is_none()
        };
        choice.get("index").is_none()
            || !reason.is_some_and(|word| REASONS.contains(&&*word))
            || message.is_some_and(|message| message.get("role").is_none())
            || calls.is_some_and(|calls| calls.items().any(call))
    };
    !(there("id") && there("object") && there("created") && there("model")) || choices.items().any(odd)
}

/// What is asked of a choice.
struct Asked<'a> {
    form: &'a Form,
    /// Whether its role must be told.
    role: bool,
    streamed: bool,
}

fn whole(body: Raw<'_>, object: &str, form: &Form, choices: &str) -> String {
    let mut out = Object::new();
    for (name, value) in body.members() {
        match &*name {
            "choices" => out.put("choices", choices),
            "id" | "object" | "created" | "model" if value.is_null() => {}
            name => out.put(name, value.as_str()),
        }
    }
    let absent = |name: &str| body.get(name).is_none();
    if absent("id") {
        out = out.text("id", &form.id);
    }
    if absent("object") {
        out = out.text("object", object);
    }
    if absent("created") {
        out = out.number("created", form.created);
    }
    if absent("model") {
        out = out.text("model", &form.model);
    }
    out.end()
}

fn choice(raw: Raw<'_>, place: u32, asked: &Asked<'_>) -> String {
    let mut out = Object::new();
    if raw.get("index").is_none() {
        out = out.number("index", place);
    }
    let mut calls = false;
    for (name, value) in raw.members() {
        match &*name {
            "index" | "finish_reason" if value.is_null() => {}
            "finish_reason" => {}
            name @ ("message" | "delta") if value.is_object() => {
                calls = value.get("tool_calls").is_some_and(|list| list.items().next().is_some());
                out.put(name, &message(value, place, asked));
            }
            name => out.put(name, value.as_str()),
        }
    }
    let word = raw.get("finish_reason").and_then(|word| word.text()).filter(|word| !word.is_empty());
    match word {
        Some(word) => {
            let known = REASONS.contains(&&*word);
            let word = if known { &*word } else { stop::finish(Dialect::WorkersAi, &word).word() };
            out = out.text("finish_reason", word);
        }
        None if asked.streamed => out.put("finish_reason", "null"),
        None => out = out.text("finish_reason", if calls { "tool_calls" } else { "stop" }),
    }
    out.end()
}

fn message(raw: Raw<'_>, choice: u32, asked: &Asked<'_>) -> String {
    let mut out = Object::new();
    if asked.role && raw.get("role").is_none() {
        out = out.text("role", "assistant");
    }
    for (name, value) in raw.members() {
        match &*name {
            "role" if value.is_null() => {}
            "tool_calls" => {
                let mut calls = Array::default();
                for (place, call) in (0u32..).zip(value.items()) {
                    calls.put(&mended_call(call, choice, place, asked));
                }
                if !calls.is_empty() {
                    out.put("tool_calls", &calls.end());
                }
            }
            name => out.put(name, value.as_str()),
        }
    }
    let other = raw.get("reasoning").or_else(|| raw.get("thinking")).filter(Raw::is_text);
    if raw.get("reasoning_content").is_none() {
        out.put_some("reasoning_content", other);
    }
    out.end()
}

/// A call begins where it is named; only then it has an id and a type.
fn mended_call(raw: Raw<'_>, choice: u32, place: u32, asked: &Asked<'_>) -> String {
    let mut out = Object::new();
    if asked.streamed && raw.get("index").is_none() {
        out = out.number("index", place);
    }
    let begins = raw.at("function.name").is_some();
    if begins && raw.get("id").is_none() {
        out = out.text("id", &asked.form.call_id(choice, place));
    }
    if begins && raw.get("type").is_none() {
        out = out.text("type", "function");
    }
    for (name, value) in raw.members().filter(|(_, value)| !value.is_null()) {
        if name != "function" {
            out.put(&name, value.as_str());
            continue;
        }
        let mut function = Object::new();
        for (name, value) in value.members() {
            if name != "arguments" {
                function.put(&name, value.as_str());
            }
        }
        let text = arguments(raw).or_else(|| (!asked.streamed).then_some(Cow::Borrowed("{}")));
        if let Some(text) = text {
            function = function.text("arguments", &text);
        }
        out.put("function", &function.end());
    }
    out.end()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn form() -> Form {
        Form { id: "w1".into(), created: 7, model: "m".into(), base64: false, input_tokens: 0 }
    }

    fn mended(body: &Value) -> Value {
        let text = body.to_string();
        let raw = Raw::parse(&text).unwrap();
        assert!(is_odd(raw), "{body}");
        let text = answer(raw, false, &form());
        assert!(!is_odd(Raw::parse(&text).unwrap()), "{text}");
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn a_whole_answer_gets_what_it_lacks_and_keeps_what_it_has() {
        let good = json!({"id": "a", "object": "chat.completion", "created": 1, "model": "x", "z": 1.50,
            "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}]});
        assert!(!is_odd(Raw::parse(&good.to_string()).unwrap()));
        assert_eq!(
            mended(
                &json!({"choices": [{"message": {"content": "Hi", "thinking": "Hm"}, "finish_reason": "eos", "logprobs": {"a": 1}}], "timings": {"b": 2}})
            ),
            json!({"id": "w1", "object": "chat.completion", "created": 7, "model": "m", "timings": {"b": 2},
                "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi", "thinking": "Hm", "reasoning_content": "Hm"}, "finish_reason": "stop", "logprobs": {"a": 1}}]})
        );
        let mut odd = good.clone();
        odd["choices"][0] = json!({"index": 0, "message": {"role": "assistant", "content": null, "tool_calls": [{"function": {"name": "f", "arguments": {"a": [1]}}}]}, "finish_reason": ""});
        let mut put_right = good;
        put_right["choices"][0] = json!({"index": 0, "message": {"role": "assistant", "content": null, "tool_calls": [{"id": "call_w100", "type": "function", "function": {"name": "f", "arguments": "{\"a\":[1]}"}}]}, "finish_reason": "tool_calls"});
        assert_eq!(mended(&odd), put_right);
    }

    #[test]
    fn events_get_what_they_lack_and_a_role_once() {
        let mut mender = Mender::new(form());
        let mut event = |body: Value| -> Value {
            serde_json::from_str(&mender.event(Raw::parse(&body.to_string()).unwrap())).unwrap()
        };
        let chunk = |choice: Value| json!({"id": "w1", "object": "chat.completion.chunk", "created": 7, "model": "m", "choices": [choice]});
        assert_eq!(
            event(json!({"choices": [{"delta": {"content": "Hi"}, "finish_reason": ""}]})),
            chunk(
                json!({"index": 0, "delta": {"role": "assistant", "content": "Hi"}, "finish_reason": null})
            )
        );
        assert_eq!(
            event(
                json!({"choices": [{"delta": {"tool_calls": [{"function": {"name": "f", "arguments": {"a": 1}}}]}}]})
            ),
            chunk(
                json!({"index": 0, "delta": {"tool_calls": [{"index": 0, "id": "call_w100", "type": "function", "function": {"name": "f", "arguments": "{\"a\":1}"}}]}, "finish_reason": null})
            )
        );
        assert_eq!(
            event(
                json!({"choices": [{"delta": {"tool_calls": null}, "finish_reason": "model_length_x"}], "x": 1})
            )["choices"][0],
            json!({"index": 0, "delta": {}, "finish_reason": "stop"})
        );
        assert_eq!(event(json!({"error": {"message": "x"}})), json!({"error": {"message": "x"}}));
    }
}
