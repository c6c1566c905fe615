//! Routes of Azure's data planes: model inference, dated Azure `OpenAI`, serverless endpoints.
//!
//! Stage 0. Sources: `azure.md` A1 and A2 (routes and versions of model inference and serverless), B1 (dated
//! routes and versions).

use super::{Asked, CHAT, COMPLETIONS, Disposition, EMBEDDINGS, OTHER, Surface, openai, refuse};
use crate::snapshot::Task;
use crate::wire::error::WireError;

/// Versions of the model inference API (A2), sorted.
const MODEL_INFERENCE_VERSIONS: [&str; 8] = [
    "2024-04-01",
    "2024-04-01-preview",
    "2024-05-01-preview",
    "2025-02-01-preview",
    "2025-04-01",
    "2025-05-01",
    "2025-05-01-preview",
    "2025-05-15-preview",
];

/// Versions of the dated Azure `OpenAI` API (B1), sorted.
const DATED_VERSIONS: [&str; 25] = [
    "2022-12-01",
    "2023-03-15-preview",
    "2023-05-15",
    "2023-06-01-preview",
    "2023-07-01-preview",
    "2023-08-01-preview",
    "2023-09-01-preview",
    "2023-10-01-preview",
    "2023-12-01-preview",
    "2024-02-01",
    "2024-02-15-preview",
    "2024-03-01-preview",
    "2024-04-01-preview",
    "2024-05-01-preview",
    "2024-06-01",
    "2024-07-01-preview",
    "2024-08-01-preview",
    "2024-09-01-preview",
    "2024-10-01-preview",
    "2024-10-21",
    "2024-12-01-preview",
    "2025-01-01-preview",
    "2025-02-01-preview",
    "2025-03-01-preview",
    "2025-04-01-preview",
];

/// Whether the request carries one of `versions` as its `api-version`.
fn has_version(asked: &Asked<'_>, versions: &[&str]) -> bool {
    asked.address.query_value("api-version").is_some_and(|version| versions.binary_search(&version).is_ok())
}

/// `/models/*`.
pub(super) fn model_inference<'a>(asked: &Asked<'a>, rest: &[&'a str]) -> Disposition<'a> {
    const SURFACE: Surface = Surface::ModelInference;
    let found = match rest {
        ["chat", "completions"] => asked.data(SURFACE, Some(Task::Chat), CHAT, None),
        ["completions"] => asked.data(SURFACE, Some(Task::Completions), COMPLETIONS, None),
        ["embeddings"] => asked.data(SURFACE, Some(Task::Embeddings), EMBEDDINGS, None),
        ["images", "embeddings"] => asked.unsupported(SURFACE, "POST", "Image embeddings"),
        ["images", "generations"] => asked.unsupported(SURFACE, "POST", "Image generation"),
        ["info"] => asked.unsupported(SURFACE, "GET", "Model info"),
        _ => asked.unknown(SURFACE),
    };
    versioned(asked, SURFACE, &MODEL_INFERENCE_VERSIONS, found)
}

/// `/openai/*` but `/openai/v1/*`.
pub(super) fn dated<'a>(asked: &Asked<'a>, rest: &[&'a str]) -> Disposition<'a> {
    const SURFACE: Surface = Surface::AzureOpenAi;
    let found = match rest {
        ["deployments", name, operation @ ..] => deployment(asked, name, operation),
        ["deployments"] => asked.unsupported(SURFACE, "GET", "The list of deployments"),
        ["models"] | ["models", _] => asked.unsupported(SURFACE, "GET", "The list of models"),
        ["responses", ..] => asked.unsupported(SURFACE, "POST, GET, DELETE", "The Responses API"),
        ["files", ..] => asked.unsupported(SURFACE, "POST, GET, DELETE", "The Files API"),
        ["batches", ..] => asked.unsupported(SURFACE, "POST, GET", "The Batch API"),
        ["fine_tuning", ..] => asked.unsupported(SURFACE, "POST, GET, DELETE", "Fine-tuning"),
        ["assistants" | "threads" | "vector_stores", ..] => {
            asked.unsupported(SURFACE, "POST, GET, DELETE", "The Assistants API")
        }
        ["realtime", ..] => asked.unsupported(SURFACE, "GET, POST", "The Realtime API"),
        _ => asked.unknown(SURFACE),
    };
    versioned(asked, SURFACE, &DATED_VERSIONS, found)
}

/// `/openai/deployments/{name}/*`.
fn deployment<'a>(asked: &Asked<'a>, name: &'a str, operation: &[&'a str]) -> Disposition<'a> {
    const SURFACE: Surface = Surface::AzureOpenAi;
    match operation {
        ["chat", "completions"] => asked.data(SURFACE, Some(Task::Chat), CHAT, Some(name)),
        ["completions"] => asked.data(SURFACE, Some(Task::Completions), COMPLETIONS, Some(name)),
        ["embeddings"] => asked.data(SURFACE, Some(Task::Embeddings), EMBEDDINGS, Some(name)),
        ["extensions", "chat", "completions"] => asked.unsupported(SURFACE, "POST", "Chat with data sources"),
        ["images", "generations" | "edits"] => asked.unsupported(SURFACE, "POST", "Image generation"),
        ["audio", "transcriptions" | "translations"] => {
            asked.unsupported(SURFACE, "POST", "Audio transcription")
        }
        ["audio", "speech"] => asked.unsupported(SURFACE, "POST", "Speech"),
        ["batches"] => asked.unsupported(SURFACE, "POST", "The Batch API"),
        _ => asked.unknown(SURFACE),
    }
}

/// A serverless endpoint's own routes, by host or under `/serverless/{name}`. Its `/v1/*` needs no version, and
/// its other routes accept a missing one (A2).
pub(super) fn serverless<'a>(asked: &Asked<'a>, name: &'a str, rest: &[&'a str]) -> Disposition<'a> {
    const SURFACE: Surface = Surface::Serverless;
    let route = rest.strip_prefix(&["v1"]).unwrap_or(rest);
    match route {
        ["chat", "completions"] => asked.data(SURFACE, Some(Task::Chat), CHAT, Some(name)),
        ["completions"] => asked.data(SURFACE, Some(Task::Completions), COMPLETIONS, Some(name)),
        ["embeddings"] => asked.data(SURFACE, Some(Task::Embeddings), EMBEDDINGS, Some(name)),
        ["images", "embeddings"] => asked.unsupported(SURFACE, "POST", "Image embeddings"),
        ["images", "generations"] => asked.unsupported(SURFACE, "POST", "Image generation"),
        ["info"] => asked.unsupported(SURFACE, "GET", "Model info"),
        ["swagger.json"] => asked.unsupported(SURFACE, "GET", "The OpenAPI document"),
        other => openai::known_elsewhere(asked, SURFACE, other),
    }
}

/// `found`, unless the request has no version of its API: then the whole path does not exist (A2, B1).
fn versioned<'a>(
    asked: &Asked<'a>,
    surface: Surface,
    versions: &[&str],
    found: Disposition<'a>,
) -> Disposition<'a> {
    if has_version(asked, versions) { found } else { refuse(surface, OTHER, WireError::ApiVersion) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_lists_are_sorted_for_the_search() {
        assert!(MODEL_INFERENCE_VERSIONS.is_sorted());
        assert!(DATED_VERSIONS.is_sorted());
    }
}
