//! A stream of Anthropic's as canonical chunks.
//!
//! Stage 6. Source: `providers.md`, 4.4: the kind of an event stands in its data, counts are cumulative, and the index
//! of a block is not that of a call. It ends with `message_stop`; an `error` event breaks it.

use crate::snapshot::Dialect;
use crate::translate::sse::{Events, SseStream};
use crate::translate::stop;
use crate::translate::usage::{self, Counts};
use crate::translate::{Broken, Chunks, Stream};
use crate::wire::object::{Object, Text};
use crate::wire::raw::Raw;
use alloc::boxed::Box;
use alloc::format;

/// Thinking that is kept to be told as a block, in bytes.
const THINKING_BYTES_MAX: usize = 1 << 20;

pub(super) fn open() -> Box<dyn Stream> {
    SseStream::over(Messages { counts: Counts::new(usage::ANTHROPIC), thinking: None, kept: 0 })
}

struct Messages {
    counts: Counts,
    /// The thinking block that is open: its text, and its signature.
    thinking: Option<(Text, Text)>,
    kept: usize,
}

impl Events for Messages {
    fn event(&mut self, data: Raw<'_>, out: &mut Chunks) -> Result<(), Broken> {
        let kind = data.text_at("type").ok_or(Broken)?;
        match &*kind {
            "message_start" => {
                let message = data.get("message").ok_or(Broken)?;
                out.begin(message.get("id"), message.get("model"));
                out.role(0);
                message.get("usage").into_iter().for_each(|usage| self.counts.see(usage));
            }
            "content_block_start" => self.begins(key(data), data.get("content_block").ok_or(Broken)?, out),
            "content_block_delta" => self.grows(key(data), data.get("delta").ok_or(Broken)?, out),
            "content_block_stop" => self.stops(key(data), out),
            "message_delta" => {
                if let Some(word) = data.at("delta.stop_reason").and_then(|word| word.text()) {
                    out.finish(0, stop::finish(Dialect::Anthropic, &word));
                }
                data.get("usage").into_iter().for_each(|usage| self.counts.see(usage));
                out.usage(&self.counts);
            }
            "message_stop" if out.is_finished() => {
                out.usage(&self.counts);
                out.close();
            }
            "error" | "message_stop" => return Err(Broken),
            _ => {}
        }
        Ok(())
    }
}

/// The block's index.
fn key(data: Raw<'_>) -> u32 {
    data.get("index")
        .and_then(|index| index.count(1 << 20))
        .and_then(|index| u32::try_from(index).ok())
        .unwrap_or(0)
}

impl Messages {
    fn begins(&mut self, key: u32, block: Raw<'_>, out: &mut Chunks) {
        let kind = block.text_at("type").unwrap_or_default();
        match &*kind {
            "text" => block.get("text").into_iter().for_each(|text| out.text(0, text)),
            "tool_use" => {
                let id = block.text_at("id");
                let name = block.get("name").filter(Raw::is_text).unwrap_or(Raw::trusted("\"\""));
                out.call(0, key, id.as_deref(), name, None);
                // Usually empty here; a proxy may send the whole input at once.
                if let Some(input) = block.get("input").filter(|input| input.members().next().is_some()) {
                    out.arguments(0, key, Raw::trusted(&crate::wire::quote::json(input.as_str())));
                }
            }
            "thinking" => self.thinking = Some((Text::default(), Text::default())),
            "redacted_thinking" => out.member(0, "thinking_blocks", &format!("[{}]", block.as_str())),
            _ => {}
        }
    }

    fn grows(&mut self, key: u32, delta: Raw<'_>, out: &mut Chunks) {
        let kind = delta.text_at("type").unwrap_or_default();
        let piece = |name: &str| delta.get(name).filter(Raw::is_text).unwrap_or(Raw::trusted("\"\""));
        match &*kind {
            "text_delta" => out.text(0, piece("text")),
            "input_json_delta" => out.arguments(0, key, piece("partial_json")),
            "thinking_delta" => {
                let text = piece("thinking");
                out.reasoning(0, text);
                self.kept = self.kept.saturating_add(text.as_str().len());
                if let Some((kept, _)) = self.thinking.as_mut().filter(|_| self.kept <= THINKING_BYTES_MAX) {
                    kept.join(text);
                }
            }
            "signature_delta" => {
                if let Some((_, signature)) = &mut self.thinking {
                    signature.join(piece("signature"));
                }
            }
            _ => {}
        }
    }

    fn stops(&mut self, key: u32, out: &mut Chunks) {
        out.called(0, key);
        let signed = self.thinking.take().filter(|(_, signature)| !signature.is_empty());
        if let Some((text, signature)) = signed.filter(|_| self.kept <= THINKING_BYTES_MAX) {
            let block = Object::new().text("type", "thinking").raw("thinking", &text.end());
            let block = block.raw("signature", &signature.end()).end();
            out.member(0, "thinking_blocks", &format!("[{block}]"));
        }
    }
}
