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
    fn texts_max(&self, model: &str) -> Option<usize> {
        Some(embed::texts_max(model))
    }

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

    /// The kind says more than the status (8.5): a model that failed is worth one more try, and a quota of the account
    /// that is used up is the account's, not the request's.
    fn refusal(&self, status: u16, kind: Option<&str>, body: Option<Raw<'_>>) -> Refusal {
        let common = Refusal::common(status, body);
        let told = || body?.text_at("__type").and_then(|text| status_of(&text));
        let told = kind.and_then(status_of).or_else(told).unwrap_or(status);
        let should_retry = (told == 424).then_some(true);
        Refusal { should_retry, ..common.with_status(canonical(told)) }
    }
}

/// The status of the canonical dialect for one of Bedrock's.
const fn canonical(status: u16) -> u16 {
    match status {
        408 => 504,
        424 => 502,
        status => status,
    }
}

/// The status that a kind of error or exception stands for: `ThrottlingException`, with a namespace before a `#` and an
/// address behind a `:` as the head has it, or `throttlingException` in a stream.
fn status_of(kind: &str) -> Option<u16> {
    let kind = kind.split(':').next().unwrap_or_default();
    let kind = kind.rsplit('#').next().unwrap_or_default();
    Some(match kind.strip_suffix("Exception")?.to_ascii_lowercase().as_str() {
        "validation" => 400,
        "servicequotaexceeded" => 402,
        "accessdenied" | "unrecognizedclient" | "invalidsignature" | "expiredtoken" => 403,
        "resourcenotfound" => 404,
        "modeltimeout" => 408,
        "modelerror" | "modelstreamerror" => 424,
        "throttling" | "modelnotready" => 429,
        "internalserver" => 500,
        "serviceunavailable" => 503,
        _ => return None,
    })
}

/// The call `verb` of a model; its name or ARN is one segment of the path.
fn call(model: &str, verb: &str, body: String) -> Translated {
    let path = ["/model/", &path_segment(model), "/", verb].concat();
    Translated { path, body }
}
