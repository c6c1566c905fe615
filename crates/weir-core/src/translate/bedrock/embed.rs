//! Embeddings by `InvokeModel`, whose bodies are each model's own: Titan's, or Cohere's.
//!
//! Stage 6. Source: `providers.md` 8.6. Titan takes one text a call.

use super::call;
use crate::translate::members::{self, Notes, Rule};
use crate::translate::usage::{self, Counts};
use crate::translate::{Answer, Ask, Translated};
use crate::wire::WireError;
use crate::wire::object::Object;
use crate::wire::raw::Raw;
use alloc::vec::Vec;

/// Texts of one call to Cohere.
const TEXTS_MAX: usize = 96;

/// [`super::Provider::texts_max`]: Titan takes one.
pub(super) fn texts_max(model: &str) -> usize {
    if is_cohere(model) { TEXTS_MAX } else { 1 }
}

fn is_cohere(model: &str) -> bool {
    model.contains("cohere.")
}

const TITAN: &[(&str, Rule)] = &[("input", Rule::Read), ("dimensions", Rule::As("dimensions"))];
const COHERE: &[(&str, Rule)] =
    &[("input", Rule::Read), ("input_type", Rule::Read), ("dimensions", Rule::As("output_dimension"))];

pub(super) fn request(ask: &Ask<'_>, notes: &mut Notes) -> Result<Translated, WireError> {
    let mut out = Object::new();
    let family = ask.place.get("bedrock_provider").map_or("", |family| family.as_str());
    if family == "cohere" || is_cohere(ask.model) {
        out.put("texts", &members::texts(ask.body, TEXTS_MAX, "one to 96 texts with this model")?.end());
        let kind = ask.body.get("input_type").map_or("\"search_document\"", |kind| kind.as_str());
        out.put("input_type", kind);
        members::pass(ask.body, COHERE, &mut out, notes);
    } else {
        let list = members::texts(ask.body, 1, "one text a request with this model")?.end();
        let text = Raw::trusted(&list).items().next();
        out.put_some("inputText", text);
        members::pass(ask.body, TITAN, &mut out, notes);
    }
    Ok(call(ask.model, "invoke", out.end()))
}

/// `embedding` is Titan's; `embeddings` is Cohere's, a list of vectors or one such list by type.
pub(super) fn answer(body: Raw<'_>) -> Option<Answer<'_>> {
    let one = body.get("embedding");
    let many =
        body.get("embeddings").and_then(|all| if all.is_array() { Some(all) } else { all.get("float") });
    let vectors: Vec<Raw<'_>> =
        one.into_iter().chain(many.into_iter().flat_map(|list| list.items())).collect();
    let good = !vectors.is_empty() && vectors.iter().all(Raw::is_array);
    good.then(|| Answer {
        id: None,
        model: None,
        choices: Vec::new(),
        vectors,
        counts: Counts::of(usage::TITAN, Some(body)),
        others: Vec::new(),
    })
}
