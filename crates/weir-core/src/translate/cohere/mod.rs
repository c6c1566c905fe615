//! Cohere's API, version 2 (`providers.md`, 5): chat, streams, embeddings.
//!
//! Stage 6. Near to the canonical dialect in its shapes, and far in its words.

mod answer;
mod embed;
mod request;
mod stream;

use super::{Answer, Ask, Notes, Provider, Refusal, Stream, Translated};
use crate::snapshot::Task;
use crate::wire::WireError;
use crate::wire::raw::Raw;
use alloc::boxed::Box;

/// The dialect.
pub(super) struct Cohere;

impl Provider for Cohere {
    fn texts_max(&self, _model: &str) -> Option<usize> {
        Some(embed::TEXTS_MAX)
    }

    fn request(&self, ask: &Ask<'_>, notes: &mut Notes) -> Result<Translated, WireError> {
        if ask.task == Task::Embeddings { embed::ask(ask, notes) } else { request::translate(ask, notes) }
    }

    fn answer<'a>(&self, task: Task, body: Raw<'a>) -> Option<Answer<'a>> {
        if task == Task::Embeddings { embed::read(body) } else { answer::read(body) }
    }

    fn stream(&self) -> Box<dyn Stream> {
        stream::open()
    }

    /// 498 is a bad token, 499 a caller that left (5.5).
    fn refusal(&self, status: u16, _kind: Option<&str>, body: Option<Raw<'_>>) -> Refusal {
        let common = Refusal::common(status, body);
        match status {
            498 => common.with_status(401),
            499 => common.with_status(503),
            _ => common,
        }
    }
}
