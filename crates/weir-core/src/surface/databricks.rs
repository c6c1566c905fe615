//! Routes of Databricks' query plane and of `MLflow`'s generic gateway, and the door to its management plane.
//!
//! Stage 0. Sources: `databricks.md` 1.2 (Q1 to Q9), 1.4, 11.5.

use super::gemini;
use super::passage::passage;
use super::{Asked, CHAT, COMPLETIONS, Disposition, EMBEDDINGS, INVOCATIONS, Surface, openai};
use crate::snapshot::Task;

/// `/serving-endpoints/*`: literal routes differ from an endpoint's only in the last segment, so an endpoint may
/// be called `chat`.
pub(super) fn serving_endpoints<'a>(asked: &Asked<'a>, rest: &[&'a str]) -> Disposition<'a> {
    const SURFACE: Surface = Surface::ServingEndpoints;
    match rest {
        [name, "invocations"] => asked.data(SURFACE, None, INVOCATIONS, Some(name)),
        ["chat", "completions"] => asked.data(SURFACE, Some(Task::Chat), CHAT, None),
        ["completions"] => asked.data(SURFACE, Some(Task::Completions), COMPLETIONS, None),
        ["embeddings"] => asked.data(SURFACE, Some(Task::Embeddings), EMBEDDINGS, None),
        ["responses", ..] => passage(asked, SURFACE, rest, None).unwrap_or_else(|| asked.unknown(SURFACE)),
        ["models"] => asked.models(SURFACE, None, false),
        ["models", id] => asked.models(SURFACE, Some(id), false),
        _ => native(asked, SURFACE, rest),
    }
}

/// `/ai-gateway/*`: the newer base addresses, in the form of `OpenAI` (Q8, Q9) or in a provider's own.
pub(super) fn ai_gateway<'a>(asked: &Asked<'a>, rest: &[&'a str]) -> Disposition<'a> {
    match rest {
        ["mlflow" | "openai", "v1", rest @ ..] => openai::v1(asked, Surface::ServingEndpoints, rest),
        _ => native(asked, Surface::ServingEndpoints, rest),
    }
}

/// A provider's own dialect below a base of Databricks or of `MLflow`; `own` is the surface of what is none. Clients of
/// these dialects read errors in their forms only.
fn native<'a>(asked: &Asked<'a>, own: Surface, rest: &[&'a str]) -> Disposition<'a> {
    match rest {
        ["anthropic", "v1", "messages", rest @ ..] => openai::messages(asked, rest),
        ["gemini", version, rest @ ..] if gemini::is_version(version) => gemini::versioned(asked, rest),
        _ => asked.unknown(own),
    }
}

/// `/endpoints/*` and `/gateway/*` of `MLflow`'s own gateway.
pub(super) fn mlflow_query<'a>(asked: &Asked<'a>, rest: &[&'a str]) -> Disposition<'a> {
    const SURFACE: Surface = Surface::MlflowGateway;
    match rest {
        [name, "invocations"] => asked.data(SURFACE, None, INVOCATIONS, Some(name)),
        _ => native(asked, SURFACE, rest),
    }
}

/// `/api/*` but Weir's own: Databricks' management plane, and the lists of `MLflow`'s gateway, old and new.
pub(super) fn api<'a>(asked: &Asked<'a>, rest: &[&'a str]) -> Disposition<'a> {
    const SURFACE: Surface = Surface::MlflowGateway;
    match rest {
        ["2.0", "endpoints" | "gateway", "limits", ..] => {
            asked.unsupported(SURFACE, "GET, POST", "Reading and setting of limits by the MLflow AI Gateway")
        }
        ["2.0", "endpoints"] | ["2.0", "endpoints", ""] => asked.models(SURFACE, None, false),
        ["2.0", "endpoints", name] | ["3.0", "gateway", "endpoint", name] => {
            asked.models(SURFACE, Some(name), false)
        }
        ["2.0", "gateway", "routes"] | ["2.0", "gateway", "routes", ""] => asked.models(SURFACE, None, true),
        ["2.0", "gateway", "routes", name] | ["3.0", "gateway", "route", name] => {
            asked.models(SURFACE, Some(name), true)
        }
        ["2.0" | "3.0", "gateway", ..] => asked.unknown(SURFACE),
        ["2.0" | "2.1", _, ..] => asked.management(Surface::DatabricksApi),
        _ => asked.unknown(Surface::DatabricksApi),
    }
}
