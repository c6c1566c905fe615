//! Anthropic Messages (`providers.md`, 4).
//!
//! Stage 6. Decides that the version sent is `2023-06-01`: clients of the canonical dialect send `temperature` all the
//! time, which the next version refuses whatever its value is.

mod answer;
mod request;
mod stream;

use super::{Answer, Ask, Notes, Provider, Refusal, Stream, Translated};
use crate::snapshot::{Dialect, Task};
use crate::sorted::SortedMap;
use crate::wire::WireError;
use crate::wire::raw::Raw;
use alloc::boxed::Box;
use alloc::string::String;

/// The version of the API.
pub const VERSION: &str = "2023-06-01";
/// What that version is called in `anthropic_version` at Vertex AI.
pub const VERTEX_VERSION: &str = "vertex-2023-10-16";

/// The dialect, at one of two places.
pub(super) enum Anthropic {
    /// Anthropic's own API.
    Own,
    /// Vertex AI (`providers.md`, 7), which has the model in the path and the version in the body.
    Vertex,
}

/// Where messages are asked for of a model that speaks `dialect`, below its upstream's base, if that is Anthropic's; `place`
/// is what the provider's config says beside the credential.
pub fn messages_path(
    dialect: Dialect,
    model: &str,
    place: &SortedMap<String, String>,
    stream: bool,
) -> Option<String> {
    let own = match dialect {
        Dialect::Anthropic => Anthropic::Own,
        Dialect::VertexAnthropic => Anthropic::Vertex,
        Dialect::Cohere
        | Dialect::Gemini
        | Dialect::Vertex
        | Dialect::Bedrock
        | Dialect::Mistral
        | Dialect::Ai21
        | Dialect::Databricks
        | Dialect::WorkersAi
        | Dialect::WorkersAiNative => return None,
    };
    Some(request::path(&own, &Ask { task: Task::Chat, model, place, stream, body: Raw::NULL }))
}

impl Provider for Anthropic {
    fn headers(&self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Own => &[("anthropic-version", VERSION)],
            Self::Vertex => &[],
        }
    }

    fn request(&self, ask: &Ask<'_>, notes: &mut Notes) -> Result<Translated, WireError> {
        request::translate(self, ask, notes)
    }

    fn answer<'a>(&self, _task: Task, body: Raw<'a>) -> Option<Answer<'a>> {
        answer::read(body)
    }

    fn stream(&self) -> Box<dyn Stream> {
        stream::open()
    }

    /// A 429 that names no time is a limit on spending: trying again does not help (4.6).
    fn refusal(&self, status: u16, _kind: Option<&str>, body: Option<Raw<'_>>) -> Refusal {
        let common = Refusal::common(status, body);
        let spent = body.and_then(|body| body.at("error.details.error_code"));
        let should_retry = spent.filter(|code| code.is("enforced_spend_limit_reached")).map(|_| false);
        Refusal { should_retry, ..common }
    }
}
