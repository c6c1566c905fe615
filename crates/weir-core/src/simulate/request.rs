//! What all requests to a simulated model have in common, and what it says to a wrong one.
//!
//! Decides types and ranges of members, after `azure.md` B3 and `databricks.md` 10.2; not what is answered. A
//! member that is null counts as absent; unknown members are accepted and have no effect.

use super::config::OUTPUT_TOKENS_MAX;
use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use serde_json::{Map, Value};

/// Why a request cannot be answered; becomes a 400 of the OpenAI dialect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BadRequest {
    /// What is wrong and what would be right.
    pub(super) message: String,
    /// The member it is about.
    pub(super) param: Option<String>,
    /// A code of the dialect, where it has one.
    pub(super) code: Option<&'static str>,
}

impl BadRequest {
    /// `param` is not what it must be.
    pub(super) fn member(param: &str, problem: &str) -> Self {
        Self { message: format!("'{param}' {problem}."), param: Some(param.to_owned()), code: None }
    }
}

/// Members of a request or of an object in it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Members<'a>(pub(super) &'a Map<String, Value>);

impl<'a> Members<'a> {
    /// The member; `None` if it is absent or null.
    pub(super) fn get(self, name: &str) -> Option<&'a Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    /// A boolean.
    pub(super) fn boolean(self, name: &str, default: bool) -> Result<bool, BadRequest> {
        let Some(value) = self.get(name) else { return Ok(default) };
        value.as_bool().ok_or_else(|| BadRequest::member(name, "must be a boolean"))
    }

    /// An integer within `min..=max`.
    pub(super) fn integer(self, name: &str, min: u64, max: u64) -> Result<Option<u64>, BadRequest> {
        let Some(value) = self.get(name) else { return Ok(None) };
        match value.as_u64() {
            Some(number) if (min..=max).contains(&number) => Ok(Some(number)),
            Some(_) | None => {
                Err(BadRequest::member(name, &format!("must be an integer from {min} to {max}")))
            }
        }
    }

    /// A number within `min..=max`; only checked, the simulated model does not sample.
    fn number(self, name: &str, min: i32, max: i32) -> Result<(), BadRequest> {
        let Some(value) = self.get(name) else { return Ok(()) };
        match value.as_f64() {
            Some(number) if (f64::from(min)..=f64::from(max)).contains(&number) => Ok(()),
            Some(_) | None => Err(BadRequest::member(name, &format!("must be a number from {min} to {max}"))),
        }
    }

    /// A string.
    pub(super) fn text(self, name: &str) -> Result<Option<&'a str>, BadRequest> {
        let Some(value) = self.get(name) else { return Ok(None) };
        value.as_str().map(Some).ok_or_else(|| BadRequest::member(name, "must be a string"))
    }

    /// An object.
    pub(super) fn object(self, name: &str) -> Result<Option<Members<'a>>, BadRequest> {
        let Some(value) = self.get(name) else { return Ok(None) };
        value
            .as_object()
            .map(|map| Some(Self(map)))
            .ok_or_else(|| BadRequest::member(name, "must be an object"))
    }

    /// An array.
    pub(super) fn array(self, name: &str) -> Result<Option<&'a [Value]>, BadRequest> {
        let Some(value) = self.get(name) else { return Ok(None) };
        value
            .as_array()
            .map(|array| Some(array.as_slice()))
            .ok_or_else(|| BadRequest::member(name, "must be an array"))
    }
}

/// Members that bound and shape the answer of chat and completions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    /// The caller's bound of output tokens for each choice; 1 or more.
    pub(super) max_tokens: Option<u64>,
    /// Choices, for each prompt; 1..=128.
    pub(super) n: u32,
    /// Texts before which the answer ends; none is empty.
    pub(super) stops: Vec<String>,
    /// Whether the answer is a stream.
    pub(super) stream: bool,
    /// Whether a stream ends with usage.
    pub(super) include_usage: bool,
}

