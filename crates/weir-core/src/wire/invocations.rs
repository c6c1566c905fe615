//! Bodies of `…/invocations`, whose task is the endpoint's: what they must hold, and the members that a client of
//! Databricks puts into `extra_params`.
//!
//! Stage 1. Decides ranges and what becomes of `extra_params`; what only the model acts on is not looked at. Sources:
//! `databricks.md` 10.2 and 11.5 ("Request bounds of the gateway schema").

use super::envelope::{Envelope, unquote};
use super::error::{WireError, echo};
use super::rules::{Part, Path, Rule, may};
use super::walk::Walk;
use crate::snapshot::Task;
use alloc::string::{String, ToString};
use serde_json::Value;

/// Members of bodies for models that are not generative.
const TABLES: [&str; 4] = ["dataframe_split", "dataframe_records", "inputs", "instances"];

/// What `extra_params` must not say, because the request itself says it or Weir does.
const OWN: [&str; 10] = [
    "model",
    "messages",
    "prompt",
    "input",
    "stream",
    "stream_options",
    "extra_params",
    "client_request_id",
    "usage_context",
    "tools",
];

/// Members whose values are texts even where they look like numbers.
const TEXTS: [&str; 4] = ["user", "stop", "suffix", "instruction"];

const STOP: Rule = Rule::Either(&Rule::Text, &Rule::List(&Rule::Text));
const PENALTY: Rule = Rule::Number(-2, 2);
const PARTS: &[Part] = &[
    may("max_tokens", &Rule::Count),
    may("max_completion_tokens", &Rule::Count),
    may("temperature", &Rule::Number(0, 2)),
    may("top_p", &Rule::Number(0, 1)),
    may("top_k", &Rule::Count),
    may("n", &Rule::Number(1, 5)),
    may("stop", &STOP),
    may("frequency_penalty", &PENALTY),
    may("presence_penalty", &PENALTY),
    may("extra_params", &Rule::Map),
];

/// Reads what a body says beside its envelope, for an endpoint that does `has`.
///
/// # Errors
/// [`WireError::MissingMember`] without the task's own member; [`WireError::NotSupported`] for the first value out of
/// its range.
pub fn check(envelope: &Envelope<'_>, has: Task) -> Result<(), WireError> {
    let (there, member) = match has {
        Task::Chat => (envelope.messages.is_some(), "messages"),
        Task::Completions => (envelope.prompt.is_some(), "prompt"),
        Task::Embeddings => (envelope.input.is_some(), "input"),
    };
    if !there {
        return Err(WireError::MissingMember { member });
    }
    for member in envelope.members.iter().filter(|member| member.value != "null") {
        let part = PARTS.iter().find(|part| unquote(member.name).is_some_and(|name| name == part.name));
        if let Some(part) = part {
            part.rule.check(member.value, &Path::top(part.name))?;
        }
    }
    Ok(())
}

/// Whether a body is for a model that is not generative: rows instead of a prompt.
pub fn is_table(envelope: &Envelope<'_>) -> bool {
    let table = |text: &str| TABLES.contains(&text);
    envelope.task().is_none()
        && envelope.members.iter().any(|member| unquote(member.name).is_some_and(|name| table(&name)))
}

/// Whether a body holds a conversation as agents take it: `input`, a list of messages.
pub fn is_conversation(envelope: &Envelope<'_>) -> bool {
    let listed = |text: &str| text.strip_prefix('[').is_some_and(|rest| rest.trim_start().starts_with('{'));
    envelope.messages.is_none() && envelope.input.is_some_and(|input| listed(input.raw))
}

/// The members of `extra_params` as they stand in the request to the model: `"a":1,"b":"x"`; empty if there are none,
/// `None` without `extra_params`. Its values are texts by its type, so one that is the JSON of a number, a boolean, an
/// object or a list stands for that.
///
/// # Errors
/// [`WireError`] for what is there already, or is not for `extra_params` to say.
pub fn extras(envelope: &Envelope<'_>) -> Result<Option<String>, WireError> {
    let named = |name: &str| {
        let mut members = envelope.members.iter();
        members.find(|member| unquote(member.name).is_some_and(|text| text == name))
    };
    let Some(extra) = named("extra_params").filter(|extra| extra.value != "null") else {
        return Ok(named("extra_params").map(|_| String::new()));
    };
    let mut out = String::new();
    for (name, value) in Walk::object(extra.value).into_iter().flatten() {
        let Some(plain) = unquote(name) else { continue };
        if OWN.contains(&plain.as_ref()) {
            let (member, expected) = (echo(&["extra_params", &plain].join(".")), "absent".to_string());
            return Err(WireError::NotSupported { member, expected, got: Some(echo(value)) });
        }
        if named(&plain).is_some() {
            return Err(WireError::DuplicateMember { member: echo(&plain) });
        }
        if !out.is_empty() {
            out.push(',');
        }
        let text = unquote(value).filter(|text| !TEXTS.contains(&plain.as_ref()) && stands_for_more(text));
        out.extend([name, ":", text.as_deref().unwrap_or(value)]);
    }
    Ok(Some(out))
}

