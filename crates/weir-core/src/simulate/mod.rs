//! The simulated model: a deterministic, built-in stand-in for a model, for developing and load-testing
//! applications offline.
//!
//! Decides its whole answer, delays and faults included, as data ([`Script`]); performs nothing. It is what an
//! attempt (stage 5) calls instead of an upstream, and speaks the OpenAI dialect as `providers.md` 1 and 2 give
//! it. The same directives, model and request give the same answer, whoever asks and wherever; only `created`
//! follows the time, and only delays and faults that a directive leaves to chance follow the random word.
//!
//! # What it answers
//!
//! - *Chat and completions*: the directed `reply`, or a text that repeats the last message. `max_tokens` (or
//!   `max_completion_tokens`), `stop`, `n`, `stream` and `stream_options.include_usage` hold as in the dialect.
//!   Tokens are counted by one simple rule: a token is a run of at most 8 letters or digits with one space before
//!   it, or one other character. An answer has at most 16384 tokens, all its choices together.
//! - *Tools*: it calls the functions that the last message, if it is a user's, mentions by name (`get_weather`
//!   is mentioned by "get weather" too); with `tool_choice` `required` the first one if none is mentioned; with a
//!   named function that one; at most 8, one if `parallel_tool_calls` is false. Arguments fit the function's
//!   schema. Only arguments count as output tokens.
//! - *`response_format`*: an object for `json_object` (the directed reply if that is one), an instance of the
//!   schema for `json_schema`.
//! - *Embeddings*: unit vectors in which texts that share words are near each other; `dimensions` and
//!   `encoding_format` `float` and `base64` hold.
//! - *Wrong requests*: 400 in the dialect's form, with the member.
//!
//! `model` is the upstream's name, with `weir-simulator-` before it unless it has the word `simulator` in it;
//! `system_fingerprint` is `fp_weir_simulator`.
//!
//! # Directives
//!
//! They stand in the served entity's configuration, never in a request: a caller cannot misuse them. Each is
//! optional.
//!
//! | directive | unit and range | effect |
//! |---|---|---|
//! | `reply` | text, 1..=65536 bytes | the reply; `{model}`, `{last}`, `{messages}`, `{tokens}`, `{choice}`, `{choices}` are filled in |
//! | `reply_tokens` | tokens, 1..=16384 | text replies are repeated or cut to this length |
//! | `chunk_tokens` | tokens, 1..=1000 (1) | size of one event of a stream |
//! | `usage` | `report`, `omit`, `every_event` | which usage is told |
//! | `dimensions` | numbers, 1..=4096 (256) | size of an embedding unless the caller says one |
//! | `context_tokens` | tokens | longer prompts get 400 `context_length_exceeded` |
//! | `first_token_ms` | ms, 0..=600000 (0) | delay before the answer |
//! | `token_ms` | ms, 0..=600000 (0) | delay before each further event; a plain answer waits for their sum |
//! | `jitter_percent` | percent, 0..=100 (0) | delays vary by chance by up to this share |
//! | `rate_limit` | `{retry_after_s, when}` | 429 `rate_limit_exceeded` with `retry-after` (0..=86400 s, 1) |
//! | `fail` | `{status, message, code, retry_after_s, when}` | an error with status 400..=599 |
//! | `garbage` | boolean | 200 with something that is not JSON |
//! | `break_after_events` | events, from 0 | breaks off in mid-stream, or after half of a plain answer |
//! | `hang` | `before_answer`, `before_end` | falls silent for ever |
//!
//! `when` has the members `percent` (0..=100), `one_in` (1 or more) and `outage` (`{every_ms, for_ms}`: the first
//! `for_ms` of every `every_ms`); all given must hold; without any it is always. Faults are looked at in the order
//! `hang: before_answer`, `rate_limit`, `fail`, `garbage`, then the request itself.

mod completion;
mod compose;
mod config;
mod conversation;
mod embed;
mod random;
mod render;
mod request;
mod schema;
mod script;
mod shape;
mod tokenize;

pub use config::{
    DELAY_MS_MAX, DIMENSIONS_MAX, Fail, Hang, InvalidDirective, OUTPUT_TOKENS_MAX, Outage, REPLY_BYTES_MAX,
    RateLimit, SimulatorConfig, UsageReport, When,
};
pub use script::{Chunk, Script, ScriptEnd};

use crate::snapshot::Task;
use crate::time::UnixMillis;
use alloc::borrow::{Cow, ToOwned};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use request::{BadRequest, Members};
use serde_json::Value;
use shape::{ErrorBody, ErrorMembers, Head};

/// What `system_fingerprint` says.
pub const FINGERPRINT: &str = "fp_weir_simulator";

/// The answer of the simulated model `upstream_model` to the request `body` for `task`, as a script.
///
/// `now` dates the answer and places it in directed outages; `random` decides what directives leave to chance.
pub fn answer(
    config: &SimulatorConfig,
    upstream_model: &str,
    task: Task,
    body: &[u8],
    now: UnixMillis,
    random: u64,
) -> Script {
    if config.hang == Some(Hang::BeforeAnswer) {
        return Script::silence();
    }
    if let Some(script) = fault(config, now, random) {
        return script;
    }
    let model = model_name(upstream_model);
    request_answer(config, &model, task, body, now, random).unwrap_or_else(|error| bad_request(&error))
}

