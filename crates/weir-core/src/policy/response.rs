//! The texts of a response (`OpenAI`'s Responses API), and of one event of its stream, or of a run's or a transcript's.
//!
//! Stage `policy`. Decides what of them is text that the caller may read: of a response the strings of its `output`,
//! of an event those of the response in it, or all of its own; never identifiers, states, log probabilities, padding
//! and encoded data. A stream says a text twice or more, piece by piece and then whole; which of these is new is for
//! the reader to say. Source: `providers.md`, 2.5 and 2.6.

use crate::wire::object::{Array, Object};
use crate::wire::raw::Raw;
use crate::wire::tokens::{Kind, Token, Tokens};
use alloc::borrow::Cow;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// Members whose strings are no text.
pub(super) const NO_TEXT: [&str; 22] = [
    "type",
    "id",
    "item_id",
    "call_id",
    "response_id",
    "file_id",
    "container_id",
    "object",
    "role",
    "status",
    "phase",
    "encrypted_content",
    "obfuscation",
    "result",
    "partial_image_b64",
    "b64_json",
    "url",
    "model",
    "thread_id",
    "run_id",
    "message_id",
    "image_url",
];
/// Members of a response beside its `output` that hold what a model said.
const SAID: [&str; 2] = ["output", "output_text"];
/// Events whose `delta` is sound.
const SOUND: &str = "response.audio.delta";

/// What one event of a stream says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResponseEvent<'a> {
    /// Its `type`; empty if it has none.
    pub kind: Cow<'a, str>,
    /// Its `sequence_number`, if it has one.
    pub sequence: Option<u64>,
    /// The response in it, if there is one.
    pub response: Option<Raw<'a>>,
    /// What names the text that it is a piece or the end of; empty if it is neither.
    pub part: String,
    /// The new piece of that text.
    pub delta: Option<Cow<'a, str>>,
    /// Its whole texts.
    pub texts: Vec<Cow<'a, str>>,
}

impl<'a> ResponseEvent<'a> {
    /// Takes an event's data apart; `None` if it is no object.
    pub fn of(json: &'a str) -> Option<Self> {
        let event = Raw::object(json.as_bytes())?;
        let kind = event.text_at("type").unwrap_or_default();
        if let Some(object) =
            event.text_at("object").filter(|object| kind.is_empty() && object.starts_with("thread."))
        {
            return Some(Self::of_thread(event, object));
        }
        let response = event.get("response").filter(Raw::is_object);
        let delta = event.text_at("delta").filter(|_| kind.ends_with(".delta") && kind != SOUND);
        let texts = match (response, &delta) {
            (Some(response), _) => response_texts(response),
            (None, Some(delta)) => texts(event.as_str()).into_iter().filter(|text| text != delta).collect(),
            (None, None) if kind == SOUND => Vec::new(),
            (None, None) => texts(event.as_str()),
        };
        let stem = kind.strip_suffix(".delta").or_else(|| kind.strip_suffix(".done"));
        let part = stem.map_or_else(String::new, |stem| {
            let number = |name| event.get(name).map_or("", |number| number.as_str());
            let places = ["output_index", "content_index", "summary_index"].map(number);
            format!("{stem}/{}", places.join("/"))
        });
        let sequence = event.get("sequence_number").and_then(|number| number.count(u64::MAX));
        Some(Self { kind, sequence, response, part, delta, texts })
    }

    /// An event of a run: pieces of a message or of a step, these as a whole, or the run, whose end is the stream's.
    fn of_thread(event: Raw<'a>, object: Cow<'a, str>) -> Self {
        let said = match &*object {
            "thread.message" => {
                event.get("content").filter(|_| event.get("role").is_some_and(|role| role.is("assistant")))
            }
            "thread.run" => event.get("required_action"),
            "thread.run.step" => event.get("step_details"),
            _ => event.get("delta"),
        };
        let mut texts = said.map_or_else(Vec::new, |said| texts(said.as_str()));
        let stem = object.strip_suffix(".delta");
        let piece = stem.map(|_| core::mem::take(&mut texts).concat()).filter(|piece| !piece.is_empty());
        let part = format!("{}/{}", stem.unwrap_or(&object), event.text_at("id").unwrap_or_default());
        let response = (object == "thread.run").then_some(event);
        Self { kind: object, sequence: None, response, part, delta: piece.map(Cow::Owned), texts }
    }

    /// Whether it ends its stream.
    pub fn is_last(&self) -> bool {
        let ran = |response: Raw<'_>| {
            let status = response.text_at("status").unwrap_or_default();
            !matches!(&*status, "queued" | "in_progress" | "cancelling")
        };
        match self.kind.as_ref() {
            "response.completed"
            | "response.incomplete"
            | "response.failed"
            | "response.cancelled"
            | "error"
            | "transcript.text.done" => true,
            "thread.run" => self.response.is_some_and(ran),
            _ => false,
        }
    }
}

/// `content_filters` of a response, as Azure's API has them: what was found in the prompt and in the answer, JSON objects;
/// nothing of one that is empty. `blocked` says whether the answer was filtered.
pub fn content_filters(prompt: &str, answer: &str, blocked: bool) -> String {
    let mut out = Array::default();
    for (results, source, blocked) in [(prompt, "prompt", false), (answer, "completion", blocked)] {
        if !results.is_empty() {
            let entry = Object::new().raw("blocked", if blocked { "true" } else { "false" });
            out.put(&entry.text("source_type", source).raw("content_filter_results", results).end());
        }
    }
    out.end()
}

