//! Event streams of providers: bytes to events, each one JSON object.
//!
//! Stage 6. Decides where events begin and end (`wire::sse`) and that their data is JSON; what they say is each
//! dialect's. A terminal `[DONE]` is not an event; to dialects that end otherwise it says nothing.

use super::{Broken, Chunks, Stream};
use crate::wire::raw::Raw;
use crate::wire::sse::SseDecoder;
use alloc::boxed::Box;

/// What a dialect's events say.
pub trait Events {
    /// Takes one event.
    ///
    /// # Errors
    /// [`Broken`] if it is none of the dialect, or tells of an error.
    fn event(&mut self, data: Raw<'_>, out: &mut Chunks) -> Result<(), Broken>;

    /// A terminal `[DONE]` came.
    fn done(&mut self, _out: &mut Chunks) {}

    /// As [`Stream::end`].
    fn end(&mut self, _out: &mut Chunks) {}
}

/// A stream of events.
pub struct SseStream {
    sse: SseDecoder,
    events: Box<dyn Events>,
}

impl SseStream {
    /// A stream whose events `events` understands.
    pub fn over(events: impl Events + 'static) -> Box<dyn Stream> {
        Box::new(Self { sse: SseDecoder::default(), events: Box::new(events) })
    }
}

impl Stream for SseStream {
    fn push(&mut self, bytes: &[u8], out: &mut Chunks) -> Result<(), Broken> {
        let pushed = self.sse.push(bytes);
        while let Some(event) = self.sse.next_event() {
            let data = event.data.trim();
            if out.is_closed() || data.is_empty() {
                continue;
            }
            if data == "[DONE]" {
                self.events.done(out);
                continue;
            }
            let data = Raw::parse(data).filter(Raw::is_object).ok_or(Broken)?;
            self.events.event(data, out)?;
        }
        pushed.map_err(|_| Broken)
    }

    fn end(&mut self, out: &mut Chunks) {
        if !self.sse.is_inside_event() {
            self.events.end(out);
        }
    }
}
