//! Token counts out of an OpenAI-style answer, and the estimate where the upstream did not count.
//!
//! Stage 7. Decides what an answer says it used (`providers.md`, 1.3); not the counts of a stream
//! ([`super::observe`]) and not what they cost ([`super::price`]). Reads borrowed bytes; a count is taken or
//! refused, never trusted.

use super::record::Usage;
use crate::units;
use crate::wire::raw::Raw;
use alloc::borrow::Cow;
use alloc::vec::Vec;

/// The largest count that is believed, in tokens. No model has a window near it; a larger number is a fault of
/// the upstream (a negative count in an unsigned field), and counting it would close the caller's limits.
pub const TOKENS_MAX: u64 = 1_000_000_000;

/// How far from its end an answer is searched for its usage before it is parsed whole, in bytes.
const TAIL: usize = 2048;

/// What is read of a plain answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer<'a> {
    /// What the upstream counted; `None` if it did not, or not believably.
    pub usage: Option<Usage>,
    /// The model that answered, as the upstream names it.
    pub model: Option<Cow<'a, str>>,
    /// Whether it is an error all the same: a member `error` that is not null.
    pub error: bool,
}

/// Reads an answer; `None` if it is not one JSON object: the upstream answered garbage.
pub fn read(body: &[u8]) -> Option<Answer<'_>> {
    let mut answer = Answer { usage: None, model: None, error: false };
    for (name, value) in Raw::object(body)?.members() {
        match &*name {
            "usage" => answer.usage = from_member(value),
            "model" => answer.model = value.text(),
            "error" => answer.error = !value.is_null(),
            _ => {}
        }
    }
    Some(answer)
}

/// The `usage` member of an OpenAI-style answer (chat, completions, embeddings, or one event of a stream). `None` if
/// there is none, it is null, or its counts are absurd: then [`estimate`]. Large answers are read from their
/// end, where upstreams put it, and parsed whole only if it is not there.
pub fn from_json(body: &[u8]) -> Option<Usage> {
    let tail = body.get(body.len().saturating_sub(TAIL)..).filter(|tail| tail.len() < body.len());
    tail.and_then(from_tail).or_else(|| read(body)?.usage)
}

/// The last `usage` member of an event, however deep it stands; `None` as in [`from_json`].
pub fn nested(event: &str) -> Option<Usage> {
    let (_, behind) = event.rsplit_once("\"usage\"")?;
    from_member(Raw::first(behind.trim_start().strip_prefix(':')?)?)
}

/// What an exchange used by length of text alone, in characters: `(length + 1) / 4` (`databricks.md`, 7.6).
pub const fn estimate(prompt_chars: u64, output_chars: u64) -> Usage {
    Usage {
        input: units::tokens_of(prompt_chars),
        cached_input: 0,
        output: units::tokens_of(output_chars),
        reasoning: 0,
        estimated: true,
    }
}

/// Finds the top-level `usage` in the last bytes of an answer.
///
/// In well-formed JSON `"usage"` after `,` or `{` begins a member (inside a string its quotes would be
/// escaped), and if what follows is the rest of one object up to the answer's end, that object is the answer.
fn from_tail(tail: &[u8]) -> Option<Usage> {
    let at = memchr::memmem::rfind(tail, b"\"usage\"")?;
    let (before, member) = tail.split_at_checked(at)?;
    match before.trim_ascii_end().last() {
        Some(b',' | b'{') => {}
        Some(_) | None => return None,
    }
    let mut object = Vec::with_capacity(member.len().saturating_add(1));
    object.push(b'{');
    object.extend_from_slice(member);
    read(&object)?.usage
}

/// The text of a `usage` member alone, as an observer of streams keeps it; `None` as in [`from_json`].
pub(super) fn from_text(member: &[u8]) -> Option<Usage> {
    from_member(Raw::object(member)?)
}

/// The counts as the upstream wrote them; those that are null are absent.
#[derive(Default)]
struct Counts<'a> {
    input: Option<Raw<'a>>,
    output: Option<Raw<'a>>,
    total: Option<Raw<'a>>,
    cached: Option<Raw<'a>>,
    reasoning: Option<Raw<'a>>,
}

