//! A canonical stream as the events of Anthropic Messages.
//!
//! Stage 6. Source: `providers.md`, 4.4, the other way round. Blocks are opened and closed as the kind of what is said
//! changes; each call is a block of its own. It is fed with whole canonical events, and its last event comes of the
//! last canonical one: a stream that breaks off has none.

use super::{call_id, message_id, stop_reason, usage};
use crate::translate::course::{Course, datas};
use crate::wire::object::Object;
use crate::wire::quote;
use crate::wire::raw::Raw;
use crate::wire::sse;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// What the open block is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Thinking,
    /// The canonical index of the call.
    Call(u64),
}

/// A stream on its way to a caller of `/v1/messages`.
#[derive(Debug, Default)]
pub struct Encoder {
    course: Course,
    begun: bool,
    open: Option<Kind>,
    /// Blocks so far.
    blocks: u32,
    /// The block of each call, by its canonical index.
    calls: Vec<(u64, u32)>,
    out: Vec<u8>,
}

impl Encoder {
    /// Nothing told yet; `input` is what the input is taken for until it is counted, in tokens.
    pub fn new(input: u64) -> Self {
        Self { course: Course::new(input), ..Self::default() }
    }

    /// The message that `body`, a whole canonical chat completion, is.
    pub fn answer(&self, body: Raw<'_>) -> String {
        super::answer::answer(body, self.course.input)
    }

    /// Takes whole canonical events, each one line of data; gives the events that tell the same.
    pub fn push(&mut self, events: &[u8]) -> Vec<u8> {
        for data in datas(events) {
            if data == "[DONE]" {
                self.end();
            } else if let Some(chunk) = Raw::parse(data) {
                self.chunk(chunk);
            }
        }
        core::mem::take(&mut self.out)
    }

    fn chunk(&mut self, chunk: Raw<'_>) {
        let Some(choice) = self.course.see(chunk) else { return };
        self.begin(chunk);
        if let Some(delta) = choice.get("delta") {
            self.delta(delta);
        }
    }

    fn begin(&mut self, chunk: Raw<'_>) {
        if core::mem::replace(&mut self.begun, true) {
            return;
        }
        let mut message = Object::new().text("id", &message_id(chunk.get("id"))).text("type", "message");
        message.put("role", "\"assistant\"");
        message.put("model", chunk.get("model").map_or("\"\"", |model| model.as_str()));
        message = message.raw("content", "[]").raw("stop_reason", "null").raw("stop_sequence", "null");
        let message = message.raw("usage", &usage(Raw::trusted(&self.course.begun()))).end();
        self.event("message_start", Object::new().raw("message", &message));
    }

    fn delta(&mut self, delta: Raw<'_>) {
        let said = |name: &str| delta.get(name).filter(|text| text.is_text() && text.as_str() != "\"\"");
        if let Some(thought) = said("reasoning_content") {
            self.say(Kind::Thinking, "thinking_delta", "thinking", thought);
        }
        for block in delta.get("thinking_blocks").into_iter().flat_map(|list| list.items()) {
            self.thought(block);
        }
        if let Some(text) = said("content").or_else(|| said("refusal")) {
            self.say(Kind::Text, "text_delta", "text", text);
        }
        for call in delta.get("tool_calls").into_iter().flat_map(|list| list.items()) {
            self.call(call);
        }
    }

    /// A whole thinking block: its text came before, so it tells the signature; or one that has no text.
    fn thought(&mut self, block: Raw<'_>) {
        match block.get("signature").filter(|_| self.open == Some(Kind::Thinking)) {
            Some(signature) => {
                let delta =
                    Object::new().text("type", "signature_delta").raw("signature", signature.as_str());
                self.grow(self.blocks.saturating_sub(1), delta);
            }
            None => self.start(Kind::Thinking, block.as_str()),
        }
        self.stop();
    }

    fn say(&mut self, kind: Kind, delta: &str, member: &str, text: Raw<'_>) {
        if self.open != Some(kind) {
            let empty = match kind {
                Kind::Thinking => "{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\"}",
                Kind::Text | Kind::Call(_) => "{\"type\":\"text\",\"text\":\"\"}",
            };
            self.start(kind, empty);
        }
        let block = self.blocks.saturating_sub(1);
        self.grow(block, Object::new().text("type", delta).raw(member, text.as_str()));
    }

    fn call(&mut self, call: Raw<'_>) {
        let index = call.get("index").and_then(|index| index.count(1 << 20)).unwrap_or(0);
        let known = self.calls.iter().find(|(known, _)| *known == index).map(|(_, block)| *block);
        let block = known.unwrap_or_else(|| {
            let mut block = Object::new().text("type", "tool_use");
            block = block.text("id", &call_id(call));
            block.put("name", call.at("function.name").map_or("\"\"", |name| name.as_str()));
            self.start(Kind::Call(index), &block.raw("input", "{}").end());
            let block = self.blocks.saturating_sub(1);
            self.calls.push((index, block));
            block
        });
        let arguments =
            call.at("function.arguments").filter(|text| text.is_text() && text.as_str() != "\"\"");
        if let Some(piece) = arguments {
            let delta = Object::new().text("type", "input_json_delta").raw("partial_json", piece.as_str());
            self.grow(block, delta);
        }
    }

    fn start(&mut self, kind: Kind, block: &str) {
        self.stop();
        let index = self.blocks;
        self.blocks = index.saturating_add(1);
        self.open = Some(kind);
        self.event("content_block_start", Object::new().number("index", index).raw("content_block", block));
    }

    fn grow(&mut self, block: u32, delta: Object) {
        let body = Object::new().number("index", block).raw("delta", &delta.end());
        self.event("content_block_delta", body);
    }

    fn stop(&mut self) {
        if self.open.take().is_some() {
            let index = self.blocks.saturating_sub(1);
            self.event("content_block_stop", Object::new().number("index", index));
        }
    }

    fn end(&mut self) {
        self.begin(Raw::NULL);
        self.stop();
        let usage = usage(Raw::trusted(&self.course.usage()));
        let delta =
            Object::new().text("stop_reason", stop_reason(&self.course.finish)).raw("stop_sequence", "null");
        self.event("message_delta", Object::new().raw("delta", &delta.end()).raw("usage", &usage));
        self.event("message_stop", Object::new());
    }

    fn event(&mut self, name: &str, body: Object) {
        let body = body.end();
        let rest = body.get(1..).unwrap_or("}");
        let comma = if rest == "}" { "" } else { "," };
        let data = format!("{{\"type\":{}{comma}{rest}", quote::json(name));
        sse::encode_named(&mut self.out, name, data.as_bytes());
    }
}
