//! Embeddings of Gemini's models.
//!
//! Stage 6. Sources: `providers.md`, 6.5 for the Gemini API (a batch, no usage told) and 7 for Vertex AI (`:predict`).

use super::Gemini;
use crate::translate::embeddings;
use crate::translate::members::{self, Rule};
use crate::translate::usage::{self, Counts};
use crate::translate::{Answer, Ask, Notes, Translated};
use crate::wire::WireError;
use crate::wire::object::{Array, Object};
use crate::wire::raw::Raw;
use alloc::borrow::Cow;
use alloc::format;
use alloc::vec::Vec;

/// Texts of one call.
const TEXTS_MAX: usize = 100;

/// As many; but Vertex AI's `:predict` takes one text where the model is one of Gemini's own (Google Cloud, "Get text
/// embeddings", 2026-10).
pub(super) fn texts_max(place: &Gemini, model: &str) -> usize {
    match place {
        Gemini::Vertex if model.starts_with("gemini-embedding") => 1,
        Gemini::Api | Gemini::Vertex => TEXTS_MAX,
    }
}

const TABLE: &[(&str, Rule)] =
    &[("input", Rule::Read), ("input_type", Rule::Read), ("dimensions", Rule::Read)];

pub(super) fn ask(place: &Gemini, ask: &Ask<'_>, notes: &mut Notes) -> Result<Translated, WireError> {
    let kind = ask.body.text_at("input_type");
    let kind = kind.map(|kind| match &*kind {
        "query" => Cow::Borrowed("RETRIEVAL_QUERY"),
        "document" | "text" => Cow::Borrowed("RETRIEVAL_DOCUMENT"),
        _ => kind,
    });
    let dimensions = ask.body.get("dimensions");
    let mut items = Array::default();
    for text in embeddings::texts(ask.body, TEXTS_MAX)? {
        items.put(&match place {
            Gemini::Api => {
                let model = ask.model.strip_prefix("models/").unwrap_or(ask.model);
                let content = format!("{{\"parts\":[{{\"text\":{}}}]}}", text.as_str());
                let mut item =
                    Object::new().text("model", &format!("models/{model}")).raw("content", &content);
                if let Some(kind) = &kind {
                    item = item.text("taskType", kind);
                }
                item.put_some("outputDimensionality", dimensions);
                item.end()
            }
            Gemini::Vertex => {
                let item = Object::new().raw("content", text.as_str());
                kind.as_ref().map_or_else(|| item.clone(), |kind| item.clone().text("task_type", kind)).end()
            }
        });
    }
    let (method, mut out) = match place {
        Gemini::Api => ("batchEmbedContents", Object::new().raw("requests", &items.end())),
        Gemini::Vertex => {
            let mut out = Object::new().raw("instances", &items.end());
            if let Some(dimensions) = dimensions {
                let parameters = Object::new().raw("outputDimensionality", dimensions.as_str());
                out.put("parameters", &parameters.end());
            }
            ("predict", out)
        }
    };
    members::pass(ask.body, TABLE, &mut out, notes);
    Ok(Translated { path: place.path(ask, method), body: out.end() })
}

pub(super) fn read<'a>(place: &Gemini, body: Raw<'a>) -> Option<Answer<'a>> {
    match place {
        Gemini::Api => {
            let vectors: Option<Vec<Raw<'a>>> =
                body.get("embeddings")?.items().map(|item| item.get("values")).collect();
            embeddings::answer(vectors?, Counts::of(usage::GEMINI, body.get("usageMetadata")))
        }
        Gemini::Vertex => {
            let predictions: Vec<Raw<'a>> = body.get("predictions")?.items().collect();
            let vectors: Option<Vec<Raw<'a>>> =
                predictions.iter().map(|item| item.at("embeddings.values")).collect();
            let mut counts = Counts::new(usage::VERTEX_EMBEDDINGS);
            for item in &predictions {
                counts.add(*item);
            }
            embeddings::answer(vectors?, counts)
        }
    }
}
