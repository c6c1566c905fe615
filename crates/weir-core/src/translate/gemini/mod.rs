//! The Gemini API, and the same models at Vertex AI (`providers.md`, 6 and 7).
//!
//! Stage 6. Both speak of one thing with one mouth but for addresses and embeddings.

mod answer;
mod embed;
mod request;
mod stream;

use super::{Answer, Ask, Notes, Provider, Refusal, Stream, Translated};
use crate::snapshot::{Dialect, Task};
use crate::sorted::SortedMap;
use crate::translate::refusal;
use crate::wire::WireError;
use crate::wire::raw::Raw;
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;

/// The dialect, at one of two places.
pub(super) enum Gemini {
    /// `generativelanguage.googleapis.com`.
    Api,
    /// Vertex AI, in a project and a region.
    Vertex,
}

impl Gemini {
    /// The address of `method` of the model.
    fn path(&self, ask: &Ask<'_>, method: &str) -> String {
        let model = super::path_segment(ask.model.strip_prefix("models/").unwrap_or(ask.model));
        match self {
            Self::Api => format!("/v1beta/models/{model}:{method}"),
            Self::Vertex => format!("{}/google/models/{model}:{method}", publishers(ask)),
        }
    }
}

/// Where `method` (with its query, if it has one) of a model is that speaks `dialect`, if that is Gemini's; `place` is
/// what the provider's config says beside the credential.
pub fn passed_path(
    dialect: Dialect,
    model: &str,
    place: &SortedMap<String, String>,
    method: &str,
) -> Option<String> {
    let own = match dialect {
        Dialect::Gemini => Gemini::Api,
        Dialect::Vertex => Gemini::Vertex,
        Dialect::Anthropic
        | Dialect::VertexAnthropic
        | Dialect::Cohere
        | Dialect::Bedrock
        | Dialect::Mistral
        | Dialect::Ai21
        | Dialect::Databricks
        | Dialect::WorkersAi
        | Dialect::WorkersAiNative => return None,
    };
    Some(own.path(&Ask { task: Task::Chat, model, place, stream: false, body: Raw::NULL }, method))
}

/// Where Vertex AI has its publishers.
pub(super) fn publishers(ask: &Ask<'_>) -> String {
    let (project, region) = (ask.placed("project_id"), ask.placed("region"));
    format!("/v1/projects/{project}/locations/{region}/publishers")
}

impl Provider for Gemini {
    fn texts_max(&self, model: &str) -> Option<usize> {
        Some(embed::texts_max(self, model))
    }

    fn request(&self, ask: &Ask<'_>, notes: &mut Notes) -> Result<Translated, WireError> {
        if ask.task == Task::Embeddings {
            return embed::ask(self, ask, notes);
        }
        let method = if ask.stream { "streamGenerateContent?alt=sse" } else { "generateContent" };
        Ok(Translated { path: self.path(ask, method), body: request::translate(ask, notes)? })
    }

    fn answer<'a>(&self, task: Task, body: Raw<'a>) -> Option<Answer<'a>> {
        if task == Task::Embeddings { embed::read(self, body) } else { answer::read(body) }
    }

    fn stream(&self) -> Box<dyn Stream> {
        stream::open()
    }

    /// A bad key is a 400 here (6.7); the wait stands in the body; a quota of a day is not worth another try.
    fn refusal(&self, status: u16, _kind: Option<&str>, body: Option<Raw<'_>>) -> Refusal {
        let mut common = Refusal::common(status, body);
        let details = body.and_then(|body| body.at("error.details"));
        for detail in details.into_iter().flat_map(|list| list.items()) {
            if detail.get("reason").is_some_and(|reason| reason.is("API_KEY_INVALID")) {
                common.status = 401;
            }
            if let Some(delay) = detail.text_at("retryDelay") {
                common.wait_ms = refusal::seconds_ms(&delay);
            }
            let mut quotas = detail.get("violations").into_iter().flat_map(|list| list.items());
            if quotas.any(|quota| quota.text_at("quotaId").is_some_and(|id| id.contains("PerDay"))) {
                common.should_retry = Some(false);
            }
        }
        common
    }
}