impl<'a> Counts<'a> {
    /// The Responses API and images say input and output for prompt and completion; newer foundation models of
    /// Databricks have the reasoning beside the others (`databricks.md`, 10.4). Where a server says both, the chat's own
    /// names count, whatever their order.
    fn read(usage: Raw<'a>) -> Self {
        let mut counts = Self::default();
        for (name, value) in usage.members().filter(|(_, value)| !value.is_null()) {
            let (count, value, own) = match &*name {
                "prompt_tokens" => (&mut counts.input, Some(value), true),
                "input_tokens" => (&mut counts.input, Some(value), false),
                "completion_tokens" => (&mut counts.output, Some(value), true),
                "output_tokens" => (&mut counts.output, Some(value), false),
                "total_tokens" => (&mut counts.total, Some(value), true),
                "prompt_tokens_details" => (&mut counts.cached, value.get("cached_tokens"), true),
                "input_tokens_details" => (&mut counts.cached, value.get("cached_tokens"), false),
                "completion_tokens_details" => (&mut counts.reasoning, value.get("reasoning_tokens"), true),
                "output_tokens_details" => (&mut counts.reasoning, value.get("reasoning_tokens"), false),
                "reasoning_tokens" => (&mut counts.reasoning, Some(value), false),
                _ => continue,
            };
            *count = if own { value.or(*count) } else { count.or(value) };
        }
        counts
    }
}