impl Shape {
    /// Reads and checks the members.
    pub(super) fn parse(members: Members<'_>) -> Result<Self, BadRequest> {
        let older = members.integer("max_tokens", 1, u64::MAX)?;
        let newer = members.integer("max_completion_tokens", 1, u64::MAX)?;
        let n = members.integer("n", 1, 128)?.unwrap_or(1);
        members.number("temperature", 0, 2)?;
        members.number("top_p", 0, 1)?;
        members.number("presence_penalty", -2, 2)?;
        members.number("frequency_penalty", -2, 2)?;
        let stream = members.boolean("stream", false)?;
        let options = members.object("stream_options")?;
        if options.is_some() && !stream {
            return Err(BadRequest::member("stream_options", "is only allowed when 'stream' is true"));
        }
        let include_usage = options.map_or(Ok(false), |options| options.boolean("include_usage", false))?;
        Ok(Self {
            max_tokens: newer.or(older),
            n: u32::try_from(n).unwrap_or(1),
            stops: stops(members)?,
            stream,
            include_usage,
        })
    }

    /// Output tokens that each of `choices` choices may have.
    pub(super) fn tokens_max(&self, choices: u64) -> u64 {
        let share = u64::from(OUTPUT_TOKENS_MAX).checked_div(choices).unwrap_or(1).max(1);
        self.max_tokens.map_or(share, |max| max.min(share))
    }
}

fn stops(members: Members<'_>) -> Result<Vec<String>, BadRequest> {
    const RULE: &str = "must be a string or an array of 1 to 16 strings, none of them empty";
    let wrong = || BadRequest::member("stop", RULE);
    let Some(value) = members.get("stop") else { return Ok(Vec::new()) };
    let texts = match value {
        Value::String(text) => Vec::from([text.clone()]),
        Value::Array(items) if (1..=16).contains(&items.len()) => items
            .iter()
            .map(|item| item.as_str().map(str::to_owned))
            .collect::<Option<_>>()
            .ok_or_else(wrong)?,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            return Err(wrong());
        }
    };
    if texts.iter().any(String::is_empty) { Err(wrong()) } else { Ok(texts) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_out_of_range_or_of_the_wrong_type_are_named() {
        let rows: [(&str, Option<&str>); 21] = [
            ("{}", None),
            (r#"{"max_tokens":1,"n":128,"stop":null,"temperature":2,"unknown":{}}"#, None),
            (r#"{"stop":"a","stream":true,"stream_options":{"include_usage":true}}"#, None),
            (r#"{"stop":["a","b"],"top_p":0.5,"frequency_penalty":-2.0}"#, None),
            (r#"{"max_tokens":0}"#, Some("max_tokens")),
            (r#"{"max_tokens":-1}"#, Some("max_tokens")),
            (r#"{"max_tokens":1.5}"#, Some("max_tokens")),
            (r#"{"max_tokens":"5"}"#, Some("max_tokens")),
            (r#"{"max_completion_tokens":0}"#, Some("max_completion_tokens")),
            (r#"{"n":0}"#, Some("n")),
            (r#"{"n":129}"#, Some("n")),
            (r#"{"stop":""}"#, Some("stop")),
            (r#"{"stop":[]}"#, Some("stop")),
            (r#"{"stop":[1]}"#, Some("stop")),
            (r#"{"stream":"yes"}"#, Some("stream")),
            (r#"{"stream_options":{"include_usage":true}}"#, Some("stream_options")),
            (r#"{"stream":true,"stream_options":{"include_usage":1}}"#, Some("include_usage")),
            (r#"{"temperature":2.1}"#, Some("temperature")),
            (r#"{"temperature":"hot"}"#, Some("temperature")),
            (r#"{"top_p":-0.1}"#, Some("top_p")),
            (r#"{"presence_penalty":3}"#, Some("presence_penalty")),
        ];
        for (text, wrong) in rows {
            let value: Value = serde_json::from_str(text).unwrap();
            let got = Shape::parse(Members(value.as_object().unwrap()));
            assert_eq!(got.err().and_then(|error| error.param).as_deref(), wrong, "{text}");
        }
    }
}