/// The directed fault that strikes, if one does.
fn fault(config: &SimulatorConfig, now: UnixMillis, random: u64) -> Option<Script> {
    if let Some(limit) =
        config.rate_limit.as_ref().filter(|limit| limit.when.strikes(now, random::mix(random ^ 1)))
    {
        let message = "The simulated model's rate limit is exceeded, as its configuration directs.";
        let mut script = error(429, message, None, Some("rate_limit_exceeded"));
        script.headers.push(("retry-after", limit.retry_after_s.unwrap_or(1).to_string()));
        return Some(script);
    }
    if let Some(fail) = config.fail.as_ref().filter(|fail| fail.when.strikes(now, random::mix(random ^ 2))) {
        let message =
            fail.message.as_deref().unwrap_or("The simulated model failed, as its configuration directs.");
        let mut script = error(fail.status.clamp(400, 599), message, None, fail.code.as_deref());
        if let Some(seconds) = fail.retry_after_s {
            script.headers.push(("retry-after", seconds.to_string()));
        }
        return Some(script);
    }
    let garbage =
        || Script::json(200, b"<html>This is not JSON, as the configuration directs.</html>\n".to_vec());
    config.garbage.then(garbage)
}

fn request_answer(
    config: &SimulatorConfig,
    model: &str,
    task: Task,
    body: &[u8],
    now: UnixMillis,
    random: u64,
) -> Result<Script, BadRequest> {
    let value: Value = serde_json::from_slice(body).map_err(|error| BadRequest {
        message: format!("The request body is not valid JSON: {error}."),
        param: None,
        code: None,
    })?;
    let members = Members(value.as_object().ok_or_else(|| BadRequest {
        message: "The request body must be a JSON object.".to_owned(),
        param: None,
        code: None,
    })?);
    let key = random::hash(body) ^ random::mix(random::hash(model.as_bytes()));
    let frame = |chat: bool, id, prompt_tokens| {
        let object = if chat { "chat.completion" } else { "text_completion" };
        let head = Head { id, object, created: now.seconds(), model, system_fingerprint: FINGERPRINT };
        render::Frame { config, head, chat, prompt_tokens, random }
    };
    match task {
        Task::Chat => {
            let ask = conversation::Conversation::parse(members)?;
            check_context(config, ask.prompt_tokens, "messages")?;
            let choices = compose::chat(config, model, &ask, key);
            let id = format!("chatcmpl-sim{key:016x}");
            Ok(render::answer(&frame(true, &id, ask.prompt_tokens), &ask.shape, &choices))
        }
        Task::Completions => {
            let done = completion::complete(config, model, members)?;
            check_context(config, done.prompt_tokens, "prompt")?;
            let id = format!("cmpl-sim{key:016x}");
            Ok(render::answer(&frame(false, &id, done.prompt_tokens), &done.shape, &done.choices))
        }
        Task::Embeddings => embed::answer(config, model, members, random),
    }
}

/// Refuses a prompt of more tokens than are directed.
fn check_context(config: &SimulatorConfig, tokens: u64, param: &str) -> Result<(), BadRequest> {
    match config.context_tokens.map(u64::from) {
        Some(max) if tokens > max => Err(BadRequest {
            message: format!("The model's maximum context length is {max} tokens; '{param}' has {tokens}."),
            param: Some(param.to_owned()),
            code: Some("context_length_exceeded"),
        }),
        Some(_) | None => Ok(()),
    }
}

fn model_name(upstream_model: &str) -> Cow<'_, str> {
    if upstream_model.contains("simulator") {
        Cow::Borrowed(upstream_model)
    } else {
        Cow::Owned(format!("weir-simulator-{upstream_model}"))
    }
}

fn bad_request(problem: &BadRequest) -> Script {
    error(400, &problem.message, problem.param.as_deref(), problem.code)
}

fn error(status: u16, message: &str, param: Option<&str>, code: Option<&str>) -> Script {
    let kind = match status {
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        408 | 504 => "timeout_error",
        429 => "rate_limit_error",
        503 => "overloaded_error",
        500.. => "api_error",
        _ => "invalid_request_error",
    };
    let body: Vec<u8> = shape::json(&ErrorBody { error: ErrorMembers { message, kind, param, code } });
    Script::json(status, body)
}

/// The whole body of a script, its chunks joined: for tests and for whoever does not care about time.
impl Script {
    /// All bytes of the body.
    pub fn body(&self) -> Vec<u8> {
        self.chunks.iter().flat_map(|chunk| chunk.bytes.iter().copied()).collect()
    }

    /// The value of the header `name`, given in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| *header == name).map(|(_, value): &(_, String)| value.as_str())
    }
}

#[cfg(test)]
mod tests;
