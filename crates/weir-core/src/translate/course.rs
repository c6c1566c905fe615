//! What a caller of another dialect is told of a canonical answer beside its texts: why it ended, what it used, what a
//! content filter found.
//!
//! Stage 6. Both dialects of callers have one choice, so the first is told. Decides what is taken for the usage where the
//! upstream did not count: the length of what was said, as everywhere (`units::tokens_of`).

use crate::units;
use crate::wire::object::Object;
use crate::wire::raw::Raw;
use alloc::borrow::ToOwned;
use alloc::string::String;

/// What is known of an answer so far.
#[derive(Debug, Default)]
pub(super) struct Course {
    /// The canonical `finish_reason`; empty as long as there is none.
    pub(super) finish: String,
    /// What was found in the prompt, JSON; empty where nothing is told.
    pub(super) prompt_found: String,
    /// The same of the answer.
    pub(super) found: String,
    usage: Option<String>,
    /// What the input is taken for until it is counted, in tokens.
    pub(super) input: u64,
    /// Bytes of what was said.
    said: u64,
}

/// The data of whole canonical events, each one line.
pub(super) fn datas(events: &[u8]) -> impl Iterator<Item = &str> {
    let text = core::str::from_utf8(events).unwrap_or_default();
    text.lines().filter_map(|line| line.strip_prefix("data:")).map(str::trim)
}

impl Course {
    /// Nothing said yet; `input` is what the input is taken for until it is counted, in tokens.
    pub(super) fn new(input: u64) -> Self {
        Self { input, ..Self::default() }
    }

    /// Takes a chunk, or a whole answer; gives the choice of it that is told.
    pub(super) fn see<'a>(&mut self, body: Raw<'a>) -> Option<Raw<'a>> {
        if let Some(usage) = body.get("usage") {
            self.usage = Some(usage.as_str().to_owned());
        }
        let told = body.get("prompt_filter_results").and_then(|list| list.items().next());
        take(&mut self.prompt_found, told.and_then(|prompt| prompt.get("content_filter_results")));
        let first = |choice: &Raw<'_>| choice.get("index").is_none_or(|index| index.count(9) == Some(0));
        let choice = body.get("choices").and_then(|list| list.items().find(first))?;
        take(&mut self.found, choice.get("content_filter_results"));
        if let Some(finish) = choice.text_at("finish_reason") {
            self.finish = finish.into_owned();
        }
        if self.usage.is_none() {
            let said = choice.get("delta").or_else(|| choice.get("message"));
            self.said = self.said.saturating_add(said.map_or(0, length));
        }
        Some(choice)
    }

    /// The canonical `usage`.
    pub(super) fn usage(&self) -> String {
        let counted = |usage: &&str| Raw::trusted(usage).get("prompt_tokens").is_some();
        match self.usage.as_deref().filter(counted) {
            Some(usage) => usage.to_owned(),
            None => self.taken(units::tokens_of(self.said)),
        }
    }

    /// The canonical `usage` before anything is said.
    pub(super) fn begun(&self) -> String {
        self.taken(0)
    }

    fn taken(&self, output: u64) -> String {
        Object::new().number("prompt_tokens", self.input).number("completion_tokens", output).end()
    }
}

fn take(place: &mut String, found: Option<Raw<'_>>) {
    if let Some(found) = found.filter(|found| found.is_object() && found.as_str() != "{}") {
        found.as_str().clone_into(place);
    }
}

/// Bytes of what a message, or a piece of one, says.
fn length(said: Raw<'_>) -> u64 {
    let of = |text: Option<Raw<'_>>| {
        text.filter(Raw::is_text).map_or(0, |text| text.as_str().len().saturating_sub(2))
    };
    let texts = ["content", "reasoning_content", "refusal"].into_iter().map(|name| of(said.get(name)));
    let calls = said.get("tool_calls").into_iter().flat_map(|list| list.items());
    let all = texts.chain(calls.map(|call| of(call.at("function.arguments"))));
    u64::try_from(all.fold(0, usize::saturating_add)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_counted_is_taken_by_its_length() {
        let mut course = Course::new(7);
        for chunk in [
            r#"{"choices":[],"prompt_filter_results":[{"prompt_index":0,"content_filter_results":{"hate":1}}]}"#,
            r#"{"choices":[{"index":1,"delta":{"content":"of another choice"}},{"index":0,"delta":{"content":"sixteen letters."}}]}"#,
            r#"{"choices":[{"delta":{"tool_calls":[{"function":{"arguments":"{}  "}}]},"finish_reason":"stop","content_filter_results":{}}],"usage":null}"#,
        ] {
            course.see(Raw::trusted(chunk));
        }
        assert_eq!(course.usage(), r#"{"prompt_tokens":7,"completion_tokens":5}"#);
        assert_eq!((&*course.finish, &*course.prompt_found, &*course.found), ("stop", r#"{"hate":1}"#, ""));
        course.see(Raw::trusted(r#"{"choices":[],"usage":{"prompt_tokens":1}}"#));
        assert_eq!(course.usage(), r#"{"prompt_tokens":1}"#);
    }
}