fn stands_for_more(text: &str) -> bool {
    crate::json::read::<Value>(text).is_ok_and(|value| !value.is_string() && !value.is_null())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn envelope(body: &str) -> Envelope<'_> {
        Envelope::parse(body.as_bytes(), None).unwrap()
    }

    #[test]
    fn values_are_within_the_documented_ranges() {
        let rows = [
            (r#""temperature":0"#, true),
            (r#""temperature":2"#, true),
            (r#""temperature":2.01"#, false),
            (r#""temperature":-0.1"#, false),
            (r#""temperature":"1""#, false),
            (r#""temperature":null"#, true),
            (r#""top_p":1"#, true),
            (r#""top_p":1.5"#, false),
            (r#""n":5"#, true),
            (r#""n":6"#, false),
            (r#""max_tokens":1"#, true),
            (r#""max_tokens":0"#, false),
            (r#""top_k":0"#, false),
            (r#""stop":"a""#, true),
            (r#""stop":["a","b"]"#, true),
            (r#""stop":[]"#, false),
            (r#""stop":[1]"#, false),
            (r#""presence_penalty":-2"#, true),
            (r#""presence_penalty":-3"#, false),
            (r#""extra_params":{}"#, true),
            (r#""extra_params":[]"#, false),
            (r#""newer":{"a":[1]}"#, true),
        ];
        for (member, good) in rows {
            let body = alloc::format!(r#"{{"messages":[{{"role":"user","content":"x"}}],{member}}}"#);
            assert_eq!(check(&envelope(&body), Task::Chat).is_ok(), good, "{member}");
        }
    }

    #[test]
    fn the_endpoints_own_member_must_be_there() {
        let rows = [
            (r#"{"messages":[{}]}"#, Task::Chat, None),
            (r#"{"max_tokens":1}"#, Task::Chat, Some("messages")),
            (r#"{"max_tokens":1}"#, Task::Completions, Some("prompt")),
            ("{}", Task::Embeddings, Some("input")),
        ];
        for (body, has, missing) in rows {
            let expected = missing.map(|member| WireError::MissingMember { member });
            assert_eq!(check(&envelope(body), has).err(), expected, "{body}");
        }
    }

    #[test]
    fn extra_params_are_merged_or_refused() {
        let rows = [
            ("{}", Ok(None)),
            (r#"{"extra_params":null}"#, Ok(Some(""))),
            (r#"{"extra_params":{}}"#, Ok(Some(""))),
            (
                r#"{"extra_params":{"top_p":"0.5","logprobs":"true"}}"#,
                Ok(Some(r#""top_p":0.5,"logprobs":true"#)),
            ),
            (r#"{"extra_params":{"user":"17","mode":"fast"}}"#, Ok(Some(r#""user":"17","mode":"fast""#))),
            (r#"{"extra_params":{"a":{"b":[1]},"c":"[\"x\"]"}}"#, Ok(Some(r#""a":{"b":[1]},"c":["x"]"#))),
            (r#"{"extra_params":{"x":"null","y":"\"z\""}}"#, Ok(Some(r#""x":"null","y":"\"z\"""#))),
            (r#"{"top_p":1,"extra_params":{"top_p":"0.5"}}"#, Err("duplicate_member")),
            (r#"{"extra_params":{"model":"other"}}"#, Err("not_supported")),
            (r#"{"extra_params":{"\u006dodel":"other"}}"#, Err("not_supported")),
        ];
        for (body, expected) in rows {
            let got = extras(&envelope(body));
            let got = got.as_ref().map(|text| text.as_deref()).map_err(WireError::label);
            assert_eq!(got, expected, "{body}");
        }
    }

    #[test]
    fn conversations_are_told_from_texts() {
        let rows = [
            (r#"{"input":[{"role":"user","content":"x"}]}"#, true),
            (r#"{"input": [ {"role":"user"}]}"#, true),
            (r#"{"input":["x"]}"#, false),
            (r#"{"input":"[{"}"#, false),
            (r#"{"input":[]}"#, false),
            (r#"{"input":[{"role":"user"}],"messages":[{}]}"#, false),
        ];
        for (body, conversation) in rows {
            assert_eq!(is_conversation(&envelope(body)), conversation, "{body}");
        }
    }

    #[test]
    fn rows_are_told_from_prompts() {
        let rows = [
            (r#"{"dataframe_split":{"columns":["a"],"data":[[1]]}}"#, true),
            (r#"{"inputs":[1]}"#, true),
            (r#"{"instances":[1],"input":"x"}"#, false),
            (r#"{"max_tokens":1}"#, false),
        ];
        for (body, table) in rows {
            assert_eq!(is_table(&envelope(body)), table, "{body}");
        }
    }
}
