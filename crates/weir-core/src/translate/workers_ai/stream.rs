//! A stream in the native form: pieces of text under `response`, counts in the last, then `[DONE]`.
//!
//! Stage 6. Source: `providers.md` 12. Why an answer ended is not told: it is a stop, or a call.

use crate::snapshot::Dialect;
use crate::translate::near::answer::arguments;
use crate::translate::near::stream::NearEvents;
use crate::translate::sse::{Events, SseStream};
use crate::translate::stop::Finish;
use crate::translate::usage::{self, Counts};
use crate::translate::{Broken, Chunks, Stream};
use crate::wire::quote;
use crate::wire::raw::Raw;
use alloc::boxed::Box;

pub(super) fn open() -> Box<dyn Stream> {
    SseStream::over(Native {
        near: NearEvents::new(Dialect::WorkersAiNative),
        counts: Counts::new(usage::NEAR),
        calls: 0,
    })
}

struct Native {
    near: NearEvents,
    counts: Counts,
    calls: u32,
}

impl Events for Native {
    fn event(&mut self, data: Raw<'_>, out: &mut Chunks) -> Result<(), Broken> {
        if data.get("choices").is_some() {
            return self.near.event(data, out);
        }
        if data.get("errors").is_some_and(|list| list.items().next().is_some()) || data.get("error").is_some()
        {
            return Err(Broken);
        }
        out.role(0);
        match data.get("response") {
            // A model that answers with a number gives it as one.
            Some(text) if !text.is_text() => out.text(0, Raw::trusted(&quote::json(text.as_str()))),
            other => other.into_iter().for_each(|text| out.text(0, text)),
        }
        for call in data.get("tool_calls").into_iter().flat_map(|list| list.items()) {
            let key = self.calls;
            self.calls = key.saturating_add(1);
            out.call(0, key, call.text_at("id").as_deref(), call.get("name").ok_or(Broken)?, None);
            let given = arguments(call).unwrap_or("{}".into());
            out.arguments(0, key, Raw::trusted(&quote::json(&given)));
        }
        if let Some(usage) = data.get("usage") {
            self.counts.see(usage);
            out.usage(&self.counts);
        }
        Ok(())
    }

    fn done(&mut self, out: &mut Chunks) {
        if !out.is_finished() {
            out.finish(0, if out.has_calls(0) { Finish::ToolCalls } else { Finish::Stop });
        }
        out.close();
    }

    fn end(&mut self, out: &mut Chunks) {
        self.near.end(out);
    }
}
