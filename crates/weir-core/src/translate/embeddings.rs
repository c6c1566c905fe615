//! Requests for embeddings, as providers of other dialects ask for them.
//!
//! Stage 6. Decides that inputs are texts; token numbers mean nothing to another provider's model.

use super::Answer;
use super::members::refuse;
use super::usage::Counts;
use crate::wire::WireError;
use crate::wire::object::{Array, Object};
use crate::wire::raw::Raw;
use alloc::format;
use alloc::string::String;
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

/// Canonical answers as one: all vectors in order, and what they used together.
pub fn joined(parts: &[Vec<u8>]) -> String {
    let parts: Vec<Raw<'_>> = parts.iter().filter_map(|part| Raw::object(part)).collect();
    let mut data = Array::default();
    let vectors = parts.iter().filter_map(|part| part.get("data")).flat_map(|list| list.items());
    for (index, vector) in (0u32..).zip(vectors.filter_map(|item| item.get("embedding"))) {
        let item = Object::new().text("object", "embedding").number("index", index);
        data.put(&item.raw("embedding", vector.as_str()).end());
    }
    let mut usage = Object::new();
    for (name, path) in [("prompt_tokens", "usage.prompt_tokens"), ("total_tokens", "usage.total_tokens")] {
        let counts = parts.iter().filter_map(|part| part.at(path)?.count(u64::MAX));
        usage = usage.number(name, counts.fold(0, u64::saturating_add));
    }
    let mut body = Object::new().text("object", "list").raw("data", &data.end());
    body.put_some("model", parts.first().and_then(|part| part.get("model")));
    body.raw("usage", &usage.end()).end()
}
