//! The top-level members of a request: which go on, under which name, and which cannot be said at a provider.
//!
//! Stage 6. Decides by a provider's table; what needs more than another name is read by the provider itself. A member
//! that the canonical dialect does not know is meant for the provider and goes on as it is.

use crate::wire::WireError;
use crate::wire::error::echo;
use crate::wire::object::{Array, Object};
use crate::wire::raw::Raw;
use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;

/// What was not passed on as it was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notes {
    /// Members that have no equivalent.
    pub dropped: Vec<&'static str>,
    /// Members whose value was brought into the provider's range.
    pub adjusted: Vec<&'static str>,
}

impl Notes {
    /// Notes a member that is left out.
    pub fn drop(&mut self, member: &'static str) {
        if !self.dropped.contains(&member) {
            self.dropped.push(member);
        }
    }

    /// Notes a member that is changed.
    pub fn adjust(&mut self, member: &'static str) {
        if !self.adjusted.contains(&member) {
            self.adjusted.push(member);
        }
    }

    /// The headers that tell of it.
    pub fn headers(&self) -> impl Iterator<Item = (&'static str, String)> {
        let told = [("x-weir-dropped", &self.dropped), ("x-weir-adjusted", &self.adjusted)];
        told.into_iter().filter(|(_, names)| !names.is_empty()).map(|(name, names)| (name, names.join(", ")))
    }
}

/// What becomes of a member at a provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// It goes on under this name.
    As(&'static str),
    /// The provider's own code reads it.
    Read,
}

/// Every member of the canonical dialect (`providers.md`, 1.1 and 2.1). Those that a provider's table does not name
/// are dropped there and told.
const CANONICAL: [&str; 49] = [
    "model",
    "messages",
    "max_tokens",
    "max_completion_tokens",
    "temperature",
    "top_p",
    "n",
    "stop",
    "stream",
    "stream_options",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "response_format",
    "seed",
    "presence_penalty",
    "frequency_penalty",
    "logit_bias",
    "logprobs",
    "top_logprobs",
    "user",
    "reasoning_effort",
    "metadata",
    "store",
    "service_tier",
    "prompt_cache_key",
    "prompt_cache_retention",
    "safety_identifier",
    "verbosity",
    "modalities",
    "audio",
    "prediction",
    "web_search_options",
    "functions",
    "function_call",
    "prompt",
    "suffix",
    "echo",
    "best_of",
    "input",
    "dimensions",
    "encoding_format",
    "input_type",
    "use_context",
    "client_request_id",
    "usage_context",
    "extra_headers",
    "ignore_eos",
    "use_beam_search",
];

/// Members that say nothing to a provider and whose absence nobody misses.
const SILENT: [&str; 6] =
    ["model", "stream", "stream_options", "client_request_id", "usage_context", "encoding_format"];

/// What the code of every provider reads of a chat whose messages it writes anew.
const READ: [&str; 11] = [
    "messages",
    "max_tokens",
    "max_completion_tokens",
    "temperature",
    "top_p",
    "n",
    "stop",
    "tools",
    "tool_choice",
    "response_format",
    "reasoning_effort",
];

/// Writes the members of `body` by `table`; those without an equivalent are noted.
pub fn pass(body: Raw<'_>, table: &[(&str, Rule)], out: &mut Object, notes: &mut Notes) {
    let rule = |name: &str| table.iter().find(|(known, _)| *known == name).map(|(_, rule)| *rule);
    pass_by(body, &rule, out, notes);
}

/// As [`pass`], of a chat: what all providers' code reads, and what `own` names beside, is read.
pub fn pass_chat(body: Raw<'_>, own: &[&str], out: &mut Object, notes: &mut Notes) {
    let read = |name: &str| READ.iter().chain(own).any(|known| *known == name);
    pass_by(body, &|name| read(name).then_some(Rule::Read), out, notes);
}

fn pass_by(body: Raw<'_>, rule: &dyn Fn(&str) -> Option<Rule>, out: &mut Object, notes: &mut Notes) {
    for (name, value) in body.members() {
        if value.is_null() {
            continue;
        }
        if let Some(rule) = rule(&name) {
            if let Rule::As(other) = rule {
                out.put(other, value.as_str());
            }
            continue;
        }
        match CANONICAL.iter().find(|known| **known == name) {
            Some(known) if !SILENT.contains(known) && !says_nothing(known, value) => notes.drop(known),
            Some(_) => {}
            None => out.put(&name, value.as_str()),
        }
    }
}

/// Whether a value asks for what happens anyway.
fn says_nothing(name: &str, value: Raw<'_>) -> bool {
    match name {
        "n" | "best_of" => value.count(9) == Some(1),
        "parallel_tool_calls" => value.is_true(),
        "service_tier" => value.is("auto") || value.is("default"),
        "modalities" => value.items().all(|item| item.is("text")),
        "verbosity" => value.is("medium"),
        _ => matches!(value.as_str(), "0" | "0.0" | "false" | "{}" | "[]" | "\"\""),
    }
}

/// The refusal of a member, for what must not be left out.
pub fn refuse(member: &str, expected: &str, got: Option<Raw<'_>>) -> WireError {
    WireError::NotSupported {
        member: member.to_owned(),
        expected: expected.to_owned(),
        got: got.map(|raw| echo(raw.as_str())),
    }
}

/// Refuses a request for several answers at once.
///
/// # Errors
/// [`WireError::NotSupported`] if `n` is more than one.
pub fn one_answer(body: Raw<'_>) -> Result<(), WireError> {
    match body.get("n") {
        Some(n) if n.count(u64::MAX) != Some(1) => Err(refuse("n", "1 with this model", Some(n))),
        Some(_) | None => Ok(()),
    }
}

/// The texts of `input` as an array, 1 to `max` of them.
///
/// # Errors
/// [`WireError::NotSupported`], with what is `expected`, for none, for too many, and for token numbers.
pub fn texts(body: Raw<'_>, max: usize, expected: &str) -> Result<Array, WireError> {
    let input = body.get("input");
    let mut list = Array::default();
    let mut count = 0usize;
    let one = input.filter(Raw::is_text);
    for text in one.into_iter().chain(input.into_iter().flat_map(|list| list.items())) {
        count = if text.is_text() { count.saturating_add(1) } else { usize::MAX };
        list.put(text.as_str());
    }
    if (1..=max).contains(&count) { Ok(list) } else { Err(refuse("input", expected, input)) }
}

/// The stop sequences as an array, at most `max` of them; blank ones are no use to a provider and left out.
pub fn stops(body: Raw<'_>, max: usize, notes: &mut Notes) -> Option<String> {
    let stop = body.get("stop")?;
    let one = stop.is_text().then_some(stop);
    let mut list = Array::default();
    let mut count = 0usize;
    for word in one.into_iter().chain(stop.items()) {
        let blank = word.text().is_none_or(|text| text.trim().is_empty());
        if blank || count >= max {
            notes.adjust("stop");
            continue;
        }
        list.put(word.as_str());
        count = count.saturating_add(1);
    }
    (count > 0).then(|| list.end())
}
