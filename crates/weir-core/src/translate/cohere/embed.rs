//! Embeddings of Cohere's.
//!
//! Stage 6. Source: `providers.md`, 5.4. `input_type` is what the caller says, else a document to be searched; numbers are
//! asked for as they are and encoded here.

use crate::translate::embeddings;
use crate::translate::members::{self, Rule};
use crate::translate::usage::{self, Counts};
use crate::translate::{Answer, Ask, Notes, Translated};
use crate::wire::WireError;
use crate::wire::object::{Array, Object};
use crate::wire::raw::Raw;
use alloc::borrow::ToOwned;
use alloc::vec::Vec;

/// Texts of one call.
pub(super) const TEXTS_MAX: usize = 96;

const TABLE: &[(&str, Rule)] =
    &[("input", Rule::Read), ("input_type", Rule::Read), ("dimensions", Rule::As("output_dimension"))];

pub(super) fn ask(ask: &Ask<'_>, notes: &mut Notes) -> Result<Translated, WireError> {
    let mut texts = Array::default();
    for text in embeddings::texts(ask.body, TEXTS_MAX)? {
        texts.put(text.as_str());
    }
    let kind = ask.body.text_at("input_type");
    let kind = match kind.as_deref() {
        None | Some("text" | "document") => "search_document",
        Some("query") => "search_query",
        Some(other) => other,
    };
    let mut out = Object::new().text("model", ask.model).raw("texts", &texts.end()).text("input_type", kind);
    out.put("embedding_types", "[\"float\"]");
    members::pass(ask.body, TABLE, &mut out, notes);
    Ok(Translated { path: "/v2/embed".to_owned(), body: out.end() })
}

pub(super) fn read(body: Raw<'_>) -> Option<Answer<'_>> {
    let vectors: Vec<Raw<'_>> = body.at("embeddings.float")?.items().collect();
    let counts = Counts::of(usage::COHERE_EMBEDDINGS, body.get("meta"));
    embeddings::answer(vectors, counts)
}
