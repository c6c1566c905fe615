//! Text completions of a simulated model.
//!
//! Decides prompts and choices of a request (`azure.md` B3, `providers.md` 2.1); texts are `compose`'s. Where
//! `max_tokens` is absent it is 16, as the dialect says.

use super::compose::{Choice, Topic, end, reply};
use super::config::SimulatorConfig;
use super::embed::tokens;
use super::request::{BadRequest, Members, Shape};
use super::tokenize;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use serde_json::Value;

/// Most choices of all prompts together.
const CHOICES_MAX: u64 = 2_048;
/// Most bytes of prompts that `echo` repeats, over all choices.
const ECHO_BYTES_MAX: u64 = 4 << 20;

/// A request for completions, answered.
pub(super) struct Completion {
    /// Bounds and form of the answer.
    pub(super) shape: Shape,
    /// Tokens of all prompts.
    pub(super) prompt_tokens: u64,
    /// Choices: those of the first prompt, then those of the second, and so on.
    pub(super) choices: Vec<Choice>,
}

/// What is answered to a request.
pub(super) fn complete(
    config: &SimulatorConfig,
    model: &str,
    members: Members<'_>,
) -> Result<Completion, BadRequest> {
    let mut shape = Shape::parse(members)?;
    shape.max_tokens = shape.max_tokens.or(Some(16));
    let best_of = members.integer("best_of", 1, 20)?;
    if best_of.is_some_and(|best_of| best_of < u64::from(shape.n)) {
        return Err(BadRequest::member("best_of", "must not be smaller than 'n'"));
    }
    let prompts = prompts(members)?;
    let count = u64::try_from(prompts.len()).unwrap_or(u64::MAX);
    let all = count.saturating_mul(shape.n.into());
    if all > CHOICES_MAX {
        return Err(BadRequest::member("n", "times the number of prompts must be at most 2048"));
    }
    let echo = members.boolean("echo", false)?;
    let bytes = prompts.iter().map(|prompt| u64::try_from(prompt.len()).unwrap_or(u64::MAX));
    let echoed = bytes.fold(0, u64::saturating_add).saturating_mul(shape.n.into());
    if echo && echoed > ECHO_BYTES_MAX {
        return Err(BadRequest::member("echo", "would repeat more than 4 MiB"));
    }
    let sizes: Vec<u64> = prompts.iter().map(|prompt| tokenize::count(prompt)).collect();
    let max = shape.tokens_max(all);
    let mut choices = Vec::new();
    for (prompt, tokens) in prompts.iter().zip(&sizes) {
        let topic = Topic { model, last: prompt, messages: 1, tokens: *tokens, choices: shape.n };
        for index in 0..shape.n {
            let mut choice = end(reply(config, &topic, index), &shape, max);
            if echo {
                choice.echo.clone_from(prompt);
            }
            choices.push(choice);
        }
    }
    Ok(Completion { shape, prompt_tokens: sizes.into_iter().fold(0, u64::saturating_add), choices })
}

/// A string, tokens, or an array of either. Tokens stand for words that show their numbers.
fn prompts(members: Members<'_>) -> Result<Vec<String>, BadRequest> {
    const RULE: &str = "must be a string, an array of tokens, or an array of 1 to 2048 of these";
    let wrong = || BadRequest::member("prompt", RULE);
    let words = |tokens: Vec<u64>| {
        let words: Vec<String> = tokens.iter().map(ToString::to_string).collect();
        words.join(" ")
    };
    let items = match members.get("prompt") {
        Some(Value::String(text)) => return Ok(vec![text.clone()]),
        Some(Value::Array(items)) if !items.is_empty() => items,
        Some(_) | None => return Err(wrong()),
    };
    if items.iter().all(Value::is_number) {
        return tokens(items).map(|tokens| vec![words(tokens)]).ok_or_else(wrong);
    }
    let one = |item: &Value| match item {
        Value::String(text) => Some(text.clone()),
        Value::Array(items) => tokens(items).map(words),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => None,
    };
    items.iter().map(one).collect::<Option<_>>().ok_or_else(wrong)
}
