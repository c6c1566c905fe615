//! The texts of answers that are no chat and no response: what the `OpenAI` API keeps and tells again, pictures'
//! rewritten prompts, what was understood of a recording.
//!
//! Stage `policy`. Decides which elements of such an answer are a model's words (messages and calls of assistants, items
//! of conversations; never what the caller put there), where their texts stand, and what is left of a filtered one: the
//! same element with empty texts. Sources: `providers.md` 2.1, `azure.md` B6.

use super::response::NO_TEXT;
use crate::wire::envelope::Edit;
use crate::wire::raw::Raw;
use crate::wire::tokens::{Kind, Tokens};
use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;

/// One element of an answer.
#[derive(Debug)]
pub struct Element<'a> {
    raw: Raw<'a>,
    /// Where it begins.
    start: u32,
    /// The members that hold a model's words; all, if empty.
    members: &'static [&'static str],
}

/// One text: where its string begins and ends, quotes included, and what it says.
pub type Said<'a> = (u32, u32, Cow<'a, str>);

/// The elements of a kept thing, or of a list of such, that are a model's words.
pub fn kept(body: &str) -> Vec<Element<'_>> {
    elements(body, |element| match &*element.text_at("object").unwrap_or_default() {
        "thread.message" if element.get("role").is_some_and(|role| role.is("assistant")) => {
            Some(&["content"])
        }
        "thread.run" => Some(&["required_action"]),
        "thread.run.step" => Some(&["step_details"]),
        "" => is_item(element).then_some(&[]),
        _ => None,
    })
}

/// The pictures of an answer: their rewritten prompts are texts.
pub fn pictures(body: &str) -> Vec<Element<'_>> {
    elements(body, |_| Some(&["revised_prompt"]))
}

/// The answer as one element.
pub fn whole(body: &str) -> Vec<Element<'_>> {
    let raw = Raw::object(body.as_bytes());
    raw.map(|raw| Element { raw, start: start_of(raw, body), members: &[] }).into_iter().collect()
}

