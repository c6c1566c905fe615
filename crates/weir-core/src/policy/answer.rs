//! The choices of an answer, or of one event of a stream: their texts, and where something can be put in.
//!
//! Stage `policy`. Decides what of an answer is text that a caller may read (all strings of a choice but identifiers,
//! log probabilities and annotations), and finds the places of its choices; not what is in the text.

use crate::wire::tokens::{Kind, Token, Tokens};
use alloc::borrow::Cow;
use alloc::vec::Vec;

/// Members of a choice whose strings are no text.
const NO_TEXT: [&str; 10] = [
    "role",
    "type",
    "id",
    "finish_reason",
    "stop_reason",
    "index",
    "object",
    "model",
    "data",
    "encrypted_content",
];
/// Members whose whole value is no text.
const NO_TEXT_INSIDE: [&str; 4] =
    ["logprobs", "content_filter_results", "content_filter_result", "content_filter_offsets"];

/// An answer or an event in the form of chat or text completions.
#[derive(Clone, Debug, Default)]
pub struct AnswerParts<'a> {
    /// `id`, `object`, `created` and `model`, as written.
    pub head: [Option<&'a str>; 4],
    /// Whether it has `prompt_filter_results`.
    pub prompt_results: bool,
    /// Where its closing brace is.
    pub close: u32,
    /// Its choices, in order.
    pub choices: Vec<ChoiceParts<'a>>,
}

/// One choice.
#[derive(Clone, Debug, Default)]
pub struct ChoiceParts<'a> {
    /// `index`; 0 if absent.
    pub index: u32,
    /// Where its opening brace is.
    pub open: u32,
    /// Where its closing brace is.
    pub close: u32,
    /// Whether it has members at all.
    pub has_members: bool,
    /// Whether it has `content_filter_results`.
    pub results: bool,
    /// Whether `finish_reason` is a text.
    pub finished: bool,
    /// Its texts, in order, each with the name of its member.
    pub texts: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

/// Members of the head.
const HEAD: [&str; 4] = ["id", "object", "created", "model"];

impl<'a> AnswerParts<'a> {
    /// Takes an answer apart. Of anything else nothing is found.
    pub fn of(json: &'a str) -> Self {
        let mut parts = Self::default();
        let mut inside_choices = false;
        // Depth of a container whose texts do not count.
        let mut skipped: Option<u32> = None;
        for token in Tokens::new(json) {
            if let Some(depth) = skipped {
                if token.kind == Kind::Close && token.depth == depth {
                    skipped = None;
                }
                continue;
            }
            match (token.kind, token.depth) {
                (Kind::Close, 1) => parts.close = token.start,
                (Kind::Close, 2) => inside_choices = false,
                (Kind::Open, 2) => {
                    inside_choices = token.key == "choices" && !token.object;
                    parts.prompt_results |= token.key == "prompt_filter_results";
                }
                (Kind::Open, 3) if inside_choices && token.object => {
                    parts.choices.push(ChoiceParts { open: token.start, ..ChoiceParts::default() });
                }
                (_, depth) if depth >= 3 && inside_choices => {
                    let Some(choice) = parts.choices.last_mut() else { continue };
                    if choice.take(&token) {
                        skipped = Some(token.depth);
                    }
                }
                (Kind::Text | Kind::Scalar, 1) => {
                    let place = HEAD.iter().position(|name| *name == token.key);
                    if let Some(slot) = place.and_then(|place| parts.head.get_mut(place)) {
                        *slot = Some(token.raw);
                    }
                }
                (Kind::Open | Kind::Close | Kind::Text | Kind::Scalar, _) => {}
            }
        }
        parts
    }
}

impl<'a> ChoiceParts<'a> {
    /// Takes a token inside of the choice; true for a container that is to be skipped.
    fn take(&mut self, token: &Token<'a>) -> bool {
        self.has_members |= token.kind != Kind::Close;
        match (token.kind, token.depth) {
            (Kind::Close, 3) => self.close = token.start,
            (Kind::Open, depth) => {
                let named = NO_TEXT_INSIDE.contains(&token.key.as_ref());
                self.results |= depth == 4 && token.key == "content_filter_results";
                return named;
            }
            (Kind::Scalar, 3) if token.key == "index" => self.index = token.raw.parse().unwrap_or(0),
            (Kind::Text, 3) if token.key == "finish_reason" => self.finished = true,
            (Kind::Text, _) if !NO_TEXT.contains(&token.key.as_ref()) => {
                if let Some(text) = token.text() {
                    self.texts.push((token.key.clone(), text));
                }
            }
            (Kind::Close | Kind::Text | Kind::Scalar, _) => {}
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_are_found_with_their_texts() {
        let json = r#"{"id":"a","model":"m","created":7,"choices":[
            {"index":1,"finish_reason":"stop","message":{"role":"assistant","content":"hi \"you\"","tool_calls":[
                {"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}]},
             "logprobs":{"content":[{"token":"hidden"}]},"content_filter_results":{"hate":{"severity":"safe"}}},
            {}, {"index":3,"text":"plain","finish_reason":null}],
            "usage":{"choices":[{"index":9}]},"prompt_filter_results":[]}"#;
        let parts = AnswerParts::of(json);
        assert_eq!(parts.head, [Some("\"a\""), None, Some("7"), Some("\"m\"")]);
        assert!(parts.prompt_results);
        let shown: Vec<_> = parts
            .choices
            .iter()
            .map(|choice| {
                (choice.index, choice.finished, choice.results, choice.has_members, choice.texts.len())
            })
            .collect();
        assert_eq!(
            shown,
            [(1, true, true, true, 3), (0, false, false, false, 0), (3, false, false, true, 1)]
        );
        let texts: Vec<&str> = parts.choices[0].texts.iter().map(|(_, text)| text.as_ref()).collect();
        assert_eq!(texts, ["hi \"you\"", "f", "{}"]);
        for choice in &parts.choices {
            let at = |place: u32| json.as_bytes()[usize::try_from(place).unwrap()];
            assert_eq!((at(choice.open), at(choice.close)), (b'{', b'}'));
        }
        assert_eq!(usize::try_from(parts.close).unwrap(), json.len() - 1);
    }

    #[test]
    fn of_other_answers_nothing_is_found() {
        for json in [
            "",
            "[]",
            "7",
            "\"x\"",
            "{}",
            r#"{"choices":7}"#,
            r#"{"choices":{"a":{}}}"#,
            r#"{"data":[{"choices":[{}]}]}"#,
        ] {
            assert!(AnswerParts::of(json).choices.is_empty(), "{json}");
        }
    }
}
