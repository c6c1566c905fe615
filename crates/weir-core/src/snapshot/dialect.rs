//! What a served entity speaks, by its provider and model.
//!
//! Base. Decides which of the dialects that `translate` knows it is; nothing about what they are like.

use super::{ServedEntity, Target, Upstream, UpstreamPaths};

/// A dialect that is not `OpenAI`'s, which is the canonical one and needs no translation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Anthropic Messages.
    Anthropic,
    /// The same at Vertex AI.
    VertexAnthropic,
    /// Cohere's API, version 2.
    Cohere,
    /// The Gemini API.
    Gemini,
    /// The same models at Vertex AI.
    Vertex,
}

impl Dialect {
    /// What `entity` speaks; `None` for the canonical dialect, and for what nobody here speaks yet.
    pub fn of(entity: &ServedEntity) -> Option<Self> {
        let Target::Http(Upstream { paths: UpstreamPaths::Native(_), .. }) = &entity.target else {
            return None;
        };
        match entity.provider.as_str() {
            "anthropic" => Some(Self::Anthropic),
            "cohere" => Some(Self::Cohere),
            "palm" => Some(Self::Gemini),
            "google-cloud-vertex-ai" if entity.upstream_model.starts_with("claude") => {
                Some(Self::VertexAnthropic)
            }
            "google-cloud-vertex-ai" => Some(Self::Vertex),
            _ => None,
        }
    }
}
