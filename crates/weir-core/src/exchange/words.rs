//! What an upstream says in the body of an error.
//!
//! Above the stages. Decides how much of an upstream's text is told to the caller, and whether its code has a meaning of
//! its own; not which text (`translate::refusal`) and not how it is told (`reply`).

use crate::translate::refusal;
use crate::wire::raw::Raw;
use alloc::string::String;

/// An upstream's own words for the caller are cut to this.
const MESSAGE_BYTES_MAX: usize = 2_048;

/// What an upstream says in an error body.
pub(super) struct Words {
    /// Its text, cut to a bounded length.
    pub(super) text: String,
    /// Whether its code says that the prompt is longer than the model takes.
    pub(super) too_long: bool,
}

/// The upstream's own words in an error body.
pub(super) fn upstream_words(body: &[u8]) -> Option<Words> {
    if body.len() > 1 << 20 {
        return None;
    }
    let body = Raw::object(body)?;
    let mut text = refusal::said(body)?.into_owned();
    while text.len() > MESSAGE_BYTES_MAX {
        text.pop();
    }
    let code = body.at("error.code").and_then(|code| code.text());
    Some(Words { text, too_long: code.is_some_and(|code| code == "context_length_exceeded") })
}
