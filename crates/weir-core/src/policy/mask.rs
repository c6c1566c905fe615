//! Masking: personal data in a text gives way to placeholders.
//!
//! Stage `policy`. Decides what is put instead (`databricks.md`, 7.2: `<EMAIL_ADDRESS>`, `<CREDIT_CARD>`, and names of
//! the same kind for the rest) and in which strings of a prompt or an answer; what personal data is, is `pii`'s. A
//! stream is masked when it is whole: what a placeholder replaces may stand in many of its events.

use super::answer::AnswerParts;
use super::pii::{KINDS, Personal};
use super::prompt::NO_TEXT;
use crate::wire::envelope::Edit;
use crate::wire::quote;
use crate::wire::tokens::{Kind, Tokens};
use alloc::borrow::{Cow, ToOwned};
use alloc::string::String;
use alloc::vec::Vec;

/// What stands for each of [`KINDS`].
const PLACEHOLDERS: [&str; KINDS.len()] = [
    "<EMAIL_ADDRESS>",
    "<PHONE_NUMBER>",
    "<CREDIT_CARD>",
    "<IBAN_CODE>",
    "<US_SSN>",
    "<DE_TAX_ID>",
    "<FR_SSN>",
    "<ES_NIF>",
    "<IT_FISCAL_CODE>",
    "<BR_CPF>",
];
/// Members of an answer whose strings a caller reads.
const SAID: [&str; 5] = ["content", "text", "reasoning_content", "refusal", "arguments"];

/// The text with placeholders; `None` if there is nothing to mask.
pub fn mask(text: &str) -> Option<String> {
    let mut personal = Personal::collecting();
    personal.push(text);
    personal.end();
    let mut spans = personal.spans?;
    if spans.is_empty() {
        return None;
    }
    spans.sort_unstable();
    let mut out = String::with_capacity(text.len());
    let mut spans = spans.into_iter().peekable();
    let mut hidden = 0u64;
    for (at, c) in (0u64..).zip(text.chars()) {
        while let Some((_, end, kinds)) = spans.next_if(|(start, _, _)| *start <= at) {
            if at >= hidden {
                out.push_str(placeholder(kinds));
            }
            hidden = hidden.max(end);
        }
        if at >= hidden {
            out.push(c);
        }
    }
    Some(out)
}

/// A number with a check digit is rather that than a telephone's.
fn placeholder(kinds: u16) -> &'static str {
    let has =
        |bit: &usize| u32::try_from(*bit).ok().and_then(|bit| kinds.checked_shr(bit)).unwrap_or(0) & 1 == 1;
    let bit = (2..KINDS.len()).chain([0, 1]).find(has).unwrap_or(0);
    PLACEHOLDERS.get(bit).copied().unwrap_or("<PII>")
}

/// What to change in a prompt, `json` being the member's value, which begins at `start` of the body.
pub fn mask_prompt(json: &str, start: u32) -> Vec<Edit> {
    edits(json, start, |key| !NO_TEXT.contains(&key))
}

/// What to change in a whole answer.
pub fn mask_answer(json: &str) -> Vec<Edit> {
    edits(json, 0, |key| SAID.contains(&key))
}

fn edits(json: &str, start: u32, reads: impl Fn(&str) -> bool) -> Vec<Edit> {
    let mut edits = Vec::new();
    for token in Tokens::new(json).filter(|token| token.kind == Kind::Text && reads(&token.key)) {
        if let Some(masked) = token.text().and_then(|text| mask(&text)) {
            let place = |at: u32| at.saturating_add(start);
            let with = quote::json(&masked).into_bytes();
            edits.push(Edit { start: place(token.start), end: place(token.end), with });
        }
    }
    edits
}

/// One string of a stream's event.
struct Said<'a> {
    /// Choice, member and the last number that stood before it: that of a tool call.
    of: (u32, Cow<'a, str>, &'a str),
    text: String,
    /// Its place in the stream, quotes included.
    start: usize,
    end: usize,
}

/// A whole stream of events with placeholders, each text in the first event that has some of it; `None` if there is
/// nothing to mask.
pub fn mask_events(stream: &str) -> Option<String> {
    let mut said: Vec<Said<'_>> = Vec::new();
    for event in stream.split_inclusive("\n\n") {
        let Some(json) = event.strip_prefix("data: ") else { continue };
        let base = json.as_ptr().addr().saturating_sub(stream.as_ptr().addr());
        said.extend(said_in(json, base));
    }
    let mut edits: Vec<(usize, usize, String)> = Vec::new();
    for at in 0..said.len() {
        let Some(first) = said.get(at) else { break };
        if said.iter().take(at).any(|before| before.of == first.of) {
            continue;
        }
        let own = || said.iter().filter(|other| other.of == first.of);
        let whole: String = own().map(|part| part.text.as_str()).collect();
        let Some(masked) = mask(&whole) else { continue };
        for (nth, part) in own().enumerate() {
            edits.push((part.start, part.end, quote::json(if nth == 0 { &masked } else { "" })));
        }
    }
    if edits.is_empty() {
        return None;
    }
    edits.sort_unstable();
    let (mut out, mut from) = (String::with_capacity(stream.len()), 0usize);
    for (start, end, with) in edits {
        out.push_str(stream.get(from..start).unwrap_or_default());
        out.push_str(&with);
        from = end;
    }
    out.push_str(stream.get(from..).unwrap_or_default());
    Some(out)
}

