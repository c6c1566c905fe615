//! A stream of Cohere's as canonical chunks.
//!
//! Stage 6. Source: `providers.md`, 5.3. It ends with `message-end`; a failure told there breaks it.

use crate::snapshot::Dialect;
use crate::translate::sse::{Events, SseStream};
use crate::translate::stop::{self, Finish};
use crate::translate::usage::{self, Counts};
use crate::translate::{Broken, Chunks, Stream};
use crate::wire::raw::Raw;
use alloc::boxed::Box;

pub(super) fn open() -> Box<dyn Stream> {
    SseStream::over(Messages)
}

struct Messages;

impl Events for Messages {
    fn event(&mut self, data: Raw<'_>, out: &mut Chunks) -> Result<(), Broken> {
        let kind = data.text_at("type").ok_or(Broken)?;
        let message = data.at("delta.message");
        let part = |path: &str| message.and_then(|message| message.at(path)).unwrap_or(Raw::NULL);
        let key = data.get("index").and_then(|index| index.count(1 << 20)).unwrap_or(0);
        let key = u32::try_from(key).unwrap_or(0);
        match &*kind {
            "message-start" => {
                out.begin(data.get("id"), None);
                out.role(0);
            }
            "content-start" | "content-delta" => {
                out.text(0, part("content.text"));
                out.reasoning(0, part("content.thinking"));
            }
            "tool-plan-delta" => out.reasoning(0, part("tool_plan")),
            "tool-call-start" => {
                let name = part("tool_calls.function.name");
                let id = part("tool_calls.id").text();
                out.call(0, key, id.as_deref(), name, None);
                out.arguments(0, key, part("tool_calls.function.arguments"));
            }
            "tool-call-delta" => {
                out.arguments(0, key, part("tool_calls.function.arguments"));
            }
            "tool-call-end" => out.called(0, key),
            "message-end" => return ends(data, out),
            _ => {}
        }
        Ok(())
    }
}

fn ends(data: Raw<'_>, out: &mut Chunks) -> Result<(), Broken> {
    let word = data.at("delta.finish_reason").and_then(|word| word.text()).ok_or(Broken)?;
    let finish = stop::finish(Dialect::Cohere, &word);
    if finish == Finish::Failed {
        return Err(Broken);
    }
    out.finish(0, finish);
    out.usage(&Counts::of(usage::COHERE, data.at("delta.usage")));
    out.close();
    Ok(())
}
