//! Requests for embeddings, as providers of other dialects ask for them.
//!
//! Stage 6. Decides that inputs are texts; token numbers mean nothing to another provider's model.

use super::Answer;
use super::members::refuse;
use super::usage::Counts;
use crate::wire::WireError;
use crate::wire::raw::Raw;
use alloc::format;
use alloc::vec::Vec;

/// The inputs, JSON strings, at most `max`.
///
/// # Errors
/// [`WireError::NotSupported`] for token numbers, and for more inputs than one call of the provider takes.
pub fn texts(body: Raw<'_>, max: usize) -> Result<Vec<Raw<'_>>, WireError> {
    let input = body.get("input").ok_or(WireError::MissingMember { member: "input" })?;
    let texts: Vec<Raw<'_>> = if input.is_text() { Vec::from([input]) } else { input.items().collect() };
    if texts.iter().any(|text| !text.is_text()) {
        return Err(refuse("input", "a text or several with this model", Some(input)));
    }
    if texts.is_empty() || texts.len() > max {
        return Err(refuse("input", &format!("1 to {max} texts with this model"), Some(input)));
    }
    Ok(texts)
}

/// An answer of vectors; `None` if one of them is no array of numbers.
pub fn answer(vectors: Vec<Raw<'_>>, counts: Counts) -> Option<Answer<'_>> {
    let numbers = |vector: &Raw<'_>| vector.is_array() && vector.items().all(|item| item.number().is_some());
    if vectors.is_empty() || !vectors.iter().all(numbers) {
        return None;
    }
    Some(Answer { id: None, model: None, choices: Vec::new(), vectors, counts, others: Vec::new() })
}