fn said_in(json: &str, base: usize) -> Vec<Said<'_>> {
    let parts = AnswerParts::of(json);
    let (mut said, mut number) = (Vec::new(), "");
    for token in Tokens::new(json) {
        let within =
            |choice: &&super::ChoiceParts<'_>| choice.open < token.start && token.start < choice.close;
        let Some(choice) = parts.choices.iter().find(within) else { continue };
        if token.kind == Kind::Scalar && token.key == "index" {
            number = if token.depth > 3 { token.raw } else { "" };
        }
        if token.kind != Kind::Text || !SAID.contains(&token.key.as_ref()) {
            continue;
        }
        let Some(text) = token.text() else { continue };
        let place = |at: u32| usize::try_from(at).unwrap_or(usize::MAX).saturating_add(base);
        let of = (choice.index, token.key.clone(), number);
        said.push(Said { of, text: text.into_owned(), start: place(token.start), end: place(token.end) });
    }
    said
}

/// The texts of each choice of a whole stream, its parts joined.
pub fn texts_of_events(stream: &str) -> Vec<(u32, String)> {
    let mut texts: Vec<((u32, String, String), String)> = Vec::new();
    for json in stream.split("\n\n").filter_map(|event| event.strip_prefix("data: ")) {
        for said in said_in(json, 0) {
            let of = (said.of.0, said.of.1.into_owned(), said.of.2.to_owned());
            match texts.iter_mut().find(|(known, _)| *known == of) {
                Some((_, text)) => text.push_str(&said.text),
                None => texts.push((of, said.text)),
            }
        }
    }
    texts.into_iter().map(|((choice, _, _), text)| (choice, text)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    #[test]
    fn personal_data_gives_way_to_placeholders() {
        for (text, masked) in [
            ("mail jane@example.org, now", Some("mail <EMAIL_ADDRESS>, now")),
            ("jane@example.org.", Some("<EMAIL_ADDRESS>.")),
            ("card 4111 1111 1111 1111 ok", Some("card <CREDIT_CARD> ok")),
            ("call 212-555-0123 or +49 30 1234567!", Some("call <PHONE_NUMBER> or <PHONE_NUMBER>!")),
            ("DE89 3704 0044 0532 0130 00", Some("<IBAN_CODE>")),
            ("219-09-9999 and a@b.example", Some("<US_SSN> and <EMAIL_ADDRESS>")),
            ("ünï a@b.example 漢字", Some("ünï <EMAIL_ADDRESS> 漢字")),
            ("nothing here but 42 and 1234", None),
            ("", None),
        ] {
            assert_eq!(mask(text).as_deref(), masked, "{text}");
        }
    }

    #[test]
    fn prompts_and_answers_are_masked_where_they_are_read() {
        let prompt = r#"[{"role":"user","id":"a@b.example","content":[{"type":"text","text":"I am \"a@b.example\""}]}]"#;
        let body = format!("{{\"messages\":{prompt}}}");
        let masked = Edit::apply(body.as_bytes(), &mask_prompt(prompt, 12));
        let expected = body.replace(r#"\"a@b.example\""#, r#"\"<EMAIL_ADDRESS>\""#);
        assert_eq!(String::from_utf8(masked).unwrap(), expected);
        let answer = r#"{"id":"a@b.example","choices":[{"message":{"content":"it is a@b.example"}}]}"#;
        let masked = Edit::apply(answer.as_bytes(), &mask_answer(answer));
        assert_eq!(
            String::from_utf8(masked).unwrap(),
            answer.replace("is a@b.example", "is <EMAIL_ADDRESS>")
        );
    }

    #[test]
    fn a_stream_is_masked_across_its_events() {
        let event = |choice: u32, text: &str| {
            format!("data: {{\"choices\":[{{\"index\":{choice},\"delta\":{{\"content\":\"{text}\"}}}}]}}\n\n")
        };
        let stream = [
            event(0, "I am ja"),
            event(1, "fine"),
            event(0, "ne@exam"),
            event(0, "ple.org."),
            "data: [DONE]\n\n".to_owned(),
        ]
        .concat();
        let masked = mask_events(&stream).unwrap();
        let expected = [
            event(0, "I am <EMAIL_ADDRESS>."),
            event(1, "fine"),
            event(0, ""),
            event(0, ""),
            "data: [DONE]\n\n".to_owned(),
        ]
        .concat();
        assert_eq!(masked, expected);
        assert_eq!(mask_events(&event(0, "fine")), None);
        assert_eq!(
            texts_of_events(&stream),
            [(0, "I am jane@example.org.".to_owned()), (1, "fine".to_owned())]
        );
    }
}
