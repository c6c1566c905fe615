//! Routes of Azure's data planes: model inference, dated Azure `OpenAI`, serverless endpoints.
//!
//! Stage 0. Sources: `azure.md` A1 and A2 (routes and versions of model inference and serverless), B1 (dated
//! routes and versions).

use super::passage::passage;
use super::{Asked, Asks, CHAT, COMPLETIONS, Disposition, EMBEDDINGS, OTHER, Surface, openai, refuse};
use crate::snapshot::Task;
use crate::wire::error::WireError;
use crate::wire::inference::Schema;

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
        ["images", "generations"] => asked.unsupported(SURFACE, "POST", "Image generation"),
        // The newer versions name the deployment in the query (A1).
        ["info"] => {
            let value = |name| asked.address.query_value(name).filter(|value| !value.is_empty());
            asked.read(SURFACE, Asks::Info, value("model").or_else(|| value("model_deployment")))
        }
        other => inference(asked, SURFACE, other, None).unwrap_or_else(|| asked.unknown(SURFACE)),
    };
    versioned(asked, SURFACE, &MODEL_INFERENCE_VERSIONS, found)
}

/// The POST routes of the model inference API (A1), by its schema.
fn inference<'a>(
    asked: &Asked<'a>,
    surface: Surface,
    rest: &[&'a str],
    name: Option<&'a str>,
) -> Option<Disposition<'a>> {
    Some(match rest {
        ["chat", "completions"] => asked.checked(surface, Schema::Chat, CHAT, name),
        ["completions"] => asked.checked(surface, Schema::Completions, COMPLETIONS, name),
        ["embeddings"] => asked.checked(surface, Schema::Embeddings, EMBEDDINGS, name),
        ["images", "embeddings"] => asked.checked(surface, Schema::ImageEmbeddings, EMBEDDINGS, name),
        _ => return None,
    })
}

/// `/openai/*` but `/openai/v1/*`.
pub(super) fn dated<'a>(asked: &Asked<'a>, rest: &[&'a str]) -> Disposition<'a> {
    const SURFACE: Surface = Surface::AzureOpenAi;
    let found = match rest {
        ["deployments", name, operation @ ..] => deployment(asked, name, operation),
        ["deployments"] if asked.address.query_value("api-version").is_none_or(lists_deployments) => {
            asked.models(SURFACE, None, true)
        }
        ["models"] => asked.models(SURFACE, None, false),
        ["models", id] => asked.models(SURFACE, Some(id), false),
        ["realtime", ..] => asked.unsupported(SURFACE, "GET, POST", "The Realtime API"),
        ["images" | "audio" | "chat", ..] => asked.unknown(SURFACE),
        other => passage(asked, SURFACE, other, None).unwrap_or_else(|| asked.unknown(SURFACE)),
    };
    versioned(asked, SURFACE, &DATED_VERSIONS, found)
}

/// Whether a version of the dated API still has the list of deployments (B1).
fn lists_deployments(version: &str) -> bool {
    version <= "2023-03-15-preview"
}

/// `/openai/deployments/{name}/*`.
fn deployment<'a>(asked: &Asked<'a>, name: &'a str, operation: &[&'a str]) -> Disposition<'a> {
    const SURFACE: Surface = Surface::AzureOpenAi;
    match operation {
        ["chat", "completions"] => asked.data(SURFACE, Some(Task::Chat), CHAT, Some(name)),
        ["completions"] => asked.data(SURFACE, Some(Task::Completions), COMPLETIONS, Some(name)),
        ["embeddings"] => asked.data(SURFACE, Some(Task::Embeddings), EMBEDDINGS, Some(name)),
        ["extensions", "chat", "completions"] => asked.unsupported(SURFACE, "POST", "Chat with data sources"),
        ["images" | "audio", ..] => {
            passage(asked, SURFACE, operation, Some(name)).unwrap_or_else(|| asked.unknown(SURFACE))
        }
        ["batches"] => asked.unsupported(SURFACE, "POST", "The Batch API"),
        _ => asked.unknown(SURFACE),
    }
}

/// A serverless endpoint's own routes, by host or under `/serverless/{name}`. Its `/v1/*` needs no version, and
/// its other routes accept a missing one (A2).
pub(super) fn serverless<'a>(asked: &Asked<'a>, name: &'a str, rest: &[&'a str]) -> Disposition<'a> {
    const SURFACE: Surface = Surface::Serverless;
    match rest {
        ["v1", "chat", "completions"] => asked.data(SURFACE, Some(Task::Chat), CHAT, Some(name)),
        ["v1", "completions"] => asked.data(SURFACE, Some(Task::Completions), COMPLETIONS, Some(name)),
        ["v1", "embeddings"] => asked.data(SURFACE, Some(Task::Embeddings), EMBEDDINGS, Some(name)),
        ["v1", "models"] => asked.read(SURFACE, Asks::Models { id: None, deployments: false }, Some(name)),
        ["v1", other @ ..] => openai::known_elsewhere(asked, SURFACE, other),
        ["images", "generations"] => asked.unsupported(SURFACE, "POST", "Image generation"),
        ["info"] => asked.read(SURFACE, Asks::Info, Some(name)),
        ["swagger.json"] => asked.read(SURFACE, Asks::Document, Some(name)),
        other => inference(asked, SURFACE, other, Some(name)).unwrap_or_else(|| asked.unknown(SURFACE)),
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
