//! A stream of Gemini's as canonical chunks.
//!
//! Stage 6. Source: `providers.md`, 6.4: each event is a whole answer with what is new in it, counts are cumulative, calls
//! come whole. No event says that it is the last: the stream is whole if its body ended regularly after every choice
//! had a reason to end.

use super::answer::{finish, signature};
use crate::translate::sse::{Events, SseStream};
use crate::translate::stop::Finish;
use crate::translate::usage::{self, Counts};
use crate::translate::{Broken, Chunks, Stream};
use crate::wire::quote;
use crate::wire::raw::Raw;
use alloc::boxed::Box;

pub(super) fn open() -> Box<dyn Stream> {
    SseStream::over(Answers { counts: Counts::new(usage::GEMINI), calls: 0 })
}

struct Answers {
    counts: Counts,
    /// Calls so far, over all candidates: the key of the next.
    calls: u32,
}

impl Events for Answers {
    fn event(&mut self, data: Raw<'_>, out: &mut Chunks) -> Result<(), Broken> {
        if data.get("error").is_some() {
            return Err(Broken);
        }
        out.begin(data.get("responseId"), data.get("modelVersion"));
        for (at, candidate) in (0u32..).zip(data.get("candidates").into_iter().flat_map(|list| list.items()))
        {
            let index = candidate.get("index").and_then(|index| index.count(1 << 20));
            let index = index.and_then(|index| u32::try_from(index).ok()).unwrap_or(at);
            self.candidate(index, candidate, out)?;
        }
        if data.at("promptFeedback.blockReason").is_some() {
            out.finish(0, Finish::ContentFilter);
        }
        data.get("usageMetadata").into_iter().for_each(|usage| self.counts.see(usage));
        Ok(())
    }

    fn end(&mut self, out: &mut Chunks) {
        if out.is_finished() {
            out.usage(&self.counts);
            out.close();
        }
    }
}

impl Answers {
    fn candidate(&mut self, index: u32, candidate: Raw<'_>, out: &mut Chunks) -> Result<(), Broken> {
        out.role(index);
        for part in candidate.at("content.parts").into_iter().flat_map(|list| list.items()) {
            let thought = part.get("thought").is_some_and(|thought| thought.is_true());
            match (part.get("text"), thought) {
                (Some(text), true) => out.reasoning(index, text),
                (Some(text), false) => out.text(index, text),
                (None, _) => {}
            }
            if let Some(call) = part.get("functionCall") {
                let name = call.get("name").filter(Raw::is_text).ok_or(Broken)?;
                let (key, id) = (self.calls, call.text_at("id"));
                self.calls = key.saturating_add(1);
                out.call(index, key, id.as_deref(), name, signature(part).as_deref());
                let args = call.get("args").map_or("{}", |args| args.as_str());
                out.arguments(index, key, Raw::trusted(&quote::json(args)));
            }
        }
        if candidate.get("finishReason").is_some() {
            let finish = finish(candidate, out.has_calls(index));
            if finish == Finish::Failed {
                return Err(Broken);
            }
            out.finish(index, finish);
        }
        Ok(())
    }
}