/// A `usage` object's counts. One of the three main counts that is there and not believable refuses the whole;
/// a missing one follows from the other two; parts are never more than what they are a part of.
fn from_member(usage: Raw<'_>) -> Option<Usage> {
    let counts = Counts::read(usage);
    let main = |raw: Option<Raw<'_>>| raw.map(|raw| raw.count(TOKENS_MAX).ok_or(())).transpose().ok();
    let (input, output, total) = (main(counts.input)?, main(counts.output)?, main(counts.total)?);
    let (input, output) = match (input, output, total) {
        (Some(input), Some(output), _) => (input, output),
        (Some(input), None, total) => (input, total.unwrap_or(input).saturating_sub(input)),
        (None, Some(output), total) => (total.unwrap_or(output).saturating_sub(output), output),
        (None, None, Some(total)) => (total, 0),
        (None, None, None) => return None,
    };
    let part = |raw: Option<Raw<'_>>| raw.and_then(|raw| raw.count(TOKENS_MAX)).unwrap_or(0);
    Some(Usage {
        input,
        cached_input: part(counts.cached).min(input),
        output,
        reasoning: part(counts.reasoning).min(output),
        estimated: false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    fn used(input: u64, cached_input: u64, output: u64, reasoning: u64) -> Option<Usage> {
        (input <= TOKENS_MAX).then_some(Usage { input, cached_input, output, reasoning, estimated: false })
    }

    #[test]
    fn counts_are_read_from_every_form_of_usage() {
        let rows: &[(&str, Option<Usage>)] = &[
            (r#"{"prompt_tokens":5,"completion_tokens":7,"total_tokens":12}"#, used(5, 0, 7, 0)),
            (r#"{"prompt_tokens":5,"total_tokens":5}"#, used(5, 0, 0, 0)),
            (r#"{"prompt_tokens":5,"completion_tokens":null,"total_tokens":9}"#, used(5, 0, 4, 0)),
            (r#"{"completion_tokens":4,"total_tokens":9}"#, used(5, 0, 4, 0)),
            (r#"{"total_tokens":9}"#, used(9, 0, 0, 0)),
            (r#"{"prompt_tokens":12.0,"completion_tokens":1.2e1}"#, used(12, 0, 12, 0)),
            (r#"{"prompt_tokens":120e-1,"completion_tokens":0.5}"#, used(12, 0, 0, 0)),
            (
                r#"{"prompt_tokens":141,"prompt_tokens_details":{"cached_tokens":100,"audio_tokens":null},
                    "completion_tokens":22,"completion_tokens_details":{"reasoning_tokens":20}}"#,
                used(141, 100, 22, 20),
            ),
            (r#"{"prompt_tokens":3,"completion_tokens":1,"prompt_tokens_details":null}"#, used(3, 0, 1, 0)),
            (r#"{"prompt_tokens":3,"completion_tokens":1,"prompt_tokens_details":"x"}"#, used(3, 0, 1, 0)),
            (
                r#"{"prompt_tokens":3,"completion_tokens":1,"prompt_tokens_details":{"cached_tokens":9}}"#,
                used(3, 3, 1, 0),
            ),
            (
                r#"{"input_tokens":0,"output_tokens":0,"prompt_tokens":5,"completion_tokens":7}"#,
                used(5, 0, 7, 0),
            ),
            (
                r#"{"prompt_tokens":5,"completion_tokens":7,"input_tokens":0,"output_tokens":0}"#,
                used(5, 0, 7, 0),
            ),
            (r#"{"input_tokens":5,"output_tokens":7,"total_tokens":12}"#, used(5, 0, 7, 0)),
            (
                r#"{"reasoning_tokens":1,"prompt_tokens":5,"completion_tokens":7,
                    "completion_tokens_details":{"reasoning_tokens":3}}"#,
                used(5, 0, 7, 3),
            ),
            (r#"{"prompt_tokens":-1,"completion_tokens":1}"#, None),
            (r#"{"prompt_tokens":4294967295,"completion_tokens":1}"#, None),
            (r#"{"prompt_tokens":1e300,"completion_tokens":1}"#, None),
            (r#"{"prompt_tokens":1e2000000000,"completion_tokens":1}"#, None),
            (r#"{"prompt_tokens":0e2000000000,"completion_tokens":1}"#, used(0, 0, 1, 0)),
            (r#"{"prompt_tokens":0.0e-2000000000,"completion_tokens":1}"#, used(0, 0, 1, 0)),
            (r#"{"prompt_tokens":"5","completion_tokens":1}"#, None),
            ("{}", None),
            ("null", None),
            ("[]", None),
            ("[5,7,12]", None),
            ("7", None),
        ];
        let padding = "x".repeat(3 * TAIL);
        for (usage, expected) in rows {
            for body in [
                format!(r#"{{"id":"a","usage":{usage}}}"#),
                format!(r#"{{"pad":"{padding}","usage":{usage},"service_tier":"default"}} "#),
                format!(r#"{{"usage" : {usage},"pad":"{padding}"}}"#),
                format!(r#"{{"pad":"{padding}", "usage" : {usage},"x":{{"usage":{{"prompt_tokens":99}}}}}}"#),
            ] {
                assert_eq!(from_json(body.as_bytes()), *expected, "{usage}");
                assert_eq!(read(body.as_bytes()).unwrap().usage, *expected, "{usage}");
            }
        }
    }

    #[test]
    fn text_that_only_looks_like_usage_is_not_counted() {
        let padding = "x".repeat(3 * TAIL);
        let real = r#""usage":{"prompt_tokens":1,"completion_tokens":2}"#;
        for fake in [
            r#""a":"\"usage\":{\"prompt_tokens\":99}}""#,
            r#""a,\"usage":{"prompt_tokens":99}"#,
            r#""a":{"usage":{"prompt_tokens":99}}"#,
            r#""a":[{"usage":{"prompt_tokens":99}}]"#,
            r#""a":"usage""#,
            r#""a":["usage"]"#,
        ] {
            let body = format!(r#"{{{real},"p":"{padding}",{fake}}}"#);
            assert_eq!(from_json(body.as_bytes()), used(1, 0, 2, 0), "{fake}");
            let body = format!(r#"{{"p":"{padding}",{fake}}}"#);
            assert_eq!(from_json(body.as_bytes()), None, "{fake}");
        }
    }

    #[test]
    fn garbage_is_not_an_object() {
        let deep = "[".repeat(100_000);
        for (body, object) in [
            ("{}", true),
            (" {\"a\":[1,{\"b\":null}]} \n", true),
            ("", false),
            ("[]", false),
            ("null", false),
            ("{}{}", false),
            ("{\"a\":1", false),
            ("<html></html>", false),
            (&*format!("{{\"a\":{deep}"), false),
        ] {
            assert_eq!(read(body.as_bytes()).is_some(), object);
            assert_eq!(from_json(body.as_bytes()), None);
        }
        assert!(from_json(b"\xff\xfe").is_none());
    }

    #[test]
    fn the_model_that_answered_is_read() {
        for (body, model) in [
            (r#"{"model":"gpt-4o"}"#, Some("gpt-4o")),
            (r#"{"model":"a\/b"}"#, Some("a/b")),
            (r#"{"model":7}"#, None),
            (r#"{"model":null}"#, None),
            ("{}", None),
        ] {
            assert_eq!(read(body.as_bytes()).unwrap().model.as_deref(), model);
        }
    }

    #[test]
    fn an_estimate_is_a_quarter_of_the_text_and_says_so() {
        for (chars, tokens) in [(0, 0), (3, 1), (6, 1), (7, 2), (u64::MAX, u64::MAX / 4)] {
            let usage = estimate(chars, chars);
            assert_eq!((usage.input, usage.output, usage.estimated), (tokens, tokens, true));
        }
    }
}
