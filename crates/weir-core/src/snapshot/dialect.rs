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
    /// Amazon Bedrock: Converse, and `InvokeModel` for embeddings.
    Bedrock,
    /// Mistral's, nearly the canonical one.
    Mistral,
    /// AI21's, nearly the canonical one.
    Ai21,
    /// A serving endpoint of Databricks, nearly the canonical one.
    Databricks,
    /// Workers AI by its OpenAI-compatible routes.
    WorkersAi,
    /// Workers AI in its own form: `/ai/run`, or the binding.
    WorkersAiNative,
}

impl Dialect {
    /// What `entity` speaks; `None` for the canonical dialect, and for what nobody here speaks yet.
    pub fn of(entity: &ServedEntity) -> Option<Self> {
        let Target::Http(Upstream { paths: UpstreamPaths::Native(_), base, .. }) = &entity.target else {
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
            "amazon-bedrock" => Some(Self::Bedrock),
            "mistral" => Some(Self::Mistral),
            "ai21labs" => Some(Self::Ai21),
            "databricks-model-serving" => Some(Self::Databricks),
            "workers-ai" if base.is_empty() || base.ends_with("/run") => Some(Self::WorkersAiNative),
            "workers-ai" => Some(Self::WorkersAi),
            _ => None,
        }
    }
}