/// Subtitles as plain text: without numbers and times, which would part what belongs together.
pub fn spoken(text: &str) -> String {
    let told = |line: &&str| {
        let timed = line.contains("-->") || line.starts_with("WEBVTT");
        !(timed || line.is_empty() || line.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let lines: Vec<&str> = text.lines().map(str::trim).filter(told).collect();
    lines.join(" ")
}

/// Whether an element is an item that a model made: those of callers have another role, or are results of their tools.
fn is_item(element: Raw<'_>) -> bool {
    let kind = element.text_at("type").unwrap_or_default();
    let own = element.get("role").is_none_or(|role| role.is("assistant"));
    own && !kind.is_empty() && !kind.ends_with("_output")
}

fn elements<'a>(body: &'a str, of: impl Fn(Raw<'a>) -> Option<&'static [&'static str]>) -> Vec<Element<'a>> {
    let Some(answer) = Raw::object(body.as_bytes()) else { return Vec::new() };
    let list = answer.get("data").filter(Raw::is_array);
    let one = list.is_none().then_some(answer);
    let all = one.into_iter().chain(list.into_iter().flat_map(|list| list.items()));
    let read = |raw: Raw<'a>| Some(Element { raw, start: start_of(raw, body), members: of(raw)? });
    all.filter_map(read).collect()
}

fn start_of(raw: Raw<'_>, body: &str) -> u32 {
    let start = raw.as_str().as_ptr().addr().saturating_sub(body.as_ptr().addr());
    u32::try_from(start).unwrap_or(u32::MAX)
}

impl<'a> Element<'a> {
    /// Its texts.
    pub fn texts(&self) -> Vec<Said<'a>> {
        let mut texts = Vec::new();
        for (name, value) in self.raw.members() {
            if self.members.is_empty() || self.members.contains(&&*name) {
                let start = start_of(value, self.raw.as_str()).saturating_add(self.start);
                // A string of the element itself has its name outside of what is walked over.
                texts.extend(
                    said(value.as_str(), start).filter(|_| !value.is_text() || !NO_TEXT.contains(&&*name)),
                );
            }
        }
        texts
    }

    /// What makes it a filtered one: empty texts, and the word for it where such elements have one.
    pub fn emptied(&self) -> Vec<Edit> {
        let blank = |(start, end, _)| Edit { start, end, with: b"\"\"".to_vec() };
        let mut edits: Vec<Edit> = self.texts().into_iter().map(blank).collect();
        let told = [("status", "\"incomplete\""), ("incomplete_details", "{\"reason\":\"content_filter\"}")];
        for (name, with) in told {
            if let Some(value) = self.member(name) {
                let start = start_of(value, self.raw.as_str()).saturating_add(self.start);
                let end = start.saturating_add(u32::try_from(value.as_str().len()).unwrap_or(0));
                edits.retain(|edit| edit.start != start);
                edits.push(Edit { start, end, with: with.as_bytes().to_vec() });
            }
        }
        edits.sort_by_key(|edit| edit.start);
        edits
    }

    /// The place behind its last member, and whether it has the member `name`.
    pub fn end(&self, name: &str) -> (u32, bool) {
        let length = u32::try_from(self.raw.as_str().len()).unwrap_or(0);
        (self.start.saturating_add(length).saturating_sub(1), self.member(name).is_some())
    }

    /// A member's value, null as well.
    fn member(&self, name: &str) -> Option<Raw<'a>> {
        self.raw.members().find(|(known, _)| known == name).map(|(_, value)| value)
    }
}

/// The texts of a value that begins at `start`.
fn said(json: &str, start: u32) -> impl Iterator<Item = Said<'_>> {
    let read = move |token: crate::wire::tokens::Token<'_>| {
        token.kind == Kind::Text && !NO_TEXT.contains(&&*token.key)
    };
    Tokens::new(json).filter(move |token| read(token.clone())).filter_map(move |token| {
        let text = token.text().filter(|text| !text.is_empty())?;
        Some((token.start.saturating_add(start), token.end.saturating_add(start), text))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(elements: &[Element<'_>]) -> Vec<Vec<String>> {
        let of = |element: &Element<'_>| {
            element.texts().into_iter().map(|(_, _, text)| text.into_owned()).collect()
        };
        elements.iter().map(of).collect()
    }

    const MESSAGES: &str = r#"{"object":"list","data":[
        {"id":"msg_1","object":"thread.message","thread_id":"t","role":"assistant","status":"completed","incomplete_details":null,
         "content":[{"type":"text","text":{"value":"it is \"so\"","annotations":[{"type":"file_citation","text":"[1]","file_citation":{"file_id":"file-1"}}]}}]},
        {"id":"msg_2","object":"thread.message","role":"user","content":[{"type":"text","text":{"value":"why?"}}]},
        {"id":"run_1","object":"thread.run","instructions":"be kind","status":"requires_action","required_action":{"type":"submit_tool_outputs",
         "submit_tool_outputs":{"tool_calls":[{"id":"call_1","type":"function","function":{"name":"f","arguments":"{}"}}]}}},
        {"id":"file-1","object":"file","filename":"a"}]}"#;

    #[test]
    fn a_models_words_are_read_and_nobody_elses() {
        assert_eq!(texts(&kept(MESSAGES)), [Vec::from(["it is \"so\"", "[1]"]), Vec::from(["f", "{}"])]);
        let items = r#"{"object":"list","data":[{"type":"message","id":"m","role":"assistant","content":[{"type":"output_text","text":"a","annotations":[]}]},
            {"type":"message","role":"user","content":[{"type":"input_text","text":"b"}]},{"type":"function_call","call_id":"c","name":"f","arguments":"{}"},
            {"type":"function_call_output","call_id":"c","output":"d"}]}"#;
        assert_eq!(texts(&kept(items)), [Vec::from(["a"]), Vec::from(["f", "{}"])]);
        let images = r#"{"created":1,"data":[{"b64_json":"QUJD","revised_prompt":"a weir"},{"url":"https://x.example"}]}"#;
        assert_eq!(texts(&pictures(images)), [Vec::from(["a weir"]), Vec::new()]);
        assert_eq!(texts(&whole(r#"{"text":"a b","segments":[{"id":0,"text":"a"}]}"#)), [["a b", "a"]]);
        for none in ["", "[]", "{\"object\":\"thread\"}", "{\"deleted\":true}"] {
            assert!(texts(&kept(none)).concat().is_empty(), "{none}");
        }
        let subtitles = "WEBVTT\n\n1\n00:00:00.000 --> 00:00:01.000\nI want\n\n2\n00:00:01.000 --> 00:00:02.000\nto sing\n";
        assert_eq!(spoken(subtitles), "I want to sing");
    }

    #[test]
    fn of_a_filtered_element_no_text_is_left() {
        let elements = kept(MESSAGES);
        let changed = Edit::apply(MESSAGES.as_bytes(), &elements[0].emptied());
        let changed: serde_json::Value = serde_json::from_slice(&changed).unwrap();
        let message = &changed["data"][0];
        assert_eq!(
            (&message["status"], &message["incomplete_details"]["reason"]),
            (&"incomplete".into(), &"content_filter".into())
        );
        assert_eq!((&message["content"][0]["text"]["value"], &message["id"]), (&"".into(), &"msg_1".into()));
        assert_eq!(changed["data"][1]["content"][0]["text"]["value"], "why?", "the others stay");
    }
}
