//! Amazon Bedrock: Converse and `ConverseStream` for chat, `InvokeModel` for embeddings.
//!
//! Stage 6. Decides which call answers which task; that calls are signed is `sigv4`'s. Source: `providers.md`, 8, and
//! botocore 1.44.5, `bedrock-runtime/2023-09-30/service-2.json`.

mod answer;
mod content;
mod embed;
mod request;
mod stream;

use super::{Answer, Ask, Notes, Provider, Refusal, Stream, Translated, path_segment};
use crate::snapshot::Task;
use crate::wire::WireError;
use crate::wire::raw::Raw;
use alloc::boxed::Box;
use alloc::string::String;

/// The dialect.
pub(super) struct Bedrock;

impl Provider for Bedrock {
    fn request(&self, ask: &Ask<'_>, notes: &mut Notes) -> Result<Translated, WireError> {
        if ask.task == Task::Embeddings {
            return embed::request(ask, notes);
        }
        let body = request::chat(ask.body, notes)?;
        Ok(call(ask.model, if ask.stream { "converse-stream" } else { "converse" }, body))
    }

    fn answer<'a>(&self, task: Task, body: Raw<'a>) -> Option<Answer<'a>> {
        match task {
            Task::Embeddings => embed::answer(body),
            Task::Chat | Task::Completions => answer::read(body),
        }
    }

    fn stream(&self) -> Box<dyn Stream> {
        stream::open()
    }

    fn stream_type(&self) -> &'static str {
        "application/vnd.amazon.eventstream"
    }

    /// The kinds of error have statuses of their own (8.5), but for two: a model that failed is worth one more try, and
    /// a quota of the account that is used up is the account's, not the request's.
    fn refusal(&self, status: u16, body: Option<Raw<'_>>) -> Refusal {
        let common = Refusal::common(status, body);
        match status {
            408 => common.with_status(504),
            424 => Refusal { should_retry: Some(true), ..common.with_status(502) },
            _ => common,
        }
    }
}

/// The call `verb` of a model; its name or ARN is one segment of the path.
fn call(model: &str, verb: &str, body: String) -> Translated {
    let path = ["/model/", &path_segment(model), "/", verb].concat();
    Translated { path, body }
}
