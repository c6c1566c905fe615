//! Routes of the `OpenAI` form, under `/v1` and `/openai/v1`, and Anthropic's under `/v1/messages`.
//!
//! Stage 0. Sources: `providers.md` 2.1 and 4.1, `azure.md` B2.

use super::passage::passage;
use super::{Asked, Asks, CHAT, COMPLETIONS, Disposition, EMBEDDINGS, MESSAGES, Surface};
use crate::snapshot::Task;

/// `/v1/*` or `/openai/v1/*`; the body names the deployment.
pub(super) fn v1<'a>(asked: &Asked<'a>, surface: Surface, rest: &[&'a str]) -> Disposition<'a> {
    match rest {
        ["chat", "completions"] => asked.data(surface, Some(Task::Chat), CHAT, None),
        ["completions"] => asked.data(surface, Some(Task::Completions), COMPLETIONS, None),
        ["embeddings"] => asked.data(surface, Some(Task::Embeddings), EMBEDDINGS, None),
        ["models"] => asked.models(surface, None, false),
        ["models", id] if asked.method != "DELETE" => asked.models(surface, Some(id), false),
        other => {
            passage(asked, surface, other, None).unwrap_or_else(|| known_elsewhere(asked, surface, other))
        }
    }
}

/// Operations that exist at `OpenAI`, and are not served yet.
pub(super) fn known_elsewhere<'a>(asked: &Asked<'a>, surface: Surface, rest: &[&'a str]) -> Disposition<'a> {
    const ALL: &str = "POST, GET, DELETE";
    match rest {
        ["models", id] if !id.is_empty() => asked.unsupported(surface, "GET, DELETE", "Deleting models"),
        ["chat", "completions", id, ..] if !id.is_empty() => {
            asked.unsupported(surface, ALL, "Stored chat completions")
        }
        ["responses", ..] => asked.unsupported(surface, ALL, "The Responses API"),
        ["conversations", ..] => asked.unsupported(surface, ALL, "The Conversations API"),
        ["images", "generations" | "edits" | "variations"] => {
            asked.unsupported(surface, "POST", "Image generation")
        }
        ["audio", "transcriptions" | "translations"] => {
            asked.unsupported(surface, "POST", "Audio transcription")
        }
        ["audio", "speech"] => asked.unsupported(surface, "POST", "Speech"),
        ["moderations"] => asked.unsupported(surface, "POST", "Moderation"),
        ["files" | "uploads", ..] => asked.unsupported(surface, ALL, "The Files API"),
        ["batches", ..] => asked.unsupported(surface, "POST, GET", "The Batch API"),
        ["fine_tuning", ..] => asked.unsupported(surface, ALL, "Fine-tuning"),
        ["assistants" | "threads" | "vector_stores", ..] => {
            asked.unsupported(surface, ALL, "The Assistants API")
        }
        ["containers" | "evals" | "videos", ..] => asked.unsupported(surface, ALL, "This API"),
        ["realtime", ..] => asked.unsupported(surface, "GET, POST", "The Realtime API"),
        _ => asked.unknown(surface),
    }
}

/// `/v1/messages` and what is below it.
pub(super) fn messages<'a>(asked: &Asked<'a>, rest: &[&'a str]) -> Disposition<'a> {
    const SURFACE: Surface = Surface::Anthropic;
    match rest {
        [] => asked.posted(SURFACE, Asks::Messages { counts: false }, MESSAGES),
        ["count_tokens"] => asked.posted(SURFACE, Asks::Messages { counts: true }, MESSAGES),
        ["batches", ..] => asked.unsupported(SURFACE, "POST, GET, DELETE", "Message batches"),
        _ => asked.unknown(SURFACE),
    }
}