/// The texts of a response that a caller may read.
pub fn response_texts(response: Raw<'_>) -> Vec<Cow<'_, str>> {
    let said = response.members().filter(|(name, _)| SAID.contains(&name.as_ref()));
    said.flat_map(|(_, value)| texts(value.as_str())).collect()
}

fn texts(json: &str) -> Vec<Cow<'_, str>> {
    // Depth of a container whose texts do not count.
    let mut skipped: Option<u32> = None;
    let mut take = |token: Token<'_>| {
        let inside = skipped.is_some();
        match token.kind {
            Kind::Close if skipped == Some(token.depth) => skipped = None,
            Kind::Open if !inside && token.key == "logprobs" => skipped = Some(token.depth),
            Kind::Open | Kind::Close | Kind::Text | Kind::Scalar => {}
        }
        !inside && token.kind == Kind::Text && !NO_TEXT.contains(&token.key.as_ref())
    };
    let said = Tokens::new(json).filter(|token| take(token.clone())).filter_map(|token| token.text());
    said.filter(|text| !text.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answers_texts_are_those_of_its_output() {
        let json = r#"{"id":"resp_1","object":"response","status":"completed","instructions":"be kind","output":[
            {"type":"reasoning","id":"rs_1","summary":[{"type":"summary_text","text":"why"}],"encrypted_content":"QUJD"},
            {"type":"message","id":"msg_1","role":"assistant","status":"completed","content":[
              {"type":"output_text","text":"hi \"you\"","annotations":[{"type":"url_citation","title":"weir"}],
               "logprobs":[{"token":"hidden","top_logprobs":[{"token":"too"}]}]},
              {"type":"refusal","refusal":"no"}]},
            {"type":"function_call","call_id":"c","name":"f","arguments":"{}"}],
            "tools":[{"description":"of the caller"}],"metadata":{"a":"b"},"output_text":"all"}"#;
        let raw = Raw::object(json.as_bytes()).unwrap();
        assert_eq!(response_texts(raw), ["why", "hi \"you\"", "weir", "no", "f", "{}", "all"]);
        assert!(response_texts(Raw::trusted(r#"{"id":"resp_1","output":null}"#)).is_empty());
    }

    #[test]
    fn events_are_pieces_ends_and_whole_texts() {
        for (json, part, delta, texts, last) in [
            (
                r#"{"type":"response.output_text.delta","item_id":"m","output_index":1,"content_index":0,"delta":"hi","sequence_number":4,"obfuscation":"xyz"}"#,
                "response.output_text/1/0/",
                Some("hi"),
                &[][..],
                false,
            ),
            (
                r#"{"type":"response.output_text.done","item_id":"m","output_index":1,"content_index":0,"text":"hi there","sequence_number":5}"#,
                "response.output_text/1/0/",
                None,
                &["hi there"],
                false,
            ),
            (
                r#"{"type":"response.completed","response":{"id":"r","instructions":"x","output":[{"content":[{"text":"hi"}]}]}}"#,
                "",
                None,
                &["hi"],
                true,
            ),
            (
                r#"{"type":"response.output_item.added","item":{"type":"message","content":[]}}"#,
                "",
                None,
                &[],
                false,
            ),
            (r#"{"type":"response.audio.delta","delta":"QUJD"}"#, "response.audio///", None, &[], false),
            (r#"{"type":"response.new","what":{"deep":["said"]}}"#, "", None, &["said"], false),
        ] {
            check(json, part, delta, texts, last);
        }
        assert_eq!(ResponseEvent::of("[DONE]"), None);
    }

    #[track_caller]
    fn check(json: &str, part: &str, delta: Option<&str>, texts: &[&str], last: bool) {
        let event = ResponseEvent::of(json).unwrap();
        assert_eq!(
            (event.part.as_str(), event.delta.as_deref(), event.is_last()),
            (part, delta, last),
            "{json}"
        );
        assert_eq!(event.texts, texts, "{json}");
    }

    #[test]
    fn so_are_those_of_transcripts_and_runs() {
        for (json, part, delta, texts, last) in [
            (
                r#"{"type":"transcript.text.delta","delta":"hi"}"#,
                "transcript.text///",
                Some("hi"),
                &[][..],
                false,
            ),
            (
                r#"{"type":"transcript.text.done","text":"hi there"}"#,
                "transcript.text///",
                None,
                &["hi there"],
                true,
            ),
            (
                r#"{"id":"msg_1","object":"thread.message.delta","delta":{"content":[{"index":0,"type":"text","text":{"value":"hi"}}]}}"#,
                "thread.message/msg_1",
                Some("hi"),
                &[],
                false,
            ),
            (
                r#"{"id":"msg_1","object":"thread.message","role":"assistant","content":[{"type":"text","text":{"value":"hi there"}}]}"#,
                "thread.message/msg_1",
                None,
                &["hi there"],
                false,
            ),
            (
                r#"{"id":"step_1","object":"thread.run.step.delta","delta":{"step_details":{"type":"tool_calls","tool_calls":[{"index":0,"id":"c","function":{"arguments":"{}"}}]}}}"#,
                "thread.run.step/step_1",
                Some("{}"),
                &[],
                false,
            ),
            (
                r#"{"id":"run_1","object":"thread.run","status":"queued","instructions":"x"}"#,
                "thread.run/run_1",
                None,
                &[],
                false,
            ),
            (
                r#"{"id":"run_1","object":"thread.run","status":"completed"}"#,
                "thread.run/run_1",
                None,
                &[],
                true,
            ),
        ] {
            check(json, part, delta, texts, last);
        }
    }
}
