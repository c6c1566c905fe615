//! How far the stream of a passed call is, event by event (`providers.md`, 2.6).
//!
//! Above the stages. Decides which event only begins, which says something, and which is the last; what follows from it
//! is `passed`'s.

use crate::wire::raw::Raw;

/// How far a stream is with an event.
pub(super) enum Stage {
    /// It only begins.
    Begin,
    /// It says something.
    Content,
    /// The last one, of an answer.
    Last,
    /// The last one, of an answer that failed.
    Failure,
    /// An error, not of an answer.
    Error,
}

/// How far a stream is with the event of this data (`providers.md`, 2.6). An event of which nothing is known says
/// something.
pub(super) fn stage_of(data: &str, event: Option<Raw<'_>>) -> Stage {
    const BEGIN: [&str; 5] = [
        "response.created",
        "response.queued",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
    ];
    if data.starts_with("[DONE]") {
        return Stage::Last;
    }
    let Some(event) = event else { return Stage::Content };
    match &*event.text_at("type").unwrap_or_default() {
        "response.completed" | "response.incomplete" => Stage::Last,
        "response.failed" => Stage::Failure,
        "error" => Stage::Error,
        "" if event.get("error").is_some_and(|error| !error.is_null()) => Stage::Error,
        kind if BEGIN.contains(&kind) => Stage::Begin,
        _ => Stage::Content,
    }
}
