//! A stream of `ConverseStream` as canonical chunks.
//!
//! Stage 6. Source: `providers.md` 8.4. Each message of the binary stream is one event; the counts come after the word
//! that ends the answer, and the stream is whole only with them. An exception breaks it.

use super::answer::thought;
use crate::snapshot::Dialect;
use crate::translate::stop::{self, Finish};
use crate::translate::usage::{self, Counts};
use crate::translate::{Broken, Chunks, Stream};
use crate::wire::eventstream::{EventStreamDecoder, Message};
use crate::wire::object::Text;
use crate::wire::raw::Raw;
use alloc::boxed::Box;
use alloc::format;

/// Reasoning that is kept to be told as a block, in bytes.
const REASONING_BYTES_MAX: usize = 1 << 20;

pub(super) fn open() -> Box<dyn Stream> {
    Box::new(Converse {
        messages: EventStreamDecoder::default(),
        counts: Counts::new(usage::BEDROCK),
        reasoning: Text::default(),
        kept: 0,
    })
}

struct Converse {
    messages: EventStreamDecoder,
    counts: Counts,
    /// The reasoning of the block that is open.
    reasoning: Text,
    kept: usize,
}

impl Stream for Converse {
    fn push(&mut self, bytes: &[u8], out: &mut Chunks) -> Result<(), Broken> {
        let pushed = self.messages.push(bytes);
        while let Some(message) = self.messages.next_message() {
            if !out.is_closed() {
                self.message(&message, out)?;
            }
        }
        pushed.map_err(|_| Broken)
    }
}

impl Converse {
    fn message(&mut self, message: &Message, out: &mut Chunks) -> Result<(), Broken> {
        if message.header(":message-type") != Some("event") {
            let kind = message.header(":exception-type").or_else(|| message.header(":error-code"));
            out.failed(kind.and_then(super::status_of).map(super::canonical));
            return Err(Broken);
        }
        let data = Raw::object(&message.payload).ok_or(Broken)?;
        match message.header(":event-type").ok_or(Broken)? {
            "messageStart" => out.role(0),
            "contentBlockStart" => {
                if let Some(used) = data.at("start.toolUse") {
                    let name = used.get("name").filter(Raw::is_text).ok_or(Broken)?;
                    out.call(0, key(data), used.text_at("toolUseId").as_deref(), name, None);
                }
            }
            "contentBlockDelta" => self.grows(key(data), data.get("delta").ok_or(Broken)?, out),
            "contentBlockStop" => out.called(0, key(data)),
            "messageStop" => {
                let word = data.text_at("stopReason").ok_or(Broken)?;
                let finish = stop::finish(Dialect::Bedrock, &word);
                if finish == Finish::Failed {
                    return Err(Broken);
                }
                out.finish(0, finish);
            }
            "metadata" if out.is_finished() => {
                data.get("usage").into_iter().for_each(|usage| self.counts.see(usage));
                out.usage(&self.counts);
                out.close();
            }
            "metadata" => return Err(Broken),
            _ => {}
        }
        Ok(())
    }

    fn grows(&mut self, key: u32, delta: Raw<'_>, out: &mut Chunks) {
        delta.get("text").into_iter().for_each(|text| out.text(0, text));
        delta.at("toolUse.input").into_iter().for_each(|piece| out.arguments(0, key, piece));
        let Some(reasoning) = delta.get("reasoningContent") else { return };
        if let Some(text) = reasoning.get("text").filter(Raw::is_text) {
            out.reasoning(0, text);
            self.kept = self.kept.saturating_add(text.as_str().len());
            if self.kept <= REASONING_BYTES_MAX {
                self.reasoning.join(text);
            }
        }
        let (signature, redacted) = (reasoning.get("signature"), reasoning.get("redactedContent"));
        if (signature.is_some() || redacted.is_some()) && self.kept <= REASONING_BYTES_MAX {
            let text = core::mem::take(&mut self.reasoning).end();
            let block = thought(Some(Raw::trusted(&text)), signature, redacted);
            out.member(0, "thinking_blocks", &format!("[{block}]"));
        }
    }
}

/// The block's index, which counts texts as well.
fn key(data: Raw<'_>) -> u32 {
    let index = data.get("contentBlockIndex").and_then(|index| index.count(1 << 20));
    index.and_then(|index| u32::try_from(index).ok()).unwrap_or(0)
}
